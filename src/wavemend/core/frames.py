"""Short-time spectra whose delay is shorter than their windows.

A long analysis window tells partials apart; only the last `synthesis` samples of
each frame are given back, so that a sample waits no longer than that. Where both
are equally long these are the ordinary square-root Hann windows. After Mauler and
Martin, "A low delay, variable resolution, perfect reconstruction spectral
analysis-synthesis system for speech enhancement", EUSIPCO 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wavemend.errors import InputError

Window = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """Frame t looks at samples (t + 1)·hop - n_fft to (t + 1)·hop.

    `synthesis` is a multiple of 2·hop and at most n_fft. The spectrum of a frame is
    rfft(samples · analysis), scaled so that white noise of variance v has power v in
    every bin; irfft(spectrum) · synth, overlapped and added, gives the samples back.
    """

    sample_rate: int
    n_fft: int
    hop: int
    synthesis: int

    def __post_init__(self) -> None:
        if not (0 < self.synthesis <= self.n_fft and self.synthesis % (2 * self.hop) == 0):
            raise InputError(f"frames: synthesis must be a multiple of {2 * self.hop}, up to {self.n_fft}")
        if self.n_fft % 2:
            raise InputError("frames: n_fft must be even")

    @property
    def bins(self) -> int:
        """Bins without the one at the Nyquist frequency."""
        return self.n_fft // 2

    @property
    def overlap(self) -> int:
        """Frames that have a say in a sample."""
        return self.synthesis // self.hop

    def count(self, samples: int) -> int:
        """Frames that a sound of so many samples has a part in, silence before and after it."""
        return -(-samples // self.hop) + self.overlap - 1

    @cached_property
    def analysis(self) -> Window:
        """Rises over the old samples, falls over the newest synthesis/2; (n_fft,), energy 1."""
        return np.asarray(self._shape / np.sqrt(np.sum(self._shape**2)), np.float32)

    @cached_property
    def synth(self) -> Window:
        """Zero before the last `synthesis` samples; (n_fft,)."""
        hann = np.zeros(self.n_fft)
        place = (np.arange(self.synthesis) + 0.5) / self.synthesis
        hann[-self.synthesis :] = np.sin(np.pi * place) ** 2 * 2 * self.hop / self.synthesis
        scaled = hann / np.maximum(self._shape, 1e-9) * np.sqrt(np.sum(self._shape**2))
        return np.where(hann > 0, scaled, 0).astype(np.float32)

    @cached_property
    def _shape(self) -> npt.NDArray[np.float64]:
        fall = self.synthesis // 2
        rise = self.n_fft - fall
        up = np.sin(np.pi / 2 * (np.arange(rise) + 0.5) / rise)
        down = np.sin(np.pi / 2 * (np.arange(fall) + 0.5) / fall)[::-1]
        return np.concatenate((up, down))
