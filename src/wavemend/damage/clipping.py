"""Hard clipping: peaks cut off flat at a level, at full scale or, after a later gain, anywhere below.

Found from cut tops: runs of samples that lie at the peak of their surroundings, equal to
within the quantisation, while the samples beside them lie well below and rise towards the
level as if they would pass it. A rounded peak falls off slowly at first, so coarse
quantisation alone cannot make such a run; and only clipping makes many at one level with
nothing above it. Plateaus at other levels, and sound that spends most of its time at its
extremes, speak for a synthesiser. Where none is found, tops are looked for that were cut, then coded
as MP3, AAC or Vorbis: see `core.tops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.params import Param
from wavemend.core.tops import Stretch, TopsFinder
from wavemend.core.types import Finding, Format, Region, Samples, merge_spans, runs
from wavemend.damage import Damage, Drawn

UNREACHED = 1e9
"""The clip level of a side that is not clipped."""

JOIN_MS = 50.0  # clipped samples nearer than this share a region
MIN_LEVEL = 0.001  # -60 dBFS
STEPS = 2.5  # two samples within so many quantisation steps are equal: dither moves each by one
MIN_STEPS = 64.0  # quieter than this, the quantisation itself looks cut
STEEP = 3.0  # drop beside a cut top, as a multiple of what a rounded peak of that width can show

SAME_LEVEL = 1e-3  # as a share of the level
MIN_CONFIDENCE = 0.3
FEW_TOPS = 3  # of three equal samples and more, by chance

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int_]
Mask = npt.NDArray[np.bool_]


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    sdr_db: float,
    level: float,
    sides: float,
    gain_db: float,
) -> Drawn:
    """What is asked for; where there is one side, chance decides which. `settle` finds level and places."""
    clipped = (True, True) if sides == 2 else ((True, False) if rng.random() < 0.5 else (False, True))
    return {
        "sdr_db": sdr_db,
        "level": level,
        "high": clipped[0],
        "low": clipped[1],
        "gain": 10 ** (gain_db / 20),
        "findings": (),
    }


def settle(samples: Samples, format: Format, drawn: Drawn) -> Drawn:
    """The draw with the level that gives the SDR on this sound, and the truth about where it clips."""
    level = float(
        np.float32(drawn["level"] or level_for(samples, drawn["sdr_db"], drawn["high"], drawn["low"]))
    )
    settled = {**drawn, "level": level}
    gap = round(JOIN_MS / 1000 * format.sample_rate)
    damaged = apply(samples, format, settled)
    high = float(np.float32(level) * np.float32(drawn["gain"])) if drawn["high"] else UNREACHED
    low = -float(np.float32(level) * np.float32(drawn["gain"])) if drawn["low"] else -UNREACHED
    findings = []
    for channel, x in enumerate(damaged):
        beyond = (x >= high) | (x <= low)
        for start, stop in merge_spans(runs(beyond), gap):
            tops = len(runs(beyond[start:stop]))
            share = float(beyond[start:stop].mean())
            findings.append(_finding(channel, start, stop, high, low, share, tops, 1.0))
    findings.sort(key=lambda f: f.region.start)
    return {**settled, "findings": tuple(findings)}


def level_for(samples: Samples, sdr_db: float, high: bool = True, low: bool = True) -> float:
    """The level at which clipping leaves this signal-to-distortion ratio; 0 for silence.

    One side alone may not hold enough energy to lose; then nearly all of it is cut.
    """
    x = samples.astype(np.float64).ravel()
    allowed = float((x**2).sum()) * 10 ** (-sdr_db / 10)
    reachable = np.sort(np.concatenate((x[x > 0] if high else x[:0], -x[x < 0] if low else x[:0])))[::-1]
    # with the level at the k-th largest, what is lost is sum (a - level)^2 over those above
    count = np.arange(1, len(reachable) + 1)
    total, squares = np.cumsum(reachable), np.cumsum(reachable**2)
    lost = squares - 2 * reachable * total + count * reachable**2
    k = int(np.searchsorted(lost, allowed, "right")) - 1
    if k < 0:
        return 0.0
    smallest = 1e-6 * float(reachable[0])
    mean, spread = total[k] / (k + 1), squares[k] - total[k] ** 2 / (k + 1)
    return float(max(mean - np.sqrt(max((allowed - spread) / (k + 1), 0.0)), smallest))


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Cut at the level, then apply the gain."""
    level = np.float32(drawn["level"])
    if not level:
        return samples.copy()
    cut = np.clip(samples, -level if drawn["low"] else None, level if drawn["high"] else None)
    return np.asarray(cut * np.float32(drawn["gain"]), np.float32)


