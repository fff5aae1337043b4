"""Scenes to batches: worker processes render, the training takes them in order."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import get_all_start_methods
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from wavemend.core.frames import Frames
from wavemend.training.scenes import FRAME, Example, Scenes
from wavemend.training.team import Team

Batch = dict[str, Any]


class _Rendered(Dataset[dict[str, Any]]):
    def __init__(self, scenes: Scenes, frames: Frames) -> None:
        self._scenes, self._frames = scenes, frames

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self._scenes[index]
        return {
            "mixture": example.mixture,
            "target": example.target,
            "band_hz": np.float32(example.band_hz),
            "silent": silent_frames(example, self._frames),
            "content": np.array([example.content], np.float32),
            "kind": example.kind,
        }


def silent_frames(example: Example, frames: Frames) -> npt.NDArray[np.bool_]:
    """Frames of the network whose samples are all silent in the target, as Transform counts frames."""
    heard = np.concatenate(([0], np.cumsum(~example.silent)))
    stop = (np.arange(frames.count(len(example.target))) + 1) * frames.hop
    first = np.clip((stop - frames.n_fft) // FRAME, 0, len(example.silent))
    last = np.clip(-(-stop // FRAME), 0, len(example.silent))
    return np.asarray(heard[last] == heard[first])


class Feed:
    """Batches of examples first, first + 1 …, always the same ones for the same index.

    A member of a team gets its part of every batch, which must have equal parts.
    """

    def __init__(
        self, scenes: Scenes, frames: Frames, batch: int, workers: int, team: Team | None = None
    ) -> None:
        self._data = _Rendered(scenes, frames)
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
