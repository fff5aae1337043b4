"""Blocks of any length in, windows on a fixed grid out: what makes every result independent of the cuts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wavemend.core.types import Finding, Samples


class Queue:
    """Samples waiting in line, addressed by their place in the recording."""

    def __init__(self, channels: int) -> None:
        self._parts: list[Samples] = []
        self._whole = np.zeros((channels, 0), np.float32)
        self._origin = 0  # of _whole; what lies before `start` is forgotten when it has grown
        self.start = 0
        self.stop = 0

    def append(self, block: Samples) -> None:
        """Add a copy of the block at the end."""
        if block.shape[1]:
            self._parts.append(np.array(block, dtype=np.float32))
            self.stop += block.shape[1]

    def view(self, start: int, stop: int) -> Samples:
        """Samples start to stop, both within what is held."""
        if self._parts:
            held = self._whole[:, self.start - self._origin :]
            self._whole = np.concatenate([held, *self._parts], axis=1)
            self._origin, self._parts = self.start, []
        return self._whole[:, start - self._origin : stop - self._origin]

    def drop(self, until: int) -> None:
        """Forget what lies before `until`."""
        self.start = min(max(until, self.start), self.stop)
        if 2 * (self.start - self._origin) > self._whole.shape[1]:
            self._whole = self.view(self.start, self.stop).copy()
            self._origin = self.start


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A chunk with its surroundings: the chunk is samples[:, lead : lead + length].

    `start` is where the chunk lies in the recording. The samples must not be changed.
    """

    samples: Samples
    lead: int
    length: int
    start: int

    @property
    def chunk(self) -> Samples:
        """The chunk without its surroundings, (channels, length)."""
        return self.samples[:, self.lead : self.lead + self.length]


class Grid:
    """Cuts a stream of blocks into chunks k·hop to (k+1)·hop, each exactly once and in order.

    A window shows up to `left` samples before its chunk and `right` after; fewer where
    the recording begins or ends. The last chunk may be shorter than `hop`.
    """

    def __init__(self, channels: int, hop: int, left: int = 0, right: int = 0) -> None:
        self.hop, self.left, self.right = hop, left, right
        self._held = Queue(channels)
        self._done = 0

    @property
    def received(self) -> int:
        """Samples taken so far."""
        return self._held.stop

    def push(self, block: Samples) -> Iterator[Window]:
        """The windows that this block completes. Read all of them before the next call."""
        self._held.append(block)
        while self._held.stop >= self._done + self.hop + self.right:
            yield self._next(self.hop)

    def flush(self) -> Iterator[Window]:
        """The windows that are left at the end of the recording."""
        while self._held.stop > self._done:
            yield self._next(min(self.hop, self._held.stop - self._done))

    def _next(self, length: int) -> Window:
        start = self._done
        first = max(self._held.start, start - self.left)
        samples = self._held.view(first, min(self._held.stop, start + length + self.right))
        self._done = start + length
        self._held.drop(self._done - self.left)
        return Window(samples, start - first, length, start)


class Search(ABC):
    """A detector that looks at one window of its grid after the other, and says at the end what it found."""

    _grid: Grid

    def push(self, block: Samples) -> None:
        """Take the next samples, (channels, samples)."""
        for window in self._grid.push(block):
            self._look(window)

    def finish(self) -> Sequence[Finding]:
        """The recording has ended: what was found, in order."""
        for window in self._grid.flush():
            self._look(window)
        return self._conclude()

    @abstractmethod
    def _look(self, window: Window) -> None:
        """Look at the next window."""

    @abstractmethod
    def _conclude(self) -> Sequence[Finding]:
        """What was found in all of them."""
