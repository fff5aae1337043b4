"""A network's mask on a recording, at any rate and in any number of channels.

Only the difference that the mask makes is worked out at the network's rate; it is brought to the
recording's rate and added to the recording's own samples (engine.aside). Where the mask is 1 they keep
their bits, and what lies above the network's band is not touched: at 96 kHz, hiss above 24 kHz stays.
All channels get one mask, so that the stereo image does not move.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from wavemend.core.types import Format, Samples
from wavemend.engine.aside import Aside, Framed
from wavemend.engine.calls import Overlap, Spectra, heard
from wavemend.engine.hearing import AHEAD_S, Ear
from wavemend.engine.model import Model


class Difference(Framed):
    """Blocks at the network's rate in, what its mask changes out: masked - given, aligned and as long.

    The magnitude of the mask is held between `least` and 1. Before the recording and
    after it the network hears silence. `content` says, from -1 to 1, what belongs to the
    recording at a sample.
    """

    def __init__(self, model: Model, channels: int, least: float, content: Callable[[int], float]) -> None:
        super().__init__(model.card, channels)
        self._running, self._frames = model.open(), model.card.frames
        self._least, self._content = np.float32(least), content
        self._waiting = np.zeros((channels, 0, self._frames.bins + 1), np.complex64)
        self._overlap = Overlap(self._frames, channels)

    def made(self, start: int, spectra: Spectra) -> Samples:
        bins = self._frames.bins
        mask = self._running.step(
            heard(spectra)[:, :bins].view(np.float32).reshape(-1, bins, 2),
            self._content(start),
        )
        gain = self._gain(np.ascontiguousarray(mask).view(np.complex64)[..., 0])
        early = max(self._card.lookahead_frames - start // self._frames.hop, 0)
        gain = gain[early:]  # of frames before the recording
        waiting = np.concatenate((self._waiting, spectra), axis=1)
        self._waiting = waiting[:, len(gain) :]
        return self._overlap.add(waiting[:, : len(gain)] * (gain - 1))

    def _gain(self, mask: Spectra) -> Spectra:
        """The mask with its magnitude within bounds, and the Nyquist frequency's like its neighbour's."""
        mask = mask + np.float32(1e-20)  # a phase for what is shut, so that it can be opened to the floor
        size = np.abs(mask)
        mask *= np.minimum(np.maximum(size, self._least), np.float32(1)) / np.maximum(size, np.float32(1e-30))
        return np.concatenate((mask, mask[:, -1:]), axis=1)


class Course:
    """What belonged to the recording, as the network was told call by call; between calls, straight lines."""

    def __init__(self, content: Callable[[int], float], late: int, call: int, scale: float) -> None:
        self._content, self._late, self._call, self._scale = content, late, call, scale
        self._at: list[float] = [-float(late) - 1]
        self._values = [0.0]

    def __call__(self, sample: int) -> float:
        """What belongs to it around a call's first sample, at the network's rate; written down too."""
        told = self._content(sample)
        if len(self._at) == 1:
            self._values = [told]
        self._at.append((sample - self._late + self._call) * self._scale)
        self._values.append(told)
        return told

    def mean(self) -> float:
        """Of all that was told, as long as `plain` was not asked."""
        return float(np.mean(self._values[1:])) if len(self._values) > 1 else 0.0

    def plain(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """0 where music surely belongs to the recording, 1 where not, or where nobody can tell.

        For its samples start to stop, (samples,); asked in order.
        """
        place = np.arange(start, stop)
        shares = np.interp(place, self._at, 1 - np.clip(self._values, 0, 1))
        passed = max(int(np.searchsorted(self._at, start)) - 1, 0)
        del self._at[:passed], self._values[:passed]
        return np.asarray(shares, np.float32)


class Masked(Aside):
    """The stream that a network makes of a recording. Its noise is lowered by `floor_db` at most.

    `content` is told to the network, or `ear` finds it out, and hears AHEAD_S ahead if the network
    looks ahead at all. But for that, at the network's own rate a sample waits for
    card.latency_ms; at other rates for the two changes of rate besides, about 6 ms.
    """

    def __init__(
        self, format: Format, model: Model, floor_db: float, content: float = 0.0, ear: Model | None = None
    ) -> None:
        listening = Ear(ear, format.channels, AHEAD_S * (model.card.lookahead_frames > 0)) if ear else None
        card = model.card
        self.course = Course(
            listening.content if listening else lambda sample: content,
            card.lookahead_frames * card.hop,
            card.frames_per_call * card.hop,
            format.sample_rate / card.sample_rate,
        )
        difference = Difference(model, format.channels, 10 ** (-floor_db / 20), self.course)
        super().__init__(format, card.sample_rate, difference, listening)
