"""Tops that were cut and then coded: no two samples are equal any more, but the half-waves still end alike.

Two things tell them together. Their peaks pile up at one level with nothing above it; and they are flat:
the sides go up so steeply that a round top would have risen far higher in the time. Sound by itself has one
of the two at most: a limiter makes peaks alike but round; a square wave is flat everywhere, and it jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Window
from wavemend.core.types import Format

Floats = npt.NDArray[np.float64]

SIDE = 0.8  # of the peak: where a half-wave's sides are looked at
LEAST_SAMPLES = 4  # in a half-wave
JUMP = 0.7  # of the peak from one sample to the next: a square wave rises so
LEAST, MOST, STEP = (
    0.01,
    30.0,
    0.01,
)  # peaks that are counted, full scale is 1, and the width of a bin, as a share
PEAKS = LEAST * np.exp(STEP * np.arange(round(np.log(MOST / LEAST) / STEP)))
SHARP = np.geomspace(0.5, 16.0, 51)  # edges of the bins of flatness; a parabola has 1, jumps lie beyond

PASSED = 5  # peaks that may be far above the level: what a coder makes of one top in many
BAND, BELOW = (0.89, 1.12), 0.70  # around the level, as shares of it
LEVELS = np.geomspace(1.0, 0.6, 25)  # that are tried, as shares of the highest peak
ABOVE = 0.06  # of the tops may lie above the band
MIDDLE = (0.25, 0.6)  # half-waves that nothing was cut from
FEWEST, LEAST_PILE, LEAST_FLAT, LEAST_RATIO = 30, 1.2, 1.45, 1.3
SURE_PILE, SURE_FLAT = 2.5, 2.2
LOW_SHARE = 0.05  # of the tops lie below what is told as the lowest
WITHIN = 0.91  # of its peak: how low a coded top goes
SECTION_S = 15.0
ONE_SIDE = 0.7


@dataclass(frozen=True, slots=True)
class Level:
    """Where tops of one side were cut: the lowest sample of nearly all, and how sure that is, 0 to 1."""

    lowest: float
    confidence: float
    tops: int
    samples: float


@dataclass(frozen=True, slots=True, eq=False)
class HalfWaves:
    """Between two zeros each, (n,): first sample, side (1 or -1), peak, flatness, samples in its top.

    The flatness of one that jumps is infinite.
    """

    start: npt.NDArray[np.intp]
    side: npt.NDArray[np.intp]
    peak: Floats
    flat: Floats
    width: Floats


def half_waves(x: npt.NDArray[np.floating], least: float = LEAST) -> HalfWaves:
    """Those of (n,) samples that lie in it as a whole and rise to `least`."""
    below = np.signbit(x)
    edges = np.flatnonzero(below[1:] != below[:-1]) + 1
    if len(edges) < 2:
        return _none()
    size = np.abs(x.astype(np.float64))
    start, stop = edges[:-1], edges[1:]
    peak = np.maximum.reduceat(size, edges)[:-1]
    kept = (stop - start >= LEAST_SAMPLES) & (peak >= least)
    start, stop, peak = start[kept], stop[kept], peak[kept]
    if not len(start):
        return _none()
    length = stop - start
    places = np.concatenate(([0], np.cumsum(length)[:-1]))
    at = np.repeat(start - places, length) + np.arange(int(length.sum()))
    high = size[at] >= SIDE * np.repeat(peak, length)
    first = np.minimum.reduceat(np.where(high, at, len(x)), places)
    last = np.maximum.reduceat(np.where(high, at, -1), places)
    # the neighbours below the line may lie across the zero
    before = np.where(first > start, size[first - 1], -size[first - 1])
    after_at = np.minimum(last + 1, len(x) - 1)
    after = np.where(last + 1 < stop, size[after_at], -size[after_at])
    line = SIDE * peak
    rise, fall = size[first] - before, size[last] - after
    width = last - first + (size[first] - line) / rise + (size[last] - line) / fall
    # the height that a parabola with these sides would have over the line, over that of the peak
    flat = np.minimum(rise, fall) * width / 4 / (peak - line)
    flat[np.maximum(rise, fall) > JUMP * peak] = np.inf
    return HalfWaves(start, np.where(below[start], -1, 1), peak, flat, width)


def _none() -> HalfWaves:
    nothing = np.empty(0)
    return HalfWaves(np.empty(0, np.intp), np.empty(0, np.intp), nothing, nothing, nothing)


class Piles:
    """How many half-waves of one side have which peak and which flatness; what can be added up."""

    def __init__(self) -> None:
        self.counts = np.zeros((len(PEAKS), len(SHARP) + 1), np.int64)
        self.samples = np.zeros(len(PEAKS))

    def add(self, peak: Floats, flat: Floats, width: Floats) -> None:
        """Count these half-waves, (n,) each."""
        at = np.clip(np.log(peak / LEAST) / STEP, 0, len(PEAKS) - 1).astype(np.intp)
        np.add.at(self.counts, (at, np.searchsorted(SHARP, flat)), 1)
        np.add.at(self.samples, at, width)

    def join(self, other: Piles) -> None:
        """Count what the other one counted too."""
        self.counts += other.counts
        self.samples += other.samples

    def level(self) -> Level | None:
        """Where the tops pile up, if they were cut there."""
        of_peak = self.counts.sum(axis=1)
        from_top = np.cumsum(of_peak[::-1])
        if from_top[-1] < FEWEST:
            return None
        highest = PEAKS[len(from_top) - 1 - int(np.searchsorted(from_top, PASSED))]
        pile, level = max((self._pile(of_peak, highest * share), highest * share) for share in LEVELS)
        band, middle = (
            self.counts[slice(*np.searchsorted(PEAKS, [a * level, b * level]))] for a, b in (BAND, MIDDLE)
        )
        # what jumps speaks for a synthesiser: at the level it is not flat, elsewhere it is
        band = band.copy()
        band[:, 0] += band[:, -1]
        band[:, -1] = 0
        flat, usual = _median(band.sum(axis=0)), _median(middle.sum(axis=0))
        if band.sum() < FEWEST or pile < LEAST_PILE or flat < max(LEAST_FLAT, LEAST_RATIO * usual):
            return None
        first = int(np.searchsorted(PEAKS, BAND[0] * level))
        tops = np.cumsum(band[:, int(np.searchsorted(SHARP, LEAST_FLAT)) :].sum(axis=1))
        lowest = PEAKS[first + int(np.searchsorted(tops, LOW_SHARE * tops[-1]))]
        surely = min(
            (pile - LEAST_PILE) / (SURE_PILE - LEAST_PILE), (flat - LEAST_FLAT) / (SURE_FLAT - LEAST_FLAT)
        )
        samples = float(self.samples[first : first + len(band)].sum())
        return Level(WITHIN * float(lowest), 0.6 + 0.35 * min(surely, 1.0), int(tops[-1]), samples)

    def _pile(self, of_peak: npt.NDArray[np.int64], level: float) -> float:
        """Half-waves that end around a level over those that end below it; 0 where others go on above."""
        edges = np.searchsorted(PEAKS, [BELOW * level, BAND[0] * level, BAND[1] * level])
        below, here = int(of_peak[edges[0] : edges[1]].sum()), int(of_peak[edges[1] : edges[2]].sum())
        above = int(of_peak[edges[2] :].sum())
        return here / (below + above + 10) if above <= ABOVE * here + 2 else 0.0


def _median(counts: npt.NDArray[np.int64]) -> float:
    """The middle flatness by counts in the bins; where there are few, as if they were flat."""
    total = int(counts.sum())
    if total < 10:
        return float(SHARP[-1])
    place = int(np.searchsorted(np.cumsum(counts), total / 2))
    return float(np.sqrt(SHARP[max(place - 1, 0)] * SHARP[min(place, len(SHARP) - 1)]))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where one side (1 or -1) of one channel was cut at one level."""

    channel: int
    side: int
    start: int
    stop: int
    level: Level

    def meets_other_side(self, found: Sequence[Stretch]) -> bool:
        """Whether the channel's other side was cut at the same time."""
        return any(
            other.channel == self.channel
            and other.side != self.side
            and min(other.stop, self.stop) > max(other.start, self.start)
            for other in found
        )

    def less_sure(self) -> Stretch:
        """The same, for one side alone: that is how some synthesisers sound."""
        return replace(self, level=replace(self.level, confidence=ONE_SIDE * self.level.confidence))


