"""Spectral shaping of long excerpts: filters on a grid of 1/48 octave, and speed, in one transform.

All gains are without phase. Transforms go around: whoever calls drops the edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

Mono = npt.NDArray[np.float32]
Curve = npt.NDArray[np.float64]
Drawn = Mapping[str, Any]

RATE = 48_000
PER_OCTAVE = 48
LOW_HZ = 12.0
POINTS = int(np.ceil(PER_OCTAVE * np.log2(RATE / 2 / LOW_HZ))) + 1
GRID_HZ: Curve = LOW_HZ * 2.0 ** (np.arange(POINTS) / PER_OCTAVE)
STOP_DB = -90.0


@lru_cache(maxsize=256)
def fast(size: int) -> int:
    """The next size whose transform is fast, even."""
    found = int(fft.next_fast_len(size, real=True))
    return found if found % 2 == 0 else fast(found + 1)


@lru_cache(maxsize=8)
def _places(size: int) -> tuple[npt.NDArray[np.int32], Mono]:
    hz = np.maximum(np.arange(size // 2 + 1) * (RATE / size), LOW_HZ)
    place = np.minimum(PER_OCTAVE * np.log2(hz / LOW_HZ), POINTS - 1.001)
    whole = place.astype(np.int32)
    return whole, (place - whole).astype(np.float32)


def gains(curve_db: Curve, size: int) -> Mono:
    """Amplitudes at the bins of a transform of `size`, of a curve on the grid in dB."""
    amplitude = (10 ** (curve_db / 20)).astype(np.float32)
    whole, part = _places(size)
    return np.asarray(amplitude.take(whole) + np.diff(amplitude, append=amplitude[-1]).take(whole) * part)


def draw_curve(rng: np.random.Generator, most_db: float, most: int = 4) -> list[dict[str, Any]]:
    """One to `most` random shelves and peaks of at most ±most_db each."""
    return [
        {
            "shape": str(rng.choice(("low", "high", "peak"), p=(0.25, 0.25, 0.5))),
            "hz": float(60 * 200 ** rng.random()),
            "octaves": float(rng.uniform(0.3, 2.0)),
            "db": float(rng.uniform(-most_db, most_db)),
        }
        for _ in range(int(rng.integers(1, most + 1)))
    ]


def curve_of(drawn: Sequence[Drawn]) -> Curve:
    """The sum of shelves and peaks on the grid, dB."""
    curve = np.zeros(POINTS)
    for one in drawn:
        away = np.log2(GRID_HZ / one["hz"]) / one["octaves"]
        if one["shape"] == "peak":
            curve += one["db"] * np.exp(-(away**2))
        else:
            curve += one["db"] / (1 + np.exp(np.clip((4 if one["shape"] == "low" else -4) * away, -60, 60)))
    return curve


def draw_limit(rng: np.random.Generator) -> dict[str, float]:
    """A band such as telephones, old discs, cassettes and slow sample rates leave."""
    high = float(rng.choice((3400, 4000, 5000, 7000, 8000, 10000, 12000, 15000))) * rng.uniform(0.93, 1.07)
    telephone = high < 3700 or (high < 6000 and rng.random() < 0.4)
    return {
        "low_hz": float(rng.uniform(150, 350)) if telephone else 0.0,
        "high_hz": float(high),
        "octaves": float(0.04 * 25 ** rng.random()),  # from the edge to STOP_DB
    }


def limit_of(drawn: Drawn) -> Curve:
    """The gain of a band limit on the grid, dB, down to STOP_DB."""
    curve = STOP_DB * np.clip(np.log2(GRID_HZ / drawn["high_hz"]) / drawn["octaves"], 0, 1)
    if drawn["low_hz"]:
        curve += np.maximum(-24.0 * np.maximum(np.log2(drawn["low_hz"] / GRID_HZ), 0), STOP_DB)
    return np.asarray(curve)


def truth_hz(band_hz: float, limit: Drawn | None) -> float:
    """Up to where a sound is known that was known to band_hz and then limited.

    What is known to be cut off is known silence; what is only damped is not.
    """
    if limit is None:
        return band_hz
    at = float(np.interp(band_hz, GRID_HZ, limit_of(limit)))
    return RATE / 2 if at <= -60 else band_hz


def spectrum(sound: Mono, size: int) -> npt.NDArray[np.complex64]:
    """The spectrum of `sound` played in `size` samples: its speed is len(sound) / size."""
    bins = fft.rfft(sound)
    bins *= np.float32(size / len(sound))
    wanted = size // 2 + 1
    if len(bins) > wanted:
        bins = bins[:wanted]
    elif len(bins) < wanted:
        bins = np.concatenate((bins, np.zeros(wanted - len(bins), bins.dtype)))
    return np.asarray(bins)


def back(bins: npt.NDArray[np.complex64], size: int) -> Mono:
    """The samples of a spectrum."""
    return np.asarray(fft.irfft(bins, size, overwrite_x=True))


def sampled(sound: Mono, rate_hz: int) -> Mono:
    """The sound as a file of a lower sample rate holds it: nothing from half of `rate_hz` on, (samples,)."""
    size = fast(len(sound))
    bins = fft.rfft(sound, size)
    hz = np.arange(len(bins)) * (RATE / size)
    bins *= np.interp(hz, (0.45 * rate_hz, 0.5 * rate_hz), (1, 0)).astype(np.float32)
    return back(bins, size)[: len(sound)]
