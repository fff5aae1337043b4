"""One measurement of time and memory in a process of its own.

python -m bench.probe WHAT NAME SECONDS [FILE OUT]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from bench import synth
from wavemend.core.types import Format

RATE_HZ = 48000
BLOCK = 65536


def stereo(seconds: float, seed: int = 0) -> np.ndarray:
    """Ten seconds of synthesised music and speech in two channels, repeated; (2, samples) at 48 kHz."""
    piece = synth.strings(seed, 10.0), synth.voice(seed, 10.0)
    two = np.stack([0.7 * piece[0] + 0.2 * piece[1], 0.6 * piece[0] + 0.3 * piece[1]]).astype(np.float32)
    n = round(seconds * RATE_HZ)
    return np.tile(two, (1, n // two.shape[1] + 1))[:, :n]


def detector(name: str, seconds: float) -> float:
    """Processor seconds of one detector."""
    from wavemend.damage import damages

    sound, format = stereo(seconds), Format(RATE_HZ, 2)
    began = time.process_time()
    open_detector = damages[name].detector
    assert open_detector, f"{name} has no detector"
    search = open_detector(format)
    for at in range(0, sound.shape[1], BLOCK):
        search.push(sound[:, at : at + BLOCK])
    search.finish()
    return time.process_time() - began


def repair(name: str, seconds: float) -> float:
    """Processor seconds of one repair, given the truth about simulated damage."""
    from wavemend.damage import damages
    from wavemend.repairs import repairs

    sound, format = stereo(seconds), Format(RATE_HZ, 2)
    damaged, truth = damages[repairs[name].treats[0]].simulate(sound, format, seed=1)
    began = time.process_time()
    stream = repairs[name].open(format, truth)
    for at in range(0, sound.shape[1], BLOCK):
        stream.push(damaged[:, at : at + BLOCK])
    stream.flush()
    return time.process_time() - began


def chain(source: str, goal: str) -> float:
    """Processor seconds of the whole of restore, from file to file, as the command line does it."""
    from wavemend.restoration.api import restore_file

    began = time.process_time()
    restore_file(Path(source), Path(goal))
    return time.process_time() - began


def denoise(variant: str, source: str, goal: str) -> float:
    """Processor seconds of one of our denoisers, forced, from file to file."""
    from bench.systems import variants
    from wavemend.restoration.api import repair_file

    began = time.process_time()
    repair_file("denoise", Path(source), Path(goal), options=variants()[variant])
    return time.process_time() - began


def peak_mb() -> float:
    """The most memory that this process has held, in MB (10⁶ bytes)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def main(arguments: list[str]) -> None:
    what, name, seconds, *files = arguments
    if what == "chain":
        spent = chain(*files)
    elif what == "denoise":
        spent = denoise(name, *files)
    else:
        spent = {"detector": detector, "repair": repair}[what](name, float(seconds))
    print(json.dumps({"seconds": spent, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(sys.argv[1:])
