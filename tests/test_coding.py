"""Coding limits the band and gets coarser as the rate falls, at any rate and in any number of channels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.types import Finding, Format, Region
from wavemend.damage import coding
from wavemend.damage.coding import DAMAGE
from wavemend.restoration.plan import make_plan


def noise(format: Format, samples: int, seed: int = 1) -> np.ndarray:
    """Pink above 100 Hz, peak below 1."""
    white = np.random.default_rng(seed).standard_normal((format.channels, samples))
    hz = np.fft.rfftfreq(samples, 1 / format.sample_rate)
    pink = np.fft.irfft(np.fft.rfft(white) * np.maximum(hz / 100, 1) ** -0.5, samples)
    return (0.1 * pink / pink.std()).astype(np.float32)


def powers(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and the power there."""
    window = np.hanning(len(sound))
    return np.fft.rfftfreq(len(sound), 1 / rate), np.abs(np.fft.rfft(sound * window)) ** 2


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from((8_000, 22_050, 44_100, 96_000)),
    st.integers(1, 3),
    st.one_of(st.integers(0, 3), st.integers(4, 20_000)),
    st.integers(0, 1000),
    st.floats(16.0, 192.0),
)
def test_same_seed_same_bits_and_the_truth(
    rate: int, channels: int, samples: int, seed: int, kbps: float
) -> None:
    format = Format(rate, channels)
    clean = np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)
    once, truth = DAMAGE.simulate(clean, format, seed, kbps=kbps)
    again, same = DAMAGE.simulate(clean, format, seed, kbps=kbps)
    assert np.array_equal(once, again) and truth == same
    assert once.shape == clean.shape and once.dtype == np.float32 and np.isfinite(once).all()
    assert [(f.damage, f.region, f.measures["kbps"]) for f in truth] == (
        [("coding", Region(0, samples), kbps)] if samples else []
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(16.0, 192.0), st.sampled_from((16_000, 44_100, 48_000, 96_000)))
def test_the_band_ends_where_the_truth_says(seed: int, kbps: float, rate: int) -> None:
    format = Format(rate, 1)
    clean = noise(format, rate, seed)
    coded, (finding,) = DAMAGE.simulate(clean, format, seed, kbps=kbps)
    cutoff_hz = finding.measures["cutoff_hz"]
    assert cutoff_hz <= rate / 2
    hz, power = powers(coded[0], rate)
    _, before = powers(clean[0], rate)
    above = hz > 1.05 * cutoff_hz + 100
    assert power[above].sum() <= 1e-4 * before[above].sum()
    below = (hz > 0.6 * cutoff_hz) & (hz < 0.95 * cutoff_hz)
    assert power[below].sum() > 0.05 * before[below].sum()


@pytest.mark.parametrize("format", [Format(16_000, 1), Format(44_100, 2), Format(96_000, 1)], ids=str)
def test_the_lower_the_rate_the_worse(format: Format) -> None:
    clean = noise(format, format.sample_rate)
    ratios, severities = [], []
    for kbps in (16.0, 32.0, 64.0, 128.0, 192.0):
        coded, (finding,) = DAMAGE.simulate(clean, format, 4, kbps=kbps)
        ratios.append(float((clean**2).sum() / ((coded - clean) ** 2).sum()))
        severities.append(finding.severity)
    assert ratios == sorted(ratios) and severities == sorted(severities, reverse=True)
    assert ratios[0] > 1.0 and ratios[-1] > 3 * ratios[0]


def test_hardly_coded_is_hardly_changed() -> None:
    """With fine steps and the whole band the transform gives everything back, in its place."""
    format = Format(44_100, 2)
    clean = noise(format, 30_001)
    drawn = {"bins": 576, "nmr_db": -70.0, "top_hz": 22_050.0, "floor_db": -140.0}
    coded = coding.apply(clean, format, drawn)
    assert ((coded - clean) ** 2).sum() < 1e-5 * (clean**2).sum()


def test_low_rates_leave_holes_where_the_sound_is_faint() -> None:
    """A faint tone far from a loud one is lost at 16 kbit/s and kept at 192."""
    format = Format(44_100, 1)
    time = np.arange(44_100) / 44_100
    faint = 0.002 * np.sin(2 * np.pi * 2_500 * time)
    clean = (0.5 * np.sin(2 * np.pi * 440 * time) + faint)[np.newaxis].astype(np.float32)
    left = []
    for kbps in (16.0, 192.0):
        hz, power = powers(DAMAGE.simulate(clean, format, 2, kbps=kbps)[0][0], 44_100)
        _, wanted = powers(faint, 44_100)
        near = np.abs(hz - 2_500) < 20
        left.append(power[near].sum() / wanted[near].sum())
    assert left[0] < 0.1 and left[1] == pytest.approx(1.0, abs=0.2)


def test_a_blow_is_heard_before_it_comes() -> None:
    """Pre-echo, no longer than two frames."""
    format = Format(44_100, 1)
    clean = np.zeros((1, 44_100), np.float32)
    clean[0, 22_050:24_000] = np.random.default_rng(1).uniform(-0.5, 0.5, 1_950)
    coded, _ = DAMAGE.simulate(clean, format, 3, kbps=48.0)
    early = np.flatnonzero(np.abs(coded[0, :22_050]) > 1e-4)
    assert len(early) and early[0] >= 22_050 - 2 * max(coding.FRAMES)


def test_drawn_as_data() -> None:
    format = Format(96_000, 2)
    clean = noise(format, 10_000)
    drawn = dict(DAMAGE.draw(format, 10_000, np.random.default_rng(5), kbps=64.0))
    wanted, truth = DAMAGE.simulate(clean, format, 5)
    assert drawn.pop("findings") == truth
    assert drawn["bins"] in {2 * bins for bins in coding.FRAMES}
    assert np.array_equal(coding.apply(clean, format, json.loads(json.dumps(drawn))), wanted)


def test_a_plan_leaves_it_alone() -> None:
    plan = make_plan([Finding("coding", Region(0, 800), 0.5, 0.95)], Format(8_000, 1), 800)
    assert plan.steps == () and plan.left_alone[0].reason == "coding: reported only, no repair treats it"
