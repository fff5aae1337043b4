"""Who is measured: a name, a function from damaged to repaired mono sound, and what is missing to run it."""

from __future__ import annotations

import hashlib
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import wavemend
from wavemend.core.types import Finding, Format
from wavemend.damage import damages
from wavemend.engine.model import models
from wavemend.engine.stream import run
from wavemend.repairs import repairs
from wavemend.restoration.diagnose import settled
from wavemend.restoration.plan import make_plan

Array = npt.NDArray[np.float32]
CACHE = Path(__file__).parent / "cache"


class TooSlowError(RuntimeError):
    """A peer took longer than the bench waits."""


@dataclass(frozen=True, eq=False)
class System:
    """`run(x, rate, facts)` takes and gives mono sound; `facts` is what a user of it would tell it.

    `version` is empty for what is never kept; else results are kept on disk by it.
    """

    name: str
    run: Callable[[Array, int, Mapping[str, Any]], Array]
    missing: str = ""
    version: str = ""


@dataclass(frozen=True, eq=False)
class Ran:
    """What came out, and how long it took in seconds of processor time, children included."""

    out: Array
    seconds: float


def use(system: System, x: Array, rate: int, facts: Mapping[str, Any] | None = None) -> Ran | None:
    """Run the system, or take what it gave before. None where it is too slow."""
    facts = facts or {}
    kept = None
    if system.version:
        told = {k: _digest(v) if isinstance(v, np.ndarray) else v for k, v in facts.items()}
        key = hashlib.sha256(
            x.tobytes() + repr((system.name, system.version, rate, sorted(told.items()))).encode()
        )
        kept = CACHE / "peers" / f"{key.hexdigest()[:24]}.npz"
        if kept.is_file():
            with np.load(kept) as had:
                return Ran(had["out"], float(had["seconds"])) if had["out"].size else None
    began = processor_seconds()
    try:
        out = np.asarray(system.run(x.copy(), rate, facts), np.float32)
    except TooSlowError:
        out = np.zeros(0, np.float32)
    ran = Ran(out, processor_seconds() - began)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, out=ran.out, seconds=ran.seconds)
    return ran if out.size else None


def _digest(x: npt.NDArray[Any]) -> str:
    return hashlib.sha256(x.tobytes()).hexdigest()


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def ours(kinds: Sequence[str], title: str = "wavemend") -> System:
    """Our own detectors for these kinds of damage, the plan's rules, and the repairs that it calls for."""
    known = [kind for kind in kinds if kind in damages and damages[kind].detector]
    treated = any(kind in repair.treats for repair in repairs.values() for kind in known)
    missing = "" if known and treated else f"no repair for {', '.join(kinds)} yet"

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        format = Format(rate, 1)
        findings = settled([f for kind in known for f in damages[kind].detect(x[np.newaxis], format)], format)
        return planned(x[np.newaxis], format, findings)[0]

    return System(title, mend, missing)


def guarded(kinds: Sequence[str]) -> System:
    """The whole of restore, kept to these kinds: all detectors, the plan, the repairs and the guard."""
    bare = ours(kinds)

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        only = [kind for kind in kinds if kind in damages]
        return np.array(wavemend.restore(x, rate, only=only).restored.samples[0])

    return System("wavemend, with the guard", mend, bare.missing)


OWN_MODELS = "WAVEMEND_MODELS"
"""The variable with more networks to measure as ours: paths of .onnx files, with commas between them."""


def variants() -> dict[str, dict[str, Any]]:
    """Our denoisers: a name, and the options of the repair `denoise` that choose it."""
    paths = [path for path in os.environ.get(OWN_MODELS, "").split(",") if path]
    named = {name: {"model": name} for name in models("denoise")}
    given = {Path(path).stem: {"model": path} for path in paths}
    return {**named, **given, "classic": {"model": "classic"}}


def forced(variant: str) -> System:
    """`wavemend repair denoise`: over everything at full strength, whatever the diagnosis thinks."""
    options = variants()[variant]

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        return np.array(wavemend.repair("denoise", x, rate, **options).restored.samples[0])

    return System(f"wavemend {variant}", mend)


def decided(variant: str) -> System:
    """`wavemend restore`, noise alone: diagnosis, plan, this denoiser and the guard."""
    options = variants()[variant]

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        plan = wavemend.plan(x, rate, only=["noise"])
        steps = [
            replace(step, options={"strength": step.options["strength"], **options}) for step in plan.steps
        ]
        made = wavemend.restore(x, rate, plan=replace(plan, steps=tuple(steps)))
        return np.array(made.restored.samples[0])

    return System(f"wavemend {variant}, in restore", mend)


def voiced() -> System:
    """`wavemend restore --voice`, noise alone: speech is wanted, and the diagnosis decides."""

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        made = wavemend.restore(x, rate, only=["noise", "environment"], also=["voice"])
        return np.array(made.restored.samples[0])

    return System("wavemend, restore --voice", mend)


def planned(x: npt.NDArray[np.float32], format: Format, findings: Sequence[Finding]) -> Array:
    """(channels, samples) through the steps that the plan makes of these findings, without the guard."""
    findings = sorted(findings, key=lambda f: f.region.start)
    for step in make_plan(findings, format, x.shape[1]).steps:
        chosen = [findings[i] for i in step.findings]
        x = run(repairs[step.repair].open(format, chosen, **step.options), x)
    return x


def untouched(title: str = "(input)") -> System:
    """Does nothing: the row that every other is held against."""
    return System(title, lambda x, rate, facts: x)
