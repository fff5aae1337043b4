"""Crackle as many small sounds added to a predictable one: found, weighed and taken out together.

The sound below is autoregressive, its errors small with now and then a large one (a glottal pulse, a
pluck). An event is a burst of samples, each Gaussian, whose spread falls exponentially. Whether a
place is an event or a large error of the sound is decided by likelihood: what was added leaves
errors that the samples of the burst explain, what belongs to the sound does not. Models are
fitted only to predictions that touch no event; so they sharpen from pass to pass. Related: Godsill
and Rayner 1998, "Digital Audio Restoration", chapters 5 and 9; the errors' heavy tails make
it a robust test (Huber 1964).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg.lapack import dposv as posv
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from wavemend.core import ar, impulses
from wavemend.core.types import merge_spans, runs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

ORDER = 32
DECAYS_MS = (0.0073, 0.021, 0.042, 0.083, 0.1667)  # of a burst's amplitude, to 1/e
COARSE = (0, 1, 3)  # those with which the place is looked for
SPREADS = (0.5, 1.5)  # of a burst's first sample, over the largest error there
CACHED = 60_000  # numbers in the matrices that are worked on at once
REACH = 6  # decays after which a burst is over
SLOWEST = 8.0  # samples: what rings on longer, at high rates, is several bursts
EARLY = 2  # samples before a candidate that may be the burst's
APART_MS = 0.25  # between candidates of one pass
FIRST_SIGMAS, AROUND_MS = 3.5, 0.25  # what is left out before anything is known
TAIL = 5.0  # what a large error of the sound costs, besides its logarithm
JOINED_MS, RUN_ON_MS, LEVEL = 0.17, 0.06, 1e-4  # bursts so near are one; their spread is nowhere less
# Where more than a share of CROWD_MS lies in bursts, they are an onset of the sound: more than so many times
# what is usual around, between two bounds.
CROWD_MS, CROWDED, CROWDED_TIMES = 6.0, (0.15, 0.5), 8.0
MOST, MOST_MS = 2.0, 1.0  # times the largest sample so near: a larger change is an error of the model
ONCE_SIGMAS, ONCE_PROOF = 4.0, 6.0  # decrackle's own by default
RIDGE = 1e-9
SMALLEST = 3e-6  # an error of prediction: smaller ones are rounding


@dataclass(frozen=True, slots=True)
class Bursts:
    """Events in (n,), in order of likelihood: spread² of the first sample, decay in samples."""

    start: Ints
    power: Floats
    decay: Floats

    def lengths(self) -> Ints:
        """Samples of each."""
        return np.maximum(np.ceil(REACH * self.decay), 1).astype(np.intp)

    def spread(self, count: int) -> Floats:
        """The variance of what was added at each of `count` samples; 0 where nothing was."""
        total = np.zeros(count)
        for start, power, decay, length in zip(
            self.start, self.power, self.decay, self.lengths(), strict=True
        ):
            part = total[start : start + length]
            part += power * np.exp(-2 / decay * np.arange(len(part)))
        return total

    def only(self, which: Ints | Mask) -> Bursts:
        return Bursts(self.start[which], self.power[which], self.decay[which])

    def and_also(self, other: Bursts) -> Bursts:
        both = ((getattr(self, name), getattr(other, name)) for name in ("start", "power", "decay"))
        return Bursts(*(np.concatenate(pair) for pair in both))


NONE = Bursts(np.zeros(0, np.intp), np.zeros(0), np.zeros(0))


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
        places = _candidates(error, a, usual, frame, sigmas, round(APART_MS / 1000 * rate))
        places = places[~onsets[places]]
        new = _explain(error, places, a, usual, frame, rate, proof, all_robust=step > 0)
        if not len(new.start):
            break
        found = found.and_also(new)
        onsets |= _crowded(found.spread(len(sound)) > 0, rate)
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
    out = _without(sound, _joined(spread, rate), a, usual, frame)
    return out, _plausible(found, sound, out, usual, frame, round(MOST_MS / 1000 * rate))


def once(sound: Floats, rate: int) -> Floats:
    """(n,) after one careful pass: most crackle is gone, and long impulses are still whole."""
    return clean(sound, rate, ONCE_SIGMAS, ONCE_PROOF, 1)


def _decays(rate: int) -> Floats:
    """Those that are looked for, in samples."""
    return np.clip(np.array(DECAYS_MS) / 1000 * rate, 0.3, SLOWEST)


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


def _candidates(error: Floats, a: Floats, usual: Floats, frame: int, sigmas: float, apart: int) -> Ints:
    """Where one changed sample explains most around, and where large errors begin after a pause."""
    count = len(error)
    padded = np.zeros(len(a) * frame + ORDER)
    padded[:count] = error
    cut = sliding_window_view(padded, frame + ORDER)[::frame]
    toward = np.asarray(ar.residual(cut, a[:, ::-1]), np.float64)  # a correlation with a
    size = toward**2 / (np.square(a).sum(axis=1) * usual**2)[:, np.newaxis]
    explained = size.reshape(-1)[:count]
    peaks = (explained > 1.5 * sigmas**2) & (explained >= maximum_filter1d(explained, 2 * apart + 1))
    large = np.flatnonzero(np.abs(error) > sigmas * np.repeat(usual, frame)[:count])
    peaks[large[np.diff(large, prepend=-apart) > 3]] = True
    return np.flatnonzero(peaks)


def _explain(
    error: Floats,
    places: Ints,
    a: Floats,
    usual: Floats,
    frame: int,
    rate: int,
    proof: float,
    all_robust: bool,
) -> Bursts:
    """The bursts near `places` that are likelier than large errors of the sound; none reaches another.

    Long bursts must explain every error around unless `all_robust`: in the first pass
    they would swallow two that lie close together.
    """
    decays = _decays(rate)
    longest = int(np.ceil(REACH * decays[-1]))
    span = longest + ORDER
    places = places[(places >= ORDER + EARLY) & (places + span < len(error))]
    if not places.size:
        return NONE
    which = places // frame
    own, power = a[which], np.square(usual[which])
    rows = error[places[:, np.newaxis] - EARLY + np.arange(span + EARLY)]
    apart = np.abs(np.subtract.outer(np.arange(longest), np.arange(longest)))
    gram = np.asarray(ar.autocorrelation(a, longest - 1), np.float64)[which][:, apart]
    trial = _Trial(rows, own, power, gram, proof)
    for offset in range(EARLY + 1):
        for k in COARSE:
            trial.offer(np.arange(len(places)), offset, decays[k], 1.0, all_robust or k < 2)
    for offset in range(EARLY + 1):
        here = np.flatnonzero(trial.offset == offset)
        for k, decay in enumerate(decays) if here.size else ():
            for spread in SPREADS:
                trial.offer(here, offset, decay, spread, all_robust or k < 2)
    found = Bursts(places - EARLY + trial.offset, trial.power, trial.decay)
    stops = found.start + found.lengths() + ORDER
    taken, chosen = np.zeros(len(error) + span, bool), []
    for i in np.argsort(-trial.gain, kind="stable"):
        if trial.gain[i] <= 0:
            break
        reach = slice(found.start[i], stops[i])
        if not taken[reach].any():
            taken[reach] = True
            chosen.append(i)
    return found.only(np.array(chosen, np.intp))


class _Trial:
    """The best burst so far for each row of errors, (places, samples), that begins EARLY before its place."""

    def __init__(self, rows: Floats, a: Floats, usual: Floats, gram: Floats, proof: float) -> None:
        self._a, self._usual, self._gram, self._proof = a, usual, gram, proof
        self.gain = np.full(len(rows), -np.inf)
        self.offset = np.zeros(len(rows), np.intp)
        self.power, self.decay = np.zeros(len(rows)), np.ones(len(rows))
        span = rows.shape[1] - EARLY
        self._known = {}
        for offset in range(EARLY + 1):
            errors = rows[:, offset : offset + span]
            windows = sliding_window_view(errors, ORDER + 1, axis=1)
            toward = (windows * a[:, np.newaxis]).sum(axis=2)
            plain = _cost(errors, usual)
            self._known[offset] = errors, toward, plain, np.abs(errors[:, :6]).max(axis=1)

    def offer(self, rows: Ints, offset: int, decay: float, spread: float, robust: bool) -> None:
        """Keep, for these rows, a burst of this kind where it is likelier than what was kept."""
        length = max(int(np.ceil(REACH * decay)), 1)
        at_once = max(CACHED // length**2, 1)
        for first in range(0, len(rows), at_once):
            self._offer(rows[first : first + at_once], offset, decay, spread, length, robust)

    def _offer(self, rows: Ints, offset: int, decay: float, spread: float, length: int, robust: bool) -> None:
        errors, toward, plain, peak = (one[rows] for one in self._known[offset])
        usual = self._usual[rows]
        first = np.square(spread * peak)
        root = np.sqrt(first / usual)[:, np.newaxis] * np.exp(-np.arange(length) / decay)
        scaled = root * toward[:, :length] / np.sqrt(usual)[:, np.newaxis]
        # the matrix to be solved, bordered by the right-hand side: its factor has half of the solution
        inner = np.empty((len(rows), length + 1, length + 1))
        np.multiply(self._gram[rows, :length, :length], root[:, :, np.newaxis], out=inner[:, :-1, :-1])
        inner[:, :-1, :-1] *= root[:, np.newaxis]
        inner[:, range(length), range(length)] += 1
        inner[:, -1, :-1] = scaled
        inner[:, -1, -1] = np.square(scaled).sum(axis=1) + 1  # more than the solution can take
        lower = np.asarray(np.linalg.cholesky(inner), np.float64)
        half = lower[:, -1, :-1]
        cost = 2 * np.log(lower[:, range(length), range(length)]).sum(axis=1)
        if robust:
            unit = _solved_back(lower[:, :-1, :-1], half)
            shape = np.sqrt(usual)[:, np.newaxis] * root * unit
            added = np.zeros((len(rows), length + ORDER))
            for k in range(ORDER + 1):
                added[:, k : k + length] += self._a[rows, k, np.newaxis] * shape
            left = errors.copy()
            left[:, : length + ORDER] -= added
            cost += _cost(left, usual) + np.square(unit).sum(axis=1)
        else:
            cost += np.square(errors).sum(axis=1) / usual - np.square(half).sum(axis=1)
        gain = plain - cost - self._proof
        better = gain > self.gain[rows]
        kept = rows[better]
        self.gain[kept], self.offset[kept] = gain[better], offset
        self.power[kept], self.decay[kept] = first[better], decay


def _solved_back(lower: Floats, right: Floats) -> Floats:
    """x of lower^T x = right, for triangles (rows, n, n) and (rows, n); numpy knows general matrices only."""
    x = np.empty_like(right)
    for i in range(right.shape[1] - 1, -1, -1):
        x[:, i] = right[:, i] - np.einsum("rj,rj->r", lower[:, i + 1 :, i], x[:, i + 1 :])
        x[:, i] /= lower[:, i, i]
    return x


def _cost(errors: Floats, usual: Floats) -> Floats:
    """-2 log likelihood of (rows, samples), but for a constant: Gaussian, with a heavy tail."""
    size = np.square(errors) / usual[:, np.newaxis]
    return np.asarray(np.minimum(size, np.log(np.maximum(size, 1.0)) + 1 + TAIL).sum(axis=1))


def _crowded(burst: Mask, rate: int) -> Mask:
    """Where bursts fill too much of the time for crackle; around it as well."""
    width = max(round(CROWD_MS / 1000 * rate), 3)
    share = uniform_filter1d(burst.astype(np.float64), width)
    least, most = CROWDED
    return np.asarray(maximum_filter1d(share, width) > min(least + CROWDED_TIMES * float(burst.mean()), most))


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
    for i, (start, length) in enumerate(zip(found.start, found.lengths(), strict=True)):
        most = MOST * size[max(start - near, 0) : start + length + near].max() + 3 * usual[start // frame]
        keep[i] = changed[start : start + length].max() <= most
    return keep
