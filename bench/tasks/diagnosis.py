"""Does each detector find its damage, stay quiet on clean sound, and know how sure it may be?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import soxr

from bench.material import Array, Clip, Material, seed_of
from bench.report import Cell, Section, Table
from wavemend.core.types import Finding
from wavemend.damage import damages
from wavemend.repairs import repairs
from wavemend.restoration.diagnose import opened, settled
from wavemend.restoration.examine import learned

NEAR_MS = 2.0
LIKELY = 0.5
NOISE_SNR_DB = (20.0, 10.0, 5.0)
CODING = "coding"  # asked of lossless files alone
OPTIONS = {("reverberation", "music"): {"rt60_s": 2.5, "direct_to_reverberant_db": -8.0}}
NOTHING_DB = -60.0  # re the clip: events that change less are none, such as a hole in silence
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass
class Tally:
    """What was counted for one kind of damage."""

    tried: int = 0
    found: int = 0
    clean: int = 0
    alarms: int = 0
    alarmed: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    true_events: int = 0
    hit_events: int = 0
    findings: int = 0
    right_findings: int = 0
    sure: list[tuple[float, bool]] = field(default_factory=list)
    mistaken_for: Counter[str] = field(default_factory=Counter)


def run(material: Material, quick: bool) -> Section:
    """All kinds over clips of speech and music."""
    each, seconds = (3, 5.0) if quick else (30, 10.0)
    clips = material.clips("speech", each, seconds) + material.clips("music", each, seconds)
    tallies = {name: Tally() for name in known()}
    alone: dict[str, list[bool]] = defaultdict(list)
    for clip in clips:
        clean = add_clip(tallies, clip, [name for name in _for(clip) if name != CODING])
        alone[clip.role].append(not any(clean.values()))
    for role in ("speech", "music"):
        for clip in material.clips(role, each, seconds, uncoded=True):
            add_clip(tallies, clip, [CODING])
    return Section(
        "diagnosis",
        "Diagnosis",
        [*tables(tallies, clips), left_alone(alone), surroundings(material, clips)],
        {"clips": len(clips), "seconds each": seconds},
    )


def add_clip(tallies: dict[str, Tally], clip: Clip, names: Sequence[str]) -> dict[str, list[Finding]]:
    """Count what is found in a clip, and in it with damage of each of these kinds; what was, without."""
    clean = {name: sure_ones(found) for name, found in found_in(clip).items()}
    for name in names:
        add_clean(tallies[name], clip, clean[name])
        options = OPTIONS.get((name, clip.role), {})
        damaged, drawn = damages[name].simulate(
            clip.samples, clip.format, seed_of(name, clip.name), **options
        )
        truth = [event for event in drawn if _changes(event, clip.samples, damaged)]
        if not truth:
            continue
        after = found_in(clip, damaged)
        add_damaged(tallies[name], clip, truth, after[name])
        for other, found in after.items():
            if other != name and not clean[other] and sure_ones(found):
                tallies[name].mistaken_for[other] += 1
    return clean


def _changes(event: Finding, before: Array, after: Array) -> bool:
    region = event.region
    channels = slice(None) if region.channels is None else list(region.channels)
    change = (after - before)[channels, region.start : region.stop]
    power = float(np.mean(np.square(before, dtype=np.float64)))
    return float(np.mean(np.square(change, dtype=np.float64))) > power * 10 ** (NOTHING_DB / 10)


def known() -> list[str]:
    """Kinds that something looks for: a detector of their own, or the network."""
    learnt = learned(list(damages))
    return [name for name, kind in damages.items() if kind.detector or name in learnt]


def found_in(clip: Clip, samples: Array | None = None) -> dict[str, list[Finding]]:
    """By kind, what the whole diagnosis finds in a clip, or in these samples instead of its own."""
    names, format = _for(clip), clip.format
    detectors = opened(names, format, clip.coded)
    for detector in detectors:
        detector.push(clip.samples if samples is None else samples)
    found: dict[str, list[Finding]] = {name: [] for name in names}
    for finding in settled([one for detector in detectors for one in detector.finish()], format):
        found[finding.damage].append(finding)
    return found


def _for(clip: Clip) -> list[str]:
    return [name for name in known() if clip.format.channels >= damages[name].min_channels]


def left_alone(alone: dict[str, list[bool]]) -> Table:
    """Clips in which nothing at all is found that a plan would act on or report as likely."""
    return Table(
        "Left alone",
        "Share of the undamaged clips in which no kind is found; some of them do have what is found.",
        ["clips", "number", "left alone"],
        [[role, len(values), sum(values) / len(values)] for role, values in alone.items()],
        digits=3,
    )


def surroundings(material: Material, clips: Sequence[Clip]) -> Table:
    """Recorded noises under the clips: is one noticed, as noise of any kind?"""
    noises = [clip.mono() for clip in material.clips("noise", 40, 10.0, 4.0)]
    rows: list[list[Cell]] = []
    for role in ("speech", "music"):
        own = [clip for clip in clips if clip.role == role]
        row: list[Cell] = [role, len(own)]
        for snr_db in NOISE_SNR_DB:
            noticed = []
            for place, clip in enumerate(own):
                if not noises:
                    break
                noise = noises[place % len(noises)]
                found = found_in(clip, mixed(clip, noise, snr_db))
                noticed.append(any(sure_ones([*found["noise"], *found.get("environment", [])])))
            row.append(sum(noticed) / len(noticed) if noticed else None)
        rows.append(row)
    return Table(
        "Recorded noise noticed",
        "Share of clips in which noise, steady or environmental, is found that a plan would act on; "
        "a recording of the test split under each, at so many dB.",
        ["under", "clips", *(f"{snr:g} dB" for snr in NOISE_SNR_DB)],
        rows,
        digits=3,
    )


def mixed(clip: Clip, noise: Clip, snr_db: float) -> Array:
    """The clip with the noise under it, at the clip's rate, repeated where it is too short."""
    sound = noise.samples[0]
    if noise.format.sample_rate != clip.format.sample_rate:
        sound = soxr.resample(sound, noise.format.sample_rate, clip.format.sample_rate)
    sound = np.resize(sound, clip.samples.shape[1]).astype(np.float32)
    power = np.mean(clip.samples**2) / max(float(np.mean(sound**2)), 1e-12)
    return np.asarray(clip.samples + sound * np.float32(np.sqrt(power * 10 ** (-snr_db / 10))), np.float32)


