"""Sound at another rate while it streams: exact in time, and the same for any cut.

A polyphase FIR filter of finite length, worked out in windows on a fixed grid: every sample is
the same sum over the same neighbours, so that there are no seams. Both rates meet at whole
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


class Resampler:
    """Blocks at one rate in, the same sound at another out, `chunk` samples of input at a time.

    `chunk` is a multiple of the ratio's `down`. What comes out begins with the recording; of n
    samples, ceil(n · up / down) come out in all. Beyond both ends the sound is taken to be silent.
    """

    def __init__(self, channels: int, ratio: Ratio, chunk: int) -> None:
        self._channels, self._ratio, self._chunk = channels, ratio, chunk
        taps = _filter(ratio)
        half = len(taps) // 2
        # zeros in front, so that the filter's middle falls on a sample of the output
        self._taps = np.concatenate((np.zeros(-half % ratio.down), taps))
        self._delay = (len(self._taps) - 1 - half) // ratio.down
        self.reach = ceil(half / ratio.up)
        left = ceil(self.reach / ratio.down) * ratio.down
        self._grid = Grid(channels, hop=chunk, left=left, right=self.reach)

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
        up, down = self._ratio.up, self._ratio.down
        before = self._grid.left - window.lead
        after = self._grid.left + self._chunk + self.reach - before - window.samples.shape[1]
        given = np.pad(window.samples, ((0, 0), (before, after)))
        found = signal.upfirdn(self._taps, given.astype(np.float64), up, down, axis=1)
        first = self._grid.left // down * up + self._delay
        return np.asarray(found[:, first : first + ceil(window.length * up / down)], np.float32)
