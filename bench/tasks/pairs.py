"""What the tasks share: systems run over pairs of clean and damaged sound, and a row for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.report import Cell
from bench.systems import Array, System, use


@dataclass(frozen=True, eq=False)
class Pair:
    """Clean and damaged mono sound, the column it counts in, and what a user would tell about it.

    `name` and `noise` say where the two came from.
    """

    column: str
    clean: Array
    damaged: Array
    rate: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    noise: str = ""

    @property
    def seconds(self) -> float:
        return len(self.clean) / self.rate


Score = Callable[[Pair, Array], Sequence[float | None]]
"""The values that one output adds to its column."""


def rows(
    pairs: Sequence[Pair],
    systems: Sequence[System],
    score: Score,
    together: Callable[[Sequence[float | None]], float | None],
) -> list[list[Cell]]:
    """A row per system: its name, a cell per column in order of appearance, and its speed in times real time.

    Where a system is missing, the row says what for; where it was too slow for some of
    a column's pairs, the cell is empty.
    """
    columns = list(dict.fromkeys(pair.column for pair in pairs))
    made: list[list[Cell]] = []
    for system in systems:
        if system.missing:
            made.append([f"{system.name} (missing: {system.missing})", *[None] * (len(columns) + 1)])
            continue
        values: dict[str, list[float | None]] = {column: [] for column in columns}
        given_up: set[str] = set()
        spent = sound = 0.0
        for pair in pairs:
            ran = use(system, pair.damaged, pair.rate, pair.facts) if pair.column not in given_up else None
            if ran is None:
                given_up.add(pair.column)
                continue
            spent += ran.seconds
            sound += pair.seconds
            values[pair.column] += score(pair, ran.out)
        cells: list[Cell] = [None if c in given_up else together(values[c]) for c in columns]
        speed = f"{sound / spent:.0f}" if spent > 0.02 * sound / 50 else "–"
        made.append([system.name, *cells, speed])
    return made


def head(pairs: Sequence[Pair]) -> list[str]:
    """The heads of these rows."""
    return ["system", *dict.fromkeys(pair.column for pair in pairs), "x real time"]
