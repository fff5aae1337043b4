"""What is unwanted in a scene, one to three at once: recorded noises, voices, and those that are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wavemend.training import events, sounds, spectra
from wavemend.training.spectra import RATE, Drawn, Mono, fast
from wavemend.training.stock import Bank, choose, shelf
from wavemend.training.targets import BEFORE, draw_speed, music_line, render_line, room_for, speech_line

OVERLAP = RATE // 20
RECORDED = ("real", "steady", "rough", "event")
MADE = {**sounds.KINDS, **events.KINDS}
STOLEN = {"babble": "speech", "music": "music"}  # unwanted sound that is wanted elsewhere
MOST_REPEATS = 40


def draw(
    bank: Bank, split: str, rng: np.random.Generator, samples: int, weights: Mapping[str, float], eq: float
) -> list[dict[str, Any]]:
    """One to three noises; the first is the loudest. `eq` is the share of recorded ones that are coloured."""
    possible = {
        name: weight
        for name, weight in weights.items()
        if weight > 0
        and not (name in RECORDED and not shelf(bank, "noise", split, name))
        and not (name in STOLEN and not shelf(bank, STOLEN[name], split))
    }
    drawn = []
    for place in range(int(rng.choice((1, 2, 3), p=(0.55, 0.32, 0.13)))):
        if not possible:
            break
        kind = choose(possible, rng)
        if kind in (*STOLEN, "digital"):
            possible.pop(kind)
        level_db = float(rng.uniform(-18, 0)) if place else 0.0
        drawn.append({"kind": kind, "level_db": level_db, **_draw_one(kind, bank, split, rng, samples, eq)})
    if len(drawn) == 1 and drawn[0]["kind"] in ("hum", "gusts"):  # low sounds do not come without any hiss
        drawn.append(
            {"kind": "hiss", "level_db": float(rng.uniform(-25, -5)), "sound": sounds.draw_hiss(rng)}
        )
    return drawn


def _draw_one(
    kind: str, bank: Bank, split: str, rng: np.random.Generator, samples: int, eq: float
) -> dict[str, Any]:
    if kind in RECORDED:
        return _draw_recorded(kind, bank, split, rng, samples, eq)
    if kind == "babble":
        length = room_for(samples)
        voices = shelf(bank, "speech", split)
        return {
            "voices": [
                {"line": speech_line(voices, rng, length), "db": float(rng.uniform(-8, 0))}
                for _ in range(int(rng.integers(4, 11)))
            ],
            "length": length,
            "curve": spectra.draw_curve(rng, 8.0),
        }
    if kind == "music":
        length = draw_speed(rng, 0.5, 1.8, samples) if rng.random() < 0.7 else room_for(samples)
        return {
            "line": music_line(shelf(bank, "music", split), rng, length),
            "length": length,
            "curve": spectra.draw_curve(rng, 10.0) if rng.random() < eq else [],
        }
    if kind == "digital":
        return {"dither": bool(rng.random() < 0.6), "seed": int(rng.integers(2**32))}
    return {"sound": MADE[kind][0](rng)}


def _draw_recorded(
    kind: str, bank: Bank, split: str, rng: np.random.Generator, samples: int, eq: float
) -> dict[str, Any]:
    found = shelf(bank, "noise", split, kind)
    own = found.group(rng)
    index = int(own[rng.integers(len(own))])
    slow, quick = (0.35, 2.8) if kind == "event" else (0.5, 1.8)
    length = draw_speed(rng, slow, quick, samples) if rng.random() < 0.7 else room_for(samples)
    clip = found.clips[index]
    event = "event" in clip.tags.split()
    line: list[dict[str, Any]] = []
    at = 0
    start = int(rng.integers(max(clip.length - length, clip.length // 2, 0) + 1))
    while at < length and len(line) < MOST_REPEATS:
        count = min(clip.length - start, length - at)
        if count > 0:
            gain_db = float(rng.uniform(-9, 0)) if event else 0.0
            line.append(
                {
                    "clip": index,
                    "start": start,
                    "length": count,
                    "at": at,
                    "gain_db": gain_db,
                    "fade": OVERLAP,
                }
            )
            at += max(count - OVERLAP, count // 2, 1)
        if event and rng.random() < 0.5:
            at += int(rng.exponential(0.4) * RATE)
        if kind == "event" and rng.random() < 0.5:
            index = int(own[rng.integers(len(own))])
            clip = found.clips[index]
        start = 0
    return {
        "line": line,
        "length": length,
        "curve": spectra.draw_curve(rng, 10.0) if rng.random() < eq else [],
        "motion": sounds.draw_motion(rng, float(rng.uniform(2, 12)), (1.0, 10.0))
        if rng.random() < 0.3
        else None,
    }


def render(
    bank: Bank, split: str, drawn: list[Drawn], target: Mono, gain: float, limit: Drawn | None
) -> Mono:
    """The sum of noises, (samples,), with an RMS of `gain`; `limit` is a band limit that is put over it."""
    total = np.zeros(len(target), np.float32)
    for one in drawn:
        noise = _render_one(bank, split, one, target, gain)
        total += noise * np.float32(10 ** (one["level_db"] / 20)) / sounds.rms(noise)
    if limit:
        size = fast(len(total))
        bins = spectra.spectrum(np.resize(total, size), size)
        bins *= spectra.gains(spectra.limit_of(limit), size)
        total = spectra.back(bins, size)[: len(total)]
    return np.asarray(total * (np.float32(gain) / sounds.rms(total)))


def _render_one(bank: Bank, split: str, one: Drawn, target: Mono, gain: float) -> Mono:
    kind, samples = one["kind"], len(target)
    if kind in MADE:
        return MADE[kind][1](one["sound"], samples)
    if kind == "digital":
        return _rounding(target, gain, one)
    size, length = room_for(samples), one["length"]
    if kind == "babble":
        clips = bank.entries("speech", split)
        sound = np.zeros(length, np.float32)
        for voice in one["voices"]:
            said = render_line(bank, clips, voice["line"], length)
            sound += said * np.float32(10 ** (voice["db"] / 20)) / sounds.rms(said)
    else:
        clips = bank.entries("music" if kind == "music" else "noise", split)
        sound = render_line(bank, clips, one["line"], length)
    if length != size or one["curve"]:
        bins = spectra.spectrum(sound, size)
        if one["curve"]:
            bins *= spectra.gains(spectra.curve_of(one["curve"]), size)
        sound = spectra.back(bins, size)
    sound = sound[BEFORE : BEFORE + samples]
    return sound * sounds.motion(one["motion"], samples) if one.get("motion") else sound


def _rounding(target: Mono, gain: float, one: Drawn) -> Mono:
    """The error of few bits, with steps whose noise has an RMS of about `gain`."""
    if not one["dither"]:
        step = np.float32(gain * np.sqrt(12))
        return np.asarray(np.round(target / step) * step - target)
    step = np.float32(gain * 2)
    rng = np.random.default_rng(one["seed"])
    dither = rng.random(len(target), dtype=np.float32) - rng.random(len(target), dtype=np.float32)
    return np.asarray(np.round(target / step + dither) * step - target)
