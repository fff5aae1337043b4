"""Examples to batches: worker processes render, the training takes them in order."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import get_all_start_methods
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from wavemend.core.frames import Frames
from wavemend.training.team import Team

Batch = dict[str, Any]


class Examples(Protocol):
    """Examples by index, always the same one for the same index."""

    @property
    def seconds(self) -> float:
        """The length of each."""

    def item(self, index: int, frames: Frames) -> dict[str, Any]:
        """One as arrays by name, to be stacked in a batch; `mixture` is what the network hears."""


class _Rendered(Dataset[dict[str, Any]]):
    def __init__(self, examples: Examples, frames: Frames) -> None:
        self._examples, self._frames = examples, frames

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._examples.item(index, self._frames)


class Feed:
    """Batches of examples first, first + 1 …, always the same ones for the same index.

    A member of a team gets its part of every batch, which must have equal parts.
    """

    def __init__(
        self, examples: Examples, frames: Frames, batch: int, workers: int, team: Team | None = None
    ) -> None:
        self._data = _Rendered(examples, frames)
        self._batch, self._workers, self._team = batch, workers, team or Team()

    def batches(self, first: int, count: int) -> Iterator[Batch]:
        """`count` batches from the one with number `first`; each {name: (batch, ...)}."""
        share = self._batch // self._team.size
        starts = (n * self._batch + self._team.rank * share for n in range(first, first + count))
        loader: DataLoader[dict[str, Any]] = DataLoader(
            self._data,
            batch_size=share,
            sampler=[start + k for start in starts for k in range(share)],
            num_workers=self._workers,
            prefetch_factor=6 if self._workers else None,
            worker_init_fn=_alone,
            multiprocessing_context="fork" if self._workers and "fork" in get_all_start_methods() else None,
        )
        yield from loader


def _alone(_: int) -> None:
    torch.set_num_threads(1)
