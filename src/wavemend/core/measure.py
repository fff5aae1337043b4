"""What a recording measures, block by block, and how far two recordings are apart.

`Meter` for one recording, `compare` for two. Memory does not grow with their length, and
the figures do not depend on how the blocks are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Grid, Window
from wavemend.core.loudness import Loudness, TruePeak
from wavemend.core.types import Format, Samples
from wavemend.errors import InputError

Doubles = npt.NDArray[np.float64]

SILENCE_DB = -200.0  # what stands for the level of digital silence
EXACT_DB = 200.0  # what stands for the ratio of two signals that are the same
LEVEL_BINS = 2400  # 0.1 dB each, from SILENCE_DB up


def to_db(power: npt.ArrayLike) -> Doubles:
    """Power to dB; no less than SILENCE_DB."""
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10))))


class NoiseFloor:
    """The level of the quiet passages: the level that 5 % of all stretches of 50 ms stay below.

    Of each stretch the quietest channel counts, without its mean. Stretches of digital
    silence are left out, for they were made, not recorded. In dBFS: RMS, full scale is 1.
    """

    def __init__(self, format: Format) -> None:
        self._step = max(1, format.sample_rate // 20)
        self._count = np.zeros(LEVEL_BINS, np.int64)

    def take(self, chunk: Samples) -> None:
        """The next second, (channels, samples)."""
        pieces = chunk.shape[1] // self._step
        if pieces == 0:
            return
        cut = chunk[:, : pieces * self._step].reshape(len(chunk), pieces, self._step)
        mean = np.add.reduce(cut, axis=2, dtype=np.float32) / self._step
        power = np.einsum("cps,cps->cp", cut, cut) / self._step
        variance = (power - mean**2).astype(np.float64)
        offset = power <= 2 * mean**2  # too much of it for a difference
        if offset.any():
            variance[offset] = cut[offset].var(axis=1, dtype=np.float64)
        level = to_db(variance.min(axis=0))
        heard = level[level > -160.0]
        index = ((heard - SILENCE_DB) * 10).astype(int)
        np.add.at(self._count, np.minimum(index, LEVEL_BINS - 1), 1)

    def finish(self) -> float:
        """dBFS; SILENCE_DB where nothing was heard."""
        return percentile(self._count, 0.05) * 0.1 + SILENCE_DB if self._count.any() else SILENCE_DB


def percentile(counts: npt.NDArray[np.int64], share: float) -> float:
    """The bin of a histogram that `share` of the counts lie below, interpolated within it."""
    below = np.cumsum(counts)
    want = share * int(below[-1])
    index = int(np.searchsorted(below, want, side="left"))
    return index + (want - int(below[index] - counts[index])) / max(int(counts[index]), 1)


class Bandwidth:
    """Where the sound ends: the highest band of 200 Hz whose level moves with the sound.

    In every band the loud moments (95th percentile of 10 spectra a second) are set against
    the quiet ones (20th): steady noise stays within 7 dB, and a band counts where they are
    10 dB apart and the loud ones no more than 80 dB below the loudest band. In a recording
    without any movement the level alone decides. Bands of the loudest channel count.
    """

    BAND_HZ = 200.0

    def __init__(self, format: Format) -> None:
        rate = format.sample_rate
        self._rate = rate
        self._n_fft = 2 ** max(6, round(np.log2(rate / 23.4)))
        self._hann = np.hanning(self._n_fft + 1)[:-1].astype(np.float32)
        bands = max(4, round(rate / 2 / self.BAND_HZ))
        self._edges = np.unique(1 + np.arange(bands) * (self._n_fft // 2) // bands)
        self._count = np.zeros((len(self._edges), 210), np.int64)

    def take(self, chunk: Samples) -> None:
        """The next second, (channels, samples); only the last may be shorter."""
        length = chunk.shape[1]
        if length < self._n_fft:
            if self._count.any() or not length:
                return
            chunk = np.pad(chunk, ((0, 0), (0, self._n_fft - length)))
        count = max(1, round(10 * length / self._rate))
        starts = np.linspace(0, chunk.shape[1] - self._n_fft, count).astype(int)
        frames = np.lib.stride_tricks.sliding_window_view(chunk, self._n_fft, axis=1)[:, starts]
        spectra = fft.rfft(frames * self._hann, axis=2)
        power = (spectra.real**2 + spectra.imag**2).max(axis=0)
        level = to_db(np.add.reduceat(power, self._edges, axis=1) / self._n_fft**2)
        index = np.clip(level - SILENCE_DB, 0, 209).astype(int)
        np.add.at(self._count, (np.arange(len(self._edges)), index), 1)

    def finish(self) -> float:
        """Hz; 0 for silence."""
        if not self._count.any():
            return 0.0
        below = np.cumsum(self._count, axis=1)
        loud = (below < 0.95 * below[:, -1:]).sum(axis=1)
        quiet = (below < 0.2 * below[:, -1:]).sum(axis=1)
        heard = (loud > 50) & (loud >= loud.max() - 80)
        moving = heard & (loud - quiet >= 10)
        last = np.flatnonzero(moving if moving.any() else heard & (loud >= loud.max() - 60))
        if not len(last):
            return 0.0
        tops = np.append(self._edges[1:], self._n_fft // 2)
        return float(tops[last[-1]] * self._rate / self._n_fft)


class Meter:
    """All figures of one recording; `finish` gives them by name.

    loudness_lufs, loudness_range_lu   EBU R 128; silence is -70
    true_peak_dbtp, sample_peak_dbfs   BS.1770-4 annex 2; silence is -200
    noise_floor_dbfs                   level of the quiet passages, see NoiseFloor
    bandwidth_hz                       where the sound ends, see Bandwidth
    """

    def __init__(self, format: Format) -> None:
        self._grid = Grid(format.channels, format.sample_rate, left=TruePeak.HALF, right=TruePeak.HALF)
        self._loudness, self._true_peak = Loudness(format), TruePeak(format)
        self._noise_floor, self._bandwidth = NoiseFloor(format), Bandwidth(format)
        self._peak = 0.0

    def push(self, block: Samples) -> None:
        """The next samples, (channels, samples), cut anywhere."""
        for window in self._grid.push(block):
            self._take(window)

    def _take(self, window: Window) -> None:
        chunk = window.chunk
        self._peak = max(self._peak, float(chunk.max()), -float(chunk.min()))
        self._loudness.take(chunk)
        self._true_peak.take(window.samples, window.lead, window.length)
        self._noise_floor.take(chunk)
        self._bandwidth.take(chunk)

    def finish(self) -> dict[str, float]:
        """The figures; called once, after the last block."""
        for window in self._grid.flush():
            self._take(window)
        loudness, loudness_range = self._loudness.finish()
        figures = {
            "loudness_lufs": loudness,
            "loudness_range_lu": loudness_range,
            "true_peak_dbtp": float(to_db(self._true_peak.peak**2)),
            "sample_peak_dbfs": float(to_db(self._peak**2)),
            "noise_floor_dbfs": self._noise_floor.finish(),
            "bandwidth_hz": self._bandwidth.finish(),
        }
        return {name: round(value, 3) for name, value in figures.items()}


def measure(samples: Samples, format: Format) -> dict[str, float]:
    """The figures of `Meter` for an array, (channels, samples)."""
    meter = Meter(format)
    for block in Held(samples, format).blocks(1 << 16):
        meter.push(block)
    return meter.finish()


class Readable(Protocol):
    """A recording that can be read in blocks, more than once; `samples` is its length."""

    @property
    def format(self) -> Format: ...

    @property
    def samples(self) -> int: ...

    def blocks(self, size: int) -> Iterator[Samples]:
        """All samples in order, (channels, size); only the last block may be shorter."""


@dataclass(frozen=True, eq=False)
class Held:
    """An array, (channels, samples), in the shape that `compare` reads."""

    sound: Samples
    format: Format

    @property
    def samples(self) -> int:
        return int(self.sound.shape[1])

    def blocks(self, size: int) -> Iterator[Samples]:
        """Views of the array."""
        for start in range(0, self.samples, size):
            yield self.sound[:, start : start + size]


class Distance:
    """How far a recording is from its reference, over all channels together; `finish` gives it by name.

    sdr_db           energy of the reference over that of the difference
    si_sdr_db        the same after the best common gain (Le Roux et al. 2019), means included
    lsd_db           log-spectral distance: root mean square over the bins of the difference of
                     levels in dB, mean over frames and channels; periodic Hann windows of 2048
                     samples every 512, levels floored at -100 dB below a full-scale sine. A
                     tenth of it is the figure that papers give which use log10 of power.
    changed_samples, changed_share    values that are not equal, of all channels
    max_difference_db                 the largest difference, full scale is 0 dB
    lag_samples      how much later than the reference it is, by cross-correlation of the
                     five seconds that are loudest in the reference
    Of recordings that are the same the ratios are EXACT_DB and the difference SILENCE_DB.
    """

    N_FFT, HOP, FRAMES = 2048, 512, 64

    def __init__(self, format: Format) -> None:
        self._channels = format.channels
        self._frames = Grid(2 * format.channels, self.HOP * self.FRAMES, right=self.N_FFT - self.HOP)
        self._spans = Grid(2 * format.channels, 5 * format.sample_rate)
        self._hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.N_FFT) / self.N_FFT)).astype(np.float32)
        self._floor = 1e-10 * (self.N_FFT / 4) ** 2
        self._products = np.zeros(3)
        self._distances, self._count = 0.0, 0
        self._changed, self._samples, self._largest = 0, 0, 0.0
        self._loudest: tuple[float, Samples] = (-1.0, np.zeros((2 * format.channels, 0), np.float32))

    def push(self, reference: Samples, other: Samples) -> None:
        """The next samples of both, equally many."""
        pair = np.concatenate((reference, other))
        for window in self._frames.push(pair):
            self._take(window)
        for window in self._spans.push(pair):
            self._keep(window.chunk)

    def _take(self, window: Window) -> None:
        n, chunk = self._channels, window.chunk.astype(np.float64)
        reference, error = chunk[:n], chunk[n:] - chunk[:n]
        self._products += (
            np.vdot(reference, reference),
            np.vdot(reference, error),
            np.vdot(error, error),
        )
        self._samples += error.size
        changed = int(np.count_nonzero(error))
        self._changed += changed
        frames = max(0, window.samples.shape[1] - self.N_FFT + self.HOP) // self.HOP
        frames = min(frames, self.FRAMES)
        self._count += frames * n
        if changed:
            self._largest = max(self._largest, float(np.abs(error).max()))
        if frames and not np.array_equal(window.samples[:n], window.samples[n:]):
            cut = np.lib.stride_tricks.sliding_window_view(window.samples, self.N_FFT, axis=1)
            spectra = fft.rfft(cut[:, :: self.HOP][:, :frames] * self._hann, axis=2)
            power = np.maximum(spectra.real**2 + spectra.imag**2, self._floor)
            level = np.log10(power[n:] / power[:n])
            self._distances += 10 * float(np.sqrt(np.square(level).mean(axis=2, dtype=np.float64)).sum())

    def _keep(self, chunk: Samples) -> None:
        energy = float(np.square(chunk[: self._channels]).sum())
        if energy > self._loudest[0]:
            self._loudest = (energy, chunk.copy())

    def finish(self) -> dict[str, float]:
        """The figures; called once, after the last block."""
        for window in self._frames.flush():
            self._take(window)
        if self._loudest[0] <= 0.0:
            for window in self._spans.flush():
                self._keep(window.chunk)
        rr, re, ee = self._products.tolist()
        scaled = re * re / rr if rr > 0 else 0.0
        wanted = rr + 2 * re + scaled  # energy of the reference at the best gain
        return {
            "si_sdr_db": _ratio_db(wanted, ee - scaled),
            "sdr_db": _ratio_db(rr, ee),
            "lsd_db": round(self._distances / max(self._count, 1), 4),
            "changed_samples": self._changed,
            "changed_share": self._changed / max(self._samples, 1),
            "max_difference_db": round(float(to_db(self._largest**2)), 3),
            "lag_samples": lag(self._loudest[1][: self._channels], self._loudest[1][self._channels :]),
        }


def _ratio_db(wanted: float, error: float) -> float:
    if error <= 0.0:
        return EXACT_DB
    return round(float(np.clip(to_db(wanted) - to_db(error), -EXACT_DB, EXACT_DB)), 3)


def lag(reference: Samples, other: Samples) -> int:
    """By how many samples `other` is later than `reference`, (channels, samples) both; 0 for silence."""
    length = reference.shape[1]
    if not length or not reference.any() or not other.any():
        return 0
    size = fft.next_fast_len(2 * length, real=True)
    spectrum = fft.rfft(reference, size, axis=1).conj() * fft.rfft(other, size, axis=1)
    place = int(np.argmax(np.abs(fft.irfft(spectrum.sum(axis=0), size))))
    return place if place <= size // 2 else place - size


def compare(reference: Readable, other: Readable, block: int = 1 << 16) -> dict[str, float]:
    """The figures of `Distance`, those of `Meter` for `other`, and for the reference as "reference_...".

    Where the lengths differ, the common length is compared, and "longer_samples" says by
    how much `other` is longer. Raises InputError where rates or channels differ.
    """
    if reference.format != other.format:
        a, b = reference.format, other.format
        raise InputError(
            f"the reference has {a.channels} channels at {a.sample_rate} Hz, the file {b.channels} at "
            f"{b.sample_rate} Hz; convert one of them first"
        )
    distance, meters = Distance(other.format), (Meter(other.format), Meter(other.format))
    for pair in _together(reference.blocks(block), other.blocks(block), other.format.channels):
        for meter, part in zip(meters, pair, strict=True):
            meter.push(part)
        common = min(pair[0].shape[1], pair[1].shape[1])
        if common:
            distance.push(pair[0][:, :common], pair[1][:, :common])
    figures = {f"reference_{name}": value for name, value in meters[0].finish().items()}
    return {
        **distance.finish(),
        "longer_samples": other.samples - reference.samples,
        **meters[1].finish(),
        **figures,
    }


def _together(
    first: Iterator[Samples], second: Iterator[Samples], channels: int
) -> Iterator[tuple[Samples, Samples]]:
    """Blocks of both until both have ended; empty ones for that which ended first."""
    none = np.zeros((channels, 0), np.float32)
    while True:
        pair = next(first, none), next(second, none)
        if not pair[0].shape[1] and not pair[1].shape[1]:
            return
        yield pair
