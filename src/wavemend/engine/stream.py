"""A repair is a stream: blocks in, blocks out, with a stated latency.

Reading a file, running live and running inside a host differ only in who pushes
the blocks. What comes out, in total, is as long as what went in and lies exactly
on it; a stream holds back at most `latency` samples until it is flushed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from wavemend.core.blocks import Grid, Window
from wavemend.core.types import Format, Remark, Samples


class Stream(Protocol):
    """Blocks in, blocks out. Blocks are float32, (channels, samples), of any length, also 0."""

    @property
    def latency(self) -> int:
        """Samples held back at most: after n samples went in, at least n - latency came out."""

    def push(self, block: Samples) -> Samples:
        """Take the next samples, give those that are ready. The block is not changed."""

    def flush(self) -> Samples:
        """Give the rest. Called once, after the last block."""


@runtime_checkable
class Telling(Protocol):
    """A stream that has something to say of what it put in. `remarks` is complete after the flush."""

    @property
    def remarks(self) -> Sequence[Remark]: ...


def remarks_of(stream: Stream) -> Sequence[Remark]:
    """What a stream says of what it put in; nothing where it is no stream that tells."""
    return stream.remarks if isinstance(stream, Telling) else ()


class Passthrough:
    """The stream that changes nothing."""

    latency = 0

    def __init__(self, format: Format) -> None:
        self._channels = format.channels

    def push(self, block: Samples) -> Samples:
        return block

    def flush(self) -> Samples:
        return np.zeros((self._channels, 0), np.float32)


class Chain:
    """Streams one after the other; their latencies add up."""

    def __init__(self, format: Format, streams: Sequence[Stream]) -> None:
        self._streams = tuple(streams) or (Passthrough(format),)

    @property
    def latency(self) -> int:
        return sum(stream.latency for stream in self._streams)

    def push(self, block: Samples) -> Samples:
        for stream in self._streams:
            block = stream.push(block)
        return block

    def flush(self) -> Samples:
        rest = self._streams[0].flush()
        for stream in self._streams[1:]:
            rest = np.concatenate((stream.push(rest), stream.flush()), axis=1)
        return rest


class Chunked(ABC):
    """A stream that works in chunks on a grid of its own, so that blocks may be cut anywhere.

    `process` sees each chunk with up to `left` samples before and `right` after. Chunks
    come in order, so state may be carried from one to the next.
    """

    def __init__(self, format: Format, hop: int, left: int = 0, right: int = 0) -> None:
        self.format = format
        self._grid = Grid(format.channels, hop, left, right)

    @property
    def latency(self) -> int:
        return self._grid.hop + self._grid.right

    @abstractmethod
    def process(self, window: Window) -> Samples:
        """The repaired chunk, (channels, window.length); window.samples must not be written to."""

    def push(self, block: Samples) -> Samples:
        return self._join([self.process(window) for window in self._grid.push(block)])

    def flush(self) -> Samples:
        return self._join([self.process(window) for window in self._grid.flush()])

    def _join(self, chunks: list[Samples]) -> Samples:
        if not chunks:
            return np.zeros((self.format.channels, 0), np.float32)
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks, axis=1)


def run(stream: Stream, samples: Samples, block: int | None = None) -> Samples:
    """A whole array through a stream: push, flush; as long as what went in, and aligned."""
    step = block or max(samples.shape[1], 1)
    parts = [stream.push(samples[:, i : i + step]) for i in range(0, samples.shape[1], step)]
    return np.concatenate([*parts, stream.flush()], axis=1)
