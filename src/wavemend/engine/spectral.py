"""Short-time spectra in a stream: analysis, a change, and overlap-add on a fixed grid."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Window
from wavemend.core.types import Format, Samples
from wavemend.engine.stream import Chunked

Spectra = npt.NDArray[np.complexfloating]
"""(channels, frames, bins)"""


class Spectral(Chunked):
    """A stream that changes spectra; a change of nothing gives the input back to rounding.

    Square-root Hann windows before and after (periodic, `n_fft` long, every
    `hop_length`; n_fft must be a multiple of it, at least twice). `frames_per_chunk`
    frames are worked on at once: more is faster, fewer is a shorter latency, which is
    n_fft + (frames_per_chunk - 1) · hop_length.
    """

    def __init__(self, format: Format, n_fft: int, hop_length: int, frames_per_chunk: int = 32) -> None:
        super().__init__(
            format, hop=hop_length * frames_per_chunk, left=n_fft - hop_length, right=n_fft - hop_length
        )
        self.n_fft, self.hop_length = n_fft, hop_length
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        self._analysis = np.sqrt(hann).astype(np.float32)
        self._synthesis = (np.sqrt(hann) / hann.reshape(-1, hop_length).sum(0)[0]).astype(np.float32)
        self._tail: Samples | None = None

    @abstractmethod
    def change(self, spectra: Spectra) -> Spectra:
        """New spectra for the next frames, in order, each exactly once; the given must not be written to."""

    def process(self, window: Window) -> Samples:
        given, length = window.samples, window.length
        hop, overlap = self.hop_length, self.n_fft - self.hop_length
        count = -(-length // hop)
        before = 0 if self._tail is not None else overlap // hop  # the frames that the recording begins in
        first = (
            window.lead + (0 if before else overlap) - overlap
        )  # where the first new frame begins in the window
        frames = before + count
        need = (frames - 1) * hop + self.n_fft
        padded = np.zeros((len(given), need), np.float32)
        src, dst = max(first, 0), max(-first, 0)
        taken = given[:, src : src + need - dst]
        padded[:, dst : dst + taken.shape[1]] = taken
        cut = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=1)[:, ::hop]
        spectra = fft.rfft(cut * self._analysis, axis=2)
        sound = fft.irfft(self.change(spectra), self.n_fft, axis=2) * self._synthesis
        out = np.zeros((len(given), need), np.float32)
        for k in range(self.n_fft // hop):
            # every frame's k-th piece lands on a piece of its own
            piece = sound[:, :, k * hop : (k + 1) * hop].reshape(len(given), -1)
            out[:, k * hop : k * hop + piece.shape[1]] += piece
        if self._tail is not None:
            out[:, :overlap] += self._tail
        begin = before * hop if before else 0
        self._tail = out[:, frames * hop : frames * hop + overlap].copy()
        return out[:, begin : begin + length]
