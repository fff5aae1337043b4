"""Where the band of a recording ends, from its spectrum.

An end is a fall that what lies below it does not announce, with nothing above that is as strong again. Steep
filters fall within a few per cent of the frequency, gentle ones within half an octave, for which
the fall must be deeper. The end itself is where the fall began: the line through its middle, drawn back.
"""

from __future__ import annotations

from bisect import insort

import numpy as np
import numpy.typing as npt

from wavemend.core.dsp import means_around

STEP_HZ = 94.0
LOWEST_HZ, HIGHEST_HZ = 1_900.0, 16_200.0
LOW_HZ, LOW_DB = 3_200.0, 10.0  # below it few partials may be all that there is: the fall must be deeper
HIGHEST_SHARE = 0.88  # of half the sample rate
SHARES = (0.08, 0.2, 0.3)  # of its frequency: within that above and below, the sound falls
DROPS_DB = (24.0, 30.0, 42.0)
SURPRISES_DB = (18.0, 24.0, 34.0)  # of the fall, beyond what comes before it announces
BENDS = (1.0, 1.5, 2.0)  # how much steeper than before sound may become by itself
SEEN, NEAR = 0.2, 0.12  # of its frequency to each side, within which a fall begins
STEEPER = 2.0  # than the slope that leads to it, a cliff is the end
BLUR = 1 / 12  # octaves to each side that levels are means of
FLOOR_DB = -130.0
BEGINS_DB = 3.0

Levels = npt.NDArray[np.float64]


def band_end(power: npt.NDArray[np.floating], nyquist_hz: float) -> float | None:
    """The frequency in Hz, or None; power (bins,) lies evenly from 0 to `nyquist_hz`."""
    width = max(1, round(STEP_HZ * len(power) / nyquist_hz))
    step_hz = nyquist_hz / len(power) * width
    bands = power[: len(power) // width * width].reshape(-1, width).mean(axis=1)
    # means over a twelfth of an octave to each side: partials are no ends
    level = np.maximum(10 * np.log10(means_around(bands, 2**BLUR - 1, 1) + 1e-20), FLOOR_DB)
    above = _high_above(level)
    for share, least, surprise, bends in zip(SHARES, DROPS_DB, SURPRISES_DB, BENDS, strict=True):
        best: tuple[float, int, int] | None = None
        for edge in range(round(LOWEST_HZ / step_hz), round(1.1 * HIGHEST_HZ / step_hz)):
            wide = max(2, round(share * edge))
            if edge * step_hz > HIGHEST_SHARE * nyquist_hz or edge + wide >= len(level) - 2:
                break
            low = LOW_DB if edge * step_hz < LOW_HZ else 0.0
            here = _median(level[max(edge - 2 * wide, edge // 2) : edge - wide // 2])
            drop = here - above[edge + wide]
            if drop < least + low:
                continue
            before = _median(level[max(edge - 6 * wide, edge // 4) : max(edge - 3 * wide, edge // 2)])
            if drop - bends * max(before - here, 0.0) < surprise + low:
                continue
            step = float(level[edge - wide : edge].mean() - level[edge : edge + wide].mean())
            if best is None or step > best[0]:
                best = step, edge, wide
        if best is not None:
            _, edge, wide = best
            end_hz = _end(level, edge, max(wide, round(SEEN * edge))) * step_hz
            return end_hz if end_hz <= HIGHEST_HZ else None
    return None


def _median(values: Levels) -> float:
    """As of numpy, which takes ten times as long for so few."""
    ranked = np.sort(values)
    return float(ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2


def _high_above(level: Levels) -> list[float]:
    """From each band upwards, the level that 5 % of all bands lie above (linear between ranks)."""
    ranked: list[float] = []
    high: list[float] = []
    for value in level[::-1].tolist():
        insort(ranked, value)
        place = 0.95 * (len(ranked) - 1)
        low = int(place)
        upper = ranked[min(low + 1, len(ranked) - 1)]
        high.append(ranked[low] + (place - low) * (upper - ranked[low]))
    return high[::-1]


def _end(level: Levels, edge: int, wide: int) -> float:
    """Where the fall around an edge begins, in bands, looked at so far to each side, and from nearer.

    A slope before a cliff draws the line back into the band: where the cliff is steeper by far than
    what leads to it, it counts alone, less half of what the means carry over it.
    """
    last, near = len(level) - 1, max(2, round(NEAR * edge))
    first = _begin(level, edge - wide, min(edge + wide, last))
    second = _begin(level, edge - near, min(edge + near, last))
    a, b = round(first), round(second)
    c = min(round(b * 2**BLUR), last)
    if b <= a or c <= b:
        return first
    before = (level[a] - level[b]) / np.log2((b + 0.5) / (a + 0.5))
    cliff = (level[b] - level[c]) / np.log2((c + 0.5) / (b + 0.5))
    return max(second / 2 ** (BLUR / 2), first) if cliff > STEEPER * before else first


def _begin(level: Levels, bottom: int, top: int) -> float:
    """Where a fall between two places begins, in bands."""
    high, low = float(level[bottom : top + 1].max()), float(level[top])
    fall = high - low
    first = bottom + int(np.flatnonzero(level[bottom : top + 1] >= high - fall / 4)[-1])
    last = first + int(np.argmax(level[first : top + 1] <= high - 3 * fall / 4))
    last = max(last, first + 1)
    octaves = np.log2((last + 0.5) / (first + 0.5))
    fall = max(fall, 2 * BEGINS_DB)
    middle = np.sqrt((last + 0.5) * (first + 0.5))
    return float(middle * 2 ** (-(fall / 2 - BEGINS_DB) * octaves / (fall / 2)))
