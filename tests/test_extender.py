"""A network that extends bands: what it learns from, what its answers cost, and that it learns."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from contract import music
from test_training import shake, toml
from test_training_scenes import BANK
from wavemend.core.card import read_card
from wavemend.core.frames import Frames
from wavemend.core.translation import QUIET, SPACING
from wavemend.core.types import Format
from wavemend.engine.model import Model
from wavemend.errors import InputError
from wavemend.training import bands, command, loop
from wavemend.training.bands import Bands, Settings
from wavemend.training.extended import BEL, distance
from wavemend.training.networks import build
from wavemend.training.networks.upper import PAIR, Config, Network
from wavemend.training.recipe import read_recipe
from wavemend.training.transform import Transform

torch.set_num_threads(1)
FRAMES = Frames(48_000, 1024, 256, 1024)
SHORT = Settings(seconds=1.0)
TINY: dict[str, Any] = {
    "seed": 1,
    "model": {"name": "little", "title": "A very small extender", "frames_per_call": 4},
    "frames": {"sample_rate": 48_000, "n_fft": 1024, "hop": 256, "synthesis": 1024},
    "network": {"kind": "upper", "width": 16, "dilations": [1, 2], "ahead": 2},
    "data": {"licence": "not stated"},
    "bands": {"seconds": 1.0, "wide": 0.0, "hiss": 0.0},
    "run": {"batch": 4, "steps": 50, "rate": 1e-2, "warmup": 5, "validate": 25, "validation_scenes": 8}
    | {"workers": 0, "ema": 0.9},
}


def network(ahead: int = 4) -> Network:
    made = Network(Config(bins=512, width=8, dilations=(1, 2), ahead=ahead))
    shake(made)
    return made.eval()


@limits(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=5), edge=st.integers(90, 500))
def test_it_does_not_mind_how_its_frames_are_cut(cuts: list[int], edge: int) -> None:
    made, cuts = network(), [PAIR * cut for cut in cuts]
    spectra = torch.randn(2, sum(cuts), 512, 2)
    spectra[:, :, edge:] = 0
    with torch.no_grad():
        whole, _ = made(spectra)
        state, parts = torch.zeros(2, made.state_size()), []
        for part in spectra.split(cuts, dim=1):
            answer, state = made(part, state)
            parts.append(answer)
    assert whole.shape == (2, sum(cuts), 512 // SPACING)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-3, rtol=1e-4)


def test_it_hears_as_far_ahead_as_it_says_and_no_further() -> None:
    made = network(ahead=4)
    spectra = torch.randn(1, 40, 512, 2)
    other = spectra.clone()
    other[:, 24:] *= 3
    with torch.no_grad():
        differs = (made(spectra)[0] != made(other)[0]).any(dim=2)[0]
    assert not differs[:24].any() and differs[24:].any()


def test_levels_go_with_the_level_just_below_the_end() -> None:
    """With all weights at nothing, a sound ten times as loud has an upper band ten times as loud."""
    made = Network(Config(bins=512, width=8, dilations=(1,), ahead=0)).eval()
    torch.nn.init.zeros_(made.out.weight)
    spectra = torch.randn(1, 4, 512, 2)
    spectra[:, :, 200:] = 0
    quiet, loud = made(spectra)[0], made(10 * spectra)[0]
    torch.testing.assert_close(loud - quiet, torch.full_like(loud, 2 * BEL), atol=1e-3, rtol=0)


class Knows(Network):
    """Answers what it is told to."""

    answer: torch.Tensor

    def forward(self, spectrum: Any, state: Any = None) -> Any:
        return self.answer[:, : spectrum.shape[1]], state


def batch(noise: np.ndarray, end: int) -> dict[str, Any]:
    gains = np.ones(512, np.float32)
    gains[200:] = 0
    given = {"mixture": noise, "gains": gains, "cut": 200, "end": end}
    return {name: torch.as_tensor(np.asarray(value))[None] for name, value in given.items()}


def test_the_distance_is_that_of_the_field_above_the_end_and_below_the_truth() -> None:
    noise = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    transform = Transform(FRAMES, torch.device("cpu"))
    made = Knows(Config(bins=512, width=8, dilations=(1,), ahead=0))
    truth = transform.analyse(torch.from_numpy(noise)[None])
    log = (truth.square().sum(dim=3) + QUIET).log()
    made.answer = torch.full((1, log.shape[1], 64), 1.0)
    each = distance(batch(noise, 400), transform, made)
    expected = ((log[:, ::3, 200:400] - 1.0) / BEL).square().mean(dim=2).sqrt()
    torch.testing.assert_close(each, expected, atol=1e-3, rtol=0)
    made.answer[:, :, 53:] = 99.0  # above the truth nothing counts
    torch.testing.assert_close(distance(batch(noise, 400), transform, made), each)
    made.answer[:, :, 40:] = 99.0
    assert distance(batch(noise, 400), transform, made).mean() > each.mean() + 1
    assert distance(batch(noise, 200), transform, made).isnan().all()


@limits(max_examples=20, deadline=None)
@given(index=st.integers(0, 2**40))
def test_an_example_is_a_function_of_its_index_and_can_be_written_down(index: int) -> None:
    drawn = bands.draw(BANK, SHORT, np.random.default_rng([3, index]), "train")
    band, again = Bands(BANK, SHORT, 3)[index], bands.render(BANK, json.loads(json.dumps(drawn)))
    assert np.array_equal(band.sound, again.sound) and len(band.sound) == 48_000
    assert np.isfinite(band.sound).all() and float(np.abs(band.sound).max()) <= 1.0
    assert 2_000 <= band.cutoff_hz <= 16_000 and band.true_hz <= 24_000


def test_an_item_ends_where_it_says() -> None:
    for index in range(20):
        item, band = Bands(BANK, SHORT, 3).item(index, FRAMES), Bands(BANK, SHORT, 3)[index]
        assert not item["gains"][item["cut"] :].any() and item["gains"][item["cut"] - 1] > 0
        assert abs(item["cut"] * 48_000 / 1024 - band.cutoff_hz) < 50
        assert abs(item["end"] * 48_000 / 1024 - band.true_hz) < 50
        assert item["gains"].max() <= 1


def test_sources_are_true_to_where_the_recipe_says() -> None:
    source = BANK.entries("music", "train")[0].source
    told = replace(SHORT, targets={"music": 1.0}, behind=0.0, true_to_hz={source: 9_000.0})
    reach = [Bands(BANK, told, 1)[k].true_hz for k in range(20)]
    other = [Bands(BANK, replace(told, true_to_hz={}), 1)[k].true_hz for k in range(20)]
    assert 9_000.0 in reach and 9_000.0 not in other  # others differ by their speed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"targets": {"birds": 1.0}}, "no target 'birds'"),
        ({"seconds": 0.1}, "0.5 to 60"),
        ({"cutoff_hz": (9e3, 5e3)}, "must rise"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Settings(**change)


def test_ten_files_teach_a_tiny_network_something(tmp_path: Path) -> None:
    data = tmp_path / "ten"
    data.mkdir()
    for k in range(10):
        soundfile.write(data / f"{k}.wav", music(Format(48_000, 1), 72_000, k)[0], 48_000)
    path = tmp_path / "recipe.toml"
    path.write_text(toml(TINY), encoding="utf-8")
    _, model, card = command.train(path, [data], tmp_path / "out", threads=1)
    with (tmp_path / "out" / "log.csv").open() as file:
        total = [float(row["total"]) for row in csv.DictReader(file)]
    assert len(total) == 50 and np.mean(total[-10:]) < 0.8 * np.mean(total[:10])
    assert card.task == "extend" and card.figures["music_lsd"] > 0 and read_card(model.with_suffix(".json"))
    recipe = read_recipe(path)
    made = build(recipe.network, 512, 48_000 / 256).eval()
    made.load_state_dict(loop.load(tmp_path / "out" / loop.BEST)["average"])
    spectra = np.random.default_rng(2).standard_normal((12, 512, 2)).astype(np.float32)
    spectra[:, 150:] = 0
    with torch.no_grad():
        expected = made(torch.from_numpy(spectra)[None])[0][0].numpy()
    running = Model.load(str(model)).open()
    levels = np.concatenate([running.step(spectra[k : k + 4]) for k in range(0, 12, 4)])
    np.testing.assert_allclose(levels, expected, atol=2e-2)  # the file's weights have half the bits


def test_the_recipe_is_that_of_the_shipped_network() -> None:
    recipe = read_recipe(command.find_recipe("upper"))
    made = build(recipe.network, recipe.frames.bins, recipe.frames.sample_rate / recipe.frames.hop)
    assert made.task == "extend" and recipe.frames.n_fft == 4 * recipe.frames.hop
