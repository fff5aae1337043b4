"""Sound at another rate while it streams: exact in time, and the same for any cut.

A polyphase FIR filter of finite length, worked out in windows on a fixed grid: every sample is
the same sum over the same neighbours, so there are no seams. Both rates meet at whole
samples every `rate / gcd` samples; chunks are multiples of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd

import numpy as np
import numpy.typing as npt
from scipy import signal

from wavemend.core.blocks import Grid, Window
from wavemend.core.types import Samples

PASSBAND = 0.9  # of the lower rate's Nyquist frequency, where the stopband begins
ATTENUATION_DB = 105.0
SHORT, LONGEST = 256, 1024  # samples out of one product with a matrix: of several periods, of one


@dataclass(frozen=True, slots=True)
class Ratio:
    """`down` samples at one rate last as long as `up` samples at the other."""

    up: int
    down: int

    @staticmethod
    def of(rate_in: int, rate_out: int) -> Ratio:
        """The ratio of two rates in Hz."""
        common = gcd(rate_in, rate_out)
        return Ratio(rate_out // common, rate_in // common)


@lru_cache(maxsize=8)
def _filter(ratio: Ratio) -> npt.NDArray[np.float64]:
    """Taps at up times the rate of the input, odd in number, symmetric, of gain `up`."""
    longest = max(ratio.up, ratio.down)
    taps, beta = signal.kaiserord(ATTENUATION_DB, (1 - PASSBAND) / longest)
    half = ceil(taps / 2)
    taken = signal.firwin(2 * half + 1, (1 + PASSBAND) / 2 / longest, window=("kaiser", beta))
    return np.asarray(taken * ratio.up, np.float64)


@lru_cache(maxsize=8)
def _matrix(ratio: Ratio, periods: int, reach: int) -> npt.NDArray[np.float32]:
    """The filter from `periods` · down samples, `reach` more on each side, to periods · up samples."""
    taps = _filter(ratio)
    seen = periods * ratio.down + 2 * reach
    place = (
        np.arange(periods * ratio.up) * ratio.down
        - (np.arange(seen)[:, np.newaxis] - reach) * ratio.up
        + len(taps) // 2
    )
    inside = (place >= 0) & (place < len(taps))
    return np.where(inside, taps[np.where(inside, place, 0)], 0).astype(np.float32)


class Resampler:
    """Blocks at one rate in, the same sound at another out, `chunk` samples of input at a time.

    `chunk` is a multiple of the ratio's `down`. What comes out begins with the recording; of n
    samples, ceil(n · up / down) come out in all. Beyond both ends the sound is taken to be silent.
    """

    def __init__(self, channels: int, ratio: Ratio, chunk: int) -> None:
        self._channels, self._ratio, self._chunk = channels, ratio, chunk
        self.reach = ceil(len(_filter(ratio)) // 2 / ratio.up)
        self._grid = Grid(channels, hop=chunk, left=self.reach, right=self.reach)
        # periods go through one matrix together while it stays small
        every = chunk // ratio.down
        fitting = [n for n in range(1, every + 1) if every % n == 0 and n * ratio.up <= SHORT]
        self._periods = max(fitting, default=int(ratio.up <= LONGEST))

    @property
    def latency(self) -> int:
        """Samples of the input that are held back at most."""
        return self._chunk - 1 + self.reach

    def push(self, block: Samples) -> Samples:
        """Take the next samples, give those that are ready."""
        return self._joined(self._grid.push(block))

    def flush(self) -> Samples:
        """Give the rest."""
        return self._joined(self._grid.flush())

    def _joined(self, windows: Iterator[Window]) -> Samples:
        parts = [self._convert(window) for window in windows]
        return np.concatenate([np.zeros((self._channels, 0), np.float32), *parts], axis=1)

    def _convert(self, window: Window) -> Samples:
        before = self.reach - window.lead
        after = self._chunk + 2 * self.reach - before - window.samples.shape[1]
        given = window.samples
        if before or after:
            given = np.pad(given, ((0, 0), (before, after)))
        up, down = self._ratio.up, self._ratio.down
        found = self._product(given) if self._periods else self._filtered(given)
        return np.asarray(found[:, : ceil(window.length * up / down)], np.float32)

    def _product(self, given: Samples) -> Samples:
        hop = self._periods * self._ratio.down
        seen = [given[:, at : at + hop + 2 * self.reach] for at in range(0, self._chunk, hop)]
        found: Samples = np.stack(seen, axis=1) @ _matrix(self._ratio, self._periods, self.reach)
        return found.reshape(self._channels, -1)

    def _filtered(self, given: Samples) -> npt.NDArray[np.float64]:
        up, down, taps = self._ratio.up, self._ratio.down, _filter(self._ratio)
        # zeros in front, so that the filter's middle falls on a sample of the output
        early = -(self.reach * up + len(taps) // 2) % down
        first = (self.reach * up + len(taps) // 2 + early) // down
        padded = np.concatenate((np.zeros(early), taps))
        found = signal.upfirdn(padded, given.astype(np.float64), up, down, axis=1)
        return np.asarray(found[:, first : first + self._chunk // down * up])
