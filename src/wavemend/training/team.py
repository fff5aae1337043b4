"""Several processes train one network: each learns from its part of every batch, all take the same step.

For small networks on a processor's cores this wastes less than threads do, which wait for each other in
every layer (data parallelism; Li et al., "PyTorch distributed", VLDB 2020).
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Team:
    """How many train together, and which of them this process is; 0 leads."""

    rank: int = 0
    size: int = 1

    def mean(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient the mean of all processes'."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        flat /= self.size
        at = 0
        for grad in grads:
            grad.copy_(flat[at : at + grad.numel()].view_as(grad))
            at += grad.numel()

    def any(self, mine: bool) -> bool:
        """Whether it is so for any of them."""
        if self.size == 1:
            return mine
        votes = torch.tensor([float(mine)])
        distributed.all_reduce(votes)
        return bool(votes > 0)


@contextmanager
def lead(size: int, follow: Callable[[Team], None]) -> Iterator[Team]:
    """A team whose first member is this process; the others run `follow`, and end with the block."""
    if size == 1:
        yield Team()
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_member, args=(follow, Team(rank, size), port)) for rank in range(1, size)
    ]
    for process in others:
        process.start()
    try:
        _join(Team(0, size), port)
        yield Team(0, size)
    finally:
        for process in others:
            process.join(timeout=5)
            process.terminate()
        distributed.destroy_process_group()


def _member(follow: Callable[[Team], None], team: Team, port: int) -> None:
    _join(team, port)
    follow(team)


def _join(team: Team, port: int) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=team.rank, world_size=team.size
    )
