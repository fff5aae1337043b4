"""Synthesise a small piece for plucked strings, and age it with wavemend's own simulators.

    python examples/make_piece.py FOLDER

writes clean.wav, aged.wav (both 48 kHz, stereo, 24 bit) and truth.json, which says what
was damaged and where. The same seed gives the same bits. The music is the Minuet in G by
Christian Petzold, from Anna Magdalena Bach's notebook of 1725, played by two lutes that are
nothing but delay lines: Karplus and Strong 1983, with the tuning of Jaffe and Smith 1983.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from wavemend.core.jsonable import to_plain
from wavemend.core.types import Finding, Format, Samples
from wavemend.damage import damages

Sound = npt.NDArray[np.float64]

RATE = 48_000
BEAT_S = 60 / 126
BARS = 16
SECONDS = 25.0

# A note is name, octave and length in quarters; notes of a chord are joined by +.
MELODY = """
d5 1 g4 .5 a4 .5 b4 .5 c5 .5 | d5 1 g4 1 g4 1 | e5 1 c5 .5 d5 .5 e5 .5 f#5 .5 | g5 1 g4 1 g4 1 |
c5 1 d5 .5 c5 .5 b4 .5 a4 .5 | b4 1 c5 .5 b4 .5 a4 .5 g4 .5 | f#4 1 g4 .5 a4 .5 b4 .5 g4 .5 | a4 3 |
d5 1 g4 .5 a4 .5 b4 .5 c5 .5 | d5 1 g4 1 g4 1 | e5 1 c5 .5 d5 .5 e5 .5 f#5 .5 | g5 1 g4 1 g4 1 |
c5 1 d5 .5 c5 .5 b4 .5 a4 .5 | b4 1 c5 .5 b4 .5 a4 .5 g4 .5 | a4 1 b4 .5 a4 .5 g4 .5 f#4 .5 | g4 3 |
"""
BASS = """
g3+b3+d4 2 a3 1 | b3 3 | c4 3 | b3 3 | a3 3 | g3 3 | d4 1 b3 1 g3 1 | d4 1 d3 .5 c4 .5 b3 .5 a3 .5 |
b3 2 a3 1 | g3 1 b3 1 g3 1 | c4 3 | b3 1 c4 .5 b3 .5 a3 .5 g3 .5 | a3 2 f#3 1 | g3 2 b3 1 |
c4 1 d4 1 d3 1 | g2+g3+b3 3 |
"""

# A worn disc, taped beside a mains transformer, and transferred too hot: in the order in which it happens.
AGEING: tuple[tuple[str, dict[str, float]], ...] = (
    ("crackle", {}),
    ("clicks", {"rate_per_s": 2.0, "level": 10.0}),
    ("hum", {"sdr_db": 14.0}),
    ("noise", {"snr_db": 26.0, "slope_db_per_octave": -2.0}),
    ("dropouts", {"rate_per_s": 0.3, "longest_ms": 15.0}),
    ("clipping", {"sdr_db": 24.0}),
)


@dataclass(frozen=True)
class Note:
    """When it sounds, in quarters; its pitch in Hz; how hard it is struck, 0 to 1."""

    start: float
    length: float
    pitch_hz: float
    force: float


def read(score: str, force: float) -> Iterator[Note]:
    """The notes of a part; the first of a bar is struck harder, and phrases of four bars swell."""
    at = 0.0
    words = score.replace("|", " ").split()
    for names, length in zip(words[::2], words[1::2], strict=True):
        accent = 1.0 if at % 3 == 0 else 0.82 if at % 1 == 0 else 0.7
        swell = 0.85 + 0.3 * np.sin(np.pi * ((at / 12) % 1))
        for index, name in enumerate(names.split("+")):
            yield Note(at + 0.03 * index, float(length), pitch_hz(name), force * accent * swell)
        at += float(length)


def pitch_hz(name: str) -> float:
    """g4, f#5: equal temperament, a4 = 440 Hz."""
    step = {"c": -9, "d": -7, "e": -5, "f": -4, "g": -2, "a": 0, "b": 2}[name[0]] + ("#" in name)
    return float(440 * 2 ** (step / 12 + int(name[-1]) - 4))


