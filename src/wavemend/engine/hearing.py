"""What belongs to a recording: speech alone, or music too. A small network hears it as it goes by.

What is noise beside speech (a bell, a cock, a motor) may be all that is wanted elsewhere; a denoiser
has to be told. Being wrong is not even: music that is taken for noise is lost, noise that is
taken for music merely stays. So one stretch of music speaks for some seconds around it.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from wavemend.core.types import Samples
from wavemend.engine.calls import Calls
from wavemend.engine.model import Model

AHEAD_S = 6.0
BEHIND_S = 6.0
STRETCH_S = 3.0  # over which odds are averaged
LEAST_S = 1.0  # with less than this nothing is known
# Of the stretch that is most like music. Noisy music of the validation has at least 2.6 there, speech
# under recorded noise less than 0 in two cases of three.
EVEN = 1.0
UNKNOWN = float("-inf")
MOST = 6.0  # a frame's log odds
SILENCE = 1e-8  # a frame's power, from which on its odds count


class Ear:
    """Blocks of sound at the network's rate in, (channels, samples); then `content` at any place known.

    A place is known when `ahead` samples after it have come, or all have. Values are -1 (speech
    alone) to 1 (music belongs to it), 0 where nobody can tell yet.
    """

    def __init__(self, model: Model, channels: int, ahead_s: float) -> None:
        card = model.card
        self._card, self._running, self._channels = card, model.open(), channels
        self._calls = Calls(card, channels)
        per_second = card.sample_rate / card.hop
        self._ahead, self._behind = round(ahead_s * per_second), round(BEHIND_S * per_second)
        self._least = round(LEAST_S * per_second)
        self._recent: deque[float] = deque(maxlen=round(STRETCH_S * per_second))
        self._stretches: list[float] = []  # mean log odds of the stretch that ends with each frame
        self._forgotten = 0
        self._whole = 0  # the first frame with a whole stretch before it

    @property
    def ahead(self) -> int:
        """Samples that must have come after a place before it is known."""
        return self._ahead * self._card.hop

    def push(self, block: Samples) -> None:
        """Hear the next samples."""
        self._calls.push(block)
        self._listen(self._card.frames_per_call)

    def flush(self) -> None:
        """The recording has ended."""
        rest = self._calls.rest
        self._calls.push(np.zeros((self._channels, -rest % self._calls.length), np.float32))
        self._listen(-(-rest // self._card.hop))

    def content(self, sample: int) -> float:
        """What belongs to the recording around a sample; places are asked for in order."""
        frame, call = sample // self._card.hop, self._card.frames_per_call
        first = max(frame - self._behind, self._forgotten)
        last = (frame + self._ahead) // call * call  # calls that are complete
        if first > self._forgotten:
            del self._stretches[: first - self._forgotten]
            self._forgotten = first
        known = self._stretches[first - self._forgotten : last - self._forgotten]
        whole = known[max(self._whole - first, 0) :]
        # means over less than a stretch waver, and the most of them would nearly always be music
        most = max(whole) if whole else known[-1] if known else UNKNOWN
        return 0.0 if most == UNKNOWN else min(max(most - EVEN, -1.0), 1.0)

    def _listen(self, count: int) -> None:
        """Hear the calls that are complete; of each, the first `count` frames belong to the recording."""
        for _, spectra in self._calls.ready():
            power = np.mean(spectra.real**2 + spectra.imag**2, axis=0)[:, : self._card.bins]
            heard = np.zeros((*power.shape, 2), np.float32)
            heard[..., 0] = np.sqrt(power)
            answers = self._running.step(heard)
            for odds, sounds in zip(answers[:count], power.sum(axis=1) > SILENCE, strict=False):
                if sounds:
                    self._recent.append(float(np.clip(odds, -MOST, MOST)))
                enough = len(self._recent) >= self._least
                if len(self._recent) < (self._recent.maxlen or 0):
                    self._whole += 1
                self._stretches.append(sum(self._recent) / len(self._recent) if enough else UNKNOWN)
