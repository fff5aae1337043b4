"""Where the band of a recording ends, as it goes by: it may change.

Looked at in the mean spectrum of some seconds around each place, its loud parts alone. Where wide sound and
narrow meet, the wider counts: nothing is added to what is there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from wavemend.core.band_end import band_end
from wavemend.core.blocks import Queue
from wavemend.core.card import Card
from wavemend.core.types import Samples

AHEAD_S = 2.5
BEHIND_S = 5.0
EVERY = 4  # calls: so often it is looked for
LOUD = 10**-2.5  # of the loudest part of what is looked at
SILENCE = 1e-8  # power in a frame, all bins together
FALLS_DB = 15.0  # at an end that others told, so much at least
APART = 0.1  # of its frequency to each side


class Ends:
    """Blocks of sound at the network's rate in, (channels, samples); then `end_hz` at any place known.

    A place is known when `ahead` samples after it have come, or all have. Nothing is looked for above
    `nyquist_hz`. `expected_hz` holds where nothing is found and the sound does fall there.
    """

    def __init__(self, card: Card, channels: int, nyquist_hz: float, expected_hz: float | None) -> None:
        self._n_fft, self._length = card.n_fft, card.frames_per_call * card.hop
        window = signal.get_window(("kaiser", 12.0), self._n_fft)  # what is loud and low must not leak
        self._window = (window / np.sqrt((window**2).sum())).astype(np.float32)
        self._held, self._channels, self._expected_hz = Queue(channels), channels, expected_hz
        self._top_hz = min(nyquist_hz, card.sample_rate / 2)
        self._bins = round(self._top_hz / (card.sample_rate / 2) * card.bins)
        per_second = card.sample_rate / self._length
        self._ahead, self._behind = round(AHEAD_S * per_second), round(BEHIND_S * per_second)
        self._powers: list[npt.NDArray[np.float32]] = []  # the mean spectrum of each call
        self._forgotten = 0
        self._last: float | None = None

    @property
    def ahead(self) -> int:
        """Samples that must have come after a place before it is known."""
        return self._ahead * self._length

    def push(self, block: Samples) -> None:
        """Hear the next samples."""
        self._held.append(block)
        while self._held.stop - self._held.start >= self._length:
            self._take()

    def flush(self) -> None:
        """The recording has ended."""
        rest = self._held.stop - self._held.start
        self.push(np.zeros((self._channels, -rest % self._length), np.float32))

    def end_hz(self, sample: int) -> float | None:
        """Where the band ends around a sample, in Hz, or None; places are asked for in order."""
        call = sample // self._length
        if call % EVERY:
            return self._last
        first = max(call - self._behind, self._forgotten)
        if first > self._forgotten:
            del self._powers[: first - self._forgotten]
            self._forgotten = first
        heard = np.array(self._powers[: call + self._ahead - first])
        total = heard.sum(axis=1) if len(heard) else np.zeros(1)
        if total.max() < SILENCE:
            return self._last
        power = heard[total >= LOUD * total.max()].mean(axis=0)
        self._last = band_end(power, self._top_hz)
        if self._last is None and self._expected_hz and self._falls(power, self._expected_hz):
            self._last = self._expected_hz
        return self._last

    def _falls(self, power: npt.NDArray[np.float32], hz: float) -> bool:
        place = hz / self._top_hz * self._bins
        low, high = round(place * (1 - 2 * APART)), round(place * (1 + APART))
        if high >= self._bins:
            return False
        below = float(np.mean(power[low : round(place * (1 - APART))]))
        return float(np.mean(power[high:])) < below * 10 ** (-FALLS_DB / 10)

    def _take(self) -> None:
        """The mean spectrum of the next call."""
        start = self._held.start
        given = self._held.view(start, start + self._length)
        self._held.drop(start + self._length)
        cut = given[:, : self._length // self._n_fft * self._n_fft]
        spectra = fft.rfft(cut.reshape(self._channels, -1, self._n_fft) * self._window, axis=2)
        power = np.mean(spectra.real**2 + spectra.imag**2, axis=(0, 1))
        self._powers.append(power[: self._bins])
