"""The tables of the report's page: what was done, left alone, measured, lost, and how to do it again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape

import numpy as np

from wavemend.core.params import shown
from wavemend.core.types import Action, Format, Report, Verdict
from wavemend.damage import damages
from wavemend.repairs import repairs
from wavemend.restoration.page_lanes import Kind
from wavemend.restoration.page_words import (
    change,
    channel_words,
    clock,
    counted,
    figure,
    hertz,
    number,
    percent,
)

ACTIONS: tuple[tuple[Action, str], ...] = (("keep", "kept"), ("blend", "eased"), ("revert", "taken back"))

MEASURES = {
    "loudness_lufs": ("Loudness, integrated", "LUFS", 1, "EBU R 128"),
    "loudness_range_lu": ("Loudness range", "LU", 1, "EBU Tech 3342"),
    "true_peak_dbtp": ("True peak", "dBTP", 1, "ITU-R BS.1770-4"),
    "sample_peak_dbfs": ("Sample peak", "dBFS", 1, ""),
    "noise_floor_dbfs": ("Noise floor", "dBFS", 1, "level of the quiet passages"),
    "bandwidth_hz": ("Bandwidth", "Hz", 0, "where the sound ends"),
}
"""Label, unit, digits after the point and a note, by the measure's name."""

GUARD = {
    "share": ("applied", 100, "%"),
    "cut_share": ("wanted sound cut by over 3 dB", 100, "%"),
    "high_band_db": ("wanted sound above 4 kHz", 1, "dB"),
    "onsets_db": ("onsets", 1, "dB"),
    "louder_db": ("louder than its surroundings", 1, "dB"),
    "rougher_db": ("rougher than before", 1, "dB"),
}
"""Label, factor and unit, by the name of what the guard measured."""


def kind_rows(kinds: Sequence[Kind], format: Format) -> str:
    """One row for each kind of damage."""
    rows = []
    for kind in kinds:
        severity = [f.severity for f in kind.findings]
        sure = float(np.median([f.confidence for f in kind.findings]))
        bands = [f.region.band_hz for f in kind.findings if f.region.band_hz]
        band = f"{hertz(min(b[0] for b in bands))} to {hertz(max(b[1] for b in bands))}" if bands else "all"
        rows.append(
            f'<tr><th scope="row">{escape(kind.title)}</th><td class="n">{number(len(kind.findings))}</td>'
            f"<td>{channel_words(kind.findings, format.channels)}</td>"
            f'<td class="n">{np.median(severity):.2f}, {max(severity):.2f}</td>'
            f'<td class="n">{percent(round(sure, 2))}</td><td>{band}</td></tr>'
        )
    return "".join(rows)


def step_rows(report: Report) -> str:
    """One row for each step of the plan, with what the guard decided and why."""
    rows = []
    for index, step in enumerate(report.plan.steps):
        verdicts = [v for v in report.verdicts if v.step == index]
        title = repairs[step.repair].title if step.repair in repairs else step.repair
        options = ", ".join(f"{name} {shown(value)}" for name, value in step.options.items())
        rows.append(
            f'<tr><td class="n">{index + 1}</td>'
            f'<th scope="row">{escape(title)}<small>{escape(options)}</small></th>'
            f"<td>{escape(step.reason)}</td><td>{_decision(verdicts)}</td>"
            f"<td>{_evidence(verdicts, report.format)}</td></tr>"
        )
    return "".join(rows)


MOST_REMARKS = 200


def remark_rows(report: Report) -> str:
    """One row for each place that was generated, the most uncertain first; report.json has all of them."""
    rows = []
    ordered = sorted(report.remarks, key=lambda r: (not r.guess, r.region.start))
    for remark in ordered[:MOST_REMARKS]:
        region, rate = remark.region, report.format.sample_rate
        measured = ", ".join(
            f"{name.replace('_', ' ')} {value:.3g}" for name, value in remark.measures.items()
        )
        word = (
            '<span class="chip revert">a guess</span>'
            if remark.guess
            else '<span class="chip keep">likely</span>'
        )
        rows.append(
            f'<tr><td class="n">{clock(region.start / rate, tenths=True)}</td>'
            f'<td class="n">{1000 * (region.stop - region.start) / rate:.0f} ms</td><td>{word}</td>'
            f"<td>{escape(remark.text)}<small>{escape(measured)}</small></td></tr>"
        )
    return "".join(rows)


