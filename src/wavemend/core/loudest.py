"""The loudest pieces of a recording, spread over all of it, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wavemend.core.types import Samples


class Loudest:
    """Keeps the loudest piece of each of at most `count` stretches, which get longer as it goes on.

    `pieces` is (rows, count, length); `ranks`, (rows, count), says how loud each is, 0 where there is none
    yet, and `places` where it was; `each` is how many places there are in a stretch.
    """

    def __init__(self, rows: int, count: int, length: int) -> None:
        self.pieces = np.zeros((rows, count, length), np.float32)
        self.ranks = np.zeros((rows, count))
        self.places = np.zeros((rows, count), np.intp)
        self.each = 1

    def offer(self, place: int, ranks: npt.NDArray[np.floating], pieces: Samples) -> None:
        """The pieces (rows, length) at a place, each as loud as its rank; places come in order."""
        count = self.ranks.shape[1]
        stretch = place // self.each
        while stretch >= count:
            self._widen()
            stretch //= 2
        for row in np.flatnonzero(ranks > self.ranks[:, stretch]):
            self.ranks[row, stretch], self.places[row, stretch] = ranks[row], place
            self.pieces[row, stretch] = pieces[row]

    def _widen(self) -> None:
        """Two stretches become one, which keeps the louder piece of the two."""
        self.each *= 2
        later = self.ranks[:, 1::2] > self.ranks[:, ::2]
        half = self.ranks.shape[1] // 2
        for held, louder in (
            (self.ranks, later),
            (self.places, later),
            (self.pieces, later[:, :, np.newaxis]),
        ):
            held[:, :half] = np.where(louder, held[:, 1::2], held[:, ::2])
            held[:, half:] = 0
