"""Keep a repair inside its regions: outside, every sample is given back bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Queue
from wavemend.core.types import Format, Region, Samples, merge_spans
from wavemend.engine.stream import Stream


class Confined:
    """An inner stream, heard only inside regions, with a strength, faded in and out at their edges.

    `fade` is in samples and lies inside the region, so that nothing outside it
    changes; a region that begins with the recording is not faded in. Where
    the weight is 0 the output is the input's bits, where it is 1 the inner stream's.
    """

    def __init__(
        self, inner: Stream, format: Format, regions: Sequence[Region], fade: int = 0, strength: float = 1.0
    ) -> None:
        self._inner, self._fade, self._strength = inner, fade, strength
        self._spans = [
            merge_spans([(r.start, r.stop) for r in regions if r.of_channel(channel)])
            for channel in range(format.channels)
        ]
        self._next = [0] * format.channels
        self._dry = Queue(format.channels)

    @property
    def latency(self) -> int:
        return self._inner.latency

    def push(self, block: Samples) -> Samples:
        self._dry.append(block)
        return self._mix(self._inner.push(block))

    def flush(self) -> Samples:
        return self._mix(self._inner.flush())

    def _mix(self, wet: Samples) -> Samples:
        start, stop = self._dry.start, self._dry.start + wet.shape[1]
        out = self._dry.view(start, stop).copy()
        self._dry.drop(stop)
        for channel in range(len(out)):
            for a, b in self._overlapping(channel, start, stop):
                lo, hi = max(a, start), min(b, stop)
                part, new = out[channel, lo - start : hi - start], wet[channel, lo - start : hi - start]
                if self._strength == 1.0 and (a == 0 or lo >= a + self._fade) and hi <= b - self._fade:
                    part[:] = new
                    continue
                weight = self._weight(a, b, lo, hi)
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

    def _weight(self, a: int, b: int, lo: int, hi: int) -> npt.NDArray[np.float64]:
        at = np.arange(lo, hi) + 0.5
        fade = max(self._fade, 1)
        rise = np.ones(hi - lo) if a == 0 else np.clip((at - a) / fade, 0.0, 1.0)
        ramp = np.minimum(rise, np.clip((b - at) / fade, 0.0, 1.0)) if self._fade else np.ones(hi - lo)
        weight: npt.NDArray[np.float64] = self._strength * (0.5 - 0.5 * np.cos(np.pi * ramp))
        return weight
