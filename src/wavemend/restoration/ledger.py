"""The account of a restoration: what each step added to the sound, and where.

The layer of a step is its difference, in 32-bit floats, and what goes on from the step is
input + layer, added in 32-bit floats. So the restored sound is the input with all layers added in
their order, bit for bit, by construction; what rounding this costs lies 144 dB below the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Queue
from wavemend.core.types import (
    PROVENANCES,
    Format,
    Provenance,
    Region,
    Samples,
    Trace,
    merge_spans,
    runs,
)
from wavemend.engine.stream import Stream

MOST_RUNS = 20_000  # of a step: where there are more, neighbours become one, so that memory is constant
NEAR = 4  # samples: unchanged ones between two changed ones of a local repair that do not part them
NEAR_S = 0.01  # the same for what works through a stretch from end to end


class LayerSink(Protocol):
    """Takes the layer of one step in order, in blocks."""

    def push(self, layer: Samples) -> None: ...


class Places:
    """Runs of changed samples of all channels, in bounded memory."""

    def __init__(self, channels: int, joined: int) -> None:
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(channels)]
        self.joined = joined
        self.values = 0

    def add(self, channel: int, start: int, stop: int) -> None:
        """A run that lies behind all earlier ones of this channel."""
        held = self._runs[channel]
        if held and start <= held[-1][1] + self.joined:
            held[-1] = (held[-1][0], max(stop, held[-1][1]))
            return
        held.append((start, stop))
        while sum(map(len, self._runs)) > MOST_RUNS:
            self.joined = max(2 * self.joined, 64)
            self._runs = [merge_spans(each, self.joined) for each in self._runs]

    def traces(self, step: int, provenance: Provenance) -> list[Trace]:
        """One trace for all channels where they agree, else one for each that has runs."""
        if not any(self._runs):
            return []
        if all(each == self._runs[0] for each in self._runs):
            return [Trace(step, provenance, None, tuple(self._runs[0]), self.joined, self.values)]
        together: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for channel, each in enumerate(self._runs):
            if each:
                together.setdefault(tuple(each), []).append(channel)
        # the count is of all channels; it stands at the first and would else be counted twice
        return [
            Trace(step, provenance, tuple(channels), found, self.joined, self.values if first == 0 else 0)
            for first, (found, channels) in enumerate(together.items())
        ]


class Accounted:
    """A step's stream, whose output is its input + its layer; the layer goes to the sinks as well."""

    def __init__(
        self,
        inner: Stream,
        format: Format,
        step: int,
        leaves: Provenance,
        generated: Sequence[Region],
        sinks: Sequence[LayerSink],
        local: bool,
    ) -> None:
        self._inner, self._step, self._leaves, self._sinks = inner, step, leaves, sinks
        self._dry = Queue(format.channels)
        joined = NEAR if local else round(NEAR_S * format.sample_rate)
        self._places = {kind: Places(format.channels, joined) for kind in {leaves, "generated"}}
        self._generated = [
            merge_spans([(r.start, r.stop) for r in generated if r.of_channel(channel)])
            for channel in range(format.channels)
        ]

    @property
    def latency(self) -> int:
        return self._inner.latency

    def push(self, block: Samples) -> Samples:
        self._dry.append(block)
        return self._add(self._inner.push(block))

    def flush(self) -> Samples:
        return self._add(self._inner.flush())

    def traces(self) -> list[Trace]:
        """What was changed so far."""
        order = sorted(self._places, key=PROVENANCES.index)
        return [trace for kind in order for trace in self._places[kind].traces(self._step, kind)]

    def _add(self, wet: Samples) -> Samples:
        start = self._dry.start
        dry = self._dry.view(start, start + wet.shape[1])
        layer = wet - dry
        changed = layer != 0.0
        out = dry.copy()
        if changed.any():
            np.add(dry, layer, out=out, where=changed)  # elsewhere -0 stays -0
            for channel, mask in enumerate(changed):
                self._note(channel, mask, start)
        self._dry.drop(start + wet.shape[1])
        for sink in self._sinks:
            sink.push(layer)
        return out

    def _note(self, channel: int, changed: npt.NDArray[np.bool_], start: int) -> None:
        generated = np.zeros(len(changed), np.bool_)
        for first, last in self._generated[channel]:
            generated[max(first - start, 0) : max(last - start, 0)] = True
        for kind, mask in ((self._leaves, changed & ~generated), ("generated", changed & generated)):
            if mask.any():
                places = self._places[kind]
                places.values += int(np.count_nonzero(mask))
                for first, last in merge_spans(runs(mask), places.joined):
                    places.add(channel, start + first, start + last)


def strongest(traces: Sequence[Trace], channel: int, start: int, stop: int) -> npt.NDArray[np.uint8]:
    """For samples start to stop of a channel: 0 where kept, else 1 + the place in PROVENANCES."""
    out = np.zeros(stop - start, np.uint8)
    for trace in sorted(traces, key=lambda trace: PROVENANCES.index(trace.provenance)):
        if trace.channels is None or channel in trace.channels:
            for first, last in trace.runs:
                if first < stop and last > start:
                    out[max(first - start, 0) : last - start] = 1 + PROVENANCES.index(trace.provenance)
    return out
