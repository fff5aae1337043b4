"""What a network thinks is wrong with a recording, stretch by stretch, at any rate, of any channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from wavemend.core.resample import Ratio, Resampler
from wavemend.core.types import Format, Samples
from wavemend.engine.calls import Calls, heard
from wavemend.engine.model import Model

STRETCH_S = 10.0
SEGMENT_S = 5.0  # the network starts anew with each, as it did in its training
THOROUGH_S = 60.0  # after that only every other segment is heard
LEAST_S = 3.0  # a last stretch that is shorter belongs to the one before it
LOUDEST = 100.0  # full scale is 1: what is far above it is no sound, and too much for a network's numbers
SILENCE = 1e-8  # a frame's power, from which on its odds count
QUIET = 1e-6  # the same, re the loudest frame so far


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Samples start to stop of a recording: mean log odds of each kind, over `seconds` that were heard."""

    start: int
    stop: int
    odds: npt.NDArray[np.float64]
    seconds: float


class Examination:
    """Blocks of a recording in, (channels, samples); its stretches at the end, channels together."""

    def __init__(self, format: Format, model: Model) -> None:
        card = model.card
        self._format, self._card, self._model, self._running = format, card, model, model.open()
        self._calls = Calls(card, format.channels)
        self._up: Resampler | None = None
        if format.sample_rate != card.sample_rate:
            ratio = Ratio.of(format.sample_rate, card.sample_rate)
            chunk = ceil(self._calls.length / ratio.up) * ratio.down
            self._up = Resampler(format.channels, ratio, chunk)
        self._per_stretch = round(STRETCH_S * card.sample_rate / card.hop)
        self._per_segment = max(round(SEGMENT_S * card.sample_rate / self._calls.length), 1)
        self._thorough = round(THOROUGH_S * card.sample_rate / self._calls.length)
        self._call = 0
        self._sums: list[npt.NDArray[np.float64]] = []
        self._counts: list[int] = []
        self._frames = self._received = 0
        self._loudest = 0.0

    def push(self, block: Samples) -> None:
        """Hear the next samples."""
        self._received += block.shape[1]
        block = np.clip(block, -LOUDEST, LOUDEST)
        self._calls.push(self._up.push(block) if self._up else block)
        self._listen(self._card.frames_per_call)

    def finish(self) -> list[Stretch]:
        """The recording has ended: what was heard, in order; nothing of one that is all silence."""
        if self._up:
            self._calls.push(self._up.flush())
            self._listen(self._card.frames_per_call)
        rest = self._calls.rest
        self._calls.push(np.zeros((self._format.channels, -rest % self._calls.length), np.float32))
        self._listen(rest // self._card.hop)
        self._join_short()
        length = self._per_stretch * self._card.hop * self._format.sample_rate / self._card.sample_rate
        seconds = self._card.hop / self._card.sample_rate
        last = len(self._sums) - 1
        return [
            Stretch(
                round(k * length),
                self._received if k == last else round((k + 1) * length),
                total / max(count, 1),
                count * seconds,
            )
            for k, (total, count) in enumerate(zip(self._sums, self._counts, strict=True))
        ]

    def _listen(self, count: int) -> None:
        """Hear the calls that are complete; of each, the first `count` frames belong to the recording."""
        bins = self._card.bins
        for _, spectra in self._calls.ready():
            segment, place = divmod(self._call, self._per_segment)
            skipped = self._call >= self._thorough and segment % 2
            self._call += 1
            if skipped:
                for _ in range(count):
                    self._take(None, 0.0)
                continue
            if place == 0:
                self._running = self._model.open()
            whole = np.ascontiguousarray(heard(spectra)[:, :bins])
            odds = self._running.step(whole.view(np.float32).reshape(-1, bins, 2))
            powers = np.mean(spectra.real**2 + spectra.imag**2, axis=0).sum(axis=1)
            for answer, power in zip(odds[:count], powers, strict=False):
                self._take(answer, float(power))

    def _take(self, answer: npt.NDArray[np.float32] | None, power: float) -> None:
        if self._frames % self._per_stretch == 0:
            self._sums.append(np.zeros(len(self._card.kinds)))
            self._counts.append(0)
        self._frames += 1
        self._loudest = max(self._loudest, power)
        if answer is not None and power > max(SILENCE, QUIET * self._loudest):
            self._sums[-1] += answer
            self._counts[-1] += 1

    def _join_short(self) -> None:
        frames = self._frames % self._per_stretch
        if len(self._sums) > 1 and 0 < frames * self._card.hop < LEAST_S * self._card.sample_rate:
            total, count = self._sums.pop(), self._counts.pop()
            self._sums[-1] += total
            self._counts[-1] += count
