"""The examiner: what it learns from, how it is cut, and how it is calibrated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from test_training import check_cuts, shake
from test_training_scenes import BANK
from wavemend.core.frames import Frames
from wavemend.damage import damages
from wavemend.errors import InputError
from wavemend.training import cases, examined
from wavemend.training.cases import ORDER, Cases, Settings
from wavemend.training.cells import Memory
from wavemend.training.networks import build
from wavemend.training.networks.examiner import (
    AGREED,
    LEVELS,
    MOVES,
    SWINGS,
    SWINGS_HZ,
    Config,
    Network,
)
from wavemend.training.recipe import read_recipe

torch.set_num_threads(1)
FRAMES = Frames(48_000, 1920, 960, 1920)
SHORT = Settings(seconds=2.0, whole=0.1)
KINDS = ("noise", "clicks", "wow")


def network() -> Network:
    made = Network(Config(KINDS, bins=96, bands=16, channels=(2, 2, 2), width=4, dilations=(1, 4)))
    shake(made)
    made.scale.data.fill_(1.0)
    made.offset.data.fill_(0.0)
    return made.eval()


def alone(kind: str, **changes: Any) -> Settings:
    weights = {other: float(other == kind) for other in ORDER}
    return Settings(seconds=2.0, whole=0.0, more=0.0, kinds=weights, **changes)


@limits(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_it_does_not_mind_how_its_frames_are_cut(cuts: list[int]) -> None:
    made = network()
    check_cuts(made, cuts, atol=2e-3)
    assert made(torch.randn(2, 7, 96, 2))[0].shape == (2, 7, len(KINDS))


def spectra_of(sound: Any) -> torch.Tensor:
    cut = np.lib.stride_tricks.sliding_window_view(np.asarray(sound, np.float32), 1920)[::960]
    return torch.view_as_real(torch.fft.rfft(torch.from_numpy(cut * FRAMES.analysis)))[None, :, :-1].float()


def risen(share: float, partials: range) -> Any:
    """Partials that all rise by `share` from frame to frame, one second."""
    time = np.arange(48_000) / 48_000
    turns = time + share * 50 / 2 * time**2
    return sum(np.sin(2 * np.pi * hz * turns + hz) for hz in partials)


@pytest.mark.parametrize("share", [1e-4, 5e-4])
def test_a_change_of_speed_is_seen_in_the_phases(share: float) -> None:
    """It is seen in every band that has a partial."""
    made, spectra = Network(Config(KINDS)), spectra_of(risen(share, range(300, 4000, 300)))
    moves = made._moves(spectra, Memory(None))[0][0, 5:].mean(dim=0).atanh() / MOVES
    loud = (spectra.square().sum(dim=3)[0] @ made.bands).mean(dim=0)
    heard = moves[loud > loud.max() / 10]
    assert len(heard) > 10
    assert float((heard / share - 1).abs().median()) < 0.25


@pytest.mark.parametrize("share", [-4e-4, 2e-4])
def test_most_bands_outvote_a_voice_that_glides_the_other_way(share: float) -> None:
    """What they agree on is told, and with less agreement than without the voice."""
    made = Network(Config(KINDS))
    alone = risen(share, range(300, 4000, 300))
    voice = 3 * risen(-4 * share, range(430, 900, 430))
    agreed = [made._moves(spectra_of(s), Memory(None))[1][0, 5:].mean(dim=0) for s in (alone, alone + voice)]
    for told in agreed:
        assert float((told[4].atanh() * AGREED[1] / share - 1).abs()) < 0.3
    assert float(agreed[0][5]) > float(agreed[1][5])


@pytest.mark.parametrize("hz", [0.6, 1.3, 4.0])
def test_a_course_that_swings_is_told_by_its_rate(hz: float) -> None:
    made, time = Network(Config(KINDS)), torch.arange(500) / 50
    rates = torch.linspace(*SWINGS_HZ, SWINGS)
    noise = torch.randn(1, 500, generator=torch.Generator().manual_seed(1))
    shares = [
        made._swings(course, Memory(None))[0, -100:, :SWINGS].mean(dim=0)
        for course in (0.3 * noise, 0.3 * noise + 0.5 * torch.sin(2 * torch.pi * hz * time + 1)[None])
    ]
    assert int(shares[1].argmax()) == int((rates - hz).abs().argmin())
    assert float(shares[1].max()) > 3 * float(shares[0].max())


@limits(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), level=st.floats(-60, 0))
def test_samples_are_had_back_from_spectra_and_their_heights_do_not_depend_on_level(
    seed: int, level: float
) -> None:
    made = Network(Config(KINDS))
    sound = np.random.default_rng(seed).normal(0, 0.1, 9600).astype(np.float32)
    sound = np.asarray(soxr.resample(soxr.resample(sound, 48_000, 24_000), 24_000, 48_000))[:9600]
    spectra = spectra_of(sound)
    had = made._samples(spectra)
    kept = sound[4 * 960 : 4 * 960 + 1920][480:1440:8]
    np.testing.assert_allclose(had[0, 4].numpy(), kept, atol=2e-3)
    spread, softer = (made._spread(s, Memory(None)) for s in (spectra, spectra * 10 ** (level / 20)))
    if level > -30:
        torch.testing.assert_close(spread, softer, atol=0.05, rtol=0)


def test_saturated_samples_crowd_below_the_highest() -> None:
    made = Network(Config(KINDS))
    sound = np.random.default_rng(1).normal(0, 0.3, 48_000)
    plain, driven = (
        made._spread(spectra_of(s), Memory(None))[0, 10:].mean(dim=0) for s in (sound, np.tanh(4 * sound))
    )
    top = slice(int(0.7 / 1.2 * LEVELS), int(1.0 / 1.2 * LEVELS))
    assert float(driven[top].mean() - plain[top].mean()) > 0.1


@limits(max_examples=20, deadline=None)
@given(index=st.integers(0, 2**40))
def test_a_case_is_a_function_of_its_index_and_can_be_written_down(index: int) -> None:
    drawn = cases.draw(BANK, SHORT, np.random.default_rng([3, index]), "train")
    case, again = Cases(BANK, SHORT, ORDER, 3)[index], cases.render(BANK, drawn)
    assert np.array_equal(case.sound, again.sound) and len(case.sound) == 96_000
    assert float(np.abs(case.sound).max()) <= 1.0 and np.isfinite(case.sound).all()
    assert set(case.holds) == {one["kind"] for one in drawn["damages"]}
    assert not case.unknown & set(case.holds)
    plain = {**drawn, "damages": [{k: v for k, v in one.items() if k != "drawn"} for one in drawn["damages"]]}
    assert json.loads(json.dumps(plain))["samples"] == 96_000


@pytest.mark.parametrize("kind", ORDER)
def test_each_kind_is_made_and_told_where(kind: str) -> None:
    whole = Settings(seconds=2.0, whole=1.0)
    made = 0
    for index in range(6):
        case = Cases(BANK, alone(kind, partial=0.0), (kind,), 5)[index]
        clean = Cases(BANK, whole, (kind,), 5)[index]
        item = Cases(BANK, alone(kind, partial=0.0), (kind,), 5).item(index, FRAMES)
        assert item["holds"].shape == item["counts"].shape == (FRAMES.count(96_000), 1)
        assert list(case.holds) == [kind] and not clean.holds
        made += bool(case.holds[kind].any())
        assert item["holds"].any() == case.holds[kind][FRAMES.hop // 2 :: FRAMES.hop].any()
    assert made >= 4


def test_a_damage_of_a_part_is_told_of_that_part_and_leaves_the_rest() -> None:
    partial, found = alone("noise", partial=1.0), 0
    for index in range(8):
        rng = np.random.default_rng([2, index])
        drawn = cases.draw(BANK, partial, rng, "train") | {"rounding": False}
        case = cases.render(BANK, drawn)
        clean = cases.render(BANK, drawn | {"damages": []})
        gate = drawn["damages"][0]["gate"]
        at, reach = gate["at"], cases.FADE
        inside = slice(0, at) if gate["before"] else slice(at + reach, None)
        outside = slice(at + reach, None) if gate["before"] else slice(0, at)
        assert case.holds["noise"][inside].all() and not case.holds["noise"][outside].any()
        a, b = case.sound[outside].astype(float), clean.sound[outside].astype(float)
        assert abs(a @ b / np.sqrt((a @ a) * (b @ b)) - 1) < 1e-6
        found += 1
    assert found == 8


def test_clicks_are_remembered_for_a_second_and_no_longer() -> None:
    region = damages["clicks"].simulate(np.zeros((1, 96_000), np.float32), cases.FORMAT, 1)[1][0]
    where = cases._where("clicks", (region,), 480_000)
    marked = np.flatnonzero(where)
    assert marked[0] == region.region.start and marked[-1] == region.region.stop + 48_000 - 1


def test_what_is_not_known_does_not_count() -> None:
    narrow, recorded = 0, 0
    for index in range(40):
        case = Cases(BANK, SHORT, ORDER, 9)[index]
        item = Cases(BANK, SHORT, ORDER, 9).item(index, FRAMES)
        for kind in case.unknown:
            assert not item["counts"][:, ORDER.index(kind)].any()
        narrow += "bandwidth" in case.unknown
        recorded += "environment" in case.holds and "noise" in case.unknown
    assert narrow and recorded


@pytest.mark.parametrize(
    ("change", "says"), [({"kinds": {"rust": 1.0}}, "no kind 'rust'"), ({"seconds": 0.1}, "0.5 to 60")]
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Settings(**change)


def test_calibration_finds_the_scale_and_offset_that_odds_were_spoilt_with() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 3, 20_000)
    held = (rng.random(len(true)) < 1 / (1 + np.exp(-true))).astype(float)
    scale, offset = examined.platt((true - 1.0) / 0.4, held)
    assert abs(scale - 0.4) < 0.03 and abs(offset - 1.0) < 0.1
    belief = 1 / (1 + np.exp(-true))
    assert examined.calibration_error(belief, held) < 0.01
    assert examined.calibration_error(np.clip(belief + 0.2, 0, 1), held) > 0.1


def test_the_area_counts_pairs_in_the_right_order() -> None:
    assert examined._area(np.array([1.0, 2, 3, 4]), np.array([0.0, 0, 1, 1])) == 1.0
    assert examined._area(np.array([1.0, 2, 3, np.nan]), np.array([1.0, 0, 1, np.nan])) == 0.5
    assert np.isnan(examined._area(np.array([1.0, 2]), np.array([1.0, 1])))


def test_the_recipe_trains_what_the_cases_make(tmp_path: Path) -> None:
    from wavemend.training.command import find_recipe

    recipe = read_recipe(find_recipe("examiner"))
    made = build(recipe.network, recipe.frames.bins, recipe.frames.sample_rate / recipe.frames.hop)
    assert set(made.kinds) == set(ORDER)  # type: ignore[union-attr]
    text = find_recipe("examiner").read_text().replace("seconds = 5.0", "secs = 5.0")
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError, match="cases: there is no 'secs'"):
        read_recipe(tmp_path / "r.toml")
