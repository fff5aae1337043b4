"""A plan, run over a recording: one pass, block by block, memory constant."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from wavemend import __version__
from wavemend.core.blocks import Queue
from wavemend.core.hook import Event, Hook, silent
from wavemend.core.reader import Reader
from wavemend.core.types import Plan, Samples, Verdict
from wavemend.engine.stream import Chain
from wavemend.repairs import repairs
from wavemend.restoration.guard import Guarded, guarded
from wavemend.restoration.plan import check_fit


class Sink(Protocol):
    """Takes the recording in order, before and after, in aligned blocks of equal length."""

    def push(self, before: Samples, after: Samples) -> None: ...


def run(
    reader: Reader, plan: Plan, sinks: Sequence[Sink], *, guard: bool = True, hook: Hook = silent
) -> tuple[Verdict, ...]:
    """Repair as planned and hand everything to the sinks; what the guard decided comes back.

    Without `guard` every step is applied in full, as a person asked for it. Raises
    PlanError where the plan was made for another recording.
    """
    check_fit(plan, reader.format, reader.samples)
    streams = []
    for i, step in enumerate(plan.steps):
        repair = repairs[step.repair]
        inner = repair.open(reader.format, [plan.findings[k] for k in step.findings], **step.options)
        streams.append(guarded(inner, i, repair, reader.format) if guard else inner)
    chain = Chain(reader.format, streams)
    dry = Queue(reader.format.channels)
    done = 0

    def give(after: Samples) -> None:
        start = dry.start
        before = dry.view(start, start + after.shape[1])
        for sink in sinks:
            sink.push(before, after)
        dry.drop(start + after.shape[1])

    for block in reader.blocks():
        dry.append(block)
        give(chain.push(block))
        done += block.shape[1]
        hook(Event("repair", done, reader.samples))
    give(chain.flush())
    return tuple(verdict for s in streams if isinstance(s, Guarded) for verdict in s.verdicts)


class Collect:
    """A sink that keeps what was repaired, in memory."""

    def __init__(self) -> None:
        self._parts: list[Samples] = []

    def push(self, before: Samples, after: Samples) -> None:
        self._parts.append(np.array(after, np.float32))

    def samples(self, channels: int) -> Samples:
        """All of it, read-only."""
        whole = np.concatenate([np.zeros((channels, 0), np.float32), *self._parts], axis=1)
        whole.flags.writeable = False
        return whole


def versions_of(made: Plan) -> dict[str, str]:
    """What the plan is run with, versions by name: the program, and the networks that it uses."""
    versions = {"wavemend": __version__, "python": platform.python_version(), "numpy": np.__version__}
    for step in made.steps:
        repair = repairs[step.repair]
        versions.update(repair.versions(repair.check(step.options)))
    return versions
