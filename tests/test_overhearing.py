"""What lies under speech is what a denoiser takes away; of each half minute some seconds are heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from test_hearing import Loud, levels
from wavemend.core.types import Format, Samples
from wavemend.engine.model import Model
from wavemend.engine.overhearing import Background, Overheard

RATE = 48_000
SOFT = 0.02  # speech, to the listener of these tests; 1.0 is music


def heard(folder: Path, sound: Samples, cuts: list[int] | None = None, gain: float = 0.5) -> list[Overheard]:
    denoiser = Model.load(str(tiny.write(folder, fixed=gain)))
    background = Background(Format(RATE, len(sound)), denoiser, Loud())  # type: ignore[arg-type]
    for block in np.split(sound, sorted(min(cut, sound.shape[1]) for cut in cuts or []), axis=1):
        background.push(block)
    return background.finish()


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0])
def test_it_is_the_energy_that_is_taken_re_what_is_left(tmp_path: Path, gain: float) -> None:
    [one] = heard(tmp_path, levels((6.0, SOFT)), gain=gain)
    assert (one.start, one.stop) == (0, 6 * RATE)
    expected = 20 * np.log10((1 - gain) / gain) if gain < 1 else -120.0
    assert one.removed_db is not None
    assert one.removed_db == pytest.approx(expected, abs=0.1) if gain < 1 else one.removed_db < -60


def test_how_far_it_goes_up_and_down_is_said(tmp_path: Path) -> None:
    [steady] = heard(tmp_path, levels((5.0, SOFT)))
    [moving] = heard(tmp_path, levels((2.0, SOFT), (1.0, SOFT / 10), (2.0, SOFT)))
    assert steady.spread_db < 1.0
    assert moving.spread_db == pytest.approx(20.0, abs=1.5)


def test_music_silence_and_scraps_tell_nothing(tmp_path: Path) -> None:
    for sound in (levels((6.0, 1.0)), np.zeros((1, 6 * RATE), np.float32), levels((1.0, SOFT))):
        assert [one.removed_db for one in heard(tmp_path, sound)] == [None]
    assert heard(tmp_path, np.zeros((1, 0), np.float32)) == []


def test_sound_is_waited_for_and_half_minutes_tile_the_recording(tmp_path: Path) -> None:
    sound = levels((20.0, 0.0), (10.0, SOFT), (30.0, 0.0), (7.0, SOFT))
    found = heard(tmp_path, sound)
    assert [(one.start, one.stop) for one in found] == [
        (0, 30 * RATE),
        (30 * RATE, 60 * RATE),
        (60 * RATE, 67 * RATE),
    ]
    assert [one.removed_db is None for one in found] == [False, True, False]
    assert len(heard(tmp_path, levels((30.0, SOFT)))) == 1


@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(0, 35 * RATE), max_size=5))
def test_any_cut_into_blocks_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("overheard")
    sound = np.repeat(levels((3.2, 0.0), (4.0, SOFT), (24.0, 0.0), (3.0, SOFT)), 2, axis=0)
    assert heard(folder, sound, cuts) == heard(folder, sound)
