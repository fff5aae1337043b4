"""The mean spectrum on both sides of a gap, and sound in between that is brought near to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

FRAME_S = 0.046
MEAN_S = 0.12  # of each side
ROUNDS, SHARE = 3, 0.5  # how often the magnitudes are moved, and how far each time, in the logarithm


def frame(rate: int) -> int:
    """Samples of a frame: a power of two."""
    return int(2 ** round(np.log2(FRAME_S * rate)))


def shaped(before: Floats, gap: Floats, after: Floats, rate: int) -> Floats:
    """(n,) between two sides, with magnitudes that glide from the mean of one side to that of the other.

    Phases stay those of `gap`; magnitudes and what overlapping frames make of them are brought
    together by turns (Griffin and Lim 1984, "Signal estimation from modified short-time Fourier
    transform"). Sides shorter than a frame change nothing.
    """
    size = frame(rate)
    hop = size // 4
    if min(len(before), len(after)) < size + hop:
        return gap
    mean = max(round(MEAN_S * rate), size)
    first, last = (np.abs(_spectra(side, size)).mean(axis=0) for side in (before[-mean:], after[:mean]))
    whole = np.concatenate((before[-size:], gap, after[: size + (-(size + len(gap))) % hop]))
    frames = (len(whole) - size) // hop + 1
    centre = np.arange(frames) * hop - size / 2
    place = np.clip(centre / len(gap), 0.0, 1.0)[:, np.newaxis]
    tiny = 1e-9 * max(float(first.max()), float(last.max()), 1e-9)
    wanted = np.exp((1 - place) * np.log(first + tiny) + place * np.log(last + tiny))
    # frames that reach out of the gap are moved less, for what is out there stays
    inside = np.clip(np.minimum(centre, len(gap) - centre) / size + 0.5, 0.0, 1.0)
    share = SHARE * inside[:, np.newaxis] ** 2
    for _ in range(ROUNDS):
        spectra = _spectra(whole, size)
        moved = _sum(spectra * (wanted / (np.abs(spectra) + tiny)) ** share, size, len(whole))
        whole[size : size + len(gap)] = moved[size : size + len(gap)]
    return whole[size : size + len(gap)]


def _window(size: int) -> Floats:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))


def _spectra(sound: Floats, size: int) -> Complexes:
    cut = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 4]
    return np.asarray(fft.rfft(cut * _window(size), axis=1))


def _sum(spectra: Complexes, size: int, length: int) -> Floats:
    window, hop = _window(size), size // 4
    out, weight = np.zeros(length), np.zeros(length)
    for k, part in enumerate(fft.irfft(spectra, size, axis=1) * window):
        out[k * hop : k * hop + size] += part
        weight[k * hop : k * hop + size] += window**2
    return out / np.maximum(weight, 1e-3)


def band_levels(sound: Floats, rate: int, bands: int = 24) -> Floats:
    """Levels of (n,) in dB, (frames, bands); bands of equal width in ERB (Glasberg and Moore 1990)."""
    size = frame(rate)
    padded = np.pad(sound, (0, max(size - len(sound), 0)))
    power = np.abs(_spectra(padded, size)) ** 2
    top = 21.4 * np.log10(1 + 0.00437 * min(rate / 2, 16_000.0))
    edges_hz = (10 ** (np.linspace(1.5, top, bands + 1) / 21.4) - 1) / 0.00437
    edges = np.maximum.accumulate(np.rint(edges_hz * size / rate).astype(int))
    edges = np.minimum(np.maximum(edges, np.arange(bands + 1)), power.shape[1] - 1)
    summed = np.add.reduceat(power, edges[:-1], axis=1)
    floor = 1e-7 * float(summed.max(initial=0.0)) + 1e-20
    return np.asarray(10 * np.log10(summed + floor))
