"""Two streams for one recording, and who is heard when: one for speech, one for music."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Queue
from wavemend.core.types import Format, Samples
from wavemend.engine.stream import Stream

Shares = npt.NDArray[np.float32]


class Chosen:
    """`one` where `share` is 1, `other` where it is 0, and between these a mixture of what they make.

    `share` tells for samples start to stop, (samples,); it is asked when both streams have given
    them, in order.
    """

    def __init__(
        self, format: Format, one: Stream, other: Stream, share: Callable[[int, int], Shares]
    ) -> None:
        self._streams = one, other
        self._made = Queue(format.channels), Queue(format.channels)
        self._share = share

    @property
    def latency(self) -> int:
        return max(stream.latency for stream in self._streams)

    def push(self, block: Samples) -> Samples:
        for stream, made in zip(self._streams, self._made, strict=True):
            made.append(stream.push(block))
        return self._ready()

    def flush(self) -> Samples:
        for stream, made in zip(self._streams, self._made, strict=True):
            made.append(stream.flush())
        return self._ready()

    def _ready(self) -> Samples:
        start, stop = self._made[0].start, min(made.stop for made in self._made)
        one, other = (made.view(start, stop) for made in self._made)
        share = self._share(start, stop)
        mixed = np.where(share == 1, one, np.where(share == 0, other, other + share * (one - other)))
        for made in self._made:
            made.drop(stop)
        return np.asarray(mixed, np.float32)
