"""What a judge is: it measures one window of a step and says how much of the difference passes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Window
from wavemend.core.types import Action, Region, Samples, Verdict

Floats = npt.NDArray[np.floating]
Heard = TypeVar("Heard")


class Judge(Protocol):
    """Sees the windows of a step in order, each once."""

    def judge(self, dry: Window, wet: Samples) -> Floats:
        """The share of the difference, 0 to 1, for each sample: (channels, length) or (length,)."""

    def verdicts(self) -> list[Verdict]:
        """What was decided, in order of place. Called after the last window."""


class GlidingJudge(ABC, Generic[Heard]):
    """One share for each window, of all channels; it glides from window to window."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._next: tuple[float, dict[str, float]] | None = None
        self._share: float | None = None
        self._rows: list[tuple[int, int, float, dict[str, float]]] = []

    @abstractmethod
    def hear(self, dry: Samples, wet: Samples) -> Heard | None:
        """What is to be judged of a window, (channels, samples); None where there is nothing."""

    @abstractmethod
    def decide(self, heard: Heard | None) -> tuple[float, dict[str, float]]:
        """The share that stays within the bounds, and what was measured at all of it, if anything."""

    @abstractmethod
    def worse(self, name: str, a: float, b: float) -> float:
        """Of two values of a measure, the one nearer to its bound."""

    @abstractmethod
    def reason(self, action: Action, measures: Mapping[str, float]) -> str:
        """The verdict in words."""

    def judge(self, dry: Window, wet: Samples) -> Floats:
        lead, length = dry.lead, dry.length
        ahead = dry.samples[:, lead + length :]
        heard = None if self._next else self.hear(dry.chunk, wet[:, lead : lead + length])
        heard_next = self.hear(ahead, wet[:, lead + length :]) if ahead.shape[1] else None
        here, measures = self._next or self.decide(heard)
        self._next = self.decide(heard_next) if ahead.shape[1] else None
        before = here if self._share is None else self._share
        after = self._next[0] if self._next else here
        self._share = here
        self._rows.append((dry.start, dry.start + length, here, measures))
        if before == here == after:
            return np.full(1, here)
        # from the mean of neighbours at each edge to the window's own share in its middle
        at = (np.arange(length) + 0.5) / length
        return np.asarray(
            np.interp(at, (0.0, 0.5, 1.0), (min(before, here), here, min(here, after))), np.float64
        )

    def verdicts(self) -> list[Verdict]:
        merged: list[Verdict] = []
        for start, stop, share, measures in self._rows:
            if not measures:
                continue
            action: Action = "keep" if share == 1.0 else "blend" if share else "revert"
            last = merged[-1] if merged else None
            if (
                last
                and last.action == action
                and last.region.stop == start
                and last.measures["share"] == share
            ):
                worst = {k: self.worse(k, v, last.measures[k]) for k, v in measures.items()}
                merged[-1] = Verdict(
                    self._step, Region(last.region.start, stop), action, {**worst, "share": share}, ""
                )
            else:
                merged.append(
                    Verdict(self._step, Region(start, stop), action, {**measures, "share": share}, "")
                )
        return [
            Verdict(v.step, v.region, v.action, v.measures, self.reason(v.action, v.measures)) for v in merged
        ]