def pluck(note: Note, seconds: float, rng: np.random.Generator) -> Sound:
    """One string: noise in a loop that is one period long and loses its highs on every round."""
    period = RATE / note.pitch_hz
    damping = 0.28 + 0.1 * (1 - note.force)
    loss = 10 ** (-3 / (note.pitch_hz * (1.6 + 500 / note.pitch_hz)))
    # a loss filter one sample late, then Lagrange interpolation between one and two samples late
    whole = int(period - 2.5)
    d = period - 1 - whole
    lagrange = [
        -(d - 1) * (d - 2) * (d - 3) / 6,
        d * (d - 2) * (d - 3) / 2,
        -d * (d - 1) * (d - 3) / 2,
        d * (d - 1) * (d - 2) / 6,
    ]
    taps = loss * np.convolve([damping / 2, 1 - damping, damping / 2], lagrange)
    total, first = round(seconds * RATE), int(period) + 8
    out = np.zeros(max(total, first))
    bright = 0.25 + 0.6 * note.force
    burst = lfilter([bright], [1, bright - 1], rng.uniform(-1, 1, first))
    burst -= np.roll(burst, first // 5)  # plucked at a fifth of the string: every fifth partial is missing
    out[:first] = burst - burst.mean()
    for start in range(first, total, whole):
        stop = min(start + whole, total)
        before = out[start - whole - len(taps) + 1 : stop - whole]
        out[start:stop] = np.convolve(before, taps, "valid")
    out = out[:total] * note.force
    attack, release = round(0.0015 * RATE), round(0.08 * RATE)
    out[:attack] *= np.linspace(0, 1, attack)
    out[-release:] *= np.linspace(1, 0, release) ** 2
    return out


def body() -> Sound:
    """The wooden box: the string itself, and a few resonances that it wakes."""
    time = np.arange(round(0.08 * RATE)) / RATE
    ring = sum(
        level * np.exp(-time * decay) * np.sin(2 * np.pi * f * time)
        for f, decay, level in (
            (108, 45, 0.020),
            (196, 60, 0.024),
            (287, 70, 0.014),
            (431, 90, 0.012),
            (690, 130, 0.010),
        )
    )
    out = np.asarray(ring)
    out[0] += 1.0
    return out


def room(rng: np.random.Generator) -> Sound:
    """A small wooden room, (2, samples): some early reflections, and noise that dies, the highs first."""
    count = round(1.3 * RATE)
    time = np.arange(count) / RATE
    out = np.zeros((2, count))
    for low, high, decay_s in ((0.0, 0.12, 1.1), (0.12, 0.4, 0.8), (0.4, 1.0, 0.45)):
        spectrum = np.fft.rfft(rng.standard_normal((2, count)), axis=1)
        share = np.linspace(0, 1, spectrum.shape[1])
        spectrum *= np.clip((share - low) / 0.03 + 0.5, 0, 1) * np.clip((high - share) / 0.03 + 0.5, 0, 1)
        out += np.fft.irfft(spectrum, count, axis=1) * 10 ** (-3 * time / decay_s)
    out *= np.clip((time - 0.012) / 0.02, 0, 1) * 0.016
    for channel in out:
        for delay in rng.uniform(0.004, 0.035, 7):
            channel[round(delay * RATE)] += rng.choice((-1, 1)) * 0.12 * (1 - delay / 0.05)
    return out


def seconds_at(beat: float) -> float:
    """When a beat falls: steady, breathing a little with each phrase, slower in the last two bars."""
    late = max(0.0, beat - 3 * (BARS - 2))
    return float(0.25 + BEAT_S * (beat + 0.12 * np.sin(2 * np.pi * beat / 12) / 2 + 0.035 * late**2))


def make_piece(seed: int = 1725) -> Samples:
    """The clean piece, (2, samples) at 48 kHz, peak 0.7."""
    rng = np.random.default_rng(seed)
    dry = np.zeros((2, round(SECONDS * RATE)))
    for part, force, pan in ((MELODY, 0.75, 0.35), (BASS, 0.62, -0.3)):
        for note in read(part, force):
            start = max(0.0, seconds_at(note.start) + rng.normal(0, 0.005))
            rings = seconds_at(note.start + note.length) - seconds_at(note.start) + 0.45
            struck = Note(note.start, note.length, note.pitch_hz, note.force * rng.uniform(0.92, 1.08))
            tone = pluck(struck, min(rings, SECONDS - start - 0.01), rng)
            side = np.pi / 4 * (1 + pan + rng.uniform(-0.05, 0.05))
            at = round(start * RATE)
            for channel, gain in zip(dry, (np.cos(side), np.sin(side)), strict=True):
                channel[at : at + len(tone)] += gain * tone
    length = dry.shape[1]
    boxed = fftconvolve(dry, body()[np.newaxis], axes=1)[:, :length]
    wet = boxed + fftconvolve(boxed[::-1] * 0.3 + boxed * 0.7, room(rng), axes=1)[:, :length]
    wet = sosfilt(butter(2, 55, "highpass", fs=RATE, output="sos"), wet, axis=1)
    fade = round(0.5 * RATE)
    wet[:, -fade:] *= np.cos(np.linspace(0, np.pi / 2, fade)) ** 2
    wet += 2e-5 * rng.standard_normal(wet.shape)  # the quiet of a good room
    return np.asarray(0.7 * wet / np.abs(wet).max(), np.float32)


def age(clean: Samples, seed: int = 78) -> tuple[Samples, list[dict[str, Any]]]:
    """The piece as an old copy of it sounds, and the truth: each kind with its options and findings."""
    format = Format(RATE, len(clean))
    aged, truth = clean, []
    for place, (kind, options) in enumerate(AGEING):
        findings: tuple[Finding, ...]
        aged, findings = damages[kind].simulate(aged, format, seed + place, **options)
        truth.append({"damage": kind, "options": options, "findings": to_plain(findings)})
    return aged, truth


def main(folder: Path) -> None:
    """Write clean.wav, aged.wav and truth.json."""
    folder.mkdir(parents=True, exist_ok=True)
    clean = make_piece()
    aged, truth = age(clean)
    gain = np.float32(min(1.0, 0.98 / float(np.abs(aged).max())))  # one gain for both keeps them comparable
    for name, sound in (("clean", clean), ("aged", aged)):
        soundfile.write(folder / f"{name}.wav", (sound * gain).T, RATE, subtype="PCM_24")
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