@dataclass(slots=True)
class _Stretch:
    """Clipped samples of one side that belong to one region."""

    start: int
    stop: int
    level: float  # the lowest of them, so that a comparison finds all
    samples: int
    tops: int


@dataclass(slots=True)
class _Level:
    """The evidence for one clip level of one side."""

    level: float
    tolerance: float
    short: int = 0  # cut tops of two samples
    long: int = 0  # of three and more
    passing: int = 0  # edges that would pass the level
    elsewhere: int = 0  # plateaus at other levels in the same blocks
    at_level: int = 0
    looked_at: int = 0
    stretches: list[_Stretch] = field(default_factory=list)

    def near(self, level: float, tolerance: float) -> bool:
        return abs(level - self.level) <= 2 * max(tolerance, self.tolerance)


class ClippingDetector(Search):
    """Looks in blocks of 50 ms at the samples nearest to the extremes."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._block = max(16, round(JOIN_MS / 1000 * format.sample_rate))
        self._grid = Grid(format.channels, hop=20 * self._block, left=self._block, right=self._block)
        self._levels: list[tuple[list[_Level], list[_Level]]] = [([], []) for _ in range(format.channels)]
        self._coded = TopsFinder(format)

    def _conclude(self) -> Sequence[Finding]:
        return _findings(self._levels, self._block, self._coded.finish())

    def _look(self, window: Window) -> None:
        self._coded.look(window)
        size, given = self._block, window.samples
        count = -(-given.shape[1] // size)
        x = np.zeros((len(given), count * size), np.float32)
        x[:, : given.shape[1]] = given
        blocks = x.reshape(len(x), count, size)
        first = window.lead // size
        own = slice(first, first + -(-window.length // size))
        for side, extremes in enumerate((blocks.max(axis=2), -blocks.min(axis=2))):
            around = extremes.copy()
            around[:, 1:] = np.maximum(around[:, 1:], extremes[:, :-1])
            around[:, :-1] = np.maximum(around[:, :-1], extremes[:, 1:])
            peaks = np.zeros_like(extremes)
            peaks[:, own] = extremes[:, own]
            candidates = (peaks >= MIN_LEVEL) & (peaks >= 0.99 * around)
            for channel in np.flatnonzero(candidates.any(axis=1)):
                peak = np.where(candidates[channel], peaks[channel], 0.0)
                tolerance = _tolerance(blocks[channel, int(peak.argmax())])
                peak[(peak < around[channel] - tolerance) | (peak < MIN_STEPS / STEPS * tolerance)] = 0.0
                if peak.any():
                    sign = -1 if side else 1
                    tops = _tops(x[channel, : given.shape[1]], blocks[channel], peak, tolerance, sign)
                    if tops is not None:
                        self._weigh(int(channel), side, tops, window.start - window.lead)

    def _weigh(self, channel: int, side: int, tops: _Tops, offset: int) -> None:
        """File the tops under their levels; new levels need a cut top."""
        levels = self._levels[channel][side]
        left = np.ones(len(tops.start), bool)
        while (left & tops.cut).any():
            level = float(tops.peak[left & tops.cut].max())
            of_level = left & (np.abs(tops.peak - level) <= 2 * tops.tolerance)
            left &= ~of_level
            known = next((k for k in levels if k.near(level, tops.tolerance)), None)
            if known is None:
                known = _Level(level, tops.tolerance)
                levels.append(known)
            tops.count(known, of_level, self._block)
            self._stretch(known, tops, of_level, offset)
        for known in levels if left.any() else ():
            of_level = left & (np.abs(tops.peak - known.level) <= 2 * tops.tolerance)
            if of_level.any():
                left &= ~of_level
                self._stretch(known, tops, of_level, offset)

    def _stretch(self, known: _Level, tops: _Tops, chosen: Mask, offset: int) -> None:
        start, stop = tops.start[chosen] + offset, tops.stop[chosen] + offset
        edges = np.flatnonzero(start[1:] - stop[:-1] > self._block) + 1
        lowest, length = tops.lowest[chosen], stop - start
        for part in np.split(np.arange(len(start)), edges):
            a, b, level = int(start[part[0]]), int(stop[part[-1]]), float(lowest[part].min())
            last = known.stretches[-1] if known.stretches else None
            if last is not None and a - last.stop <= self._block:
                last.stop, last.level = b, min(level, last.level)
                last.samples += int(length[part].sum())
                last.tops += len(part)
            else:
                known.stretches.append(_Stretch(a, b, level, int(length[part].sum()), len(part)))


@dataclass(frozen=True, slots=True, eq=False)
class _Tops:
    """Runs of samples at the extreme of their block, in one channel and on one side, in order."""

    start: Ints
    stop: Ints
    peak: Floats  # of the block
    lowest: Floats  # of the run
    cut: Mask
    passing: Ints  # edges, 0 to 2, that would pass the level
    elsewhere: int
    tolerance: float

    def count(self, known: _Level, chosen: Mask, size: int) -> None:
        length = self.stop - self.start
        cut = chosen & self.cut
        known.short += int((cut & (length == 2)).sum())
        known.long += int((cut & (length > 2)).sum())
        known.passing += int(self.passing[cut].sum())
        known.elsewhere += self.elsewhere
        known.at_level += int(length[chosen].sum())
        known.looked_at += size * len(np.unique(self.start[chosen] // size))


def _tolerance(x: Samples) -> float:
    """Samples nearer than this are equal: some steps of the quantisation, read off the distinct values."""
    values = np.sort(x)
    gaps = np.diff(values)
    step = float(gaps[gaps > 0].min(initial=np.inf))
    largest = max(float(values[-1]), -float(values[0]))
    return max(STEPS * step if np.isfinite(step) else 0.0, 3e-7 * largest)


def _tops(x: Samples, blocks: Samples, peak: Floats, tolerance: float, sign: int) -> _Tops | None:
    """The tops in one channel, (n,), of the blocks whose `peak` is not 0."""
    floor = np.where(peak > 0, peak - tolerance, np.inf).astype(np.float32)[:, np.newaxis]
    near = (blocks >= floor if sign > 0 else blocks <= -floor).ravel()
    at = np.flatnonzero(near)
    if len(at) < 2:
        return None
    breaks = np.flatnonzero(np.diff(at) > 1) + 1
    starts = np.concatenate(([0], breaks))
    start, stop = at[starts], at[np.append(breaks, len(at)) - 1] + 1
    lowest = np.minimum.reduceat(sign * x[at].astype(np.float64), starts)
    whole = (start >= 2) & (stop + 2 <= len(x))
    inner = np.clip(start - 1, 1, len(x) - 1), np.clip(stop, 0, len(x) - 2)
    outer = inner[0] - 1, inner[1] + 1
    length = stop - start
    steep = STEEP * tolerance * (1 + 2 / length) ** 2
    cut, passing = whole & (length >= 2), np.zeros(len(start), np.int64)
    for near_edge, beyond in zip(inner, outer, strict=True):
        beside = sign * x[near_edge].astype(np.float64)
        cut &= lowest - beside > steep
        passing += 2 * beside - sign * x[beyond] >= lowest
    elsewhere = _plateaus(x, float(peak.max()), tolerance) if cut.any() else 0
    return _Tops(start, stop, peak[start // blocks.shape[1]], lowest, cut, passing, elsewhere, tolerance)


def _plateaus(x: Samples, peak: float, tolerance: float) -> int:
    """Plateaus of three samples and more below the extremes, entered by a jump."""
    step = np.abs(np.diff(x))
    flat = step <= tolerance
    entered = flat[1:-1] & flat[2:] & (step[:-2] > 9 * STEEP * tolerance)
    level = np.abs(x[1:-2][entered])
    return int(((level > 0.02 * peak) & (level < peak - 4 * tolerance)).sum())


class _Span(NamedTuple):
    """A region to be, of both sides."""

    start: int
    stop: int
    high: float
    low: float
    samples: int
    tops: int
    confidence: float

    def joins(self, other: _Span, gap: int) -> bool:
        """Whether the next one lies near and differs in no level that both have."""
        return other.start - self.stop <= gap and all(
            UNREACHED in (abs(a), abs(b)) or abs(a - b) <= SAME_LEVEL * abs(a)
            for a, b in ((self.high, other.high), (self.low, other.low))
        )

    def joined(self, other: _Span) -> _Span:
        return _Span(
            self.start,
            max(self.stop, other.stop),
            min(self.high, other.high),
            max(self.low, other.low),
            self.samples + other.samples,
            self.tops + other.tops,
            max(self.confidence, other.confidence),
        )


def _findings(
    levels: list[tuple[list[_Level], list[_Level]]], gap: int, coded: Sequence[Stretch]
) -> list[Finding]:
    findings = []
    for channel, sides in enumerate(levels):
        spans: list[_Span] = []
        for side, known in enumerate(sides):
            for level in known:
                confidence = _confidence(level)
                if confidence < MIN_CONFIDENCE:
                    continue
                for s in level.stretches:
                    high, low = (UNREACHED, -s.level) if side else (s.level, -UNREACHED)
                    spans.append(_Span(s.start, s.stop, high, low, s.samples, s.tops, confidence))
        # a coder leaves no two samples equal: what has tops that are was not coded
        if sum(level.long for side in sides for level in side) < FEW_TOPS:
            spans += [_span(stretch) for stretch in coded if stretch.channel == channel]
        spans.sort()
        merged: list[_Span] = []
        for span in spans:
            if merged and merged[-1].joins(span, gap):
                merged[-1] = merged[-1].joined(span)
            else:
                merged.append(span)
        findings += [
            _finding(
                channel, s.start, s.stop, s.high, s.low, s.samples / (s.stop - s.start), s.tops, s.confidence
            )
            for s in merged
        ]
    return sorted(findings, key=lambda f: f.region.start)


def _span(stretch: Stretch) -> _Span:
    """Of tops that were coded after they had been cut."""
    level = stretch.level
    high, low = (level.lowest, -UNREACHED) if stretch.side > 0 else (UNREACHED, -level.lowest)
    samples = round(level.samples)
    return _Span(stretch.start, stretch.stop, high, low, samples, level.tops, level.confidence)


def _confidence(level: _Level) -> float:
    """From the number of cut tops, weakened by all that speaks for sound that was made flat."""
    evidence = level.long + 0.3 * level.short
    passing = level.passing / max(2 * (level.long + level.short), 1)
    plateaus = level.elsewhere / max(level.elsewhere + level.long, 1)
    share = level.at_level / max(level.looked_at, 1)
    confidence = evidence / (evidence + 1.5)
    confidence *= float(np.clip((passing - 0.02) / 0.06, 0.0, 1.0))
    confidence *= float(np.clip((0.5 - plateaus) / 0.3, 0.0, 1.0))
    confidence *= float(np.clip((0.9 - share) / 0.1, 0.0, 1.0))
    return confidence


def _finding(
    channel: int, start: int, stop: int, high: float, low: float, share: float, tops: int, confidence: float
) -> Finding:
    return Finding(
        "clipping",
        Region(start, stop, (channel,)),
        severity=min(1.0, (share / 0.3) ** 0.5),
        confidence=min(confidence, 0.99) if confidence < 1.0 else 1.0,
        measures={"level_high": high, "level_low": low, "share": share, "runs": float(tops)},
    )


DAMAGE = Damage(
    name="clipping",
    title="Clipping",
    params={
        "sdr_db": Param(30.0, 0.5, 60.0, "dB", "signal over distortion that the level is chosen for"),
        "level": Param(0.0, 0.0, 10.0, "", "clip level, full scale is 1; 0: the one that gives sdr_db"),
        "sides": Param(2, 1, 2, "", "2: both sides are cut, 1: only one, drawn by chance", whole=True),
        "gain_db": Param(0.0, -60.0, 20.0, "dB", "gain after the clipping"),
    },
    draw=draw,
    apply=apply,
    detector=ClippingDetector,
    doc=__doc__,
    settle=settle,
)
