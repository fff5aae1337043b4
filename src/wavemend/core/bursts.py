"""Bursts that were added to a predictable sound: where they are, told from errors of the sound itself.

A burst is Gaussian samples whose spread falls exponentially; one that rings is a damped oscillation, give
or take a little. Whether a place is a burst or a large error of the sound (a glottal pulse, a pluck) is
decided by likelihood: what was added leaves errors that few numbers explain, what belongs to the sound
does not. The errors' heavy tails make it a robust test (Huber 1964).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import maximum_filter1d

from wavemend.core import ar, ringing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Complexes = npt.NDArray[np.complex128]

ORDER = 32  # of the models that predict the sound
DECAYS_MS = (0.0073, 0.021, 0.042, 0.083, 0.1667)  # of a burst's amplitude, to 1/e
COARSE = (0, 1, 3)  # those with which the place is looked for
FLAT = (2, 3)  # samples that are wrong all alike
SPREADS = (0.5, 1.5)  # of a burst's first sample, over the largest error there
CACHED = 60_000  # numbers in the matrices that are worked on at once
REACH = 6  # decays after which a burst is over
SLOWEST = 8.0  # samples: what rings on longer, at high rates, is several bursts
EARLY = 2  # samples before a candidate that may be the burst's
TAIL = 5.0  # what a large error of the sound costs, besides its logarithm
FAR, FAR_COSTS = 10.0, 1.0  # logarithm of a squared error over the usual, beyond which it costs more
RINGS_FROM, RING_SHARE, RING_COSTS = 300.0, 0.5, 5.0  # cost of the errors, and share of them that rings
LOOSE = 0.1  # times its envelope: the spread of what rings


@dataclass(frozen=True, slots=True)
class Bursts:
    """Events in (n,), in order of likelihood: spread² of the first sample, decay and length in samples.

    The spread is about Re(amplitude · turn^n), which is nothing unless a burst was seen to ring so.
    """

    start: Ints
    power: Floats
    decay: Floats
    length: Ints
    amplitude: Complexes
    turn: Complexes

    def spread(self, count: int) -> Floats:
        """The variance of what was added at each of `count` samples; 0 where nothing was."""
        total = np.zeros(count)
        for start, power, decay, length in zip(self.start, self.power, self.decay, self.length, strict=True):
            part = total[start : start + length]
            part += power * np.exp(-2 / decay * np.arange(len(part)))
        return total

    def rings(self, count: int) -> Floats:
        """What is known of their course, (count,)."""
        total = np.zeros(count)
        which = np.flatnonzero(self.amplitude)
        for i, length in zip(which, self.length[which], strict=True):
            part = total[self.start[i] : self.start[i] + length]
            part += np.real(self.amplitude[i] * self.turn[i] ** np.arange(len(part)))
        return total

    def only(self, which: Ints | Mask) -> Bursts:
        return Bursts(*(getattr(self, field.name)[which] for field in fields(self)))

    def and_also(self, other: Bursts) -> Bursts:
        both = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Bursts(*(np.concatenate(pair) for pair in both))


NOWHERE = np.zeros(0, np.intp)
NONE = Bursts(NOWHERE, np.zeros(0), np.zeros(0), NOWHERE, np.zeros(0, complex), np.zeros(0, complex))


def _length(decay: float) -> int:
    return max(int(np.ceil(REACH * decay)), 1)


def _decays(rate: int) -> Floats:
    """Those that are looked for, in samples."""
    return np.clip(np.array(DECAYS_MS) / 1000 * rate, 0.3, SLOWEST)


def candidates(error: Floats, a: Floats, usual: Floats, frame: int, sigmas: float, apart: int) -> Ints:
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


def explain(
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
    every = np.arange(len(places))
    for offset in range(EARLY + 1):
        for k in COARSE:
            trial.offer(every, offset, decays[k], _length(decays[k]), 1.0, all_robust or k < 2)
        for length in FLAT:
            trial.offer(every, offset, np.inf, length, 1.0, all_robust)
    for offset in range(EARLY + 1):
        here = np.flatnonzero(trial.offset == offset)
        for k, decay in enumerate(decays) if here.size else ():
            for spread in SPREADS:
                trial.offer(here, offset, decay, _length(decay), spread, all_robust or k < 2)
    if all_robust:
        trial.ring(longest, rate)
    start = places - EARLY + trial.offset
    found = Bursts(start, trial.power, trial.decay, trial.length, trial.amplitude, trial.turn)
    stops = found.start + found.length + ORDER
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
        self.length = np.ones(len(rows), np.intp)
        self.amplitude, self.turn = np.zeros(len(rows), complex), np.zeros(len(rows), complex)
        span = rows.shape[1] - EARLY
        self._known = {}
        for offset in range(EARLY + 1):
            errors = rows[:, offset : offset + span]
            windows = sliding_window_view(errors, ORDER + 1, axis=1)
            toward = (windows * a[:, np.newaxis]).sum(axis=2)
            plain = _cost(errors, usual)
            self._known[offset] = errors, toward, plain, np.abs(errors[:, :6]).max(axis=1)

    def offer(self, rows: Ints, offset: int, decay: float, length: int, spread: float, robust: bool) -> None:
        """Keep, for these rows, a burst of this kind where it is likelier than what was kept."""
        at_once = max(CACHED // length**2, 1)
        for first in range(0, len(rows), at_once):
            self._offer(rows[first : first + at_once], offset, decay, spread, length, robust)

    def ring(self, longest: int, rate: int) -> None:
        """Keep, for each row that large errors fill, a damped oscillation where it is likelier."""
        errors, _, plain, _ = self._known[EARLY]
        span = errors.shape[1]
        chance = RING_COSTS * np.log(span)  # what its numbers explain where there is none
        for row in np.flatnonzero(plain > RINGS_FROM):
            ring = ringing.fit(errors[row], self._a[row], longest, rate)
            if ring.explained < RING_SHARE:
                continue
            length = min(_length(-1 / float(np.log(abs(ring.z)))), longest)
            left = errors[row].copy()
            left[: length + ORDER] -= np.convolve(ring.sound(length), self._a[row])
            cost = float(_cost(left[np.newaxis], self._usual[row : row + 1])[0])
            gain = plain[row] - cost - chance - self._proof
            if gain > self.gain[row]:
                self.gain[row], self.offset[row] = gain, EARLY
                self.power[row], self.decay[row] = (LOOSE * abs(ring.c)) ** 2, length / REACH
                self.length[row] = length
                self.amplitude[row], self.turn[row] = ring.c, ring.z

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
        self.power[kept], self.decay[kept], self.length[kept] = first[better], decay, length


def _solved_back(lower: Floats, right: Floats) -> Floats:
    """x of lower^T x = right, for triangles (rows, n, n) and (rows, n); numpy knows general matrices only."""
    x = np.empty_like(right)
    for i in range(right.shape[1] - 1, -1, -1):
        x[:, i] = right[:, i] - np.einsum("rj,rj->r", lower[:, i + 1 :, i], x[:, i + 1 :])
        x[:, i] /= lower[:, i, i]
    return x


def _cost(errors: Floats, usual: Floats) -> Floats:
    """-2 log likelihood of (rows, samples), but for a constant: Gaussian, with a heavy tail.

    Sound errs by a hundred times the usual now and then, by more hardly ever: that is crackle in silence.
    """
    size = np.square(errors) / usual[:, np.newaxis]
    large = np.log(np.maximum(size, 1.0))
    large += 1 + TAIL + FAR_COSTS * np.maximum(large - FAR, 0.0)
    return np.asarray(np.minimum(size, large).sum(axis=1))
