"""Impulses in sound: where they are, how far they reach, and what lay under them.

An impulse is *added* to a sound that goes on as before. What belongs to the sound
(a glottal pulse, a drum, a consonant) is *part of* it: the sound afterwards is its
answer. Predicted by an autoregressive model, the first leaves an error that can be
explained by changing the samples of the impulse alone, the second does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavemend.core import ar, ringing
from wavemend.core.recent import Recent
from wavemend.core.types import Samples

Floats = npt.NDArray[np.float64]

ORDER = 32
CELL_MS = 0.33  # peaks of the residual are compared between cells of this length
CELLS_PER_FRAME = 64  # models are fitted to frames of twice this, one frame's length apart
FRAMES_BESIDE = 2  # seen on each side of a chunk: more than CONTEXT_MS + REACH_MS
BEFORE_MS, AFTER_MS = (15.0, 1.0), (2.0, 16.5)  # the surroundings of a cell that it must stand out from
BELONGS_CELLS = 9  # to each side of a peak
FALLBACK_MS = 3.0  # an impulse whose end is not seen may be this long
REACH_MS = 7.0  # the longest impulse that is looked for
CONTEXT_MS = 20.0  # sound on each side that a model for one impulse is fitted to
SHARP = 0.2  # of the largest prediction error: from there on an oscillation may begin
SMALLEST = 3e-5  # one step of 16 bits: residuals below are rounding


@dataclass(frozen=True, slots=True)
class Impulse:
    """One impulse in one channel: samples start to stop, and the sound that was found under it.

    `before_db` and `after_db` are the energy of the prediction error at that place, over its
    surroundings', with the impulse and without; `peak_db` is the impulse's peak over the
    local RMS level. `ring_hz` and `decay_ms` are 0 for one that is not a damped oscillation. `rise_db` is
    the energy of the prediction error after it over that before.
    """

    start: int
    stop: int
    sound: Floats
    before_db: float
    after_db: float
    peak: float
    peak_db: float
    ring_hz: float
    decay_ms: float
    rise_db: float


def cell_length(rate: int) -> int:
    """Samples in a cell."""
    return max(round(CELL_MS / 1000 * rate), 4)


def frame_length(rate: int) -> int:
    """Samples in a frame; windows that are compared must begin on multiples of it."""
    return CELLS_PER_FRAME * cell_length(rate)


def models(samples: Samples, frame: int) -> Floats:
    """Models (channels, frames, p + 1), one for each `frame` samples, from twice that around them."""
    channels, count = samples.shape
    frames = -(-count // frame)
    padded = np.zeros((channels, (frames + 1) * frame), np.float32)
    padded[:, frame // 2 : frame // 2 + count] = samples
    cut = np.lib.stride_tricks.sliding_window_view(padded, 2 * frame, axis=1)[:, ::frame]
    lags = ar.autocorrelation(cut * np.hanning(2 * frame).astype(np.float32), ORDER).astype(np.float64)
    lags[..., 0] = lags[..., 0] * (1 + 1e-5) + frame * 1e-11
    return ar.levinson(lags)[0]


def residual(samples: Samples, a: Floats, frame: int) -> Samples:
    """The prediction error of (channels, n) under one model per frame; zeros lie before the first sample."""
    channels, count = samples.shape
    order = a.shape[-1] - 1
    padded = np.zeros((channels, order + a.shape[1] * frame), np.float32)
    padded[:, order : order + count] = samples
    cut = np.lib.stride_tricks.sliding_window_view(padded, frame + order, axis=1)[:, ::frame]
    return np.asarray(ar.residual(cut, a.astype(np.float32)).reshape(channels, -1)[:, :count], np.float32)


_recent: Recent[tuple[Floats, Samples]] = Recent()


def analyse(samples: Samples, rate: int) -> tuple[Floats, Samples]:
    """Models (channels, frames, p + 1) and prediction error (channels, n) of (channels, n).

    The last few answers are kept: clicks and crackle are looked for in the same windows,
    one after the other. Neither array may be written to.
    """
    return _recent.answer(samples, rate, lambda: _analyse(samples, rate))


def _analyse(samples: Samples, rate: int) -> tuple[Floats, Samples]:
    frame = frame_length(rate)
    a = models(samples, frame)
    return a, residual(samples, a, frame)


def peaks(samples: Samples, rate: int) -> tuple[Samples, int]:
    """Largest prediction error in each cell, (channels, cells), and the cell's length in samples."""
    _, error = analyse(samples, rate)
    cell = cell_length(rate)
    cells = error.shape[1] // cell
    return np.abs(error[:, : cells * cell]).reshape(len(error), cells, cell).max(axis=2), cell


