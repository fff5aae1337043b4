"""The time line of the report's page: one lane for each kind of damage, however many findings there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wavemend.core.types import PROVENANCES, Finding, Report
from wavemend.damage import damages
from wavemend.restoration.page_words import channel_words, clock, counted, number, percent

BINS = 300


@dataclass(frozen=True)
class Kind:
    """All findings of one kind of damage, and which of them were repaired."""

    name: str
    findings: tuple[Finding, ...]
    repaired: tuple[bool, ...]

    @property
    def title(self) -> str:
        """As it stands at the head of a line."""
        title = damages[self.name].title if self.name in damages else self.name
        return title[:1].upper() + title[1:]

    @property
    def inside(self) -> str:
        """The title as it stands inside a sentence."""
        title = self.title
        return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def kinds_of(report: Report) -> list[Kind]:
    """The findings by kind, in the order in which the kinds first appear.

    A finding counts as repaired when a step treats it that the guard did not take back as a whole.
    """
    repaired: set[int] = set()
    for place, step in enumerate(report.plan.steps):
        if {v.action for v in report.verdicts if v.step == place} != {"revert"}:
            repaired.update(step.findings)
    groups: dict[str, list[int]] = {}
    for index, finding in enumerate(report.findings):
        groups.setdefault(finding.damage, []).append(index)
    return [
        Kind(kind, tuple(report.findings[i] for i in places), tuple(i in repaired for i in places))
        for kind, places in groups.items()
    ]


def lanes(report: Report, kinds: Sequence[Kind], changed: npt.NDArray[np.float64], overlay: str) -> str:
    """All lanes as HTML with SVG inside.

    A lane has at most BINS bars, for neighbours that show the same findings are one bar.
    `changed` is the share of changed instants in equal stretches of time.
    """
    rows = [_lane(kind.title, _fate(kind), _bars(kind, report), overlay) for kind in kinds]
    if changed.any():
        rows.append(
            _lane("Samples changed", f"{percent(float(changed.mean()))} of the time", _area(changed), overlay)
        )
    return "".join(rows)


def band(report: Report, start: int, stop: int) -> str:
    """What became of samples start to stop, as a band to lie under their spectrogram; "" where all was kept.

    Of what falls into one of BINS columns and all channels, the most invented counts.
    """
    best = np.zeros(BINS, np.uint8)
    width = max(stop - start, 1)
    for trace in report.provenance:
        rank = 1 + PROVENANCES.index(trace.provenance)
        for first, last in trace.runs:
            if first < stop and last > start:
                a = (max(first, start) - start) * BINS // width
                b = (min(last, stop) - 1 - start) * BINS // width + 1
                best[a:b] = np.maximum(best[a:b], rank)
    if not best.any():
        return ""
    drawn = []
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), BINS]
    for a, b in pairwise(edges):
        if best[a]:
            name = PROVENANCES[best[a] - 1]
            drawn.append(
                f'<rect class="{name}" x="{a}" width="{b - a}" height="1"><title>{name}</title></rect>'
            )
    return (
        f'<div class="band"><svg viewBox="0 0 {BINS} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="What was kept, attenuated, interpolated and generated">{"".join(drawn)}</svg></div>'
    )


def _fate(kind: Kind) -> str:
    count, repaired = len(kind.findings), sum(kind.repaired)
    fate = "repaired" if repaired == count else f"{number(repaired)} repaired" if repaired else "left alone"
    return f"{counted(count, 'finding')}, {fate}"


def _lane(title: str, note: str, drawing: str, overlay: str) -> str:
    return (
        f'<div class="lane"><div class="what">{escape(title)}<small>{escape(note)}</small></div>'
        f'<div class="where"><svg viewBox="0 0 {BINS} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">{drawing}</svg>{overlay}</div></div>'
    )


def _bars(kind: Kind, report: Report) -> str:
    inside: list[list[int]] = [[] for _ in range(BINS)]
    for index, finding in enumerate(kind.findings):
        first = finding.region.start * BINS // report.samples
        last = min((finding.region.stop - 1) * BINS // report.samples, BINS - 1)
        for place in range(first, last + 1):
            inside[place].append(index)
    drawn = []
    place = 0
    while place < BINS:
        stop = place + 1
        while stop < BINS and inside[stop] == inside[place]:
            stop += 1
        if inside[place]:
            shown = [kind.findings[i] for i in inside[place]]
            done = any(kind.repaired[i] for i in inside[place])
            drawn.append(_bar(place, stop, shown, done, report))
        place = stop
    return "".join(drawn)


def _bar(start: int, stop: int, findings: Sequence[Finding], done: bool, report: Report) -> str:
    severity = max(f.severity for f in findings)
    sure = max(f.confidence for f in findings)
    height = 12 + 88 * severity
    rate = report.format.sample_rate
    first, last = (min(f.region.start for f in findings) / rate, max(f.region.stop for f in findings) / rate)
    tenths = report.samples < 600 * rate
    when = clock(first, tenths)
    if clock(last, tenths) != when:
        when += f" to {clock(last, tenths)}"
    many = "" if len(findings) == 1 else f"{counted(len(findings), 'finding')}, "
    title = (
        f"{when}: {many}severity {severity:.2f}, confidence {sure:.0%}, "
        f"{channel_words(findings, report.format.channels)}"
    )
    return (
        f'<rect class="{"done" if done else "left"}" x="{start}" width="{stop - start}" '
        f'y="{100 - height:.0f}" height="{height:.0f}" opacity="{0.35 + 0.65 * sure:.2f}">'
        f"<title>{title}</title></rect>"
    )


def _area(changed: npt.NDArray[np.float64]) -> str:
    """An outline of the share of changed samples over time; the square root makes single clicks visible."""
    heights = 100 * (1 - np.sqrt(changed))
    width = BINS / len(changed)
    points = []
    for index, height in enumerate(heights.tolist()):
        points.append(f"L{index * width:.2f} {height:.1f}H{(index + 1) * width:.2f}")
    return f'<path d="M0 100{"".join(points)}L{BINS} 100Z"/>'
