"""Noises that are events, made: calls of no known creature, machines with a pulse, things that are struck.

Recordings of all that barks, cries, rattles and roars are not to be had; a network that shall know a
voice from them must hear more kinds than a small collection has. These are drawn at random from wide
ranges, so that no two are of one kind (domain randomisation; Tobin et al., IROS 2017). Calls and engines
are a source and a filter (Fant, "Acoustic Theory of Speech Production", 1960), whose pitch and
resonances lie where voices' are and where they are not, and whose rhythm is no speaker's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import fft

from wavemend.training import spectra
from wavemend.training.sounds import draw_motion, gaussian, motion, place, rms, stretch
from wavemend.training.spectra import RATE, Curve, Drawn, Mono, fast

STEP = 240  # samples between the points of a course
TABLE = 2048
TOP_HZ = 20_000.0
MOST_CALLS = 60
MOST_HITS = 200
HIT_S = 0.8


def draw_calls(rng: np.random.Generator) -> dict[str, Any]:
    """A creature, a horn, a hinge: a pitch that moves, again and again."""
    call_s, pause_s = float(0.05 * 25 ** rng.random()), float(0.05 * 30 ** rng.random())
    return {
        **_draw_voice(rng, float(70 * 40 ** rng.beta(1.6, 1.6)), float(rng.uniform(0, 1.2))),
        "calls": [
            {
                "s": call_s * float(2 ** rng.uniform(-0.6, 0.6)),
                "pause_s": pause_s * float(4 ** rng.uniform(-1, 1)),
                "octaves": float(rng.normal(0, 0.12)),
                "bend": (rng.standard_normal(3) * 0.3).tolist(),
                "db": float(rng.uniform(-10, 0)),
            }
            for _ in range(MOST_CALLS)
        ],
        "attack": float(0.03 * 20 ** rng.random()),
        "decay": float(0.3 * 10 ** rng.random()),
        "glide": (rng.standard_normal(4) * rng.uniform(0, 0.7)).tolist(),
        "start_s": float(rng.uniform(0, 1)) * min(pause_s, 0.4),
    }


def draw_engine(rng: np.random.Generator) -> dict[str, Any]:
    """A machine with a pulse: motors, saws, drills, purring."""
    drawn = _draw_voice(rng, float(12 * 25 ** rng.random()), float(rng.uniform(0.2, 2.0)))
    return drawn | {
        "calls": [],
        "course": draw_motion(rng, float(rng.uniform(0, 6)), (0.4, 6.0)),
        "level": draw_motion(rng, float(rng.uniform(0, 12)), (0.3, 5.0)),
    }


def _draw_voice(rng: np.random.Generator, f0_hz: float, breath: float) -> dict[str, Any]:
    return {
        "f0_hz": f0_hz,
        "at": place(rng),
        "tilt": float(rng.uniform(0.1, 1.8)),
        "phases": float(rng.random()),
        "seed": int(rng.integers(2**32)),
        "tremble_hz": float(4 * 8 ** rng.random()),
        "tremble": float(rng.uniform(0, 0.06)) if rng.random() < 0.5 else 0.0,
        "rough_hz": float(25 * 6 ** rng.random()),
        "rough": float(rng.uniform(0.2, 1.0)) if rng.random() < 0.4 else 0.0,
        "breath_db": float(-30 + 30 * min(breath, 1.0) * rng.random()),
        "breath_slope_db": float(rng.uniform(-6, 2)),
        "from": _draw_resonances(rng),
        "to": _draw_resonances(rng) if rng.random() < 0.6 else None,
    }


def _draw_resonances(rng: np.random.Generator) -> list[dict[str, Any]]:
    peaks = [
        {
            "shape": "peak",
            "hz": float(250 * 30 ** rng.random()),
            "octaves": float(rng.uniform(0.1, 0.6)),
            "db": float(rng.uniform(6, 28)),
        }
        for _ in range(int(rng.integers(1, 5)))
    ]
    return [*peaks, *spectra.draw_curve(rng, 12.0, 2)]


def voiced(drawn: Drawn, samples: int) -> Mono:
    """Calls, or an engine: a source with a pitch through resonances that move, (samples,)."""
    points = samples // STEP + 2
    octaves, level, along = _calls(drawn, points) if drawn["calls"] else _running(drawn, points)
    time = np.arange(points) * (STEP / RATE)
    octaves = octaves + drawn["tremble"] * np.sin(2 * np.pi * drawn["tremble_hz"] * time)
    pitch = stretch(drawn["f0_hz"] * 2**octaves, samples, STEP)
    table = _table(drawn, float(pitch.max()))
    turns = np.cumsum(pitch, dtype=np.float64) / RATE + drawn["phases"]
    source = table[((turns % 1.0) * TABLE).astype(np.int32)]
    breath = gaussian(drawn["at"], samples, _slope(drawn["breath_slope_db"]))
    source = source + breath * np.float32(10 ** (drawn["breath_db"] / 20)) / rms(breath)
    if drawn["rough"]:
        waves = np.sin(
            2 * np.pi * drawn["rough_hz"] * np.arange(samples, dtype=np.float32) / np.float32(RATE)
        )
        source *= 1 - np.float32(drawn["rough"]) * (np.float32(0.5) + np.float32(0.5) * waves)
    source *= stretch(level, samples, STEP)
    size = fast(samples)
    bins = fft.rfft(source, size)
    out = spectra.back(bins * spectra.gains(spectra.curve_of(drawn["from"]), size), size)[:samples]
    if drawn["to"]:
        share = stretch(along, samples, STEP)
        later = spectra.back(bins * spectra.gains(spectra.curve_of(drawn["to"]), size), size)[:samples]
        out = out + share * (later / rms(later) * rms(out) - out)
    return np.asarray(out, np.float32)


def _slope(slope_db: float) -> Curve:
    return np.asarray(slope_db * np.log2(np.maximum(spectra.GRID_HZ, 40) / 1000))


def _table(drawn: Drawn, highest_hz: float) -> Mono:
    """One period with all harmonics below TOP_HZ, RMS 1."""
    rng = np.random.default_rng(drawn["seed"])
    count = int(np.clip(TOP_HZ / highest_hz, 1, TABLE // 4))
    k = np.arange(1, count + 1)
    bins = np.zeros(TABLE // 2 + 1, np.complex64)
    bins[1 : count + 1] = (
        k ** -drawn["tilt"] * rng.uniform(0.2, 1.0, count) * np.exp(2j * np.pi * rng.random(count))
    )
    period = fft.irfft(bins, TABLE)
    return np.asarray(period / rms(period), np.float32)


def _calls(drawn: Drawn, points: int) -> tuple[Curve, Curve, Curve]:
    """Pitch in octaves, level and place between the resonances, at the points of the courses."""
    octaves, level, along = np.zeros((3, points))
    at = int(drawn["start_s"] * RATE / STEP)
    while at < points:
        before = at
        for call in drawn["calls"]:
            count = max(int(call["s"] * RATE / STEP), 3)
            here = slice(at, min(at + count, points))
            part = np.linspace(0, 1, count)[: here.stop - here.start]
            bend = np.interp(part, (0, 1 / 3, 2 / 3, 1), np.add(drawn["glide"], [*call["bend"], 0.0]))
            octaves[here] = call["octaves"] + bend
            swell = np.minimum(part / drawn["attack"], 1) * (1 - part) ** drawn["decay"]
            level[here] = swell * 10 ** (call["db"] / 20)
            along[here] = part
            at += count + int(call["pause_s"] * RATE / STEP)
            if at >= points:
                break
        if at == before:
            break
    return octaves, level, along


def _running(drawn: Drawn, points: int) -> tuple[Curve, Curve, Curve]:
    """The same of what runs all the time."""
    samples = points * STEP
    course, level = (
        motion(drawn[name], samples)[::STEP][:points].astype(np.float64) for name in ("course", "level")
    )
    octaves = np.log2(course)
    return octaves, level, np.clip(0.5 + octaves, 0, 1)


def draw_hits(rng: np.random.Generator) -> dict[str, Any]:
    """Things that are struck, dropped or typed on: resonances that die away, and rustle."""
    per_s = float(0.6 * 25 ** rng.random())
    regular = rng.random() < 0.3
    gaps = np.full(MOST_HITS, 1.0) if regular else rng.exponential(1.0, MOST_HITS)
    modes = int(rng.integers(1, 13))
    hz = np.sort(90 * 120 ** rng.random(modes))
    return {
        "at": place(rng),
        "gaps_s": (gaps * 2 ** rng.normal(0, 0.1, MOST_HITS) / per_s).tolist(),
        "db": (-rng.uniform(0, 20) * rng.random(MOST_HITS)).tolist(),
        "modes": [
            {
                "hz": float(one),
                "ms": float(min(3 * 150 ** rng.random() * (500 / one) ** 0.3, 500)),
                "size": float(rng.uniform(0.1, 1)),
                "phase": float(rng.uniform(0, 2 * np.pi)),
            }
            for one in hz
        ],
        "burst_ms": float(1 * 120 ** rng.random()),
        "burst_db": float(rng.uniform(-25, 15)),
        "curve": spectra.draw_curve(rng, 15.0),
        "start_s": float(rng.uniform(0, 0.4)),
    }


def hits(drawn: Drawn, samples: int) -> Mono:
    """The same blow at many times, with other force, (samples,)."""
    count = int(HIT_S * RATE)
    time = np.arange(count, dtype=np.float32) / np.float32(RATE)
    blow = np.zeros(count, np.float32)
    for mode in drawn["modes"]:
        turns = 2 * np.pi * mode["hz"] * time + mode["phase"]
        blow += np.float32(mode["size"]) * np.sin(turns) * np.exp(-time * np.float32(1000 / mode["ms"]))
    rustle = gaussian(drawn["at"], count, spectra.curve_of(drawn["curve"]))
    rustle = rustle * np.exp(-time * np.float32(1000 / drawn["burst_ms"]))
    blow = blow / rms(blow) + rustle / rms(rustle) * np.float32(10 ** (drawn["burst_db"] / 20))
    out = np.zeros(samples, np.float32)
    at_s = drawn["start_s"]
    for gap_s, db in zip(drawn["gaps_s"], drawn["db"], strict=True):
        at = int(at_s * RATE)
        if at >= samples:
            break
        out[at : at + count] += blow[: samples - at] * np.float32(10 ** (db / 20))
        at_s += gap_s
    return out


KINDS: Mapping[str, tuple[Callable[[np.random.Generator], dict[str, Any]], Callable[[Drawn, int], Mono]]] = {
    "calls": (draw_calls, voiced),
    "engine": (draw_engine, voiced),
    "hits": (draw_hits, hits),
}
"""How each kind is drawn, and rendered as (samples,) at any level."""
