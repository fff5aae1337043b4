"""Damped oscillations added to a sound: which one explains its prediction error best.

What is fitted is c z^n, n = 0, 1, ..., by separable least squares (Golub and Pereyra 1973): for each
z the amplitude c follows, and a change of log z is, to first order, a new term n z^n.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from scipy import fft

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

STARTS = 2  # of the coarse set, from which the search goes on
TOGETHER, STEPS = 3, 11  # steps that all of them take, and that the best one takes at most
CLOSE = 1e-4  # a relative change of z that is followed by none worth a step
COARSE_SHARE = 0.6  # of the error's energy: where all of them explain less, no better one is searched
COARSE_MS = 3.0  # of the error, for the coarse set
DECAYS_MS = (0.04, 0.09, 0.2, 0.45, 1.0)
SLOWEST_MS, FASTEST = 2.0, 0.5  # decays that are looked for: milliseconds, samples
RIDGE = 1e-10


@dataclass(frozen=True, slots=True)
class Ring:
    """The oscillation Re(c z^n), (count,) samples of it; `explained` is the share of the error's energy."""

    z: complex
    c: complex
    count: int
    explained: float

    def sound(self, count: int = 0) -> Floats:
        """Its first samples, (count,), or all."""
        return np.asarray(np.real(self.c * self.z ** np.arange(count or self.count)))

    def envelope(self, count: int) -> Floats:
        """Its amplitude at the first samples, (count,)."""
        return np.asarray(abs(self.c) * abs(self.z) ** np.arange(count))

    @property
    def fades(self) -> int:
        """Samples after which a thousandth is left."""
        return int(np.ceil(-7.0 / np.log(abs(self.z))))


def fit(error: Floats, a: Floats, count: int, rate: int, near: complex = 0j, ends: bool = False) -> Ring:
    """The oscillation of the first `count` samples of (n,) that explains the prediction error best.

    With `ends`, it ends at once after them (and n is to be count + p, or less where the recording
    ends); without, it may go on, and only `count` errors are looked at. The search
    starts from z = `near`, or from the best of a coarse set.
    """
    order = len(a) - 1
    known = error[: count + order] if ends else error[:count]
    padded = np.zeros(count + order)
    padded[: len(known)] = known
    back = np.correlate(padded, a, "valid")
    if near:
        log_z = np.log(np.array([near]))
    else:
        log_z, share = _coarse(known[:count], a, rate)
        if share < COARSE_SHARE:
            return Ring(complex(np.exp(log_z[0])), 0j, count, share)
    return _refine(log_z, back, _gram(a, count, ends), float(known @ known), rate)


def _gram(a: Floats, count: int, ends: bool) -> Floats:
    """Inner products of what a change of each of `count` samples does to the errors, (count, count)."""
    order = len(a) - 1
    lags = np.zeros(2 * count - 1)
    own = np.convolve(a, a[::-1])[order:][:count]
    lags[count - 1 : count - 1 + len(own)] = own
    lags[count - len(own) : count] = own[::-1]
    step = lags.strides[0]
    gram = as_strided(lags[count - 1 :], (count, count), (-step, step)).copy()
    if not ends:
        last = min(order, count)
        later = np.zeros(2 * order)
        later[:order] = a[1:]
        step = later.strides[0]
        beyond = as_strided(later[last - 1 :], (order, last), (step, -step))
        gram[-last:, -last:] -= beyond.T @ beyond
    return gram


