"""Faults between two channels are told apart, and stereo, wide or narrow, is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contract
from wavemend.core.types import Format
from wavemend.damage.phase import DAMAGE, KINDS

FORMAT = Format(16_000, 2)


def music(format: Format = FORMAT, seed: int = 1) -> np.ndarray:
    return np.tile(contract.music(format, 2 * format.sample_rate, seed=seed), 5)


@pytest.mark.parametrize("kind", range(4), ids=KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_finds_channel_and_fault(kind: int, seed: int) -> None:
    damaged, (truth,) = DAMAGE.simulate(music(), FORMAT, seed=seed, kind=kind)
    (finding,) = DAMAGE.detect(damaged, FORMAT)
    (name,) = truth.measures
    assert name in finding.measures
    if kind != KINDS.index("inverted"):
        assert finding.region.channels == truth.region.channels
    if name == "delay_ms":
        assert finding.measures[name] == pytest.approx(truth.measures[name], abs=0.07)


@given(balance=st.floats(0.2, 1.0), seed=st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_stereo_is_no_fault(balance: float, seed: int) -> None:
    sound = music(seed=seed) * np.array([[1.0], [balance]], np.float32)
    assert DAMAGE.detect(sound, FORMAT) == ()


def test_the_same_sound_twice_is_no_fault() -> None:
    sound = np.repeat(music()[:1], 2, axis=0)
    assert DAMAGE.detect(sound, FORMAT) == ()


@pytest.mark.parametrize("channels", [1, 3])
def test_only_pairs_are_judged(channels: int) -> None:
    format = Format(16_000, channels)
    assert DAMAGE.detect(music(format), format) == ()


def test_silence_is_no_fault() -> None:
    assert DAMAGE.detect(np.zeros((2, 48_000), np.float32), FORMAT) == ()
