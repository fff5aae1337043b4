"""Muon, the team of processes, and the listener: what each promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from test_training import shake
from wavemend.core.card import Training as Cost
from wavemend.engine.model import Model
from wavemend.errors import InputError
from wavemend.training import command
from wavemend.training.bank import Origin
from wavemend.training.export import export
from wavemend.training.muon import Muon, orthogonal
from wavemend.training.networks import kinds
from wavemend.training.networks.ear import Config, Network, ear_bands
from wavemend.training.recipe import read_recipe
from wavemend.training.team import Team, lead
from wavemend.training.validate import labels, log_odds_loss

torch.set_num_threads(1)
SMALL = Config(bins=96, rate=9_600.0, bands=16, channels=(3, 4, 5), width=6, dilations=(1, 3))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_a_step_of_muon_moves_all_directions_alike(rows: int, columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    values = torch.linalg.svdvals(orthogonal(torch.randn(rows, columns)))
    assert (values > 0.3).float().mean() > 0.6 and values.max() < 1.3  # the iteration ends near 1, not at it


def test_muon_finds_the_bottom_of_a_bowl_that_is_narrow() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 2, 1, 3))
    goal, scale = torch.randn(4, 2, 1, 3), torch.logspace(-2, 0, 6).view(2, 1, 3)
    optimiser = Muon([weight], lr=0.3)
    losses = []
    for _ in range(300):
        optimiser.zero_grad()
        loss = (scale * (weight - goal)).square().sum()
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.step()
        optimiser.param_groups[0]["lr"] *= 0.99
    assert losses[0] > 10 and losses[-1] < 1e-3


def graded(value: float) -> nn.BatchNorm1d:
    """A module whose gradient and whose running mean are a value."""
    network = nn.BatchNorm1d(1)
    network.weight.grad = torch.full((1,), value)
    network.running_mean = torch.full((1,), value)
    return network


def shared(network: nn.BatchNorm1d) -> list[float]:
    assert network.weight.grad is not None and network.running_mean is not None
    return [float(network.weight.grad), float(network.running_mean)]


def _leave(team: Team) -> None:
    raise InputError("no")


def _share(team: Team) -> None:
    """The other process's part of the next test."""
    network = graded(4.0)
    team.mean(network)
    if not (shared(network) == [3.0, 3.0] and team.any(False)):
        raise SystemExit(1)


def test_a_team_takes_the_mean_of_all_gradients_and_ends_together() -> None:
    with lead(2, _share) as team:
        network = graded(2.0)
        assert (team.rank, team.size) == (0, 2)
        team.mean(network)
        assert team.any(True)
    assert shared(network) == [3.0, 3.0]


def test_a_member_that_ends_before_its_time_is_named() -> None:
    with pytest.raises(InputError, match="one of the 2 processes ended with code 2"), lead(2, _leave) as team:
        team.mean(graded(1.0))


def test_alone_a_team_changes_nothing() -> None:
    with lead(1, _share) as team:
        network = graded(2.0)
        team.mean(network)
        assert team.any(True) and not team.any(False)
    assert shared(network) == [2.0, 2.0]


def shaken() -> Network:
    network = Network(SMALL).eval()
    shake(network)
    return network


def test_the_ears_bands_leave_out_nothing_below_the_top() -> None:
    bands = ear_bands(960, 48_000, 64)
    assert bands.sum(dim=0).tolist() == pytest.approx([1.0] * 64, abs=1e-4)
    heard = bands.max(dim=1).values
    assert (heard[4:630] > 1e-3).all() and (heard[660:] < 1e-6).all()  # 100 Hz to 15.7 kHz, and above


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_listener_does_not_mind_how_its_frames_are_cut(cuts: list[int]) -> None:
    network, spectra = shaken(), torch.randn(2, sum(cuts), 96, 2) * 10 ** torch.randn(2, 1, 1, 1)
    with torch.no_grad():
        whole, _ = network(spectra)
        state, parts = torch.zeros(2, network.state_size()), []
        for part in spectra.split(cuts, dim=1):
            odds, state = network(part, state)
            parts.append(odds)
    assert whole.shape == (2, sum(cuts)) and whole.unique().numel() > 1
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-4, rtol=0)


def test_a_listener_learns_from_what_sounds_alone() -> None:
    kinds_of = ["music/hiss", "speech/clean", "silence/hum", "both/real", "pair"]
    silent = torch.zeros(5, 4, dtype=torch.bool)
    silent[0, 2:] = True
    music, counts = labels(kinds_of, silent)
    assert music[:, 0].tolist() == [1, 0, 0, 1, 0]
    assert counts.sum(dim=1).tolist() == [2, 4, 0, 4, 0]
    odds = torch.zeros(5, 4)
    odds[0, :2] = odds[3] = 9.0
    odds[1] = -9.0
    odds[0, 2:], odds[2] = -50.0, 50.0  # nobody asked
    assert float(log_odds_loss(odds, kinds_of, silent)) < 1e-3
    assert float(log_odds_loss(-odds, kinds_of, silent)) > 5.0


def test_a_listener_is_exported_and_runs(tmp_path: Path) -> None:
    assert "ear" in kinds()
    recipe = read_recipe(command.find_recipe("ear"))
    torch.manual_seed(0)
    network = Network(Config(bins=recipe.frames.bins, frame_rate=50.0))
    cost, origin = Cost(1.0, 1.0, 1, "none"), Origin("made", "CC0-1.0", "A", "nobody", 1.0, 1)
    path, card = export(network, recipe, [origin], cost, {"loss": 1.0}, tmp_path)
    assert card.task == "content" and card.lookahead_frames == 0
    running = Model.load(str(path)).open()
    spectrum = np.ones((card.frames_per_call, recipe.frames.bins, 2), np.float32)
    first, second = running.step(spectrum), running.step(spectrum)
    assert first.shape == (card.frames_per_call,) and not np.array_equal(first, second)  # it remembers


def test_processes_are_for_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    tiny = command.find_recipe("tiny")
    with pytest.raises(InputError, match="--processes"):
        command.train(tiny, [], tmp_path / "out", device="cuda", processes=2)
    with pytest.raises(InputError, match="a batch of 4 cannot be shared by 3 processes"):
        command.train(tiny, [], tmp_path / "out", processes=3)
    assert not (tmp_path / "out").exists()
