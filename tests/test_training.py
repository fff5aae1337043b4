"""Training: what a network, a loss, a recipe, a run and an export promise."""

from __future__ import annotations

import csv
import json
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from wavemend.core.card import Training as Cost
from wavemend.core.card import read_card
from wavemend.core.frames import Frames
from wavemend.core.stopping import Stopped
from wavemend.core.types import Format
from wavemend.engine.model import Model
from wavemend.errors import InputError
from wavemend.training import command, loop, losses
from wavemend.training.alone import alone
from wavemend.training.bank import Bank, Origin
from wavemend.training.export import export
from wavemend.training.half import halve
from wavemend.training.network import Weigher
from wavemend.training.networks import build
from wavemend.training.networks.lattice import Config, Network
from wavemend.training.recipe import Run, read_recipe
from wavemend.training.shards import write_shards
from wavemend.training.transform import Transform
from wavemend.training.validate import cut_share, si_sdr

torch.set_num_threads(1)  # more only wait for each other here
TINY = command.find_recipe("tiny")
SMALL = Config(bins=96, split=32, channels=(4, 4, 6), head=4, dilations=(1, 2, 4), ahead=(1, 0, 5))


def shaken(config: Config) -> Network:
    """A network whose every part does something."""
    network = Network(config).eval()
    shake(network)
    return network


def shake(network: torch.nn.Module) -> None:
    """Put something into all weights, so that no part is idle."""
    torch.manual_seed(1)
    for name, value in network.state_dict().items():
        if value.dtype.is_floating_point and value.ndim:
            value.copy_(torch.rand_like(value) + 0.3 if "var" in name else 0.4 * torch.randn_like(value))


def check_cuts(network: Any, cuts: list[int], *told: torch.Tensor, atol: float = 2e-4) -> None:
    """Two streams of 96 bins give the same whole and in parts of so many frames; `told` is the content."""
    spectra = torch.randn(2, sum(cuts), 96, 2)
    with torch.no_grad():
        whole, _ = network(spectra, None, *told)
        state, parts = torch.zeros(2, network.state_size()), []
        for part in spectra.split(cuts, dim=1):
            answer, state = network(part, state, *told)
            parts.append(answer)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=atol, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6), look=st.booleans())
def test_a_network_does_not_mind_how_its_frames_are_cut(cuts: list[int], look: bool) -> None:
    check_cuts(shaken(SMALL if look else replace(SMALL, ahead=())), cuts)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, ahead=())], ids=["ahead", "causal"])
def test_a_network_hears_as_far_ahead_as_it_says_and_no_further(config: Config) -> None:
    network = shaken(config)
    spectra = torch.randn(1, 40, 96, 2)
    other = spectra.clone()
    other[:, 20:] = torch.randn(1, 20, 96, 2)
    with torch.no_grad():
        changed = (network(spectra)[0] != network(other)[0]).flatten(2).any(dim=2)[0]
    assert int(changed.nonzero()[0]) == 20  # gains come `lookahead` late, so none may change before
    assert network.lookahead == sum(config.ahead)


def test_gains_never_amplify() -> None:
    with torch.no_grad():
        gains, _ = shaken(SMALL)(torch.randn(1, 30, 96, 2) * 30)
    assert float(gains.square().sum(dim=3).max()) <= 1 + 1e-6


def test_a_network_that_grew_begins_as_the_one_it_grew_from() -> None:
    small, large = shaken(SMALL), Network(replace(SMALL, dilations=(1, 2, 4, 3, 1), ahead=(1, 0, 5, 3, 2)))
    large.eval().adopt(small.state_dict())
    spectra = torch.randn(1, 30, 96, 2)
    with torch.no_grad():
        later, given = large(spectra)[0][:, 5:], small(spectra)[0][:, :-5]
    # in the beginning the frames before the first one are other ones
    torch.testing.assert_close(later[:, 8:], given[:, 8:], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="other sizes"):
        Network(replace(SMALL, head=8)).adopt(small.state_dict())
    with pytest.raises(ValueError, match="another network"):
        small.adopt(large.state_dict())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"kind": "lattise"}, "did you mean 'lattice'"),
        ({"kind": "lattice", "hed": 3}, "did you mean 'head'"),
        ({"kind": "lattice", "split": 30}, "cannot be split"),
        ({"kind": "lattice", "split": 32, "dilations": [1], "ahead": [3]}, "cannot look 3 frames"),
        ({"kind": "lattice", "split": "32"}, "must be int"),
    ],
)
def test_networks_that_cannot_be_are_refused(table: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build(table, 96, 100.0)


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 3000), turn=st.floats(0.1, 2.9))
def test_spectra_give_the_sound_back(samples: int, turn: float) -> None:
    transform = Transform(Frames(48_000, 256, 64, 128), torch.device("cpu"))
    # all but the bin that is left out, at the highest frequency
    tone = torch.sin(torch.arange(samples) * turn) * torch.hann_window(samples + 2, periodic=False)[1:-1]
    spectra = transform.analyse(torch.stack((tone, -2 * tone)))
    assert spectra.shape == (2, transform.frames.count(samples), 128, 2)
    back = transform.synthesise(spectra, samples)
    error = (back - torch.stack((tone, -2 * tone))).square().mean().sqrt()
    assert float(error) < 0.02 * float(tone.square().mean().sqrt()) + 1e-5 or samples < 64


