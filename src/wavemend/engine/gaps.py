"""A stream that replaces given stretches, one at a time, from what lies around each."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Window
from wavemend.core.types import Format, Region, Samples, merge_spans
from wavemend.engine.stream import Chunked

Floats = npt.NDArray[np.float64]


class Gaps(Chunked):
    """Replaces each region's samples, from up to `context` samples on both sides of it.

    Regions that overlap or touch are one. One longer than `longest` samples is left as it is.
    What is put in depends on the recording around it alone, not on the chunks. A window shows `reach`
    samples around its chunk, at least and by default a whole gap and its context.
    """

    def __init__(
        self, format: Format, regions: Sequence[Region], longest: int, context: int, reach: int = 0
    ) -> None:
        reach = max(longest + context, reach)
        super().__init__(format, hop=max(reach, round(0.25 * format.sample_rate)), left=reach, right=reach)
        self._context = context
        self._spans = [
            merge_spans([(r.start, r.stop) for r in regions if r.of_channel(channel)])
            for channel in range(format.channels)
        ]
        self._stops = [[stop for _, stop in spans] for spans in self._spans]
        self._longest = longest
        self._across: dict[tuple[int, int], Floats] = {}

    @abstractmethod
    def replace(self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]]) -> Floats:
        """New samples (stop - start,) for that stretch of (n,); `others` are unknown stretches beside it."""

    def process(self, window: Window) -> Samples:
        begin, end = window.start, window.start + window.length
        out = window.chunk
        across: dict[tuple[int, int], Floats] = {}
        for channel, spans in enumerate(self._spans):
            first = bisect_left(self._stops[channel], begin + 1)
            for start, stop in spans[first:]:
                if start >= end:
                    break
                new = self.new(window, channel, start, stop, spans)
                if new is None:
                    continue
                if out.base is not None or not out.flags.writeable:
                    out = out.copy()
                low, high = max(start, begin), min(stop, end)
                out[channel, low - begin : high - begin] = new[low - start : high - start]
                if stop > end:
                    across[channel, start] = new
        self._across = across
        return out

    def new(
        self, window: Window, channel: int, start: int, stop: int, spans: Sequence[tuple[int, int]]
    ) -> Floats | None:
        """New samples for the recording's samples start to stop of a channel; None to leave them."""
        if (channel, start) in self._across:
            return self._across[channel, start]
        origin = window.start - window.lead
        stop = min(stop, origin + window.samples.shape[1])
        if stop - start > self._longest:
            return None
        first = max(start - self._context, origin)
        last = min(stop + self._context, origin + window.samples.shape[1])
        piece = window.samples[channel, first - origin : last - origin].astype(np.float64)
        near = bisect_left(self._stops[channel], first + 1)
        others = []
        for low, high in spans[near:]:
            if low >= last:
                break
            if low != start:
                others.append((max(low, first) - first, min(high, last) - first))
        if len(piece) == stop - start:
            return np.zeros(stop - start)
        return self.replace(piece, start - first, stop - first, others)
