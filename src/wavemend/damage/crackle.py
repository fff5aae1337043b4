"""Crackle: many small impulses, tens to thousands a second, as a worn or dusty disc surface gives.

Found by counting: in a second of clean sound hardly any place passes the test that
the error of prediction there is explained by a few changed samples (`core/specks`);
in crackle many do. What is found is the passage, not the single impulse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core import impulses, specks
from wavemend.core.blocks import Grid, Window
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

RATIO = 3.0  # of prediction error over the usual peaks: below, nothing is looked at
MIN_GAIN_DB = 12.0
MIN_PER_S = 9.0  # counted impulses; clean sound has fewer than 6
ALONE_PER_S = 18.0  # for a passage of a single second
JOIN_CHUNKS = 2


def draw(format: Format, samples: int, rng: np.random.Generator, *, rate_per_s: float, level: float) -> Drawn:
    """Impulses at Poisson times over the whole recording, each in one channel, sizes log-uniform.

    Half of them are one to three wrong samples, half are ticks that ring at 2-8 kHz.
    """
    rate = format.sample_rate
    count = int(rng.poisson(rate_per_s * samples / rate)) if samples else 0
    places = np.sort(rng.integers(0, max(samples, 1), count)).tolist()
    clicks = []
    for at in places:
        if rng.random() < 0.5:
            shape = 1 - 0.3 * rng.random(int(rng.integers(1, 4)))
        else:
            decay, pitch = rng.uniform(0.03, 0.15) * rate / 1000, min(rng.uniform(2000, 8000), 0.4 * rate)
            n = np.arange(int(np.ceil(5 * decay)))
            shape = np.exp(-n / decay) * np.cos(2 * np.pi * pitch * n / rate)
        size = float(0.2 ** rng.random() * rng.choice((-1.0, 1.0)))
        channel = int(rng.integers(format.channels))
        clicks.append({"at": at, "channel": channel, "shape": (size * shape[: samples - at]).tolist()})
    finding = Finding(
        "crackle",
        Region(0, max(samples, 1)),
        severity=_severity(rate_per_s, 20 * float(np.log10(max(level, 1e-3)))),
        confidence=1.0,
        measures={"rate_per_s": rate_per_s},
    )
    return {"level": level, "clicks": clicks, "findings": (finding,) if clicks else ()}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add the impulses; `level` times the channel's RMS is the largest."""
    out = samples.astype(np.float64)
    scale = drawn["level"] * np.maximum(np.sqrt(np.mean(out**2, axis=1)), 1e-4)
    for click in drawn["clicks"]:
        at, shape = click["at"], np.array(click["shape"])
        out[click["channel"], at : at + len(shape)] += scale[click["channel"]] * shape
    return out.astype(np.float32)


class CrackleDetector:
    """Counts impulses in each second and channel."""

    def __init__(self, format: Format) -> None:
        self._rate, self._channels = format.sample_rate, format.channels
        frame = impulses.frame_length(format.sample_rate)
        hop = max(round(format.sample_rate / frame), 1) * frame
        self._grid = Grid(
            format.channels, hop, impulses.FRAMES_BESIDE * frame, impulses.FRAMES_BESIDE * frame
        )
        self._seen: list[list[tuple[int, int, float, float]]] = [[] for _ in range(format.channels)]

    def push(self, block: Samples) -> None:
        for window in self._grid.push(block):
            self._count(window)

    def finish(self) -> Sequence[Finding]:
        for window in self._grid.flush():
            self._count(window)
        findings = [
            self._finding(channel, passage)
            for channel in range(self._channels)
            for passage in self._passages(self._seen[channel])
        ]
        return sorted(findings, key=lambda f: (f.region.start, f.region.channels or ()))

    def _count(self, window: Window) -> None:
        found = specks.find(window.samples, self._rate, RATIO)
        good = (found.gain_db > MIN_GAIN_DB) & (found.left_db < specks.MAX_LEFT_DB)
        good &= (found.start >= window.lead) & (found.start < window.lead + window.length)
        for channel in range(self._channels):
            mine = good & (found.channel == channel)
            number = int(np.count_nonzero(mine))
            per_s = number * self._rate / max(window.length, self._grid.hop // 2)
            if per_s >= MIN_PER_S:
                level = np.sqrt(np.mean(np.square(window.chunk[channel], dtype=np.float64)))
                sizes = np.abs(found.added[mine]).max(axis=1)
                peak_db = 20 * float(np.log10(np.median(sizes) / max(float(level), 1e-9)))
                self._seen[channel].append((window.start, window.start + window.length, per_s, peak_db))

    def _passages(
        self, seen: Sequence[tuple[int, int, float, float]]
    ) -> list[list[tuple[int, int, float, float]]]:
        passages: list[list[tuple[int, int, float, float]]] = []
        for chunk in seen:
            if passages and chunk[0] <= passages[-1][-1][1] + JOIN_CHUNKS * self._grid.hop:
                passages[-1].append(chunk)
            else:
                passages.append([chunk])
        return [p for p in passages if len(p) > 1 or p[0][2] >= ALONE_PER_S]

    def _finding(self, channel: int, passage: Sequence[tuple[int, int, float, float]]) -> Finding:
        rate_per_s = float(np.mean([chunk[2] for chunk in passage]))
        peak_db = float(np.median([chunk[3] for chunk in passage]))
        return Finding(
            "crackle",
            Region(passage[0][0], passage[-1][1], (channel,)),
            severity=_severity(rate_per_s, peak_db),
            confidence=float(np.clip(0.55 + 0.02 * rate_per_s, 0.0, 0.97)),
            measures={"rate_per_s": round(rate_per_s, 1), "peak_db": round(peak_db, 1)},
        )


def _severity(rate_per_s: float, peak_db: float) -> float:
    return float(np.clip(0.15 * np.log10(1 + rate_per_s) + (peak_db + 6) / 100, 0.02, 1.0))


DAMAGE = Damage(
    name="crackle",
    title="Crackle",
    params={
        "rate_per_s": Param(200.0, 0.0, 2000.0, "1/s", "impulses a second, on average, over all channels"),
        "level": Param(2.0, 0.0, 50.0, "", "the largest impulse's peak over the sound's RMS"),
    },
    draw=draw,
    apply=apply,
    detector=CrackleDetector,
    doc=__doc__,
)
