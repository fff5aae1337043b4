"""What a bank holds for scenes: clips by source and group, drawn so that no source crowds out the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wavemend.training.spectra import Mono


class Clip(Protocol):
    """A clip as a bank describes it."""

    @property
    def source(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def tags(self) -> str: ...
    @property
    def bandwidth_hz(self) -> float: ...
    @property
    def level_dbfs(self) -> float: ...
    @property
    def length(self) -> int: ...


class Bank(Protocol):
    """Where clips come from: float32, 48 kHz, mono."""

    def __hash__(self) -> int: ...
    def entries(self, role: str = "", split: str = "", side: str = "") -> Sequence[Any]: ...
    def read(self, entry: Any, start: int = 0, length: int | None = None) -> Mono: ...
    def twin(self, entry: Any) -> Any: ...


class Shelf:
    """Clips of one role and split. A clip is known by its index in `bank.entries(role, split)`.

    Sources and, within them, groups are drawn by the square root of their length.
    """

    def __init__(self, clips: Sequence[Clip], keep: Callable[[Clip], bool]) -> None:
        self.clips = clips
        found: dict[str, dict[str, list[int]]] = {}
        for index, clip in enumerate(clips):
            if clip.side != "damaged" and clip.length > 0 and keep(clip):
                found.setdefault(clip.source, {}).setdefault(clip.group, []).append(index)
        self._groups = [[tuple(own) for own in groups.values()] for groups in found.values()]
        lengths = [[sum(clips[i].length for i in own) for own in groups] for groups in self._groups]
        self._steps = [np.cumsum(np.sqrt(own)) for own in lengths]
        self._sources = np.cumsum(np.sqrt([sum(own) for own in lengths]))

    def __bool__(self) -> bool:
        return bool(self._groups)

    def group(self, rng: np.random.Generator) -> tuple[int, ...]:
        """The clips of a group (a speaker, a piece, an instrument)."""
        source = _pick(self._sources, rng)
        return self._groups[source][_pick(self._steps[source], rng)]


def _pick(steps: npt.NDArray[np.float64], rng: np.random.Generator) -> int:
    return int(np.searchsorted(steps, rng.random() * steps[-1], side="right"))


def choose(weights: dict[str, float], rng: np.random.Generator) -> str:
    """A name, drawn by weight."""
    return list(weights)[_pick(np.cumsum(list(weights.values())), rng)]


STEADY = ("vinyl", "hum", "static", "machine")


@lru_cache(maxsize=32)
def shelf(bank: Bank, role: str, split: str, kind: str = "") -> Shelf:
    """The clips of a role; of noises, `kind` "steady" or "real" (all but synthesisers') may be asked for."""

    def keep(clip: Clip) -> bool:
        tags = clip.tags.split()
        if kind == "steady":
            return any(tag in tags for tag in STEADY)
        return not (kind == "real" and "synthetic" in tags)

    return Shelf(bank.entries(role, split), keep)
