"""From findings to an ordered plan, and plans as files.

A plan says why each step is there and what it leaves alone. Run again on the same
recording it gives the same bits.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wavemend import __version__
from wavemend.core.jsonable import from_plain, to_plain
from wavemend.core.params import suggest
from wavemend.core.text import write_text
from wavemend.core.types import Finding, Format, LeftAlone, Plan, Region, Step
from wavemend.damage import damages
from wavemend.errors import InputError, PlanError
from wavemend.repairs import STRENGTH, Repair, repairs

ORDER = ("declip", "desaturate", "declick", "decrackle", "fill", "dc", "dehum", "denoise", "voice")
"""Places first, then what lies under everything: a click spoils the tracking of hum and noise,
and the exact clip level, or curve, is lost once anything else has moved the samples."""

PLAN_VERSION = 1


def make_plan(
    findings: Sequence[Finding],
    format: Format,
    samples: int,
    *,
    strength: float = 1.0,
    only: Collection[str] = (),
    also: Collection[str] = (),
) -> Plan:
    """The steps for these findings, in order.

    `only` keeps the given kinds of damage; `strength` goes to every step; `also` names repairs that
    run only where they are asked for. A finding
    that is less certain than its repair asks for, that is too long for it, or that no repair
    treats is left alone with the reason. Raises InputError for an unknown kind or a strength outside 0 to 1.
    """
    check_request(strength, only, also)
    treating = _treating(also)
    taken: dict[str, list[int]] = defaultdict(list)
    left: dict[str, list[int]] = defaultdict(list)
    for i, finding in enumerate(findings):
        why_not = _why_not(finding, treating.get(finding.damage), format, only)
        if why_not:
            left[why_not].append(i)
        else:
            taken[treating[finding.damage].name].append(i)
    steps = [
        Step(
            name,
            {"strength": float(strength), **_chosen(repairs[name])},
            tuple(taken[name]),
            describe([findings[i] for i in taken[name]], format),
        )
        for name in sorted(taken, key=_place)
    ]
    alone = [LeftAlone(tuple(indices), reason) for reason, indices in sorted(left.items())]
    return Plan(format, samples, tuple(findings), tuple(steps), tuple(alone))


def _chosen(repair: Repair) -> dict[str, str]:
    """What the repair would choose by default, so that a plan says which network it runs."""
    return {name: param.default for name, param in repair.params.items() if isinstance(param.default, str)}


@dataclass(frozen=True)
class Request:
    """What somebody asks of a new plan. InputError where it cannot be, or where a plan is given as well."""

    strength: float = 1.0
    only: Collection[str] = ()
    also: Collection[str] = ()
    plan: InitVar[Plan | None] = None

    def __post_init__(self, plan: Plan | None) -> None:
        if plan is not None and (self.strength != 1.0 or self.only or self.also):
            raise InputError("a plan already says what to do; give it alone, or strength, only and also")
        check_request(self.strength, self.only, self.also)


def check_request(strength: float, only: Collection[str], also: Collection[str] = ()) -> None:
    """InputError for a strength outside 0 to 1, an unknown kind, or a repair that need not be asked for."""
    STRENGTH.check("restore", "strength", strength)
    for kind in only:
        if kind not in damages:
            raise InputError(f"there is no damage '{kind}'{suggest(kind, damages)}")
    for name in also:
        if not repairs[name].opt_in:
            raise InputError(f"{name} need not be asked for; restore uses it where it is needed")


def _treating(also: Collection[str]) -> dict[str, Repair]:
    """The repair for each kind of damage; one that was asked for goes before one that is always there."""
    usual = {kind: r for r in repairs.values() if not r.opt_in for kind in r.treats}
    return usual | {kind: r for r in repairs.values() if r.name in also for kind in r.treats}


def _why_not(finding: Finding, repair: Repair | None, format: Format, only: Collection[str]) -> str:
    if only and finding.damage not in only:
        return f"{finding.damage}: not asked for"
    if repair is None:
        waiting = [r.name for r in repairs.values() if r.opt_in and finding.damage in r.treats]
        if waiting:
            return f"{finding.damage}: left as it is unless {' or '.join(waiting)} is asked for"
        return f"{finding.damage}: reported only, no repair treats it"
    if finding.confidence < repair.min_confidence:
        return f"{finding.damage}: too uncertain to touch (less than {repair.min_confidence:.0%} sure)"
    if finding.severity < repair.min_severity:
        return f"{finding.damage}: too slight to be worth a change to every sample"
    longest_ms = repair.check({}).get("longest_ms", np.inf)
    if 1000 * (finding.region.stop - finding.region.start) / format.sample_rate > longest_ms:
        return f"{finding.damage}: longer than the {longest_ms:g} ms that {repair.name} can restore"
    return ""


def _place(repair: str) -> tuple[int, str]:
    return (ORDER.index(repair) if repair in ORDER else len(ORDER), repair)


def describe(findings: Sequence[Finding], format: Format) -> str:
    """Findings of one kind or several in a few plain words, such as "41 clicks and pops (0.9 s to 58 s)"."""
    parts = []
    for kind in dict.fromkeys(f.damage for f in findings):
        of_kind = [f for f in findings if f.damage == kind]
        first = min(f.region.start for f in of_kind) / format.sample_rate
        last = max(f.region.stop for f in of_kind) / format.sample_rate
        title = damages[kind].title if kind in damages else kind
        count = f"{len(of_kind)} × " if len(of_kind) > 1 else ""
        parts.append(f"{count}{title}, {first:.1f} s to {last:.1f} s")
    return "; ".join(parts)


def save_plan(plan: Plan, path: Path) -> None:
    """The plan as JSON that a person can read and edit."""
    write_text(path, plan_text(plan))


def plan_text(plan: Plan) -> str:
    """The plan as JSON."""
    content = {"wavemend_plan": PLAN_VERSION, "made_by": f"wavemend {__version__}", **to_plain(plan)}
    return json.dumps(content, indent=1) + "\n"


def load_plan(path: Path) -> Plan:
    """A plan from a file; PlanError where it cannot be one."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark at the start
    except OSError as error:
        raise PlanError(f"{path}: cannot be read as a plan ({error.strerror})") from None
    except UnicodeDecodeError:
        raise PlanError(f"{path}: cannot be read as a plan (it is not text)") from None
    return parse_plan(text, str(path))


