"""Sound put together from few time-frequency cells: what is missing follows from what is there.

Fill-in of samples of which only bounds are known, by iterated shrinkage of Gabor
coefficients with persistence in time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import fft

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


FIRST, LAST = 0.1, 1e-4  # thresholds, relative to the largest coefficient
MOMENTUM = (0.985, 0.94)  # at the first step and the last, at most
MEMORY = (3.0, 8.0)  # steps that remember, as a divisor of all: with few steps momentum must be less


class Gabor:
    """A tight Gabor frame on (samples,): Hann windows that overlap by half, energy kept.

    `synthesis(analysis(x))` is x to rounding.
    """

    def __init__(self, samples: int, n_fft: int) -> None:
        self.samples, self.n_fft, self.hop = samples, n_fft, n_fft // 2
        self.frames = -(-samples // self.hop) + 1
        # the square root of Hann sums to 1 in its squares at half overlap
        self._window = np.sin(np.pi * (np.arange(n_fft) + 0.5) / n_fft).astype(np.float32)
        self._padded = np.zeros((self.frames + 1) * self.hop, np.float32)
        self._cut = np.empty((self.frames, n_fft), np.float32)

    def analysis(self, x: Floats) -> npt.NDArray[np.complex64]:
        """Coefficients, (frames, bins)."""
        hop = self.hop
        self._padded[hop : hop + self.samples] = x
        halves = self._padded.reshape(-1, hop)
        np.multiply(halves[:-1], self._window[:hop], out=self._cut[:, :hop])
        np.multiply(halves[1:], self._window[hop:], out=self._cut[:, hop:])
        spectra: npt.NDArray[np.complex64] = fft.rfft(self._cut, axis=1, norm="ortho")
        return spectra

    def synthesis(self, coefficients: npt.NDArray[np.complex64]) -> Floats:
        """The sound, (samples,)."""
        hop = self.hop
        frames = fft.irfft(coefficients, self.n_fft, axis=1, norm="ortho", overwrite_x=True)
        frames *= self._window
        frames[1:, :hop] += frames[:-1, hop:]
        sound: Floats = frames[:, :hop].reshape(-1)[hop:]
        return np.concatenate((sound, frames[-1, hop:]))[: self.samples]


def extend(
    x: Floats, low: Floats, high: Floats, resolutions: Sequence[tuple[int, int]], iterations: int
) -> Floats:
    """(samples,) between the bounds `low` and `high`, as sparse as can be; where they are equal, that value.

    Persistent empirical Wiener shrinkage (Siedenburg, Kowalski and Dörfler 2014, "Audio
    declipping with social sparsity"): a cell is weighed by the energy of its neighbours in
    time, against a threshold that falls exponentially, so that strong partials settle
    first. Each step is projected onto the bounds, with momentum. The steps take turns between
    the `resolutions`, (n_fft, frames before and after that count as neighbours): a long
    window for tones, a short one for onsets and voices.
    """
    frames = [(Gabor(len(x), n_fft), reach) for n_fft, reach in resolutions]
    loudest = [float(np.abs(gabor.analysis(x)).max()) for gabor, _ in frames]
    momenta = [
        min(most, max(1 - share / iterations, 0.0)) for most, share in zip(MOMENTUM, MEMORY, strict=True)
    ]
    now = before = x
    for step in range(iterations):
        done = step / max(iterations - 1, 1)
        gabor, reach = frames[step % len(frames)]
        momentum = np.float32(momenta[0] + (momenta[1] - momenta[0]) * done)
        cells = gabor.analysis(now + momentum * (now - before))
        weight = _over_frames(cells.real**2 + cells.imag**2, reach)
        threshold = loudest[step % len(frames)] * FIRST * (LAST / FIRST) ** done
        np.maximum(weight, 1e-30, out=weight)
        np.divide(np.float32(-(threshold**2) * (2 * reach + 1)), weight, out=weight)
        weight += 1
        np.maximum(weight, 0, out=weight)
        cells *= weight
        before, now = now, np.clip(gabor.synthesis(cells), low, high)
    return now


def _over_frames(energy: Floats, reach: int) -> Floats:
    """The sum over `reach` frames before and after each."""
    total = energy.copy()
    for k in range(1, reach + 1):
        total[k:] += energy[:-k]
        total[:-k] += energy[k:]
    return total
