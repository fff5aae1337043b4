"""Muon: steps along the orthogonalised momentum of each weight matrix.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the scale
of Liu et al., "Muon is scalable for LLM training" (2025), by which one learning rate serves it
and AdamW. A convolution's kernel counts as one matrix, (out, in · height · width).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonal(matrix: Tensor) -> Tensor:
    """About U·Vᵀ of the singular value decomposition, by Newton-Schulz iterations; (rows, columns)."""
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    back: Tensor = x.T if tall else x
    return back


class Muon(torch.optim.Optimizer):
    """For weights of two dimensions and more; `lr` as AdamW's."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step, from the gradients that are there."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                kept = self.state[weight]
                if not kept:
                    kept["momentum"] = torch.zeros_like(weight)
                momentum = kept["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(momentum, group["momentum"])
                turn = orthogonal(ahead.flatten(1))
                scale = 0.2 * max(turn.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(turn.reshape(weight.shape), alpha=group["lr"] * scale)