def standing_out(peak: Samples, cell: int, rate: int, but_one: bool = False) -> Samples:
    """How far each cell's peak stands out from both sides' largest, as a ratio; 0 beside a larger one.

    With `but_one` the largest of each side, and what belongs to it, does not count.
    """
    per_ms = rate / 1000 / cell
    near, far = round(BEFORE_MS[1] * per_ms), round(BEFORE_MS[0] * per_ms)
    late, later = round(AFTER_MS[0] * per_ms), round(AFTER_MS[1] * per_ms)
    beside = _window_max(peak, -near, late)
    tops = peak >= beside
    if but_one:
        before, after = (_but_one(peak, tops, *reach) for reach in ((-far, -near), (late, later)))
    else:
        before, after = _window_max(peak, -far, -near), _window_max(peak, late, later)
    ratio = peak / np.maximum(np.maximum(before, after), SMALLEST)
    return np.asarray(np.where(tops, ratio, 0), np.float32)


def _window_max(values: Samples, first: int, last: int) -> Samples:
    """The largest of values[:, i + first .. i + last], for each i; outside, zeros are taken."""
    pad = max(abs(first), abs(last))
    best = np.pad(values, ((0, 0), (pad + first, pad + last)))
    best = np.pad(values, ((0, 0), (pad, pad)))[:, pad + first : pad + last + values.shape[1]]
    width, done = last - first + 1, 1
    while done < width:
        step = min(done, width - done)
        best = np.maximum(best[:, : best.shape[1] - step], best[:, step:])
        done += step
    return np.asarray(best, np.float32)


def _but_one(values: Samples, where: npt.NDArray[np.bool_], first: int, last: int) -> Samples:
    """The same apart from the largest there and what belongs to it; 0 but for some places."""
    pad = max(abs(first), abs(last))
    padded = np.pad(values, ((0, 0), (pad, pad)))
    window = np.lib.stride_tricks.sliding_window_view(padded, last - first + 1, axis=1)
    window = window[:, pad + first : pad + first + values.shape[1]][where]
    at = window.argmax(axis=1)[:, np.newaxis]
    apart = np.abs(np.arange(window.shape[1]) - at) > BELONGS_CELLS
    best = np.zeros_like(values)
    best[where] = np.where(apart, window, 0).max(axis=1)
    return best


def candidates(
    samples: Samples, rate: int, ratio: float, but_one: bool = False
) -> list[tuple[int, int, float]]:
    """(channel, sample, ratio) of every cell whose prediction error stands out by `ratio` from both sides.

    With `but_one`, as `standing_out` has it: two that hide each other do so no more.
    """
    if not samples.shape[1]:
        return []
    peak, cell = peaks(samples, rate)
    out = standing_out(peak, cell, rate, but_one)
    return [(int(c), int(i) * cell, float(out[c, i])) for c, i in zip(*np.nonzero(out > ratio), strict=True)]


