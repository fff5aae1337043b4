"""What a network is trained for: what it is asked, what its answers cost, and how good they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from wavemend.training.bands import Bands
from wavemend.training.bank import Bank
from wavemend.training.cases import Cases
from wavemend.training.examined import Examined, loss_of
from wavemend.training.extended import Extended, distance
from wavemend.training.feed import Examples, Feed
from wavemend.training.grains import Grains
from wavemend.training.losses import Criterion
from wavemend.training.network import Denoiser, Examiner, Extender, Learner, Weigher
from wavemend.training.networks import build
from wavemend.training.recipe import Recipe
from wavemend.training.scenes import Scenes
from wavemend.training.transform import Transform
from wavemend.training.validate import Heard, Scored, Validation, log_odds_loss, restore
from wavemend.training.weighed import Weighed, left_db

VALIDATION_SEED = 7


class Task(ABC):
    """A network, its batches in, what they cost and what it is worth out."""

    def __init__(self, network: Learner, validation: Scored) -> None:
        self.network, self._validation = network, validation
        self._transform = validation.transform
        self._device = next(network.parameters()).device

    def _cheap(self) -> torch.autocast:
        """Products in bfloat16 where the machine has them: emulated, they are a hundred times slower."""
        device = self._device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=device != "cpu" or has_bfloat16())

    def _odds(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> Tensor:
        """What a network that only listens makes of a batch."""
        heard = self._transform.analyse(batch["mixture"].to(self._device))
        with self._cheap():
            odds, _ = called(heard)
        answer: Tensor = odds.float()
        return answer

    @abstractmethod
    def costs(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> dict[str, Tensor]:
        """The loss of a batch, `total`, and its parts by name; `called` is the network, or it compiled."""

    def figures(self, network: Learner) -> dict[str, float]:
        """Of scenes that it does not learn from; the best network has the highest `score`."""
        return self._validation(network, self._device)

    def finish(self, network: Learner) -> dict[str, float]:
        """What is still done to a trained network; further figures."""
        return {}


class Denoising(Task):
    """Sound wanted, sound unwanted; the network says what part of each bin is wanted."""

    def __init__(self, network: Denoiser, criterion: Criterion, validation: Validation) -> None:
        super().__init__(network, validation)
        self._denoiser, self._criterion = network, criterion

    def costs(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> dict[str, Tensor]:
        """See Criterion."""
        mixture, target, band_hz, silent, content = (
            batch[name].to(self._device) for name in ("mixture", "target", "band_hz", "silent", "content")
        )
        heard, wanted = self._transform.analyse(mixture), self._transform.analyse(target)
        with self._cheap():
            out = restore(self._denoiser, heard, content, called)
        return self._criterion(out, heard, wanted, band_hz, silent, target)


class Listening(Task):
    """Is there music in what is wanted? The network says so in every frame."""

    def costs(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> dict[str, Tensor]:
        """Binary cross entropy over frames in which something wanted sounds."""
        odds = self._odds(batch, called)
        total = log_odds_loss(odds, batch["kind"], batch["silent"].to(self._device))
        return {"total": total}


class Examining(Task):
    """What is wrong? The network says so in every frame."""

    def __init__(self, network: Examiner, validation: Examined) -> None:
        super().__init__(network, validation)
        self._examined = validation

    def costs(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> dict[str, Tensor]:
        """See loss_of."""
        odds = self._odds(batch, called)
        holds, counts = (batch[name].to(self._device) for name in ("holds", "counts"))
        return {"total": loss_of(odds, holds, counts)}

    def finish(self, network: Learner) -> dict[str, float]:
        assert isinstance(network, Examiner)
        return self._examined.calibrate(network, self._device)


class Weighing(Task):
    """What part of each cell is more than steady noise of known power?"""

    def __init__(self, network: Weigher, validation: Weighed, cut: float) -> None:
        super().__init__(network, validation)
        self._cut = cut

    def costs(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> dict[str, Tensor]:
        """Noise left in dB, of the patch as it is, and half as much with all bins' noise alike."""
        held = {name: value.to(self._device) for name, value in batch.items()}
        power = (held["wanted"] + held["noise"]).square().sum(dim=3)
        with self._cheap():
            gains = called(power / held["floor"][:, None], held["first"])
        plain, whitened = left_db(gains.float(), held, self._cut)
        parts = {"plain": plain.mean(), "whitened": 0.5 * whitened.mean()}
        return {"total": parts["plain"] + parts["whitened"], **parts}


class Extending(Task):
    """What lies above the end of a band? The network says how strong it is."""

    def __init__(self, network: Extender, validation: Extended) -> None:
        super().__init__(network, validation)
        self._extender = network

    def costs(self, batch: Mapping[str, Any], called: Callable[..., Any]) -> dict[str, Tensor]:
        """See distance."""
        with self._cheap():
            each = distance(batch, self._transform, self._extender, called)
        return {"total": each.nanmean()}


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 (AVX-512 BF16, AMX, or Arm's)."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def examples_of(recipe: Recipe, bank: Bank, seed: int, split: str, network: Learner) -> Examples:
    """What a network of a recipe learns from: scenes, or what its kind of network needs."""
    if isinstance(network, Examiner):
        return Cases(bank, recipe.cases, network.kinds, seed, split)
    if isinstance(network, Weigher):
        return Grains(bank, recipe.grains, seed, split)
    if isinstance(network, Extender):
        return Bands(bank, recipe.bands, seed, split)
    return Scenes(bank, recipe.scenes, seed, split)


def task_of(recipe: Recipe, bank: Bank, device: torch.device) -> Task:
    """The network of a recipe at the start of its training."""
    frames, run = recipe.frames, recipe.run
    network = build(recipe.network, frames.bins, frames.sample_rate / frames.hop).to(device)
    held_out = Feed(examples_of(recipe, bank, VALIDATION_SEED, "valid", network), frames, run.batch, 0)
    transform, batches = Transform(frames, device), -(-run.validation_scenes // run.batch)
    if isinstance(network, Examiner):
        return Examining(network, Examined(held_out, transform, batches))
    if isinstance(network, Weigher):
        return Weighing(network, Weighed(held_out, transform, batches), recipe.loss.cut)
    if isinstance(network, Extender):
        return Extending(network, Extended(held_out, transform, batches))
    if isinstance(network, Denoiser):
        criterion = Criterion(recipe.loss, transform)
        return Denoising(network, criterion, Validation(held_out, transform, batches))
    return Listening(network, Heard(held_out, transform, batches))
