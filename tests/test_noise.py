"""The search for broadband noise: what it measures, what it finds, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contract
from wavemend.core.noise import BANDS_HZ, NOISE_SPREAD_DB, PatchMeter, shape_at
from wavemend.core.types import Finding, Format, Samples
from wavemend.damage import damages

NOISE = damages["noise"]
MONO = Format(48_000, 1)
MID = [k for k, hz in enumerate(BANDS_HZ) if 1900 < hz < 15_000]


def speech_like(format: Format, seconds: float, seed: int = 2) -> Samples:
    """Syllables: gliding harmonics and hissed onsets under a low-pass, with pauses between."""
    rng = np.random.default_rng(seed)
    count = round(seconds * format.sample_rate)
    out, start = np.zeros(count), 0
    while start < count:
        length = min(round(rng.uniform(0.1, 0.3) * format.sample_rate), count - start)
        time = np.arange(length) / format.sample_rate
        pitch = rng.uniform(100, 200) * (1 - 0.3 * time)
        phase = 2 * np.pi * np.cumsum(pitch) / format.sample_rate
        voice = sum(np.sin(k * phase) / k for k in range(1, 18))
        hiss = rng.standard_normal(length) * np.exp(-time / 0.02)
        out[start : start + length] = (voice + hiss) * np.sin(np.pi * np.arange(length) / length) ** 0.5
        start += length + round(rng.choice((0.02, 0.1, 0.4)) * format.sample_rate)
    return np.tile((0.1 * out).astype(np.float32), (format.channels, 1))


def sure(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.confidence >= 0.5]


def music(seconds: float, format: Format = MONO) -> Samples:
    return contract.music(format, round(seconds * format.sample_rate))


@settings(max_examples=15, deadline=None)
@given(snr_db=st.floats(-5, 40), slope=st.sampled_from((-6.0, -3.0, 0.0, 3.0)), channels=st.integers(1, 3))
def test_the_noise_is_as_loud_as_was_asked_for(snr_db: float, slope: float, channels: int) -> None:
    format = Format(16_000, channels)
    clean = contract.music(format, 16_000)
    noisy, truth = NOISE.simulate(clean, format, 1, snr_db=snr_db, slope_db_per_octave=slope)
    noise = noisy.astype(np.float64) - clean
    assert 10 * np.log10(np.mean(clean.astype(np.float64) ** 2) / np.mean(noise**2)) == pytest.approx(
        snr_db, abs=0.05
    )
    assert truth[0].measures["snr_db"] == snr_db
    for a in range(channels):
        for b in range(a):
            assert abs(np.corrcoef(noise[a], noise[b])[0, 1]) < 0.3


def test_slope_and_limits_of_the_noise() -> None:
    clean = music(5.0)
    noisy, _ = NOISE.simulate(
        clean, MONO, 3, snr_db=0.0, slope_db_per_octave=-3.0, low_hz=200.0, high_hz=9000.0, wander_db=0.0
    )
    power = np.abs(np.fft.rfft(noisy[0].astype(np.float64) - clean[0])) ** 2
    hz = np.fft.rfftfreq(clean.shape[1], 1 / 48_000)

    def level(low: float, high: float) -> float:
        return float(10 * np.log10(power[(hz >= low) & (hz < high)].mean()))

    assert level(490, 510) - level(3900, 4100) == pytest.approx(9.0, abs=0.7)
    assert level(20, 180) < level(220, 300) - 40
    assert level(9100, 20_000) < level(8000, 8900) - 40


def test_patches_tell_noise_from_tones() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(96_000) / 48_000
    given = np.stack([0.01 * rng.standard_normal(96_000), 0.5 * np.sin(2 * np.pi * 1000 * time)])
    meter = PatchMeter(Format(48_000, 2))
    patches = [*meter.push(given.astype(np.float32)), *meter.flush()]
    level = np.concatenate([p.level_db for p in patches], axis=1)
    spread = np.concatenate([p.spread_db for p in patches], axis=1)
    kilohertz = [index for index, _, _ in meter.bands].index(15)
    assert 10 * np.log10(np.mean(10 ** (level[0] / 10))) == pytest.approx(
        10 * np.log10(1e-4 / 24_000), abs=0.2
    )
    assert spread[0].mean() == pytest.approx(NOISE_SPREAD_DB, abs=0.05)
    assert spread[1, :, kilohertz].max() < 0.3


def test_a_floor_between_its_bands() -> None:
    levels = np.linspace(-100, -60, len(BANDS_HZ))
    assert shape_at(levels, BANDS_HZ) == pytest.approx(levels)
    between = shape_at(np.stack([levels, levels - 5]), np.sqrt(BANDS_HZ[3] * BANDS_HZ[4]))
    assert between == pytest.approx([(levels[3] + levels[4]) / 2, (levels[3] + levels[4]) / 2 - 5])
    assert shape_at(levels, [0.0, 1e6]) == pytest.approx([-100, -60])


@pytest.mark.parametrize("slope", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("snr_db", [5.0, 15.0])
@pytest.mark.parametrize("sound", ["music", "speech"])
def test_the_floor_is_measured(sound: str, snr_db: float, slope: float) -> None:
    clean = music(5.0) if sound == "music" else speech_like(MONO, 8.0)
    noisy, _ = NOISE.simulate(clean, MONO, 5, snr_db=snr_db, slope_db_per_octave=slope, wander_db=0.0)
    (found,) = sure(NOISE.detect(noisy, MONO))
    power = np.abs(np.fft.rfft(noisy[0].astype(np.float64) - clean[0])) ** 2 * 2 / clean.shape[1] / 48_000
    hz = np.fft.rfftfreq(clean.shape[1], 1 / 48_000)
    shape = found.measures["floor_db_per_hz"]
    assert isinstance(shape, tuple) and len(shape) == len(BANDS_HZ)
    over = []
    for k in MID:
        within = (hz >= BANDS_HZ[k] * 10**-0.05) & (hz < BANDS_HZ[k] * 10**0.05)
        over.append(shape[k] - 10 * np.log10(power[within].mean()))
    assert max(over) < 1.0  # rather too low than too high
    assert -2.0 < np.median(over) < 0.5
    assert found.region.start == 0 and found.region.stop == clean.shape[1]


@pytest.mark.parametrize("format", [Format(8_000, 1), Format(16_000, 2), Format(44_100, 1)])
def test_found_at_any_rate(format: Format) -> None:
    clean = contract.music(format, 4 * format.sample_rate)
    noisy, _ = NOISE.simulate(clean, format, 4, snr_db=12.0)
    assert [f.region.channels for f in sure(NOISE.detect(noisy, format))] == [
        (c,) for c in range(format.channels)
    ]
    assert not NOISE.detect(clean, format)


def test_what_is_clean_is_left_alone() -> None:
    rng = np.random.default_rng(8)
    time = np.arange(8 * 48_000) / 48_000
    strokes = np.exp(-(time % 0.5) / 0.15) * rng.standard_normal(len(time)) * 0.2
    swells = (1 + 0.9 * np.sin(2 * np.pi * time / 3)) * rng.standard_normal(len(time)) * 0.1
    room = speech_like(MONO, 8.0) + 1e-4 * rng.standard_normal(8 * 48_000).astype(np.float32)
    for clean in (music(5.0), speech_like(MONO, 8.0), room, strokes[np.newaxis], swells[np.newaxis]):
        assert not sure(NOISE.detect(clean.astype(np.float32), MONO))


def test_noise_in_one_channel_is_found_there() -> None:
    format = Format(48_000, 2)
    clean = contract.music(format, 4 * 48_000)
    noisy = clean.copy()
    noisy[1] = NOISE.simulate(clean[1:], MONO, 2, snr_db=15.0)[0]
    assert [f.region.channels for f in sure(NOISE.detect(noisy, format))] == [(1,)]


def test_noise_that_begins_half_way_is_found_there() -> None:
    format = Format(8_000, 1)
    clean = speech_like(format, 240.0)
    half = clean.shape[1] // 2
    noisy = clean.copy()
    noisy[:, half:] = NOISE.simulate(clean[:, half:], format, 2, snr_db=10.0)[0]
    (found,) = sure(NOISE.detect(noisy, format))
    assert abs(found.region.start - half) < 20 * 8_000
    assert found.region.stop == clean.shape[1]


def test_silence_and_nothing() -> None:
    for length in (0, 10, 50_000, 200_000):
        assert NOISE.detect(np.zeros((2, length), np.float32), Format(48_000, 2)) == ()
