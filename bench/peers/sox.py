"""SoX's noisered, run as the program `sox`, with a profile taken from a piece of the noise alone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.peers.common import missing
from bench.systems import Array, System


def noisered(amount: float) -> System:
    """`amount` is 0 to 1, how much is taken for noise."""
    name = f"sox noisered {amount:g}, noise profile"
    if not shutil.which("sox"):
        return missing(name, "program 'sox'")

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            sound, noise, out, profile = (str(Path(folder, n)) for n in ("x.wav", "n.wav", "y.wav", "p"))
            soundfile.write(sound, x, rate, "FLOAT")
            soundfile.write(noise, facts["noise"], rate, "FLOAT")
            _sox(noise, "-n", "noiseprof", profile)
            _sox(sound, "-e", "floating-point", "-b", "32", out, "noisered", profile, f"{amount:g}")
            made, _ = soundfile.read(out, dtype="float32")
        return np.asarray(np.pad(made, (0, max(len(x) - len(made), 0)))[: len(x)], np.float32)

    return System(name, run, version="1 " + _version())


def _sox(*arguments: str) -> None:
    subprocess.run(["sox", "-V1", "--single-threaded", *arguments], check=True, capture_output=True)


def _version() -> str:
    done = subprocess.run(["sox", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip().rpartition(" ")[2]
