"""Speed sways as far and as often as asked, along one time for all channels, from end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from wavemend.core.types import Finding, Format, Region
from wavemend.damage import wow
from wavemend.damage.wow import DAMAGE
from wavemend.restoration.plan import make_plan

NEUTRAL = {"wow_percent": 0.0, "flutter_percent": 0.0, "drift_percent": 0.0}
FORMAT = Format(16_000, 1)


def sine(format: Format, samples: int, hz: float) -> np.ndarray:
    tone = 0.5 * np.sin(2 * np.pi * hz / format.sample_rate * np.arange(samples))
    return np.tile(tone.astype(np.float32), (format.channels, 1))


def speed(sound: np.ndarray, format: Format, hz: float) -> np.ndarray:
    """Momentary frequency of a sine over `hz`, a twentieth of a second at either end left out."""
    turns = np.unwrap(np.angle(signal.hilbert(sound.astype(np.float64)))) / 2 / np.pi
    edge = format.sample_rate // 20
    return (np.diff(turns) * format.sample_rate / hz)[edge:-edge]


def strongest_hz(course: np.ndarray, format: Format) -> float:
    """How often the speed sways."""
    spectrum = np.abs(np.fft.rfft(course * np.hanning(len(course))))
    return float(np.argmax(spectrum) * format.sample_rate / len(course))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from((8_000, 22_050, 44_100, 96_000)),
    st.integers(1, 3),
    st.one_of(st.integers(0, 3), st.integers(4, 40_000)),
    st.integers(0, 1000),
    st.floats(0.0, 3.0),
    st.floats(0.0, 2.0),
)
def test_same_seed_same_bits_and_the_truth(
    rate: int, channels: int, samples: int, seed: int, percent: float, other: float
) -> None:
    format = Format(rate, channels)
    clean = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)
    options = {"wow_percent": percent, "flutter_percent": other, "drift_percent": other}
    once, truth = DAMAGE.simulate(clean, format, seed, **options)
    again, same = DAMAGE.simulate(clean, format, seed, **options)
    assert np.array_equal(once, again) and truth == same
    assert once.shape == clean.shape and once.dtype == np.float32 and np.isfinite(once).all()
    if samples and percent + other:
        (finding,) = truth
        assert (finding.damage, finding.region) == ("wow", Region(0, samples))
        assert finding.measures["wow_percent"] == percent and finding.measures["drift_percent"] == other
    else:
        assert truth == () and np.array_equal(once, clean)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 3.0), st.floats(1.0, 6.0))
def test_a_sine_sways_as_far_as_drawn(seed: int, percent: float, hz: float) -> None:
    """In half a minute the swinging depth has come near its most; it is never passed."""
    format = Format(8_000, 1)
    options = {**NEUTRAL, "wow_percent": percent, "wow_hz": hz}
    swayed, _ = DAMAGE.simulate(sine(format, 30 * 8_000, 1000), format, seed, **options)
    course = 100 * (speed(swayed[0], format, 1000) - 1)
    assert course.max() == pytest.approx(percent, rel=0.1, abs=0.02)
    assert course.min() == pytest.approx(-percent, rel=0.1, abs=0.02)
    assert strongest_hz(course, format) == pytest.approx(hz, abs=0.06)


@pytest.mark.parametrize("hz", [6.0, 25.0, 100.0])
def test_flutter_is_as_quick_as_drawn(hz: float) -> None:
    options = {**NEUTRAL, "flutter_percent": 0.5, "flutter_hz": hz}
    swayed, _ = DAMAGE.simulate(sine(FORMAT, 10 * 16_000, 2000), FORMAT, 3, **options)
    course = 100 * (speed(swayed[0], FORMAT, 2000) - 1)
    assert np.abs(course).max() == pytest.approx(0.5, rel=0.1)
    assert strongest_hz(course, FORMAT) == pytest.approx(hz, abs=0.2)


def test_drift_is_slow() -> None:
    format = Format(8_000, 1)
    drifted, _ = DAMAGE.simulate(
        sine(format, 60 * 8_000, 500), format, 2, **{**NEUTRAL, "drift_percent": 2.0}
    )
    course = speed(drifted[0], format, 500) - 1
    assert 0.005 < np.abs(course).max() < 0.021
    assert np.abs(np.diff(course[::800])).max() < 0.02 * 2 * np.pi / wow.DRIFT_S[0] / 10, (
        "in a tenth of a second"
    )


@pytest.mark.parametrize("hz", [50.0, 3_000.0, 10_000.0, 16_000.0])
def test_reads_between_the_samples(hz: float) -> None:
    """At least 60 dB right up to two thirds of half the rate."""
    format = Format(48_000, 1)
    drawn = DAMAGE.draw(
        format,
        48_000,
        np.random.default_rng(1),
        **{
            "wow_percent": 3.0,
            "wow_hz": 4.0,
            "flutter_percent": 1.0,
            "flutter_hz": 50.0,
            "drift_percent": 1.0,
        },
    )
    place = np.concatenate([part for _, part in wow.places(48_000, format, drawn)])
    found = wow.apply(sine(format, 48_000, hz), format, drawn)[0]
    error = (found - 0.5 * np.sin(2 * np.pi * hz / 48_000 * place))[100:-100]
    assert 10 * np.log10(np.mean(error**2) / 0.125) < -60


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40_000), st.integers(0, 1000), st.sampled_from((8_000, 96_000)))
def test_time_keeps_its_ends_and_never_turns_back(samples: int, seed: int, rate: int) -> None:
    options = {name: param.high for name, param in DAMAGE.params.items()}
    drawn = DAMAGE.draw(Format(rate, 1), samples, np.random.default_rng(seed), **options)
    place = np.concatenate([part for _, part in wow.places(samples, Format(rate, 1), drawn)])
    assert len(place) == samples and (np.diff(place) > 0).all()
    assert place[0] == pytest.approx(0, abs=1e-6) and place[-1] == pytest.approx(samples - 1, abs=1e-6)


def test_all_channels_alike_and_drawn_as_data() -> None:
    format = Format(8_000, 3)
    clean = np.tile(np.random.default_rng(1).uniform(-1, 1, 20_000).astype(np.float32), (3, 1))
    swayed, truth = DAMAGE.simulate(clean, format, 5, wow_percent=3.0)
    assert np.array_equal(swayed[0], swayed[1]) and np.array_equal(swayed[0], swayed[2])
    assert not np.array_equal(swayed, clean)
    options = {name: param.default for name, param in DAMAGE.params.items()} | {"wow_percent": 3.0}
    drawn = dict(DAMAGE.draw(format, 20_000, np.random.default_rng(5), **options))
    assert drawn.pop("findings") == truth
    assert np.array_equal(wow.apply(clean, format, json.loads(json.dumps(drawn))), swayed)


def test_a_plan_leaves_it_alone() -> None:
    found = [Finding("wow", Region(0, 1000), 0.5, 0.95)]
    plan = make_plan(found, FORMAT, 1000)
    assert plan.steps == () and plan.left_alone[0].reason == "wow: reported only, no repair treats it"