def parse_plan(text: str, where: str = "plan") -> Plan:
    """A plan from JSON, checked: types, indices, regions, repairs and their options."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{where}: not JSON ({error})") from None
    if not isinstance(content, dict) or content.get("wavemend_plan") != PLAN_VERSION:
        raise PlanError(f'{where}: not a wavemend plan; it must begin with "wavemend_plan": {PLAN_VERSION}')
    try:
        plan = from_plain(Plan, {k: v for k, v in content.items() if k not in ("wavemend_plan", "made_by")})
        _check(plan)
    except (InputError, RecursionError) as error:
        raise PlanError(f"{where}: {error}") from None
    return plan


def _check(plan: Plan) -> None:
    for i, finding in enumerate(plan.findings):
        channels = finding.region.channels or (0,)
        if finding.region.stop > plan.samples or max(channels) >= plan.format.channels:
            raise InputError(f"finding {i} lies outside the recording")
    for i, step in enumerate(plan.steps):
        repairs[step.repair].check(step.options)
        if any(not 0 <= index < len(plan.findings) for index in step.findings):
            raise InputError(f"step {i} ({step.repair}) names a finding that is not there")
        for index in step.findings:
            damage = plan.findings[index].damage
            if damage not in repairs[step.repair].treats:
                raise InputError(f"step {i}: {step.repair} does not treat {damage} (finding {index})")


def check_fit(plan: Plan, format: Format, samples: int) -> None:
    """PlanError unless the plan was made for a recording of this format and length."""
    if plan.format != format or plan.samples != samples:
        was, now = ((f.sample_rate, f.channels) for f in (plan.format, format))
        raise PlanError(
            f"the plan is for {plan.samples} samples at {was[0]} Hz in {was[1]} channels, "
            f"the recording has {samples} at {now[0]} Hz in {now[1]}"
        )


def forced_plan(
    repair: Repair,
    format: Format,
    samples: int,
    found: Sequence[Finding],
    span: tuple[int, int] | None,
    options: Mapping[str, Any],
) -> Plan:
    """A plan with one repair over the whole recording or a span, whatever the diagnosis thinks.

    A local repair takes the places that were found, cut down to the span; one that treats
    gaps takes the span itself as the gap. A steady repair works from end to end, with
    what was measured where something was found.
    """
    start, stop = span or (0, samples)
    if not 0 <= start < stop <= samples:
        raise InputError("the span lies outside the recording, or is empty")
    everywhere = Region(start, stop)
    checked = repair.check(options)
    if repair.fills and span:
        length_ms, longest_ms = 1000 * (stop - start) / format.sample_rate, checked.get("longest_ms", np.inf)
        if length_ms > longest_ms:
            raise InputError(
                f"{repair.name}: a gap of {length_ms:.0f} ms is longer than longest_ms ({longest_ms:g} ms)"
            )
        chosen = [Finding(repair.treats[0], everywhere, 1.0, 1.0)]
    elif repair.scope == "local":
        chosen = [cut for f in found if (cut := _cut(f, start, stop))]
    else:
        chosen = _everywhere(repair, format, everywhere, found)
    findings = tuple(chosen)
    steps = (Step(repair.name, checked, tuple(range(len(findings))), "asked for"),) if findings else ()
    return Plan(format, samples, findings, steps)


def _cut(finding: Finding, start: int, stop: int) -> Finding | None:
    region = finding.region
    lo, hi = max(region.start, start), min(region.stop, stop)
    if lo >= hi:
        return None
    cut = Region(lo, hi, region.channels, region.band_hz)
    return Finding(finding.damage, cut, finding.severity, finding.confidence, finding.measures)


def _everywhere(repair: Repair, format: Format, region: Region, found: Sequence[Finding]) -> list[Finding]:
    """Each channel's most severe finding, stretched over the region; a bare one where nothing was found."""
    chosen: dict[tuple[int, ...], Finding] = {}
    bare = Finding(repair.treats[0], region, 1.0, 1.0)
    for channel in range(format.channels):
        heard = [f for f in found if f.region.of_channel(channel)]
        worst = max(heard, key=lambda f: f.severity, default=bare)
        key = worst.region.channels or tuple(range(format.channels))
        if worst is bare:
            key = (channel,)
        stretched = Region(region.start, region.stop, key, worst.region.band_hz)
        chosen.setdefault(key, Finding(worst.damage, stretched, worst.severity, 1.0, worst.measures))
    return list(chosen.values())