def examine(sound: Floats, at: int, rate: int, min_before_db: float) -> Impulse | None:
    """The impulse near sample `at` (which may be a cell's length early) of (n,), if there is one.

    None, and quickly, where the prediction error is not `min_before_db` above the usual.

    Its first sample is where prediction from the past first fails, its last where
    prediction from the future does.
    """
    per_ms = rate / 1000
    low = max(at - round(1.5 * per_ms), 0)
    high = min(at + round(REACH_MS * per_ms), len(sound))
    context = round(CONTEXT_MS * per_ms)
    first = max(low - context, 0)
    piece = sound[first : high + context]
    low, high, at = low - first, high - first, at - first
    if min(low, len(piece) - high) < max(context // 2, 3 * ORDER):
        return None
    a = ar.covariance([piece[:low], piece[high:]], ORDER)
    ahead, back = _error(piece, a), _error(piece[::-1], a)[::-1]
    left, right = np.abs(ahead[ORDER:low]), np.abs(back[high : len(piece) - ORDER])
    usual = max(_nearly_largest(left), _nearly_largest(right), SMALLEST / 3)
    sides = [max(float(np.mean(side**2)), (SMALLEST / 9) ** 2) for side in (left, right)]
    power = max(sides)
    cell = cell_length(rate)
    top = at + int(np.argmax(np.abs(ahead[at : min(at + 2 * cell, high)])))
    if abs(ahead[top]) <= usual:
        return None
    join = max(round(0.4 * per_ms), 8)
    start = top - _stretch(np.abs(ahead[low : top + 1][::-1]) > usual, join)
    stop = start + _stretch(np.abs(back[start:high]) > usual, join) + 1
    loudest = 1.2 * max(float(left.max()), float(right.max()))
    loud = np.flatnonzero(np.abs(back[start:high]) > loudest)
    stops = {stop, start + int(loud[-1]) + 1} if loud.size else {stop}
    if _db(float(np.mean(ahead[start : max(stops) + ORDER] ** 2)) / power) < min_before_db:
        return None
    end = min(start + round(REACH_MS * per_ms), len(piece) - ORDER)
    if max(stops) - start < FALLBACK_MS / 2 * per_ms:
        stops.add(min(start + round(FALLBACK_MS * per_ms), end))
    # something small before may not belong to it: an oscillation is only seen from its true start on
    over = np.abs(ahead[start : top + 1])
    begins = [int(np.argmax(over > loudest)), int(np.argmax(over > SHARP * over[-1])), 0]
    first_sample, mended, least = start, Mended(start, piece[:0]), np.inf
    for begin in (start + ahead_by for ahead_by in dict.fromkeys(begins)):
        tried, cost = mend(piece, begin, [max(s, begin + 1) for s in stops], a, power, rate, end)
        cost += float(np.sum(ahead[start:begin] ** 2)) / power
        if cost < least and (tried.ring_hz or begin == start or least == np.inf):
            first_sample, mended, least = begin, tried, cost
        if tried.ring_hz and cost < ENOUGH * (end - begin + ORDER):
            break
    start = first_sample
    stop = mended.stop
    span = slice(start, stop + ORDER)
    head = slice(start, min(stop, start + round(1.5 * per_ms)) + ORDER) if mended.ring_hz else span
    repaired = piece.copy()
    repaired[start : mended.stop] = mended.sound
    level = float(np.sqrt(np.mean(np.square(repaired[max(start - context // 2, 0) : stop + context // 2]))))
    peak = float(np.max(np.abs(piece[start : mended.stop] - mended.sound)))
    return Impulse(
        first + start,
        first + mended.stop,
        mended.sound,
        _db(float(np.mean(ahead[head] ** 2)) / power),
        _db(float(np.mean(_error(repaired, a)[span] ** 2)) / power),
        peak,
        2 * _db(peak / max(level, 1e-9)),
        mended.ring_hz,
        mended.decay_ms,
        _db(sides[1] / sides[0]),
    )


def _nearly_largest(values: Floats) -> float:
    """The value that 1 in 200 goes beyond."""
    place = len(values) - 1 - len(values) // 200
    return float(np.partition(values, place)[place])


def usual_power(piece: Floats, start: int, stop: int, a: Floats) -> float:
    """Mean square of the prediction error of (n,) apart from what samples start to stop disturb."""
    order = len(a) - 1
    error = _error(piece, a)
    rest = np.concatenate((error[order:start], error[stop + order :]))
    return max(float(np.mean(rest**2)) if rest.size else 0.0, (SMALLEST / 9) ** 2)


def _db(ratio: float) -> float:
    return 10 * float(np.log10(max(ratio, 1e-12)))


def _error(sound: Floats, a: Floats) -> Floats:
    order = len(a) - 1
    error = np.convolve(sound, a)[: len(sound)]
    error[:order] = 0.0
    return error


def _stretch(over: npt.NDArray[np.bool_], join: int) -> int:
    """The last place over the limit, counted from the first, before a pause longer than `join`."""
    places = np.flatnonzero(over)
    if not places.size or places[0] > join:
        return 0
    pauses = np.flatnonzero(np.diff(places) > join)
    return int(places[pauses[0]] if pauses.size else places[-1])


@dataclass(frozen=True, slots=True)
class Mended:
    """The sound from the start to `stop` without the impulse."""

    stop: int
    sound: Floats
    ring_hz: float = 0.0
    decay_ms: float = 0.0


def mend(
    piece: Floats,
    start: int,
    stops: Sequence[int],
    a: Floats,
    power: float,
    rate: int,
    limit: int,
    furthest: int | None = None,
    near: complex = 0j,
) -> tuple[Mended, float]:
    """What lay under samples start to stop of (n,), given the model and its error power.

    A damped oscillation that begins at `start` is subtracted where it explains the
    prediction error best: of a few numbers, fitted to many samples, little of
    the sound is lost. Otherwise the samples are taken as unknown. An oscillation may ring on
    beyond the last stop up to `limit`, or to `furthest`. With it comes the -2 log likelihood.
    """
    error = _error(piece, a)[start : max(limit, *stops) + len(a) - 1]
    chance = 5 * np.log(len(error))  # what the numbers of an oscillation explain where there is none
    enough = ENOUGH * len(error)
    best, least = Mended(start, piece[:0]), np.inf

    def offer(added: Floats, cost: float, z: complex = 0j) -> None:
        nonlocal best, least
        if cost < least:
            ring = (
                (abs(float(np.angle(z))) * rate / (2 * np.pi), -1000 / rate / float(np.log(abs(z))))
                if z
                else ()
            )
            stop = start + len(added)
            best, least = Mended(stop, piece[start:stop] - added, *ring), cost

    def exactly(ring: ringing.Ring) -> None:
        added = ring.sound()
        left = error.copy()
        answer = np.convolve(added, a)[: len(error)]
        left[: len(answer)] -= answer
        offer(added, float(left @ left) / power + chance, ring.z)

    def unknown(length: int) -> None:
        loudest, nothing = float(np.max(np.abs(piece))) ** 2 + 1e-12, np.zeros(length)
        added, cost = ar.unmix(error, a, power, nothing, nothing + loudest)
        offer(added, cost)
        offer(*ar.unmix(error, a, power, nothing, nothing + float(np.mean(added**2)) + 1e-12))

    lengths = sorted({stop - start for stop in stops})
    last = min(limit, furthest or limit) - start
    if near and SHORTEST_RING <= lengths[-1] <= last:
        exactly(ringing.fit(error, a, lengths[-1], rate, near, ends=True))
    for length in lengths:
        if least > enough and length < 2 * SHORTEST_RING:
            unknown(length)
    if least < enough:
        return best, least
    rings = []
    for length in lengths:
        if not SHORTEST_RING <= length <= last:
            continue
        ring = ringing.fit(error, a, length, rate)
        if ring.explained < HOPELESS:
            continue
        rings.append(ring)
        ends = ringing.end(ring, error, a, min(ring.fades, last), chance * power)
        if SHORTEST_RING <= ends != length:
            ring = ringing.fit(error, a, ends, rate, ring.z)
            ends = ringing.end(ring, error, a, min(ring.fades, last), chance * power)
        for count in {max(ends, SHORTEST_RING), length}:
            exactly(ringing.fit(error, a, count, rate, ring.z, ends=True))
        if least < enough:
            break
    if least > enough:
        for ring in rings:
            for count in sorted({ring.count, min(ring.fades, last)}):
                for looseness in LOOSENESS:
                    variance = np.square(looseness * ring.envelope(count)) + 1e-14
                    offer(*ar.unmix(error, a, power, ring.sound(count), variance), ring.z)
        for length in lengths:
            if length >= 2 * SHORTEST_RING:
                unknown(length)
    return best, least


ENOUGH = 1.5  # times the usual error: what leaves no more is not improved upon
HOPELESS = 0.75  # share of the error's energy: an oscillation that explains less is not there
SHORTEST_RING = 5
LOOSENESS = (0.1, 0.01)
