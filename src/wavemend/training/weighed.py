"""How a weigher learns and is judged: by the error that its gains leave, beside the noise that there was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from wavemend.training.network import Learner
from wavemend.training.validate import Scored

LEAST = 1e-2  # of the noise: a patch that is nearly perfect does not count for more than 20 dB
QUIET = 1e-9


def left_db(gains: Tensor, batch: Mapping[str, Tensor], cut: float) -> tuple[Tensor, Tensor]:
    """The error re the noise in dB, (batch,), over known bins: as it is, and with the noise whitened.

    `gains` are (batch, frames, bins); errors count `cut` times where less comes out than was wanted.
    """
    wanted, noise, known = batch["wanted"], batch["noise"], batch["known"][:, None]
    out = gains.unsqueeze(3) * (wanted + noise)
    lost = torch.where(out.square().sum(dim=3) < wanted.square().sum(dim=3), cut, 1.0)
    error = (out - wanted).square().sum(dim=3) * lost * known
    before = noise.square().sum(dim=3) * known
    ratios = []
    for weight in (torch.ones_like(batch["floor"]), 1 / batch["floor"]):
        left, had = ((cells * weight[:, None]).sum(dim=(1, 2)) for cells in (error, before))
        ratios.append(10 * torch.log10((left + LEAST * had + QUIET) / (had + QUIET)))
    return ratios[0], ratios[1]


class Weighed(Scored):
    """Of a weigher."""

    @torch.no_grad()
    def __call__(self, network: Learner, device: torch.device) -> dict[str, float]:
        """`left_db` and `whitened_left_db`, means over patches; `score`."""
        network.eval()
        plain, whitened = [], []
        for batch in self.feed.batches(0, self.batches):
            held = {name: value.to(device) for name, value in batch.items()}
            power = (held["wanted"] + held["noise"]).square().sum(dim=3)
            left, white = left_db(network(power / held["floor"][:, None], held["first"]), held, 1.0)
            plain += left.tolist()
            whitened += white.tolist()
        figures = {"left_db": float(np.mean(plain)), "whitened_left_db": float(np.mean(whitened))}
        return figures | {"score": -figures["left_db"]}
