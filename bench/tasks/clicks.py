"""Ticks, pops and glitches, and crackle: how much of the error goes, found from scratch.

The kinds are those of the published measurements of audiojs (bench/rx there), so that its
figures and those of RX 12 can be held beside ours; the sounds they are added to differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.material import Clip, Material, seed_of
from bench.measure import gone, sdr
from bench.peers import audiojs, ffmpeg
from bench.report import Section, Table, mean, median
from bench.systems import Array, ours, untouched
from bench.tasks.pairs import Pair, head, rows

KINDS = ("tick", "pop", "glitch")
SIZE = 5.0
CRACKLE_SIZES = {"small": 0.5, "medium": 2.0, "loud": 8.0}
CRACKLES_PER_S = 200.0


def run(material: Material, quick: bool) -> Section:
    """Clicks at five times the local level every 0.25 to 0.45 s; crackle of 200 a second at three levels."""
    count, seconds = (2, 5.0) if quick else (6, 8.0)
    clips = [c.mono() for role in ("speech", "music") for c in material.clips(role, count, seconds)]
    return Section("clicks", "Clicks and crackle", [_clicks(clips), _crackle(clips)], {"clips": len(clips)})


def _clicks(clips: Sequence[Clip]) -> Table:
    pairs = []
    for kind in KINDS:
        for clip in clips:
            damaged, places = add_clicks(clip, kind, SIZE)
            pairs.append(
                Pair(
                    f"{kind}, {clip.role}",
                    clip.samples[0],
                    damaged,
                    clip.format.sample_rate,
                    {"places": places},
                )
            )
    systems = [untouched(), ours(["clicks"]), ours(["clicks", "crackle"], "wavemend, clicks and crackle")]
    systems += [ffmpeg.adeclick(), audiojs.declick()]
    return Table(
        "Clicks: error removed, dB",
        "Median over all clicks of 10·log10 of the error before over the error after, from 1 ms "
        "before each click to "
        f"20 ms after it, at {SIZE:g} times the level of the ±10 ms around. tick: 2–8 kHz ringing "
        "over 0.05–0.3 ms; pop: "
        f"a damped sine at 300–1500 Hz over 0.3–1 ms; glitch: 1–8 samples off.",
        head(pairs),
        rows(pairs, systems, _each_click, median),
        notes=[
            "Published for other recordings (audiojs/audio bench/rx, October 2026), speech then "
            "music: RX 12 De-click "
            "tuned tick 14.8, 16.2, pop 8.9, 12.9, glitch 17.1, 20.4; audiojs tick 31.4, 32.7, "
            "pop 26.6, 26.4, "
            "glitch 40.5, 45.8."
        ],
    )


def _each_click(pair: Pair, out: Array) -> list[float | None]:
    ms = pair.rate // 1000
    spans = [slice(max(a - ms, 0), b + 20 * ms) for a, b in pair.facts["places"]]
    return [gone(pair.clean[s], pair.damaged[s], out[s]) for s in spans]


def add_clicks(clip: Clip, kind: str, size: float) -> tuple[Array, list[tuple[int, int]]]:
    """The clip's first channel with clicks where it is above -60 dBFS, and their spans."""
    clean, rate = clip.samples[0], clip.format.sample_rate
    rng = np.random.default_rng(seed_of("clicks", kind, clip.name))
    damaged, places = clean.astype(np.float64), []
    at, around = round(0.3 * rate), round(0.01 * rate)
    while at < len(clean) - 0.3 * rate:
        level = float(np.sqrt(np.mean(clean[at - around : at + around].astype(np.float64) ** 2)))
        shape = click(kind, rate, rng)
        if level > 1e-3:
            damaged[at : at + len(shape)] += rng.choice((-1, 1)) * size * level * shape / np.abs(shape).max()
            places.append((at, at + len(shape)))
        at += round(rng.uniform(0.25, 0.45) * rate)
    return damaged.astype(np.float32), places


def click(kind: str, rate: int, rng: np.random.Generator) -> np.ndarray:
    """One click of a kind."""
    if kind == "glitch":
        return rng.uniform(-1, 1) + rng.uniform(-0.15, 0.15, rng.integers(1, 9))
    low_hz, high_hz, short_ms, long_ms = (2000, 8000, 0.05, 0.3) if kind == "tick" else (300, 1500, 0.3, 1.0)
    pitch_hz, decay = (
        rng.uniform(low_hz, min(high_hz, 0.45 * rate)),
        rng.uniform(short_ms, long_ms) * rate / 1000,
    )
    t = np.arange(int(np.ceil(5 * decay)))
    wave = np.cos if kind == "tick" else lambda phase: np.sin(phase + 0.3)
    return np.exp(-t / decay) * wave(2 * np.pi * pitch_hz * t / rate)


def _crackle(clips: Sequence[Clip]) -> Table:
    pairs = [
        Pair(f"{size}, {clip.role}", clip.samples[0], add_crackle(clip, size), clip.format.sample_rate)
        for size in CRACKLE_SIZES
        for clip in clips
    ]
    systems = [untouched(), ours(["crackle"]), ours(["clicks", "crackle"], "wavemend, clicks and crackle")]
    systems += [ffmpeg.adeclick(), audiojs.decrackle(), audiojs.declick()]
    return Table(
        f"Crackle, {CRACKLES_PER_S:g} a second: SDR, dB",
        "Mean over clips. Half the crackles are 1–3 samples off, half ring at 2–8 kHz for "
        "0.03–0.15 ms; peaks from a "
        "fifth of the size to the size, times the clip's level: small 0.5, medium 2, loud 8.",
        head(pairs),
        rows(pairs, systems, lambda pair, out: [sdr(pair.clean, out)], mean),
        notes=[
            "An empty cell: took more than three minutes for a clip.",
            "Published for other recordings (as above), speech: RX 12 small 32.9 in, 33.2 out, "
            "medium 20.9, 21.0, "
            "loud 8.9, 15.5; audiojs 38.6, 33.1, 25.5.",
        ],
    )


def add_crackle(clip: Clip, size: str) -> Array:
    """The clip's first channel under crackle at Poisson times."""
    clean, rate = clip.samples[0], clip.format.sample_rate
    rng = np.random.default_rng(seed_of("crackle", size, clip.name))
    damaged = clean.astype(np.float64)
    level = CRACKLE_SIZES[size] * float(np.sqrt(np.mean(damaged**2)))
    for at in rng.integers(0, len(clean) - 64, rng.poisson(CRACKLES_PER_S * clip.seconds)):
        if rng.random() < 0.5:
            shape = 1 - 0.3 * rng.random(rng.integers(1, 4))
        else:
            pitch_hz, decay = rng.uniform(2000, min(8000, 0.45 * rate)), rng.uniform(0.03, 0.15) * rate / 1000
            t = np.arange(int(np.ceil(5 * decay)))
            shape = np.exp(-t / decay) * np.cos(2 * np.pi * pitch_hz * t / rate)
        damaged[at : at + len(shape)] += (
            rng.choice((-1, 1)) * level * 5 ** -rng.random() * shape[: len(clean) - at]
        )
    return damaged.astype(np.float32)
