"""The last few answers about windows of sound: detectors look at the same ones, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from wavemend.core.types import Samples

T = TypeVar("T")
KEPT = 3


class Recent(Generic[T]):
    """Answers by samples, of one channel or more, and a key; they are shared and may not be written to."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Samples, Hashable, T]] = deque(maxlen=KEPT)

    def answer(self, samples: Samples, key: Hashable, make: Callable[[], T]) -> T:
        """The answer that is kept, or the one that is made now."""
        for known, known_key, answer in self._kept:
            if known_key == key and np.array_equal(known, samples):
                return answer
        made = make()
        self._kept.append((samples.copy(), key, made))
        return made
