"""Silence that cuts into the sound: longer than a dropout, digital or with the hiss of a torn tape.

What is up to a second long is filled, and called generated; longer ones are reported so that somebody
may look for the missing sound. Pauses gated by an editor, fades and silence at either end are not reported.
"""

from __future__ import annotations

import numpy as np

from wavemend.core import holes
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

SHORTEST_S = 0.4  # shorter is `dropouts`


def draw(format: Format, samples: int, rng: np.random.Generator, *, length_s: float) -> Drawn:
    """One silence in all channels; a recording too short for it has a third of it silenced."""
    length = min(round(length_s * format.sample_rate), samples // 3)
    if not length:
        return {"start": 0, "stop": 0, "findings": ()}
    start = int(rng.integers(length // 2, samples - length - length // 2 + 1))
    finding = Finding(
        "silence",
        Region(start, start + length),
        severity=holes.severity(length / format.sample_rate),
        confidence=1.0,
        measures={"length_ms": 1000 * length / format.sample_rate},
    )
    return {"start": start, "stop": start + length, "findings": (finding,)}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Zero the stretch."""
    out = samples.copy()
    out[:, drawn["start"] : drawn["stop"]] = 0.0
    return out


def detector(format: Format) -> holes.AllHoles:
    return holes.AllHoles(format, "silence", SHORTEST_S, np.inf)


DAMAGE = Damage(
    name="silence",
    title="Silence",
    params={"length_s": Param(0.6, 0.4, 60.0, "s", "how long the sound is away")},
    draw=draw,
    apply=apply,
    detector=detector,
    doc=__doc__,
)
