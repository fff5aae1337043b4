"""Keep a repair inside its regions: outside, every sample is given back bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Queue
from wavemend.core.types import Format, Region, Remark, Samples, merge_spans
from wavemend.engine.stream import Stream, remarks_of

ENDLESS = 2**62
"""Where a region stops that goes on for as long as there is sound."""


class Confined:
    """An inner stream, heard only inside regions, with a strength, faded in and out at their edges.

    `fade` is in samples and lies inside the region, so that nothing outside it
    changes; a region that begins or ends with the recording is not faded there, for which
    `fade` samples more are held back unless all regions are endless. Where the weight is 0 the
    output is the input's bits, where it is 1 the inner stream's.
    """

    def __init__(
        self, inner: Stream, format: Format, regions: Sequence[Region], fade: int = 0, strength: float = 1.0
    ) -> None:
        self._inner, self._fade, self._strength = inner, fade, strength
        self._spans = [
            merge_spans([(r.start, r.stop) for r in regions if r.of_channel(channel)])
            for channel in range(format.channels)
        ]
        stops = [stop for spans in self._spans for _, stop in spans]
        self._hold = fade if min(stops, default=0) < ENDLESS else 0
        self._next = [0] * format.channels
        self._dry, self._wet = Queue(format.channels), Queue(format.channels)
        self._end: int | None = None

    @property
    def latency(self) -> int:
        return self._inner.latency + self._hold

    @property
    def remarks(self) -> Sequence[Remark]:
        """What the inner stream says."""
        return remarks_of(self._inner)

    def push(self, block: Samples) -> Samples:
        self._dry.append(block)
        self._wet.append(self._inner.push(block))
        return self._mix(min(self._wet.stop, self._dry.stop - self._hold))

    def flush(self) -> Samples:
        self._wet.append(self._inner.flush())
        self._end = self._dry.stop
        return self._mix(self._wet.stop)

    def _mix(self, stop: int) -> Samples:
        start, stop = self._dry.start, max(stop, self._dry.start)
        out = self._dry.view(start, stop).copy()
        wet = self._wet.view(start, stop)
        self._dry.drop(stop)
        self._wet.drop(stop)
        for channel in range(len(out)):
            for a, b in self._overlapping(channel, start, stop):
                lo, hi = max(a, start), min(b, stop)
                part, new = out[channel, lo - start : hi - start], wet[channel, lo - start : hi - start]
                last = self._end is not None and b >= self._end
                if (
                    self._strength == 1.0
                    and (a == 0 or lo >= a + self._fade)
                    and (last or hi <= b - self._fade)
                ):
                    part[:] = new
                    continue
                weight = self._weight(a, b, lo, hi, last)
                mixed = (part + weight * (new.astype(np.float64) - part)).astype(np.float32)
                part[:] = np.where(weight == 1.0, new, np.where(weight == 0.0, part, mixed))
        return out

    def _overlapping(self, channel: int, start: int, stop: int) -> list[tuple[int, int]]:
        spans, first = self._spans[channel], self._next[channel]
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        self._next[channel] = last = first
        while last < len(spans) and spans[last][0] < stop:
            last += 1
        return spans[first:last]

    def _weight(self, a: int, b: int, lo: int, hi: int, last: bool) -> npt.NDArray[np.float64]:
        at = np.arange(lo, hi) + 0.5
        ramp = np.ones(hi - lo)
        if self._fade and a > 0:
            ramp = np.clip((at - a) / self._fade, 0.0, 1.0)
        if self._fade and not last:
            ramp = np.minimum(ramp, np.clip((b - at) / self._fade, 0.0, 1.0))
        weight: npt.NDArray[np.float64] = self._strength * (0.5 - 0.5 * np.cos(np.pi * ramp))
        return weight
