"""Broadband noise: what goes of it, and what goes of the sound with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr

from bench import synth
from bench.material import Clip, Material, seed_of
from bench.measure import cut_share, estoi, lsd, pesq_wb, si_sdr
from bench.peers import audiojs, ffmpeg, python
from bench.report import Cell, Section, Table, mean
from bench.systems import Array, System, guarded, ours, untouched, use
from bench.tasks.pairs import Pair, head, rows

SPEECH_DB = (0, 5, 10, 15, 20)
MUSIC_DB = (5, 10, 15, 20, 25)


def run(material: Material, quick: bool) -> Section:
    """Speech under recorded noise, music under steady noise, and both without any."""
    count, seconds = (1, 5.0) if quick else (5, 8.0)
    speech = [c.mono() for c in material.clips("speech", count, seconds)]
    music = [c.mono() for c in material.clips("music", count, seconds)]
    noises = [c.mono() for c in material.clips("noise", count, seconds, 2.0)]
    levels = (slice(1, 2), slice(2, 3)) if quick else (slice(None), slice(None))
    said = [
        noisy(c, noises[i % len(noises)], db) for db in SPEECH_DB[levels[0]] for i, c in enumerate(speech)
    ]
    played = [noisy(c, _hiss(c), db) for db in MUSIC_DB[levels[1]] for c in music]
    clean = [
        Pair(f"clean {c.role}", c.samples[0], c.samples[0], c.format.sample_rate) for c in speech + music
    ]
    return Section(
        "denoise",
        "Broadband noise",
        [
            _table("Speech under recorded noise: SI-SDR, dB", said, si_sdr),
            _measures("Speech under recorded noise, all levels", said),
            _table("Music under steady noise: SI-SDR, dB", played, si_sdr),
            _table("Music under steady noise: share of the music cut by more than 3 dB", played, None),
            _table("Nothing to remove: share of the sound cut by more than 3 dB", clean, None),
        ],
        {"speech clips": len(speech), "music clips": len(music), "noises": len(noises)},
    )


def _systems() -> list[System]:
    return [
        untouched(),
        ours(["noise"]),
        guarded(["noise"]),
        python.noisereduce(1.0),
        python.noisereduce(0.8),
        ffmpeg.afftdn(),
        ffmpeg.arnndn(),
        python.rnnoise(),
        audiojs.omlsa(),
    ]


def _table(title: str, pairs: Sequence[Pair], measure) -> Table:
    def score(pair: Pair, out: Array) -> list[float | None]:
        if measure is None:
            return [cut_share(pair.clean, out, pair.rate)]
        return [measure(pair.clean, out)]

    about = "Mean over clips; the input's signal-to-noise ratio at the head."
    return Table(title, about, head(pairs), rows(pairs, _systems(), score, mean), digits=1 if measure else 3)


def _measures(title: str, pairs: Sequence[Pair]) -> Table:
    measures = {
        "PESQ-WB": lambda p, out: pesq_wb(p.clean, out, p.rate),
        "ESTOI": lambda p, out: estoi(p.clean, out, p.rate),
        "LSD, dB": lambda p, out: lsd(p.clean, out, p.rate),
        "cut > 3 dB": lambda p, out: cut_share(p.clean, out, p.rate),
    }
    made: list[list[Cell]] = []
    for system in _systems():
        if system.missing:
            made.append([f"{system.name} (missing: {system.missing})", *[None] * len(measures)])
            continue
        outs = [
            (pair, ran.out) for pair in pairs if (ran := use(system, pair.damaged, pair.rate, pair.facts))
        ]
        means = [mean([measure(pair, out) for pair, out in outs]) for measure in measures.values()]
        made.append([system.name, *means])
    return Table(
        title,
        "Mean over clips and levels; – where the measure is not installed.",
        ["system", *measures],
        made,
        2,
    )


def noisy(clip: Clip, noise: Clip, db: float) -> Pair:
    """The clip under this noise, repeated as often as it takes, at this ratio of their energies."""
    clean, rate = clip.samples[0], clip.format.sample_rate
    other = noise.samples[0]
    if noise.format.sample_rate != rate:
        other = soxr.resample(other, noise.format.sample_rate, rate)
    other = np.resize(other, len(clean)).astype(np.float64)
    gain = np.sqrt(np.sum(clean.astype(np.float64) ** 2) / max(np.sum(other**2), 1e-12)) * 10 ** (-db / 20)
    return Pair(f"{db:g} dB", clean, (clean + gain * other).astype(np.float32), rate)


def _hiss(clip: Clip) -> Clip:
    noise = synth.air(seed_of("hiss", clip.name), clip.samples.shape[1] / synth.RATE_HZ + 0.1)
    return Clip("hiss", "noise", noise[np.newaxis, : clip.samples.shape[1]].astype(np.float32), clip.format)
