"""What streaming networks are built of: convolutions over time and bands that remember what they need."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 3
SOFTNESS = 1 / 3  # the minima are means of power to this negative exponent


class Memory:
    """The past that the parts of a network need, as one flat vector per stream.

    Parts take turns in a fixed order: each asks for what it kept in the last call, and
    says what it keeps now. Without a vector all pasts are zero.
    """

    def __init__(self, flat: Tensor | None, keeps: bool = True) -> None:
        self._flat, self._at, self._keeps = flat, 0, keeps
        self._kept: list[Tensor] = []

    def past(self, like: Tensor, *shape: int) -> Tensor:
        """What the part kept, (batch, *shape); zeros in the beginning."""
        if self._flat is None:
            return like.new_zeros((like.shape[0], *shape))
        size = math.prod(shape)
        part = self._flat[:, self._at : self._at + size].reshape(-1, *shape)
        self._at += size
        return part.to(like.dtype)

    def keep(self, part: Tensor) -> None:
        """What the part needs in the next call."""
        if self._keeps:
            self._kept.append(part.float().flatten(1))

    def flat(self) -> Tensor:
        """All that was kept, (batch, size)."""
        return torch.cat(self._kept, dim=1) if self._keeps else torch.zeros(0)

    def late(self, x: Tensor, frames: int, axis: int = 2) -> Tensor:
        """x so many frames late; axis 1 or 2 counts frames."""
        if not frames:
            return x
        shape = list(x.shape[1:])
        shape[axis - 1] = frames
        whole = torch.cat((self.past(x, *shape), x), dim=axis)
        self.keep(whole.narrow(axis, x.shape[axis], frames))
        return whole.narrow(axis, 0, x.shape[axis])


class Cell(nn.Module):
    """Convolution, normalisation and activation over (time, band); keeps the frames that it looks back."""

    def __init__(
        self, into: int, out: int, dilation: int = 1, ahead: int = 0, stride: int = 1, width: int = KERNEL
    ) -> None:
        super().__init__()
        self.frames, self.ahead = (KERNEL - 1) * dilation, ahead
        if not 0 <= ahead <= self.frames:
            raise ValueError(f"a block with dilation {dilation} cannot look {ahead} frames ahead")
        self.residual = into == out and stride == 1
        width = width if stride == 1 else 2 * stride
        pad = (width - stride + 1) // 2
        self.conv = nn.Conv2d(into, out, (KERNEL, width), (1, stride), (0, pad), (dilation, 1), bias=False)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(batch, into, frames, bands) -> (batch, out, frames, bands / stride)."""
        count = x.shape[2]
        whole = torch.cat((memory.past(x, x.shape[1], self.frames, x.shape[3]), x), dim=2)
        memory.keep(whole[:, :, count:])
        y = functional.relu(self.norm(self.conv(whole)))
        if self.residual:
            start = self.frames - self.ahead
            y = y + whole[:, :, start : start + count]
        return y


def descent(into: int, channels: tuple[int, int, int]) -> nn.ModuleList:
    """Cells over time and bands, three times to half as many bands."""
    first, second, third = channels
    return nn.ModuleList(
        (
            Cell(into, first, stride=2),
            Cell(first, first),
            Cell(first, second, stride=2),
            Cell(second, second, dilation=2),
            Cell(second, third, stride=2),
        )
    )


def outlook(width: int, dilations: Sequence[int]) -> nn.ModuleList:
    """Cells over time alone, ever farther back."""
    return nn.ModuleList(Cell(width, width, dilation, width=1) for dilation in dilations)


def minimum(power: Tensor, frames: float, memory: Memory) -> Tensor:
    """Logarithm of a mean of the powers so far that low ones dominate, (batch, frames, bins).

    What lies `frames` frames back counts 1/e as much.
    """
    count = power.shape[1]
    keep = math.exp(-1 / frames)
    age = torch.arange(count, device=power.device, dtype=torch.float32)
    decay = torch.tril(keep ** (age[:, None] - age[None, :]).clamp(min=0))
    fade = keep ** (age + 1)
    past = memory.past(power, 1 + power.shape[2])
    weight = decay.sum(dim=1) + past[:, :1] * fade
    total = decay @ power**-SOFTNESS + past[:, None, 1:] * fade[:, None]
    memory.keep(torch.cat((weight[:, -1:], total[:, -1]), dim=1))
    return (total / weight.unsqueeze(2)).log() / -SOFTNESS


def widened(old: Tensor, new: Tensor) -> Tensor:
    """`new` with `old` in its first corner, so that old channels hear nothing of new ones yet.

    Old rows get zeros for new columns; new rows stay as they are (Net2Net's idea; Chen, Goodfellow and
    Shlens, ICLR 2016). Raises ValueError where `old` is no smaller one of the same kind.
    """
    if old.ndim != new.ndim or any(a > b for a, b in zip(old.shape, new.shape, strict=True)):
        raise ValueError(f"weights of shape {tuple(old.shape)} do not fit into {tuple(new.shape)}")
    grown = new.clone()
    if new.ndim:
        grown[: len(old)] = 0
    grown[tuple(slice(size) for size in old.shape)] = old
    return grown
