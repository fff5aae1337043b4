"""Hard clipping: how much nearer to the original, by how badly it was clipped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.material import Clip, Material
from bench.measure import sdr
from bench.peers import audiojs, ffmpeg
from bench.report import Section, Table, mean
from bench.systems import Array, ours
from bench.tasks.pairs import Pair, head, rows

LEVELS_DB = (3, 5, 7, 10, 15, 20)
CUT_LEVELS_DB = (7, 15)
CUTS = 4
CUT_S = 1.0
PUBLISHED = (
    "Published for the ten excerpts at 3, 5, 7, 10, 15, 20 dB (Záviška et al. 2021; audiojs, October 2026): "
    "social sparsity PEW 15.0, 16.6, 17.7, 19.0, 21.2, 22.2; A-SPADE 13.9, 15.1, 16.0, 17.3, 19.4, 20.3; "
    "audiojs 14.0, 15.6, 16.7, 18.5, 20.5, 22.1; RX 12 tuned 5.4, 8.2, 9.7, 11.5, 14.0, 15.8."
)


def run(material: Material, quick: bool) -> Section:
    """The excerpts of the declipping survey where the corpus has them; speech and music.

    Everyone runs on short cuts at two levels, for some need minutes for a whole clip; wavemend on all.
    """
    sounds = sounds_of(material, quick)
    short = [
        _named(clipped(cut, level), f"{name}, {level:g} dB")
        for name, clips in sounds.items()
        for level in CUT_LEVELS_DB
        for cut in map(_middle, clips[:CUTS] if name != "SQAM" else clips)
    ]
    whole = [
        _named(clipped(clip, level), f"{level:g} dB")
        for clip in sounds.get("SQAM", sounds["music"])
        for level in LEVELS_DB
    ]
    by_role = [
        _named(clipped(clip, level), f"{role}, {level:g} dB")
        for role in ("speech", "music")
        for level in LEVELS_DB[::2]
        for clip in sounds[role]
    ]
    about = "Mean of the SDR gained over the whole sound; hard clipping to the input SDR at the head. "
    tables = [
        Table(
            f"Clipping, {CUT_S:g} s from the middle of each sound: ΔSDR, dB",
            about + "An empty cell: took more than a minute (FFmpeg) or three (audiojs) for one cut. "
            "audiojs is told the clip level; wavemend and FFmpeg find it.",
            head(short),
            rows(short, [ours(["clipping"]), ffmpeg.adeclip(), audiojs.declip()], _gain, mean),
        ),
        Table(
            "Clipping, whole "
            + ("SQAM excerpts of the declipping survey" if "SQAM" in sounds else "music clips"),
            about,
            head(whole),
            rows(whole, [ours(["clipping"])], _gain, mean),
            notes=[PUBLISHED] if "SQAM" in sounds else [],
        ),
        Table(
            "Clipping, whole clips", about, head(by_role), rows(by_role, [ours(["clipping"])], _gain, mean)
        ),
    ]
    return Section(
        "declip", "Clipping", tables, {f"{name} clips": len(clips) for name, clips in sounds.items()}
    )


def sounds_of(material: Material, quick: bool) -> dict[str, list[Clip]]:
    """What is clipped: the survey's excerpts, speech, music; without what the corpus does not have."""
    count, seconds = (1, 4.0) if quick else (6, 6.0)
    sounds = {
        "SQAM": [c.mono() for c in material.benchmark("declipping2020", 2 if quick else 10)],
        "speech": [c.mono() for c in material.clips("speech", count, seconds)],
        "music": [c.mono() for c in material.clips("music", count, seconds)],
    }
    return {name: clips for name, clips in sounds.items() if clips}


def _middle(clip: Clip) -> Clip:
    n, want = clip.samples.shape[1], round(CUT_S * clip.format.sample_rate)
    start = max((n - want) // 2, 0)
    return replace(clip, samples=clip.samples[:, start : start + want])


def _named(pair: Pair, column: str) -> Pair:
    return replace(pair, column=column)


def _gain(pair: Pair, out: Array) -> list[float | None]:
    return [sdr(pair.clean, out) - sdr(pair.clean, pair.damaged)]


def clipped(clip: Clip, input_db: float) -> Pair:
    """Clipped on both sides at the level that gives this SDR."""
    clean = clip.samples[0] / max(float(np.abs(clip.samples[0]).max()), 1e-9) * np.float32(0.98)
    low, high = 0.0, float(np.abs(clean).max())
    for _ in range(40):
        level = (low + high) / 2
        low, high = (level, high) if sdr(clean, np.clip(clean, -level, level)) < input_db else (low, level)
    damaged: Array = np.clip(clean, -level, level).astype(np.float32)
    return Pair(f"{input_db:g} dB", clean, damaged, clip.format.sample_rate, {"clip_level": level})