def sure_ones(findings: Sequence[Finding]) -> list[Finding]:
    """Those that a plan would act on, or report as likely where no repair treats the kind."""
    return [f for f in findings if f.confidence >= _enough(f.damage)]


def _enough(kind: str) -> float:
    return min((r.min_confidence for r in repairs.values() if kind in r.treats), default=LIKELY)


def add_clean(tally: Tally, clip: Clip, found: Sequence[Finding]) -> None:
    """Count what was found where nothing was done to the clip."""
    tally.clean += 1
    tally.sure += [(f.confidence, False) for f in found]
    if found:
        tally.alarms += 1
        tally.alarmed.append(
            f"{clip.name}: {len(found)}, confidence up to {max(f.confidence for f in found):.2f}"
        )


def add_damaged(tally: Tally, clip: Clip, truth: Sequence[Finding], found: Sequence[Finding]) -> None:
    """Count what was found of the truth, by clip and by event."""
    near = round(NEAR_MS / 1000 * clip.format.sample_rate)
    sure = sure_ones(found)
    right = [touches(f, truth, near) for f in sure]
    tally.tried += 1
    tally.found += any(right)
    if not any(right):
        tally.missed.append(clip.name)
    tally.true_events += len(truth)
    tally.hit_events += sum(touches(event, sure, near) for event in truth)
    tally.findings += len(sure)
    tally.right_findings += sum(right)
    tally.sure += [(f.confidence, touches(f, truth, near)) for f in found]


