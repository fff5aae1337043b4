"""Sound put together from few time-frequency cells: what is missing follows from what is there.

Fill-in of samples of which only bounds are known, by iterated shrinkage of Gabor
coefficients with persistence in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


FIRST, LAST = 0.03, 3e-5  # thresholds, relative to the largest coefficient; a dictionary may end higher
MOMENTUM = (0.985, 0.94)  # at the first step and the last, at most
MEMORY = (3.0, 8.0)  # steps that remember, as a divisor of all: with few steps momentum must be less
TURN = 0.618  # of a hop: how far the frames move at each step, so that no place lies always at their edges


@dataclass(frozen=True)
class Dictionary:
    """Resolutions that take turns, each (n_fft, frames before and after a cell that count as its neighbours).

    `roots` says how large cells are held: 0 shrinks a cell of energy E by the share u = threshold² / E
    (a logarithmic penalty), k >= 1 by u^(1 - 2^-k), which keeps large cells, and peaks with them, lower.
    `last` is the threshold of the last step, relative to the loudest cell, above 0 and below 0.03.
    """

    resolutions: Sequence[tuple[int, int]]
    roots: int = 0
    last: float = LAST


class Gabor:
    """A tight Gabor frame on (samples,): Hann windows that overlap by half, energy kept.

    `synthesis(analysis(x))` is x to rounding, wherever the grid is moved to.
    """

    def __init__(self, samples: int, n_fft: int) -> None:
        self.samples, self.n_fft, self.hop = samples, n_fft, n_fft // 2
        self.frames = -(-samples // self.hop) + 2
        # the square root of Hann sums to 1 in its squares at half overlap
        self._window = np.sin(np.pi * (np.arange(n_fft) + 0.5) / n_fft).astype(np.float32)
        self._padded = np.zeros((self.frames + 1) * self.hop, np.float32)
        self._cut = np.empty((self.frames, n_fft), np.float32)
        self._start = self.hop

    def move(self, by: int) -> None:
        """Put the grid `by` samples, modulo the hop, before where it lay at first."""
        self._padded[self._start : self._start + self.samples] = 0
        self._start = self.hop + by % self.hop

    def analysis(self, x: Floats) -> npt.NDArray[np.complex64]:
        """Coefficients, (frames, bins)."""
        hop = self.hop
        self._padded[self._start : self._start + self.samples] = x
        halves = self._padded.reshape(-1, hop)
        np.multiply(halves[:-1], self._window[:hop], out=self._cut[:, :hop])
        np.multiply(halves[1:], self._window[hop:], out=self._cut[:, hop:])
        spectra: npt.NDArray[np.complex64] = fft.rfft(self._cut, axis=1, norm="ortho")
        return spectra

    def synthesis(self, coefficients: npt.NDArray[np.complex64]) -> Floats:
        """The sound, (samples,). The coefficients are overwritten."""
        hop = self.hop
        frames = fft.irfft(coefficients, self.n_fft, axis=1, norm="ortho", overwrite_x=True)
        frames *= self._window
        frames[1:, :hop] += frames[:-1, hop:]
        sound: Floats = frames[:, :hop].reshape(-1)
        return sound[self._start : self._start + self.samples]


def agree(
    x: Floats, low: Floats, high: Floats, dictionaries: Sequence[Dictionary], iterations: int
) -> Floats:
    """The mean of what `extend` finds with each dictionary, (samples,), within the same bounds.

    Where much is missing each ends in another local optimum; in part their errors cancel.
    """
    total = np.zeros_like(x)
    for dictionary in dictionaries:
        total += extend(x, low, high, dictionary, iterations)
    mean: Floats = np.clip(total / np.float32(len(dictionaries)), low, high)
    return mean


def extend(x: Floats, low: Floats, high: Floats, dictionary: Dictionary, iterations: int) -> Floats:
    """(samples,) between the bounds `low` and `high`, as sparse as can be; where they are equal, that value.

    Persistent empirical Wiener shrinkage (Siedenburg, Kowalski and Dörfler 2014, "Audio
    declipping with social sparsity"): a cell is weighed by the energy of its neighbours in
    time and frequency, against a threshold that falls exponentially, so that strong partials
    settle first. Each step is projected onto the bounds, with momentum. The steps take turns
    between its resolutions: a long window for tones, a short one for onsets and voices; and
    each moves the frames, which does what a finer grid would.
    """
    frames = [(Gabor(len(x), n_fft), reach) for n_fft, reach in dictionary.resolutions]
    loudest = [float(np.abs(gabor.analysis(x)).max()) for gabor, _ in frames]
    momenta = [
        min(most, max(1 - share / iterations, 0.0)) for most, share in zip(MOMENTUM, MEMORY, strict=True)
    ]
    now = before = x
    for step in range(iterations):
        done = step / max(iterations - 1, 1)
        gabor, reach = frames[step % len(frames)]
        gabor.move(int(step * TURN * gabor.hop))
        momentum = np.float32(momenta[0] + (momenta[1] - momenta[0]) * done)
        cells = gabor.analysis(now + momentum * (now - before))
        threshold = loudest[step % len(frames)] * FIRST * (dictionary.last / FIRST) ** done
        cells *= _shrinkage(cells, reach, threshold, dictionary.roots)
        before, now = now, np.clip(gabor.synthesis(cells), low, high)
    return now


def concentration(x: Floats, n_fft: int) -> float:
    """How few cells of windows of `n_fft` hold the sound (samples,): l1 over l2 norm, from near 0 to 1.

    Small where it is sparse; 0 for silence.
    """
    size = np.abs(Gabor(len(x), n_fft).analysis(x))
    energy = float(np.vdot(size, size))
    return float(size.sum()) / (energy * size.size) ** 0.5 if energy else 0.0


def _shrinkage(cells: npt.NDArray[np.complex64], reach: int, threshold: float, roots: int) -> Floats:
    """What is kept of each cell, from 0 to 1."""
    weight = np.square(cells.real)
    weight += np.square(cells.imag)
    weight = _around(weight, reach)
    np.maximum(weight, 1e-30, out=weight)
    np.divide(np.float32(threshold**2 * (2 * reach + 1) * 3), weight, out=weight)
    np.minimum(weight, 1, out=weight)
    if roots:  # repeated square roots cost a tenth of a power
        root = weight
        for _ in range(roots):
            root = np.sqrt(root)
        np.maximum(root, 1e-9, out=root)
        weight /= root
    kept: Floats = np.subtract(1, weight, out=weight)
    return kept


def _around(energy: Floats, reach: int) -> Floats:
    """The sum over `reach` frames before and after each, and one bin below and above."""
    total = energy.copy()
    for k in range(1, reach + 1):
        total[k:] += energy[:-k]
        total[:-k] += energy[k:]
    across = total.copy()
    across[:, 1:] += total[:, :-1]
    across[:, :-1] += total[:, 1:]
    return across
