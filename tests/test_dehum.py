"""Hum goes, what was played stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contract
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage.hum import DAMAGE
from wavemend.engine.stream import run
from wavemend.repairs.dehum import REPAIR

FORMAT = Format(16_000, 1)


def sdr(clean: Samples, other: Samples) -> float:
    wanted = clean.astype(np.float64)
    return float(10 * np.log10((wanted**2).sum() / ((wanted - other) ** 2).sum()))


def speech(seconds: float) -> Samples:
    """Voiced syllables of gliding pitch round 110 Hz, with pauses."""
    time = np.arange(round(seconds * FORMAT.sample_rate)) / FORMAT.sample_rate
    phase = 2 * np.pi * np.cumsum(110 + 15 * np.sin(2.3 * time) + 8 * np.sin(7.1 * time)) / FORMAT.sample_rate
    voice = sum(np.sin(k * phase) / (1 + (k - 5) ** 2 / 9) for k in range(1, 30))
    gate = np.clip(3 * np.sin(2 * np.pi * 1.7 * time) + np.sin(2 * np.pi * 0.31 * time), 0, 1)
    return (0.1 * voice * gate)[np.newaxis].astype(np.float32)


def music(seconds: float) -> Samples:
    piece = contract.music(FORMAT, 6 * FORMAT.sample_rate)
    count = round(seconds * FORMAT.sample_rate)
    return np.tile(piece, -(-count // piece.shape[1]))[:, :count]


CASES = {
    "hum": {"f0_hz": 50.0, "buzz": 0.0},
    "buzz": {"f0_hz": 60.0, "buzz": 0.9},
    "off": {"f0_hz": 50.2},
    "drift": {"f0_hz": 50.0, "drift_percent": 0.5},
    "swing": {"f0_hz": 60.0, "swing_db": 1.0},
}


@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("sound", [music, speech])
def test_gains(kind: str, sound) -> None:  # type: ignore[no-untyped-def]
    clean = sound(16)
    damaged, truth = DAMAGE.simulate(clean, FORMAT, seed=2, **CASES[kind])
    # a voice at 95 to 125 Hz crosses a harmonic with each of its own all the time
    assert sdr(clean, run(REPAIR.open(FORMAT, truth), damaged)) >= (25 if sound is music else 18)


def test_finds_the_frequency_itself() -> None:
    clean = music(12)
    damaged, truth = DAMAGE.simulate(clean, FORMAT, seed=2, f0_hz=59.8)
    nameless = [Finding("hum", truth[0].region, 0.5, 0.5)]
    assert sdr(clean, run(REPAIR.open(FORMAT, nameless), damaged)) >= 25


def test_without_hum_nothing_changes() -> None:
    clean = music(12)
    nameless = [Finding("hum", Region(0, clean.shape[1]), 0.5, 0.5)]
    assert np.array_equal(run(REPAIR.open(FORMAT, nameless), clean), clean)


def test_a_note_on_a_harmonic_survives() -> None:
    """A note of exactly 100 Hz over a 50 Hz hum keeps its level within 1 dB, and the pause stays quiet."""
    time = np.arange(16 * 16_000) / 16_000
    note = 0.1 * np.sin(2 * np.pi * 100 * time) * ((time % 4) < 1.0)
    hum = sum(0.01 * np.cos(2 * np.pi * 50 * k * time + k) for k in range(1, 8))
    given_ = (note + hum)[np.newaxis].astype(np.float32)
    finding = Finding("hum", Region(0, given_.shape[1]), 0.5, 1.0, {"f0_hz": 50.0})
    out = run(REPAIR.open(FORMAT, [finding]), given_)[0]
    inside = slice(round(8.1 * 16_000), round(8.9 * 16_000))
    pause = slice(round(9.2 * 16_000), round(11.8 * 16_000))
    assert 10 * np.log10((out[inside] ** 2).sum() / (note[inside] ** 2).sum()) == pytest.approx(0, abs=1)
    assert 10 * np.log10((out[pause] ** 2).sum() / (hum[pause] ** 2).sum()) < -20


@given(seconds=st.floats(0.01, 4.0), rate=st.sampled_from([1_000, 8_000, 11_025]), channels=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_silence_stays_silence(seconds: float, rate: int, channels: int) -> None:
    format = Format(rate, channels)
    silence = np.zeros((channels, max(1, round(seconds * rate))), np.float32)
    finding = Finding("hum", Region(0, silence.shape[1]), 0.5, 1.0, {"f0_hz": 50.0})
    assert not run(REPAIR.open(format, [finding]), silence).any()