def touches(event: Finding, others: Sequence[Finding], near: int) -> bool:
    """Whether one of the others lies within `near` samples of this event, in one of its channels."""
    a = event.region
    return any(
        o.region.start - near < a.stop and a.start < o.region.stop + near and _share_channel(event, o)
        for o in others
    )


def _share_channel(one: Finding, other: Finding) -> bool:
    a, b = one.region.channels, other.region.channels
    return a is None or b is None or bool(set(a) & set(b))


def tables(tallies: dict[str, Tally], clips: Sequence[Clip]) -> list[Table]:
    """By clip, by event, by confidence, and which kinds are taken for which."""
    by_clip, by_event, mixed = [], [], []
    for name, t in tallies.items():
        recall = t.found / t.tried if t.tried else None
        alarm = t.alarms / t.clean if t.clean else None
        precision = None
        if recall is not None and alarm is not None and recall + alarm > 0:
            precision = recall / (recall + alarm)
        by_clip.append([name, t.tried, recall, t.clean, t.alarms, alarm, precision])
        event_recall = t.hit_events / t.true_events if t.true_events else None
        event_precision = t.right_findings / t.findings if t.findings else None
        f1 = None
        if event_recall and event_precision:
            f1 = 2 * event_recall * event_precision / (event_recall + event_precision)
        by_event.append([name, t.true_events, t.findings, event_precision, event_recall, f1])
        others = ", ".join(f"{other} {count}" for other, count in t.mistaken_for.most_common())
        mixed.append([name, t.tried, others or "–"])
    sure = "findings as certain as the plan asks for before it acts"
    return [
        Table(
            "By clip",
            "`detect(simulate(x))` finds the kind at its place (recall), `detect(x)` finds it in clips that "
            f"nothing was done to (alarms); {sure}. Precision is for as many damaged clips as undamaged "
            "ones. Coding is asked of clips whose files are lossless. Rooms are 2.5 s long around music, "
            "which halls belong to, and 1 s around speech. Events that change next to nothing, such as holes "
            "in silence, do not count. "
            "Undamaged does not mean perfect: some recordings do have what was found.",
            ["damage", "damaged clips", "recall", "undamaged clips", "alarms", "share", "precision"],
            by_clip,
            digits=3,
        ),
        Table(
            "By event",
            f"Within {NEAR_MS:g} ms and in the right channel, on the damaged clips; {sure}.",
            ["damage", "true events", "findings", "precision", "recall", "F1"],
            by_event,
            digits=3,
        ),
        calibration(tallies),
        Table(
            "Taken for something else",
            "Other kinds that were found in damaged clips, and not in the same clips before the damage.",
            ["damage", "damaged clips", "also found"],
            mixed,
        ),
    ]


def calibration(tallies: dict[str, Tally]) -> Table:
    """How often findings of a stated confidence are right; each kind counts the same."""
    rows, error, total = [], 0.0, 0.0
    weight = {name: 1 / max(len(t.sure), 1) for name, t in tallies.items()}
    for low, high in pairwise(BINS):
        sums: dict[str, float] = defaultdict(float)
        for name, t in tallies.items():
            for confidence, right in t.sure:
                if low <= confidence < high or (high == 1.0 and confidence == 1.0):
                    sums["n"] += 1
                    sums["w"] += weight[name]
                    sums["said"] += weight[name] * confidence
                    sums["right"] += weight[name] * right
        if sums["n"]:
            rows.append(
                [f"{low:g} to {high:g}", int(sums["n"]), sums["said"] / sums["w"], sums["right"] / sums["w"]]
            )
            error += abs(sums["said"] - sums["right"])
            total += sums["w"]
    return Table(
        "Calibration",
        "Findings on damaged and undamaged clips by stated confidence, and the share that was right; "
        f"expected calibration error {error / total if total else 0.0:.3f}.",
        ["confidence", "findings", "mean confidence", "share right"],
        rows,
        digits=3,
    )
