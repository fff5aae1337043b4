"""An examiner: what is wrong with this recording, frame by frame?

Per band as wide as the ear's it sees the level, how far that lies above the quietest of late, how deep
the holes between the bins are (codecs leave them) and how high the peaks, and by what share all
frequencies move together from frame to frame (wow), which the phases tell far more finely than
the bins. Then three steps down to few bands, and time alone, with dilation. Two things that bands
hide are told straight to the layers over time: what most bands agree on about that common movement,
with its spectrum, and how the samples of a frame are spread below the highest of late (saturation
crowds them there).

Related: minimum statistics (Martin, IEEE TSAP 2001), instantaneous frequency by phase differences
(Flanagan and Golden, 1966), robust means by reweighting (Holland and Welsch, 1977), tagging of sound by
convolutions (Kong et al., PANNs, IEEE TASLP 2020).
"""

from __future__ import annotations

import math
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
AGREED = (4e-3, 1e-3, 3e-4)  # shares of frequency within which bands agree, each from the one before on
ROUNDS = 4  # of reweighting
SWINGS_HZ = (0.4, 6.0)  # of wow and slow flutter
SWINGS = 20
SWING_S = 1.5
FOLDS = 4  # every eighth sample of a frame, in the middle half of it: 120 at 48 kHz
LEVELS = 20  # up to the highest sample of late, and a fifth above it
HIGHEST_S = 5.0


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
    waves: Tensor
    levels: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.bins, self.kinds = config, config.bins, config.kinds
        self.register_buffer("bands", ear_bands(config.bins, config.rate, config.bands), persistent=False)
        hz = torch.arange(config.bins) * (config.rate / 2 / config.bins)
        self.register_buffer("hz", hz, persistent=False)
        self.register_buffer("waves", _waves(config.bins), persistent=False)
        self.register_buffer("levels", torch.linspace(0, 1.2, LEVELS), persistent=False)
        self.steps = descent(FEATURES, config.channels)
        told = 2 * len(AGREED) + SWINGS + 1 + LEVELS + 1 + config.bands
        self.told = nn.Conv1d(told, config.width, 1)
        self.join = nn.Conv2d(config.channels[-1], config.width, (1, config.bands // 8))
        self.look = outlook(config.width, config.dilations)
        self.out = nn.Conv2d(config.width, len(config.kinds), 1)
        self.scale = nn.Parameter(torch.ones(len(config.kinds)), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros(len(config.kinds)), requires_grad=False)

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        with torch.autocast(spectrum.device.type, enabled=False):
            moves, agreed = self._moves(spectrum, memory)
            y = self._features(spectrum, moves, memory)
            swings = self._swings(agreed[..., 2], memory)
            told = torch.cat((agreed, swings, self._spread(spectrum, memory), moves), dim=2).transpose(1, 2)
        for cell in self.steps:
            y = cell(y, memory)
        y = functional.relu(self.join(y) + self.told(told).unsqueeze(3))
        for cell in self.look:
            y = cell(y, memory)
        odds = self.out(y).float()[..., 0].transpose(1, 2)
        return odds * self.scale + self.offset, memory.flat()

    def _features(self, spectrum: Tensor, moves: Tensor, memory: Memory) -> Tensor:
        """(batch, FEATURES, frames, bands)."""
        power = spectrum.square().sum(dim=3) + QUIET
        mean = power @ self.bands
        level = mean.log()
        holes = level - (power**HOLE @ self.bands).log() / HOLE
        peaks = (power.square() @ self.bands).log() / 2 - level
        above = level - minimum(mean, FLOOR_S * self.config.frame_rate, memory)
        parts = (level / 8 + 1.5, holes / 2 - 1, peaks - 1, above / 4, moves)
        return torch.stack(parts, dim=1)

    def _moves(self, spectrum: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """By what share the frequencies in each band rose since the last frame, (batch, frames, bands).

        And what most bands agree on, with how many do: (batch, frames, 2 for each of AGREED).
        """
        step = _turn(spectrum, _before(spectrum, memory))
        bend = _turn(step, _before(step, memory))
        # sine instead of angle, and weights like amplitudes: loud steady partials decide
        size = (bend.square().sum(dim=3) + QUIET**2) ** 0.375
        weight = size ** (1 / 3)
        hz = self.hz.clamp(min=HEARD_HZ)
        radians = 2 * torch.pi / self.config.frame_rate
        turned = bend[..., 1] / size * hz / radians
        weights = (weight * hz.square()) @ self.bands + QUIET
        moves = (turned @ self.bands) / weights
        weights = (weight @ self.bands) ** 0.5
        weights = weights / weights.sum(dim=2, keepdim=True)
        agreed = []
        middle = torch.zeros_like(moves[..., :1])
        for width in AGREED:
            for _ in range(ROUNDS):
                near = weights / (1 + ((moves - middle) / width).square())
                middle = (near * moves).sum(dim=2, keepdim=True) / near.sum(dim=2, keepdim=True)
            agreed += [torch.tanh(middle / AGREED[1]), near.sum(dim=2, keepdim=True)]
        return torch.tanh(moves * MOVES), torch.cat(agreed, dim=2)

    def _swings(self, course: Tensor, memory: Memory) -> Tensor:
        """How periodic a course is at SWINGS rates, and how large, of late: (batch, frames, SWINGS + 1)."""
        rates = torch.linspace(*SWINGS_HZ, SWINGS) * (2 * torch.pi / self.config.frame_rate)
        keep = math.exp(-1 / (SWING_S * self.config.frame_rate))
        count = course.shape[1]
        age = torch.arange(count, dtype=torch.float32)
        lags = (age[:, None] - age[None]).clamp(min=0)
        decay = torch.tril(keep**lags)
        turned = lags * rates[:, None, None]
        past = memory.past(course, 2 * SWINGS + 1)
        fade = keep ** (age + 1)
        ahead = (age + 1) * rates[:, None]
        real, imaginary = past[:, :SWINGS, None], past[:, SWINGS : 2 * SWINGS, None]
        waves = torch.einsum("kts,bs->bkt", decay * turned.cos(), course)
        waves = waves + fade * (real * ahead.cos() - imaginary * ahead.sin())
        turns = torch.einsum("kts,bs->bkt", decay * turned.sin(), course)
        turns = turns + fade * (real * ahead.sin() + imaginary * ahead.cos())
        total = course.square() @ decay.T + past[:, 2 * SWINGS :] * fade
        memory.keep(torch.cat((waves[..., -1], turns[..., -1], total[:, -1:]), dim=1))
        longest = 1 / (1 - keep)
        share = (waves.square() + turns.square()) * (2 / longest) / (total[:, None] + 1e-3)
        size = (total / longest + 1e-6).log() / 4 + 1
        return torch.cat((share.transpose(1, 2), size.unsqueeze(2)), dim=2)

    def _samples(self, spectrum: Tensor) -> Tensor:
        """Every eighth sample of the middle of each frame, (batch, frames, bins / FOLDS / 2)."""
        batch, frames, bins, _ = spectrum.shape
        folded = spectrum.reshape(batch, frames, FOLDS, bins // FOLDS, 2).sum(dim=2)
        double = folded.transpose(2, 3).flatten(2) @ self.waves
        samples: Tensor = double - spectrum[:, :, 0, :1] * (self.waves[0] / 2)  # the constant counts once
        return samples

    def _spread(self, spectrum: Tensor, memory: Memory) -> Tensor:
        """Shares of a frame's samples by their height, and the height of the highest, both re the highest
        of late: (batch, frames, LEVELS + 1)."""
        power = self._samples(spectrum).square() + QUIET
        highest = power.amax(dim=2, keepdim=True)
        # the tracker follows low values; of inverse powers these are the high ones
        late = -minimum(highest**-1, HIGHEST_S * self.config.frame_rate, memory) / 2
        height = (power.log() / 2 - late).exp()
        step = self.levels[1] - self.levels[0]
        near = (1 - (height.unsqueeze(3) - self.levels).abs() / step).clamp(min=0)
        share = (near.mean(dim=2) + 1e-3).log() / 4
        return torch.cat((share, highest.log() / 2 - late), dim=2)


def _waves(bins: int) -> Tensor:
    """From folded spectra, real and imaginary parts, to samples, (2 · bins / FOLDS, bins / FOLDS / 2).

    Every eighth sample is left by folding; the analysis window, a square root of Hann's, is divided out.
    """
    count = bins // FOLDS
    at = torch.arange(count // 4, count // 4 + count // 2)
    angle = 2 * torch.pi * (torch.arange(count)[:, None] * at[None]) / count
    window = torch.sin(torch.pi * (at * 2 * FOLDS + 0.5) / (2 * bins)) / math.sqrt(bins)
    waves = torch.cat((angle.cos(), -angle.sin())) / window / bins
    return waves.float()


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
