"""Dropouts: short holes in the sound, as lost packets, full buffers and worn tape leave them.

A hole is a stretch of one value, held or zero, or from 30 ms on of next to nothing, that the sound falls into
and comes out of without warning. Pauses that an editor gated, fades, and silence at either end are
none: the sound around them had died away, or comes back softly.
"""

from __future__ import annotations

import numpy as np

from wavemend.core import holes
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

LONGEST_MS = 400.0  # longer is `silence`


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    rate_per_s: float,
    shortest_ms: float,
    longest_ms: float,
    held: float,
) -> Drawn:
    """Holes in all channels at random times and of random lengths, log-uniform; some hold the last value."""
    count = max(int(rng.poisson(rate_per_s * samples / format.sample_rate)), 1 if rate_per_s else 0)
    low, high = sorted((shortest_ms, longest_ms))
    taken: list[dict[str, int | bool]] = []
    last = 0
    for at in sorted(rng.integers(1, max(samples, 2), count).tolist()):
        length = max(
            round(float(np.exp(rng.uniform(np.log(low), np.log(high)))) / 1000 * format.sample_rate), 2
        )
        holds = bool(rng.random() < held)
        if at > last and at + length < samples:
            taken.append({"start": at, "stop": at + length, "held": holds})
            last = at + length + round(0.05 * format.sample_rate)
    findings = tuple(
        Finding(
            "dropouts",
            Region(int(hole["start"]), int(hole["stop"])),
            severity=holes.severity(int(hole["stop"] - hole["start"]) / format.sample_rate),
            confidence=1.0,
            measures={"length_ms": 1000 * (hole["stop"] - hole["start"]) / format.sample_rate},
        )
        for hole in taken
    )
    return {"holes": taken, "findings": findings}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Zero the holes, or hold the last value before each."""
    out = samples.copy()
    for hole in drawn["holes"]:
        start, stop = hole["start"], hole["stop"]
        out[:, start:stop] = out[:, start - 1 : start] if hole["held"] else 0.0
    return out


def detector(format: Format) -> holes.AllHoles:
    return holes.AllHoles(format, "dropouts", 0.0, LONGEST_MS / 1000)


DAMAGE = Damage(
    name="dropouts",
    title="Dropouts",
    params={
        "rate_per_s": Param(1.0, 0.0, 10.0, "1/s", "holes a second, on average"),
        "shortest_ms": Param(2.0, 0.1, 400.0, "ms", "length of the shortest hole"),
        "longest_ms": Param(20.0, 0.1, 400.0, "ms", "length of the longest hole"),
        "held": Param(0.2, 0.0, 1.0, "", "share of holes that hold the last value; the others are zero"),
    },
    draw=draw,
    apply=apply,
    detector=detector,
    doc=__doc__,
)
