"""The harmonics of one fundamental under other sound: their common phase and slowly changing amplitudes.

The sound is given as lines: each harmonic brought down to zero frequency along a rough
track, in frames. A cubic spline of the phase and a piecewise linear amplitude for each
harmonic are fitted in turn, by least squares whose weights are the inverse of the power
that the fit leaves around each frame. So the pauses between notes and syllables count
most, and a loud note hardly at all (iteratively reweighted least squares; Holland and
Welsch, 1977). The phase is found with the lowest harmonics first, which cannot be a
cycle off, then with more and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline
from scipy.ndimage import uniform_filter1d

Complexes = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.floating]
Singles = npt.NDArray[np.float32]

LEVEL_KNOT_S = 2.0
PHASE_KNOT_S = 0.5
LEVEL_CHANGE = 0.04  # of an amplitude in a second, relative
PHASE_CHANGE = 0.003  # of a harmonic against the others in a second, rad
STEADY = 0.003  # third difference of the phase at the knots, rad, that any mains may have
AROUND = 1  # frames on either side whose power says how far one may be trusted
OVERLAP = 0.5  # frames overlap by half, so that two count as one
FAINT = np.float32(1e-13)
SEARCHED = 10  # harmonics that a search for a constant pitch looks at
SEARCH_STEP_HZ = 0.01

# How many harmonics each round looks at. From a start that is far off, only a fit that begins with the lowest
# and takes in others slowly ends in the best optimum; but the lowest may lie under music. The cost tells.
COLD: tuple[tuple[int, ...], ...] = (
    (*[1] * 12, *[2] * 8, *[3] * 4, *[4] * 4, *[6] * 3, *[8] * 4, *[16] * 4, *[32] * 4),
    (*[2] * 6, *[3] * 4, *[4] * 4, *[6] * 4, *[8] * 4, *[16] * 4, *[32] * 4),
    (4, 4, 4, 8, 8, 8, 16, 16, 32, 32),
)
WARM: tuple[tuple[int, ...], ...] = ((4, 8, 16, 32), (1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 6, 8, 16, 32))
LAST_ROUNDS = 4
SETTLE = 4
HEARD = 1.5  # times the power that chance would give
# how much rougher the track may be while few harmonics are looked at
WIDE = {1: 64.0, 2: 16.0, 3: 8.0, 4: 4.0, 6: 3.0, 8: 2.0}


@dataclass(frozen=True, eq=False)
class Model:
    """Splines over `frames` frames that are `step_s` apart."""

    frames: int
    phase_basis: Floats  # (frames, phase knots)
    roughness: Floats
    level_basis: Singles  # (frames, level knots)
    level_pairs: Singles  # (frames, 2 level knots - 1): products of each with itself, then with the next
    level_step_s: float
    knots: Floats  # of the phase spline, in frames

    def phase_at(self, frame: Floats, coefficients: Floats) -> Floats:
        """The phase at these places, counted in frames; beyond both ends it runs on straight."""
        spline = BSpline(self.knots, coefficients, 3)
        inner = np.clip(frame, 0, self.frames - 1)
        slope = spline.derivative()
        ends = np.array([0.0, self.frames - 1.0])
        first, last = slope(ends)
        beyond = np.where(frame < 0, frame * first, np.maximum(frame - ends[1], 0) * last)
        return np.asarray(spline(inner) + beyond, np.float64)


@lru_cache(maxsize=8)
def model(frames: int, step_s: float) -> Model:
    """The splines for a number of frames, at least 2."""
    length = frames - 1
    pieces = max(1, round(length * step_s / PHASE_KNOT_S))
    width = length / pieces
    knots = width * np.arange(-3, pieces + 4)
    at = np.arange(frames)
    basis = BSpline.design_matrix(np.clip(at, 0, length), knots, 3).toarray()
    third = np.diff(np.eye(pieces + 3), n=3, axis=0)
    count = max(2, round(length * step_s / LEVEL_KNOT_S) + 1)
    level = np.maximum(0, 1 - np.abs(at[:, np.newaxis] * (count - 1) / length - np.arange(count)))
    pairs = np.concatenate((level**2, level[:, 1:] * level[:, :-1]), axis=1)
    return Model(
        frames,
        basis,
        third.T @ third,
        level.astype(np.float32),
        pairs.astype(np.float32),
        length * step_s / (count - 1),
        knots,
    )


@dataclass(frozen=True, eq=False)
class Fit:
    """The phase (spline coefficients), and amplitudes at the level knots, (channels, knots, harmonics)."""

    model: Model
    phase: Floats
    levels: Complexes


def powers_of(phase: Floats, count: int) -> Complexes:
    """exp(i k phase) for k = 1 to count, (len(phase), count)."""
    out = np.empty((len(phase), count), np.complex64)
    out[:, 0] = np.exp(1j * phase)
    done = 1
    while done < count:
        more = min(done, count - done)
        np.multiply(out[:, :more], out[:, done - 1 : done], out=out[:, done : done + more])
        done += more
    return out


def constant_pitch(lines: Complexes, base: Floats, step_s: float, near_hz: float, reach_hz: float) -> float:
    """The frequency, in Hz, at which the lines, (channels, frames, harmonics), stand still best.

    Looked for within `reach_hz` of `near_hz`. `base` is the phase of the fundamental along
    which the lines were brought down, (frames,).
    """
    lines = lines[:, :, :SEARCHED]
    size = np.abs(lines) ** 2
    weight = 1 / (uniform_filter1d(size, 2 * AROUND + 1, axis=1, mode="nearest") + FAINT)
    total = weight.sum(axis=1) * (weight * size).sum(axis=1)
    tries = near_hz + np.arange(-reach_hz, reach_hz + SEARCH_STEP_HZ / 2, SEARCH_STEP_HZ)
    time = step_s * np.arange(lines.shape[1])
    phase = 2 * np.pi * np.mod(tries[:, np.newaxis] * time, 1.0) - base
    sums = np.zeros((len(lines), len(tries), lines.shape[2]), np.complex64)
    turn = np.exp(-1j * phase).astype(np.complex64)
    turned = np.ones_like(turn)
    for k in range(lines.shape[2]):
        turned = turned * turn
        sums[:, :, k] = (weight[:, :, k] * lines[:, :, k]) @ turned.T
    share = np.minimum(np.abs(sums) ** 2 / (total[:, np.newaxis] + 1e-30), 0.999)
    return float(tries[np.log(1 - share).sum(axis=(0, 2)).argmin()])


def fit(lines: Complexes, base: Floats, start: Floats, step_s: float, schedule: tuple[int, ...]) -> Fit:
    """Phase and amplitudes of lines, (channels, frames, harmonics).

    `base` is the phase along which they were brought down, `start` the one to begin with,
    (frames,). `schedule` says how many harmonics each round looks at; rounds with all that
    can be told from noise follow.
    """
    phase, _ = follow(lines, base, start, step_s, schedule)
    by = model(lines.shape[1], step_s)
    total = lines.shape[2]
    still = lines * powers_of(base - by.phase_basis @ phase, total)
    weight = _trust(still)
    for _ in range(SETTLE):
        mean = (weight * still).sum(axis=1) / weight.sum(axis=1)
        weight = _trust(still - mean[:, np.newaxis])
    size, doubt = np.abs(mean) ** 2, 1 / weight.sum(axis=1)
    heard = np.flatnonzero((size > HEARD * doubt).any(axis=0))
    levels = np.zeros((len(lines), by.level_basis.shape[1], total), np.complex64)
    if len(heard):
        state = _State(by, np.ascontiguousarray(lines[:, :, heard]), heard + 1, weight[:, :, heard])
        for _ in range(LAST_ROUNDS):
            phase = state.improve(base, phase, 1.0)
        level, doubt = state.levels(base, phase)
        size = np.abs(level.mean(axis=1)) ** 2
        level *= np.maximum(0, 1 - doubt / (size + np.float32(1e-20)))[:, np.newaxis]
        levels[:, :, heard] = level
    return Fit(by, phase, levels)


def follow(
    lines: Complexes, base: Floats, start: Floats, step_s: float, schedule: tuple[int, ...]
) -> tuple[Floats, float]:
    """Coefficients of the phase, and their cost: the lower, the better they explain the lines.

    Arguments as for `fit`; costs can be compared where the lines are the same, and so is the last number of
    the schedule.
    """
    by = model(lines.shape[1], step_s)
    phase = np.linalg.lstsq(by.phase_basis, start, rcond=None)[0]
    state, cost = None, 0.0
    for used in [min(n, lines.shape[2]) for n in schedule]:
        if state is None or used > len(state.k):
            held = state.weight if state else np.zeros((*lines.shape[:2], 0), np.float32)
            part = np.ascontiguousarray(lines[:, :, :used])
            still = part[:, :, held.shape[2] :] * _turns(
                base - by.phase_basis @ phase, np.arange(held.shape[2], used) + 1
            )
            weight = np.concatenate((held, _trust(still)), axis=2)
            state = _State(by, part, np.arange(1, used + 1), weight)
            state.levels(base, phase)
        phase = state.improve(base, phase, WIDE.get(used, 1.0))
        cost = state.cost
    return phase, cost


def search(
    lines: Complexes,
    base: Floats,
    starts: Sequence[Floats],
    step_s: float,
    schedules: Sequence[tuple[int, ...]],
) -> Floats:
    """Coefficients of the phase that explain the lines best, of all that these starts and schedules lead to.

    Arguments as for `follow`.
    """
    found = [follow(lines, base, start, step_s, schedule) for start in starts for schedule in schedules]
    return min(found, key=lambda pair: pair[1])[0]


class _State:
    """Lines of some harmonics with what is believed of them."""

    def __init__(self, by: Model, lines: Complexes, k: npt.NDArray[np.int64], weight: Singles) -> None:
        self._by, self._lines, self.k, self.weight = by, lines, k, weight
        self.cost = 0.0

    def levels(self, base: Floats, phase: Floats) -> tuple[Complexes, Singles]:
        """Amplitudes at the level knots for this phase, and the variance of their mean; weighs anew."""
        still = self._lines * _turns(base - self._by.phase_basis @ phase, self.k)
        return self._weigh(still)

    def _weigh(self, still: Complexes) -> tuple[Complexes, Singles]:
        level, doubt = _levels(still, self.weight, self._by)
        self.weight = _trust(still - self._by.level_basis @ level)
        return level, doubt

    def improve(self, base: Floats, phase: Floats, wide: float) -> Floats:
        """One step of Gauss and Newton on the phase."""
        by = self._by
        still = self._lines * _turns(base - by.phase_basis @ phase, self.k)
        level, _ = self._weigh(still)
        believed = by.level_basis @ level
        k = self.k.astype(np.float32)
        cross = believed.real * still.imag - believed.imag * still.real
        power = believed.real**2 + believed.imag**2
        pull = (self.weight * cross).sum(axis=0) @ k
        stiff = (self.weight * power).sum(axis=0) @ k**2
        third = float(phase @ by.roughness @ phase) / max(len(phase) - 3, 1)
        may = max(STEADY**2, third * wide)
        hessian = by.phase_basis.T @ (stiff[:, np.newaxis] * by.phase_basis) + by.roughness / may
        slope = by.phase_basis.T @ pull - by.roughness @ phase / may
        step = np.linalg.solve(hessian + 1e-9 * np.eye(len(phase)), slope)
        self.cost = 0.5 * len(phase) * float(np.log(may)) - OVERLAP * float(
            np.log(self.weight).sum(dtype=np.float64)
        )
        return np.asarray(phase + step / max(1.0, float(np.abs(by.phase_basis @ step).max())), np.float64)


def _turns(phase: Floats, k: npt.NDArray[np.int64]) -> Complexes:
    return powers_of(phase, int(k[-1]))[:, k - 1] if len(k) < k[-1] else powers_of(phase, len(k))


def _trust(away: Complexes) -> Singles:
    power = away.real**2 + away.imag**2
    spread = uniform_filter1d(power, 2 * AROUND + 1, axis=1, mode="nearest")
    return np.asarray(np.float32(OVERLAP) / (np.maximum(spread, 0) + FAINT), np.float32)


def _levels(still: Complexes, weight: Singles, by: Model) -> tuple[Complexes, Singles]:
    """Amplitudes at the level knots, (channels, knots, harmonics), and the variance of their mean.

    In size they may change with time, in phase hardly: else they would take up what the track has missed.
    """
    count = by.level_basis.shape[1]
    pairs = by.level_pairs.T @ weight
    sums = by.level_basis.T.astype(np.complex64) @ (weight * still)
    total = pairs[:, :count].sum(axis=1) + 2 * pairs[:, count:].sum(axis=1)
    mean = sums.sum(axis=1) / total
    size = np.abs(mean) + np.float32(1e-20)
    unit = (mean / size)[:, np.newaxis]
    sums = sums * unit.conj()
    stiff = 1 / (by.level_step_s * (size**2 + np.float32(1e-14)))[:, np.newaxis]
    real = _tridiagonal(pairs, sums.real, stiff / LEVEL_CHANGE**2)
    imag = _tridiagonal(pairs, sums.imag, stiff / PHASE_CHANGE**2)
    return np.asarray((real + 1j * imag) * unit, np.complex64), np.asarray(1 / total, np.float32)


def _tridiagonal(pairs: Singles, sums: Singles, stiff: Singles) -> Floats:
    """Solve for the knots (axis 1) of all channels and harmonics; `stiff` ties neighbours together."""
    count = sums.shape[1]
    main = pairs[:, :count].astype(np.float64) + 2 * stiff
    main[:, 0] -= stiff[:, 0]
    main[:, -1] -= stiff[:, 0]
    off = pairs[:, count:].astype(np.float64) - stiff
    right = sums.astype(np.float64)
    for i in range(1, count):
        share = off[:, i - 1] / main[:, i - 1]
        main[:, i] -= share * off[:, i - 1]
        right[:, i] -= share * right[:, i - 1]
    out = np.empty_like(right)
    out[:, -1] = right[:, -1] / main[:, -1]
    for i in range(count - 2, -1, -1):
        out[:, i] = (right[:, i] - off[:, i] * out[:, i + 1]) / main[:, i]
    return out
