"""What `wavemend train` does: a recipe and some sound in, a network with its card out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

import torch

from wavemend.core.card import Card
from wavemend.core.card import Training as Cost
from wavemend.core.hook import Hook, silent
from wavemend.core.params import suggest
from wavemend.errors import InputError
from wavemend.training.alone import alone
from wavemend.training.bank import Bank
from wavemend.training.export import export
from wavemend.training.loop import CHECKPOINT, Training, machine
from wavemend.training.material import SoundFile, read_material
from wavemend.training.recipe import Recipe, read_recipe
from wavemend.training.shards import read_shards
from wavemend.training.team import Team, lead

BANK = "bank"
RECIPE = "recipe.toml"


def shipped() -> list[str]:
    """Names of the recipes that come with wavemend."""
    folder = resources.files("wavemend.training") / "recipes"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def find_recipe(name: str) -> Path:
    """The path of a recipe: a .toml file, or the name of one that comes with wavemend."""
    if name in shipped():
        return Path(str(resources.files("wavemend.training") / "recipes" / f"{name}.toml"))
    if not name.endswith(".toml"):
        raise InputError(f"there is no recipe '{name}'{suggest(name, shipped())}; or give a .toml file")
    return Path(name)


def find_start(name: str) -> Path:
    """Weights to begin with: of a shipped model, or of a training's folder."""
    ours = Path(str(resources.files("wavemend") / "models" / f"{name}.pt"))
    return ours if ours.is_file() else Path(name) / CHECKPOINT


def train(
    recipe: Path,
    data: Sequence[Path],
    folder: Path,
    *,
    minutes: float | None = None,
    resume: bool = False,
    start: Sequence[str] = (),
    device: str = "cpu",
    bank: Path | None = None,
    threads: int | None = None,
    processes: int = 1,
    hook: Hook = silent,
) -> tuple[str, Path, Card]:
    """Train as the recipe says, and export what came out; why it ended, the .onnx and its card.

    `data` are manifests (.csv) and folders, or shards (.zip), decoded once into `bank`, by
    default folder/bank; without `data` the bank that is there is used. With `minutes` the
    training ends when that time is up, and goes on later with `resume`. `start` are folders
    of trainings, or names of shipped models, whose weights this one begins with: several where its
    network has parts. `processes`
    share every batch, each with its threads, by default as many as there are cores for it. Raises
    InputError for what cannot be used.
    """
    plan = read_recipe(recipe)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here; use --device cpu")
    if processes > 1 and device != "cpu":
        raise InputError("several processes train on the processor only; leave out --processes")
    if plan.run.batch % processes:
        raise InputError(f"a batch of {plan.run.batch} cannot be shared by {processes} processes")
    threads = threads or max((os.cpu_count() or 1) // processes, 1)
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        _claim(folder, plan, resume, start)
        where = bank or folder / BANK
        sound = _sound(plan, data, where, hook)
        (folder / RECIPE).write_text(plan.text, encoding="utf-8")
        follow = partial(_follow, plan, where, folder, resume, start, threads)
        with lead(processes, follow) as team:
            training = _begun(Training(plan, sound, folder, torch.device(device), team), resume, start)
            reason = training.run(minutes, hook)
        figures = training.keep(folder / f"{plan.model.name}.pt")
        cost = Cost(
            round(training.hours_of_sound, 3),
            round(training.seconds / 60, 2),
            training.progress.step,
            machine(training.device, processes),
        )
        figures |= training.task.finish(training.average.network)
        network = training.average.network.cpu()
        path, card = export(network, plan, sound.sources("train"), cost, figures, folder)
        return reason, path, card


def _begun(training: Training, resume: bool, start: Sequence[str]) -> Training:
    if resume:
        training.resume()
    for name in start:
        training.begin_with(find_start(name))
    return training


def _follow(
    plan: Recipe, bank: Path, folder: Path, resume: bool, start: Sequence[str], threads: int, team: Team
) -> None:
    """What the other processes of a team do."""
    torch.set_num_threads(threads)
    _begun(Training(plan, Bank.open(bank), folder, torch.device("cpu"), team), resume, start).run()


def _sound(plan: Recipe, data: Sequence[Path], where: Path, hook: Hook) -> Bank:
    if not data:
        return Bank.open(where)
    shards = [path for path in data if path.suffix == ".zip"]
    if shards and len(shards) < len(data):
        raise InputError("give either shards (.zip) or manifests and folders, not both")
    return read_shards(shards, where) if shards else Bank.build(_files(plan, data), where, hook=hook)


def _files(plan: Recipe, data: Sequence[Path]) -> list[SoundFile]:
    chosen = plan.data
    files = read_material(
        data, tiers=chosen.tiers, sources=chosen.sources, exclude_sources=chosen.exclude_sources
    )
    files = [file if file.licence else replace(file, licence=chosen.licence) for file in files]
    bare = [file for file in files if not file.licence]
    if bare:
        raise InputError(
            f"{bare[0].path} and {len(bare) - 1} others name no licence, and a model's card must; "
            "say it in the manifest, or in the recipe under [data] licence"
        )
    return files


def _claim(folder: Path, plan: Recipe, resume: bool, start: Sequence[str]) -> None:
    """See to it that nobody's training is lost or continued with other settings."""
    begun = (folder / CHECKPOINT).exists()
    if begun and not resume:
        raise InputError(f"{folder} holds a training; go on with it (--resume), or give another folder")
    if resume and start:
        raise InputError("--resume goes on with a training, --start begins a new one; give one of them")
    if resume and not begun:
        raise InputError(f"{folder} holds no training to go on with")
    if resume and _settled(plan) != _settled(read_recipe(folder / RECIPE)):
        raise InputError(f"{folder}: begun with another recipe; only [run] and [model] may change")


def _settled(plan: Recipe) -> tuple[object, ...]:
    """What may not change in the middle of a training."""
    heard = plan.scenes, plan.cases, plan.grains, plan.bands, plan.run.batch
    return plan.seed, plan.frames, dict(plan.network), plan.data, *heard
