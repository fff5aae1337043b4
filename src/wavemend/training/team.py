"""Several processes train one network: each learns from its part of every batch, all take the same step.

For small networks on a processor's cores this wastes less than threads do, which wait for each other in
every layer (data parallelism; Li et al., "PyTorch distributed", VLDB 2020).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]

from wavemend.errors import InputError

REFUSED = 2  # how a member ends that cannot do what was asked; the leader cannot either, and says why


@dataclass(frozen=True)
class Team:
    """How many train together, and which of them this process is; 0 leads."""

    rank: int = 0
    size: int = 1

    def mean(self, network: nn.Module) -> None:
        """Make every gradient, and what normalisation has seen, the mean of all processes'."""
        if self.size == 1:
            return
        shared = [p.grad for p in network.parameters() if p.grad is not None]
        shared += [buffer for buffer in network.buffers() if buffer.dtype.is_floating_point]
        flat = torch.cat([one.flatten() for one in shared])
        distributed.all_reduce(flat)
        flat /= self.size
        at = 0
        for one in shared:
            one.copy_(flat[at : at + one.numel()].view_as(one))
            at += one.numel()

    def any(self, mine: bool) -> bool:
        """Whether it is so for any of them."""
        if self.size == 1:
            return mine
        votes = torch.tensor([float(mine)])
        distributed.all_reduce(votes)
        return bool(votes > 0)


@contextmanager
def lead(size: int, follow: Callable[[Team], None]) -> Iterator[Team]:
    """A team whose first member is this process; the others run `follow`, and end with the block.

    Raises InputError where another process ends before its time.
    """
    if size == 1:
        yield Team()
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="wavemend-") as folder:
        meet = Path(folder) / "meet"
        others = [context.Process(target=_member, args=(follow, Team(k, size), meet)) for k in range(1, size)]
        try:
            for process in others:
                process.start()
            _join(Team(0, size), meet)
            yield Team(0, size)
            for process in others:
                process.join(timeout=60)
            _blame(others, None)
        except RuntimeError as error:  # the connection is gone
            _blame(others, error)
            raise
        finally:
            _end(others)
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _blame(others: Sequence[BaseProcess], error: RuntimeError | None) -> None:
    for process in others:
        process.join(timeout=1)
    for process in others:
        if process.exitcode:
            raise InputError(
                f"one of the {len(others) + 1} processes ended with code {process.exitcode}; what it said "
                "stands above. Where memory is short, give fewer --processes"
            ) from error


def _end(others: Sequence[BaseProcess]) -> None:
    begun = [process for process in others if process.pid is not None]
    for process in begun:
        process.terminate()
    for process in begun:
        process.join(timeout=2)
        process.kill()


def _member(follow: Callable[[Team], None], team: Team, meet: Path) -> None:
    for name in ("SIGINT", "SIGHUP"):  # these reach all; the leader saves, and ends the others
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _join(team, meet)
    try:
        follow(team)
    except InputError:
        sys.exit(REFUSED)


def _join(team: Team, meet: Path) -> None:
    if os.name != "nt":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    store = FileStore(str(meet), team.size)
    distributed.init_process_group("gloo", store=store, rank=team.rank, world_size=team.size)
