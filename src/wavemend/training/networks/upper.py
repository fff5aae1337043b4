"""What would lie above a band that ends: levels of the missing bands, from dense convolutions over time.

It hears powers, fine at low frequencies and coarser above, and which bands there are; two frames
at once, as `broad` does. It answers relative to the level just below the end, so that a louder recording has
a louder upper band, with one level for every eight bins.

Related: envelopes from the narrow band (Pulakka and Alku, IEEE TASLP 2011), spectral band replication
(Dietz et al., AES 2002), temporal convolutions on whole spectra (Pandey and Wang, ICASSP 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wavemend.core.translation import QUIET, SPACING
from wavemend.training.cells import Memory
from wavemend.training.network import Extender
from wavemend.training.networks.broad import PAIR, Step

FINE, MIDDLE = 128, 320  # bins: below, each is heard; then pairs; above, as many as have one level
COARSE = 8


@dataclass(frozen=True)
class Config:
    """Sizes. `dilations` count pairs of frames; `ahead` frames that are awaited, an even number."""

    bins: int = 1024
    frame_rate: float = 93.75
    width: int = 160
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1, 2, 4, 8, 16)
    ahead: int = 16


class Network(Extender):
    """Spectra in, levels out. It takes an even number of frames at a time."""

    starts: Tensor
    widths: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.bins, self.lookahead = config, config.bins, config.ahead
        if config.bins <= MIDDLE or (config.bins - MIDDLE) % COARSE:
            raise ValueError(f"{config.bins} bins cannot be split at {MIDDLE} into bands of {COARSE}")
        if config.ahead % PAIR:
            raise ValueError(f"`ahead` must be even, not {config.ahead}")
        edges = torch.tensor([*range(FINE), *range(FINE, MIDDLE, 2), *range(MIDDLE, config.bins + 1, COARSE)])
        self.register_buffer("starts", edges[:-1].float(), persistent=False)
        self.register_buffer("widths", edges.diff().float(), persistent=False)
        heard = 2 * len(self.starts)
        self.knots = config.bins // SPACING
        self.into = nn.Conv1d(PAIR * heard, config.width, 1)
        self.steps = nn.ModuleList(Step(config.width, dilation) for dilation in config.dilations)
        self.out = nn.Conv1d(config.width, PAIR * self.knots, 1)
        nn.init.normal_(self.out.weight, std=0.02)

    def hidden(self) -> list[nn.Parameter]:
        inner = (one for one in self.modules() if isinstance(one, nn.Conv1d) and one is not self.out)
        return [one.get_parameter("weight") for one in inner]

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        odd = spectrum.shape[1] % PAIR  # only in training are frames not even; the last is of no use there
        spectrum = nn.functional.pad(spectrum, (0, 0, 0, 0, 0, odd))
        with torch.autocast(spectrum.device.type, enabled=False):
            power = spectrum[..., 0].square() + spectrum[..., 1].square()
            share = _means((power > 0).float())
            mean = _means(power) / share.clamp(min=1e-3)
            level = (mean + QUIET).log() / 8 + 1.5
            heard = torch.cat((level * (share > 0), share), dim=2)
            base = self._edge_level(mean, share)
        batch, frames = heard.shape[:2]
        x = self.into(heard.reshape(batch, frames // PAIR, -1).transpose(1, 2))
        for step in self.steps:
            x = step(x, memory)
        answers = self.out(x).float().transpose(1, 2).reshape(batch, frames, self.knots)
        levels = memory.late(base, self.lookahead, axis=1) + 4 * answers - 3
        return levels[:, : frames - odd], memory.flat()

    def _edge_level(self, mean: Tensor, share: Tensor) -> Tensor:
        """Logarithm of the mean power of the upper half of what is known, (batch, frames, 1)."""
        known = share * self.widths
        weight = known * (2 * self.starts >= known.sum(dim=2, keepdim=True))
        total = (mean * weight).sum(dim=2, keepdim=True) / weight.sum(dim=2, keepdim=True).clamp(min=1)
        return (total + QUIET).log()


def _means(x: Tensor) -> Tensor:
    """Means over 1, 2 and COARSE bins, (batch, frames, bands)."""
    batch, frames = x.shape[:2]
    middle = x[:, :, FINE:MIDDLE].reshape(batch, frames, -1, 2).mean(dim=3)
    high = x[:, :, MIDDLE:].reshape(batch, frames, -1, COARSE).mean(dim=3)
    return torch.cat((x[:, :, :FINE], middle, high), dim=2)