def places(verdicts: Sequence[Verdict]) -> Counter[Action]:
    """How many places were kept, eased and taken back; one verdict may stand for several runs."""
    counts: Counter[Action] = Counter()
    for verdict in verdicts:
        counts[verdict.action] += max(1, round(verdict.measures.get("runs", 1)))
    return counts


def _decision(verdicts: Sequence[Verdict]) -> str:
    counts = places(verdicts) or Counter({"keep": 1})
    if len(counts) == 1:
        action, word = next(pair for pair in ACTIONS if pair[0] in counts)
        many = f", {counted(counts[action], 'place')}" if counts[action] > 1 else ""
        return f'<span class="chip {action}">{word}{many}</span>'
    return "".join(
        f'<span class="chip {action}">{number(counts[action])} {word}</span>'
        for action, word in ACTIONS
        if counts[action]
    )


def _evidence(verdicts: Sequence[Verdict], format: Format) -> str:
    """The range of each measure over the verdicts, and the reasons of those that were not kept.

    Reasons that differ in their numbers alone count as one, and the first is shown.
    """
    values: dict[str, list[float]] = defaultdict(list)
    reasons: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        for name, value in verdict.measures.items():
            if name != "runs":
                values[name].append(value)
        if verdict.action != "keep" and verdict.reason:
            reasons[re.sub(r"[\d.]+", "", verdict.reason)].append(verdict)
    lines = []
    for name, given in values.items():
        label, factor, unit = GUARD.get(name, (name.replace("_", " "), 1, ""))
        low, high = (f"{end * factor:.3g}".replace("-", "−") for end in (min(given), max(given)))
        span = low if low == high else f"{low} to {high}"
        lines.append(f"{escape(label)}: {span}" + (f"\u00a0{unit}" if unit else ""))
    for group in reasons.values():
        at = clock(group[0].region.start / format.sample_rate, tenths=True)
        where = f"at {at}" if len(group) == 1 else f"{number(len(group))} times, first at {at}"
        lines.append(f"{escape(group[0].reason)} ({where})")
    return "".join(f"<small>{line}</small>" for line in lines)


def left_items(report: Report) -> str:
    """One item for each reason to leave something alone."""
    items = []
    for left in report.plan.left_alone:
        kind, colon, why = left.reason.partition(": ")
        named = bool(colon) and kind in damages
        text = (
            f"<strong>{escape(damages[kind].title)}</strong>: {escape(why)}" if named else escape(left.reason)
        )
        items.append(f'<li>{text} <span class="meta">({counted(len(left.findings), "finding")})</span></li>')
    return "".join(items)


def measure_rows(report: Report) -> str:
    """One row for each measure of the whole recording."""
    sides = [report.measures.get(side, {}) for side in ("before", "after")]
    rows = []
    for name in dict.fromkeys([*MEASURES, *sides[0], *sides[1]]):
        before, after = (side.get(name) for side in sides)
        if before is None and after is None:
            continue
        label, unit, digits, how = MEASURES.get(name, (name.replace("_", " "), "", 2, ""))
        delta = "" if before is None or after is None else change(after - before, digits)
        rows.append(
            f'<tr><th scope="row">{escape(label)}<small>{how}</small></th>'
            f'<td class="n">{figure(before, digits)}</td><td class="n">{figure(after, digits)}</td>'
            f'<td class="n">{delta}</td><td>{escape(unit)}</td></tr>'
        )
    return "".join(rows)


def tag_rows(report: Report) -> str:
    """The tags of the file, cut where one is longer than a screen."""
    return "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(str(value)[:2000])}</td></tr>'
        for name, value in report.source.tags.items()
    )


def fact_rows(report: Report) -> str:
    """Versions, settings and times."""
    rows = {
        "Source": report.source.path or "an array in memory",
        "Settings": "; ".join(
            f"{step.repair} ({', '.join(f'{k} {shown(v)}' for k, v in step.options.items())})"
            for step in report.plan.steps
        ),
        "Versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        "Time taken": ", ".join(f"{name} {value:.2f} s" for name, value in report.seconds.items()),
    }
    return "".join(
        f'<tr><th scope="row">{name}</th><td><code>{escape(text)}</code></td></tr>'
        for name, text in rows.items()
        if text
    )
