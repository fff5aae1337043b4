"""What denoising costs on one thread, ours and theirs in turn in one process, and our memory for an hour."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from bench import synth
from bench.material import Material
from bench.report import Cell, Section, Table
from bench.systems import Array, System, forced, processor_seconds, variants
from bench.tasks.denoise import peers
from bench.tasks.scoring import absent
from bench.tasks.speed import probe, write_long
from wavemend.core.types import Finding, Format, Region
from wavemend.engine.model import Model
from wavemend.engine.stream import run as streamed
from wavemend.repairs import repairs

RATE_HZ = 48000
YARDSTICK = "DeepFilterNet 3"


def run(material: Material, quick: bool) -> Section:
    """Processor time of each denoiser, and the memory of ours for a short and a long file."""
    seconds, rounds = (5.0, 1) if quick else (30.0, 3)
    minutes = (0.5, 2.0) if quick else (5.0, 60.0)
    tables = [_times(seconds, rounds), _memory(minutes), *_networks()]
    return Section("denoise-speed", "What denoising costs", tables, {"rounds": rounds, **absent(peers())})


def alone(variant: str) -> System:
    """The repair without the diagnosis that `wavemend repair` makes first."""
    options = variants()[variant]

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        everywhere = Finding("noise", Region(0, len(x)), 1.0, 1.0)
        stream = repairs["denoise"].open(Format(rate, 1), [everywhere], **options)
        return streamed(stream, x[np.newaxis])[0]

    return System(f"wavemend {variant}, the repair alone", mend)


def _times(seconds: float, rounds: int) -> Table:
    ours = [make(variant) for variant in variants() for make in (alone, forced)]
    tried = [system for system in (*ours, *peers()) if not system.missing]
    spent = _clocked(tried, _sound(seconds), rounds)
    measure = spent.get(YARDSTICK)
    rows: list[list[Cell]] = [
        [name, least / seconds, seconds / least, measure / least if measure else None]
        for name, least in spent.items()
    ]
    about = (
        f"{seconds:g} s of noisy synthesised speech and music, 48 kHz, one channel; processor seconds over "
        f"seconds of sound, the least of {rounds}, and how many times as fast as {YARDSTICK}. Networks of "
        "16 kHz: with the resampling there and back. Programs: with their start."
    )
    return Table(
        "Time", about, ["denoiser", "share of a core", "x real time", f"over {YARDSTICK}"], rows, (4, 0, 2)
    )


def _clocked(tried: Sequence[System], sound: Array, rounds: int) -> dict[str, float]:
    """The least processor time of each, in turn; before that a short run, to load what must be loaded."""
    least: dict[str, float] = {}
    for system in tried:
        system.run(sound[:RATE_HZ].copy(), RATE_HZ, {})
    for _ in range(rounds):
        for system in tried:
            began = processor_seconds()
            system.run(sound.copy(), RATE_HZ, {})
            spent = processor_seconds() - began
            least[system.name] = min(spent, least.get(system.name, np.inf))
    return least


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


def _networks() -> list[Table]:
    """What the cards of our networks say that these are and that their training cost."""
    cards = {
        variant: Model.load(options["model"]).card
        for variant, options in variants().items()
        if options["model"] != "classic"
    }
    rows: list[list[Cell]] = [
        [
            f"wavemend {variant}",
            card.parameters / 1000,
            card.latency_ms,
            card.training.hours_of_sound,
            card.training.minutes,
            card.training.steps,
            card.training.machine,
        ]
        for variant, card in cards.items()
    ]
    about = "As their cards say; hours of sound count every example as often as it was seen."
    heads = ["network", "thousand weights", "delay, ms", "hours of sound", "minutes", "steps", "machine"]
    return [Table("The networks and their training", about, heads, rows, (0, 0, 1, 0, 0, 0))] if rows else []
