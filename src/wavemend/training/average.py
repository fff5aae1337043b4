"""The moving average of a network's weights: calmer than the weights themselves."""

from __future__ import annotations

import copy

import torch

from wavemend.training.network import Learner


class Average:
    """`network` holds the averaged weights; young averages forget quickly."""

    def __init__(self, network: Learner, keep: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._keep = keep

    @torch.no_grad()
    def take(self, network: Learner, step: int) -> None:
        """Take in the weights after so many steps."""
        keep = min(self._keep, (1 + step) / (10 + step))
        for own, new in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if own.dtype.is_floating_point:
                own.lerp_(new, 1 - keep)
            else:
                own.copy_(new)
