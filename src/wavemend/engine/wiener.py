"""The classical denoiser: Wiener gains in two passes, with the noise's floor known or followed.

The two-step idea is that of Plapous et al., "Improved signal-to-noise ratio estimation for
speech enhancement", IEEE TASLP 2006; the averaging over blocks that of Yu, Mallat and Bacry,
"Audio denoising by time-frequency block thresholding", IEEE TSP 2008.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import uniform_filter1d

from wavemend.core.blocks import Window
from wavemend.core.floors import FloorFinder
from wavemend.core.noise import FloorTracker, band_bins, shape_at
from wavemend.core.types import Format, Samples
from wavemend.engine.model import Model, weighed
from wavemend.engine.stream import Chunked

Powers = npt.NDArray[np.float32]

FRAMES_PER_CHUNK = 48
LONG_CHUNK = 96  # with a network, which looks farther around
WIDE = 4  # frames and bins to each side that decide whether anything but noise is there
OVERSUBTRACTION = 1.5
TRACKING_S = 6.0


class Wiener(Chunked):
    """Two-pass Wiener gains on half-overlapping square-root Hann frames of `n_fft` samples.

    `floors` is the density of the noise in dB at BANDS_HZ, (channels, bands), or None
    to find it along the way, from what came before. `smoothing` is how many neighbours to each side the
    averages take in. With a `model` that weighs, its gains take the place of the two passes.
    """

    def __init__(
        self,
        format: Format,
        floors: npt.NDArray[np.float64] | None,
        n_fft: int,
        floor_db: float,
        smoothing: int = 1,
        model: Model | None = None,
    ) -> None:
        self._hop = hop = n_fft // 2
        self._model = model
        self._context = model.card.lookahead_frames if model else max(WIDE, smoothing) + smoothing
        edge = (self._context + 1) * hop
        per_chunk = LONG_CHUNK if model else FRAMES_PER_CHUNK
        super().__init__(format, hop=per_chunk * hop, left=edge, right=edge)
        self._n_fft, self._least = n_fft, np.float32(10 ** (-floor_db / 20))
        self._window = np.sin(np.pi * np.arange(n_fft) / n_fft).astype(np.float32)
        binomial = np.array([1.0])
        for _ in range(2 * smoothing):
            binomial = np.convolve(binomial, (0.5, 0.5))
        self._kernel = binomial.astype(np.float32)
        self._bins_hz = np.fft.rfftfreq(n_fft, 1 / format.sample_rate)
        self._finder = FloorFinder(format) if floors is None else None
        if floors is not None:
            pace = 1 - np.exp(-self._grid.hop / format.sample_rate / TRACKING_S)
            bands = band_bins(format.sample_rate, n_fft)
            self._tracker = FloorTracker(self._powers(floors), bands, float(pace))

    def _powers(self, floors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Densities in dB at BANDS_HZ as power in every bin."""
        density = shape_at(floors, self._bins_hz)
        return np.asarray(10 ** (density / 10) * self.format.sample_rate * self._n_fft / 4 + 1e-20)

    def process(self, window: Window) -> Samples:
        hop, grid = self._hop, self._grid
        known = None
        if self._finder is not None:
            found = self._finder.push(window.chunk)
            if found is None:
                return window.chunk.copy()
            known = self._powers(found)
        count = -(-window.length // hop) + 1  # the frames that the chunk lies in
        total = count + 2 * self._context
        before = grid.left - window.lead
        after = (total + 1) * hop - before - window.samples.shape[1]
        given = np.pad(window.samples, ((0, 0), (before, max(after, 0))), mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(given, self._n_fft, axis=1)[:, ::hop][:, :total]
        spectra = fft.rfft(frames * self._window, axis=2)
        gain = self._gain(spectra.real**2 + spectra.imag**2 + np.float32(1e-20), known)
        kept = slice(self._context, self._context + count)
        sound = fft.irfft(spectra[:, kept] * gain[kept], self._n_fft, axis=2) * self._window
        halves = sound.reshape(len(given), count, 2, hop)
        out = halves[:, 1:, 0] + halves[:, :-1, 1]
        return np.ascontiguousarray(out.reshape(len(given), -1)[:, : window.length])

    def _gain(self, power: Powers, known: npt.NDArray[np.float64] | None) -> Powers:
        """One gain for all channels, (frames, bins), from powers (channels, frames, bins)."""
        wide = uniform_filter1d(power, 2 * WIDE + 1, axis=1, mode="nearest")
        wide = uniform_filter1d(wide, 2 * WIDE + 1, axis=2, mode="nearest")
        wide = np.maximum(wide, np.float32(1e-20))  # running sums leave rounding, also below 0
        floor = (self._tracker.floor(wide) if known is None else known.astype(np.float32))[:, np.newaxis]
        over = power / floor
        if self._model:
            return np.maximum(weighed(self._model, np.mean(over, axis=0)), self._least)
        near = self._average(over)
        sound = np.maximum(1 - OVERSUBTRACTION / near, 0)
        sound *= np.clip((wide / floor - 1.2) * 2, 0, 1)
        ratio = self._average(sound * sound * over).max(axis=0)
        gain: Powers = np.maximum(ratio / (1 + ratio), self._least)
        return gain

    def _average(self, cells: Powers) -> Powers:
        """Binomial means over frames and bins; beyond the edges the last ones go on."""
        reach = len(self._kernel) // 2
        for axis in (1, 2):
            pad = [(0, 0)] * 3
            pad[axis] = (reach, reach)
            padded = np.pad(cells, pad, mode="edge")
            length = cells.shape[axis]
            parts = [
                np.take(padded, range(k, k + length), axis=axis) * weight
                for k, weight in enumerate(self._kernel)
            ]
            cells = np.sum(parts, axis=0, dtype=np.float32)
        return cells
