"""Lattices of coders are found in what the coders give back, and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core import coders
from wavemend.core.io import open_reader
from wavemend.core.types import Finding, Format, Region
from wavemend.damage.coding import DAMAGE, FRAME
from wavemend.restoration.diagnose import diagnose, settled

RATE = 44_100
MONO = Format(RATE, 1)


def sound(seconds: float = 4.0, seed: int = 3, rate: int = RATE) -> np.ndarray:
    """Pink noise that swells, with a few gliding tones: (1, samples)."""
    rng, count = np.random.default_rng(seed), round(seconds * rate)
    hz = np.fft.rfftfreq(count, 1 / rate)
    pink = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * np.maximum(hz / 60, 1) ** -0.6, count)
    time = np.arange(count) / rate
    tones = sum(np.sin(2 * np.pi * (f * time + 20 * np.sin(3 * time))) for f in (220.0, 950.0, 3100.0))
    out = 0.05 * pink / pink.std() * (1.2 + np.sin(2 * time)) + 0.03 * tones
    return out[np.newaxis].astype(np.float32)


def coded(samples: np.ndarray, kind: str, subtype: str, level: float) -> np.ndarray:
    """What a real coder makes of it, on the grid of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, samples.T, RATE, format=kind, subtype=subtype, compression_level=level)
    file.seek(0)
    back, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return (np.round(back.T * 32768) / 32768).astype(np.float32)


CODERS = [
    ("MP3", "MPEG_LAYER_III", 0.7, 576),
    ("OGG", "VORBIS", 0.5, 1024),
]


@pytest.mark.parametrize(("kind", "subtype", "level", "frame"), CODERS)
def test_real_coders_leave_their_lattice(kind: str, subtype: str, level: float, frame: int) -> None:
    given = coded(sound(), kind, subtype, level)
    (whole,) = DAMAGE.detect(given, MONO)
    assert whole.measures[FRAME] == frame and whole.confidence > 0.95
    starts = whole.measures["frame_starts"]
    assert isinstance(starts, float)
    for cut in (1, 411, 5000):
        (part,) = DAMAGE.detect(given[:, cut:], MONO)
        step = 64 if kind == "OGG" else frame
        assert part.measures["frame_starts"] == (starts - cut) % step


@pytest.mark.parametrize("seed", range(12))
def test_what_was_never_coded_shows_none(seed: int) -> None:
    assert DAMAGE.detect(sound(seed=seed), MONO) == ()


def test_another_sample_rate_hides_it() -> None:
    given = coded(sound(), "MP3", "MPEG_LAYER_III", 0.7)
    moved = soxr.resample(given[0], RATE, 48_000)[np.newaxis].astype(np.float32)
    assert DAMAGE.detect(moved, Format(48_000, 1)) == ()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 2000), st.sampled_from((16_000, 32_000, 48_000)))
def test_the_simulated_coder_is_found_wherever_it_is_cut(seed: int, cut: int, rate: int) -> None:
    format = Format(rate, 1)
    damaged, _ = DAMAGE.simulate(sound(seed=seed, rate=rate), format, seed, kbps=64.0)
    (found,) = DAMAGE.detect(damaged[:, cut:], format)
    frame = found.measures[FRAME]
    assert frame in (576, 1024) and found.measures["frame_starts"] == -cut % frame


def test_of_a_long_recording_the_coded_part() -> None:
    clean = sound(130.0)
    clean[:, 70 * RATE :] = DAMAGE.simulate(clean[:, 70 * RATE :], MONO, 1)[0]
    (found,) = DAMAGE.detect(clean, MONO)
    assert found.region == Region(65 * RATE, 130 * RATE)
    whole, _ = DAMAGE.simulate(sound(130.0), MONO, 1)
    (found,) = DAMAGE.detect(whole, MONO)
    assert found.region == Region(0, 130 * RATE)


def test_less_is_emptied_at_higher_rates_and_that_is_less_severe() -> None:
    found = [
        DAMAGE.detect(DAMAGE.simulate(sound(), MONO, 1, kbps=kbps)[0], MONO)[0] for kbps in (32, 64, 128)
    ]
    severities = [one.severity for one in found]
    assert severities == sorted(severities, reverse=True) and severities[0] > 2 * severities[2]


def test_the_filters_of_mp3_keep_the_sound() -> None:
    """What they give makes the sound again, which a wrong number in their table would not let it."""
    sent = np.random.default_rng(1).standard_normal(20 * coders.TAPS)
    filters = coders._filters().astype(np.float64)
    got = np.zeros(len(sent))
    for at in range(0, len(sent) - coders.TAPS, coders.BANDS):
        got[at : at + coders.TAPS] += filters @ (filters.T @ sent[at : at + coders.TAPS])
    wanted, given = sent[coders.TAPS : -2 * coders.TAPS], got[coders.TAPS : -2 * coders.TAPS]
    error = given * (wanted @ given) / (given @ given) - wanted
    assert 10 * np.log10(np.mean(error**2) / np.mean(wanted**2)) < -84


def test_a_lossy_file_says_so_itself(tmp_path: Path) -> None:
    given = sound()
    for name, kind, subtype in (("a.mp3", "MP3", "MPEG_LAYER_III"), ("a.ogg", "OGG", "VORBIS")):
        soundfile.write(tmp_path / name, given.T, RATE, format=kind, subtype=subtype)
        with open_reader(tmp_path / name) as reader:
            found = diagnose(reader, ("coding",))
        assert not any(FRAME in finding.measures for finding in found)
    soundfile.write(tmp_path / "a.wav", coded(given, "MP3", "MPEG_LAYER_III", 0.7).T, RATE)
    with open_reader(tmp_path / "a.wav") as reader:
        assert [FRAME in finding.measures for finding in diagnose(reader, ("coding",))] == [True]


def test_the_coder_that_is_found_explains_what_is_heard() -> None:
    whole = Region(0, 100)
    lattice = Finding("coding", whole, 0.5, 0.95, {FRAME: 576.0})
    heard = Finding("coding", whole, 0.5, 0.8, {"log_odds": 2.0})
    assert settled([heard, lattice], MONO) == (lattice,)
    assert settled([heard], MONO) == (heard,)
    elsewhere = Finding("coding", Region(0, 200), 0.5, 0.8, {"log_odds": 2.0})
    assert settled([elsewhere, lattice], MONO) == (lattice, elsewhere)
