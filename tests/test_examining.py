"""What the network thinks of a recording, as stretches and as findings, whatever the cuts into blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from wavemend.core.types import Format, Samples
from wavemend.engine.calls import heard
from wavemend.engine.examining import Examination, Stretch
from wavemend.engine.overhearing import Overheard
from wavemend.restoration import examine

HOP = 960
KINDS = ("wow", "environment")


class Levels:
    """An examiner whose odds of the second kind are high in loud frames, and of the first in soft ones."""

    def __init__(self, call: int = 5) -> None:
        changes: dict[str, Any] = {"n_fft": 1920, "hop": HOP, "synthesis": 1920, "lookahead_frames": 0}
        self.card = tiny.card(task="examine", kinds=KINDS, frames_per_call=call, **changes)

    def open(self) -> Levels:
        return self

    def step(self, spectrum: Samples) -> Samples:
        power = np.square(spectrum).sum(axis=(1, 2))
        sign = np.where(power > 1.0, 1.0, -1.0)
        return np.stack((-2.0 * sign, 4.0 * sign), axis=1).astype(np.float32)


def noise(*spans: tuple[float, float], rate: int = 48_000, channels: int = 1) -> Samples:
    """Of so many seconds at such levels."""
    rng = np.random.default_rng(0)
    parts = [level * rng.standard_normal((channels, round(s * rate))) for s, level in spans]
    return np.concatenate(parts, axis=1).astype(np.float32)


def stretches(sound: Samples, rate: int = 48_000, cuts: tuple[int, ...] = (), call: int = 5) -> list[Any]:
    examination = Examination(Format(rate, len(sound)), Levels(call))  # type: ignore[arg-type]
    for block in np.split(sound, sorted(min(cut, sound.shape[1]) for cut in cuts), axis=1):
        examination.push(block)
    return examination.finish()


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 48_000 * 13), max_size=4), rate=st.sampled_from((48_000, 44_100, 16_000)))
def test_any_cut_into_blocks_gives_the_same(cuts: list[int], rate: int) -> None:
    sound = noise((8.0, 0.3), (5.5, 0.02), rate=rate, channels=2)
    whole, parts = stretches(sound, rate), stretches(sound, rate, tuple(cuts))
    assert [(s.start, s.stop) for s in whole] == [(s.start, s.stop) for s in parts]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.odds, other.odds, atol=1e-6)
    assert whole[0].start == 0 and whole[-1].stop == sound.shape[1]
    assert whole[0].stop == whole[1].start == 10 * rate


def test_stretches_tile_the_recording_and_a_short_end_joins_the_one_before() -> None:
    assert [s.stop for s in stretches(noise((12.0, 0.1)))] == [12 * 48_000]
    assert [s.stop for s in stretches(noise((14.0, 0.1)))] == [480_000, 14 * 48_000]
    assert [s.stop for s in stretches(noise((2.0, 0.1)))] == [2 * 48_000]
    assert stretches(np.zeros((1, 0), np.float32)) == []


def test_of_a_long_recording_every_other_five_seconds_are_heard() -> None:
    heard = stretches(noise((80.0, 0.1)))
    assert [round(s.seconds) for s in heard] == [10] * 6 + [5, 5]
    odd = stretches(noise((65.0, 0.3), (5.0, 0.01), (5.0, 0.3), (5.0, 0.01)))  # what is skipped has no say
    assert odd[6].odds[1] == pytest.approx(4.0) and odd[7].odds[1] == pytest.approx(4.0)


@pytest.mark.parametrize("level", [1e-45, 1e-40, 1e-38, 1e-20, 1.0])
@pytest.mark.parametrize("other", [1.0, -1.0, -0.999])
def test_channels_that_cancel_or_are_next_to_nothing_have_a_spectrum(level: float, other: float) -> None:
    one = (level * np.exp(1j * np.arange(12))).astype(np.complex64)[np.newaxis]
    with np.errstate(all="raise", under="ignore"):
        both = heard(np.stack((one, (other * one).astype(np.complex64))))
    assert np.isfinite(both).all()
    np.testing.assert_allclose(np.abs(both), np.abs(one) * np.sqrt((1 + other**2) / 2), rtol=1e-3, atol=1e-18)


def test_silence_says_nothing() -> None:
    silent = stretches(noise((10.0, 0.3), (10.0, 0.0)))
    assert silent[0].seconds == pytest.approx(10.0, abs=0.1) and silent[1].seconds < 0.1
    faint = stretches(noise((5.0, 0.3), (5.0, 1e-4)))
    assert faint[0].seconds == pytest.approx(5.0, abs=0.1)


def found(monkeypatch: pytest.MonkeyPatch, sound: Samples, kinds: tuple[str, ...] = KINDS) -> list[Any]:
    monkeypatch.setattr(examine.Model, "load", lambda name: Levels())
    monkeypatch.setattr(examine, "OVERHEARD", ("nobody",))
    examiner = examine.Examiner(Format(48_000, 1), kinds)
    examiner.push(sound)
    return list(examiner.finish())


def test_neighbours_are_one_finding_as_sure_as_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = noise((20.0, 0.3), (10.0, 0.01), (10.0, 0.3))
    findings = found(monkeypatch, sound)
    places = [(f.damage, f.region.start // 480_000, f.region.stop // 480_000) for f in findings]
    assert places == [("wow", 2, 3), ("environment", 0, 2), ("environment", 3, 4)]
    assert all(f.region.channels is None and 0 < f.severity <= 1 for f in findings)
    assert findings[1].confidence == pytest.approx(1 / (1 + np.exp(-4)), abs=0.01)
    assert findings[0].severity < findings[1].severity


def test_what_is_not_likely_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for odds, said in (
        ((0.8, 0.8), set()),  # beliefs of 0.69
        ((0.9, 0.8), {"wow"}),  # 0.71
        ((0.8, 0.9), {"environment"}),
    ):
        monkeypatch.setattr(Levels, "step", lambda self, spectrum, of=odds: np.full((5, 2), of, np.float32))
        assert {f.damage for f in found(monkeypatch, noise((10.0, 0.3)))} == said


def test_only_the_kinds_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {f.damage for f in found(monkeypatch, noise((10.0, 0.3)), ("wow",))} == set()
    assert {f.damage for f in found(monkeypatch, noise((10.0, 0.3)), ("environment",))} == {"environment"}


def test_numbers_that_are_no_sound_are_borne() -> None:
    examiner = examine.Examiner(Format(44_100, 2), ("coding",))
    examiner.push(np.float32(1e30) * noise((3.0, 1.0), rate=44_100, channels=2))
    assert all(0 <= f.confidence <= 1 for f in examiner.finish())


def test_of_next_to_nothing_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not found(monkeypatch, noise((1.0, 0.3)))
    assert found(monkeypatch, noise((2.0, 0.3)))


def test_what_is_overheard_under_speech_decides_where_it_is_plain() -> None:
    spans = [Stretch(k * 480_000, (k + 1) * 480_000, np.zeros(2), 10.0) for k in range(9)]
    odds = np.array([0.5] * 9)
    heard = [
        Overheard(0, 1_440_000, -8.0),  # much lies under the speech
        Overheard(1_440_000, 2_880_000, -45.0),  # nothing does
        Overheard(2_880_000, 4_320_000, None),  # no speech, or not alone
    ]
    new = examine._reconsidered(spans, odds, heard)
    assert (new[:3] == examine.MOST_ODDS).all()
    assert (new[3:6] == examine.NONE_ODDS).all() and (new[6:] == 0.5).all()
    between = examine._reconsidered(spans, odds, [Overheard(0, 4_320_000, -24.0)])
    np.testing.assert_array_equal(between, odds)  # the network's own belief stays
    silent = examine._reconsidered(spans, np.full(9, -np.inf), heard)
    assert np.isinf(silent).all()


def test_without_a_network_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "models", lambda: ("ear",))
    assert examine.learned(KINDS) == []
    monkeypatch.setattr(examine, "models", lambda: ("ear", "examiner"))
    monkeypatch.setattr(examine.Model, "load", lambda name: Levels())
    monkeypatch.setattr(examine, "OVERHEARD", ("nobody",))
    assert examine.learned(("hum", "wow")) == ["wow"]
    monkeypatch.setattr(examine, "find_spec", lambda name: None)
    assert examine.learned(("hum", "wow")) == []
