"""Clipping, hard and soft: how much nearer to the original, by how badly it was clipped."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import soundfile

from bench.material import Clip, Material
from bench.measure import sdr
from bench.peers import audiojs, ffmpeg
from bench.report import Section, Table, mean
from bench.systems import Array, ours, untouched
from bench.tasks.pairs import Pair, head, rows
from wavemend.damage import damages
from wavemend.damage.saturation import CURVES

LEVELS_DB = (3, 5, 7, 10, 15, 20)
CUT_LEVELS_DB = (7, 15)
DRIVES_DB = (6.0, 12.0, 18.0)
CODED_DB = (5.0, 10.0, 20.0)
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
    count, seconds = (1, 4.0) if quick else (6, 6.0)
    sounds = {
        "SQAM": [c.mono() for c in material.benchmark("declipping2020", 2 if quick else 10)],
        "speech": [c.mono() for c in material.clips("speech", count, seconds)],
        "music": [c.mono() for c in material.clips("music", count, seconds)],
    }
    sounds = {name: clips for name, clips in sounds.items() if clips}
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
    tables += [_soft(sounds), _coded({role: sounds[role] for role in ("speech", "music")})]
    return Section(
        "declip", "Clipping", tables, {f"{name} clips": len(clips) for name, clips in sounds.items()}
    )


def _soft(sounds: dict[str, list[Clip]]) -> Table:
    """Soft clipping, in 16 bits as it would be in a file."""
    saturation = damages["saturation"]
    pairs = []
    for name, clips in sounds.items():
        for drive_db in DRIVES_DB:
            for curve in range(len(CURVES)):
                for clip in clips:
                    bent, _ = saturation.simulate(
                        clip.samples, clip.format, 1, drive_db=drive_db, curve=curve
                    )
                    stored = np.asarray(np.round(bent[0] * 32768) / 32768, np.float32)
                    column = f"{name}, {drive_db:g} dB"
                    pairs.append(Pair(column, clip.samples[0], stored, clip.format.sample_rate))
    systems = [untouched(), ours(["saturation"]), ours(["clipping"], "wavemend, hard clipping alone")]
    return Table(
        "Soft clipping, whole sounds",
        "Mean SDR, dB. Peaks driven so hard into a curve without memory, each sound into each of three: "
        "tanh, arctan, tanh off its middle (tape); stored in 16 bits. wavemend finds the curve. "
        "No peer that can be run undoes it.",
        head(pairs),
        rows(pairs, systems, _sdr, mean),
    )


def _coded(sounds: dict[str, list[Clip]]) -> Table:
    """Clipped, then coded: no two tops are equal any more."""
    pairs = []
    for role, clips in sounds.items():
        for level_db in CODED_DB:
            for clip in clips:
                pair = clipped(clip, level_db)
                stored = mp3(pair.damaged, pair.rate)
                pairs.append(replace(pair, column=f"{role}, {level_db:g} dB", damaged=stored, facts={}))
    return Table(
        "Clipped, then coded as MP3: SDR, dB",
        "Mean over whole clips. Hard clipping to the input SDR at the head, then MP3 as libsndfile makes it "
        "by default. wavemend is told nothing.",
        head(pairs),
        rows(pairs, [untouched(), ours(["clipping"]), ffmpeg.adeclip()], _sdr, mean),
    )


def mp3(x: Array, rate: int) -> Array:
    """(samples,) as an MP3 gives them back, in place and as long."""
    held = io.BytesIO()
    quieter = 0.5 / max(float(np.abs(x).max()), 1e-9)
    soundfile.write(held, x * quieter, rate, format="MP3")
    held.seek(0)
    back = soundfile.read(held, dtype="float32")[0] / quieter
    out = np.zeros(len(x), np.float32)
    out[: len(back)] = back[: len(x)]
    return out


def _middle(clip: Clip) -> Clip:
    n, want = clip.samples.shape[1], round(CUT_S * clip.format.sample_rate)
    start = max((n - want) // 2, 0)
    return replace(clip, samples=clip.samples[:, start : start + want])


def _named(pair: Pair, column: str) -> Pair:
    return replace(pair, column=column)


def _gain(pair: Pair, out: Array) -> list[float | None]:
    return [sdr(pair.clean, out) - sdr(pair.clean, pair.damaged)]


def _sdr(pair: Pair, out: Array) -> list[float | None]:
    return [sdr(pair.clean, out)]


def clipped(clip: Clip, input_db: float) -> Pair:
    """Clipped on both sides at the level that gives this SDR."""
    clean = clip.samples[0] / max(float(np.abs(clip.samples[0]).max()), 1e-9) * np.float32(0.98)
    low, high = 0.0, float(np.abs(clean).max())
    for _ in range(40):
        level = (low + high) / 2
        low, high = (level, high) if sdr(clean, np.clip(clean, -level, level)) < input_db else (low, level)
    damaged: Array = np.clip(clean, -level, level).astype(np.float32)
    return Pair(f"{input_db:g} dB", clean, damaged, clip.format.sample_rate, {"clip_level": level})
