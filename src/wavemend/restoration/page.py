"""The report as one page of HTML that needs nothing but itself. Everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

from wavemend import __version__
from wavemend.core.types import Report
from wavemend.restoration import page_sound as sound
from wavemend.restoration import page_tables as tables
from wavemend.restoration.page_lanes import Kind, band, kinds_of, lanes
from wavemend.restoration.page_words import clock, counted, figure, in_words, listed, number, percent
from wavemend.restoration.picture import RANGE_DB, colours, top_of
from wavemend.restoration.words import generated_seconds

GUARDED = (
    "In this order. After each step a guard compares what went in with what came out, place by place, "
    "and keeps the repair, eases it, or takes it back."
)


def page(
    report: Report,
    excerpt: sound.Excerpt,
    levels: npt.NDArray[np.floating],
    changed: npt.NDArray[np.float64],
    changed_values: int,
) -> str:
    """The whole page.

    `levels` are the spectrograms of the whole recording, `changed` the share of instants
    changed in equal stretches of it, `changed_values` the number of values, of all channels.
    """
    whole = excerpt.before.shape[1] >= report.samples
    top = top_of(levels[:2])
    template = Template(files("wavemend.restoration").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        version=escape(__version__),
        gradient=_gradient(),
        top_db=figure(top, 0),
        low_db=figure(top - RANGE_DB, 0),
        **_head(report, changed_values),
        **_listen(report, excerpt, levels if whole else excerpt.spectrograms(), top, whole),
        **_whole(report, excerpt, levels, top, changed, whole),
        hide_band=_hidden(report.provenance),
        hide_remarks=_hidden(report.remarks),
        remark_rows=tables.remark_rows(report),
        **_tables(report),
    )


def _hidden(empty: object) -> str:
    return "" if empty else " hidden"


def _head(report: Report, changed_values: int) -> dict[str, str]:
    kinds = kinds_of(report)
    format, source = report.format, report.source
    channels = {1: "mono", 2: "stereo"}.get(format.channels, f"{format.channels} channels")
    seconds = report.samples / format.sample_rate
    kind = " ".join(part for part in (source.container, source.subtype.replace("_", " ")) if part)
    parts = (clock(seconds, seconds < 60), f"{format.sample_rate / 1000:g} kHz", channels, kind)
    return {
        "title": escape(Path(source.path).name or "Recording"),
        "meta": escape(" · ".join(part for part in parts if part)),
        "summary": escape(summary(report, kinds, changed_values)),
        "figures": _figures(report, kinds, changed_values),
    }


def summary(report: Report, kinds: Sequence[Kind], changed_values: int) -> str:
    """One paragraph in plain words."""
    if not kinds:
        return "No damage was found. " + (
            "The repair that was asked for was made."
            if changed_values
            else "Every sample of the recording is bit for bit as it came in."
        )
    count = "One kind of damage was" if len(kinds) == 1 else f"{in_words(len(kinds))} kinds of damage were"
    found = listed(f"{kind.inside} {_where(kind, report.samples)}" for kind in kinds)
    text = f"{count[0].upper()}{count[1:]} found: {found}. "
    if not changed_values:
        return text + "Nothing was changed: every sample is bit for bit as it came in."
    text += _fates(kinds)
    held = tables.places(report.verdicts)
    if held["blend"] or held["revert"]:
        where = counted(held["blend"] + held["revert"], "place")
        text += (
            f"In {where} a repair would have cost too much of the sound; there it was eased or taken back. "
        )
    text += _generated(report)
    untouched = 1 - changed_values / max(report.samples * report.format.channels, 1)
    if untouched > 0.01:
        text += f"{percent(untouched)} of the samples are bit for bit as they came in."
    return text.strip()


def _generated(report: Report) -> str:
    seconds = generated_seconds(report)
    if not seconds:
        return ""
    guesses = sum(remark.guess for remark in report.remarks)
    what = f"{seconds:.2f} s of the new file were generated: they were never recorded. "
    return what + (f"In {counted(guesses, 'place')} they are only a guess. " if guesses else "")


def _where(kind: Kind, samples: int) -> str:
    longest = max(f.region.stop - f.region.start for f in kind.findings)
    if longest >= 0.9 * samples:
        return "throughout"
    return "in one place" if len(kind.findings) == 1 else f"in {number(len(kind.findings))} places"


def _fates(kinds: Sequence[Kind]) -> str:
    repaired = [kind for kind in kinds if any(kind.repaired)]
    alone = [kind for kind in kinds if not any(kind.repaired)]
    partly = [kind.inside for kind in repaired if not all(kind.repaired)]
    in_part = (
        f", {listed(partly)} only in part"
        if partly and len(kinds) > 1
        else ", but only in part"
        if partly
        else ""
    )
    if not alone:
        what = "It" if len(kinds) == 1 else "All that was found"
        return f"{what} was repaired{in_part}. "
    rest = f"{listed(kind.inside for kind in alone)} {'was' if len(alone) == 1 else 'were'} left alone. "
    if not repaired:
        return rest[0].upper() + rest[1:]
    done = in_words(len(repaired))
    return f"{done[0].upper()}{done[1:]} {'was' if len(repaired) == 1 else 'were'} repaired{in_part}; {rest}"


def _figures(report: Report, kinds: Sequence[Kind], changed_values: int) -> str:
    share = changed_values / max(report.samples * report.format.channels, 1)
    actions = tables.places(report.verdicts)
    decisions = ", ".join(f"{number(actions[a])} {word}" for a, word in tables.ACTIONS if actions[a])
    cells = [
        ("Kinds of damage", str(len(kinds)), counted(len(report.findings), "finding")),
        ("Repairs", str(len(report.plan.steps)), decisions or "nothing to decide"),
        ("Samples changed", percent(share), "all others bit for bit the same" if share < 1 else ""),
    ]
    before, after = (report.measures.get(side, {}).get("noise_floor_dbfs") for side in ("before", "after"))
    if before is not None and after is not None:
        cells.append(("Noise floor", f"{figure(after, 1)} dBFS", f"before: {figure(before, 1)} dBFS"))
    rows = (f"<div><dt>{a}</dt><dd>{escape(b)}<small>{escape(c)}</small></dd></div>" for a, b, c in cells)
    return f'<dl class="figures">{"".join(rows)}</dl>'


def _listen(
    report: Report, excerpt: sound.Excerpt, levels: npt.NDArray[np.floating], top: float, whole: bool
) -> dict[str, str]:
    sounds, format = sound.tracks(excerpt)
    gains = sound.matched_gains_db(sounds, format)
    span = f"{clock(excerpt.start_s)} to {clock(excerpt.start_s + excerpt.seconds)}"
    which = "The passage with the most damage" if report.findings else "A passage from the middle"
    mixed = ", mixed to two channels" if report.format.channels > 2 else ""
    names = (f"{name.lower()} {figure(gain, 1)} dB" for name, gain in zip(sound.NAMES, gains, strict=True))
    return {
        "passage": "The whole recording." if whole else f"{which}, {span}.",
        "gains": escape(str(gains)),
        "gains_words": ", ".join(names),
        "offset_s": f"{excerpt.start_s:.6f}",
        "length_s": f"{max(excerpt.seconds, 1e-3):.6f}",
        "panels": sound.panels(
            levels,
            top,
            report.format.sample_rate,
            excerpt.start_s,
            excerpt.seconds,
            '<span class="cursor"></span>',
            _band(report, excerpt),
        ),
        "players": sound.players(sounds, format),
        "page_sound": f"16 bit at {format.sample_rate / 1000:g} kHz{mixed}.",
    }


def _band(report: Report, excerpt: sound.Excerpt) -> str:
    start = round(excerpt.start_s * report.format.sample_rate)
    return band(report, start, start + excerpt.before.shape[1])


def _whole(
    report: Report,
    excerpt: sound.Excerpt,
    levels: npt.NDArray[np.floating],
    top: float,
    changed: npt.NDArray[np.float64],
    whole: bool,
) -> dict[str, str]:
    kinds = kinds_of(report)
    seconds = report.samples / report.format.sample_rate
    frame = ""
    if not whole:
        left, width = excerpt.start_s / seconds, excerpt.seconds / seconds
        frame = f'<span class="span" style="left:{left:.3%};width:{width:.3%}"></span>'
    panels = (
        ""
        if whole
        else sound.panels(
            levels, top, report.format.sample_rate, 0.0, seconds, frame, band(report, 0, report.samples)
        )
    )
    body = lanes(report, kinds, changed, frame) + sound.time_axis(0.0, seconds) if kinds else ""
    return {
        "hide_whole": _hidden(not whole),
        "whole_panels": panels,
        "hide_found": _hidden(kinds),
        "lanes": body,
        "kind_rows": tables.kind_rows(kinds, report.format),
    }


def _tables(report: Report) -> dict[str, str]:
    measured = tables.measure_rows(report)
    tags = tables.tag_rows(report)
    steps = report.plan.steps
    lost = report.not_carried
    kept = "Sample rate, channels, length and every tag of the file were kept."
    return {
        "done_note": (GUARDED if report.verdicts else "In this order.")
        if steps
        else "Nothing: the recording was left as it is.",
        "hide_steps": _hidden(steps),
        "step_rows": tables.step_rows(report),
        "hide_left": _hidden(report.plan.left_alone),
        "left_items": tables.left_items(report),
        "hide_measures": _hidden(measured),
        "measure_rows": measured,
        "carried_note": "The new file cannot hold these:" if lost else kept,
        "hide_lost": _hidden(lost),
        "lost_items": "".join(f"<li>{escape(what)}</li>" for what in lost),
        "hide_tags": _hidden(tags),
        "tag_rows": tags,
        "fact_rows": tables.fact_rows(report),
    }


def _gradient() -> str:
    table = colours()
    places = np.linspace(0, len(table) // 3 - 1, 12).astype(int).tolist()
    return ", ".join("#" + table[3 * i : 3 * i + 3].hex() for i in places)
