"""Lossy coding of examples: the damage `coding`, as of files that are still fit to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from wavemend.damage.coding import FRAMES, coded
from wavemend.training.spectra import RATE, Drawn, Mono


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Of some 64 to 256 kbit/s: the poorer, the less bandwidth and the coarser the steps."""
    quality = float(rng.random())
    return {
        "bins": int(rng.choice(FRAMES)),
        "nmr_db": float(-14 - 16 * quality + rng.uniform(-2, 2)),
        "top_hz": float(min(10_500 + 9_500 * quality + rng.uniform(-500, 500), 20_000)),
        "floor_db": float(rng.uniform(-100, -85)),  # the threshold of hearing re full scale
    }


def apply(sound: Mono, drawn: Drawn) -> Mono:
    """`sound` coded and decoded, (samples,), in place and time."""
    return coded(sound, RATE, drawn)
