"""Holes and silence: found to the sample, told from pauses, fades and steps, and filled."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import damages
from wavemend.engine.stream import run
from wavemend.repairs import repairs

MONO, STEREO = Format(48_000, 1), Format(48_000, 2)


def steady(format: Format, samples: int) -> Samples:
    """A chord that goes on, over a low floor of noise."""
    time = np.arange(samples) / format.sample_rate
    rng = np.random.default_rng(5)
    chord = sum(
        np.sin(2 * np.pi * f * time + p) / k
        for k, (f, p) in enumerate(((220, 0), (277, 1), (331, 2), (1320, 3)), 1)
    )
    rows = [
        0.2 * chord * g + 1e-4 * rng.standard_normal(samples) for g in np.linspace(1, 0.6, format.channels)
    ]
    return np.array(rows, np.float32)


def holed(sound: Samples, start: int, stop: int, value: float = 0.0) -> Samples:
    out = sound.copy()
    out[:, start:stop] = value
    return out


def snr_db(truth: Samples, guess: Samples) -> float:
    return float(10 * np.log10(np.sum(truth.astype(float) ** 2) / np.sum((truth.astype(float) - guess) ** 2)))


@pytest.mark.parametrize("length", [48, 480, 4_800, 15_000])
def test_a_hole_is_found_to_the_sample(length: int) -> None:
    damaged = holed(steady(STEREO, 96_000), 40_000, 40_000 + length)
    (found,) = damages["dropouts"].detect(damaged, STEREO)
    assert found.region == Region(40_000, 40_000 + length)
    assert damages["silence"].detect(damaged, STEREO) == ()


@pytest.mark.parametrize("length", [1_600, 4_800, 15_000, 40_000])
def test_a_torn_tape_that_hisses_on_is_found(length: int) -> None:
    damaged = steady(STEREO, 144_000)
    hiss = 1e-4 * np.random.default_rng(2).standard_normal((2, length))
    damaged[:, 50_000 : 50_000 + length] = hiss
    kind, other = ("dropouts", "silence") if length < 19_200 else ("silence", "dropouts")
    (found,) = damages[kind].detect(damaged, STEREO)
    assert abs(found.region.start - 50_000) <= 20 and abs(found.region.stop - 50_000 - length) <= 20
    assert 0.5 < found.confidence < 0.95
    assert damages[other].detect(damaged, STEREO) == ()


def test_hiss_as_loud_as_quiet_sound_is_no_hole() -> None:
    damaged = steady(MONO, 96_000)
    damaged[:, 50_000:60_000] = 2e-3 * np.random.default_rng(2).standard_normal((1, 10_000))
    assert damages["dropouts"].detect(damaged, MONO) == ()


def test_a_hole_in_one_channel_is_that_channels() -> None:
    damaged = steady(STEREO, 96_000)
    damaged[1, 40_000:40_500] = 0
    assert [f.region for f in damages["dropouts"].detect(damaged, STEREO)] == [Region(40_000, 40_500, (1,))]


def test_a_long_hole_is_silence_and_no_dropout() -> None:
    damaged = holed(steady(MONO, 144_000), 40_000, 80_000)
    assert damages["dropouts"].detect(damaged, MONO) == ()
    (found,) = damages["silence"].detect(damaged, MONO)
    assert found.region == Region(40_000, 80_000)


@settings(max_examples=25, deadline=None)
@given(st.integers(30_000, 40_000), st.integers(40, 4000), st.sampled_from((1.0, 0.3, 0.1)))
def test_a_hole_is_found_wherever_the_wave_stands(start: int, length: int, gain: float) -> None:
    """Also where it passes through zero, and where it goes on no louder than it was."""
    damaged = np.round(holed(gain * steady(MONO, 96_000), start, start + length) * 32768) / 32768
    (found,) = damages["dropouts"].detect(damaged.astype(np.float32), MONO)
    assert abs(found.region.start - start) <= 2 and abs(found.region.stop - start - length) <= 2


def test_most_simulated_dropouts_are_found() -> None:
    clean = steady(MONO, 10 * 48_000)
    damaged, truth = damages["dropouts"].simulate(clean, MONO, seed=1, rate_per_s=3.0)
    found = damages["dropouts"].detect(damaged, MONO)
    exact = [
        t
        for t in truth
        if any(abs(f.region.start - t.region.start) + abs(f.region.stop - t.region.stop) <= 1 for f in found)
    ]
    assert len(exact) >= 0.8 * len(truth) > 8
    assert len(found) <= len(truth)


def pause(sound: Samples, fade: int) -> Samples:
    """The sound dies away over `fade` samples, is silent, and comes back as it went."""
    gain = np.ones(sound.shape[1])
    gain[40_000 - fade : 40_000] = np.linspace(1, 0, fade) ** 2
    gain[40_000:44_000] = 0
    gain[44_000 : 44_000 + fade] = np.linspace(0, 1, fade) ** 2
    return (sound * gain).astype(np.float32)


def rest(sound: Samples, decay: int) -> Samples:
    """A rest in music: the sound dies away by itself, hiss stays, and a note begins all at once."""
    gain = np.ones(sound.shape[1])
    gain[36_000:60_000] = np.exp(-np.arange(24_000) / decay)
    return (sound * gain + 1e-4 * np.random.default_rng(1).standard_normal(sound.shape)).astype(np.float32)


@pytest.mark.parametrize("damage", ["dropouts", "silence"])
def test_what_is_no_hole_is_not_found(damage: str) -> None:
    sound = steady(MONO, 96_000)
    square = (
        np.sign(np.sin(2 * np.pi * 110 * np.arange(96_000) / 48_000))[np.newaxis].astype(np.float32) * 0.3
    )
    for clean in (
        sound,
        music(MONO, 96_000),
        pause(sound, 960),
        pause(sound, 9_600),
        holed(sound, 0, 20_000),
        holed(sound, 70_000, 96_000),
        square,
        np.clip(sound, -0.2, 0.2),
        np.round(sound * 40) / 40 * np.float32(0.01),
        np.zeros_like(sound),
        rest(sound, 960),
        rest(sound, 9_600),
    ):
        assert damages[damage].detect(clean.astype(np.float32), MONO) == ()


@pytest.mark.parametrize(("length", "least"), [(240, 40.0), (960, 30.0), (2_400, 20.0)])
def test_a_steady_chord_is_filled(length: int, least: float) -> None:
    clean = steady(MONO, 60_000)
    region = Region(30_000, 30_000 + length)
    damaged = holed(clean, region.start, region.stop, 0.3)
    out = run(repairs["fill"].open(MONO, [Finding("dropouts", region, 0.5, 1.0)]), damaged)
    assert snr_db(clean[:, region.start : region.stop], out[:, region.start : region.stop]) > least


def test_a_hole_beside_another_is_not_filled_from_it() -> None:
    clean = steady(MONO, 60_000)
    damaged = holed(holed(clean, 30_000, 30_200, 0.9), 30_600, 30_900, -0.9)
    findings = [Finding("dropouts", Region(a, b), 0.5, 1.0) for a, b in ((30_000, 30_200), (30_600, 30_900))]
    out = run(repairs["fill"].open(MONO, findings), damaged)
    assert snr_db(clean[:, 30_000:30_900], out[:, 30_000:30_900]) > 20


@given(st.integers(0, 30_000), st.integers(1, 1_500), st.lists(st.integers(0, 30_000), max_size=3))
@settings(max_examples=10, deadline=None)
def test_any_hole_may_be_filled_and_nothing_else_changes(start: int, length: int, cuts: list[int]) -> None:
    clean = music(MONO, 30_001)
    region = Region(start, min(start + length, 30_001))
    stream = repairs["fill"].open(MONO, [Finding("dropouts", region, 0.5, 1.0)], order=64, context_ms=20)
    edges = [0, *sorted(cuts), 30_001]
    parts = [stream.push(clean[:, a:b]) for a, b in pairwise(edges)]
    out = np.concatenate([*parts, stream.flush()], axis=1)
    assert np.array_equal(out[:, : region.start], clean[:, : region.start])
    assert np.array_equal(out[:, region.stop :], clean[:, region.stop :])
    assert np.isfinite(out).all() and np.abs(out).max() <= 1.01


def test_longer_than_the_longest_is_left_alone_and_parameters_matter() -> None:
    clean = music(MONO, 96_000)
    finding = Finding("dropouts", Region(40_000, 42_500), 0.5, 1.0)
    damaged = holed(clean, 40_000, 42_500)
    usual = run(repairs["fill"].open(MONO, [finding]), damaged)
    assert not np.array_equal(usual, damaged)
    assert np.array_equal(run(repairs["fill"].open(MONO, [finding], longest_ms=50), damaged), damaged)
    for option in ({"order": 32}, {"context_ms": 20.0}):
        assert not np.array_equal(run(repairs["fill"].open(MONO, [finding], **option), damaged), usual)
