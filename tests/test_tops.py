"""Tops that were cut and then coded: found where both signs are there, and their level told."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from test_declip import sdr_db
from wavemend.core.tops import SIDE, Piles, half_waves
from wavemend.core.types import Finding, Format, Samples
from wavemend.damage.clipping import DAMAGE, UNREACHED
from wavemend.engine.stream import run
from wavemend.repairs.declip import REPAIR

FORMAT = Format(44_100, 1)
LOUD = 0.5


def coded(x: Samples, format: Format = FORMAT, kind: str = "MP3") -> Samples:
    """As a coder gives it back, in place and as long."""
    held = io.BytesIO()
    soundfile.write(held, LOUD * x.T / np.abs(x).max(), format.sample_rate, format=kind)
    held.seek(0)
    back = soundfile.read(held, dtype="float32", always_2d=True)[0].T * (np.abs(x).max() / LOUD)
    out = np.zeros_like(x)
    out[:, : back.shape[1]] = back[:, : x.shape[1]]
    return out


def clean(seconds: int = 6, seed: int = 1) -> Samples:
    return music(FORMAT, seconds * FORMAT.sample_rate, seed)


def likely(x: Samples, format: Format = FORMAT) -> list[Finding]:
    return [f for f in DAMAGE.detect(x, format) if f.confidence >= 0.5]


@pytest.mark.parametrize("kind", ["MP3", "OGG"])
@pytest.mark.parametrize("sdr", [5.0, 10.0])
def test_finds_the_level_of_coded_tops_and_raises_them(kind: str, sdr: float) -> None:
    cut, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, sdr_db=sdr)
    given = coded(cut, kind=kind)
    level = float(np.abs(cut).max())
    (found,) = likely(given)
    assert 0.75 * level < found.measures["level_high"] < level  # type: ignore[operator]
    assert -level < found.measures["level_low"] < -0.75 * level  # type: ignore[operator]
    out = run(REPAIR.open(FORMAT, [found], iterations=100), given)
    assert sdr_db(clean(), out) > sdr_db(clean(), given) + 2


def test_finds_none_in_clean_sound_that_was_coded() -> None:
    for seed in range(3):
        assert not likely(coded(clean(seed=seed))) and not likely(clean(seed=seed))


def test_one_side_alone_is_found_less_surely() -> None:
    cut, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, sdr_db=10.0, sides=1)
    (found,) = DAMAGE.detect(coded(cut), FORMAT)
    reached = [abs(float(found.measures[name])) < UNREACHED for name in ("level_high", "level_low")]  # type: ignore[arg-type]
    assert sum(reached) == 1 and found.confidence <= 0.7


def test_a_part_that_was_cut_is_found_by_itself() -> None:
    """Amid louder sound no level holds for all of it."""
    x = np.concatenate([clean(15, seed) for seed in (1, 2, 3)], axis=1)
    length = 15 * FORMAT.sample_rate
    part, _ = DAMAGE.simulate(x[:, length : 2 * length], FORMAT, seed=1, sdr_db=7.0)
    x = np.concatenate((x[:, :length], part, x[:, 2 * length :]), axis=1)
    found = likely(coded(x))
    assert found and all(abs(f.region.start - length) < 2 * FORMAT.sample_rate for f in found)


def test_exact_levels_go_before_coded_ones() -> None:
    cut, truth = DAMAGE.simulate(clean(), FORMAT, seed=1, sdr_db=7.0)
    level = truth[0].measures["level_high"]
    assert {f.measures["level_high"] for f in likely(cut)} <= {level, UNREACHED}


@given(period=st.integers(16, 400), phase=st.floats(0, 6), gain=st.floats(0.02, 5.0))
@settings(max_examples=50, deadline=None)
def test_a_sine_is_nearly_a_parabola(period: int, phase: float, gain: float) -> None:
    x = gain * np.sin(2 * np.pi * np.arange(20 * period) / (period + 0.3) + phase)
    waves = half_waves(x, 0.01)
    assert len(waves.start) >= 30
    assert np.abs(waves.peak / gain - 1).max() < 0.05
    if period > 60:
        assert np.abs(waves.flat - 0.965).max() < 0.1
    assert (waves.side[1:] == -waves.side[:-1]).all()


def test_a_cut_sine_is_flat() -> None:
    x = np.clip(np.sin(2 * np.pi * np.arange(10_000) / 200.3), -0.3, 0.3)
    waves = half_waves(x)
    assert (waves.flat > 3).all() and np.allclose(waves.peak, 0.3)
    assert (waves.width > 170 / 2 - 2 * 200 * SIDE * 0.3 / 6).all()


def test_piles_add_up() -> None:
    cut, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, sdr_db=7.0)
    waves = half_waves(coded(cut)[0])
    parts = [Piles(), Piles(), Piles()]
    for k, some in enumerate((slice(None), slice(0, 100), slice(100, None))):
        parts[k].add(waves.peak[some], waves.flat[some], waves.width[some])
    parts[1].join(parts[2])
    assert parts[0].level() == parts[1].level() is not None


def test_few_half_waves_tell_nothing() -> None:
    assert Piles().level() is None
    assert not len(half_waves(np.zeros(100)).start) and not len(half_waves(np.ones(5)).start)