def _refine(log_z: Complexes, back: Floats, gram: Floats, energy: float, rate: int) -> Ring:
    """Gauss-Newton steps from each log z, (starts,), then from the best alone."""
    n = np.arange(len(back))
    slow = -1000 / (SLOWEST_MS * rate)
    best, found, amplitude = np.full(len(log_z), -np.inf), log_z, np.zeros(len(log_z), complex)
    change = np.ones(len(log_z), complex)
    terms = np.empty((len(log_z), 4, len(back)))
    for step in range(STEPS):
        if step == TOGETHER and len(log_z) > 1:
            first = [int(np.argmax(best))]
            best, found, amplitude, change = best[first], found[first], amplitude[first], change[first]
            log_z, terms = log_z[first], terms[first]
        powers = np.exp(log_z[:, np.newaxis] * n)
        terms[:, 0], terms[:, 2] = powers.real, -powers.imag
        terms[:, 1::2] = n * terms[:, ::2]
        products = (terms.reshape(-1, len(back)) @ gram).reshape(terms.shape) @ np.swapaxes(terms, 1, 2)
        target = terms @ back
        products[:, range(4), range(4)] *= 1 + RIDGE
        x = np.linalg.solve(products, target[..., np.newaxis])[..., 0]
        u, v, s, t, w = target[:, 0], target[:, 2], products[:, 0, 0], products[:, 2, 2], products[:, 0, 2]
        det = s * t - w * w
        c = (t * u - w * v) / det + 1j * (s * v - w * u) / det
        explained = c.real * u + c.imag * v
        better = explained > best
        best, found = np.where(better, explained, best), np.where(better, log_z, found)
        amplitude = np.where(better, c, amplitude)
        if np.max(np.abs(change)) < CLOSE:
            break
        ahead = (x[:, 1] + 1j * x[:, 3]) / (x[:, 0] + 1j * x[:, 2] + 1e-300)
        ahead *= np.minimum(1.0, 0.4 / np.maximum(np.abs(ahead), 1e-12))
        change = np.where(better, ahead, change / 3)
        log_z = found + change
        log_z.real = np.minimum(np.maximum(log_z.real, -1 / FASTEST), slow)
        log_z.imag = np.minimum(np.maximum(log_z.imag, 1e-3), np.pi - 1e-3)
    i = int(np.argmax(best))
    return Ring(
        complex(np.exp(found[i])), complex(amplitude[i]), len(back), float(best[i]) / max(energy, 1e-300)
    )


def _coarse(error: Floats, a: Floats, rate: int) -> tuple[Complexes, float]:
    """log z of those of a fixed set that explain more than their neighbours; the best one's share."""
    log_z, spectra, reach = _set(rate, 32 * (len(a) // 32 + 1))
    n_fft = spectra.shape[-1]
    error = error[:reach]
    heard = fft.ifft(spectra * fft.fft(a, n_fft))[..., : len(error)]
    q, cross = heard @ error, (heard * heard).sum(axis=-1)
    power = (heard.real**2 + heard.imag**2).sum(axis=-1)
    s, t, w = (power + cross.real) / 2, (power - cross.real) / 2, cross.imag / 2
    det = np.maximum(s * t - w * w, 1e-9 * s * t)
    explained = (q.real**2 * t - 2 * q.real * q.imag * w + q.imag**2 * s) / det
    around = np.pad(explained, 1)
    beside = np.maximum.reduce([around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]])
    peaks = np.where(explained >= beside, explained, -1).ravel()
    chosen = np.argsort(-peaks, kind="stable")[:STARTS]
    return log_z.ravel()[chosen], float(peaks[chosen[0]]) / max(float(error @ error), 1e-300)


@lru_cache(maxsize=8)
def _set(rate: int, order: int) -> tuple[Complexes, Complexes, int]:
    """log z (pitches, decays), spectra of z^n (pitches, decays, bins), and how many samples these have."""
    reach = round(COARSE_MS / 1000 * rate)
    decays = np.array(DECAYS_MS) * rate / 1000
    pitches = [80.0]
    while pitches[-1] < min(0.43 * rate, 12_000):
        pitches.append(pitches[-1] + max(120.0, 0.1 * pitches[-1]))
    log_z = -1 / decays[decays > FASTEST] + 2j * np.pi * np.array(pitches)[:, np.newaxis] / rate
    powers = np.exp(log_z[..., np.newaxis] * np.arange(reach))
    return log_z, fft.fft(powers, fft.next_fast_len(reach + order)), reach


def end(ring: Ring, error: Floats, a: Floats, longest: int, proof: float) -> int:
    """After how many samples the oscillation stops at once, if that leaves less error by `proof`.

    `longest`, where it rather fades away.
    """
    back = np.correlate(error, a, "valid")
    lags = np.convolve(a, a[::-1])[len(a) - 1 :]
    sound = ring.sound(min(longest, len(back)))
    before = np.convolve(sound, lags)[: len(sound)] - lags[0] * sound
    gain = np.cumsum(sound * (2 * back[: len(sound)] - 2 * before - lags[0] * sound))
    best = int(np.argmax(gain))
    return best + 1 if gain[best] - gain[-1] > proof else len(sound)
