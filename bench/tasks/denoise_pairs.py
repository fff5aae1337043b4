"""Noisy sounds whose clean sounds are known: speech, music, pairs of a test set; and clean ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench import synth
from bench.material import Clip, Material, seed_of
from bench.tasks.pairs import Pair
from wavemend.core.types import Format

SPEECH_DB = (0, 5, 10, 15, 20)
MUSIC_DB = (5, 10, 15, 20, 25)
SPEECH_HZ = 48000
PROFILE_S = 0.5
REAL = "WAVEMEND_VOICEBANK"

STEADY: Mapping[str, Callable[[int, float, int], synth.Array]] = {
    "hiss": synth.air,
    "hum left over": synth.hum_left,
    "surface noise": synth.surface,
}


def speech(material: Material, quick: bool) -> list[Clip]:
    """Mono speech of many sources at 48 kHz."""
    clips = material.clips("speech", 1 if quick else 12, 4.0 if quick else 8.0)
    return [at_rate(clip.mono(), SPEECH_HZ) for clip in clips]


def music(material: Material, quick: bool) -> list[Clip]:
    """Mono music of many sources, each at its own rate."""
    return [c.mono() for c in material.clips("music", 1 if quick else 15, 4.0 if quick else 8.0)]


def spoken(material: Material, quick: bool) -> list[Pair]:
    """Speech under recorded noise; one noise after the other, so that no level has the same ones."""
    noises = [c.mono() for c in material.clips("noise", 1 if quick else 1000, 8.0, 2.0)]
    said = speech(material, quick)
    levels = SPEECH_DB[1:3] if quick else SPEECH_DB
    order = [(db, clip) for db in levels for clip in said]
    return [noisy(clip, noises[i % len(noises)], db) for i, (db, clip) in enumerate(order)]


def played(material: Material, quick: bool) -> list[Pair]:
    """Music under steady noise, the kinds of noise in turn."""
    clips = music(material, quick)
    levels = MUSIC_DB[1:3] if quick else MUSIC_DB
    kinds = list(STEADY)
    return [
        steady(clip, kinds[(i + j) % len(kinds)], db)
        for j, db in enumerate(levels)
        for i, clip in enumerate(clips)
    ]


def real(quick: bool) -> list[Pair]:
    """Files of equal names in clean/ and noisy/ of the folder named by WAVEMEND_VOICEBANK."""
    folder = os.environ.get(REAL, "")
    files = sorted(Path(folder, "noisy").glob("*.wav")) if folder else []
    return [_read(file, Path(folder, "clean", file.name)) for file in files[: 2 if quick else None]]


def unharmed(clips: Sequence[Clip]) -> list[Pair]:
    """Clean sounds as their own input."""
    return [
        Pair(f"clean {c.role}", c.samples[0], c.samples[0], c.format.sample_rate, name=c.name) for c in clips
    ]


def noisy(clip: Clip, noise: Clip, db: float) -> Pair:
    """The clip under this noise, repeated as often as it takes, at this ratio of their energies."""
    other = at_rate(noise, clip.format.sample_rate).samples[0]
    mixture, _ = mixed(clip.samples[0], np.resize(other, clip.samples.shape[1]), db)
    rate = clip.format.sample_rate
    return Pair(f"{db:g} dB", clip.samples[0], mixture, rate, name=clip.name, noise=noise.name)


def steady(clip: Clip, kind: str, db: float) -> Pair:
    """The clip under made noise of this kind; half a second of the noise alone is among the facts."""
    rate, count = clip.format.sample_rate, clip.samples.shape[1]
    lead = round(PROFILE_S * rate)
    noise = STEADY[kind](seed_of(kind, clip.name, db), (lead + count + 1) / rate, rate)
    mixture, gain = mixed(clip.samples[0], noise[lead : lead + count], db)
    facts = {"noise": (gain * noise[:lead]).astype(np.float32)}
    return Pair(f"{db:g} dB", clip.samples[0], mixture, rate, facts, clip.name, kind)


def mixed(clean: np.ndarray, noise: np.ndarray, db: float) -> tuple[np.ndarray, float]:
    """Clean sound under so much of the noise, and the gain that the noise got."""
    energy = np.sum(clean.astype(np.float64) ** 2)
    gain = np.sqrt(energy / max(np.sum(noise.astype(np.float64) ** 2), 1e-12)) * 10 ** (-db / 20)
    return (clean + gain * noise.astype(np.float64)).astype(np.float32), float(gain)


def at_rate(clip: Clip, rate: int) -> Clip:
    """The clip at this rate in Hz."""
    if clip.format.sample_rate == rate:
        return clip
    made = soxr.resample(clip.samples.T, clip.format.sample_rate, rate, quality="VHQ").T
    return replace(clip, samples=np.ascontiguousarray(made), format=Format(rate, len(made)))


def _read(noisy_file: Path, clean_file: Path) -> Pair:
    damaged, rate = soundfile.read(noisy_file, dtype="float32")
    clean, _ = soundfile.read(clean_file, dtype="float32")
    return Pair("all", clean, damaged, rate, name=noisy_file.name, noise="recorded")
