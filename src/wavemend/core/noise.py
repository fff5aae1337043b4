"""What a noise floor is: its level in fixed bands, measured in patches of time and frequency.

Shared by the search for noise and by its removal. Levels are power densities in dB
re full scale² per Hz (a sine at full scale has -3 dB), one-sided: white noise of
variance v at the sample rate r lies at 10·log10(2·v / r).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Grid, Window
from wavemend.core.types import Format, Samples

Array = npt.NDArray[np.float64]
Bands = list[tuple[int, int, int]]
"""Index in BANDS_HZ, first bin, bin after the last."""

BANDS_HZ: tuple[float, ...] = tuple(1000.0 * 10 ** (k / 10) for k in range(-15, 20))
"""Centres of the third-octave bands, 32 Hz to 79 kHz (IEC 61260, base ten), that every floor is given in."""

SILENCE_DB = -150.0
"""Below this density nothing is sound: the rounding of 24 bits lies there."""

PATCH_FRAMES = 8
FINE = 8
FINE_FRAMES = 4
MIN_BAND_BINS = 5
NOISE_SPREAD_DB = 2.22
"""Mean over patches of noise: dB of the mean power less the mean of the dB, for 8 half-overlapping frames."""
LEVEL_SIGMA_DB, SPREAD_SIGMA_DB, PEAK_SIGMA_DB = 2.5, 1.26, 1.25
"""Standard deviations over patches of noise one bin wide; they fall with the root of the number of bins."""
_MEDIAN_BIAS_DB = 0.18
_DB = np.float32(10 / math.log(10))


def frame_length(sample_rate: int, ms: float = 40.0) -> int:
    """The power of two that comes nearest to so many milliseconds, in samples."""
    return max(16, int(2 ** round(math.log2(ms / 1000 * sample_rate))))


def band_bins(sample_rate: int, n_fft: int) -> Bands:
    """The bands that fit below half the sample rate.

    Low bands are widened to a few bins; the bin at 0 Hz and its neighbour belong to none.
    """
    width, top = sample_rate / n_fft, n_fft // 2
    bands: Bands = []
    for index, centre in enumerate(BANDS_HZ):
        low, high = centre * 10**-0.05 / width, centre * 10**0.05 / width
        if high > top:
            break
        extra = max(0.0, MIN_BAND_BINS - (high - low)) / 2
        first = max(2, round(low - extra))
        last = min(top, max(first + MIN_BAND_BINS, round(high + extra)))
        if last - first >= MIN_BAND_BINS:
            bands.append((index, first, last))
    return bands


def a_weight_db(hz: npt.ArrayLike) -> Array:
    """The A weighting of IEC 61672-1 at frequencies in Hz."""
    f2 = np.square(np.asarray(hz, np.float64))
    low, mid, high = f2 + 20.6**2, np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)), f2 + 12194.0**2
    return np.asarray(20 * np.log10(12194.0**2 * f2**2 / (low * mid * high) + 1e-20) + 2.0)


def shape_at(levels_db: npt.ArrayLike, hz: npt.ArrayLike) -> Array:
    """A floor in BANDS_HZ, (..., bands), at other frequencies: (..., frequencies), straight over octaves."""
    levels, at = np.asarray(levels_db, np.float64), np.asarray(hz, np.float64)
    place = np.interp(np.log(np.maximum(at, 1.0)), np.log(BANDS_HZ), np.arange(len(BANDS_HZ)))
    low = np.minimum(place.astype(int), len(BANDS_HZ) - 2)
    share = place - low
    return np.asarray(levels[..., low] * (1 - share) + levels[..., low + 1] * share)


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Levels of patches, each (channels, patches, bands): eight frames by one third octave.

    `level_db` is the density there, from the median over the band's bins, so that
    partials in fewer than half of them do not count. `spread_db` tells how much the
    power swings from frame to frame: 0 for steady tones, NOISE_SPREAD_DB for noise, more
    for decays and attacks; `peak_db` how far the mean over the band's bins lies above
    the level: more than a few tenths where partials stand out.

    `fine` is the density (linear) in bins eight times as narrow, averaged over FINE_FRAMES
    frames, (channels, rows, bins), with one row or none; `swing`, (channels, rows, bands), how
    much the power swings from one of these frames to the next, in nepers of power.
    """

    level_db: Array
    spread_db: Array
    peak_db: Array
    fine: npt.NDArray[np.float32]
    swing: Array


