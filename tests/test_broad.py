"""The network that hears the whole band at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from test_training import check_cuts, shake
from wavemend.core.frames import Frames
from wavemend.training import losses
from wavemend.training.networks.broad import Config, Network
from wavemend.training.recipe import Loss
from wavemend.training.transform import Transform

torch.set_num_threads(1)
SMALL = Config(bins=96, split=32, width=8, dilations=(1, 2, 4), ahead=4)


def shaken() -> Network:
    network = Network(SMALL).eval()
    shake(network)
    return network


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_it_does_not_mind_how_its_pairs_of_frames_are_cut(cuts: list[int]) -> None:
    check_cuts(shaken(), [2 * cut for cut in cuts], torch.tensor([[-1.0], [0.5]]))


def test_it_hears_as_far_ahead_as_it_says_and_no_further() -> None:
    network = shaken()
    spectra = torch.randn(1, 40, 96, 2)
    other = spectra.clone()
    other[:, 20:] = torch.randn(1, 20, 96, 2)
    with torch.no_grad():
        changed = (network(spectra)[0] != network(other)[0]).flatten(2).any(dim=2)[0]
    assert int(changed.nonzero()[0]) == 20 and network.lookahead == 4


def test_an_odd_frame_at_the_end_is_answered_too() -> None:
    network, spectra = shaken(), torch.randn(1, 11, 96, 2)
    with torch.no_grad():
        odd, even = network(spectra)[0], network(spectra[:, :10])[0]
    assert odd.shape == spectra.shape
    torch.testing.assert_close(odd[:, :10], even, atol=1e-5, rtol=0)


def test_gains_are_shares_and_bands_share_one() -> None:
    with torch.no_grad():
        gains, _ = shaken()(torch.randn(1, 30, 96, 2) * 30)
    assert float(gains.min()) >= 0 and float(gains.max()) <= 1
    high = gains[:, :, 32:, 0].unflatten(2, (4, 16))
    assert torch.equal(high, high[..., :1].expand_as(high))


def test_a_network_that_grew_wider_begins_as_the_one_it_grew_from() -> None:
    small, wide = shaken(), Network(replace(SMALL, width=12)).eval()
    wide.adopt(small.state_dict())
    spectra = torch.randn(1, 24, 96, 2)
    content = torch.tensor([[-1.0]])
    with torch.no_grad():
        before, after = small(spectra, None, content)[0], wide(spectra, None, content)[0]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    out = wide.out(torch.randn(1, 12, 5)).sum()
    out.backward()
    assert wide.out.weight.grad is not None and bool(
        wide.out.weight.grad[:, 8:].any()
    )  # and goes on to learn
    with pytest.raises(ValueError, match="do not fit"):
        small.adopt(wide.state_dict())
    with pytest.raises(ValueError, match="another network"):
        wide.adopt({**small.state_dict(), "more": torch.zeros(1)})


def test_muon_trains_all_but_the_answers() -> None:
    network = Network(SMALL)
    hidden = network.hidden()
    assert len(hidden) == 4 and all(weight is not network.out.weight for weight in hidden)


@pytest.mark.parametrize(
    ("change", "says"), [({"split": 30}, "cannot be split"), ({"ahead": 3}, "must be even")]
)
def test_sizes_that_cannot_be_are_refused(change: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Network(Config(**{"bins": 96, "split": 32, **change}))


def test_one_bin_in_so_many_counts_above_8_khz() -> None:
    transform = Transform(Frames(48_000, 960, 480, 960), torch.device("cpu"))
    sound = 0.1 * torch.randn(1, 4800)
    spectra = transform.analyse(sound)
    band, silent = torch.tensor([24_000.0]), torch.zeros(spectra.shape[:2], dtype=torch.bool)
    bins = spectra.shape[2]
    high = int(bins * 8 / 24)
    cost = losses.Criterion(Loss(every=4), transform)

    def total(changed_bin: int) -> float:
        out = spectra.clone()
        out[:, :, changed_bin] *= 0.5
        return float(cost(out, spectra, spectra, band, silent, sound)["total"])

    assert total(high) > total(high + 1) == total(high + 3)
    assert total(high - 1) > total(high + 1)
