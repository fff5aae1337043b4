"""Samples to learn from: what wavemend measures of clips, bare and under noise whose floor is known."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from wavemend.core.floors import a_weighted_width, figures, joined
from wavemend.core.noise import BANDS_HZ, PatchMeter
from wavemend.core.types import Format
from wavemend.damage.noise import MIN_PATCHES

Array = npt.NDArray[np.float64]
Sound = npt.NDArray[np.float32]
Row = dict[str, str]

TIERS = ("A", "B", "C")
"""A: free, or credit is asked for; B: share-alike; C: GPL and terms of their own."""

SECONDS = 11.0
SHORTEST_S = {"music": 12.0, "noise": 3.0}
MIN_LEVEL = 1e-4
RECORDED = 0.12  # of noisy versions get a recorded noise
SHORTENED = 0.25
QUIETEST = 0.3  # recorded noise changes: its floor is this quantile of its rows
NOT_CLEAN = ("instrument-harp",)  # quiet notes with the room's noise: no examples of clean music


@dataclass(frozen=True, eq=False)
class Sample:
    """One channel of one version of a clip.

    `kind` is clean, made or recorded; `figures` (bands, figures), `lowest`, `total` and `truth`,
    (bands,) in dB, are those of core.floors; `truth` is None for clean ones. `share_db` is how far each
    band's minimum lies below the whole sound, `below_db` how far the noise, A-weighted.
    """

    clip: str
    role: str
    kind: str
    snr_db: float
    figures: Array
    lowest: Array
    total: Array
    index: npt.NDArray[np.intp]
    truth: Array | None
    share_db: Array
    below_db: float


class Corpus:
    """One split of a corpus' manifest, up to a tier; remembers what was read."""

    def __init__(self, root: Path, split: str, tier: str) -> None:
        self.root = root
        with open(root / "manifest.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        allowed = TIERS[: TIERS.index(tier) + 1]
        self._rows = [r for r in rows if r["split"] == split and r["tier"] in allowed]
        self._used: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)

    def used(self) -> list[str]:
        """Role, source, tier, licence and files read, for the card."""
        return [f"{' | '.join(key)}: {len(paths)} files" for key, paths in sorted(self._used.items())]

    def excerpts(self, role: str, count: int, rng: random.Random) -> Iterator[tuple[str, Sound, int]]:
        """Name, sound and rate of some excerpts of every source; short speech of one speaker is joined."""
        groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self._of(role):
            groups[row["source"]][row["path"] if role != "speech" else row["group"]].append(row)
        for _, by_group in sorted(groups.items()):
            order = sorted(by_group)
            rng.shuffle(order)
            for k in range(count):
                rows = sorted(by_group[order[k % len(order)]], key=lambda r: r["path"])
                rng.shuffle(rows)
                found = self._join(rows, rng)
                if found:
                    yield f"{rows[0]['path']} {k}", *found

    def noise(self, shape: tuple[int, ...], rate: int, rng: random.Random) -> Array | None:
        """A recorded noise of this shape, the same on every channel; None where the corpus has none."""
        rows = self._of("noise")
        if not rows:
            return None
        sound, own_rate = self._read(rng.choice(rows), 30.0, rng)
        noise = soxr.resample(sound[0].astype(np.float64), own_rate, rate)
        return np.tile(noise, (shape[0], -(-shape[1] // len(noise))))[:, : shape[1]]

    def _of(self, role: str) -> list[Row]:
        least = SHORTEST_S.get(role, 0.0)
        return [r for r in self._rows if r["role"] == role and float(r["seconds"] or 0) >= least]

    def _join(self, rows: list[Row], rng: random.Random) -> tuple[Sound, int] | None:
        parts: list[Sound] = []
        length, rate, channels = 0, 0, 0
        for row in rows:
            sound, own_rate = self._read(row, SECONDS, rng)
            if parts and (own_rate, len(sound)) != (rate, channels):
                continue
            rate, channels, length = own_rate, len(sound), length + sound.shape[1]
            parts.append(sound)
            if length >= (SECONDS - 1) * rate:
                break
        whole = np.concatenate(parts, axis=1)[:, : round(SECONDS * rate)]
        loud = length >= 2 * rate and np.sqrt(np.mean(whole.astype(np.float64) ** 2)) >= MIN_LEVEL
        return (np.ascontiguousarray(whole), rate) if loud else None

    def _read(self, row: Row, seconds: float, rng: random.Random) -> tuple[Sound, int]:
        with soundfile.SoundFile(self.root / row["path"]) as file:
            want = min(round(seconds * file.samplerate), file.frames)
            file.seek(rng.randint(0, file.frames - want))
            sound = file.read(want, dtype="float32", always_2d=True).T
            self._used[row["role"], row["source"], row["tier"], row["licence"]].add(row["path"])
            return sound[: 1 if row["role"] == "speech" else 2], int(file.samplerate)


def collect(corpus: Corpus, clips: int, versions: int, seed: int) -> Iterator[Sample]:
    """Every excerpt bare and in so many noisy versions, channel by channel."""
    rng = random.Random(seed)
    for role in ("music", "speech"):
        for name, sound, rate in corpus.excerpts(role, clips, rng):
            if not any(word in name for word in NOT_CLEAN):
                yield from measured(f"{name} clean", role, "clean", sound, None, rate)
            for version in range(versions):
                kind, part, noise, snr_db = _noisy(corpus, sound, rate, rng)
                yield from measured(f"{name} {version}", role, kind, part, noise, rate, snr_db)


def _noisy(corpus: Corpus, sound: Sound, rate: int, rng: random.Random) -> tuple[str, Sound, Array, float]:
    if rng.random() < SHORTENED:
        length = round(rate * rng.uniform(3, 8))
        start = rng.randint(0, max(0, sound.shape[1] - length))
        part = sound[:, start : start + length]
        if np.sqrt(np.mean(part.astype(np.float64) ** 2)) >= MIN_LEVEL:
            sound = part
    snr_db: float = rng.choice([rng.uniform(-3, 32), rng.uniform(5, 26)])
    recorded = corpus.noise(sound.shape, rate, rng) if rng.random() < RECORDED else None
    noise = hiss(sound.shape, rate, rng) if recorded is None else recorded
    power = float(np.mean(sound.astype(np.float64) ** 2)) * 10 ** (-snr_db / 10)
    noise = noise * np.sqrt(power / max(float(np.mean(noise**2)), 1e-30))
    return "made" if recorded is None else "recorded", sound, noise, snr_db


def hiss(shape: tuple[int, ...], rate: int, rng: random.Random) -> Array:
    """Gaussian noise with a random slope, bumps, limits and a level that wanders; now and then in mono."""
    size = shape[1] + rate // 10
    hz = np.fft.rfftfreq(size, 1 / rate)
    slope: float = rng.choice([0.0, 0.0, -3.0, rng.uniform(-6.5, 3.5), rng.uniform(-5, 2)])
    low: float = rng.choice([20.0, 20.0, 20.0, rng.uniform(50, 600)])
    high: float = rng.choice([96e3, 96e3, 96e3, rng.uniform(4000, 14000)])
    places = np.linspace(np.log2(20), np.log2(48000), 9)
    height = rng.choice([0.0, 0.0, 2.0, 4.0])
    bumps = [rng.gauss(0, height) for _ in places]
    octaves = np.log2(np.maximum(hz, 20))
    gain_db = slope * (octaves - 10) + np.interp(octaves, places, bumps)
    gain_db -= rng.choice([24.0, 200.0]) * np.clip(np.log2(low / np.maximum(hz, 1e-9)), 0, 10)
    gain_db -= 60 * np.clip(np.log2(np.maximum(hz, 1) / high), 0, None)
    gain = 10 ** (np.clip(gain_db, -300, 100) / 20)
    time = np.arange(shape[1]) / rate
    waves = [np.sin(2 * np.pi * time / rng.uniform(4, 15) + rng.uniform(0, 2 * np.pi)) for _ in range(3)]
    level = 10 ** (rng.choice([0.0, 0.3, 0.3, 0.8]) * np.sum(waves, axis=0) * np.sqrt(2 / 3) / 20)
    draw = np.random.default_rng(rng.randrange(2**32))
    channels = 1 if rng.random() < 0.2 else shape[0]
    noise = np.fft.irfft(np.fft.rfft(draw.standard_normal((channels, size))) * gain, size)
    return np.broadcast_to(noise[:, : shape[1]] * level, shape)


def measured(
    clip: str, role: str, kind: str, sound: Sound, noise: Array | None, rate: int, snr_db: float = np.inf
) -> Iterator[Sample]:
    """What core.floors makes of each channel; nothing where the sound is too short or its rate too low."""
    given = sound if noise is None else (sound + noise).astype(np.float32)
    format = Format(rate, len(given))
    meter = PatchMeter(format)
    held = [*meter.push(given), *meter.flush()]
    if not held or not meter.fine_bands or sum(p.level_db.shape[1] for p in held) < MIN_PATCHES:
        return
    parts = joined(held)
    if not parts[3].shape[1]:
        return
    index = np.array([band for band, _, _ in meter.fine_bands])
    truths = _floors(noise, format, kind) if noise is not None else None
    weight, width = a_weighted_width(index), np.array(BANDS_HZ)[index] * (10**0.05 - 10**-0.05)
    for c, channel in enumerate(zip(*parts, strict=True)):
        shape, lowest, total = figures(*channel, meter.bands, meter.fine_bands)
        truth, below = None, np.inf
        if truths is not None:
            truth = truths[c]
            below = float(
                10 * np.log10((10 ** (total / 10) @ weight + 1e-20) / (10 ** (truth / 10) @ weight))
            )
        whole = 10 * np.log10(np.sum(10 ** (total / 10) * width) + 1e-20)
        share_db = lowest + 10 * np.log10(width) - whole
        yield Sample(clip, role, kind, snr_db, shape, lowest, total, index, truth, share_db, below)


def _floors(noise: Array, format: Format, kind: str) -> Array:
    """The noise's own density as the same meter sees it alone, (channels, bands) in dB."""
    meter = PatchMeter(format)
    fine = joined([*meter.push(noise.astype(np.float32)), *meter.flush()])[3].astype(np.float64)
    rows = np.stack([fine[:, :, a:b].mean(axis=2) for _, a, b in meter.fine_bands], axis=2)
    floor = rows.mean(axis=1) if kind == "made" else np.quantile(rows, QUIETEST, axis=1)
    return np.asarray(10 * np.log10(floor + 1e-25))