class PatchMeter:
    """Blocks in, patches out, on a fixed grid; a stretch at the end too short for a patch is left out."""

    def __init__(self, format: Format) -> None:
        self.n_fft = frame_length(format.sample_rate)
        self.hop_length = self.n_fft // 2
        self.patch_length = PATCH_FRAMES * self.hop_length
        self.bands = band_bins(format.sample_rate, self.n_fft)
        self._n_fine = FINE * self.n_fft
        known = {index for index, _, _ in self.bands}
        self.fine_bands = [b for b in band_bins(format.sample_rate, self._n_fine) if b[0] in known]
        self._window = _density_window(self.n_fft, format.sample_rate)
        self._fine_window = _density_window(self._n_fine, format.sample_rate)
        self._rows = 0
        self._grid = Grid(format.channels, hop=FINE_FRAMES * self._n_fine, right=self.n_fft - self.hop_length)

    @property
    def received(self) -> int:
        """Samples taken so far."""
        return self._grid.received

    def push(self, block: Samples) -> Iterator[Patches]:
        """The patches that this block completes, in chunks."""
        for window in self._grid.push(block):
            yield self._measure(window)

    def flush(self) -> Iterator[Patches]:
        """The patches that are left at the end."""
        for window in self._grid.flush():
            if window.samples.shape[1] >= self.patch_length + self.n_fft - self.hop_length:
                yield self._measure(window)

    def _measure(self, window: Window) -> Patches:
        given = window.samples
        count = (given.shape[1] - self.n_fft + self.hop_length) // self.patch_length
        frames = np.lib.stride_tricks.sliding_window_view(given, self.n_fft, axis=1)
        frames = frames[:, :: self.hop_length][:, : count * PATCH_FRAMES]
        power = _power(frames * self._window).reshape(len(given), count, PATCH_FRAMES, -1)
        mean = power.mean(axis=2)
        mean_log = np.log(mean)
        mean_db = _DB * mean_log
        swing = _DB * (mean_log - np.log(power).mean(axis=2))
        shape = (len(given), count, len(self.bands))
        level, spread, peak = np.empty(shape), np.empty(shape), np.empty(shape)
        for k, (_, first, last) in enumerate(self.bands):
            level[..., k] = _median(mean_db[..., first:last]) + _MEDIAN_BIAS_DB
            spread[..., k] = swing[..., first:last].mean(axis=2)
            peak[..., k] = 10 * np.log10(mean[..., first:last].mean(axis=2)) - level[..., k]
        return Patches(level, spread, peak, *self._fine(given))

    def _fine(self, given: Samples) -> tuple[npt.NDArray[np.float32], Array]:
        count = min(given.shape[1] // self._n_fine, FINE_FRAMES)
        # too few frames are too coarse, but better than nothing
        if count < (1 if self._rows == 0 else FINE_FRAMES):
            shape = (len(given), 0)
            return np.empty((*shape, self._n_fine // 2 + 1), np.float32), np.empty(
                (*shape, len(self.fine_bands))
            )
        self._rows += 1
        frames = given[:, : count * self._n_fine].reshape(len(given), count, self._n_fine)
        power = _power(frames * self._fine_window)
        mean = power.mean(axis=1)
        swing = np.log(mean) - np.log(power).mean(axis=1)
        bands = [swing[:, first:last].mean(axis=1) for _, first, last in self.fine_bands]
        return mean[:, np.newaxis], np.stack(bands, axis=1)[:, np.newaxis].astype(np.float64)


def _density_window(n_fft: int, sample_rate: int) -> npt.NDArray[np.float32]:
    window = np.hanning(n_fft + 1)[:-1]
    return np.asarray(window * np.sqrt(2.0 / (sample_rate * np.sum(window**2))), np.float32)


def _power(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    spectra = fft.rfft(frames, axis=-1)
    return np.asarray(spectra.real**2 + spectra.imag**2 + np.float32(1e-20))


def _median(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Along the last axis; np.median takes several times as long for short rows."""
    half, odd = divmod(values.shape[-1], 2)
    ordered = np.sort(values, axis=-1)
    return np.asarray(ordered[..., half] if odd else (ordered[..., half] + ordered[..., half - 1]) / 2)


class FloorTracker:
    """The noise's power in every bin while a recording goes by, chunk after chunk.

    It begins with `start`, (channels, bins), and moves slowly and at most MAX_DRIFT_DB away
    from it, so that sound that lasts is not taken for noise.
    """

    MAX_DRIFT_DB = 4.0
    STEADY = 1.7  # what a smoothed cell of noise does not exceed, over the floor

    def __init__(self, start: Array, bands: Bands, pace: float) -> None:
        self._start, self._bands, self._pace = start, bands, pace
        self._places = np.array([(first + last) / 2 for _, first, last in bands])
        self._drift_db = np.zeros((len(start), len(bands)))

    def floor(self, smoothed: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The floor, (channels, bins), at a chunk whose powers, smoothed, are (channels, frames, bins)."""
        if not self._bands:
            return np.full(smoothed.shape[::2], 1e-20, np.float32)
        drift = [np.interp(np.arange(smoothed.shape[2]), self._places, row) for row in self._drift_db]
        floor = self._start * 10 ** (np.array(drift) / 10)
        over = smoothed / floor[:, np.newaxis].astype(np.float32)
        for k, (_, first, last) in enumerate(self._bands):
            for c, cells in enumerate(over[:, :, first:last]):
                steady = cells[cells < self.STEADY]
                if steady.size > cells.size // 8:
                    step = 10 * np.log10(max(float(np.median(steady)), 0.25)) + 0.1
                    self._drift_db[c, k] += self._pace * step
        np.clip(self._drift_db, -self.MAX_DRIFT_DB, self.MAX_DRIFT_DB, out=self._drift_db)
        return floor.astype(np.float32)
