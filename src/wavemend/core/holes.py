"""Holes in sound: stretches of one value, or of next to nothing, that the sound falls into and comes out of
without warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavemend.core import ar
from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.types import Finding, Format, Region, Samples

Floats = npt.NDArray[np.float64]

SHORTEST_MS = 0.5  # of one value; at least MIN_RUN samples
MIN_RUN = 8
CONTEXT_MS, NEAR_MS = 100.0, 5.0
FITTED = 4  # times NEAR_MS that the model is fitted to
ORDER = 16
MIN_LEVEL = 0.0007  # -63 dBFS on both sides: quieter, a hole cannot be told from a pause
MIN_SHARE = 0.05  # of the loudest 5 ms within 100 ms: sound that had died away is no hole's edge
LEAST, MOST = 2.0, 6.0  # surprise at the edge that surprises less, and at the other
QUIET = 1e-3  # of full scale, -60 dBFS: no sample is more where a tape is torn
BESIDE_QUIET = 10.0  # times as loud, on both sides
QUIET_MS = 30.0  # at least, for shorter ones are found in quiet sound as well
QUIET_SURE = 0.9  # as sure as of a hole of one value
MEDIAN_OF_SQUARE = 0.455  # of a Gaussian's square, as a share of its mean
STEP = 2e-5  # of full scale: the rounding of 16 bits, which no model foresees
MANY_RUNS = 6  # runs of one value within the context: a waveform made of steps


@dataclass(frozen=True, slots=True)
class _Edge:
    level: float
    surprise: float  # the largest error of prediction where the hole begins, over the usual one
    loudest: float
    runs: int


@dataclass(frozen=True, slots=True)
class _Open:
    start: int
    value: float
    edge: _Edge


class HoleDetector(Search):
    """Finds holes longer than `shortest_s`, up to `longest_s`, per channel, as findings named `damage`.

    They are of one value, or with `quiet` of next to nothing.
    """

    def __init__(
        self, format: Format, damage: str, shortest_s: float, longest_s: float, *, quiet: bool = False
    ) -> None:
        self._quiet = quiet
        self._least_level = BESIDE_QUIET * QUIET if quiet else MIN_LEVEL
        self._rate, self._damage, self._channels = format.sample_rate, damage, format.channels
        self._shortest = max(
            round(SHORTEST_MS / 1000 * self._rate), MIN_RUN, round(shortest_s * self._rate) + 1
        )
        self._longest = longest_s * self._rate
        self._run = max(round((QUIET_MS if quiet else SHORTEST_MS) / 1000 * self._rate), MIN_RUN)
        self._context = round(CONTEXT_MS / 1000 * self._rate)
        self._grid = Grid(format.channels, round(0.5 * self._rate), self._context, self._context)
        self._open: list[_Open | None] = [None] * format.channels
        self._found: dict[tuple[int, int], dict[int, tuple[float, float]]] = {}
        self._perhaps: dict[tuple[int, int], list[int]] = {}

    def _conclude(self) -> Sequence[Finding]:
        findings = []
        for (start, stop), channels in sorted(self._found.items()):
            # what is a hole in one channel is one in those that are flat at the same samples, too
            together = sorted({*channels, *self._perhaps.get((start, stop), ())})
            where = None if len(together) == self._channels else tuple(together)
            seconds = (stop - start) / self._rate
            findings.append(
                Finding(
                    self._damage,
                    Region(start, stop, where),
                    severity=severity(seconds),
                    confidence=min(max(certain for certain, _ in channels.values()), 0.98),
                    measures={
                        "length_ms": round(1000 * seconds, 3),
                        "level_db": round(max(level for _, level in channels.values()), 1),
                    },
                )
            )
        return findings

    def _look(self, window: Window) -> None:
        samples, origin = window.samples, window.start - window.lead
        if self._quiet:
            calm = np.abs(samples) < QUIET
            flat = calm[:, 1:] & calm[:, :-1]
        else:
            flat = samples[:, 1:] == samples[:, :-1]
        begin, end = window.lead, window.lead + window.length
        for channel in range(self._channels):
            runs = self._runs(flat[channel])
            if not runs and self._open[channel] is None:
                continue
            sound = samples[channel]
            for start, stop in runs:
                begins = origin + start > 0 and begin <= start < end
                ends = origin + stop < self._grid.received and begin <= stop < end
                if begins:
                    before = sound[max(start - self._context, 0) : start]
                    value = 0.0 if self._quiet else float(sound[start])
                    edge = self._edge(before, value, runs, start)
                    self._open[channel] = _Open(origin + start, value, edge)
                if ends:
                    opened, self._open[channel] = self._open[channel], None
                    if opened is not None and self._shortest <= origin + stop - opened.start:
                        after = sound[stop : stop + self._context][::-1]
                        self._judge(
                            channel, opened, origin + stop, self._edge(after, opened.value, runs, stop)
                        )

    def _runs(self, flat: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Maximal stretches of one value, of at least the shortest run, as half-open spans of samples."""
        step = self._run // 2
        # a run of this length holds one of every `step` places and its neighbour
        if not (flat[::step][:-1] & flat[step::step][: len(flat[::step]) - 1]).any():
            return []
        edges = np.flatnonzero(np.diff(flat.view(np.int8), prepend=0, append=0))
        starts, stops = edges[::2], edges[1::2]
        long = stops - starts >= self._run - 1
        return [(int(a), int(b) + 1) for a, b in zip(starts[long], stops[long], strict=True)]

    def _edge(self, side: Samples, value: float, runs: Sequence[tuple[int, int]], at: int) -> _Edge:
        """What the sound up to a hole, (n,) with the hole after it, is like at its end."""
        near = max(round(NEAR_MS / 1000 * self._rate), ORDER)
        sound = side.astype(np.float64)
        frames = len(sound) // near
        count = sum(1 for a, b in runs if abs(a - at) < self._context or abs(b - at) < self._context)
        if not frames:
            return _Edge(0.0, 0.0, 0.0, count)
        levels = np.sqrt(np.mean(sound[len(sound) - frames * near :].reshape(frames, near) ** 2, axis=1))
        level = float(levels[-1])
        if frames < FITTED or level < MIN_LEVEL or level < MIN_SHARE * levels.max():
            return _Edge(level, 0.0, float(levels.max()), count)
        return _Edge(level, _surprise(sound[-FITTED * near :], value), float(levels.max()), count)

    def _judge(self, channel: int, opened: _Open, stop: int, after: _Edge) -> None:
        before = opened.edge
        length = stop - opened.start
        loudest = max(before.loudest, after.loudest)
        if not self._shortest <= length <= self._longest or max(before.runs, after.runs) > MANY_RUNS:
            return
        start = opened.start if opened.value == 0.0 else opened.start + 1
        if self._channels > 1 and min(before.level, after.level) > MIN_LEVEL / 20:
            self._perhaps.setdefault((start, stop), []).append(channel)
        if min(before.level, after.level) < max(self._least_level, MIN_SHARE * loudest):
            return
        least, most = sorted((before.surprise, after.surprise))
        held_too_short = opened.value != 0.0 and (length < 2 * self._run or abs(opened.value) >= loudest)
        if least > LEAST and most > MOST and not held_too_short:
            level_db = 20 * float(np.log10(max(before.level, after.level)))
            self._found.setdefault((start, stop), {})[channel] = (
                (QUIET_SURE if self._quiet else 1.0) * (0.98 - 0.3 * float(np.exp(-least / 3))),
                level_db,
            )


