"""Two denoisers as one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from test_training import check_cuts, shake
from wavemend.errors import InputError
from wavemend.training.networks import build
from wavemend.training.networks.duet import parts_of

torch.set_num_threads(1)
ALL = {"kind": "lattice", "split": 32, "channels": [4, 4, 4], "head": 4, "dilations": [1, 4], "ahead": [0, 5]}
SPEECH = {"kind": "broad", "split": 32, "width": 8, "dilations": [1, 2], "ahead": 4}


def made(**change: Any) -> Any:
    torch.manual_seed(3)
    table = {"kind": "duet", "all": ALL, "speech": SPEECH, **change}
    network = build(table, 96, 100.0).eval()
    shake(network)
    return network


def change(network: torch.nn.Module) -> None:
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)


def answers(network: Any, spectra: torch.Tensor, content: float | None) -> torch.Tensor:
    told = None if content is None else torch.full((len(spectra), 1), content)
    with torch.no_grad():
        gains: torch.Tensor = network(spectra, None, told)[0]
    return gains


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_it_does_not_mind_how_its_frames_are_cut(cuts: list[int]) -> None:
    check_cuts(made(), [2 * cut for cut in cuts], torch.tensor([[-1.0], [0.5]]))


def test_speech_is_answered_by_both_and_all_else_by_one() -> None:
    network, spectra = made(), torch.randn(2, 24, 96, 2)
    network.share.data.copy_(torch.linspace(-2, 2, 96))
    for content in (None, 0.0, 0.7, 1.0):
        assert torch.equal(answers(network, spectra, content), answers(network.all, spectra, content).float())
    first, second = answers(network.all, spectra, -1.0), answers(network.speech, spectra, -1.0)
    second = torch.cat((torch.zeros_like(second[:, :1]), second[:, :-1]), dim=1)  # one frame later
    share = torch.sigmoid(network.share)[:, None]
    torch.testing.assert_close(
        answers(network, spectra, -1.0), (1 - share) * first + share * second, atol=1e-5, rtol=0
    )


def test_it_begins_with_the_weights_of_its_parts() -> None:
    network, other = made(), made()
    for part in (other.all, other.speech):
        change(part)
    spectra = torch.randn(1, 24, 96, 2)
    assert not torch.equal(answers(network, spectra, -1.0), answers(other, spectra, -1.0))
    for part in (other.speech, other.all):
        network.adopt(part.state_dict())
    assert torch.equal(answers(network, spectra, -1.0), answers(other, spectra, -1.0))
    change(other)
    network.adopt(other.state_dict())
    assert torch.equal(answers(network, spectra, -0.5), answers(other, spectra, -0.5))
    with pytest.raises(ValueError, match=r"(?s)another network.*do not fit"):
        network.adopt(build({**SPEECH, "width": 12}, 96, 100.0).state_dict())


def test_its_parts_can_be_taken_out_again() -> None:
    network, spectra = made(), torch.randn(1, 24, 96, 2)
    for table, weights, part in zip(
        (ALL, SPEECH), parts_of(network.state_dict()), (network.all, network.speech), strict=True
    ):
        alone: Any = build(table, 96, 100.0).eval()
        assert not torch.equal(answers(alone, spectra, -1.0), answers(part, spectra, -1.0))
        alone.adopt(weights)
        assert torch.equal(answers(alone, spectra, -1.0), answers(part, spectra, -1.0))
    assert parts_of(network.speech.state_dict()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"speech": {**SPEECH, "ahead": 8}}, "cannot look farther ahead"),
        ({"speech": {"kind": "ear", "bands": 8}}, "'ear' is not a denoiser"),
        ({"all": {"kind": "latice"}}, "no kind 'latice'"),
        ({"all": 3}, "network.all must be dict"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        made(**change)
