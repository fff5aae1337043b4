"""Partials at the end of a sound, and how they go on to those at the beginning of another.

Peaks of a spectrum, as exponentially growing or decaying sinusoids whose amplitudes and phases are
fitted together by least squares; those of both sides are paired by frequency, and each pair is joined
by a cubic phase (McAulay and Quatieri 1986, "Speech analysis/synthesis based on a sinusoidal
representation") and an exponential amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

MOST = 80
CLEAR_DB = 15.0  # above the median of the spectrum around
DEPTH_DB = 70.0  # below the strongest
STEEPEST_PER_S = 30.0  # growth and decay, nepers
EASED_S = 0.01
REFINED = 1  # times that all frequencies and growths are corrected together
RIDGE = 1e-5
NEAR_SHARE, NEAR_HZ = 0.015, 10.0  # how far apart the frequencies of one partial may be on both sides
LEVEL_COUNTS = 0.003  # of a pair: a neper of level is like this share of frequency


@dataclass(frozen=True, slots=True, eq=False)
class Partials:
    """Partials at the end of a side: rad and nepers per sample, the complex value one sample on; the rest."""

    frequency: Floats
    growth: Floats
    value: Complexes
    rest: Floats


def at_end(side: Floats, rate: int) -> Partials:
    """The partials of (n,) as they are at its end."""
    count = len(side)
    time = np.arange(-count, 0.0)
    frequency = _peaks(side)
    if not len(frequency):
        return Partials(frequency, frequency, np.zeros(0, np.complex128), side)
    steepest = STEEPEST_PER_S / rate
    growth = _growth(side, time, frequency, steepest)
    # what lies next to the gap counts most
    weight = np.sin(np.pi / 2 * (np.arange(count) + 0.5) / count)
    for _ in range(REFINED):
        basis = np.exp(np.outer(time, 1j * frequency + growth))
        value, turn = np.split(
            _fitted(side, np.concatenate((basis, basis * time[:, np.newaxis]), 1), weight), 2
        )
        change = turn / np.where(np.abs(value) > 0, value, 1.0)
        frequency = frequency + np.clip(change.imag, -0.5 * np.pi / count, 0.5 * np.pi / count)
        growth = np.clip(growth + change.real, -steepest, steepest)
    basis = np.exp(np.outer(time, 1j * frequency + growth))
    value = _fitted(side, basis, weight)
    return Partials(frequency, growth, value, side - (basis @ value).real)


def _fitted(side: Floats, basis: Complexes, weight: Floats) -> Complexes:
    """The values (k,) that bring the real part of basis (n, k) @ values nearest to the side, by weight."""
    columns = np.concatenate((basis.real, -basis.imag), axis=1)
    size = np.sqrt(np.mean(columns**2, axis=0)) + 1e-12
    weighted = columns / size * weight[:, np.newaxis]
    normal = weighted.T @ weighted
    normal[np.diag_indices(len(normal))] += RIDGE * np.trace(normal) / len(normal)
    found = np.linalg.solve(normal, weighted.T @ (side * weight)) / size
    return np.asarray(found[: basis.shape[1]] + 1j * found[basis.shape[1] :])


def _peaks(side: Floats) -> Floats:
    count = len(side)
    level = 20 * np.log10(np.abs(fft.rfft(side * np.hanning(count), 2 * count)) + 1e-12)
    inner = level[1:-1]
    peak = np.flatnonzero((inner > level[:-2]) & (inner >= level[2:])) + 1
    coarse = ndimage.median_filter(level[::4], 51, mode="nearest")
    floor = np.interp(np.arange(len(level)), 4 * np.arange(len(coarse)), coarse)
    peak = peak[(level[peak] > floor[peak] + CLEAR_DB) & (level[peak] > level.max() - DEPTH_DB)]
    peak = np.sort(peak[np.argsort(-level[peak], kind="stable")[:MOST]])
    below, at, above = level[peak - 1], level[peak], level[peak + 1]
    offset = 0.5 * (below - above) / np.minimum(below - 2 * at + above, -1e-9)
    return np.asarray((peak + np.clip(offset, -0.5, 0.5)) * np.pi / count)


def _growth(side: Floats, time: Floats, frequency: Floats, most: float) -> Floats:
    """From the levels in the first and the last half."""
    half = len(side) // 2
    window = np.hanning(half + 2)[1:-1]
    first, last = (
        np.abs(np.exp(-1j * np.outer(frequency, time[part])) @ (side[part] * window)) + 1e-9
        for part in (slice(0, half), slice(len(side) - half, None))
    )
    return np.asarray(np.clip(np.log(last / first) / (len(side) - half), -most, most))


def across(before: Partials, after: Partials, gap: int, rate: int, edge: int = 0) -> tuple[Floats, float]:
    """The partials through a gap of so many samples, and the share of them, in power, that goes on.

    `after` are those of what follows, turned round in time. What has no partner
    on the other side fades out, or in, and is not heard within `edge` samples of that side.
    """
    time, end = np.arange(gap, dtype=np.float64), max(gap - 1.0, 1.0)
    share = (time + 0.5) / gap
    out = np.zeros(gap)
    # growth at the seams goes over into that of the gap without a kink
    start, stop = (where * np.exp(-where / (EASED_S * rate)) for where in (time, time[::-1]))
    turn = start - stop
    size = np.abs(before.value) + 1e-12, np.abs(after.value) + 1e-12
    phase = np.angle(before.value), -np.angle(after.value)
    pairs = _pairs(before.frequency, after.frequency, size, rate)
    for i, j in pairs:
        first, last = before.frequency[i], after.frequency[j]
        turns = np.round((phase[0][i] + (first + last) * end / 2 - phase[1][j]) / (2 * np.pi))
        rest = phase[1][j] - phase[0][i] - first * end + 2 * np.pi * turns
        bend = 3 / end**2 * rest - (last - first) / end
        twist = -2 / end**3 * rest + (last - first) / end**2
        run = phase[0][i] + first * time + bend * time**2 + twist * time**3
        eased = (
            before.growth[i] * start + after.growth[j] * stop - np.log(size[1][j] / size[0][i]) / gap * turn
        )
        out += size[0][i] * (size[1][j] / size[0][i]) ** share * np.exp(eased) * np.cos(run)
    there = np.clip((time + 0.5 - edge) / (gap - 2 * edge), 0.0, 1.0) * np.pi / 2
    alone = set(range(len(size[0]))) - {i for i, _ in pairs}
    for i in sorted(alone):
        fade = np.exp(np.minimum(before.growth[i], 0.0) * time + np.maximum(before.growth[i], 0.0) * start)
        out += np.cos(there) * fade * size[0][i] * np.cos(phase[0][i] + before.frequency[i] * time)
    back = time - end
    for j in sorted(set(range(len(size[1]))) - {j for _, j in pairs}):
        fade = np.exp(np.maximum(after.growth[j], 0.0) * stop - np.minimum(after.growth[j], 0.0) * back)
        out += np.sin(there) * fade * size[1][j] * np.cos(phase[1][j] + after.frequency[j] * back)
    power = [side**2 for side in size]
    joined = sum(power[0][i] for i, _ in pairs) + sum(power[1][j] for _, j in pairs)
    return out, float(joined / max(power[0].sum() + power[1].sum(), 1e-20))


def _pairs(first: Floats, second: Floats, size: tuple[Floats, Floats], rate: int) -> list[tuple[int, int]]:
    """The nearest of both sides, each at most once."""
    allowed = np.maximum(NEAR_SHARE * first, 2 * np.pi * NEAR_HZ / rate)
    apart = np.abs(second - first[:, np.newaxis])
    cost = apart / np.maximum(first, 1e-9)[:, np.newaxis] + LEVEL_COUNTS * np.abs(
        np.log(size[0][:, np.newaxis] / size[1])
    )
    near = np.argwhere(apart < allowed[:, np.newaxis])
    order = np.argsort(cost[near[:, 0], near[:, 1]], kind="stable")
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for i, j in near[order].tolist():
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j))
    return pairs
