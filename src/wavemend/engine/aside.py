"""A difference that is worked out at one rate, added to a recording at any rate.

Only the difference is brought to the recording's rate and added to the recording's own samples: where it is
nothing they keep their bits, and what lies above the band of that rate is not touched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import ceil
from typing import Protocol

import numpy as np

from wavemend.core.blocks import Queue
from wavemend.core.card import Card
from wavemend.core.resample import Ratio, Resampler
from wavemend.core.types import Format, Samples
from wavemend.engine.calls import Calls, Spectra


class Differing(Protocol):
    """Blocks at one rate in, what is to be added to them out, aligned and as long.

    It works on `call` samples at once, and holds back `delay` when it has just done so.
    """

    @property
    def call(self) -> int: ...
    @property
    def delay(self) -> int: ...
    def push(self, block: Samples) -> Samples: ...
    def flush(self) -> Samples: ...


class Framed(ABC):
    """A difference made call by call of a network; `ahead` frames are awaited beside those it looks ahead."""

    def __init__(self, card: Card, channels: int, ahead: int = 0) -> None:
        self._card, self._channels = card, channels
        self._calls = Calls(card, channels)
        self._late = card.synthesis + (card.lookahead_frames + ahead - 1) * card.hop
        self._came = self._went = 0

    @abstractmethod
    def made(self, start: int, spectra: Spectra) -> Samples:
        """What the call that begins at a sample completes, from its spectra (channels, frames, bins + 1)."""

    @property
    def call(self) -> int:
        """Samples that the network takes at once."""
        return self._calls.length

    @property
    def delay(self) -> int:
        """Samples that are held back when a call has just been made."""
        return self._late

    def push(self, block: Samples) -> Samples:
        """Take the next samples, give the difference where it is known."""
        self._calls.push(block)
        self._came += block.shape[1]
        return self._ready(self._came)

    def flush(self) -> Samples:
        """Give the rest."""
        rest = self._calls.rest
        silence = ceil(max(rest + self.delay, 0) / self.call) * self.call - rest
        self._calls.push(np.zeros((self._channels, max(silence, 0)), np.float32))
        return self._ready(self._came)

    def _ready(self, end: int) -> Samples:
        parts = [np.zeros((self._channels, 0), np.float32)]
        parts += [self.made(start, spectra) for start, spectra in self._calls.ready()]
        out = np.concatenate(parts, axis=1)[:, : end - self._went]
        self._went += out.shape[1]
        return out


class Ahead(Protocol):
    """What hears `ahead` samples more of a recording than the difference is worked out from."""

    @property
    def ahead(self) -> int: ...
    def push(self, block: Samples) -> None: ...
    def flush(self) -> None: ...


class Aside:
    """The stream of a recording with a difference that is known at `rate`; `ear` hears what is to come."""

    def __init__(self, format: Format, rate: int, difference: Differing, ear: Ahead | None = None) -> None:
        self._dry, self._waits = Queue(format.channels), Queue(format.channels)
        self._difference, self._ear = difference, ear
        call, waits = difference.call, ear.ahead if ear else 0
        delay = difference.delay + waits
        self._up = self._down = None
        self.latency = call + delay
        if format.sample_rate != rate:
            there, back = Ratio.of(format.sample_rate, rate), Ratio.of(rate, format.sample_rate)
            chunks = ceil(call / there.up)
            self._up = Resampler(format.channels, there, chunks * there.down)
            self._down = Resampler(format.channels, back, max(1, call // 3 // back.down) * back.down)
            uneven = 0 if chunks * there.up % call == waits % call == 0 else call - 1
            there_s = (uneven + delay + self._down.latency) / rate
            self.latency = self._up.latency + ceil(there_s * format.sample_rate)

    def push(self, block: Samples) -> Samples:
        self._dry.append(block)
        changed = self._told(self._up.push(block) if self._up else block)
        return self._added(self._down.push(changed) if self._down else changed)

    def flush(self) -> Samples:
        parts = [self._told(self._up.flush())] if self._up else []
        if self._ear:
            self._ear.flush()
            parts.append(self._difference.push(self._waits.view(self._waits.start, self._waits.stop)))
        changed = np.concatenate([*parts, self._difference.flush()], axis=1)
        if self._down:
            changed = np.concatenate((self._down.push(changed), self._down.flush()), axis=1)
        return self._added(changed)

    def _told(self, block: Samples) -> Samples:
        """The difference of sound of which the ear knows what it is."""
        if not self._ear:
            return self._difference.push(block)
        self._ear.push(block)
        self._waits.append(block)
        start = self._waits.start
        stop = max(self._waits.stop - self._ear.ahead, start)
        ready = self._waits.view(start, stop)
        self._waits.drop(stop)
        return self._difference.push(ready)

    def _added(self, changed: Samples) -> Samples:
        start = self._dry.start
        given = self._dry.view(start, min(start + changed.shape[1], self._dry.stop))
        self._dry.drop(start + given.shape[1])
        changed = changed[:, : given.shape[1]]
        return np.where(changed == 0, given, given + changed)
