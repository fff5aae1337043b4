"""The guard: every step is measured against over-smoothing while it runs, and kept, blended or reverted.

A guarded repair is a stream around a stream. It sees what went in and what came out,
and lets through as much of the difference as stays within the bounds:

steady repairs, in windows of one second: the share of the energy of wanted time-frequency
    cells that is cut by more than 3 dB; the energy of wanted cells above 4 kHz; the onsets
    (positive spectral flux) of wanted cells. A cell is wanted when it stands 15 dB above the
    floor, which is followed over ten seconds. Of 100, 75, 50, 25 and 0 % of the difference the
    largest within all bounds is taken, and the share glides from window to window.
local repairs, in each changed run of samples: no louder than 12 dB above the loudest of what
    was there and what surrounds it; no rougher (second difference) than what was there or
    9 dB above the surroundings. A run that breaks a bound is given back as it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Grid, Queue, Window
from wavemend.core.types import Action, Format, Region, Samples, Verdict, merge_spans, runs
from wavemend.engine.stream import Passthrough, Stream
from wavemend.repairs import Repair

Floats = npt.NDArray[np.floating]

CUT_BOUND = 0.03  # share of wanted energy that may be cut by more than 3 dB
HIGH_BAND_BOUND_DB = -1.5
ONSET_BOUND_DB = -1.5
HIGH_BAND_HZ = 4000.0
WANTED_DB = 15.0
SILENT_POWER = 1e-11
AMOUNTS = (1.0, 0.75, 0.5, 0.25, 0.0)

LOUDER_BOUND = 4.0  # amplitude, 12 dB
ROUGHER_BOUND = 2.8  # amplitude, 9 dB


class Judge(Protocol):
    """Measures one window of a step and says how much of the difference passes."""

    def judge(self, dry: Window, wet: Samples) -> Floats:
        """The share of the difference, 0 to 1, for each sample: (channels, length) or (length,)."""

    def verdicts(self) -> list[Verdict]:
        """What was decided, in order of place. Called after the last window."""


class Guarded:
    """A step's stream under guard. `verdicts` is complete after the flush."""

    def __init__(self, inner: Stream, judge: Judge, format: Format) -> None:
        self._inner, self._judge = inner, judge
        self._dry = Queue(format.channels)
        window = format.sample_rate
        # both sides run through one grid, so that any cut gives the same windows
        self._channels = format.channels
        self._pairs = Grid(2 * format.channels, hop=window, left=window // 50, right=window)

    @property
    def latency(self) -> int:
        return self._inner.latency + self._pairs.hop + self._pairs.right

    @property
    def verdicts(self) -> list[Verdict]:
        """What the guard decided so far."""
        return self._judge.verdicts()

    def push(self, block: Samples) -> Samples:
        self._dry.append(block)
        return self._through(self._inner.push(block), last=False)

    def flush(self) -> Samples:
        return self._through(self._inner.flush(), last=True)

    def _through(self, wet: Samples, last: bool) -> Samples:
        start = self._dry.start
        dry = self._dry.view(start, start + wet.shape[1])
        pair = np.concatenate((dry, wet))
        self._dry.drop(start + wet.shape[1])
        out = [self._decide(window) for window in self._pairs.push(pair)]
        if last:
            out.extend(self._decide(window) for window in self._pairs.flush())
        return np.concatenate(out, axis=1) if out else np.zeros((self._channels, 0), np.float32)

    def _decide(self, window: Window) -> Samples:
        n = self._channels
        dry = Window(window.samples[:n], window.lead, window.length, window.start)
        wet = window.samples[n:]
        chunk = slice(window.lead, window.lead + window.length)
        share = self._judge.judge(dry, wet)
        if share.min() == 1.0:
            return wet[:, chunk].copy()
        mixed = dry.chunk + share * (wet[:, chunk].astype(np.float64) - dry.chunk)
        kept = np.where(share == 1.0, wet[:, chunk], np.where(share == 0.0, dry.chunk, mixed))
        return np.asarray(kept, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A window as the judge hears it: (channels, frames, bins) each."""

    before: npt.NDArray[np.complex64]
    after: npt.NDArray[np.complex64]
    power: Floats
    wanted: npt.NDArray[np.bool_]


class SteadyJudge:
    """Bounds on wanted time-frequency cells, window by window."""

    def __init__(self, step: int, repair: Repair, format: Format) -> None:
        self._step, self._format, self._takes = step, format, repair.takes
        self._n_fft = 2 ** max(7, round(np.log2(format.sample_rate * 0.043)))
        self._hann = np.hanning(self._n_fft + 1)[:-1].astype(np.float32)
        self._high = np.fft.rfftfreq(self._n_fft, 1 / format.sample_rate) >= HIGH_BAND_HZ
        self._bands = _third_octaves(self._n_fft // 2 + 1)
        self._floors: deque[Floats] = deque(maxlen=10)
        self._energies: deque[float] = deque(maxlen=10)
        self._next: tuple[float, dict[str, float]] | None = None
        self._share: float | None = None
        self._rows: list[tuple[int, int, float, dict[str, float]]] = []

    def judge(self, dry: Window, wet: Samples) -> Floats:
        lead, length = dry.lead, dry.length
        ahead = dry.samples[:, lead + length :]
        heard = None if self._next else self._hear(dry.chunk, wet[:, lead : lead + length])
        heard_next = self._hear(ahead, wet[:, lead + length :]) if ahead.shape[1] else None
        here, measures = self._next or self._decide(heard)
        self._next = self._decide(heard_next) if ahead.shape[1] else None
        before = here if self._share is None else self._share
        after = self._next[0] if self._next else here
        self._share = here
        self._rows.append((dry.start, dry.start + length, here, measures))
        if before == here == after:
            return np.full(1, here)
        # from the mean of neighbours at each edge to the window's own share in its middle
        at = (np.arange(length) + 0.5) / length
        return np.asarray(
            np.interp(at, (0.0, 0.5, 1.0), (min(before, here), here, min(here, after))), np.float64
        )

    def _hear(self, dry: Samples, wet: Samples) -> Heard | None:
        """The spectra of a window and its wanted cells; None where there is nothing to judge."""
        if np.array_equal(dry, wet) or dry.shape[1] < self._n_fft:
            return None
        before, after = self._spectra(dry), self._spectra(wet)
        power = before.real**2 + before.imag**2
        wanted = power > self._floor(power) * 10 ** (WANTED_DB / 10)
        self._energies.append(float(power[wanted].sum()))
        return Heard(before, after, power, wanted)

    def _decide(self, heard: Heard | None) -> tuple[float, dict[str, float]]:
        """The share that stays within the bounds, and what was measured at all of it."""
        usual = float(np.mean(self._energies)) if self._energies else 0.0
        if heard is None or usual == 0.0:
            return 1.0, {}
        measures: dict[str, float] = {}
        for share in AMOUNTS:
            mixed = heard.before + share * (heard.after - heard.before)
            changed = mixed.real**2 + mixed.imag**2
            now = measures_of(heard.power, changed, heard.wanted, self._high, usual)
            measures = measures or now
            if (
                now["cut_share"] <= CUT_BOUND
                and now["high_band_db"] >= HIGH_BAND_BOUND_DB
                and now["onsets_db"] >= ONSET_BOUND_DB
            ):
                return share, measures
        return 0.0, measures

    def _spectra(self, x: Samples) -> npt.NDArray[np.complex64]:
        """(channels · frames, bins) of frames that touch each other; their order within a channel is kept."""
        count = x.shape[1] // self._n_fft
        frames = x[:, : count * self._n_fft].reshape(len(x), count, self._n_fft)
        return np.asarray(fft.rfft(frames * self._hann, axis=2), np.complex64)

    def _floor(self, power: Floats) -> Floats:
        """The level, per bin, under which a cell counts as floor: (bins,)."""
        # the 20th percentile of exponentially distributed power lies at 0.223 of its mean
        low = np.quantile(power, 0.2, axis=1).max(axis=0) / 0.223
        if low.max() > SILENT_POWER * self._n_fft or not self._floors:
            self._floors.append(low)  # digital silence is no floor for what follows it
        floor: Floats = np.quantile(self._floors, 0.2, axis=0)
        if self._takes == "texture":
            # a standing tone rises above its neighbours: it is wanted, however long it stands
            centres = np.log([(a + b) / 2 for a, b in self._bands])
            levels = np.log([np.quantile(floor[a:b], 0.3) + 1e-30 for a, b in self._bands])
            floor = np.exp(np.interp(np.log(np.arange(len(floor)) + 0.5), centres, levels))
        return np.asarray(floor + 1e-12 * self._n_fft)

    def verdicts(self) -> list[Verdict]:
        merged: list[Verdict] = []
        for start, stop, share, measures in self._rows:
            if not measures:
                continue
            action: Action = "keep" if share == 1.0 else "blend" if share else "revert"
            last = merged[-1] if merged else None
            if (
                last
                and last.action == action
                and last.region.stop == start
                and last.measures["share"] == share
            ):
                worst = {k: _worse(k, v, last.measures[k]) for k, v in measures.items()}
                merged[-1] = Verdict(
                    self._step, Region(last.region.start, stop), action, {**worst, "share": share}, ""
                )
            else:
                merged.append(
                    Verdict(self._step, Region(start, stop), action, {**measures, "share": share}, "")
                )
        return [
            Verdict(v.step, v.region, v.action, v.measures, _steady_reason(v.action, v.measures))
            for v in merged
        ]


def _third_octaves(bins: int) -> list[tuple[int, int]]:
    """Half-open bands of a third of an octave, at least four bins wide."""
    edges = [0]
    while edges[-1] < bins:
        edges.append(min(bins, max(edges[-1] + 4, round(edges[-1] * 2 ** (1 / 3)))))
    return list(pairwise(edges))


def measures_of(
    before: Floats,
    after: Floats,
    wanted: npt.NDArray[np.bool_],
    high: npt.NDArray[np.bool_],
    usual: float = 0.0,
) -> dict[str, float]:
    """What a change does to the wanted cells; powers are (channels, frames, bins).

    cut_share: the share of their energy that lies in cells cut by more than 3 dB.
    high_band_db: the change of their energy in the bins `high`. onsets_db: the change of
    the summed positive flux of their magnitudes. `usual` is their energy in a usual
    window: where there is much less, in a pause, little can be lost.
    """
    total = max(float(before[wanted].sum()), usual)
    cut = float(before[wanted & (after < 0.501 * before)].sum())
    upper = wanted & high
    was, now = float(before[upper].sum()), float(after[upper].sum())
    # high cells that carry next to nothing of the sound say nothing about it
    high_band = 10 * np.log10((now + 1e-12) / was) if was > 1e-5 * total else 0.0
    rise = wanted[:, 1:]
    flux_before = float(np.maximum(np.diff(np.sqrt(before), axis=1), 0)[rise].sum())
    flux_after = float(np.maximum(np.diff(np.sqrt(after), axis=1), 0)[rise].sum())
    pause = float(before[wanted].sum()) < 0.05 * usual
    onsets = 0.0 if pause or flux_before < 1e-9 else 20 * np.log10((flux_after + 1e-12) / flux_before)
    return {"cut_share": cut / total, "high_band_db": float(high_band), "onsets_db": float(onsets)}


def _worse(name: str, a: float, b: float) -> float:
    return max(a, b) if name == "cut_share" else min(a, b)


def _steady_reason(action: Action, m: Mapping[str, float]) -> str:
    did = (
        f"at most {m['cut_share']:.1%} of the wanted energy cut, "
        f"high band {m['high_band_db']:+.1f} dB, onsets {m['onsets_db']:+.1f} dB"
    )
    if action == "keep":
        return f"within bounds: {did}"
    given = f"{m['share']:.0%} of it applied" if action == "blend" else "given back untouched"
    return f"in full it would have crossed a bound ({did}); {given}"


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
            changed = merge_spans(runs(x != y), gap=4)
            spans = [
                (a, b)
                for a, b in changed
                if dry.lead <= a < dry.lead + dry.length or (a < dry.lead and dry.start == 0)
            ]
            bad = self._judge_runs(x, y, spans)
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

    def _judge_runs(
        self, x: Samples, y: Samples, spans: list[tuple[int, int]]
    ) -> list[dict[str, float] | None]:
        """For each run None where it is within the bounds, else what was measured."""
        if not spans:
            return []
        a, b = (np.array(ends) for ends in zip(*spans, strict=True))
        lo, hi = np.maximum(a - self._around, 0), np.minimum(b + self._around, len(x))
        loud = [_mean_square(z, a, b) for z in (x, y)]
        loud_around = _mean_square_around(x, lo, a, b, hi)
        rough = [_mean_square(_second_difference(z), np.maximum(a - 2, 0), b + 2) for z in (x, y)]
        rough_around = _mean_square_around(_second_difference(x), lo, np.maximum(a - 2, 0), b + 2, hi + 2)
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
    padded = np.pad(x.astype(np.float64), 2, mode="edge")
    return np.asarray(np.diff(padded, 2), np.float32)


def _mean_square(x: Samples, start: npt.NDArray[np.int_], stop: npt.NDArray[np.int_]) -> Floats:
    total = np.concatenate(([0.0], np.cumsum(x.astype(np.float64) ** 2)))
    stop = np.minimum(stop, len(x))
    return np.asarray((total[stop] - total[start]) / np.maximum(stop - start, 1))


def _mean_square_around(
    x: Samples,
    lo: npt.NDArray[np.int_],
    start: npt.NDArray[np.int_],
    stop: npt.NDArray[np.int_],
    hi: npt.NDArray[np.int_],
) -> Floats:
    total = np.concatenate(([0.0], np.cumsum(x.astype(np.float64) ** 2)))
    stop, hi = np.minimum(stop, len(x)), np.minimum(hi, len(x))
    energy = total[start] - total[lo] + total[hi] - total[stop]
    return np.asarray(energy / np.maximum(start - lo + hi - stop, 1))


def guarded(inner: Stream, step: int, repair: Repair, format: Format) -> Guarded | Passthrough:
    """A step's stream under the judge that its scope asks for; nothing to guard where nothing is done."""
    if isinstance(inner, Passthrough):
        return inner
    judge: Judge = LocalJudge(step, format) if repair.scope == "local" else SteadyJudge(step, repair, format)
    return Guarded(inner, judge, format)
