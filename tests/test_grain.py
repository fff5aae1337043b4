"""The network that weighs: how far it hears, what it learns from, and that it learns."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from test_training import shake
from test_training_scenes import BANK
from wavemend.core.frames import Frames
from wavemend.core.types import Format
from wavemend.engine.model import Model, weighed
from wavemend.errors import InputError
from wavemend.training import command, grains
from wavemend.training.grains import Grains, Settings
from wavemend.training.networks.grain import Config, Network
from wavemend.training.recipe import read_recipe
from wavemend.training.weighed import left_db

torch.set_num_threads(1)
FRAMES = Frames(48_000, 1920, 960, 1920)
SHORT = Settings(seconds=1.0, bins=80)
SMALL = Config(bins=96, width=6, dilations=((1, 1), (2, 1)))


def shaken() -> Network:
    network = Network(SMALL).eval()
    shake(network)
    return network


def test_it_hears_as_far_to_both_sides_as_it_says() -> None:
    network, over = shaken(), torch.rand(1, 40, 96) * 10
    other = over.clone()
    other[:, 20:22] += 50.0
    with torch.no_grad():
        changed = (network(over) != network(other)).any(dim=2)[0].nonzero().flatten()
    assert network.reach == 8
    assert int(changed[0]) == 20 - network.reach and int(changed[-1]) == 21 + network.reach


@settings(max_examples=20, deadline=None)
@given(pairs=st.integers(1, 8), groups=st.integers(1, 20), level=st.floats(-6, 9))
def test_gains_are_shares_of_stretches_of_any_size(pairs: int, groups: int, level: float) -> None:
    with torch.no_grad():
        gains = shaken()(torch.rand(2, 2 * pairs, 4 * groups) * 10**level)
    assert gains.shape == (2, 2 * pairs, 4 * groups)
    assert float(gains.min()) >= 0 and float(gains.max()) <= 1


def test_a_patch_knows_which_bins_it_is_of() -> None:
    network, over = shaken(), torch.rand(1, 8, 96)
    with torch.no_grad():
        assert not torch.equal(network(over), network(over, torch.tensor([200.0])))
        assert torch.equal(network(over), network(over, torch.tensor([0.0])))


@settings(max_examples=10, deadline=None)
@given(index=st.integers(0, 2**40))
def test_an_example_is_a_function_of_its_index_and_can_be_written_down(index: int) -> None:
    drawn = grains.draw(BANK, SHORT, np.random.default_rng([3, index]), "train", FRAMES)
    again = json.loads(json.dumps({**drawn, "layers": [], "noises": []}))
    assert again["first"] == drawn["first"] and 0 <= drawn["first"] <= FRAMES.bins - SHORT.bins
    one = grains.render(BANK, SHORT, drawn, FRAMES)
    other = Grains(BANK, SHORT, 3).item(index, FRAMES)
    for name, value in one.items():
        assert np.array_equal(value, other[name])
    assert one["wanted"].shape == one["noise"].shape == (52, 80, 2)  # with the frames at both ends
    assert (one["floor"] > 0).all() and one["known"][: SHORT.bins // 12].all()


def test_the_noise_is_taken_too_low_as_a_careful_diagnosis_takes_it() -> None:
    right = Settings(seconds=1.0, bins=80, low_db=0.0, error_db=0.0)
    errors = []
    for index in range(60):
        floors = [Grains(BANK, s, 3).item(index, FRAMES)["floor"] for s in (SHORT, right)]
        errors.append(10 * np.log10(floors[0] / floors[1]).mean())
    assert -5.0 < np.mean(errors) < -1.5 and np.std(errors) > 1.0


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    wanted, noise = torch.randn(1, 6, 8, 2) * 3, torch.randn(1, 6, 8, 2)
    return {"wanted": wanted, "noise": noise, "floor": torch.full((1, 8), 2.0), "known": torch.ones(1, 8)}


def test_what_is_left_is_measured_against_what_there_was() -> None:
    held = batch()
    left = [left_db(torch.full((1, 6, 8), gain), held, 1.0) for gain in (1.0, 0.0)]
    assert float(left[0][0]) == pytest.approx(10 * np.log10(1.01), abs=1e-4)  # nothing was done
    wanted, noise = (float(held[name].square().sum()) for name in ("wanted", "noise"))
    assert float(left[1][0]) == pytest.approx(10 * np.log10(wanted / noise + 0.01), abs=1e-3)
    assert float(left_db(torch.zeros(1, 6, 8), held, 2.0)[0]) > float(left[1][0]) + 2.9  # all of it was taken
    held["noise"][:, :, 4:] *= 100
    held["known"][:, 4:] = 0
    assert float(left_db(torch.ones(1, 6, 8), held, 1.0)[0]) == pytest.approx(10 * np.log10(1.01), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "says"), [({"seconds": 0.1}, "0.5 to 60"), ({"bins": 6}, "divisible by 4")]
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Settings(**changes)  # type: ignore[arg-type]


def test_a_small_one_learns_and_what_comes_out_runs_without_torch(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(10):
        soundfile.write(folder / f"{k}.wav", music(Format(48_000, 1), 96_000, k)[0], 48_000)
    text = command.find_recipe("grain").read_text(encoding="utf-8")
    for old, new in (
        ("width = 48", "width = 8"),
        ("[[1, 1], [2, 1], [4, 2], [1, 1], [8, 1], [2, 2]]", "[[1, 1]]"),
        ("seconds = 4.0", "seconds = 1.0"),
        ("steps = 2400", "steps = 30"),
        ("validation_scenes = 192", "validation_scenes = 16"),
        ("batch = 16", "batch = 8"),
        ("warmup = 50", "warmup = 2"),
        ('tiers = ["A"]', 'tiers = []\nlicence = "CC0-1.0"'),
        ("compile = true", "compile = false\nworkers = 0"),
    ):
        assert old in text
        text = text.replace(old, new)
    recipe = tmp_path / "small.toml"
    recipe.write_text(text, encoding="utf-8")
    _, path, card = command.train(recipe, [folder], tmp_path / "out", threads=1)
    with (tmp_path / "out" / "log.csv").open() as file:
        total = [float(row["total"]) for row in csv.DictReader(file)]
    assert np.mean(total[-5:]) < np.mean(total[:5]) - 1.0
    assert card.task == "weigh" and card.lookahead_frames == 4 and card.figures["left_db"] < -1.0
    over = np.random.default_rng(0).exponential(3.0, (9, 50)).astype(np.float32)
    gains = weighed(Model.load(str(path)), over)
    network = Network(Config(width=8, dilations=((1, 1),))).eval()
    network.load_state_dict(torch.load(tmp_path / "out" / "best.pt", weights_only=True)["average"])
    padded = np.pad(over, ((0, 1), (0, 2)), mode="edge")
    with torch.no_grad():
        expected = network(torch.from_numpy(padded)[None])[0, :9, :50].numpy()
    np.testing.assert_allclose(gains, expected, atol=1e-2)
    assert read_recipe(recipe).network["kind"] == "grain"
