"""A plan, run over a recording: one pass, block by block, memory constant."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from wavemend import __version__
from wavemend.core.blocks import Queue
from wavemend.core.hook import Event, Hook, silent
from wavemend.core.reader import Reader
from wavemend.core.types import Plan, Region, Remark, Samples, Trace, Verdict
from wavemend.engine.stream import Chain, Stream, remarks_of
from wavemend.repairs import repairs
from wavemend.restoration.guard import Guarded, guarded
from wavemend.restoration.ledger import Accounted, LayerSink
from wavemend.restoration.plan import check_fit


class Sink(Protocol):
    """Takes the recording in order, before and after, in aligned blocks of equal length."""

    def push(self, before: Samples, after: Samples) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the steps: what the guard decided, what they changed, and what they say of it."""

    verdicts: tuple[Verdict, ...]
    provenance: tuple[Trace, ...]
    remarks: tuple[Remark, ...]


def run(
    reader: Reader,
    plan: Plan,
    sinks: Sequence[Sink],
    *,
    layers: Sequence[Sequence[LayerSink]] = (),
    guard: bool = True,
    hook: Hook = silent,
) -> Outcome:
    """Repair as planned and hand everything to the sinks.

    `layers` are sinks for the layer of each step. Without `guard` every step is applied in full,
    as a person asked for it. Raises PlanError where the plan was made for another recording.
    """
    check_fit(plan, reader.format, reader.samples)
    streams: list[Accounted] = []
    bare: list[Stream] = []
    guards: list[Guarded] = []
    for i, step in enumerate(plan.steps):
        repair = repairs[step.repair]
        findings = [plan.findings[k] for k in step.findings]
        inner = repair.open(reader.format, findings, **step.options)
        bare.append(inner)
        stream = guarded(inner, i, repair, reader.format) if guard else inner
        if isinstance(stream, Guarded):
            guards.append(stream)
        generated = repair.generated(reader.format, findings, step.options)
        taking = layers[i] if layers else ()
        local = repair.scope == "local"
        streams.append(Accounted(stream, reader.format, i, repair.leaves, generated, taking, local))
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
    verdicts = tuple(verdict for stream in guards for verdict in stream.verdicts)
    said = [replace(remark, step=i) for i, stream in enumerate(bare) for remark in remarks_of(stream)]
    return Outcome(
        verdicts,
        tuple(trace for stream in streams for trace in stream.traces()),
        tuple(remark for remark in said if not _taken_back(remark, verdicts)),
    )


def _taken_back(remark: Remark, verdicts: Sequence[Verdict]) -> bool:
    """Whether the guard gave the place back as it was."""
    return any(
        v.action == "revert" and v.step == remark.step and _overlap(v.region, remark.region) for v in verdicts
    )


def _overlap(a: Region, b: Region) -> bool:
    apart = a.channels is not None and b.channels is not None and not set(a.channels) & set(b.channels)
    return a.start < b.stop and b.start < a.stop and not apart


def versions_of(made: Plan) -> dict[str, str]:
    """What the plan is run with, versions by name: the program, and the networks that it uses."""
    versions = {"wavemend": __version__, "python": platform.python_version(), "numpy": np.__version__}
    for step in made.steps:
        repair = repairs[step.repair]
        versions.update(repair.versions(repair.check(step.options)))
    return versions
