"""An examiner: what is wrong with this recording, frame by frame?

Per band as wide as the ear's it sees the level, how far that lies above the quietest of late, how deep
the holes between the bins are (codecs leave them) and how high the peaks, and by what share all
frequencies move together from frame to frame (wow), which the phases tell far more finely than
the bins. Then three steps down to few bands, and time alone, with dilation.

Related: minimum statistics (Martin, IEEE TSAP 2001), instantaneous frequency by phase differences
(Flanagan and Golden, 1966), tagging of sound by convolutions (Kong et al., PANNs, IEEE TASLP 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavemend.training.cells import Memory, descent, minimum, outlook
from wavemend.training.network import Examiner
from wavemend.training.networks.ear import QUIET, ear_bands

FEATURES = 5
FLOOR_S = 5.0
HOLE = -0.25  # means of power to this exponent are small where any bin is
MOVES = 1000.0  # shares of frequency to numbers about 1; onsets, far above it, are held back
HEARD_HZ = 200.0  # partials below it tell little of speed


@dataclass(frozen=True)
class Config:
    """Sizes. `bands` are divisible by 8; `rate` is that of the sound, in Hz; `kinds` are the answers."""

    kinds: tuple[str, ...]
    bins: int = 960
    frame_rate: float = 50.0
    rate: float = 48_000.0
    bands: int = 64
    channels: tuple[int, int, int] = (16, 24, 40)
    width: int = 80
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)


class Network(Examiner):
    """Spectra in, log odds of every kind of damage out."""

    bands: Tensor
    hz: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.bins, self.kinds = config, config.bins, config.kinds
        self.register_buffer("bands", ear_bands(config.bins, config.rate, config.bands), persistent=False)
        hz = torch.arange(config.bins) * (config.rate / 2 / config.bins)
        self.register_buffer("hz", hz, persistent=False)
        self.steps = descent(FEATURES, config.channels)
        self.join = nn.Conv2d(config.channels[-1], config.width, (1, config.bands // 8))
        self.look = outlook(config.width, config.dilations)
        self.out = nn.Conv2d(config.width, len(config.kinds), 1)
        self.scale = nn.Parameter(torch.ones(len(config.kinds)), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros(len(config.kinds)), requires_grad=False)

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        with torch.autocast(spectrum.device.type, enabled=False):
            y = self._features(spectrum, memory)
        for cell in self.steps:
            y = cell(y, memory)
        y = functional.relu(self.join(y))
        for cell in self.look:
            y = cell(y, memory)
        odds = self.out(y).float()[..., 0].transpose(1, 2)
        return odds * self.scale + self.offset, memory.flat()

    def _features(self, spectrum: Tensor, memory: Memory) -> Tensor:
        """(batch, FEATURES, frames, bands)."""
        power = spectrum.square().sum(dim=3) + QUIET
        mean = power @ self.bands
        level = mean.log()
        holes = level - (power**HOLE @ self.bands).log() / HOLE
        peaks = (power.square() @ self.bands).log() / 2 - level
        above = level - minimum(mean, FLOOR_S * self.config.frame_rate, memory)
        moves = self._moves(spectrum, memory)
        parts = (level / 8 + 1.5, holes / 2 - 1, peaks - 1, above / 4, moves)
        return torch.stack(parts, dim=1)

    def _moves(self, spectrum: Tensor, memory: Memory) -> Tensor:
        """By what share the frequencies in each band rose since the last frame, (batch, frames, bands)."""
        step = _turn(spectrum, _before(spectrum, memory))
        bend = _turn(step, _before(step, memory))
        # sine instead of angle, and weights like amplitudes: loud steady partials decide
        size = (bend.square().sum(dim=3) + QUIET**2) ** 0.375
        weight = size ** (1 / 3)
        hz = self.hz.clamp(min=HEARD_HZ)
        radians = 2 * torch.pi / self.config.frame_rate
        turned = bend[..., 1] / size * hz / radians
        moves = (turned @ self.bands) / ((weight * hz.square()) @ self.bands + QUIET)
        return torch.tanh(moves * MOVES)


def _before(x: Tensor, memory: Memory) -> Tensor:
    """The frame before each, zeros before the first: (batch, frames, bins, 2) -> the same."""
    last = memory.past(x, 1, x.shape[2], 2)
    memory.keep(x[:, -1:])
    return torch.cat((last, x[:, :-1]), dim=1)


def _turn(now: Tensor, before: Tensor) -> Tensor:
    """now times the conjugate of before, magnitudes as of a single factor."""
    real = now[..., 0] * before[..., 0] + now[..., 1] * before[..., 1]
    imaginary = now[..., 1] * before[..., 0] - now[..., 0] * before[..., 1]
    product = torch.stack((real, imaginary), dim=3)
    return product / (product.square().sum(dim=3, keepdim=True) + QUIET**2) ** 0.25
