"""Crackle: many small impulses, tens to thousands a second, as a worn or dusty disc surface gives.

Found by counting: in a second of clean sound hardly any place passes the test that
the error of prediction there is explained by a few changed samples (`core/specks`);
in crackle many do. Where only a few do, they may be single clicks, or the largest of many that are
smaller: then all are counted that are likelier than errors of the sound (`core/crackling`). What is
found is the passage, not the single impulse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavemend.core import crackling, impulses, specks
from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.params import Param
from wavemend.core.recent import Recent
from wavemend.core.types import Finding, Format, Region, Samples, runs
from wavemend.damage import Damage, Drawn

RATIO = 3.0  # of prediction error over the usual peaks: below, nothing is looked at
MIN_GAIN_DB = 12.0
SURE_PER_S = 9.0  # counted impulses; clean sound has fewer than 6
MIN_PER_S, SMALLER_PER_S = 1.5, 40.0  # fewer, where so many smaller ones are beside them
SURE_SIGMAS, SURE_PROOF = (
    6.0,
    25.0,
)  # of these, as `crackling.changed` takes it; voices have up to 30 a second
ALONE_PER_S = 18.0  # for a passage of a single second
JOIN_CHUNKS = 4
LOOKED_AT_S = 0.3  # of a chunk, for smaller impulses: counting these takes long
LEAST_S = 0.5  # what a shorter rest of a recording is taken for


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


@dataclass(frozen=True, slots=True)
class Surface:
    """What one channel of a chunk holds: impulses a second, their median peak re the sound's level, in dB."""

    per_s: float
    peak_db: float
    crackles: bool


_recent: Recent[list[int]] = Recent()  # clicks and crackle are looked for in the same windows


def _starts(samples: Samples, rate: int) -> list[int]:
    """Where impulses begin in (n,) that are likelier by far than errors of the sound."""
    sound = samples.astype(np.float64)
    return [start for start, _ in runs(crackling.changed(sound, rate, SURE_SIGMAS, SURE_PROOF))]


class Surfaces:
    """Says of each channel of windows of a second, one after the other, whether it crackles."""

    def __init__(self, format: Format) -> None:
        self._rate = format.sample_rate
        self._quiet = [0] * format.channels  # windows for which smaller impulses are not looked for again

    def hear(self, window: Window) -> list[Surface]:
        """One for each channel; what is near the end of the recording counts less."""
        found = specks.find(window.samples, self._rate, RATIO)
        good = (found.gain_db > MIN_GAIN_DB) & (found.left_db < specks.MAX_LEFT_DB)
        good &= (found.start >= window.lead) & (found.start < window.lead + window.length)
        seconds = max(window.length / self._rate, LEAST_S)
        heard = []
        for channel, chunk in enumerate(window.chunk):
            mine = good & (found.channel == channel)
            per_s = int(np.count_nonzero(mine)) / seconds
            level = np.sqrt(np.mean(np.square(chunk, dtype=np.float64)))
            size = np.median(np.abs(found.added[mine]).max(axis=1)) if mine.any() else 0.0
            peak_db = 20 * float(np.log10(max(float(size), 1e-9) / max(float(level), 1e-9)))
            crackles = per_s >= SURE_PER_S or (per_s >= MIN_PER_S and self._many(window, channel))
            heard.append(Surface(per_s, peak_db, crackles))
        return heard

    def _many(self, window: Window, channel: int) -> bool:
        """Whether many impulses, of whatever size, begin in the middle of the chunk."""
        if self._quiet[channel]:
            self._quiet[channel] -= 1
            return False
        middle, half = window.lead + window.length // 2, round(LOOKED_AT_S / 2 * self._rate)
        first = max(middle - 2 * half, 0)
        sound = window.samples[channel, first : middle + 2 * half]
        starts = _recent.answer(sound, self._rate, lambda: _starts(sound, self._rate))
        count = sum(middle - half <= first + start < middle + half for start in starts)
        many = count >= SMALLER_PER_S * LOOKED_AT_S
        self._quiet[channel] = 0 if many else JOIN_CHUNKS - 1
        return many


class CrackleDetector(Search):
    """Counts impulses in each second and channel."""

    def __init__(self, format: Format) -> None:
        self._channels, self._surfaces = format.channels, Surfaces(format)
        frame = impulses.frame_length(format.sample_rate)
        hop = max(round(format.sample_rate / frame), 1) * frame
        self._grid = Grid(
            format.channels, hop, impulses.FRAMES_BESIDE * frame, impulses.FRAMES_BESIDE * frame
        )
        self._seen: list[list[tuple[int, int, float, float]]] = [[] for _ in range(format.channels)]

    def _conclude(self) -> Sequence[Finding]:
        findings = [
            self._finding(channel, passage)
            for channel in range(self._channels)
            for passage in self._passages(self._seen[channel])
        ]
        return sorted(findings, key=lambda f: (f.region.start, f.region.channels or ()))

    def _look(self, window: Window) -> None:
        stop = window.start + window.length
        for channel, heard in enumerate(self._surfaces.hear(window)):
            if heard.crackles:
                self._seen[channel].append((window.start, stop, heard.per_s, heard.peak_db))

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
