"""The library's front door: files, recordings or arrays in; results out.

Everything here is one pass for the diagnosis and one for the repair, in blocks. A file
is never held in memory: what is restored waits in a temporary file until it is saved.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wavemend.core import measure
from wavemend.core.hook import Hook, silent
from wavemend.core.io import open_reader
from wavemend.core.jsonable import to_plain
from wavemend.core.reader import ArrayReader, Reader
from wavemend.core.text import write_text
from wavemend.core.types import Finding, Format, Plan, Recording, Report, Samples, as_samples
from wavemend.core.writer import FileWriter, default_output
from wavemend.damage import damages
from wavemend.errors import InputError
from wavemend.repairs import repairs
from wavemend.restoration import plan as planning
from wavemend.restoration.diagnose import diagnose as find
from wavemend.restoration.ledger import LayerSink
from wavemend.restoration.outlets import (
    Removed,
    Restored,
    history,
    layer_files,
    not_carried,
    note,
    rehearse,
)
from wavemend.restoration.report import ReportCollector, write_report
from wavemend.restoration.run import Sink, run, versions_of
from wavemend.restoration.spool import LayerSpool, Spool

Given = str | Path | Recording | npt.ArrayLike
"""A path, a Recording, or an array, (channels, samples) or (samples,), with its sample_rate."""


def reader_of(given: Given, sample_rate: int | None = None) -> Reader:
    """A reader for anything that may be given."""
    if isinstance(given, str | Path):
        if sample_rate is not None:
            raise InputError("a file knows its sample rate; give sample_rate with arrays only")
        return open_reader(Path(given))
    if isinstance(given, Recording):
        return ArrayReader(given.samples, given.format.sample_rate)
    if sample_rate is None:
        raise InputError("an array needs its sample_rate in Hz")
    return ArrayReader(as_samples(given), sample_rate)


def diagnose(given: Given, sample_rate: int | None = None, hook: Hook = silent) -> tuple[Finding, ...]:
    """What is wrong with a recording, sorted by place."""
    with reader_of(given, sample_rate) as reader:
        return find(reader, hook=hook)


def plan(
    given: Given,
    sample_rate: int | None = None,
    *,
    strength: float = 1.0,
    only: Collection[str] = (),
    also: Collection[str] = (),
    hook: Hook = silent,
) -> Plan:
    """What `restore` would do. Edit it, save it with `save_plan`, or give it to `restore`."""
    request = planning.Request(strength, only, also)
    with reader_of(given, sample_rate) as reader:
        return _planned(reader, request, hook)


class Result:
    """A restored recording: `restored`, `residual` (what was removed), `layers` and the `report`."""

    def __init__(self, reader: Reader, spool: Spool, layers: Sequence[LayerSpool], report: Report) -> None:
        self._reader, self._spool, self._layers, self.report = reader, spool, layers, report

    @cached_property
    def restored(self) -> Recording:
        """The restored sound; from a file it is mapped, not loaded."""
        return Recording(self._spool.samples(), self.report.format, self.report.source)

    @cached_property
    def residual(self) -> Recording:
        """The input minus the restored sound."""
        parts = [
            before - self.restored.samples[:, at : at + before.shape[1]]
            for before, at in _placed(self._reader)
        ]
        return Recording(np.concatenate(parts, axis=1), self.report.format, self.report.source)

    @cached_property
    def layers(self) -> tuple[Recording, ...]:
        """What each step of the plan added: in 32-bit floats, input + layers, in order, is `restored`."""
        return tuple(
            Recording(spool.samples(), self.report.format, self.report.source) for spool in self._layers
        )

    def without(self, *steps: int) -> Recording:
        """The input with all layers but those of these steps (indices into the plan's steps)."""
        for step in steps:
            if not 0 <= step < len(self.layers):
                raise InputError(f"there is no step {step}; the plan has {len(self.layers)}")
        sound = np.concatenate(list(self._reader.blocks()), axis=1)
        for step, layer in enumerate(self.layers):
            if step not in steps:
                np.add(sound, layer.samples, out=sound, where=layer.samples != 0.0)
        return Recording(sound, self.report.format, self.report.source)

    def save(self, path: str | Path) -> Path:
        """Write the restored sound in the input's format, or in the one that the ending of `path` names."""
        with (
            self._reader,
            FileWriter(
                Path(path), self._reader, history=history(self.report.plan), note=note(self.report.plan)
            ) as writer,
        ):
            # read, not mapped: pages of a mapping that were touched count as memory in use
            for block in self._spool.blocks():
                writer.write(block)
        return Path(path)


def _placed(reader: Reader) -> Any:
    at = 0
    for block in reader.blocks():
        yield block, at
        at += block.shape[1]


def restore(
    given: Given,
    sample_rate: int | None = None,
    *,
    plan: Plan | None = None,
    strength: float = 1.0,
    only: Collection[str] = (),
    also: Collection[str] = (),
    hook: Hook = silent,
) -> Result:
    """Find what is wrong, repair it, and account for it.

    `plan` is run instead of a new one, and goes with none of the others; `strength` (0 to 1)
    scales every repair; `only` names the kinds of damage to repair, `also` the repairs to use that
    run only where somebody asks for them. Raises InputError, MediaError,
    PlanError, or DeviceError where there is no room for what was restored.
    """
    request = planning.Request(strength, only, also, plan)
    began = time.perf_counter()
    with reader_of(given, sample_rate) as reader:
        made = plan or _planned(reader, request, hook)
        looked = time.perf_counter() - began
        result = _spooled(reader, made, hook, guard=True)
    result.report = replace(result.report, seconds={"diagnose": looked, **result.report.seconds})
    return result


def _spooled(reader: Reader, made: Plan, hook: Hook, *, guard: bool) -> Result:
    spool, layers = Spool(reader.format), [LayerSpool(reader.format) for _ in made.steps]
    report = _run(reader, made, [spool], hook, guard=guard, layers=[[layer] for layer in layers])
    return Result(reader, spool, layers, report)


def repair(
    name: str,
    given: Given,
    sample_rate: int | None = None,
    *,
    span_s: tuple[float, float] | None = None,
    hook: Hook = silent,
    **options: Any,
) -> Result:
    """Run one repair over everything, or a span in seconds, whatever the diagnosis thinks."""
    with reader_of(given, sample_rate) as reader:
        return _spooled(reader, _forced(reader, name, span_s, options, hook), hook, guard=False)


@dataclass(frozen=True, slots=True)
class Done:
    """What was written: the sound, how many of its sample values differ from the input's, the report,
    and its page if asked for.
    """

    output: Path
    report: Report
    changed: int
    page: Path | None = None


def diagnose_file(path: Path, hook: Hook = silent) -> tuple[Format, tuple[Finding, ...]]:
    """The findings, and the format that their places are to be read in."""
    with open_reader(path) as reader:
        return reader.format, find(reader, hook=hook)


def restore_file(
    path: Path,
    output: Path | None = None,
    *,
    plan: Plan | None = None,
    strength: float = 1.0,
    only: Collection[str] = (),
    also: Collection[str] = (),
    residual: Path | None = None,
    layers: Path | None = None,
    report_dir: Path | None = None,
    subtype: str | None = None,
    hook: Hook = silent,
) -> Done:
    """Restore a file into a file, in one go and in constant memory.

    `output` defaults to a name beside the input, `subtype` (as PCM_24 or FLOAT) to the
    input's. `layers` is a folder for what each step added (see `outlets.SUM`). All sound appears when
    everything else is done, the report included, or not at all.
    """
    request = planning.Request(strength, only, also, plan)
    began = time.perf_counter()
    with open_reader(path) as reader:
        target = output or default_output(path, reader)
        rehearse(reader, target, subtype, residual, layers)
        made = plan or _planned(reader, request, hook)
        looked = time.perf_counter() - began
        collector = ReportCollector(reader.format, reader.samples, made.findings) if report_dir else None
        with ExitStack() as stack:
            writer = stack.enter_context(
                FileWriter(target, reader, history=history(made), note=note(made), subtype=subtype)
            )
            files = stack.enter_context(layer_files(layers, reader, made, writer)) if layers else None
            sinks: list[Sink] = [Restored(writer, files.rounding if files else None)]
            if collector:
                sinks.append(collector)
            if residual:
                sinks.append(Removed(stack.enter_context(FileWriter(residual, reader, residual=True))))
            taking = [[layer] for layer in files.layers] if files else []
            report = _run(
                reader, made, sinks, hook, guard=True, layers=taking, measured=collector is not None
            )
            report = replace(
                report, not_carried=not_carried(writer), seconds={"diagnose": looked, **report.seconds}
            )
            page = write_report(report_dir, report, collector) if report_dir and collector else None
    return Done(target, report, writer.changed, page)


def repair_file(
    name: str,
    path: Path,
    output: Path,
    *,
    start_s: float | None = None,
    stop_s: float | None = None,
    options: Mapping[str, Any],
    residual: Path | None = None,
    hook: Hook = silent,
) -> Done:
    """Run one repair over a file or a span of it, and write what it removed beside, if asked for."""
    with open_reader(path) as reader:
        span = None
        if start_s is not None or stop_s is not None:
            end = reader.samples / reader.format.sample_rate
            span = (0.0 if start_s is None else start_s, end if stop_s is None else stop_s)
        rehearse(reader, output, residual=residual)
        forced = _forced(reader, name, span, options, hook)
        with ExitStack() as stack:
            writer = stack.enter_context(
                FileWriter(output, reader, history=history(forced), note=note(forced))
            )
            sinks: list[Sink] = [Restored(writer)]
            if residual:
                sinks.append(Removed(stack.enter_context(FileWriter(residual, reader, residual=True))))
            report = _run(reader, forced, sinks, hook, guard=False)
    return Done(output, replace(report, not_carried=not_carried(writer)), writer.changed)


def damage_file(
    name: str, path: Path, output: Path, *, seed: int, options: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Damage a file on purpose; the truth goes beside the output as JSON. The file is held in memory."""
    damage = damages[name]
    with open_reader(path) as reader:
        if reader.format.channels < damage.min_channels:
            raise InputError(f"{name} needs at least {damage.min_channels} channels")
        clean = np.concatenate(list(reader.blocks()), axis=1)
        damaged, truth = damage.simulate(clean, reader.format, seed, **options)
        with FileWriter(output, reader, history=f"damaged on purpose: {name}") as writer:
            writer.write(damaged)
        format = reader.format
    beside = output.with_suffix(".truth.json")
    content = {
        "damage": name,
        "seed": seed,
        "options": dict(options),
        "format": to_plain(format),
        "samples": clean.shape[1],
        "findings": to_plain(truth),
    }
    write_text(beside, json.dumps(content, indent=1) + "\n")
    return output, beside


def compare_files(reference: Path, other: Path) -> dict[str, float]:
    """Distances and figures of a file against its reference."""
    with open_reader(reference) as a, open_reader(other) as b:
        return measure.compare(a, b)


class _Metered:
    """Both sides through the meters."""

    def __init__(self, format: Format) -> None:
        self._before, self._after = measure.Meter(format), measure.Meter(format)

    def push(self, before: Samples, after: Samples) -> None:
        self._before.push(before)
        self._after.push(after)

    def finish(self) -> dict[str, dict[str, float]]:
        return {"before": self._before.finish(), "after": self._after.finish()}


def _planned(reader: Reader, request: planning.Request, hook: Hook) -> Plan:
    found = find(reader, hook=hook)
    return planning.make_plan(
        found,
        reader.format,
        reader.samples,
        strength=request.strength,
        only=request.only,
        also=request.also,
    )


def _forced(
    reader: Reader, name: str, span_s: tuple[float, float] | None, options: Mapping[str, Any], hook: Hook
) -> Plan:
    chosen = repairs[name]
    chosen.check(options)
    rate = reader.format.sample_rate
    if span_s is not None and not all(map(math.isfinite, span_s)):
        raise InputError("the span must begin and end at finite numbers of seconds")
    span = None if span_s is None else (round(span_s[0] * rate), min(round(span_s[1] * rate), reader.samples))
    found = () if chosen.fills and span else find(reader, [k for k in chosen.treats if k in damages], hook)
    return planning.forced_plan(chosen, reader.format, reader.samples, found, span, options)


def _run(
    reader: Reader,
    made: Plan,
    sinks: list[Sink],
    hook: Hook,
    *,
    guard: bool,
    layers: Sequence[Sequence[LayerSink]] = (),
    measured: bool = False,
) -> Report:
    began = time.perf_counter()
    meters = _Metered(reader.format) if measured else None
    everything = [*sinks, meters] if meters else sinks
    outcome = run(reader, made, everything, layers=layers, guard=guard, hook=hook)
    return Report(
        source=reader.source,
        format=reader.format,
        samples=reader.samples,
        findings=made.findings,
        plan=made,
        verdicts=outcome.verdicts,
        measures=meters.finish() if meters else {},
        not_carried=(),
        versions=versions_of(made),
        seconds={"repair": time.perf_counter() - began},
        provenance=outcome.provenance,
        remarks=outcome.remarks,
    )
