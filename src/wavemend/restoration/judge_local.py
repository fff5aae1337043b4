"""The judge of local repairs: bounds on each changed run of samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Window
from wavemend.core.types import Format, Region, Samples, Verdict, merge_spans, runs
from wavemend.restoration.judges import Floats

Places = npt.NDArray[np.int_]

LOUDER_BOUND = 4.0  # amplitude, 12 dB
ROUGHER_BOUND = 2.8  # amplitude, 9 dB
FEW_RUNS = 24


class LocalJudge:
    """Bounds on each changed run of samples."""

    def __init__(self, step: int, format: Format) -> None:
        self._step, self._format = step, format
        self._around = format.sample_rate // 100
        self._kept: list[tuple[int, int]] = []
        self._kept_count = 0
        self._reverted: list[tuple[int, int, int, dict[str, float]]] = []
        self._open: list[list[tuple[int, int]]] = [[] for _ in range(format.channels)]

    def judge(self, dry: Window, wet: Samples) -> Floats:
        share = np.ones((len(wet), dry.length), np.float32)
        offset = dry.start - dry.lead  # of the window in the recording
        for channel in range(len(wet)):
            x, y = dry.samples[channel], wet[channel]
            chunk = slice(dry.lead, dry.lead + dry.length)
            if not self._open[channel] and np.array_equal(x[chunk], y[chunk]):
                continue
            changed = merge_spans(runs(x != y), gap=4)
            spans = [
                (a, b)
                for a, b in changed
                if dry.lead <= a < dry.lead + dry.length or (a < dry.lead and dry.start == 0)
            ]
            bad = self._judge_all(x, y, spans)
            for (a, b), measures in zip(spans, bad, strict=True):
                if measures:
                    self._open[channel].append((a + offset, b + offset))
                    self._reverted.append((channel, a + offset, b + offset, measures))
                else:
                    self._keep(a + offset, b + offset)
            for a, b in self._open[channel]:
                lo, hi = max(a - dry.start, 0), max(min(b - dry.start, dry.length), 0)
                share[channel, lo:hi] = 0.0
            self._open[channel] = [s for s in self._open[channel] if s[1] > dry.start + dry.length]
        return share

    def _keep(self, start: int, stop: int) -> None:
        self._kept_count += 1
        if self._kept and start <= self._kept[-1][1] + self._format.sample_rate:
            self._kept[-1] = (self._kept[-1][0], max(stop, self._kept[-1][1]))
        else:
            self._kept.append((start, stop))

    def _judge_all(
        self, x: Samples, y: Samples, spans: list[tuple[int, int]]
    ) -> list[dict[str, float] | None]:
        """As `_judge_runs`; a few runs are looked at one by one, which spares sums over everything else."""
        if len(spans) > FEW_RUNS:
            return self._judge_runs(x, y, spans)
        margin = self._around + 4
        judged = []
        for a, b in spans:
            first = max(a - margin, 0)
            part = slice(first, b + margin)
            judged += self._judge_runs(x[part], y[part], [(a - first, b - first)])
        return judged

    def _judge_runs(
        self, x: Samples, y: Samples, spans: list[tuple[int, int]]
    ) -> list[dict[str, float] | None]:
        """For each run None where it is within the bounds, else what was measured."""
        if not spans:
            return []
        a, b = (np.array(ends) for ends in zip(*spans, strict=True))
        lo, hi = np.maximum(a - self._around, 0), np.minimum(b + self._around, len(x))
        inner, outer = (a, b), (np.maximum(a - 2, 0), np.minimum(b + 2, len(x)))
        sums = [_running_energy(z) for z in (x, y, _second_difference(x), _second_difference(y))]
        loud = [_mean(total, *inner) for total in sums[:2]]
        rough = [_mean(total, *outer) for total in sums[2:]]
        loud_around = _mean_around(sums[0], lo, *inner, hi)
        rough_around = _mean_around(sums[2], lo, *outer, hi)
        louder = np.sqrt(loud[1] / (np.maximum(loud[0], loud_around) + 1e-14))
        rougher = np.sqrt(rough[1] / (np.maximum(rough[0], ROUGHER_BOUND**2 * rough_around) + 1e-14))
        return [
            None
            if up <= LOUDER_BOUND and edge <= 1.01
            else {"louder_db": _db(float(up)), "rougher_db": _db(float(edge))}
            for up, edge in zip(louder, rougher, strict=True)
        ]

    def verdicts(self) -> list[Verdict]:
        out = []
        if self._kept:
            region = Region(self._kept[0][0], max(stop for _, stop in self._kept))
            plural = "s" if self._kept_count > 1 else ""
            out.append(
                Verdict(
                    self._step,
                    region,
                    "keep",
                    {"runs": float(self._kept_count)},
                    f"{self._kept_count} repaired place{plural} within bounds",
                )
            )
        for channel, start, stop, measures in self._reverted:
            reason = (
                f"louder than its surroundings by {measures['louder_db']:+.0f} dB or rougher than before "
                f"by {measures['rougher_db']:+.0f} dB; given back untouched"
            )
            out.append(Verdict(self._step, Region(start, stop, (channel,)), "revert", measures, reason))
        return out


def _db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-9)))


def _second_difference(x: Samples) -> Samples:
    """As long as `x`; the ends, which have but one neighbour, are 0."""
    out = np.zeros_like(x)
    out[1:-1] = x[2:] - 2 * x[1:-1] + x[:-2]
    return out


def _running_energy(x: Samples) -> Floats:
    total = np.zeros(len(x) + 1)
    np.cumsum(x * x, dtype=np.float64, out=total[1:])
    return total


def _mean(total: Floats, start: Places, stop: Places) -> Floats:
    return np.asarray((total[stop] - total[start]) / np.maximum(stop - start, 1))


def _mean_around(total: Floats, lo: Places, start: Places, stop: Places, hi: Places) -> Floats:
    """The mean over lo to start and stop to hi."""
    energy = total[start] - total[lo] + total[hi] - total[stop]
    return np.asarray(energy / np.maximum(start - lo + hi - stop, 1))
