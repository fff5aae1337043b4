"""The report of a restoration: report.json for programs and report.html for people."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wavemend.core.jsonable import to_plain
from wavemend.core.text import write_text
from wavemend.core.types import Finding, Format, Report, Samples
from wavemend.errors import DeviceError
from wavemend.restoration.page import page
from wavemend.restoration.page_sound import Excerpt
from wavemend.restoration.picture import Spectrograms

EXCERPT_S = 20.0
WHOLE_S = 30.0  # a recording no longer than this is heard as a whole
STRETCHES = 400  # places along the time line where changed samples are counted


def excerpt_span(findings: Sequence[Finding], format: Format, samples: int) -> tuple[int, int]:
    """The half-open span, in samples, that is most worth hearing: the whole of a short recording,
    else the 20 s in which the kinds of damage come together most, each measured by its own most.
    """
    rate = format.sample_rate
    if samples <= WHOLE_S * rate:
        return 0, samples
    bins = int(np.ceil(samples / rate * 2))  # half seconds
    width = round(2 * EXCERPT_S)
    score = np.zeros(bins + 1)
    for kind in dict.fromkeys(finding.damage for finding in findings):
        density = np.zeros(bins + 1)
        for finding in findings:
            if finding.damage == kind:
                first, last = (2 * place // rate for place in (finding.region.start, finding.region.stop - 1))
                weight = (0.05 + finding.severity) * finding.confidence
                density[first] += weight
                density[min(last + 1, bins)] -= weight
        score += np.cumsum(density) / max(float(np.cumsum(density).max()), 1e-12)
    sums = np.concatenate(([0.0], np.cumsum(score[:bins])))
    totals = sums[width:] - sums[:-width]
    best = np.flatnonzero(totals >= totals.max() - 1e-9)
    start = int(best[len(best) // 2]) * rate // 2
    length = round(EXCERPT_S * rate)
    start = max(0, min(start, samples - length))
    return start, start + length


class ReportCollector:
    """Watches a restoration and keeps what the page will show; memory does not grow with the length.

    Takes aligned blocks of before and after, in order. The span that will be heard is
    chosen from the findings at the start.
    """

    def __init__(self, format: Format, samples: int, findings: Sequence[Finding] = ()) -> None:
        self.format, self.samples = format, samples
        self.span = excerpt_span(findings, format, samples)
        self.changed_values = 0
        self.changed_share = np.zeros(STRETCHES)
        self._spectrograms = Spectrograms(format, samples)
        self._parts: list[tuple[Samples, Samples]] = []
        self._at = 0

    def push(self, before: Samples, after: Samples) -> None:
        """The next samples of both, equally many."""
        if not before.shape[1]:
            return
        self._spectrograms.push(before, after)
        start, stop = self._at, self._at + before.shape[1]
        if not np.array_equal(before, after):
            self._count(before != after, start)
        first, last = max(self.span[0], start), min(self.span[1], stop)
        if first < last:
            part = slice(first - start, last - start)
            self._parts.append((before[:, part].copy(), after[:, part].copy()))
        self._at = stop

    def _count(self, changed: npt.NDArray[np.bool_], start: int) -> None:
        places = start + np.flatnonzero(changed.any(axis=0))
        self.changed_values += int(np.count_nonzero(changed))
        stretch = places * STRETCHES // max(self.samples, 1)
        self.changed_share += np.bincount(stretch, minlength=STRETCHES)[:STRETCHES]

    def excerpt(self) -> Excerpt:
        """The span that is heard, before and after."""
        none = np.zeros((self.format.channels, 0), np.float32)
        before, after = (
            np.concatenate([none, *(part[side] for part in self._parts)], axis=1) for side in (0, 1)
        )
        return Excerpt(before, after, self.format, self.span[0] / self.format.sample_rate)

    def shares(self) -> npt.NDArray[np.float64]:
        """For each of STRETCHES equal stretches of time, the share of instants that were changed."""
        return np.asarray(np.minimum(self.changed_share * STRETCHES / max(self.samples, 1), 1.0))

    def spectrograms(self) -> npt.NDArray[np.floating]:
        """Before, after and removed, in dB; called once, after the last block."""
        return self._spectrograms.finish()


def report_json(report: Report) -> str:
    """The report as JSON; `core.jsonable.from_plain` reads it back."""
    text = json.dumps(to_plain(report), indent=1, allow_nan=False)
    # a list of numbers is one line, or a run of samples would be four; texts hold no line breaks here
    return re.sub(r"\[\n[\s\d.,eE+-]+\]", lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n"


def write_report(folder: Path, report: Report, collector: ReportCollector) -> Path:
    """Write report.json and report.html into the folder, made if need be; the path of the page comes back.

    Each is written beside and then renamed. Raises DeviceError where that cannot be.
    """
    content = page(
        report,
        collector.excerpt(),
        collector.spectrograms(),
        collector.shares(),
        collector.changed_values,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"{folder}: no folder for the report can be made ({error.strerror})") from None
    write_text(folder / "report.json", report_json(report))
    return write_text(folder / "report.html", content)
