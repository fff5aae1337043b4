"""Findings, plans and reports in plain words, for people who are no experts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wavemend.core.card import Card
from wavemend.core.jsonable import to_plain
from wavemend.core.params import Parameter, about, defaults
from wavemend.core.types import Finding, Format, Plan, Report, merge_spans
from wavemend.damage import damages
from wavemend.engine.model import Model, models
from wavemend.repairs import repairs
from wavemend.restoration.outlets import generating
from wavemend.restoration.plan import describe

SHOWN = 10  # guesses, of many
SEVERITY_WORDS = ((0.15, "slight"), (0.4, "moderate"), (0.7, "strong"), (1.01, "severe"))


def finding_in_seconds(finding: Finding, format: Format) -> dict[str, Any]:
    """A finding as `diagnose --json` prints it."""
    region = finding.region
    return {
        "damage": finding.damage,
        "start_s": region.start / format.sample_rate,
        "stop_s": region.stop / format.sample_rate,
        "channels": list(region.channels if region.channels is not None else range(format.channels)),
        "band_hz": list(region.band_hz) if region.band_hz else None,
        "severity": finding.severity,
        "confidence": finding.confidence,
    }


def severity_word(severity: float) -> str:
    """One of four words for a severity of 0 to 1."""
    return next(word for bound, word in SEVERITY_WORDS if severity < bound)


def of_findings(findings: Sequence[Finding], format: Format) -> str:
    """What was found, one line for each kind of damage."""
    if not findings:
        return "Nothing was found to be wrong."
    lines = []
    for kind in dict.fromkeys(f.damage for f in findings):
        group = [f for f in findings if f.damage == kind]
        worst = max(f.severity for f in group)
        sure = max(f.confidence for f in group)
        lines.append(f"  {describe(group, format)} ({severity_word(worst)}, {sure:.0%} sure)")
    return "\n".join(["Found:", *lines])


def of_plan(plan: Plan) -> str:
    """What would be done and what left alone."""
    lines = [of_findings(plan.findings, plan.format)]
    if plan.steps:
        lines.append("To be done, in this order:")
        made = generating(plan)
        for i, step in enumerate(plan.steps, 1):
            what = ", in part generated" if step.repair in made else ""
            lines.append(f"  {i}. {step.repair}: {step.reason}{what}")
    lines.extend(_left_alone(plan))
    return "\n".join(lines)


def _left_alone(plan: Plan) -> list[str]:
    if not plan.left_alone:
        return []
    return ["Left alone:", *(f"  {len(left.findings)} × {left.reason}" for left in plan.left_alone)]


def of_report(report: Report) -> str:
    """What was found, done, held back and left alone."""
    lines = [of_findings(report.findings, report.format)]
    if not report.plan.steps:
        lines.append("Nothing was changed.")
    else:
        lines.append("Done:")
        lines.extend(_steps(report))
    lines.extend(_generated(report))
    lines.extend(_left_alone(report.plan))
    lines.extend(_not_carried(report))
    return "\n".join(lines)


def _steps(report: Report) -> list[str]:
    lines = []
    for i, step in enumerate(report.plan.steps):
        actions = Counter[str](v.action for v in report.verdicts if v.step == i)
        line = f"  {step.repair}: {step.reason}"
        held = [
            f"{actions[a]} {word}" for a, word in (("blend", "eased"), ("revert", "taken back")) if actions[a]
        ]
        lines.append(line + (f" (the guard: {', '.join(held)})" if held else ""))
    return lines


def _generated(report: Report) -> list[str]:
    """What is in the file that was never recorded, and what is only a guess."""
    made = [trace for trace in report.provenance if trace.provenance == "generated"]
    if not made:
        return []
    names = " and ".join(dict.fromkeys(report.plan.steps[trace.step].repair for trace in made))
    lines = [f"Generated, not recorded: {generated_seconds(report):.2f} s, by {names}"]
    guesses = [remark for remark in report.remarks if remark.guess]
    for remark in guesses[:SHOWN]:
        lines.append(f"  a guess at {remark.region.start / report.format.sample_rate:.2f} s: {remark.text}")
    if len(guesses) > SHOWN:
        lines.append(f"  and {len(guesses) - SHOWN} guesses more; the report has them all")
    return lines


def generated_seconds(report: Report) -> float:
    """How much of the time holds generated sound, in any channel, s."""
    spans = [run for trace in report.provenance if trace.provenance == "generated" for run in trace.runs]
    return sum(stop - start for start, stop in merge_spans(spans)) / report.format.sample_rate


def of_repair(report: Report) -> str:
    """What a single repair, asked for by name, did."""
    if not report.plan.steps:
        return "\n".join(["No place was found that needs it; nothing was changed.", *_not_carried(report)])
    lines = [
        f"{step.repair}: {describe([report.findings[k] for k in step.findings], report.format)}"
        for step in report.plan.steps
    ]
    return "\n".join(lines + _generated(report) + _not_carried(report))


def of_writing(output: Path, report: Report, changed: int) -> str:
    """Where the sound is, and how much of it is no longer what it was."""
    share = changed / (report.samples * report.format.channels)
    much = "every sample as it was" if not changed else f"{max(share, 1e-5):.3%} of the samples changed"
    return f"Written: {output} ({much})"


def _not_carried(report: Report) -> list[str]:
    return [f"Not carried over: {what}" for what in report.not_carried]


def of_comparison(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A table: one column for each file."""
    names = list(rows)
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    widths = [max(len(name), 12) for name in names]
    lines = [" " * 26 + "  ".join(f"{name:>{w}}" for name, w in zip(names, widths, strict=True))]
    for key in keys:
        cells = (_number(rows[name].get(key)) for name in names)
        lines.append(f"{key:26}" + "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:d}" if isinstance(value, int) else f"{value:.2f}"


def catalogue() -> dict[str, Any]:
    """Everything that is declared, as plain data."""
    return {
        "damages": {d.name: {"title": d.title, "parameters": _params(d.params)} for d in damages.values()},
        "repairs": {
            r.name: {"title": r.title, "treats": list(r.treats), "parameters": _params(r.params)}
            for r in repairs.values()
        },
        "models": {name: to_plain(Model.load(name).card) for name in models()},
    }


def _params(params: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: param.plain() for name, param in params.items()}


def of_catalogue() -> str:
    """Everything that is declared, in words."""
    lines = ["Damages: what can be found, and simulated with wavemend damage KIND"]
    for damage in damages.values():
        lines += [f"  {damage.name}: {damage.title}", *_param_lines(damage.params)]
    lines.append("Repairs: run by wavemend restore, or alone with wavemend repair NAME")
    for repair in repairs.values():
        lines.append(f"  {repair.name}: {repair.title} (treats {', '.join(repair.treats)})")
        lines += _param_lines(repair.params)
    lines.append(
        "Models: networks, chosen with --model; wavemend list --model NAME prints the whole card"
        if models()
        else "Models: none is installed; repairs work without, or with a network of yours, by its path"
    )
    for name in models():
        lines += _model_lines(Model.load(name).card)
    return "\n".join(lines)


def _model_lines(card: Card) -> list[str]:
    """A network in two lines: what it is, and what was measured."""
    figures = ", ".join(f"{name} {value:g}" for name, value in list(card.figures.items())[:2])
    waits = f"a sample waits {card.latency_ms:.0f} ms, " if card.task == "denoise" else ""
    about = f"{card.parameters:,} parameters, {waits}{card.licence}"
    return [f"  {card.name}: {card.title} ({about})", *([f"      {figures}"] if figures else [])]


def of_card(card: Card) -> str:
    """All of a network's card."""
    cost = card.training
    parts = [
        f"{card.name}: {card.title}",
        f"  version {card.version}, task {card.task}, licence {card.licence}",
        f"  {card.parameters:,} parameters, seed {card.seed}, sha256 {card.sha256}",
        f"  hears {card.bins} bins of {card.n_fft} samples every {card.hop} at {card.sample_rate} Hz,",
        f"  {card.frames_per_call} at once and {card.lookahead_frames} ahead"
        + (f"; a sample waits {card.latency_ms:.1f} ms" if card.task == "denoise" else ""),
        f"  trained for {cost.minutes:g} minutes, {cost.steps} steps and {cost.hours_of_sound:g} hours of "
        f"sound on {cost.machine}",
        "Measured:",
        *(f"  {name}: {value:g}" for name, value in card.figures.items()),
        "Learned from:",
        *(f"  {data.name}, {data.hours:g} h, {data.licence}: {data.credit}" for data in card.data),
        "Recipe:",
        *(f"  {line}" for line in card.recipe.splitlines()),
    ]
    return "\n".join(parts)


def _param_lines(params: Mapping[str, Parameter]) -> list[str]:
    return [
        f"      --{name.replace('_', '-'):18} {p.range}{' ' + p.unit if p.unit else ''}, "
        f"default {defaults(p)}: {about(p)}"
        for name, p in params.items()
    ]
