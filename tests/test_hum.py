"""Mains hum is found where it is, with its frequency, and is not seen in music."""

from __future__ import annotations

import numpy as np
import pytest

import contract
from wavemend.core.types import Format
from wavemend.damage.hum import DAMAGE

FORMAT = Format(16_000, 1)


def music(seconds: float, format: Format = FORMAT, seed: int = 1) -> np.ndarray:
    count = round(seconds * format.sample_rate)
    piece = contract.music(format, 5 * format.sample_rate, seed=seed)
    return np.tile(piece, -(-count // piece.shape[1]))[:, :count]


@pytest.mark.parametrize("f0_hz", [49.9, 50.0, 60.05])
@pytest.mark.parametrize("seconds", [5.0, 30.0])
def test_finds_the_frequency(f0_hz: float, seconds: float) -> None:
    damaged, _ = DAMAGE.simulate(music(seconds), FORMAT, seed=3, f0_hz=f0_hz)
    (finding,) = DAMAGE.detect(damaged, FORMAT)
    assert abs(finding.measures["f0_hz"] - f0_hz) < 0.03
    assert (finding.region.start, finding.region.stop) == (0, damaged.shape[1])


def test_follows_a_drift() -> None:
    damaged, _ = DAMAGE.simulate(music(30), FORMAT, seed=3, f0_hz=60.0, drift_percent=1.0)
    (finding,) = DAMAGE.detect(damaged, FORMAT)
    assert finding.measures["drift_percent"] == pytest.approx(1.0, abs=0.3)


def test_names_the_stretch_and_the_channel() -> None:
    format = Format(16_000, 2)
    damaged, _ = DAMAGE.simulate(music(70, format), format, seed=3)
    damaged[:, : 35 * 16_000] = music(70, format)[:, : 35 * 16_000]
    damaged[0] = music(70, format)[0]
    (finding,) = DAMAGE.detect(damaged, format)
    assert finding.region.channels == (1,)
    assert 30 < finding.region.start / 16_000 < 50 and finding.region.stop == damaged.shape[1]


@pytest.mark.parametrize("seed", range(4))
def test_music_is_not_hum(seed: int) -> None:
    assert DAMAGE.detect(music(12, seed=seed), FORMAT) == ()


def test_a_bass_on_the_mains_pitch_is_not_hum() -> None:
    """Notes of 100 Hz with all harmonics, two seconds apart, that die away."""
    time = np.arange(12 * 16_000) / 16_000
    note = sum(np.sin(2 * np.pi * 100 * k * time) / k for k in range(1, 9))
    age = time % 2.0
    played = (0.1 * note * np.exp(-3 * age) * (age < 1.0)).astype(np.float32)
    assert DAMAGE.detect(played[np.newaxis], FORMAT) == ()


def test_notes_that_come_quickly_are_not_hum() -> None:
    """The gaps between notes of 100 Hz, 0.6 s apart, are too short for frames of a second."""
    time = np.arange(12 * 16_000) / 16_000
    note = sum(np.sin(2 * np.pi * 100 * k * time) / k for k in range(1, 9))
    played = (0.1 * note * np.exp(-3 * (time % 0.6)) * (time % 0.6 < 0.54)).astype(np.float32)
    assert DAMAGE.detect(played[np.newaxis], FORMAT) == ()


@pytest.mark.parametrize(("level_db", "count"), [(-70.0, 0), (-45.0, 1)])
def test_only_what_is_heard(level_db: float, count: int) -> None:
    """Lines of 50 and 100 Hz at -70 dBFS cannot be heard; at -45 dBFS they can."""
    time = np.arange(10 * 16_000) / 16_000
    lines = 10 ** (level_db / 20) * (np.sin(2 * np.pi * 50 * time) + np.sin(2 * np.pi * 100 * time))
    noise = np.random.default_rng(1).standard_normal(len(time)) * 1e-5
    assert len(DAMAGE.detect((lines + noise)[np.newaxis].astype(np.float32), FORMAT)) == count


def test_level_is_that_of_the_tone() -> None:
    time = np.arange(10 * 16_000) / 16_000
    tone = sum(0.02 * np.sin(2 * np.pi * 50 * k * time) for k in (1, 2, 3))
    noise = np.random.default_rng(1).standard_normal(len(time)) * 1e-4
    (finding,) = DAMAGE.detect((tone + noise)[np.newaxis].astype(np.float32), FORMAT)
    assert finding.measures["harmonics_dbfs"] == pytest.approx([20 * np.log10(0.02)] * 3, abs=0.5)


def test_level_of_the_simulation() -> None:
    clean = music(3)
    damaged, _ = DAMAGE.simulate(clean, FORMAT, seed=1, sdr_db=17.0)
    added = damaged - clean
    assert 10 * np.log10((clean**2).sum() / (added**2).sum()) == pytest.approx(17.0, abs=0.05)
