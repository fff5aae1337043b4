"""What lies under speech: how much a denoiser that is told of speech alone would take away.

No listener need know what kind of noise it is; who can take it out has found it. Looked at are
some seconds of each half minute, where speech alone is heard; of music this tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wavemend.core.blocks import Queue
from wavemend.core.types import Format, Samples
from wavemend.engine.examining import LOUDEST
from wavemend.engine.hearing import AHEAD_S
from wavemend.engine.masking import Masked
from wavemend.engine.model import Model

CELL_S = 30.0
PIECE_S = 5.0
STEP_S = 0.5  # sound is looked for in steps of this
LEAST_S = 1.5
SOUNDS = 1e-3  # a peak of -60 dBFS
SURELY_SPEECH = -0.9  # mean of what the ear says
FRAME_S = 0.05
DEEP_DB = 60.0  # the denoiser may take all
assert PIECE_S < AHEAD_S  # the whole piece is heard before the first sample is judged


@dataclass(frozen=True, slots=True)
class Overheard:
    """Samples start to stop of a recording; the energy of what lies under its speech re the speech, in dB.

    None where not speech alone was heard, or too little. `spread_db` is how far its level lies apart
    in time: the 90th percentile over the 10th, in pieces of FRAME_S.
    """

    start: int
    stop: int
    removed_db: float | None
    spread_db: float = 0.0


class Background:
    """Blocks of a recording in, (channels, samples); what was overheard at the end."""

    def __init__(self, format: Format, denoiser: Model, ear: Model) -> None:
        self._format, self._denoiser, self._ear = format, denoiser, ear
        self._cell, self._piece, self._step, self._least = (
            round(seconds * format.sample_rate) for seconds in (CELL_S, PIECE_S, STEP_S, LEAST_S)
        )
        self._waiting = Queue(format.channels)
        self._held: list[Samples] = []
        self._heard: list[Overheard] = []

    def push(self, block: Samples) -> None:
        """Take the next samples."""
        self._waiting.append(np.clip(block, -LOUDEST, LOUDEST))
        while self._waiting.stop - self._waiting.start >= self._step:
            self._take(self._step)

    def finish(self) -> list[Overheard]:
        """The recording has ended: its half minutes in order."""
        stop = self._waiting.stop
        if stop > self._waiting.start:
            self._take(stop - self._waiting.start)
        if len(self._heard) * self._cell < stop:
            self._judge(stop)
        return self._heard

    def _take(self, count: int) -> None:
        start = self._waiting.start
        part = self._waiting.view(start, start + count)
        self._waiting.drop(start + count)
        held = sum(piece.shape[1] for piece in self._held)
        if held < self._piece and (held or np.abs(part).max(initial=0.0) > SOUNDS):
            self._held.append(part.copy())
        if start + count >= (len(self._heard) + 1) * self._cell:
            self._judge((len(self._heard) + 1) * self._cell)

    def _judge(self, stop: int) -> None:
        nothing = np.zeros((self._format.channels, 0), np.float32)
        piece = np.concatenate((nothing, *self._held), axis=1)
        start = len(self._heard) * self._cell
        self._held = []
        removed_db, spread_db = self._removed(piece) if piece.shape[1] >= self._least else (None, 0.0)
        self._heard.append(Overheard(start, stop, removed_db, spread_db))

    def _removed(self, piece: Samples) -> tuple[float | None, float]:
        """`removed_db` and `spread_db` of what was heard."""
        masked = Masked(self._format, self._denoiser, DEEP_DB, 0.0, self._ear)
        kept = np.concatenate((masked.push(piece), masked.flush()), axis=1).astype(np.float64)
        if masked.course.mean() > SURELY_SPEECH:
            return None, 0.0
        power = np.square(piece - kept).sum(axis=0)
        frame = round(FRAME_S * self._format.sample_rate)
        levels = 10 * np.log10(power[: len(power) // frame * frame].reshape(-1, frame).mean(axis=1) + 1e-12)
        low, high = np.percentile(levels, (10, 90))
        removed_db = 10 * np.log10((power.sum() + 1e-12) / (np.sum(kept**2) + 1e-12))
        return float(removed_db), float(high - low)
