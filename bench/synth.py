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


def air(seed: int, seconds: float, rate: int = RATE_HZ) -> Array:
    """Steady noise with a slope between white and pink."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * rate)))
    shape = np.maximum(np.arange(len(spectrum)), 20.0) ** -rng.uniform(0, 0.5)
    return _levelled(np.fft.irfft(spectrum * shape, round(seconds * rate)))


def hum_left(seed: int, seconds: float, rate: int = RATE_HZ) -> Array:
    """What notches leave of hum: weak, slowly wandering harmonics of the mains to some kHz, in hiss."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    mains_hz, top_hz = rng.choice((50.0, 60.0)), rng.uniform(1000, 4000)
    wander = np.interp(np.arange(n), np.linspace(0, n, 9), rng.normal(0, 3e-4, 9))
    phase = 2 * np.pi * np.cumsum(mains_hz * (1 + wander)) / rate
    buzz = np.zeros(n)
    for h in range(1, int(min(top_hz, 0.45 * rate) / mains_hz) + 1):
        buzz += (
            rng.exponential() * h ** -rng.uniform(0.3, 0.8) * np.sin(h * phase + rng.uniform(0, 2 * np.pi))
        )
    return _levelled(_unit(air(seed + 1, seconds, rate)) + 10 ** (rng.uniform(-6, 0) / 20) * _unit(buzz))


def surface(seed: int, seconds: float, rate: int = RATE_HZ) -> Array:
    """The noise of a disc's surface: rumble, hiss between two edges, and dense small crackle of which some
    comes back with every turn; all louder and softer in the course of a turn.
    """
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    turn_s = 60 / rng.choice((100 / 3, 45.0, 78.26))
    low_hz, high_hz = rng.uniform(60, 200), rng.uniform(5000, 14000)
    hiss = _band(rng.standard_normal(n), rate, low_hz, high_hz, -rng.uniform(0.2, 0.6))
    rumble = _band(rng.standard_normal(n), rate, 8.0, rng.uniform(30, 70), -0.5)
    shares = 10 ** (rng.uniform((-3, -12, -10), (0, -4, -3)) / 20)
    noise = (
        shares[0] * _unit(hiss)
        + shares[1] * _unit(rumble)
        + shares[2] * _unit(_crackle(rng, n, rate, turn_s))
    )
    turns = np.arange(n) / rate / turn_s
    course = sum(
        rng.normal(0, 1.5 / k) * np.sin(2 * np.pi * k * turns + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3)
    )
    return _levelled(noise * 10 ** (course / 20))


def _crackle(rng: np.random.Generator, n: int, rate: int, turn_s: float) -> Array:
    """Ticks at random places, many small and few large; a tenth of them comes back with every turn."""
    count = rng.poisson(rng.uniform(400, 1500) * n / rate)
    where, size = rng.integers(0, n, count), rng.lognormal(0, 0.7, count) * rng.choice((-1, 1), count)
    turn = round(turn_s * rate)
    again = rng.random(count) < 0.1
    ticks = np.zeros(n)
    for k in range(-(-n // turn)):
        places = where[again] % turn + k * turn
        inside = places < n
        np.add.at(ticks, places[inside], size[again][inside] * rng.lognormal(0, 0.2, inside.sum()))
    np.add.at(ticks, where[~again], size[~again])
    centre_hz, decay_s = rng.uniform(2000, 6000), rng.uniform(5e-5, 2e-4)
    pole = np.exp(-1 / (decay_s * rate))
    turned = 2 * np.pi * centre_hz / rate
    return lfilter([1.0, -1.0], [1, -2 * pole * np.cos(turned), pole**2], ticks)


def _band(x: Array, rate: int, low_hz: float, high_hz: float, slope: float) -> Array:
    """With this slope (of amplitude over frequency), falling with 12 dB an octave beyond the edges."""
    hz = np.maximum(np.fft.rfftfreq(len(x), 1 / rate), 1.0)
    shape = hz**slope / (1 + (low_hz / hz) ** 2) / (1 + (hz / high_hz) ** 2)
    return np.fft.irfft(np.fft.rfft(x) * shape, len(x))


def _unit(sound: Array) -> Array:
    return sound / np.sqrt(np.mean(sound**2) + 1e-20)


def _add(sound: Array, at: float, part: Array) -> None:
    start = round(at * RATE_HZ)
    part = part[: max(len(sound) - start, 0)]
    sound[start : start + len(part)] += part


def _levelled(sound: Array) -> Array:
    return 0.5 * sound / np.abs(sound).max()
