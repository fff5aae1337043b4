"""Crackle as many small sounds added to a predictable one: found, weighed and taken out together.

The sound below is autoregressive. Bursts are told from its own errors by likelihood (`core/bursts`).
Models are fitted only to predictions that touch no burst; so they sharpen from pass to pass. Related:
Godsill and Rayner 1998, "Digital Audio Restoration", chapters 5 and 9.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg.lapack import dposv as posv
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from wavemend.core import ar, impulses
from wavemend.core.bursts import NONE, ORDER, Bursts, Floats, Mask, candidates, explain
from wavemend.core.types import merge_spans, runs

APART_MS = 0.25  # between candidates of one pass
FIRST_SIGMAS, AROUND_MS = 3.5, 0.25  # what is left out before anything is known
JOINED_MS, RUN_ON_MS, LEVEL = 0.17, 0.06, 1e-4  # bursts so near are one; their spread is nowhere less
# Where more than a share of CROWD_MS lies in bursts, and errors are larger after it, they are an onset of the
# sound: more than so many times what is usual around, between two bounds.
CROWD_MS, CROWDED, CROWDED_TIMES = 6.0, (0.15, 0.5), 8.0
RISE_MS, RISES = 12.0, 1.5  # compared so long before and after; times
MOST, MOST_MS = 2.0, 1.0  # times the largest sample so near: a larger change is an error of the model
ONCE_SIGMAS, ONCE_PROOF = 4.0, 6.0  # decrackle's own by default
RIDGE = 1e-9
SMALLEST = 3e-6  # an error of prediction: smaller ones are rounding


def clean(sound: Floats, rate: int, sigmas: float, proof: float, passes: int) -> Floats:
    """(n,) without its crackle, the same samples where there is none.

    `sigmas` is how large an error of prediction is looked at, over the usual one; `proof` what
    a burst must be more likely by, as a difference of -2 log likelihoods. Shorter than four frames
    of `impulses.frame_length`, it comes back as it is.
    """
    found, out, doubtful = _searched(sound, rate, sigmas, proof, passes)
    if not len(found.start):
        return out
    # models of what came out have all samples to learn from
    frame = impulses.frame_length(rate)
    a = _models(out, np.zeros(len(out), bool), frame)
    usual = _usual(_residual(out, a, frame), doubtful, frame)
    again, plausible = _solved(sound, found, found.spread(len(sound)), a, usual, rate)
    left = maximum_filter1d(found.only(~plausible).spread(len(sound)) > 0, 2 * _joint(rate) + 1)
    return np.where(left, out, again)


def changed(sound: Floats, rate: int, sigmas: float, proof: float) -> Mask:
    """Which samples of (n,) one pass of `clean` changes; arguments as there."""
    return np.asarray(_searched(sound, rate, sigmas, proof, 1)[1] != sound)


def _searched(
    sound: Floats, rate: int, sigmas: float, proof: float, passes: int
) -> tuple[Bursts, Floats, Mask]:
    """The bursts, (n,) without them, and which samples they touch; arguments as for `clean`."""
    frame = impulses.frame_length(rate)
    nothing = np.zeros(len(sound), bool)
    if len(sound) < 4 * frame or not np.any(sound):
        return NONE, sound, nothing
    around = max(round(AROUND_MS / 1000 * rate), 1)
    a = _models(sound, nothing, frame)
    error = _residual(sound, a, frame)
    usual = np.repeat(_usual(error, nothing, frame), frame)[: len(sound)]
    doubtful = maximum_filter1d(np.abs(error) > FIRST_SIGMAS * usual, 2 * around + 1)
    found, out, a = NONE, sound, _models(sound, doubtful, frame)
    onsets = np.zeros(len(sound), bool)
    for step in range(passes):
        error = _residual(out, a, frame)
        usual = _usual(error, doubtful, frame)
        places = candidates(error, a, usual, frame, sigmas, round(APART_MS / 1000 * rate))
        places = places[~onsets[places]]
        new = explain(error, places, a, usual, frame, rate, proof, all_robust=step > 0)
        if not len(new.start):
            break
        found = found.and_also(new)
        onsets |= _crowded(found.spread(len(sound)) > 0, error, rate)
        found = found.only(~onsets[found.start])
        spread = found.spread(len(sound))
        doubtful = maximum_filter1d(spread > 0, 3)
        a = _models(sound, doubtful, frame)
        usual = _usual(_residual(out, a, frame), doubtful, frame)
        out, plausible = _solved(sound, found, spread, a, usual, rate)
        while not plausible.all():  # without some, others may come out anew
            found = found.only(plausible)
            out, plausible = _solved(sound, found, found.spread(len(sound)), a, usual, rate)
    return found, out, doubtful


def _solved(
    sound: Floats, found: Bursts, spread: Floats, a: Floats, usual: Floats, rate: int
) -> tuple[Floats, Mask]:
    """(n,) without these bursts, of this spread in all, and which of them are plausible."""
    frame = impulses.frame_length(rate)
    out = _without(sound - found.rings(len(sound)), _joined(spread, rate), a, usual, frame)
    return out, _plausible(found, sound, out, usual, frame, round(MOST_MS / 1000 * rate))


def once(sound: Floats, rate: int) -> Floats:
    """(n,) after one careful pass: most crackle is gone, and long impulses are still whole."""
    return clean(sound, rate, ONCE_SIGMAS, ONCE_PROOF, 1)


def _models(sound: Floats, doubtful: Mask, frame: int) -> Floats:
    """One model a frame, (frames, ORDER + 1), from twice that around it, predicting both ways.

    Weighted least squares over predictions in which no doubtful sample takes part.
    """
    frames = -(-len(sound) // frame)
    padded = np.zeros((frames + 1) * frame)
    bad = np.ones(len(padded), bool)
    here = slice(frame // 2, frame // 2 + len(sound))
    padded[here], bad[here] = sound, doubtful
    touched = sliding_window_view(np.concatenate(([0], np.cumsum(bad))), ORDER + 2)
    good = np.zeros(len(padded))
    good[ORDER:] = touched[:, -1] == touched[:, 0]
    width = 2 * frame
    cut = sliding_window_view(padded, width)[::frame]
    weight = sliding_window_view(good, width)[::frame, ORDER:] * np.hanning(width + 2)[1 + ORDER : -1]
    moments = np.empty((frames, ORDER + 1, ORDER + 1))
    for piece, root, moment in zip(cut, np.sqrt(weight), moments, strict=True):  # one stays in the cache
        rows = sliding_window_view(piece, ORDER + 1) * root[:, np.newaxis]
        np.matmul(rows.T, rows, out=moment)
    moments = moments + moments[:, ::-1, ::-1]
    normal, target = moments[:, 1:, 1:], moments[:, 1:, 0]
    scale = np.trace(normal, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] / ORDER
    normal = normal + np.eye(ORDER) * np.maximum(RIDGE * scale, 1e-30)
    a = np.ones((frames, ORDER + 1))
    a[:, 1:] = -np.linalg.solve(normal, target[..., np.newaxis])[..., 0]
    return a


def _residual(sound: Floats, a: Floats, frame: int) -> Floats:
    """The prediction error of (n,); zeros lie before."""
    padded = np.zeros(ORDER + len(a) * frame)
    padded[ORDER : ORDER + len(sound)] = sound
    cut = sliding_window_view(padded, frame + ORDER)[::frame]
    return np.asarray(ar.residual(cut, a).reshape(-1)[: len(sound)], np.float64)


def _usual(error: Floats, doubtful: Mask, frame: int) -> Floats:
    """The standard deviation of each frame's errors, (frames,), by the median of those not doubtful."""
    frames = -(-len(error) // frame)
    size = np.full(frames * frame, np.nan)
    size[: len(error)] = np.where(doubtful, np.nan, np.abs(error))
    size = np.sort(size.reshape(frames, frame), axis=1)  # nan comes last
    counts = np.count_nonzero(~np.isnan(size), axis=1)
    medians = size[np.arange(frames), counts // 2 - (counts == frame)]
    few = counts < frame // 8
    medians[few] = np.median(medians[~few]) if not few.all() else 0.0
    usual: Floats = np.maximum(medians / 0.6745, SMALLEST)
    return usual


def _crowded(burst: Mask, error: Floats, rate: int) -> Mask:
    """Where bursts fill too much of the time for crackle, before larger errors; around it as well."""
    width, reach = (max(round(ms / 1000 * rate), 3) for ms in (CROWD_MS, RISE_MS))
    share = uniform_filter1d(burst.astype(np.float64), width)
    least, most = CROWDED
    crowd = share > min(least + CROWDED_TIMES * float(burst.mean()), most)
    onset = np.zeros(len(burst), bool)
    for first, stop in runs(crowd):
        # outside of bursts errors are what the sound makes of itself, or what was not found yet: a few, large
        before, after = (
            np.log(np.abs(error[a:b][~burst[a:b]]) + SMALLEST)
            for a, b in ((max(first - reach, 0), first), (stop, stop + reach))
        )
        if not len(before) or not len(after) or after.mean() > before.mean() + np.log(RISES):
            onset[first:stop] = True
    return np.asarray(maximum_filter1d(onset, width))


def _joint(rate: int) -> int:
    """Samples between bursts that count as one."""
    return max(round(JOINED_MS / 1000 * rate), 1)


def _joined(spread: Floats, rate: int) -> Floats:
    """The same with bursts that lie close made one, and their spread nowhere close to nothing."""
    out = spread.copy()
    more = round(RUN_ON_MS / 1000 * rate)
    for first, stop in merge_spans(runs(spread > 0), _joint(rate) - 1):
        part = out[first : stop + more]
        np.maximum(part, LEVEL * spread[first:stop].max(), out=part)
    return out


def _without(sound: Floats, spread: Floats, a: Floats, usual: Floats, frame: int) -> Floats:
    """The most probable sound where something with this spread was added, all of it solved together."""
    out = sound.copy()
    lags = np.asarray(ar.autocorrelation(a, ORDER), np.float64)
    for first, stop in merge_spans(runs(spread > 0), ORDER - 1):
        k = (first + stop) // 2 // frame
        gap = first + np.flatnonzero(spread[first:stop] > 0)
        low = max(first - ORDER, 0)
        whitened = np.convolve(sound[low : stop + ORDER], a[k])
        toward = np.convolve(whitened, a[k, ::-1])[ORDER + gap - low]
        apart = np.abs(np.subtract.outer(gap, gap))
        inner = np.where(apart <= ORDER, lags[k, np.minimum(apart, ORDER)], 0.0)
        inner[range(len(gap)), range(len(gap))] += usual[k] ** 2 / spread[gap]
        _, added, wrong = posv(inner, toward, lower=1, overwrite_a=1)
        if wrong:
            raise np.linalg.LinAlgError("the equations of a burst have no solution")
        out[gap] -= added
    return out


def _plausible(found: Bursts, sound: Floats, out: Floats, usual: Floats, frame: int, near: int) -> Mask:
    """Which bursts changed the sound by no more than what is there and, within `near` samples, beside them.

    Right there a burst may have met the wave with the other sign, and next to nothing is left to be seen.
    """
    changed, size = np.abs(sound - out), np.abs(sound)
    keep = np.zeros(len(found.start), bool)
    for i, (start, length) in enumerate(zip(found.start, found.length, strict=True)):
        most = MOST * size[max(start - near, 0) : start + length + near].max() + 3 * usual[start // frame]
        keep[i] = changed[start : start + length].max() <= most
    return keep
