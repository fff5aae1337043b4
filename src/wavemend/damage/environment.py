"""Noise of the surroundings: wind, traffic, rain, people; it comes and goes, and no pause shows it alone.

Made of Gaussian noise, filtered and moved as each kind is: gusts that are low and slow, vehicles that
rise and fall, drops, many voices whose formants and syllables are drawn at random. Recordings of the
real ones teach a network better, and training takes them where it has them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

Floats = npt.NDArray[np.float64]
KINDS = ("wind", "traffic", "rain", "people")
GRID_S = 0.02  # of slow courses
VOICES = 9
FORMANTS_HZ = ((300, 900), (900, 2300), (2300, 3300))
SEVERE_DB, SLIGHT_DB = 0.0, 40.0


def draw(format: Format, samples: int, rng: np.random.Generator, *, snr_db: float, kind: int) -> Drawn:
    """The kind, where none is asked for, and a seed of all its courses."""
    chosen = KINDS[int(rng.integers(len(KINDS))) if kind < 0 else kind]
    finding = Finding(
        "environment",
        Region(0, max(samples, 1)),
        severity=float(np.clip((SLIGHT_DB - snr_db) / (SLIGHT_DB - SEVERE_DB), 0.0, 1.0)),
        confidence=1.0,
        measures={"snr_db": snr_db},
    )
    return {
        "kind": chosen,
        "snr_db": snr_db,
        "seed": int(rng.integers(2**32)),
        "findings": (finding,) if samples else (),
    }


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add it, the same in all channels, so loud that the sound's power lies snr_db above it."""
    count = samples.shape[1]
    if not count:
        return samples.copy()
    rng = np.random.default_rng(drawn["seed"])
    noise = _MADE[drawn["kind"]](rng, count, format.sample_rate)
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    noise *= np.sqrt(power * 10 ** (-drawn["snr_db"] / 10) / max(float(np.mean(noise**2)), 1e-30))
    return np.asarray(samples + noise, np.float32)


def _coloured(rng: np.random.Generator, count: int, rate: int, db: dict[float, float]) -> Floats:
    """Gaussian noise with a spectrum given as dB at some frequencies, (count,)."""
    size = fft.next_fast_len(count + rate // 10, real=True)
    hz = np.maximum(np.fft.rfftfreq(size, 1 / rate), 1.0)
    curve = np.interp(np.log2(hz), np.log2(list(db)), list(db.values()))
    bins = np.fft.rfft(rng.standard_normal(size)) * 10 ** (curve / 20)
    return np.asarray(fft.irfft(bins, size)[:count])


def _course(rng: np.random.Generator, count: int, rate: int, slowest_s: float, spread_db: float) -> Floats:
    """A level that wanders within `slowest_s`, as an amplitude, (count,)."""
    seconds = count / rate
    points = rng.standard_normal(max(round(seconds / slowest_s * 4), 2) + 2)
    smooth = np.convolve(points, (0.25, 0.5, 0.25), "same") * spread_db * 1.6
    at = np.linspace(0, len(points) - 1, count)
    return np.asarray(10 ** (np.interp(at, np.arange(len(points)), smooth) / 20))


def _wind(rng: np.random.Generator, count: int, rate: int) -> Floats:
    low = _coloured(rng, count, rate, {20: 12, 100: 0, 400: -24, 2000: -50, 20_000: -80})
    high = _coloured(rng, count, rate, {20: -60, 300: -24, 1500: -20, 6000: -40, 20_000: -70})
    gusts = _course(rng, count, rate, 2.0, 7.0)
    return np.asarray(low * gusts * _course(rng, count, rate, 0.15, 3.0) + high * gusts**1.5)


def _traffic(rng: np.random.Generator, count: int, rate: int) -> Floats:
    total = _coloured(rng, count, rate, {20: 6, 80: 3, 500: -12, 2000: -24, 20_000: -60}) * 0.3
    time = np.arange(count) / rate
    for _ in range(int(rng.poisson(count / rate / 4)) + 1):
        near, width = rng.uniform(0, count / rate), rng.uniform(0.8, 3.0)
        passing = _coloured(rng, count, rate, {20: 3, 120: 4, 900: 0, 2500: -12, 20_000: -45})
        total += passing * np.exp(-(np.abs((time - near) / width) ** 1.5)) * rng.uniform(0.3, 1.0)
    return np.asarray(total)


def _rain(rng: np.random.Generator, count: int, rate: int) -> Floats:
    bed = _coloured(rng, count, rate, {20: -40, 400: -12, 3000: 0, 12_000: -4, 20_000: -14})
    drops = np.zeros(count)
    at = rng.integers(0, count, int(rng.uniform(20, 200) * count / rate))
    drops[at] = rng.exponential(1.0, len(at)) * rng.choice((-1.0, 1.0), len(at))
    size = fft.next_fast_len(count, real=True)
    hz = np.fft.rfftfreq(size, 1 / rate)
    ring = np.exp(-(((hz - 4000) / 3000) ** 2))
    drops = fft.irfft(np.fft.rfft(drops, size) * ring, size)[:count]
    return np.asarray(bed * _course(rng, count, rate, 3.0, 2.0) + drops * 12)


def _people(rng: np.random.Generator, count: int, rate: int) -> Floats:
    total = np.zeros(count)
    time = np.arange(count) / rate
    for _ in range(VOICES):
        f0 = rng.uniform(90, 240) * (1 + 0.08 * (_course(rng, count, rate, 0.6, 4.0) - 1))
        voiced = np.mod(np.cumsum(f0) / rate, 1.0) * 2 - 1 + 0.3 * rng.standard_normal(count)
        size = fft.next_fast_len(count, real=True)
        hz = np.fft.rfftfreq(size, 1 / rate)
        gain = np.full(len(hz), 0.02)
        for low, high in FORMANTS_HZ:
            middle = rng.uniform(low, high)
            gain += 100 / middle * np.exp(-(((hz - middle) / (0.12 * middle)) ** 2))
        said = fft.irfft(np.fft.rfft(voiced, size) * gain, size)[:count]
        syllables = np.maximum(np.sin(np.pi * rng.uniform(2.5, 5.0) * time + rng.uniform(0, np.pi)), 0.0)
        total += said * syllables**2 * _course(rng, count, rate, 1.0, 6.0)
    return total


_MADE = {"wind": _wind, "traffic": _traffic, "rain": _rain, "people": _people}

DAMAGE = Damage(
    name="environment",
    title="Noise of the surroundings",
    params={
        "snr_db": Param(10.0, -20.0, 60.0, "dB", "power of the sound over that of the noise"),
        "kind": Param(-1, -1, 3, "", "0 wind, 1 traffic, 2 rain, 3 people; -1 draws one", whole=True),
    },
    draw=draw,
    apply=apply,
    doc=__doc__,
)
