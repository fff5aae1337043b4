"""Phase and amplitudes of harmonics are found again under what covers them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core import harmonics

STEP_S = 0.08
FRAMES = 150
COUNT = 12
K = np.arange(1, COUNT + 1)
LEVELS = 0.1 / K


def lines(phase: np.ndarray, seed: int) -> np.ndarray:
    """Lines that turn with this phase, each covered for a third of the time by what is ten times as loud."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 2 * np.pi, COUNT)
    hum = LEVELS * np.exp(1j * (phase[:, np.newaxis] * K + start))
    noise = rng.standard_normal((2, FRAMES, COUNT)) * 1e-4
    cover = np.zeros((FRAMES, COUNT), complex)
    for k in range(COUNT):
        for first in rng.integers(0, FRAMES - 10, 5):
            turn = rng.uniform(-6, 6) * STEP_S * np.arange(10)
            cover[first : first + 10, k] += 10 * LEVELS[k] * np.exp(2j * np.pi * turn)
    return (hum + cover + noise[0] + 1j * noise[1])[np.newaxis].astype(np.complex64)


@given(seed=st.integers(0, 1000), wander=st.floats(0, 1.0), period=st.floats(6, 15))
@settings(max_examples=15, deadline=None)
def test_finds_phase_and_levels(seed: int, wander: float, period: float) -> None:
    time = STEP_S * np.arange(FRAMES)
    phase = wander * np.sin(2 * np.pi * time / period)
    zero = np.zeros(FRAMES)
    rough = 0.8 * phase
    fit = harmonics.fit(lines(phase, seed), zero, rough, STEP_S, harmonics.COLD[-1])
    found = fit.model.phase_at(np.arange(FRAMES, dtype=float), fit.phase)
    # a constant shift belongs to the amplitudes
    assert np.std(found - phase) < 0.05
    assert np.abs(fit.levels[0]).mean(axis=0) == pytest.approx(LEVELS, rel=0.1)


def test_a_start_that_is_far_off_is_found_from_the_lowest_harmonics() -> None:
    time = STEP_S * np.arange(FRAMES)
    phase = 1.6 * np.sin(2 * np.pi * time / 9) + 0.3 * np.sin(2 * np.pi * time / 6 + 1)
    zero = np.zeros(FRAMES)
    spread = {}
    for name, schedules in {"usual": harmonics.COLD[-1:], "all": harmonics.COLD}.items():
        found = harmonics.search(lines(phase, 1), zero, [zero], STEP_S, schedules)
        spread[name] = np.std(harmonics.model(FRAMES, STEP_S).phase_basis @ found - phase)
    assert spread["all"] < 0.02
    assert spread["usual"] > 0.3


@given(away=st.floats(-1, 1))
@settings(max_examples=15, deadline=None)
def test_finds_a_constant_pitch(away: float) -> None:
    time = STEP_S * np.arange(FRAMES)
    base = 2 * np.pi * 50.0 * time
    turned = lines(2 * np.pi * away * time, 3)
    assert harmonics.constant_pitch(turned, base, STEP_S, 50.0, 1.2) == pytest.approx(50 + away, abs=0.02)


def test_powers() -> None:
    phase = np.array([0.3, -2.0])
    assert harmonics.powers_of(phase, 150) == pytest.approx(
        np.exp(1j * phase[:, np.newaxis] * np.arange(1, 151)), abs=1e-4
    )


def test_no_lines_no_levels() -> None:
    zero = np.zeros(20)
    fit = harmonics.fit(np.zeros((2, 20, 5), np.complex64), zero, zero, STEP_S, harmonics.COLD[-1])
    assert not fit.levels.any() and np.isfinite(fit.phase).all()
