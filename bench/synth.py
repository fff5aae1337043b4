"""Small pieces made from a seed, so that the bench runs on a clean clone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]
RATE_HZ = 44100


def pieces(role: str, count: int, seconds: float) -> list[tuple[str, Array, int]]:
    """(name, (channels, samples), rate) of `count` pieces of a role: speech, music or noise."""
    make = {"speech": voice, "music": strings, "noise": air}[role]
    return [(f"synthesised {role} {i}", make(i, seconds)[np.newaxis], RATE_HZ) for i in range(count)]


def strings(seed: int, seconds: float) -> Array:
    """Plucked notes in a mode, three voices, each note a decaying harmonic series."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE_HZ))
    for voice_hz in (110.0, 220.0, 440.0):
        at = 0.0
        while at < seconds:
            steps = rng.choice([0, 2, 3, 5, 7, 8, 10])
            _add(sound, at, _note(rng, voice_hz * 2 ** (steps / 12), 1.6))
            at += rng.choice([0.25, 0.5, 0.75])
    return _levelled(sound + 3e-5 * rng.standard_normal(len(sound)))


def _note(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Array:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    note = np.zeros(len(t))
    for h in range(1, min(24, int(16000 / pitch_hz)) + 1):
        phase = rng.uniform(0, 2 * np.pi)
        note += np.exp(-t * (2 + 0.5 * h)) / h * np.sin(2 * np.pi * h * pitch_hz * t * (1 + 1e-4 * h) + phase)
    return note * np.minimum(1, t / 0.004) * np.minimum(1, (seconds - t) / 0.01)


def voice(seed: int, seconds: float) -> Array:
    """Pulses and noise through moving resonances, in syllables with pauses between phrases."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE_HZ))
    pitch_hz, at = rng.uniform(95, 210), 0.1
    while at < seconds - 0.5:
        for _ in range(rng.integers(3, 7)):
            length = rng.uniform(0.12, 0.3)
            _add(sound, at, _syllable(rng, pitch_hz * rng.uniform(0.85, 1.2), length))
            at += length * 0.9
        at += rng.uniform(0.2, 0.5)
    return _levelled(sound + 3e-5 * rng.standard_normal(len(sound)))


def _syllable(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Array:
    n = round(seconds * RATE_HZ)
    phase = np.cumsum(pitch_hz * (1 + 0.05 * np.linspace(1, -1, n)) / RATE_HZ)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    source = lfilter([1.0], [1.0, -0.96], pulses) + 0.01 * rng.standard_normal(n)
    for centre_hz, width_hz in zip(
        rng.uniform((300, 900, 2300), (800, 2200, 3000)), (80, 110, 160), strict=True
    ):
        pole = np.exp(-np.pi * width_hz / RATE_HZ)
        source = lfilter(
            [1 - pole], [1, -2 * pole * np.cos(2 * np.pi * centre_hz / RATE_HZ), pole**2], source
        )
    return source * np.hanning(n) ** 0.5 / (np.abs(source).max() + 1e-9)


def air(seed: int, seconds: float) -> Array:
    """Steady noise with a slope between white and pink."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * RATE_HZ)))
    shape = np.maximum(np.arange(len(spectrum)), 20.0) ** -rng.uniform(0, 0.5)
    return _levelled(np.fft.irfft(spectrum * shape, round(seconds * RATE_HZ)))


def _add(sound: Array, at: float, part: Array) -> None:
    start = round(at * RATE_HZ)
    part = part[: max(len(sound) - start, 0)]
    sound[start : start + len(part)] += part


def _levelled(sound: Array) -> Array:
    return 0.5 * sound / np.abs(sound).max()
