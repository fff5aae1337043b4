"""Sound in blocks of any length, cut into the frames that a network takes in one call after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Queue
from wavemend.core.card import Card
from wavemend.core.frames import Frames
from wavemend.core.types import Samples

Spectra = npt.NDArray[np.complex64]
FAINT = 1e-30


class Calls:
    """Blocks at the network's rate in, (channels, samples); spectra out, (channels, frames, bins + 1).

    Before the recording there is silence. `length` is how many samples a call takes, `rest`
    how many have come that are in no call yet.
    """

    def __init__(self, card: Card, channels: int) -> None:
        self._frames, self.length = card.frames, card.frames_per_call * card.hop
        self._lead = card.n_fft - card.hop  # silence before the first frame ends
        self._held = Queue(channels)
        self._held.append(np.zeros((channels, self._lead), np.float32))
        self._start = 0

    @property
    def rest(self) -> int:
        return self._held.stop - self._lead - self._start

    def push(self, block: Samples) -> None:
        """Take the next samples."""
        self._held.append(block)

    def ready(self) -> Iterator[tuple[int, Spectra]]:
        """The calls that are complete: each one's first new sample, and its spectra."""
        frames = self._frames
        while self.rest >= self.length:
            start = self._start
            given = self._held.view(start, start + self._lead + self.length)
            self._start += self.length
            self._held.drop(self._start)
            cut = [given[:, at : at + frames.n_fft] for at in range(0, self.length, frames.hop)]
            yield start, fft.rfft(np.stack(cut, axis=1) * frames.analysis, axis=2)


class Overlap:
    """Spectra of frames back to sound, (channels, frames, bins + 1) -> (channels, frames · hop).

    What lies before the recording is left out: the first frames give less.
    """

    def __init__(self, frames: Frames, channels: int) -> None:
        self._frames, self._channels = frames, channels
        self._tail = np.zeros((channels, frames.synthesis - frames.hop), np.float32)
        self._skip = self._tail.shape[1]

    def add(self, spectra: Spectra) -> Samples:
        """What these frames complete."""
        frames, count = self._frames, spectra.shape[1]
        sound = fft.irfft(spectra, frames.n_fft, axis=2)[..., -frames.synthesis :]
        sound = (sound * frames.synth[-frames.synthesis :]).reshape(
            self._channels, count, frames.overlap, frames.hop
        )
        total = np.zeros((self._channels, count + frames.overlap - 1, frames.hop), np.float32)
        total[:, : frames.overlap - 1] = self._tail.reshape(self._channels, -1, frames.hop)
        for k in range(frames.overlap):
            total[:, k : k + count] += sound[:, :, k]
        self._tail = total[:, count:].reshape(self._channels, -1)
        out = total[:, :count].reshape(self._channels, -1)
        skip = min(self._skip, out.shape[1])
        self._skip -= skip
        return out[:, skip:]


def heard(spectra: Spectra) -> Spectra:
    """One spectrum for all channels: their mean power, and the phase of their sum."""
    if len(spectra) == 1:
        return np.ascontiguousarray(spectra[0])
    power = np.mean(spectra.real**2 + spectra.imag**2, axis=0)
    added = spectra.sum(axis=0)
    size = np.abs(added)
    audible = size > FAINT  # a quotient of smaller numbers is no phase, and may be infinite
    turn = np.where(audible, added / np.where(audible, size, 1), 1)
    return np.asarray(np.sqrt(power) * turn, np.complex64)
