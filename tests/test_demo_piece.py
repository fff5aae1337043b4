"""The demo piece: in tune, in time, the same every time, clean before it is aged and damaged after."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from wavemend.core.types import Format, Samples
from wavemend.damage import damages


def load() -> ModuleType:
    path = Path(__file__).parents[1] / "examples" / "make_piece.py"
    spec = importlib.util.spec_from_file_location("make_piece", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_piece"] = module
    spec.loader.exec_module(module)
    return module


make_piece = load()


@pytest.fixture(scope="module")
def clean() -> Samples:
    piece: Samples = make_piece.make_piece()
    return piece


def test_every_bar_has_three_quarters() -> None:
    for score in (make_piece.MELODY, make_piece.BASS):
        bars = [bar.split() for bar in score.split("|") if bar.strip()]
        assert len(bars) == make_piece.BARS
        assert all(sum(float(length) for length in bar[1::2]) == 3.0 for bar in bars)


@pytest.mark.parametrize("name", ["g2", "b3", "a4", "g5"])
def test_strings_are_in_tune(name: str) -> None:
    pitch = make_piece.pitch_hz(name)
    tone = make_piece.pluck(make_piece.Note(0, 1, pitch, 0.7), 1.5, np.random.default_rng(1))
    size = 16 * len(tone)
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), size))
    frequency = np.fft.rfftfreq(size, 1 / make_piece.RATE)
    near = abs(frequency / pitch - 1) < 0.03
    heard = frequency[near][np.argmax(spectrum[near])]
    assert abs(1200 * np.log2(heard / pitch)) < 3  # cents
    assert make_piece.pitch_hz("a4") == 440


def test_piece_is_the_same_every_time(clean: Samples) -> None:
    assert np.array_equal(make_piece.make_piece(), clean)
    assert clean.shape == (2, round(make_piece.SECONDS * make_piece.RATE)) and clean.dtype == np.float32
    assert np.abs(clean).max() == pytest.approx(0.7)
    assert not np.array_equal(clean[0], clean[1])
    last = np.abs(clean[:, -1000:]).max()
    assert last < 1e-3, "the last chord is cut off"


def test_clean_piece_is_clean(clean: Samples) -> None:
    found = [f for d in damages.values() if d.detector for f in d.detect(clean, Format(make_piece.RATE, 2))]
    assert found == []


def test_folder_holds_both_files_and_the_truth(tmp_path: Path, clean: Samples) -> None:
    make_piece.main(tmp_path / "demo")
    truth = json.loads((tmp_path / "demo" / "truth.json").read_text(encoding="utf-8"))
    assert [entry["damage"] for entry in truth] == [kind for kind, _ in make_piece.AGEING]
    assert all(f["region"]["stop"] <= clean.shape[1] for entry in truth for f in entry["findings"])
    sounds = []
    for name in ("clean", "aged"):
        path = tmp_path / "demo" / f"{name}.wav"
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (make_piece.RATE, 2, "PCM_24")
        sounds.append(soundfile.read(path, dtype="float32")[0].T)
    assert np.abs(sounds[1]).max() < 1.0
    error = sounds[1] - sounds[0]
    assert 3 < 10 * np.log10((sounds[0] ** 2).sum() / (error**2).sum()) < 20
