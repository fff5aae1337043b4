"""A recipe: one experiment as one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wavemend.core.frames import Frames
from wavemend.core.params import suggest
from wavemend.errors import InputError
from wavemend.training.bands import Settings as BandSettings
from wavemend.training.cases import Settings as CaseSettings
from wavemend.training.grains import Settings as GrainSettings
from wavemend.training.scenes import Settings
from wavemend.training.tables import read_table


@dataclass(frozen=True)
class Model:
    """What the network will be called. `frames_per_call` is how many frames its .onnx takes at once."""

    name: str
    title: str
    licence: str = "Apache-2.0"
    version: str = "1"
    frames_per_call: int = 1


@dataclass(frozen=True)
class Material:
    """Which of the sound that is there is used; empty: all. `licence` is that of files that name none."""

    tiers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ()
    licence: str = ""


@dataclass(frozen=True)
class Loss:
    """Weights. `cut` is how many times worse it is to take too much of a bin than to leave too much.

    Errors `enough_db` below the sound hardly count in `sdr`: without that, clean examples, where any
    cut is a large step in dB, outweigh all others, and a network learns to do nothing.
    Of the bins above 8 kHz one in `every` counts, enough where neighbours get the same gain.
    `resolutions` are window lengths of further spectra, of the sound that comes out.
    """

    complex: float = 1.0
    magnitude: float = 1.0
    sdr: float = 0.01
    cut: float = 1.4
    enough_db: float = 26.0
    every: int = 1
    resolutions: tuple[int, ...] = ()
    multi: float = 0.0


@dataclass(frozen=True)
class Run:
    """How it is trained: by Muon and AdamW.

    The rate rises over `warmup` steps and falls over the last share `decay`. The weights that are
    kept are a moving average (`ema`). `patience` validations without a better score end the run;
    0: never.
    """

    batch: int = 8
    steps: int = 10_000
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.3
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema: float = 0.999
    validate: int = 500
    validation_scenes: int = 128
    save: int = 200
    patience: int = 0
    workers: int = 1
    compile: bool = False


@dataclass(frozen=True)
class Recipe:
    """All tables of a recipe, and the text that they were read from."""

    text: str
    seed: int
    model: Model
    frames: Frames
    network: Mapping[str, Any]
    data: Material = field(default_factory=Material)
    scenes: Settings = field(default_factory=Settings)
    cases: CaseSettings = field(default_factory=CaseSettings)
    grains: GrainSettings = field(default_factory=GrainSettings)
    bands: BandSettings = field(default_factory=BandSettings)
    loss: Loss = field(default_factory=Loss)
    run: Run = field(default_factory=Run)


_TABLES = ("seed", "model", "frames", "network", "data", "scenes", "cases", "grains", "bands", "loss", "run")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a .toml file. InputError where it cannot be read or says something unknown."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the recipe cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a recipe ({error})") from None
    try:
        return _recipe(text, tables)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _recipe(text: str, tables: Mapping[str, Any]) -> Recipe:
    for key in tables:
        if key not in _TABLES:
            raise InputError(f"there is no '{key}'{suggest(key, _TABLES)}")
    for key in ("seed", "model", "frames", "network"):
        if key not in tables:
            raise InputError(f"'{key}' is missing")
    if not isinstance(tables["seed"], int) or tables["seed"] < 0:
        raise InputError("seed must be a whole number from 0")
    for key in _TABLES[1:]:
        if not isinstance(tables.get(key, {}), dict):
            raise InputError(f"{key} must be a table, [{key}]")
    run = read_table(Run, tables.get("run", {}), "run")
    if min(run.batch, run.steps, run.validate, run.validation_scenes, run.save) < 1:
        raise InputError("run: batch, steps, validate, validation_scenes and save must be at least 1")
    loss = read_table(Loss, tables.get("loss", {}), "loss")
    if loss.every < 1:
        raise InputError(f"loss: every must be at least 1, not {loss.every}")
    if not 0 <= run.decay <= 1:
        raise InputError(f"run: decay is a share from 0 to 1, not {run.decay}")
    return Recipe(
        text,
        tables["seed"],
        read_table(Model, tables["model"], "model"),
        read_table(Frames, tables["frames"], "frames"),
        tables["network"],
        read_table(Material, tables.get("data", {}), "data"),
        Settings.of(tables.get("scenes", {})),
        read_table(CaseSettings, tables.get("cases", {}), "cases"),
        read_table(GrainSettings, tables.get("grains", {}), "grains"),
        read_table(BandSettings, tables.get("bands", {}), "bands"),
        loss,
        run,
    )
