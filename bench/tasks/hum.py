"""Mains hum of several kinds, 10 dB below the sound's energy: the SDR that comes out."""

from __future__ import annotations

import numpy as np

from bench.material import Clip, Material, seed_of
from bench.measure import sdr
from bench.peers import audiojs, ffmpeg
from bench.report import Section, Table, mean
from bench.systems import Array, guarded, ours, untouched
from bench.tasks.pairs import Pair, head, rows

INPUT_DB = 10.0
CONDITIONS = {
    # name: mains frequency, how far it wanders in Hz, rich in harmonics
    "hum 50 Hz": (50.0, 0.02, False),
    "hum 60 Hz": (60.0, 0.02, False),
    "buzz 60 Hz": (60.0, 0.02, True),
    "drift 50 Hz": (50.0, 0.2, False),
}


def run(material: Material, quick: bool) -> Section:
    """Four kinds of hum under speech and music."""
    count, seconds = (2, 8.0) if quick else (5, 15.0)
    clips = [
        c.mono() for role in ("speech", "music") for c in material.clips(role, count, seconds, seconds * 0.6)
    ]
    pairs = []
    for condition in CONDITIONS:
        for clip in clips:
            hum = made(clip, condition)
            clean = clip.samples[0]
            gain = np.sqrt(np.sum(clean.astype(np.float64) ** 2) / np.sum(hum**2)) * 10 ** (-INPUT_DB / 20)
            damaged = (clean + gain * hum).astype(np.float32)
            facts = {"mains_hz": CONDITIONS[condition][0]}
            pairs.append(Pair(f"{condition}, {clip.role}", clean, damaged, clip.format.sample_rate, facts))
    table = Table(
        "Hum: SDR, dB",
        f"Mean over clips; input SDR {INPUT_DB:g} dB. hum: twelve harmonics falling with 1/h; "
        "buzz: odd harmonics to "
        "8 kHz; drift: the mains frequency wanders by up to 0.2 Hz over seconds, otherwise by 0.02 Hz. "
        "FFmpeg and audiojs are told the nominal frequency; wavemend finds it.",
        head(pairs),
        rows(
            pairs,
            [untouched(), ours(["hum"]), guarded(["hum"]), ffmpeg.notches(), audiojs.dehum()],
            lambda pair, out: [sdr(pair.clean, out)],
            mean,
        ),
    )
    return Section("hum", "Hum", [table], {"clips": len(clips)})


def made(clip: Clip, condition: str) -> Array:
    """The hum alone, as long as the clip."""
    mains_hz, wander_hz, rich = CONDITIONS[condition]
    rate, n = clip.format.sample_rate, clip.samples.shape[1]
    rng = np.random.default_rng(seed_of("hum", condition, clip.name))
    t = np.arange(n) / rate
    periods = rng.uniform(6, 15, 3)
    wandering = sum(np.sin(2 * np.pi * t / p + rng.uniform(0, 2 * np.pi)) for p in periods) / 3
    phase = 2 * np.pi * np.cumsum(mains_hz + rng.uniform(-0.03, 0.03) + wander_hz * wandering) / rate
    top = int(min(8000, 0.45 * rate) / mains_hz) if rich else 12
    hum = np.zeros(n)
    for h in range(1, top + 1):
        share = (1.0 if h % 2 else 0.3) / np.sqrt(h) / np.hypot(1, h * mains_hz / 3000) if rich else 1 / h
        breathing = 1 + 0.1 * np.sin(2 * np.pi * t / rng.uniform(8, 14) + rng.uniform(0, 2 * np.pi))
        hum += share * breathing * np.cos(h * phase + rng.uniform(0, 2 * np.pi))
    return hum
