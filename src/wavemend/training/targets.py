"""The wanted sound of a scene: clips joined to speech and to music, coloured, in rooms.

A target is made of layers. A layer is a line of clips, played at one speed, with one
colour, one band limit and one room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import fft

from wavemend.training import rooms, spectra
from wavemend.training.spectra import RATE, Drawn, Mono, fast
from wavemend.training.stock import Bank, Clip, Shelf, shelf

BEFORE, AFTER = RATE // 12, RATE // 100  # rendered and dropped: what runs around transforms
FADE = 240
MOST_CLIPS = 24
FLAT_DB = 25.0  # a passage is not lifted further over its clip's level
RESPONSE_S = 1.5
DECAYED_HZ, KNOWN_HZ = 15_000.0, 20_000.0
SILENT = 1e-4  # -80 dB re the active level


def room_for(samples: int) -> int:
    """The size of the transform that a scene is rendered in."""
    return fast(samples + BEFORE + AFTER)


def draw_speed(rng: np.random.Generator, low: float, high: float, samples: int) -> int:
    """How many samples are played in the time of a scene, at a speed drawn."""
    return fast(round(room_for(samples) * low * (high / low) ** rng.random()))


def speech_line(lines: Shelf, rng: np.random.Generator, length: int) -> list[dict[str, Any]]:
    """Sentences and words of one speaker, one time in eight of two, with pauses between them."""
    speakers = [lines.group(rng) for _ in range(2 if rng.random() < 0.125 else 1)]
    level = lines.clips[speakers[0][0]].level_dbfs
    line: list[dict[str, Any]] = []
    at = int(rng.uniform(0, 0.5) * RATE)
    while at < length - RATE // 5 and len(line) < MOST_CLIPS:
        which = int(rng.integers(len(speakers)))
        own = speakers[which]
        index = int(own[rng.integers(len(own))])
        clip = lines.clips[index]
        start = 0
        if clip.length > length - at and rng.random() < 0.7:
            start = int(rng.integers(clip.length - (length - at) + 1))
            if not line:
                at, start = 0, min(start, clip.length - length) if clip.length > length else 0
        count = min(clip.length - start, length - at)
        gain = float(np.clip(level - clip.level_dbfs, -15, 15) + rng.uniform(-6, 3)) if which else 0.0
        line.append({"clip": index, "start": start, "length": count, "at": at, "gain_db": gain, "fade": FADE})
        at += count + int(_pause_s(rng) * RATE)
    return line


def _pause_s(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.3, 1.6)) if rng.random() < 0.15 else float(min(rng.exponential(0.2), 0.8))


def music_line(pieces: Shelf, rng: np.random.Generator, length: int) -> list[dict[str, Any]]:
    """An excerpt of a long recording, or a phrase of notes and hits."""
    own = pieces.group(rng)
    sizes = np.cumsum([pieces.clips[i].length for i in own])
    index = int(own[np.searchsorted(sizes, rng.random() * sizes[-1], side="right")])
    clip = pieces.clips[index]
    if clip.length >= 0.9 * length and "note" not in clip.tags.split():
        start = int(rng.integers(max(clip.length - length, 0) + 1))
        count = min(length, clip.length)
        return [{"clip": index, "start": start, "length": count, "at": 0, "gain_db": 0.0, "fade": FADE}]
    players = [own, *(pieces.group(rng) for _ in range(int(rng.choice((0, 1, 2), p=(0.7, 0.2, 0.1)))))]
    line: list[dict[str, Any]] = []
    every_s = 0.08 * 15 ** rng.random()
    hold_s = every_s * 6 ** rng.random() + 0.15
    at = int(rng.uniform(0, 0.4) * RATE)
    while at < length - RATE // 20 and len(line) < MOST_CLIPS:
        player = players[int(rng.integers(len(players)))]
        index = int(player[rng.integers(len(player))])
        clip = pieces.clips[index]
        note = "note" in clip.tags.split()
        start = 0 if note else int(rng.integers(max(clip.length - length, 0) + 1))
        cut = int(RATE * hold_s * rng.uniform(0.5, 1.5)) + RATE // 10 if rng.random() < 0.7 else clip.length
        count = min(clip.length - start, length - at, cut)
        level = float(np.clip(-25 - clip.level_dbfs, -18, 18)) * 0.7
        line.append(
            {
                "clip": index,
                "start": start,
                "length": count,
                "at": at,
                "gain_db": level + float(rng.uniform(-10, 0)),
                "fade": 48 if start == 0 else FADE,
            }
        )
        at += int(every_s * rng.choice((0.5, 1, 1, 2)) * rng.uniform(0.9, 1.1) * RATE)
    return line


def draw_layer(
    bank: Bank,
    role: str,
    split: str,
    rng: np.random.Generator,
    samples: int,
    shares: Drawn,
    kind: str = "",
) -> dict[str, Any]:
    """One layer; `shares` holds how often there is an eq, a limit, a room and a change of speed.

    A `kind` narrows what it is made of (training.stock).
    """
    speech = role == "speech"
    pieces = shelf(bank, role, split, kind)
    low, high = (0.94, 1.06) if speech else (0.85, 1.18)
    changed = rng.random() < shares["speed"] * (0.5 if speech else 1.0)
    length = draw_speed(rng, low, high, samples) if changed else room_for(samples)
    line = (speech_line if speech else music_line)(pieces, rng, length)
    notes = not speech and len(line) > 1
    room: dict[str, Any] | None = None
    if rng.random() < shares["room"] * (1.0 if speech else 0.4 if notes else 0.0):
        room = _draw_room(bank, split, rng)
    limit = spectra.draw_limit(rng) if rng.random() < shares["limit"] else None
    band_hz = min((_band_hz(pieces.clips[one["clip"]]) for one in line), default=RATE / 2)
    band_hz = min(band_hz * length / room_for(samples), RATE / 2)
    return {
        "role": role,
        "length": length,
        "line": line,
        "curve": spectra.draw_curve(rng, 6.0) if rng.random() < shares["eq"] else [],
        "limit": limit,
        "room": room,
        "file_hz": band_hz,
        "loudest_dbfs": max((pieces.clips[o["clip"]].level_dbfs + o["gain_db"] for o in line), default=-20.0),
    }


def _band_hz(clip: Clip) -> float:
    """Up to where a clip is true. A dull note has decayed above its bandwidth, which is not an unknown."""
    if "note" in clip.tags.split() and clip.bandwidth_hz < DECAYED_HZ:
        return KNOWN_HZ
    return min(clip.bandwidth_hz, RATE / 2)


def _draw_room(bank: Bank, split: str, rng: np.random.Generator) -> dict[str, Any]:
    halls = bank.entries("rir", split)
    if halls and rng.random() < 0.2:
        return {"clip": int(rng.integers(len(halls)))}
    return rooms.draw(rng)


def render_line(bank: Bank, clips: Sequence[Any], line: Sequence[Drawn], length: int) -> Mono:
    """The clips of a line in their places, faded where they are cut."""
    out = np.zeros(length, np.float32)
    for one in line:
        count, at = one["length"], one["at"]
        sound = bank.read(clips[one["clip"]], one["start"], count) * np.float32(10 ** (one["gain_db"] / 20))
        fade = min(one["fade"], count // 2)
        ramp = (np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(max(fade, 1))
        if at > 0 and fade:
            sound[:fade] *= ramp
        if at + count < length and fade:
            last = min(5 * fade, count // 2) if one["start"] + count < clips[one["clip"]].length else fade
            sound[count - last :] *= np.linspace(1, 0, last, dtype=np.float32)
        out[at : at + count] += sound
    return out


def render_layer(bank: Bank, split: str, drawn: Drawn, samples: int) -> Mono:
    """A layer, (samples,), with an active level of 1, or less where a passage is very quiet."""
    size = room_for(samples)
    sound = render_line(bank, bank.entries(drawn["role"], split), drawn["line"], drawn["length"])
    if drawn["length"] != size or drawn["curve"] or drawn["limit"] or drawn["room"]:
        bins = spectra.spectrum(sound, size)
        if drawn["curve"] or drawn["limit"]:
            curve = spectra.curve_of(drawn["curve"])
            if drawn["limit"]:
                curve = curve + spectra.limit_of(drawn["limit"])
            bins *= spectra.gains(curve, size)
        if drawn["room"]:
            bins *= fft.rfft(_response(bank, split, drawn["room"]), size)
        sound = spectra.back(bins, size)
    sound = sound[BEFORE : BEFORE + samples]
    gain = min(1 / max(active_level(sound), 1e-6), 10 ** ((FLAT_DB - drawn["loudest_dbfs"]) / 20))
    return np.asarray(sound * np.float32(gain))


def _response(bank: Bank, split: str, drawn: Drawn) -> Mono:
    if "clip" not in drawn:
        return rooms.response(drawn)
    hall = bank.entries("rir", split)[drawn["clip"]]
    sound = bank.read(hall, 0, min(hall.length, int(RESPONSE_S * RATE)))
    return np.asarray(sound / max(float(np.sqrt(np.dot(sound, sound))), 1e-9))


def active_level(sound: Mono) -> float:
    """The root mean square of the frames of 20 ms that are not pauses: within 30 dB of loud ones."""
    power = _powers(sound, RATE // 50)
    active = power > 1e-3 * np.quantile(power, 0.95)
    return float(np.sqrt(np.mean(power[active]))) if active.any() else 0.0


def _powers(sound: Mono, frame: int) -> Mono:
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    return np.asarray(np.einsum("ij,ij->i", frames, frames) / np.float32(frame))


def silent_frames(sound: Mono, level: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which frames of 10 ms hold nothing: no sample within 80 dB of the level."""
    frame = RATE // 100
    peaks = np.abs(sound[: len(sound) // frame * frame]).reshape(-1, frame).max(axis=1)
    return np.asarray(peaks < SILENT * level)
