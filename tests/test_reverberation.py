"""A room decays as drawn, leaves the direct sound where it was, and is each channel's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from wavemend.core.types import Finding, Format, Region
from wavemend.damage import reverberation
from wavemend.damage.reverberation import DAMAGE
from wavemend.restoration.plan import make_plan


def click(format: Format, seconds: float) -> np.ndarray:
    out = np.zeros((format.channels, round(seconds * format.sample_rate)), np.float32)
    out[:, 0] = 1.0
    return out


def decay_s(room: np.ndarray, rate: int, low_hz: float, high_hz: float) -> float:
    """Reverberation time within a band, from -5 to -25 dB of Schroeder's integral (T20 of ISO 3382)."""
    sos = signal.butter(4, (low_hz, high_hz), "bandpass", fs=rate, output="sos")
    energy = np.cumsum(signal.sosfilt(sos, room.astype(np.float64))[::-1] ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-20)
    start, stop = (int(np.argmax(level < bound)) for bound in (-5, -25))
    slope = np.polyfit(np.arange(start, stop) / rate, level[start:stop], 1)[0]
    return float(-60 / slope)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from((8_000, 22_050, 44_100, 96_000)),
    st.integers(1, 3),
    st.one_of(st.integers(0, 3), st.integers(4, 20_000)),
    st.integers(0, 1000),
    st.floats(0.2, 1.0),
    st.floats(-15.0, 15.0),
)
def test_same_seed_same_bits_and_the_truth(
    rate: int, channels: int, samples: int, seed: int, rt60_s: float, ratio_db: float
) -> None:
    format = Format(rate, channels)
    clean = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)
    options = {"rt60_s": rt60_s, "direct_to_reverberant_db": ratio_db}
    once, truth = DAMAGE.simulate(clean, format, seed, **options)
    again, same = DAMAGE.simulate(clean, format, seed, **options)
    assert np.array_equal(once, again) and truth == same
    assert once.shape == clean.shape and once.dtype == np.float32 and np.isfinite(once).all()
    assert [(f.damage, f.region, f.measures) for f in truth] == (
        [("reverberation", Region(0, samples), options)] if samples else []
    )


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 2.0), st.floats(-15.0, 15.0))
def test_a_click_decays_as_drawn(seed: int, rt60_s: float, ratio_db: float) -> None:
    format = Format(16_000, 1)
    room, _ = DAMAGE.simulate(
        click(format, 4.0), format, seed, rt60_s=rt60_s, direct_to_reverberant_db=ratio_db
    )
    assert room[0, 0] == pytest.approx(1.0, abs=1e-5), "the direct sound is as loud as it was"
    assert np.abs(room[0, 1 : round(0.0025 * 16_000)]).max() < 1e-5
    beside = float((room[0, 1:].astype(np.float64) ** 2).sum())
    assert 10 * np.log10(1 / beside) == pytest.approx(ratio_db, abs=0.1)
    tail = room[0, round(0.1 * 16_000) :]
    assert decay_s(tail, 16_000, 600, 2000) == pytest.approx(rt60_s, rel=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_highs_decay_sooner(seed: int) -> None:
    format = Format(48_000, 1)
    room, _ = DAMAGE.simulate(click(format, 2.0), format, seed, direct_to_reverberant_db=-15.0)
    tail = room[0, 4800:]
    times = [decay_s(tail, 48_000, *band) for band in ((600, 2000), (3000, 5000), (9000, 16_000))]
    assert times[0] > times[1] > times[2]


def test_channels_have_tails_of_their_own() -> None:
    format = Format(16_000, 2)
    room, _ = DAMAGE.simulate(click(format, 2.0), format, 3)
    left, right = room[:, 1600:].astype(np.float64)
    assert abs(np.dot(left, right)) < 0.1 * np.sqrt((left**2).sum() * (right**2).sum())
    assert np.dot(left, left) == pytest.approx(np.dot(right, right), rel=0.5)


def test_a_dry_room_changes_little() -> None:
    """Noise gets what lies 15 dB under it, and half the sound is not heard earlier or later than it was."""
    format = Format(16_000, 1)
    clean = np.random.default_rng(2).standard_normal((1, 64_000)).astype(np.float32) * 0.1
    wet, _ = DAMAGE.simulate(clean, format, 1, direct_to_reverberant_db=15.0, rt60_s=0.2)
    added = (wet - clean).astype(np.float64)
    assert 10 * np.log10((clean.astype(np.float64) ** 2).sum() / (added**2).sum()) == pytest.approx(15, abs=1)
    assert np.argmax(signal.correlate(wet[0], clean[0], "same", "fft")) == 32_000


def test_what_comes_later_changes_nothing_before() -> None:
    """A room echoes what was, so the first half does not depend on the second."""
    format = Format(16_000, 1)
    clean = np.random.default_rng(2).standard_normal((1, 32_000)).astype(np.float32) * 0.1
    other = clean.copy()
    other[:, 16_000:] = 0
    heard = [DAMAGE.simulate(sound, format, 1)[0][:, :16_000] for sound in (clean, other)]
    assert np.allclose(*heard, atol=1e-5)


def test_drawn_as_data() -> None:
    format = Format(8_000, 2)
    clean = click(format, 0.5)
    options = {name: param.default for name, param in DAMAGE.params.items()}
    drawn = dict(DAMAGE.draw(format, clean.shape[1], np.random.default_rng(5), **options))
    wanted, truth = DAMAGE.simulate(clean, format, 5)
    assert drawn.pop("findings") == truth
    assert np.array_equal(reverberation.apply(clean, format, json.loads(json.dumps(drawn))), wanted)


def test_the_wetter_the_worse_and_a_plan_leaves_it_alone() -> None:
    format = Format(8_000, 1)
    worse = [
        DAMAGE.simulate(click(format, 0.1), format, 1, **options)[1][0].severity
        for options in (
            {"rt60_s": 0.3, "direct_to_reverberant_db": 10.0},
            {"rt60_s": 0.3},
            {"rt60_s": 2.0},
            {"rt60_s": 2.0, "direct_to_reverberant_db": -10.0},
        )
    ]
    assert worse == sorted(worse) and len(set(worse)) == 4
    plan = make_plan([Finding("reverberation", Region(0, 800), 0.5, 0.95)], format, 800)
    assert plan.steps == ()
    assert plan.left_alone[0].reason == "reverberation: reported only, no repair treats it"
