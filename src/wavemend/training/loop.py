"""The training: batches in, weights out; it may stop at any time, and goes on where it stopped."""

from __future__ import annotations

import csv
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wavemend.core.hook import Event, Hook, silent
from wavemend.core.stopping import Stopped
from wavemend.errors import InputError
from wavemend.training.average import Average
from wavemend.training.bank import Bank
from wavemend.training.feed import Feed
from wavemend.training.muon import Muon
from wavemend.training.networks.duet import parts_of
from wavemend.training.recipe import Recipe, Run
from wavemend.training.task import examples_of, task_of
from wavemend.training.team import Team

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
TICKS = 10_000  # of the progress that is told
FEWEST = 64  # numbers in a tensor that is kept in half precision


def rate_at(step: int, run: Run) -> float:
    """The learning rate of a step: it rises, holds, and falls to a hundredth at the end."""
    falling = max(round(run.steps * run.decay), 1)
    left = min((run.steps - step) / falling, 1.0)
    return run.rate * min((step + 1) / max(run.warmup, 1), max(left, 0.01))


@dataclass
class Progress:
    """How far a training is; all of it is in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    stale: int = 0
    hours_before: float = 0.0
    seconds_before: float = 0.0


class Training:
    """One run of a recipe in a folder: checkpoint.pt, best.pt, log.csv, figures.csv.

    Of a team, only the first process validates and writes.
    """

    def __init__(
        self, recipe: Recipe, bank: Bank, folder: Path, device: torch.device, team: Team | None = None
    ) -> None:
        self.recipe, self.folder, self.device, self.team = recipe, folder, device, team or Team()
        torch.manual_seed(recipe.seed)
        self.task = task_of(recipe, bank, device)
        self.network = self.task.network
        self.average = Average(self.network, recipe.run.ema)
        run = recipe.run
        hidden = self.network.hidden()
        others = [p for p in self.network.parameters() if all(p is not weight for weight in hidden)]
        self.optimisers = (
            torch.optim.AdamW(others, lr=run.rate, betas=(0.9, 0.98), weight_decay=run.weight_decay),
            Muon(hidden, lr=run.rate, weight_decay=run.weight_decay),
        )
        examples = examples_of(recipe, bank, recipe.seed, "train", self.network)
        self._example_s = examples.seconds
        self.feed = Feed(examples, recipe.frames, run.batch, run.workers, self.team)
        self.progress = Progress()
        self._forward: Callable[..., Any] = torch.compile(self.network) if run.compile else self.network

    @property
    def hours_of_sound(self) -> float:
        """Sound seen so far, by the training that this one began with too; every example counts."""
        own = self.progress.step * self.recipe.run.batch * self._example_s / 3600
        return self.progress.hours_before + own

    @property
    def seconds(self) -> float:
        """Time spent, by the training that this one began with too."""
        return self.progress.seconds_before + self.progress.seconds

    def begin_with(self, path: Path) -> None:
        """Begin with the weights of another training's checkpoint, or of `keep`.

        Called once for each part of a network that has parts. InputError where they do not fit.
        """
        held = load(path)
        try:
            self._adopt(held["average"])
            self.progress.hours_before += held["hours"]
            self.progress.seconds_before += held["seconds"]
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: cannot begin with these weights: {error}") from None
        self.average = Average(self.network, self.recipe.run.ema)

    def _adopt(self, weights: Mapping[str, torch.Tensor]) -> None:
        """A network's weights; or of a duet's that part which fits."""
        parts = parts_of(weights)
        for each in (weights, *parts):
            try:
                self.network.adopt(each)
                return
            except ValueError:
                if each is (parts[-1] if parts else weights):
                    raise

    def keep(self, path: Path) -> dict[str, float]:
        """Take the best averaged weights, and write them and what they cost, for others to begin with.

        Returns the figures of these weights.
        """
        best = load(self.folder / BEST)
        self.average.network.load_state_dict(best["average"])
        weights = halved(best["average"])
        save(path, {"average": weights, "hours": self.hours_of_sound, "seconds": self.seconds})
        return dict(best["figures"])

    def resume(self) -> None:
        """Go on from the checkpoint. InputError where there is none, or one of another network."""
        held = load(self.folder / CHECKPOINT)
        try:
            self.network.load_state_dict(held["network"])
            self.average.network.load_state_dict(held["average"])
            for optimiser, kept in zip(self.optimisers, held["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
        except (KeyError, RuntimeError, ValueError):
            raise InputError(
                f"{self.folder / CHECKPOINT} is of another network than the recipe's, or older"
            ) from None
        self.progress = Progress(**held["progress"])

    def run(self, minutes: float | None = None, hook: Hook = silent) -> str:
        """Train until the steps are done, the time is up, or nothing gets better. Says which."""
        run = self.recipe.run
        began, before = time.monotonic(), self.progress.seconds
        left = run.steps - self.progress.step
        state, reason = self.progress, ""
        for batch in self.feed.batches(self._steps_before() + state.step, left):
            parts = self._learn(batch)
            state.step += 1
            if self.team.rank:
                if self.team.any(False):
                    break
                continue
            elapsed = time.monotonic() - began
            state.seconds = before + elapsed
            spent = elapsed / (60 * minutes) if minutes else 0.0
            self._log(parts)
            self._tell(hook, max(state.step / run.steps, min(spent, 1.0)))
            if state.step % run.validate == 0 or state.step == run.steps:
                self._validate()
            if state.step % run.save == 0:
                self.save()
            if run.patience and state.stale >= run.patience:
                reason = f"{run.patience} validations brought nothing better"
            elif minutes is not None and time.monotonic() - began > 60 * minutes:
                reason = "the time is up"
            if self.team.any(bool(reason)):
                break
        if self.team.rank == 0:
            if state.step % run.validate and state.step < run.steps:
                self._validate()
            self.save()
        return reason or "all steps are done"

    def _steps_before(self) -> int:
        """How many batches the training that this one began with has heard: those are not heard again."""
        batch_s = self.recipe.run.batch * self._example_s
        return round(self.progress.hours_before * 3600 / batch_s)

    def _learn(self, batch: Mapping[str, Any]) -> dict[str, float]:
        self.network.train()
        for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
            group["lr"] = rate_at(self.progress.step, self.recipe.run)
        parts = self.task.costs(batch, self._forward)
        self.network.zero_grad(set_to_none=True)
        parts["total"].backward()  # type: ignore[no-untyped-call]
        self.team.mean(self.network)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.run.clip)
        if not torch.isfinite(norm):
            raise InputError(f"the loss is no longer finite in step {self.progress.step}; lower `rate`")
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.take(self.network, self.progress.step)
        return {name: float(value.detach()) for name, value in parts.items()} | {"gradient": float(norm)}

    def _log(self, parts: Mapping[str, float]) -> None:
        state = self.progress
        row = {"step": state.step, "seconds": round(state.seconds, 1), "hours": round(self.hours_of_sound, 4)}
        append(self.folder / "log.csv", row | {name: round(value, 5) for name, value in parts.items()})

    def _tell(self, hook: Hook, share: float) -> None:
        try:
            hook(Event("train", round(share * TICKS), TICKS))
        except Stopped:
            self.save()
            raise

    def _validate(self) -> None:
        state = self.progress
        figures = self.task.figures(self.average.network)
        row = {"step": state.step, "hours": round(self.hours_of_sound, 4)}
        append(self.folder / "figures.csv", row | {name: round(value, 4) for name, value in figures.items()})
        if figures["score"] > state.best:
            state.best, state.stale = figures["score"], 0
            save(self.folder / BEST, {"average": self.average.network.state_dict(), "figures": figures})
        else:
            state.stale += 1

    def save(self) -> None:
        """Write the checkpoint, beside the old one first."""
        held = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": asdict(self.progress),
            "hours": self.hours_of_sound,
            "seconds": self.seconds,
        }
        save(self.folder / CHECKPOINT, held)


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote. InputError where it is missing or damaged."""
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no checkpoint to go on from ({error})") from None
    return held


def save(path: Path, held: Mapping[str, Any]) -> None:
    """Write beside and rename: a kill leaves the old file or the new one."""
    beside = path.with_name(path.name + ".part")
    torch.save(dict(held), beside)
    os.replace(beside, path)


def halved(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights with all large tensors in half precision, for files alone."""
    return {
        name: value.half() if value.is_floating_point() and value.numel() >= FEWEST else value
        for name, value in weights.items()
    }


def append(path: Path, row: Mapping[str, Any]) -> None:
    """One more row of a table; its head comes with the first."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def machine(device: torch.device, processes: int = 1) -> str:
    """What trains, in words for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = f"{torch.get_num_threads()} threads"
    shared = f"{processes} processes of {threads}" if processes > 1 else threads
    return f"{platform.machine()} processor, {shared}"
