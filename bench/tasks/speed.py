"""How fast on one thread, and how much memory for a short and a long recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from bench.material import Material
from bench.probe import RATE_HZ, stereo
from bench.report import Cell, Section, Table
from wavemend.core.types import Format
from wavemend.damage import damages
from wavemend.repairs import repairs

SHARE_OF_DAMAGE = {"clicks": 0.15, "hum": 1.0, "noise": 1.0}


def run(material: Material, quick: bool) -> Section:
    """Every detector and repair alone, then the whole chain on files."""
    seconds = 10.0 if quick else 60.0
    short, long = (0.5, 2.0) if quick else (5.0, 60.0)
    alone: list[list[Cell]] = []
    detectors = [name for name, kind in damages.items() if kind.detector]
    for what, names in (("detector", detectors), ("repair", repairs)):
        for name in names:
            got = probe(what, name, str(seconds))
            alone.append([f"{what} {name}", *_speed(got, seconds)])
    return Section("speed", "Speed and memory", [_alone(alone, seconds), _whole(short, long)])


def _alone(rows: list[list[Cell]], seconds: float) -> Table:
    about = (
        f"{seconds:g} s of synthesised music with speech, 48 kHz, two channels, in blocks, one "
        "thread; times real time in "
        "processor time. Repairs are given the truth about their simulated damage at its default strength."
    )
    return Table("Each alone", about, ["what", "x real time", "peak memory, MB"], rows, digits=0)


def _whole(short: float, long: float) -> Table:
    rows: list[list[Cell]] = []
    for title, damage in (("undamaged", False), ("damaged", True)):
        peaks = []
        for minutes in (short, long):
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "in.wav")
                write_long(source, minutes, damage)
                got = probe("chain", "-", "0", str(source), str(Path(folder, "out.wav")))
            peaks.append(got.get("peak_mb"))
            rows.append([f"{minutes:g} min, {title}", *_speed(got, 60 * minutes)])
        if all(peaks):
            rows.append(
                [
                    f"memory, {title}: {long:g} min over {short:g} min",
                    None,
                    f"{peaks[1] / peaks[0]:.2f} times",
                ]
            )
    about = (
        "restore from file to file, 48 kHz, two channels, 16 bit, one thread: reading, all "
        "detectors, plan, repairs, "
        "guard, report, writing. damaged: clicks for some of the time, hum and noise throughout."
    )
    return Table("The whole chain", about, ["recording", "x real time", "peak memory, MB"], rows, digits=0)


def _speed(got: dict[str, float], seconds: float) -> list[Cell]:
    if "error" in got:
        return [None, str(got["error"])]
    return [seconds / max(got["seconds"], 1e-9), got["peak_mb"]]


def write_long(path: Path, minutes: float, damage: bool) -> None:
    """A file of that length, written in pieces of ten seconds; each piece is damaged from its own seed."""
    piece = stereo(10.0)
    format = Format(RATE_HZ, 2)
    pieces = []
    for seed in range(6):
        sound = piece
        for kind in (k for k in SHARE_OF_DAMAGE if damage and k in damages):
            if (seed % 6) / 6 < SHARE_OF_DAMAGE[kind]:
                sound = damages[kind].simulate(sound, format, seed)[0]
        pieces.append(np.clip(0.7 * sound, -1, 1))
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, "PCM_16") as file:
        for i in range(round(minutes * 6)):
            file.write(pieces[i % len(pieces)].T)


def probe(*arguments: str) -> dict[str, float]:
    """One measurement in a fresh process on one thread."""
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "bench.probe", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=Path(__file__).parents[2], check=False
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))
