"""Gains from local signal-to-noise ratios alone: what the neighbourhood of a cell says of it.

It never hears how loud or of what colour a sound is, only how far each cell lies over the noise's
known power; so an instrument that it never met, and a lone note, look to it like any other. Two
frames of four bins are heard at once, as channels; dilated convolutions see a second and some
hundreds of hertz around them.

Related: power ratios as the only input (Ephraim and Malah, IEEE TASSP 1984), thresholding of blocks of
a spectrogram (Yu, Mallat and Bacry, IEEE TSP 2008), residual networks for images in noise of known level
(Zhang et al., "FFDNet", IEEE TIP 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavemend.training.network import Weigher

TIMES, BINS = 2, 4
LEAST, MOST = 1e-3, 1e6


@dataclass(frozen=True)
class Config:
    """Sizes. `dilations` count pairs of frames, and groups of four bins."""

    bins: int = 960
    frame_rate: float = 50.0
    width: int = 48
    dilations: tuple[tuple[int, int], ...] = ((1, 1), (2, 1), (4, 2), (1, 1), (8, 1), (2, 2))


class Network(Weigher):
    """Power over noise in, real gains out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bins = config.bins
        width, cells = config.width, TIMES * BINS
        self.reach = TIMES * (1 + sum(times for times, _ in config.dilations))
        self.into = nn.Conv2d(2 * cells, width, 3, padding=1)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
            for dilation in config.dilations
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in config.dilations)
        self.out = nn.Conv2d(width, cells, 1)
        nn.init.normal_(self.out.weight, std=0.05)
        nn.init.zeros_(self.out.get_parameter("bias"))
        self.own = nn.Parameter(torch.tensor((0.0, 1.0)))  # the gain of a cell by itself, to begin with
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def hidden(self) -> list[nn.Parameter]:
        return [conv.get_parameter("weight") for conv in self.convs]

    def forward(self, over: Tensor, first: Tensor | None = None) -> Tensor:
        with torch.autocast(over.device.type, enabled=False):
            level = over.clamp(LEAST, MOST).log() / 3
            place = torch.arange(over.shape[2], device=over.device, dtype=torch.float32)
            place = place[None] if first is None else place + first[:, None]
            height = (((place + 4).log() / 4 - 1)[:, None]).expand_as(level)
            heard = torch.cat((_packed(level), _packed(height)), dim=1)
        y = functional.relu(self.into(heard.contiguous(memory_format=torch.channels_last)))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = y + functional.relu(norm(conv(y)))
        answers = self.out(y)
        with torch.autocast(over.device.type, enabled=False):
            raw = _unpacked(answers.float())
            return torch.sigmoid(raw + self.own[0] + self.own[1] * level)


def _packed(cells: Tensor) -> Tensor:
    """(batch, frames, bins) -> (batch, TIMES · BINS, frames / TIMES, bins / BINS)."""
    batch, frames, bins = cells.shape
    apart = cells.reshape(batch, frames // TIMES, TIMES, bins // BINS, BINS)
    return apart.permute(0, 2, 4, 1, 3).reshape(batch, TIMES * BINS, frames // TIMES, bins // BINS)


def _unpacked(channels: Tensor) -> Tensor:
    """The way back."""
    batch, _, frames, bins = channels.shape
    apart = channels.reshape(batch, TIMES, BINS, frames, bins).permute(0, 3, 1, 4, 2)
    return apart.reshape(batch, frames * TIMES, bins * BINS)
