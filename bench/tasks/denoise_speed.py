"""What denoising costs on one thread, ours and theirs in turn in one process, and our memory for an hour."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from bench import synth
from bench.material import Material
from bench.report import Cell, Section, Table
from bench.systems import Array, System, forced, processor_seconds, variants
from bench.tasks.denoise import peers
from bench.tasks.speed import probe, write_long
from wavemend.core.types import Finding, Format, Region
from wavemend.engine.stream import run as streamed
from wavemend.repairs import repairs

RATE_HZ = 48000
YARDSTICK = "DeepFilterNet 3"


def run(material: Material, quick: bool) -> Section:
    """Processor time of each denoiser, and the memory of ours for a short and a long file."""
    seconds, rounds = (5.0, 1) if quick else (30.0, 3)
    minutes = (0.5, 2.0) if quick else (5.0, 60.0)
    return Section(
        "denoise-speed",
        "What denoising costs",
        [_times(seconds, rounds), _memory(minutes)],
        {"rounds": rounds},
    )


def alone(variant: str) -> System:
    """The repair without the diagnosis that `wavemend repair` makes first."""
    options = variants()[variant]

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        everywhere = Finding("noise", Region(0, len(x)), 1.0, 1.0)
        stream = repairs["denoise"].open(Format(rate, 1), [everywhere], **options)
        return streamed(stream, x[np.newaxis])[0]

    return System(f"wavemend {variant}, the repair alone", mend)


def _times(seconds: float, rounds: int) -> Table:
    sound = _sound(seconds)
    ours = [make(variant) for variant in variants() for make in (alone, forced)]
    tried = [*ours, *peers()]
    spent = {system.name: _clocked(system, sound, rounds) for system in tried if not system.missing}
    measure = spent.get(YARDSTICK)
    rows: list[list[Cell]] = []
    for system in tried:
        if system.missing:
            rows.append([f"{system.name} (missing: {system.missing})", None, None, None])
            continue
        share = spent[system.name] / seconds
        rows.append([system.name, share, 1 / share, measure / seconds / share if measure else None])
    about = (
        f"{seconds:g} s of noisy synthesised speech and music, 48 kHz, one channel; processor seconds over "
        f"seconds of sound, the least of {rounds}, and how many times as fast as {YARDSTICK}. Networks of "
        "16 kHz: with the resampling there and back. Programs: with their start."
    )
    return Table(
        "Time", about, ["denoiser", "share of a core", "x real time", f"over {YARDSTICK}"], rows, (4, 0, 2)
    )


def _clocked(system: System, sound: Array, rounds: int) -> float:
    """The least processor time of so many runs, after a short one that loads what must be loaded."""
    system.run(sound[:RATE_HZ].copy(), RATE_HZ, {})
    best = np.inf
    for _ in range(rounds):
        began = processor_seconds()
        system.run(sound.copy(), RATE_HZ, {})
        best = min(best, processor_seconds() - began)
    return float(best)


def _sound(seconds: float) -> Array:
    mixture = synth.voice(0, seconds) + 0.3 * synth.strings(0, seconds) + 0.1 * synth.air(0, seconds)
    return np.asarray(soxr.resample(mixture, synth.RATE_HZ, RATE_HZ), np.float32)


def _memory(minutes: tuple[float, float]) -> Table:
    short, long = minutes
    rows: list[list[Cell]] = []
    for variant in variants():
        peaks, share = [], None
        for length in minutes:
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "in.wav")
                write_long(source, length, damage=True)
                got = probe("denoise", variant, "0", str(source), str(Path(folder, "out.wav")))
            if "error" in got:
                raise RuntimeError(f"denoise {variant}: {got['error']}")
            peaks.append(got["peak_mb"])
            share = got["seconds"] / (60 * length)
        rows.append([f"wavemend {variant}", *peaks, peaks[1] / peaks[0], share])
    about = (
        "wavemend repair denoise from file to file, 48 kHz, two channels, 16 bit, one thread: the most "
        "memory held, in MB, and processor seconds over seconds of sound for the longer one, reading and "
        "writing included."
    )
    heads = ["denoiser", f"{short:g} min", f"{long:g} min", "longer over shorter", "share of a core"]
    return Table("Memory", about, heads, rows, (0, 0, 2, 4))
