"""Dense convolutions over time that hear the whole band at once, and give gains to bins and bands.

What a voice is, and what a dog or a motor, is told by the whole of a spectrum; so every layer sees all
of it. Two frames are heard at once, and two answered, for half the work. Below `split` each bin
has a gain of its own, above it sixteen share one; phases stay as they are. All of the cost is in
a few matrices: in the same time it learns from five times as many hours as the lattice.

Related: temporal convolutions on whole spectra (Pandey and Wang, ICASSP 2019), masks from
recurrent layers on whole spectra (Westhausen and Meyer, Interspeech 2020), minimum statistics
(Martin, IEEE TSAP 2001).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavemend.training.cells import Memory, minimum, widened
from wavemend.training.network import Denoiser

TRACKS_S = (0.5, 5.0)
QUIET = 1e-10
COARSE = 16
PAIR = 2
TAPS = 2
OPEN = 1.0  # the gains of a new network, before the sigmoid


@dataclass(frozen=True)
class Config:
    """Sizes. `dilations` count pairs of frames; `ahead` frames that are awaited, an even number."""

    bins: int = 960
    frame_rate: float = 100.0
    split: int = 320
    width: int = 160
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1, 2, 4, 8, 16, 32)
    ahead: int = 20


class Step(nn.Module):
    """A convolution over time with two taps `dilation` apart, added to what came in."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv = nn.Conv1d(width, width, TAPS, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(batch, width, times) -> the same."""
        count = x.shape[2]
        whole = torch.cat((memory.past(x, x.shape[1], self.dilation), x), dim=2)
        memory.keep(whole[:, :, count:])
        y: Tensor = x + functional.relu(self.norm(self.conv(whole)))
        return y


class Network(Denoiser):
    """Spectra in, real gains out. It takes an even number of frames at a time."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.bins, self.lookahead = config, config.bins, config.ahead
        self.coarse = (config.bins - config.split) // COARSE
        if self.coarse * COARSE != config.bins - config.split:
            raise ValueError(f"{config.bins} bins cannot be split at {config.split} into bands")
        if config.ahead % PAIR:
            raise ValueError(f"`ahead` must be even, not {config.ahead}")
        bands = config.split + self.coarse
        self.into = nn.Conv1d((PAIR + len(TRACKS_S)) * bands, config.width, 1)
        self.told = nn.Parameter(torch.zeros(config.width))
        steps = [Step(config.width, dilation) for dilation in config.dilations]
        self.steps = nn.ModuleList(steps)
        self.out = nn.Conv1d(config.width, PAIR * bands, 1)
        nn.init.normal_(self.out.weight, std=0.02)
        self.own = nn.Parameter(torch.zeros(1 + len(TRACKS_S), bands))

    def adopt(self, weights: Mapping[str, Tensor]) -> None:
        own = self.state_dict()
        if own.keys() != weights.keys():
            raise ValueError("the weights are of another network")
        super().adopt({key: widened(weights[key], own[key]) for key in own})

    def hidden(self) -> list[nn.Parameter]:
        inner = (one for one in self.modules() if isinstance(one, nn.Conv1d) and one is not self.out)
        return [one.get_parameter("weight") for one in inner]

    def forward(
        self, spectrum: Tensor, state: Tensor | None = None, content: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        odd = spectrum.shape[1] % PAIR  # only in training are frames not even; the last is of no use there
        spectrum = functional.pad(spectrum, (0, 0, 0, 0, 0, odd))
        with torch.autocast(spectrum.device.type, enabled=False):
            power = self._powers(spectrum)
            level = power.log()
            pairs = _paired(power).mean(dim=2)
            rate = self.config.frame_rate / PAIR
            floors = [minimum(pairs, seconds * rate, memory) for seconds in TRACKS_S]
            mean = pairs.log()
        heard = [_paired(level / 8 + 1.5).flatten(2)]
        heard += [(mean - floor) / 4 for floor in floors]
        x = self.into(torch.cat(heard, dim=2).transpose(1, 2))
        if content is not None:
            x = x + (content * self.told)[:, :, None].to(x.dtype)
        for step in self.steps:
            x = step(x, memory)
        answers = self.out(x).float().transpose(1, 2)
        wide = answers.reshape(len(answers), level.shape[1], -1)
        gains = self._gains(wide, memory.late(level, self.lookahead, axis=1), floors, memory)
        return gains[:, : gains.shape[1] - odd], memory.flat()

    def _powers(self, spectrum: Tensor) -> Tensor:
        """(batch, frames, bands)."""
        power = spectrum.square().sum(dim=3)
        high = power[:, :, self.config.split :]
        high = high.reshape(*high.shape[:2], self.coarse, COARSE).mean(dim=3)
        return torch.cat((power[:, :, : self.config.split], high), dim=2) + QUIET

    def _gains(self, wide: Tensor, level: Tensor, floors: list[Tensor], memory: Memory) -> Tensor:
        """What the whole band says of each bin, and what its own level says, as gains."""
        raw = wide + OPEN + self.own[0] * (level / 8 + 1.5)
        for weight, floor in zip(self.own[1:], floors, strict=True):
            late = memory.late(floor, self.lookahead // PAIR, axis=1).repeat_interleave(PAIR, dim=1)
            raw = raw + weight * ((level - late) / 4)
        gain = torch.sigmoid(raw)
        split = self.config.split
        high = gain[:, :, split:].repeat_interleave(COARSE, dim=2)
        real = torch.cat((gain[:, :, :split], high), dim=2)
        return torch.stack((real, torch.zeros_like(real)), dim=3)


def _paired(frames: Tensor) -> Tensor:
    """(batch, frames, bands) -> (batch, frames / PAIR, PAIR, bands)."""
    return frames.reshape(frames.shape[0], -1, PAIR, frames.shape[2])
