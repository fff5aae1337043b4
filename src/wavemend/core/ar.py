"""Autoregressive models of sound: fitted, run as filters, and used to fill what is missing.

A model of order p is `a`, (..., p + 1) with a[0] = 1; the residual of a sound x is
e[n] = sum over k of a[k] x[n - k]. Everything is vectorised over leading axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from scipy import fft, linalg, signal

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

NOTHING = 1e-12  # of the power: what is smaller is rounding
DENSE_UP_TO = 64  # longer gaps in one piece are solved by Levinson's recursion


def autocorrelation(frames: Reals, order: int) -> Reals:
    """Autocorrelation of (..., n) at lags 0 to `order`, as (..., order + 1); outside, zeros are taken.

    Rows of samples against themselves and their successors, summed along the
    diagonals: products of matrices, in the precision of the input.
    """
    width = order + 1
    rows, pairs = _rows(frames, width)
    products = np.swapaxes(rows, -1, -2) @ pairs
    down, along = products.strides[-2:]
    diagonals = as_strided(
        products, (*products.shape[:-2], width, width), (*products.strides[:-2], down + along, along)
    )
    lags: Reals = diagonals.sum(axis=-2)
    return lags


def residual(frames: Reals, a: Reals) -> Reals:
    """The residual of (..., n) under models (..., p + 1): (..., n - p), beginning with sample p."""
    width = a.shape[-1]
    _, pairs = _rows(frames, width, lead=1)
    spread = np.zeros((*a.shape[:-1], 3 * width), frames.dtype)
    spread[..., width - 1 : 2 * width - 1] = a
    step = spread.strides[-1]
    toeplitz = as_strided(
        spread[..., 2 * width - 1 :],
        (*a.shape[:-1], 2 * width, width),
        (*spread.strides[:-1], -step, step),
    )
    out = pairs @ toeplitz
    flat: Reals = out.reshape(*out.shape[:-2], -1)[..., : max(frames.shape[-1] - width + 1, 0)]
    return flat


def _rows(frames: Reals, width: int, lead: int = 0) -> tuple[Reals, Reals]:
    """Rows of `width` samples, and each with its successor, after `lead` zeros; zeros fill up the end."""
    count = frames.shape[-1] + lead
    rows = np.zeros((*frames.shape[:-1], (-(-count // width) + 1) * width), frames.dtype)
    rows[..., lead:count] = frames
    rows = rows.reshape(*frames.shape[:-1], -1, width)
    return rows[..., :-1, :], np.concatenate((rows[..., :-1, :], rows[..., 1:, :]), axis=-1)


def levinson(lags: Reals) -> tuple[Floats, Floats]:
    """Models (..., p + 1) and their error powers (...) from autocorrelations (..., p + 1).

    The Levinson-Durbin recursion. Silence (lag 0 is 0) gives the model that predicts nothing.
    """
    r = np.asarray(lags, np.float64)
    a = np.zeros_like(r)
    a[..., 0] = 1.0
    error = r[..., 0].copy()
    tiny = np.maximum(r[..., 0] * 1e-12, 1e-300)
    for k in range(1, r.shape[-1]):
        gain = np.einsum("...k,...k->...", a[..., :k], r[..., k:0:-1]) / -np.maximum(error, tiny)
        a[..., 1 : k + 1] = a[..., 1 : k + 1] + gain[..., np.newaxis] * a[..., k - 1 :: -1]
        error = error * (1.0 - gain**2)
    return a, error


def fill(sound: Floats, missing: Mask, a: Floats) -> Floats:
    """(n,) with the samples under `missing` replaced by those that make the residual smallest.

    Least squares under one model (p + 1,), over all residuals that touch a missing
    sample (Janssen, Veldhuis and Vries 1986, "Adaptive interpolation of discrete-time
    signals"). Outside the array, zeros are taken; give at least p known samples around.
    """
    gap = np.flatnonzero(missing)
    if not gap.size:
        return sound
    first, last, order = int(gap[0]), int(gap[-1]), len(a) - 1
    known = np.where(missing, 0.0, sound)[max(first - order, 0) : last + order + 1]
    lead = first - max(first - order, 0)
    whitened = np.convolve(known, a)
    toward = np.convolve(whitened, a[::-1])[order + gap - first + lead]
    lags = np.zeros(max(last - first + 1, order + 1))
    lags[: order + 1] = np.convolve(a, a[::-1])[order:]
    lags[0] *= 1.0 + 1e-12
    if last - first + 1 == len(gap) > DENSE_UP_TO:
        values = linalg.solve_toeplitz(lags[: len(gap)], -toward)
    else:
        values = linalg.solve(lags[np.abs(gap[:, np.newaxis] - gap)], -toward, assume_a="sym")
    out = sound.copy()
    out[gap] = values
    return out


def interpolate(sound: Floats, start: int, stop: int, order: int, rounds: int) -> Floats:
    """The samples start to stop of (n,), as a model of the whole of it expects them: (stop - start,).

    Fitted and filled by turns (Janssen, Veldhuis and Vries 1986), one model for both sides
    and the gap ("gap-wise" in Mokrý and Rajmic 2025, "Tweaking autoregressive methods for inpainting of gaps
    in audio signals"), by autocorrelation, no window: its cost grows with the order squared only.
    """
    order = max(min(order, (len(sound) - (stop - start)) // 3), 1)
    missing = np.zeros(len(sound), np.bool_)
    missing[start:stop] = True
    now = np.where(missing, 0.0, sound)
    size = fft.next_fast_len(2 * len(sound), real=True)
    for _ in range(rounds):
        spectrum = fft.rfft(now, size)
        lags = fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: order + 1]
        if lags[0] <= 0:
            break
        lags[0] *= 1 + NOTHING
        model = np.append(1.0, linalg.solve_toeplitz(lags[:-1], -lags[1:], check_finite=False))
        now = fill(now, missing, model)
    return now[start:stop]


def unmix(error: Floats, a: Floats, power: float, template: Floats, variance: Floats) -> tuple[Floats, float]:
    """What was added to a sound over m samples, (m,), and -2 log likelihood of that explanation.

    `error` is the prediction error from the first of these samples on, `power` its usual
    power; give m + p errors or more, fewer only where the recording ends.
    What was added is thought to be the template, give or take an independent
    Gaussian of this variance at each sample; the estimate is the most probable one. Without
    a template and with a large variance it is the difference to `fill`. Likelihoods of
    explanations of the same `error` may be compared.
    """
    count, order = len(template), len(a) - 1
    rest = np.zeros(max(len(error), count + order))
    rest[: len(error)] = error
    rest[: min(len(error), count + order)] -= np.convolve(template, a)[: len(error)]
    toward = np.correlate(rest[: count + order], a, "valid")
    lags = np.convolve(a, a[::-1])[order:]
    width = min(order, count - 1)
    bands = np.repeat(lags[: width + 1, np.newaxis], count, axis=1)
    bands[0] += power / variance
    factor = linalg.cholesky_banded(bands, lower=True, overwrite_ab=True, check_finite=False)
    more = linalg.cho_solve_banded((factor, True), toward, check_finite=False)
    fit = (rest @ rest - toward @ more) / power
    volume = 2 * np.log(factor[0]).sum() + np.log(variance / power).sum()
    return template + more, float(fit + volume)


def covariance(parts: Sequence[Floats], order: int) -> Floats:
    """One model (p + 1,) for unbroken stretches (n,), by least squares over prediction both ways.

    The modified covariance method (Marple 1980, "A new autoregressive spectrum
    analysis algorithm"), normal equations summed over the stretches: sharp
    for steady tones. Stretches no longer than p count for nothing.
    """
    moments = np.zeros((order + 1, order + 1))
    for part in parts:
        if len(part) > order:
            moments += _moments(part, order)
    moments = moments + moments[::-1, ::-1]
    normal, target = moments[1:, 1:], moments[1:, 0]
    scale = np.trace(normal) / order
    a = np.zeros(order + 1)
    a[0] = 1.0
    if scale > 1e-30:
        normal[np.diag_indices(order)] += NOTHING * scale
        a[1:] = -linalg.solve(normal, target, assume_a="pos", check_finite=False)
    return a


def _moments(part: Floats, order: int) -> Floats:
    """Sums over n = p .. len - 1 of x[n - i] x[n - j], as (p + 1, p + 1)."""
    # M[i + 1, j + 1] is M[i, j] and what enters and leaves the sum: cumulated along the diagonals,
    # kept as [i, j - i]
    width = order + 1
    skewed = np.zeros((width, width))
    skewed[0] = np.correlate(part, part[order:], "valid")[::-1]
    ends = np.zeros((2, 2 * width))
    ends[:, :order] = part[order - 1 :: -1], part[: -order - 1 : -1]
    enters, leaves = np.lib.stride_tricks.sliding_window_view(ends, width, axis=1)[:, :order]
    skewed[1:] = enters * ends[0, :order, np.newaxis] - leaves * ends[1, :order, np.newaxis]
    np.cumsum(skewed, axis=0, out=skewed)
    square = np.zeros((width, 2 * width))
    square[:, :width] = skewed
    upper = square.ravel()[: width * (2 * width - 1)].reshape(width, 2 * width - 1)[:, :width]
    return np.asarray(upper + np.triu(upper, 1).T)


def between(count: int, gaps: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The half-open stretches of 0 .. count that lie in none of the gaps."""
    edges, at = [], 0
    for start, stop in [*sorted(gaps), (count, count)]:
        if start > at:
            edges.append((at, start))
        at = max(at, stop)
    return edges


def affordable(order: int, lengths: Sequence[int]) -> int:
    """The order, or the largest that so many known samples, in stretches of these lengths, can carry."""
    longest, total = max(lengths, default=0), sum(lengths)
    return max(min(order, longest // 2, total // 3), 1)


def process(sound: Floats, order: int) -> tuple[Floats, float]:
    """A model (p + 1,) of (n,) as a random process, and the power of what drives it.

    By autocorrelation under a Hann window: without one, the loud bands would leak over the quiet
    ones, and these come out tens of decibels too loud.
    """
    order = max(min(order, len(sound) // 3), 1)
    window = np.hanning(len(sound) + 2)[1:-1]
    size = fft.next_fast_len(len(sound) + order + 1, real=True)
    spectrum = fft.rfft(sound * window, size)
    lags = fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: order + 1] / (window @ window)
    if lags[0] <= 1e-20:
        return np.append(1.0, np.zeros(order)), 0.0
    lags[0] *= 1 + 1e-10
    a = np.append(1.0, linalg.solve_toeplitz(lags[:-1], -lags[1:], check_finite=False))
    return a, max(float(a @ lags), 0.0)


def go_on(sound: Floats, a: Floats, driven: Floats) -> Floats:
    """(m,) samples that follow (n,) under a model (p + 1,) driven by (m,): all of it 0 is the expectation."""
    order = len(a) - 1
    past = np.zeros(order)
    last = sound[::-1][:order]
    past[: len(last)] = last
    state = signal.lfiltic([1.0], a, past)
    return np.asarray(signal.lfilter([1.0], a, driven, zi=state)[0])
