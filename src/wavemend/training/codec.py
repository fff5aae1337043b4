"""What lossy coding leaves: lapped transforms, quantised band by band under a simple masking rule.

Not a codec but its sound: noise shaped like the music, holes where bands fall below one
step, a low-pass, and pre-echo as long as the frame. The transform is the MDCT of Princen
and Bradley (1987) with a sine window; steps grow with the power 3/4, as in MP3 and AAC.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import fft

from wavemend.training.spectra import RATE, Drawn, Mono

FRAMES = (576, 1024)  # bins of MP3 and of AAC


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
    bins = drawn["bins"]
    blocks = -(-len(sound) // bins) + 1
    padded = np.zeros((blocks + 1) * bins, np.float32)
    padded[bins : bins + len(sound)] = sound
    halves = padded.reshape(blocks + 1, bins)
    window = np.sin(np.pi / 2 / bins * (np.arange(2 * bins, dtype=np.float32) + np.float32(0.5)))
    first, second = halves[:-1] * window[:bins], halves[1:] * window[bins:]
    mid = bins // 2
    folded = np.concatenate(
        (-second[:, mid - 1 :: -1] - second[:, mid:], first[:, :mid] - first[:, : mid - 1 : -1]), axis=1
    )
    lines = _quantise(fft.dct(folded, type=4, norm="ortho", axis=1), drawn)
    folded = fft.dct(lines, type=4, norm="ortho", axis=1)
    low, high = folded[:, :mid], folded[:, mid:]
    out = np.zeros_like(halves)
    out[:-1] += np.concatenate((high, -high[:, ::-1]), axis=1) * window[:bins]
    out[1:] += np.concatenate((-low[:, ::-1], -low), axis=1) * window[bins:]
    return out.reshape(-1)[bins : bins + len(sound)]


def _edges(bins: int) -> Any:
    """Bands of about half a Bark, at least 4 lines each."""
    edges = [0]
    while edges[-1] < bins:
        hz = edges[-1] * RATE / 2 / bins
        edges.append(min(edges[-1] + max(4, round((50 + 0.09 * hz) / (RATE / 2 / bins))), bins))
    return np.array(edges)


def _quantise(lines: Mono, drawn: Drawn) -> Mono:
    bins = drawn["bins"]
    edges = _edges(bins)
    width = np.diff(edges).astype(np.float32)
    energy = np.add.reduceat(lines * lines, edges[:-1], axis=1) / width
    masked = np.maximum(energy, 0.1 * np.roll(energy, 1, axis=1) * (np.arange(len(width)) > 0))
    noise = masked * np.float32(10 ** (drawn["nmr_db"] / 10)) + np.float32(10 ** (drawn["floor_db"] / 10))
    step = np.repeat(np.sqrt(12 * noise), edges[1:] - edges[:-1], axis=1)
    size = np.abs(lines) / step
    # the power law makes steps finer for small values and coarser for large ones
    level = np.floor(size**0.75 + np.float32(0.4054))
    out = np.copysign(level ** np.float32(4 / 3) * step, lines)
    out[:, int(drawn["top_hz"] / (RATE / 2) * bins) :] = 0
    return np.asarray(out, np.float32)
