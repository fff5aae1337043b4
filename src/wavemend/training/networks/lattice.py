"""A lattice of dilated convolutions over time and bands, that gives every bin a complex gain.

Each bin tells the network its level, its phase, and how far it lies above two soft minima
of its own past (of half a second and of five), so that steady noise is seen at once and
long memory costs a few numbers per bin. Below `split` four neighbouring bins make a band,
above it sixteen; the bins of a band are channels, so no work is done bin by bin. Three
resolutions of bands are joined as in a U-Net; the coarsest holds the dilated blocks that
look back one to two seconds.

There is one way to run it: some frames at a time, with a state that starts at zero. A
network that looks ahead is the same one, with its gains that many frames late. Related:
temporal convolution with dilation (Lea et al., CVPR 2017; Luo and Mesgarani, IEEE TASLP
2019), U-Nets over short-time spectra (Jansson et al., ISMIR 2017), minimum statistics
(Martin, IEEE TSAP 2001).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wavemend.training.cells import KERNEL, Cell, Memory, minimum
from wavemend.training.network import Denoiser

FEATURES = 5
TRACKS_S = (0.5, 5.0)
QUIET = 1e-10
FINE, COARSE = 4, 16
OPEN = 1.5  # the gains of a new network, before the sigmoid


@dataclass(frozen=True)
class Config:
    """Sizes. The bands, split/4 fine ones and (bins - split)/16 coarse ones, are together divisible by 4."""

    bins: int = 768
    frame_rate: float = 100.0
    split: int = 256
    channels: tuple[int, int, int] = (24, 40, 56)
    head: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1, 4)
    ahead: tuple[int, ...] = ()
    """Frames that each deep block looks ahead, up to twice its dilation; empty: none."""


class Network(Denoiser):
    """Spectra in, complex gains out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.bins = config, config.bins
        ahead = config.ahead or (0,) * len(config.dilations)
        if len(ahead) != len(config.dilations):
            raise ValueError("`ahead` needs one number per dilation")
        self.lookahead = sum(ahead)
        first, second, third = config.channels
        self.fine = config.split // FINE
        coarse = (config.bins - config.split) // COARSE
        if self.fine * FINE != config.split or coarse * COARSE != config.bins - config.split:
            raise ValueError(f"{config.bins} bins cannot be split at {config.split} into bands")
        if (self.fine + coarse) % 4:
            raise ValueError("the number of bands must be divisible by 4")
        self.into_fine = nn.Conv2d(FEATURES * FINE, first, (1, KERNEL), padding=(0, 1))
        self.into_coarse = nn.Conv2d(FEATURES * COARSE, first, (1, KERNEL), padding=(0, 1))
        self.told = nn.ParameterList(torch.zeros(size) for size in (first, third, first))
        self.one = Cell(first, first)
        self.down = Cell(first, second, stride=2)
        self.two = Cell(second, second, dilation=2)
        self.deeper = Cell(second, third, stride=2)
        self.deep = nn.ModuleList(
            Cell(third, third, dilation, frames)
            for dilation, frames in zip(config.dilations, ahead, strict=True)
        )
        self.rise = nn.ConvTranspose2d(third, second, (1, 2), (1, 2))
        self.upper_two = Cell(second, second)
        self.higher = nn.ConvTranspose2d(second, first, (1, 2), (1, 2))
        self.upper_one = Cell(first, first)
        self.head_fine = Cell(first + FEATURES * FINE, config.head)
        self.head_coarse = Cell(first + FEATURES * COARSE, config.head)
        self.out_fine = nn.Conv2d(config.head, 3 * FINE, 1)
        self.out_coarse = nn.Conv2d(config.head, 3 * COARSE, 1)
        for out in (self.out_fine, self.out_coarse):
            # small, not zero: from zero all channels of the heads learn the same, and stay the same
            nn.init.normal_(out.weight, std=0.05)
            nn.init.zeros_(out.get_parameter("bias"))
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def adopt(self, weights: Mapping[str, Tensor]) -> None:
        try:
            missing, unknown = self.load_state_dict(dict(weights), strict=False)
        except RuntimeError as error:
            raise ValueError(f"the weights are of other sizes ({error})") from None
        new = [key for key in missing if not key.startswith(("deep.", "told."))]
        if new or unknown:
            raise ValueError(f"the weights are of another network ({', '.join([*new, *unknown][:3])})")
        for key in missing:
            if key.endswith("norm.weight"):  # a residual block then passes its input on
                nn.init.zeros_(self.get_parameter(key))

    def forward(
        self, spectrum: Tensor, state: Tensor | None = None, content: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        with torch.autocast(spectrum.device.type, enabled=False):
            features = self._features(spectrum, memory)
        raw = self._raw(features, memory, content).float()
        with torch.autocast(spectrum.device.type, enabled=False):
            turn = raw[..., :2] + raw.new_tensor((1.0, 0.0))
            length = (turn.square().sum(dim=3, keepdim=True) + 1e-6).sqrt()
            gains = torch.sigmoid(raw[..., 2:] + OPEN) * turn / length
        return gains, memory.flat()

    def _features(self, spectrum: Tensor, memory: Memory) -> Tensor:
        """(batch, frames, bins, FEATURES): level, level above two minima, compressed spectrum."""
        power = spectrum.square().sum(dim=3) + QUIET
        level = power.log()
        seen = [level / 8 + 1.5]
        seen += [
            (level - minimum(power, seconds * self.config.frame_rate, memory)) / 4 for seconds in TRACKS_S
        ]
        compressed = spectrum * (power**-0.35).unsqueeze(3)
        return torch.cat((torch.stack(seen, dim=3), compressed), dim=3)

    def _raw(self, features: Tensor, memory: Memory, content: Tensor | None) -> Tensor:
        """Features (batch, frames, bins, FEATURES) -> (batch, frames, bins, 3), before the gains' bounds."""
        fine, coarse = self._packed(features)
        one = torch.cat((self.into_fine(fine), self.into_coarse(coarse)), dim=3)
        one = self.one(self._tell(one, content, 0), memory)
        two = self.two(self.down(one, memory), memory)
        y = self._tell(self.deeper(two, memory), content, 1)
        for cell in self.deep:
            y = cell(y, memory)
        late = self.lookahead
        y = self.upper_two(self.rise(y) + memory.late(two, late), memory)
        y = self._tell(self.higher(y) + memory.late(one, late), content, 2)
        y = self.upper_one(y, memory)
        fine, coarse = self._packed(memory.late(features, late, axis=1))
        low = torch.cat((y[..., : self.fine], fine.to(y.dtype)), dim=1)
        high = torch.cat((y[..., self.fine :], coarse.to(y.dtype)), dim=1)
        low = self.out_fine(self.head_fine(low, memory))
        high = self.out_coarse(self.head_coarse(high, memory))
        batch, count = features.shape[:2]
        parts = [part.permute(0, 2, 3, 1).reshape(batch, count, -1, 3) for part in (low, high)]
        return torch.cat(parts, dim=2)

    def _tell(self, x: Tensor, content: Tensor | None, place: int) -> Tensor:
        """What the content is, as an offset of every channel."""
        if content is None:
            return x
        offset = (content * self.told[place])[:, :, None, None]
        told: Tensor = x + offset.to(x.dtype)
        return told

    def _packed(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The bins of a band as channels: (batch, channels, frames, bands), fine and coarse."""
        batch, count = features.shape[:2]
        split = self.config.split
        fine = features[:, :, :split].reshape(batch, count, -1, FEATURES * FINE)
        coarse = features[:, :, split:].reshape(batch, count, -1, FEATURES * COARSE)
        return fine.permute(0, 3, 1, 2), coarse.permute(0, 3, 1, 2)