def test_taking_too_much_costs_more_than_leaving_too_much() -> None:
    target = torch.full((1, 4, 8, 2), 0.5)
    known = torch.ones(1, 4, 8)
    for measure in (lambda *x: losses.spectral(*x)[1], lambda *x: losses.ratio_db(*x, 40.0)):
        assert measure(target * 0.7, target, known, 2.0) > measure(target * 1.3, target, known, 2.0)
        assert measure(target * 0.7, target, known, 2.0) > measure(target * 0.7, target, known, 1.0)


def test_bins_of_which_nobody_knows_the_truth_do_not_count() -> None:
    transform = Transform(Frames(48_000, 256, 64, 128), torch.device("cpu"))
    recipe = read_recipe(TINY)
    criterion = losses.Criterion(replace(recipe.loss, resolutions=(256,), multi=1.0), transform)
    sound = torch.randn(1, 1024) * 0.1
    spectra = transform.analyse(sound)
    wrong = spectra.clone()
    wrong[:, :, 70:] *= 0.1  # from 13 kHz
    silent = torch.zeros(1, spectra.shape[1], dtype=torch.bool)

    def loss(out: Any, band_hz: float, silent: Any = silent) -> float:
        parts = criterion(out, spectra, spectra, torch.tensor([band_hz]), silent, sound)
        return float(sum(parts[name] for name in ("complex", "magnitude", "sdr")))

    assert loss(wrong, 12_000.0) == pytest.approx(loss(spectra, 12_000.0), abs=1e-6)
    assert loss(wrong, 24_000.0) > loss(spectra, 24_000.0) + 0.01
    assert loss(wrong, 12_000.0, ~silent) > loss(spectra, 12_000.0, ~silent) + 0.01


def test_the_rate_rises_holds_and_falls() -> None:
    run = Run(steps=100, rate=1.0, warmup=10, decay=0.5)
    rates = [loop.rate_at(step, run) for step in range(100)]
    assert rates[0] == 0.1 and set(rates[10:50]) == {1.0}
    assert all(a > b for a, b in pairwise(rates[51:])) and rates[-1] < 0.05


def test_measures() -> None:
    rng = np.random.default_rng(1)
    sound, noise = rng.standard_normal((2, 48_000))
    assert si_sdr(sound, 3 * (sound + 0.1 * noise)) == pytest.approx(20, abs=0.3)
    assert cut_share(sound, sound) == 0 and cut_share(sound, 0.5 * sound) == pytest.approx(1)


