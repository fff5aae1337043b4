"""Models of sound: right on processes that are known, and exact where theory says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from wavemend.core import ar

ROOTS = np.array([0.99 * np.exp(0.3j), 0.97 * np.exp(1.1j)])
TRUE = np.poly(np.concatenate((ROOTS, ROOTS.conj()))).real


def process(count: int, seed: int = 0) -> np.ndarray:
    """A known autoregressive process of order 4 with an innovation of power 1."""
    return signal.lfilter([1.0], TRUE, np.random.default_rng(seed).standard_normal(count + 500))[500:]


def snr_db(truth: np.ndarray, guess: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(truth**2) / np.sum((truth - guess) ** 2)))


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_autocorrelation_and_residual_are_what_their_formulas_say(count: int, order: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((2, count))
    lags = ar.autocorrelation(x, order)
    for k in range(order + 1):
        assert np.allclose(lags[:, k], [c[: count - k] @ c[k:] if k < count else 0.0 for c in x])
    a = np.random.default_rng(seed + 1).standard_normal((2, order + 1))
    errors = ar.residual(x, a)
    assert errors.shape == (2, max(count - order, 0))
    if count > order:
        assert np.allclose(errors, [signal.lfilter(a[i], [1.0], x[i])[order:] for i in range(2)])


def test_every_estimator_finds_a_known_process() -> None:
    x = process(40_000)
    assert np.abs(ar.levinson(ar.autocorrelation(x, 4))[0] - TRUE).max() < 0.05
    parts = [x[:15_000], x[15_100:]]
    assert np.abs(ar.covariance(parts, 4) - TRUE).max() < 0.03
    assert np.abs(ar.covariance(parts, 4) - ar.covariance([p[::-1] for p in parts], 4)).max() < 1e-6


def test_levinson_solves_the_normal_equations() -> None:
    lags = ar.autocorrelation(np.random.default_rng(2).standard_normal((3, 200)), 12)
    a, power = ar.levinson(lags)
    for row, r, error in zip(a, lags, power, strict=True):
        matrix = r[np.abs(np.subtract.outer(np.arange(13), np.arange(13)))]
        assert np.allclose(matrix @ row, np.eye(13)[0] * error)


@pytest.mark.parametrize("gap", [1, 8, 60, 100])
def test_a_known_process_is_restored_to_within_its_innovation(gap: int) -> None:
    """The error has the power that the model itself predicts: the innovation times trace(B^-1)."""
    predicted, errors = 0.0, 0.0
    lags = np.zeros(gap)
    lags[: min(gap, 5)] = np.convolve(TRUE, TRUE[::-1])[4:][:gap]
    covariance = np.linalg.inv(lags[np.abs(np.subtract.outer(np.arange(gap), np.arange(gap)))])
    for seed in range(30):
        x = process(400, seed)
        missing = np.zeros(400, bool)
        missing[150 : 150 + gap] = True
        holed = np.where(missing, 99.0, x)
        errors += float(np.sum((ar.fill(holed, missing, TRUE) - x) ** 2))
        predicted += float(np.trace(covariance))
    assert 0.6 < errors / predicted < 1.6


def test_fill_leaves_what_is_known_and_makes_the_error_smallest() -> None:
    x = process(300)
    missing = np.zeros(300, bool)
    missing[100:110] = missing[115:117] = True
    filled = ar.fill(np.where(missing, 7.0, x), missing, TRUE)
    assert np.array_equal(filled[~missing], x[~missing])

    def error(y: np.ndarray) -> float:
        return float(np.sum(np.convolve(y, TRUE) ** 2))

    for seed in range(5):
        moved = filled + 0.01 * missing * np.random.default_rng(seed).standard_normal(300)
        assert error(moved) > error(filled)


@pytest.mark.parametrize("order", [24, 32, 128])
def test_sinusoids_are_restored_to_better_than_40_db(order: int) -> None:
    time = np.arange(4000) / 48_000
    x = np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 1234 * time + 1)
    x += 0.1 * np.sin(2 * np.pi * 5321 * time + 2)
    x = x.astype(np.float32).astype(np.float64)
    missing = np.zeros(4000, bool)
    missing[1900:2140] = True  # 5 ms
    a = ar.covariance([x[:1900], x[2140:]], order)
    assert snr_db(x[missing], ar.fill(np.where(missing, 0.0, x), missing, a)[missing]) > 40


def test_unmix_with_no_opinion_is_fill_and_a_true_template_is_likelier() -> None:
    x = process(600)
    click = 40 * np.exp(-np.arange(30) / 8) * np.cos(np.arange(30))
    sound = x.copy()
    sound[300:330] += click
    missing = np.zeros(600, bool)
    missing[300:330] = True
    error = np.convolve(sound, TRUE)[300:340]
    added, vague = ar.unmix(error, TRUE, 1.0, np.zeros(30), np.full(30, 1e8))
    assert np.allclose(sound[300:330] - added, ar.fill(sound, missing, TRUE)[300:330], atol=1e-3)
    known, sure = ar.unmix(error, TRUE, 1.0, click, np.full(30, 1e-4))
    assert sure < vague
    assert np.sum((known - click) ** 2) < 0.01 * np.sum((added - click) ** 2)


def test_silence_has_a_model_that_predicts_nothing() -> None:
    assert np.array_equal(ar.levinson(np.zeros((2, 5)))[0], np.tile(np.eye(5)[0], (2, 1)))
    assert np.array_equal(ar.covariance([np.zeros(50)], 4), np.eye(5)[0])


def test_between_and_affordable() -> None:
    assert ar.between(10, [(2, 4), (3, 5), (9, 10)]) == [(0, 2), (5, 9)]
    assert ar.between(4, [(0, 4)]) == []
    assert ar.affordable(32, [10, 90]) == 32
    assert ar.affordable(32, [10, 10]) == 5
    assert ar.affordable(32, []) == 1
