"""How a network that extends bands learns and is judged: by the log-spectral distance of what it adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wavemend.core.translation import QUIET, between
from wavemend.training.network import Streaming
from wavemend.training.transform import Transform
from wavemend.training.validate import Scored

BEL = float(np.log(10))
EVERY = 3  # frames; neighbours overlap, and hardly differ


def distance(
    batch: Mapping[str, Any],
    transform: Transform,
    network: Streaming,
    called: Callable[..., Any] | None = None,
) -> Tensor:
    """Log-spectral distance in bels, above the end of the band: (batch, frames / EVERY); nan where none.

    Of each frame the root of the mean square over the bins that are true, as is usual (AP-BWE and others).
    """
    device = next(network.parameters()).device
    spectra = transform.analyse(batch["mixture"].to(device))
    cut, end = batch["cut"].to(device), batch["end"].to(device)
    heard = spectra * batch["gains"].to(device)[:, None, :, None]
    ahead = network.lookahead
    answers, _ = (network if called is None else called)(functional.pad(heard, (0, 0, 0, 0, 0, ahead)))
    levels, spectra = answers[:, ahead::EVERY].float(), spectra[:, ::EVERY]
    bins = heard.shape[2]
    with torch.autocast(spectra.device.type, enabled=False):
        knots = torch.from_numpy(between(bins)).to(device)
        made = levels @ knots
        wanted = (_power(spectra) + QUIET).log()
        place = torch.arange(bins, device=device)
        counts = ((place >= cut[:, None]) & (place < end[:, None])).float()[:, None]
        squares = ((made - wanted).square() * counts).sum(dim=2) / counts.sum(dim=2).clamp(min=1)
        return torch.where(counts.sum(dim=2) > 0, (squares + 1e-4).sqrt() / BEL, torch.nan)


def _power(spectra: Tensor) -> Tensor:
    return spectra[..., 0].square() + spectra[..., 1].square()


class Extended(Scored):
    """Of an extender: the mean distance of each kind of sound, `…_lsd`; `score`, minus their mean."""

    @torch.no_grad()
    def __call__(self, network: Streaming, device: torch.device) -> dict[str, float]:
        network.eval()
        rows: dict[str, list[float]] = defaultdict(list)
        for batch in self.feed.batches(0, self.batches):
            each = distance(batch, self.transform, network).cpu()
            for kind, values in zip(batch["kind"], each, strict=True):
                if torch.isfinite(values).any():
                    rows[f"{kind}_lsd"].append(float(values.nanmean()))
        figures = {name: float(np.mean(values)) for name, values in sorted(rows.items())}
        return {**figures, "score": -float(np.mean(list(figures.values()) or [0.0]))}
