"""Noises that are made: hiss, the surface of discs, hum, static, machines, gusts, textures.

Each kind is drawn as data, then rendered without randomness: the noise itself comes from
a pool of Gaussian numbers, at places that were drawn. Slow courses are in `motion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.types import Format
from wavemend.damage import crackle, hum
from wavemend.training import spectra
from wavemend.training.spectra import GRID_HZ, POINTS, RATE, Curve, Drawn, Mono, fast

POOL = 1 << 22
EDGE = RATE // 20  # what runs around the end of a transform, dropped on each side
CRACKLE_RATES = (60.0, 400.0, 1500.0)
MOST_CRACKLE_S, MOST_IMPULSES = 20.0, 12_000
CRACKLE_COLOURS = 3
HUM_RATE = 12_000
FRAME = 512  # of textures


@lru_cache(maxsize=1)
def _pool() -> Mono:
    return np.random.default_rng(20_01).standard_normal(POOL, dtype=np.float32)


@lru_cache(maxsize=len(CRACKLE_RATES) * CRACKLE_COLOURS)
def _crackle(rate_per_s: float, colour: int) -> Mono:
    """Some seconds of impulses alone, the largest with a peak of about 1, in one of a few colours."""
    format = Format(RATE, 1)
    size = fast(int(min(MOST_CRACKLE_S, MOST_IMPULSES / rate_per_s) * RATE))
    rng = np.random.default_rng([20_02, colour])
    drawn = crackle.draw(format, size, rng, rate_per_s=rate_per_s, level=1.0)
    loud = crackle.apply(np.zeros((1, size), np.float32), format, {**drawn, "level": 1e4})[0]
    bins = fft.rfft(loud) * spectra.gains(spectra.curve_of(spectra.draw_curve(rng, 10.0)), size)
    coloured = spectra.back(bins, size)
    return np.asarray(coloured / np.abs(coloured).max())


def _impulses(drawn: Drawn, samples: int) -> Mono:
    """An excerpt of crackle, (samples,)."""
    pool = _crackle(drawn["rate_per_s"], drawn["colour"])
    start = int(drawn["at"] * len(pool))
    excerpt = pool[start : start + samples]
    while len(excerpt) < samples:
        excerpt = np.concatenate((excerpt, pool[: samples - len(excerpt)]))
    return excerpt * np.float32(drawn["size"])


def _draw_impulses(rng: np.random.Generator, rates: tuple[float, ...], size: float) -> dict[str, Any]:
    """Where to begin in which crackle; `size` is that of the largest impulse."""
    return {
        "rate_per_s": float(rng.choice(rates)),
        "colour": int(rng.integers(CRACKLE_COLOURS)),
        "at": float(rng.random()),
        "size": size,
    }


def place(rng: np.random.Generator) -> int:
    """Where to begin in the pool."""
    return int(rng.integers(POOL))


def _numbers(at: int, count: int) -> Mono:
    pool = _pool()
    at %= POOL
    return pool[at : at + count] if at + count <= POOL else np.resize(np.roll(pool, -at), count)


def gaussian(at: int, samples: int, curve_db: Curve) -> Mono:
    """Gaussian noise with the spectrum of a curve, (samples,); made of its spectrum directly."""
    size = fast(samples)
    bins = _numbers(at, size + 2).copy().view(np.complex64)
    bins *= spectra.gains(curve_db, size)
    bins[0] = bins[-1] = 0
    return spectra.back(bins, size)[:samples]


# ---- slow courses


def draw_motion(rng: np.random.Generator, depth_db: float, period_s: tuple[float, float]) -> dict[str, Any]:
    """A level that wanders: three slow waves."""
    low, high = np.log(period_s)
    return {
        "depth_db": depth_db,
        "periods_s": np.exp(rng.uniform(low, high, 3)).tolist(),
        "phases": rng.uniform(0, 2 * np.pi, 3).tolist(),
    }


def motion(drawn: Drawn, samples: int) -> Mono:
    """The amplitude of a wandering level, (samples,)."""
    time = np.arange(0, samples + 480, 480) / RATE
    waves = sum(
        np.sin(2 * np.pi * time / period + phase)
        for period, phase in zip(drawn["periods_s"], drawn["phases"], strict=True)
    )
    return stretch(10 ** (drawn["depth_db"] * waves / 3 / 20), samples)


def stretch(values: npt.ArrayLike, samples: int, step: int = 480) -> Mono:
    """Values every `step` samples, joined by lines."""
    points = np.asarray(values, np.float32)
    ramp = np.arange(step, dtype=np.float32) / np.float32(step)
    lines = points[:-1, None] + np.diff(points)[:, None] * ramp
    return lines.reshape(-1)[:samples]


# ---- hiss


def draw_hiss(rng: np.random.Generator) -> dict[str, Any]:
    """White, pink, brown, of tape with rising highs, or of a random smooth spectrum."""
    colour = str(rng.choice(("white", "pink", "brown", "tape", "smooth"), p=(0.2, 0.2, 0.1, 0.2, 0.3)))
    slope = {"white": 0.0, "pink": -3.0, "brown": -6.0, "tape": 1.5, "smooth": -1.5}[colour]
    return {
        "at": place(rng),
        "colour": colour,
        "slope_db": float(slope + rng.uniform(-1, 1)),
        "bumps_db": (rng.standard_normal(12) * (5.0 if colour == "smooth" else 1.0)).tolist(),
        "limit_hz": float(rng.uniform(6000, 20000)) if rng.random() < 0.25 else 0.0,
        "high_db": float(rng.uniform(0, 9)) if colour == "tape" else 0.0,
        "motion": draw_motion(rng, float(rng.choice((0.0, 0.5, 2.0))), (2.0, 15.0)),
    }


def hiss_curve(drawn: Drawn) -> Curve:
    """The spectrum of a hiss on the grid, dB."""
    octaves = np.log2(np.maximum(GRID_HZ, 40) / 1000)
    bumps = np.interp(np.linspace(0, 11, POINTS), np.arange(12), drawn["bumps_db"])
    curve = drawn["slope_db"] * octaves + bumps
    curve += drawn["high_db"] * np.exp(-((np.log2(GRID_HZ / 9000) / 1.2) ** 2))
    if drawn["limit_hz"]:
        curve -= np.clip(60 * np.log2(GRID_HZ / drawn["limit_hz"]), 0, 90)
    return np.asarray(curve)


def hiss(drawn: Drawn, samples: int) -> Mono:
    noise = gaussian(drawn["at"], samples + EDGE, hiss_curve(drawn))[:samples]
    return noise * motion(drawn["motion"], samples) if drawn["motion"]["depth_db"] else noise


# ---- the surface of discs


def draw_surface(rng: np.random.Generator) -> dict[str, Any]:
    """Shellac (78 rpm) or vinyl: hiss, crackle, rumble and scratches that come back with each turn."""
    shellac = bool(rng.random() < 0.55)
    rpm = float(78.26 if shellac else rng.choice((33.33, 45.0)))
    ticks = int(rng.integers(0, 4))
    return {
        "shellac": shellac,
        "period_s": 60 / rpm,
        "phase": float(rng.random()),
        "at": place(rng),
        "slope_db": float(rng.uniform(-3, 1) if shellac else rng.uniform(-6, -2)),
        "bump_hz": float(rng.uniform(2000, 6000)),
        "bump_db": float(rng.uniform(0, 10) if shellac else rng.uniform(0, 4)),
        "top_hz": float(rng.uniform(6000, 16000) if shellac else rng.uniform(12000, 22000)),
        "turn_db": (rng.standard_normal(5) * rng.uniform(0.3, 2.0)).tolist(),
        "swish_db": float(rng.uniform(0, 8) if rng.random() < 0.5 else 0.0),
        "rumble_db": float(rng.uniform(-25, 0)),
        "crackle": _draw_impulses(rng, CRACKLE_RATES, float(10 ** rng.uniform(-0.1, 1.0))),
        "ticks": [
            {
                "at": float(rng.random()),
                "size": float(5 * 5 ** rng.random()),
                "ms": float(rng.uniform(0.05, 0.6)),
            }
            for _ in range(ticks)
        ],
    }


def surface(drawn: Drawn, samples: int) -> Mono:
    total = samples + EDGE
    octaves = np.log2(np.maximum(GRID_HZ, 40) / 1000)
    curve = drawn["slope_db"] * octaves
    curve += drawn["bump_db"] * np.exp(-((np.log2(GRID_HZ / drawn["bump_hz"]) / 0.8) ** 2))
    curve -= np.clip(18 * np.log2(GRID_HZ / drawn["top_hz"]), 0, 60)
    low = drawn["rumble_db"] - 24 * np.maximum(np.log2(GRID_HZ / 40), 0)
    curve = 10 * np.log10(10 ** (curve / 10) + 10 ** ((25 + low) / 10))
    noise = gaussian(drawn["at"], total, curve)
    noise /= rms(noise)
    turn = (np.arange(0, total + 480, 480) / RATE / drawn["period_s"] + drawn["phase"]) % 1.0
    course = sum(
        size * np.cos(2 * np.pi * (k + 1) * turn + 2.4 * k) for k, size in enumerate(drawn["turn_db"])
    )
    noise *= stretch(10 ** (course / 20), total)
    if drawn["swish_db"]:
        swish = 10 ** (drawn["swish_db"] / 20 * np.exp(-(((turn - 0.5) / 0.12) ** 2))) - 1
        band = -30 * np.abs(np.log2(GRID_HZ / (0.7 * drawn["top_hz"])))
        rustle = gaussian(drawn["at"] + POOL // 3, total, np.maximum(band, -80.0))
        noise += rustle / rms(rustle) * stretch(swish, total) * np.float32(0.5)
    noise += _impulses(drawn["crackle"], total) * stretch(10 ** (1.5 * course / 20), total)
    _add_ticks(noise, drawn)
    return noise[:samples]


def _add_ticks(noise: Mono, drawn: Drawn) -> None:
    """Scratches across the grooves: the same impulse once in each turn."""
    for tick in drawn["ticks"]:
        n = np.arange(int(8 * tick["ms"] * RATE / 1000) + 2) / RATE * 1000
        shape = tick["size"] * np.exp(-n / tick["ms"]) * np.cos(2 * np.pi * n * 0.35 / tick["ms"])
        first = (tick["at"] - drawn["phase"]) % 1.0 * drawn["period_s"]
        for at in np.arange(first, len(noise) / RATE, drawn["period_s"]):
            part = noise[int(at * RATE) :][: len(shape)]
            part += shape[: len(part)].astype(np.float32)


# ---- hum and machines


def draw_hum(rng: np.random.Generator) -> dict[str, Any]:
    """Mains of 50 or 60 Hz, from a soft hum to a hard buzz."""
    mains = hum.draw(
        Format(HUM_RATE, 1),
        RATE,
        rng,
        f0_hz=float(rng.choice((50.0, 60.0)) * rng.uniform(0.985, 1.015)),
        sdr_db=0.0,
        buzz=float(rng.random()),
        drift_percent=float(rng.uniform(0, 0.3)),
        swing_db=float(rng.uniform(0, 1.5)),
    )
    plain = {key: value for key, value in mains.items() if key != "findings"}
    damped = {
        "shape": "high",
        "hz": float(300 * 8 ** rng.random()),
        "octaves": 1.5,
        "db": float(-30 * rng.random()),
    }
    return {"mains": plain, "curve": [damped, *spectra.draw_curve(rng, 10.0, 2)]}


def _tones(drawn: Drawn, samples: int) -> Mono:
    total = fast(samples + 2 * EDGE)
    slow = fast(total * HUM_RATE // RATE)
    # the table of one period is read at a low rate, and brought to the full one in its spectrum
    tones = hum.hum_of(slow, Format(HUM_RATE, 1), drawn["mains"]).astype(np.float32)
    bins = spectra.spectrum(tones, slow)
    wide = np.zeros(total // 2 + 1, np.complex64)
    wide[: len(bins)] = bins
    wide *= spectra.gains(spectra.curve_of(drawn["curve"]), total)
    return spectra.back(wide, total)[EDGE : EDGE + samples]


def draw_fan(rng: np.random.Generator) -> dict[str, Any]:
    """A machine that turns: some harmonics of its blades, wind around them."""
    f0_hz, count = float(20 * 15 ** rng.random()), int(rng.integers(3, 30))
    k = np.arange(1, count + 1)
    levels = k ** -rng.uniform(0.4, 1.5) * rng.uniform(0.05, 1.0, count)
    mains = {
        "f0_hz": f0_hz,
        "drift": float(rng.uniform(0, 0.004)),
        "drift_s": float(rng.uniform(0.5, 8)),
        "drift_phase": float(rng.uniform(0, 2 * np.pi)),
        "swing_db": float(rng.uniform(0, 1.5)),
        "swing_s": float(rng.uniform(0.5, 5)),
        "levels": levels[k * f0_hz < 5000].tolist(),
        "phases": rng.uniform(0, 2 * np.pi, count)[k * f0_hz < 5000].tolist(),
    }
    wind = {**draw_hiss(rng), "slope_db": float(rng.uniform(-6, -2)), "high_db": 0.0}
    return {
        "mains": mains,
        "curve": spectra.draw_curve(rng, 8.0, 2),
        "wind": wind,
        "wind_db": float(rng.uniform(-5, 20)),
    }


def fan(drawn: Drawn, samples: int) -> Mono:
    tones, wind = _tones(drawn, samples), hiss(drawn["wind"], samples)
    return np.asarray(tones / rms(tones) + wind * np.float32(10 ** (drawn["wind_db"] / 20)) / rms(wind))


# ---- noise that changes


def draw_gusts(rng: np.random.Generator) -> dict[str, Any]:
    """Wind on a microphone, handling, distant traffic: low and unsteady."""
    return {
        "at": place(rng),
        "corner_hz": float(40 * 8 ** rng.random()),
        "slope_db": float(rng.uniform(4, 14)),
        "motion": draw_motion(rng, float(rng.uniform(4, 30)), (0.3, 4.0)),
    }


def gusts(drawn: Drawn, samples: int) -> Mono:
    above = np.maximum(np.log2(GRID_HZ / drawn["corner_hz"]), 0)
    below = np.maximum(np.log2(25.0 / GRID_HZ), 0)
    curve = np.maximum(-drawn["slope_db"] * above - 12 * below, -100.0)
    return gaussian(drawn["at"], samples + EDGE, curve)[:samples] * motion(drawn["motion"], samples)


def draw_texture(rng: np.random.Generator, fast_share: float = 0.5) -> dict[str, Any]:
    """Noise whose spectrum changes with time: from rain and crowds to bursts and clatter."""
    quick = rng.random() < fast_share
    return {
        "at": place(rng),
        "seed": int(rng.integers(2**32)),
        "per_s": float(3 * 10 ** rng.random() if quick else 0.3 * 10 ** rng.random()),
        "bands": int(rng.integers(2, 12)),
        "depth_db": float(rng.uniform(3, 12)),
        "sparse_db": float(rng.uniform(0, 30)) if rng.random() < 0.4 else 0.0,
        "slope_db": float(rng.uniform(-6, 1)),
        "colour_db": float(rng.uniform(0, 10)),
    }


def texture(drawn: Drawn, samples: int) -> Mono:
    """Random spectra under a smooth random surface over time and frequency, overlapped and added."""
    frames = samples // (FRAME // 2) + 2
    rng = np.random.default_rng(drawn["seed"])
    times = int(np.ceil(samples / RATE * drawn["per_s"])) + 3
    level = rng.standard_normal((times, drawn["bands"])) * drawn["depth_db"]
    if drawn["sparse_db"]:  # most of the time quiet, sometimes a burst
        level += drawn["sparse_db"] * (rng.random((times, 1)) ** 3 - 1)
    level += rng.standard_normal(drawn["bands"]) * drawn["colour_db"]
    bins = FRAME // 2 + 1
    octaves = np.log2(np.maximum(np.arange(bins) * RATE / FRAME, 50) / 1000)
    across = _weights(
        (octaves - octaves[0]) / (octaves[-1] - octaves[0]) * (drawn["bands"] - 1), drawn["bands"]
    )
    along = _weights(np.arange(frames) * (FRAME / 2 / RATE) * drawn["per_s"], times)
    surface_db = along @ level @ across.T + drawn["slope_db"] * octaves
    size = np.exp(np.float32(np.log(10) / 20) * surface_db.astype(np.float32))
    random = _numbers(drawn["at"], 2 * frames * bins).copy().view(np.complex64).reshape(frames, bins)
    random *= size
    waves = np.asarray(fft.irfft(random, FRAME, axis=1))
    waves *= np.sin(np.pi * (np.arange(FRAME, dtype=np.float32) + np.float32(0.5)) / FRAME)
    half = FRAME // 2
    joined = np.zeros((frames + 1, half), np.float32)
    joined[:-1] += waves[:, :half]
    joined[1:] += waves[:, half:]
    return joined.reshape(-1)[half : half + samples]


def _weights(where: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """The matrix that interpolates `count` values with cosines."""
    low = np.clip(np.floor(where).astype(int), 0, max(count - 2, 0))
    part = 0.5 - 0.5 * np.cos(np.pi * np.clip(where - low, 0, 1))
    out = np.zeros((len(where), count))
    out[np.arange(len(where)), low] = 1 - part
    out[np.arange(len(where)), np.minimum(low + 1, count - 1)] += part
    return out


def draw_static(rng: np.random.Generator) -> dict[str, Any]:
    """Radio: hiss that flutters, and sharp bursts."""
    return {
        "hiss": draw_hiss(rng),
        "flutter": draw_texture(rng, 1.0),
        "crackle": _draw_impulses(rng, CRACKLE_RATES[:2], float(10 ** rng.uniform(0.3, 1.5))),
    }


def static(drawn: Drawn, samples: int) -> Mono:
    out = hiss(drawn["hiss"], samples)
    flutter = texture(drawn["flutter"], samples)
    out = out / rms(out) + flutter / rms(flutter)
    return np.asarray(out + _impulses(drawn["crackle"], samples))


def rms(sound: Mono) -> np.float32:
    """The root mean square, never zero."""
    return np.float32(np.sqrt(float(np.dot(sound, sound)) / len(sound)) + 1e-9)


KINDS: Mapping[str, tuple[Callable[[np.random.Generator], dict[str, Any]], Callable[[Drawn, int], Mono]]] = {
    "hiss": (draw_hiss, hiss),
    "surface": (draw_surface, surface),
    "hum": (draw_hum, _tones),
    "fan": (draw_fan, fan),
    "gusts": (draw_gusts, gusts),
    "texture": (draw_texture, texture),
    "static": (draw_static, static),
}
"""How each kind is drawn, and rendered as (samples,) at any level."""
