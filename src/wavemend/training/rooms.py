"""Impulse responses of rooms: a direct sound, early reflections, and noise that decays, high notes sooner.

The statistical model of Schroeder and Polack: late sound is Gaussian noise under an
exponential decay. Reflections come ever denser, as the image sources of a box do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import fft

from wavemend.training.spectra import RATE, Drawn, Mono

EDGES_HZ = (0.0, 500.0, 2500.0, RATE / 2)
POOL = 1 << 19


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """A room with a reverberation time of 0.1-1 s and a direct sound 0-18 dB over the rest."""
    rt60_s = float(0.1 * 10 ** rng.beta(1.6, 1.6))
    mixing_s = float(rng.uniform(0.01, 0.05))  # until reflections are too dense to be told apart
    count = int(rng.integers(4, 16))
    after_s = np.sort(mixing_s * np.sqrt(rng.uniform(0.002, 1.0, count)))
    size = 10 ** (-3 * after_s / rt60_s) * rng.uniform(0.2, 0.9, count) * rng.choice((-1.0, 1.0), count)
    return {
        "rt60_s": rt60_s,
        "tilt": float(rng.uniform(0.35, 1.0)),  # reverberation time of the highest band over the middle's
        "low": float(rng.uniform(0.8, 1.5)),
        "drr_db": float(rng.uniform(0, 18) - 6 * np.log10(rt60_s / 0.1) + 3),
        "early_share": float(rng.uniform(0.2, 0.7)),
        "early_s": after_s.tolist(),
        "early": size.tolist(),
        "start_s": float(rng.uniform(0.002, 0.02)),
        "at": int(rng.integers(POOL // 2)),
    }


def response(drawn: Drawn) -> Mono:
    """The impulse response; its direct sound is 1 at sample 0."""
    count = int(1.1 * drawn["rt60_s"] * drawn["low"] * RATE) + RATE // 50
    time = np.arange(count, dtype=np.float32) / np.float32(RATE)
    late = np.zeros(count, np.float32)
    for band, ratio in zip(_bands(), (drawn["low"], 1.0, drawn["tilt"]), strict=True):
        decay = np.float32(-6.9078 / (drawn["rt60_s"] * ratio))
        late += band[drawn["at"] : drawn["at"] + count] * np.exp(decay * time)
    start = int(drawn["start_s"] * RATE)
    late[:start] *= (np.arange(start, dtype=np.float32) / max(start, 1)) ** 2
    early = np.zeros(count, np.float32)
    at = np.minimum((np.array(drawn["early_s"]) * RATE).astype(int) + 1, count - 1)
    np.add.at(early, at, np.array(drawn["early"], np.float32))
    late *= _scale(late, 1 - drawn["early_share"])
    early *= _scale(early, drawn["early_share"])
    whole = late + early
    whole *= np.float32(10 ** (-drawn["drr_db"] / 20))
    whole[0] = 1.0
    return whole


def _scale(part: Mono, energy: float) -> np.float32:
    return np.float32(np.sqrt(energy / max(float(np.dot(part, part)), 1e-12)))


@lru_cache(maxsize=1)
def _bands() -> tuple[Mono, ...]:
    """White noise, cut into bands that decay at different rates."""
    bins = fft.rfft(np.random.default_rng(20_03).standard_normal(POOL, dtype=np.float32))
    hz = np.fft.rfftfreq(POOL, 1 / RATE)
    cuts = [1 / (1 + (hz / edge) ** 4) for edge in EDGES_HZ[1:-1]]
    weights = (cuts[0], cuts[1] - cuts[0], 1 - cuts[1])
    return tuple(np.asarray(fft.irfft(bins * w.astype(np.float32), POOL)) for w in weights)
