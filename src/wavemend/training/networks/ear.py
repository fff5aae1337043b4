"""A small listener: does music belong to this recording, or speech alone?

Bands as wide as the ear's, three steps down to few of them, then time alone, with dilation.
The lattice of the denoisers is told its answer, as what is noise under music may be all
that is wanted elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavemend.training.cells import Memory, descent, outlook
from wavemend.training.network import Listener

QUIET = 1e-10
LOW_HZ, HIGH_HZ = 40.0, 16_000.0


@dataclass(frozen=True)
class Config:
    """Sizes. `bands` are divisible by 8; `rate` is that of the sound, in Hz."""

    bins: int = 1024
    frame_rate: float = 50.0
    rate: float = 48_000.0
    bands: int = 64
    channels: tuple[int, int, int] = (12, 20, 32)
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)


def ear_bands(bins: int, rate: float, bands: int) -> Tensor:
    """Triangles on the mel scale, each of sum 1, (bins, bands). ValueError unless 8 divides `bands`."""
    if bands % 8:
        raise ValueError("the number of bands must be divisible by 8")
    low, high = (math.log10(1 + hz / 700) for hz in (LOW_HZ, min(HIGH_HZ, rate / 2)))
    edges = 700 * (10 ** torch.linspace(low, high, bands + 2) - 1)
    width = rate / 2 / bins
    hz = torch.arange(bins)[:, None] * width
    rise = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2]).clamp(min=width)
    fall = (edges[2:] - hz) / (edges[2:] - edges[1:-1]).clamp(min=width)
    triangle = torch.minimum(rise, fall).clamp(min=0) + 1e-9
    return triangle / triangle.sum(dim=0)


class Network(Listener):
    """Spectra in, log odds of music out."""

    bands: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bins = config.bins
        self.register_buffer("bands", ear_bands(config.bins, config.rate, config.bands), persistent=False)
        self.steps = descent(1, config.channels)
        self.join = nn.Conv2d(config.channels[-1], config.width, (1, config.bands // 8))
        self.look = outlook(config.width, config.dilations)
        self.out = nn.Conv2d(config.width, 1, 1)

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        with torch.autocast(spectrum.device.type, enabled=False):
            power = spectrum.square().sum(dim=3) @ self.bands
            y = ((power + QUIET).log() / 8 + 1.5).unsqueeze(1)
        for cell in self.steps:
            y = cell(y, memory)
        y = functional.relu(self.join(y))
        for cell in self.look:
            y = cell(y, memory)
        return self.out(y).float()[:, 0, :, 0], memory.flat()