class AllHoles:
    """Both kinds of holes; one that is of one value is not found again as one of next to nothing."""

    def __init__(self, format: Format, damage: str, shortest_s: float, longest_s: float) -> None:
        self._kinds = [
            HoleDetector(format, damage, shortest_s, longest_s, quiet=quiet) for quiet in (False, True)
        ]

    def push(self, block: Samples) -> None:
        for kind in self._kinds:
            kind.push(block)

    def finish(self) -> Sequence[Finding]:
        flat, quiet = (kind.finish() for kind in self._kinds)
        taken = [f.region for f in flat]
        more = [
            f for f in quiet if not any(f.region.start < t.stop and t.start < f.region.stop for t in taken)
        ]
        return sorted([*flat, *more], key=lambda f: (f.region.start, f.region.stop))


def _surprise(sound: Floats, value: float) -> float:
    """How much less than `sound`, (n,), a model of it foresees that it goes on with one value.

    Pauses that are gated, and fades, end where the sound is as good as foreseen to be nothing.
    """
    a = ar.covariance([sound], ORDER)
    usual = np.sqrt(np.median(np.convolve(sound, a)[ORDER : len(sound)] ** 2) / MEDIAN_OF_SQUARE)
    onward = np.convolve(np.append(sound[-ORDER:], np.full(ORDER, value)), a)[ORDER : 2 * ORDER]
    return float(np.abs(onward).max() / (usual + STEP))


def severity(seconds: float) -> float:
    """Of a hole of this length: 0.2 at 1 ms, 0.6 at 30 ms, 1 from 0.5 s on."""
    return float(np.clip(0.2 + 0.3 * np.log10(max(seconds, 1e-4) / 1e-3), 0.05, 1.0))