class TopsFinder:
    """Looks for one level over the whole recording, or else section by section."""

    def __init__(self, format: Format) -> None:
        self._section = round(SECTION_S * format.sample_rate)
        self._places = [(channel, side) for channel in range(format.channels) for side in (1, -1)]
        self._all = {place: Piles() for place in self._places}
        self._now = {place: Piles() for place in self._places}
        self._found: list[Stretch] = []
        self._began = self._seen = 0

    def look(self, window: Window) -> None:
        """The next chunk, with enough around it that half-waves are whole."""
        if window.start - self._began >= self._section:
            self._close(window.start)
        for channel, x in enumerate(window.samples):
            loudest = float(np.abs(window.chunk[channel]).max())
            if loudest < LEAST:
                continue
            waves = half_waves(x, max(LEAST, MIDDLE[0] / 2 * loudest))
            own = (waves.start >= window.lead) & (waves.start < window.lead + window.length)
            for side in (1, -1):
                of_side = own & (waves.side == side)
                told = waves.peak[of_side], waves.flat[of_side], waves.width[of_side]
                self._now[channel, side].add(*told)
        self._seen = window.start + window.length

    def finish(self) -> list[Stretch]:
        """What was found, by channel, side and place."""
        self._close(self._seen)
        found = []
        for channel, side in self._places:
            level = self._all[channel, side].level()
            if level is not None:
                found.append(Stretch(channel, side, 0, self._seen, level))
            else:
                found += [one for one in self._found if (one.channel, one.side) == (channel, side)]
        return [one if one.meets_other_side(found) else one.less_sure() for one in found]

    def _close(self, stop: int) -> None:
        """Judge the section that ends here, and begin the next."""
        for place, piles in self._now.items():
            level = piles.level()
            if level is not None:
                self._found.append(Stretch(*place, self._began, stop, level))
            self._all[place].join(piles)
        self._now = {place: Piles() for place in self._places}
        self._began = stop