RECIPE = tomllib.loads(TINY.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sead": 1}, "there is no 'sead'.*'seed'"),
        ({"run": {"step": 3}}, "there is no 'step'.*'steps'"),
        ({"loss": {"cutt": 1.0}}, "'cutt'.*'cut'"),
        ({"scenes": {"second": 1}}, "'second'.*'seconds'"),
        ({"frames": RECIPE["frames"] | {"hop": 500}}, "multiple of 1000"),
        ({"run": {"steps": 0}}, "at least 1"),
        ({"seed": -1}, "seed must be"),
        ({"model": {"name": "x"}}, "title"),
    ],
)
def test_recipes_say_nothing_unknown(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(toml(RECIPE | change), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_recipe(path)


def toml(tables: dict[str, Any]) -> str:
    """Plain values and tables of plain values as TOML, which writes them as JSON does."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            plain += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(plain) + "\n"


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten recordings."""
    folder = tmp_path_factory.mktemp("ten")
    for k in range(10):
        soundfile.write(folder / f"{k}.wav", music(Format(48_000, 1), 72_000, k)[0], 48_000)
    return folder


@pytest.fixture(scope="module")
def trained(ten: Path) -> Path:
    """What the tiny recipe makes of them."""
    folder = ten.with_name("trained")
    command.train(TINY, [ten], folder, threads=1)
    return folder


def test_ten_files_teach_a_tiny_network_something(trained: Path) -> None:
    with (trained / "log.csv").open() as file:
        total = [float(row["total"]) for row in csv.DictReader(file)]
    assert len(total) == 60 and np.mean(total[-20:]) < np.mean(total[:20]) - 0.05
    card = read_card(trained / "tiny.json")
    assert card.figures["music_gain"] > 0.1 and card.training.steps == 60
    assert card.data[0].licence == "not stated" and card.recipe == TINY.read_text(encoding="utf-8")


def test_what_was_trained_runs_in_the_engine_as_in_torch(trained: Path) -> None:
    recipe = read_recipe(TINY)
    network = build(recipe.network, recipe.frames.bins, 48_000 / 512).eval()
    network.load_state_dict(loop.load(trained / loop.BEST)["average"])
    spectra = np.random.default_rng(2).standard_normal((12, 512, 2)).astype(np.float32) * 0.1
    with torch.no_grad():
        expected = network(torch.from_numpy(spectra)[None])[0][0].numpy()
    session = Model.load(str(trained / "tiny.onnx")).open()
    gains = np.concatenate([session.step(spectra[k : k + 2]) for k in range(0, 12, 2)])
    np.testing.assert_allclose(gains, expected, atol=1e-3)


@pytest.fixture
def training(ten: Path, trained: Path, tmp_path: Path) -> Callable[..., loop.Training]:
    bank = Bank.open(trained / "bank")

    def make(name: str = "run", **run: Any) -> loop.Training:
        recipe = read_recipe(TINY)
        quick = {"steps": 6, "validate": 100, "validation_scenes": 1, "save": 100, "batch": 2}
        recipe = replace(recipe, run=replace(recipe.run, **(quick | run)))
        (tmp_path / name).mkdir(exist_ok=True)
        return loop.Training(recipe, bank, tmp_path / name, torch.device("cpu"))

    return make


def test_a_killed_training_goes_on_exactly(training: Callable[..., loop.Training]) -> None:
    whole = training("whole")
    whole.run()
    killed = training("killed", save=3)
    ended = [0]

    def kill(event: object) -> None:
        ended[0] += 1
        if ended[0] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(hook=kill)
    resumed = training("killed")
    resumed.resume()
    assert resumed.progress.step == 3
    resumed.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    for name, value in whole.average.network.state_dict().items():
        assert torch.equal(value, resumed.average.network.state_dict()[name]), name


def test_a_training_that_is_asked_to_stop_keeps_everything(training: Callable[..., loop.Training]) -> None:
    def stop(event: object) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        training().run(hook=stop)
    again = training()
    again.resume()
    assert again.progress.step == 1


def test_a_training_ends_when_its_time_is_up(training: Callable[..., loop.Training]) -> None:
    first = training()
    assert first.run(minutes=1e-9) == "the time is up" and first.progress.step == 1
    second = training()
    second.resume()
    assert second.run() == "all steps are done" and second.progress.step == 6
    assert second.hours_of_sound == pytest.approx(6 * 2 / 3600)


def test_a_training_begins_with_the_weights_of_another(
    training: Callable[..., loop.Training], tmp_path: Path
) -> None:
    first = training("first")
    first.run()
    second = training("second")
    second.begin_with(command.find_start(str(tmp_path / "first")))
    for name, value in first.average.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    heard: list[tuple[int, int]] = []
    batches = second.feed.batches

    def listen(start: int, count: int) -> Any:
        heard.append((start, count))
        return batches(start, count)

    second.feed.batches = listen  # type: ignore[method-assign]
    second.run()
    assert heard == [(6, 6)]  # no example of the first again
    assert second.progress.step == 6 and second.hours_of_sound == pytest.approx(2 * first.hours_of_sound)


def test_a_training_begins_with_what_another_gave_out(
    training: Callable[..., loop.Training], trained: Path
) -> None:
    made = training()
    made.begin_with(trained / "tiny.pt")
    best = loop.load(trained / loop.BEST)["average"]
    for name, value in made.network.state_dict().items():  # large tensors are kept in half precision
        torch.testing.assert_close(value, best[name], rtol=2**-10, atol=2**-24)
    kept = loop.load(trained / "tiny.pt")["average"].values()
    assert {torch.float16} == {v.dtype for v in kept if v.is_floating_point() and v.numel() >= loop.FEWEST}
    assert made.hours_of_sound == pytest.approx(60 * 4 / 3600)


def test_a_training_ends_when_nothing_gets_better(training: Callable[..., loop.Training]) -> None:
    made = training(validate=1, patience=2, rate=0.0, steps=50)
    made.progress.best = 100.0
    assert made.run() == "2 validations brought nothing better" and made.progress.step == 2


def test_a_checkpoint_of_another_network_is_refused(training: Callable[..., loop.Training]) -> None:
    made = training()
    made.save()
    made.network = build({"kind": "lattice", "split": 256, "channels": [4, 4, 4]}, 512, 100.0)
    with pytest.raises(InputError, match="another network"):
        made.resume()


def given_to_export(trained: Path) -> dict[str, Any]:
    recipe = read_recipe(TINY)
    return {
        "network": build(recipe.network, recipe.frames.bins, 48_000 / 512),
        "recipe": recipe,
        "origins": [Origin("mine", "CC0-1.0", "A", "me", 1.0, 10)],
        "training": Cost(1.0, 1.0, 10, "this one"),
        "figures": {"score": 1.0},
    }


@pytest.mark.parametrize(
    ("lacking", "says"),
    [
        ({"origins": []}, "the data"),
        ({"origins": [Origin("mine", "", "A", "me", 1.0, 10)]}, "the licence of mine"),
        ({"figures": {}}, "figures"),
        ({"training": Cost(0.0, 0.0, 0, "this one")}, "steps"),
    ],
)
def test_no_export_without_a_complete_card(
    trained: Path, tmp_path: Path, lacking: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        export(**given_to_export(trained) | lacking, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_holds_its_large_tensors_in_half_and_says_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.Tanh(), torch.nn.Linear(64, 3)).eval()
    given, path = torch.randn(5, 48), tmp_path / "layers.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of itself
        torch.onnx.export(layers, (given,), str(path), input_names=["given"], opset_version=17, dynamo=False)
    size, wanted = path.stat().st_size, layers(given).detach().numpy()
    halve(path)
    assert path.stat().st_size < size - 48 * 64 * 1.5
    tensors = {t.name: t.data_type for t in onnx.load(str(path)).graph.initializer}
    assert sorted(tensors.values()).count(onnx.TensorProto.FLOAT16) == 1  # the small ones are as they were
    (answer,) = onnxruntime.InferenceSession(str(path)).run(None, {"given": given.numpy()})
    assert 0 < np.abs(answer - wanted).max() < 2e-3


def test_no_export_where_the_file_computes_something_else(trained: Path, tmp_path: Path) -> None:
    given = given_to_export(trained)

    class Fickle(type(given["network"])):  # type: ignore[misc]
        def forward(self, spectrum: Any, state: Any = None, content: Any = None) -> Any:
            gains, kept = super().forward(spectrum, state, content)
            return (gains if torch.onnx.is_in_onnx_export() else gains * 0.99), kept

    given["network"].__class__ = Fickle
    with pytest.raises(InputError, match="differ by"):
        export(**given, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"resume": True}, "no training to go on with"),
        ({"data": []}, "no bank"),
        ({"resume": True, "start": "other"}, "give one of them"),
        ({"recipe": Path("missing.toml")}, "cannot be read"),
    ],
)
def test_trainings_that_cannot_begin(ten: Path, tmp_path: Path, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        command.train(**{"recipe": TINY, "data": [ten], "folder": tmp_path / "out"} | arguments)


def test_a_finished_training_is_not_overwritten(trained: Path, ten: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--resume"):
        command.train(TINY, [ten], trained)
    other = tmp_path / "other.toml"
    other.write_text(toml(RECIPE | {"seed": 5}), encoding="utf-8")
    with pytest.raises(InputError, match="another recipe"):
        command.train(other, [ten], trained, resume=True)


def test_two_trainings_do_not_share_a_folder(ten: Path, tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(InputError, match="another training works in this folder"):
        command.train(TINY, [ten], tmp_path)
    with alone(tmp_path):
        pass


def test_files_without_a_licence_are_refused_before_hours_are_spent(ten: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.toml"
    bare.write_text(toml(RECIPE | {"data": {}}), encoding="utf-8")
    with pytest.raises(InputError, match="9 others name no licence"):
        command.train(bare, [ten], tmp_path / "out")


@pytest.mark.parametrize("name", command.shipped())
def test_shipped_recipes_can_be_built(name: str) -> None:
    recipe = read_recipe(command.find_recipe(name))
    network = build(recipe.network, recipe.frames.bins, recipe.frames.sample_rate / recipe.frames.hop)
    assert recipe.model.name == name
    assert isinstance(network, Weigher) or network.state_size() > 0
    if name == "live":
        assert network.lookahead == 0 and recipe.frames.synthesis / 48 <= 20


def test_shards_are_data_like_any_other(trained: Path, ten: Path, tmp_path: Path) -> None:
    shards = write_shards(Bank.open(trained / "bank"), tmp_path / "shards", {"music": 1.0}, seed=1)
    quick = tmp_path / "quick.toml"
    quick.write_text(toml(RECIPE | {"run": RECIPE["run"] | {"steps": 1}}), encoding="utf-8")
    _, path, card = command.train(quick, list(shards), tmp_path / "out", threads=1)
    assert path.exists() and card.data[0].licence == "not stated"
    with pytest.raises(InputError, match="not both"):
        command.train(quick, [*shards, ten], tmp_path / "other", threads=1)
