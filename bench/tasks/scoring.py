"""Every system once over every pair, every measure of what came out, and tables of their means.

What a measure gave is kept in bench/cache/scores.sqlite by the two sounds and by the text of
measure.py, so that a second run costs only what is new.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import measure, systems
from bench.report import Cell, Table, mean
from bench.systems import Array, System, use
from bench.tasks.pairs import Pair

Measure = Callable[[Array, Array, int], float | None]
"""From the clean sound, what came out, and their rate in Hz."""

TOP_DB = 60.0  # what is nearer to the clean sound than this counts as this


def si_sdr(clean: Array, out: Array, rate: int) -> float:
    """SI-SDR in dB, at most TOP_DB, so that one sound left alone does not make a mean."""
    return min(measure.si_sdr(clean, out), TOP_DB)


def si_sdr_16k(clean: Array, out: Array, rate: int) -> float:
    """The same of what both have below 8 kHz."""
    return min(measure.si_sdr_16k(clean, out, rate), TOP_DB)


def pesq(clean: Array, out: Array, rate: int) -> float | None:
    """PESQ-WB; 1 where there is speech in the clean sound and none is found in what came out."""
    value = measure.pesq_wb(clean, out, rate) if out.any() else None  # the package fails on silence
    return 1.0 if value is None and measure.pesq_wb(clean, clean, rate) is not None else value


def dnsmos(clean: Array, out: Array, rate: int) -> float | None:
    """DNSMOS, overall, of what came out."""
    return measure.dnsmos(out, rate)


MEASURES: Mapping[str, Measure] = {
    "SI-SDR": si_sdr,
    "SI-SDR below 8 kHz": si_sdr_16k,
    "PESQ-WB": pesq,
    "ESTOI": measure.estoi,
    "DNSMOS": dnsmos,
    "cut": measure.cut_share,
}


@dataclass(frozen=True, eq=False)
class Scored:
    """`values[system][measure]` has a value per pair, None where there is none; `missing` is what `absent`
    says.
    """

    pairs: Sequence[Pair]
    values: Mapping[str, Mapping[str, Sequence[float | None]]]
    missing: Mapping[str, str]

    def column(
        self, system: str, measure: str, chosen: Sequence[int], beyond: str = ""
    ) -> list[float | None]:
        """The values of these pairs; with `beyond`, less those of that system."""
        values = self.values[system][measure]
        if not beyond:
            return [values[i] for i in chosen]
        others = self.values[beyond][measure]
        both = [(values[i], others[i]) for i in chosen]
        return [None if a is None or b is None else a - b for a, b in both]

    def by(
        self,
        title: str,
        about: str,
        measure: str,
        group: Callable[[Pair], str] = lambda pair: pair.column,
        digits: int = 1,
        beyond: str = "",
        scale: float = 1.0,
    ) -> Table:
        """A row per system: the mean of each group of pairs, in order of appearance, and that of all."""
        groups = [group(pair) for pair in self.pairs]
        heads = list(dict.fromkeys(groups))
        chosen = [[i for i, g in enumerate(groups) if g == h] for h in heads] + [range(len(groups))]
        rows: list[list[Cell]] = []
        for system in self.values:
            means = [mean(self.column(system, measure, some, beyond)) for some in chosen]
            rows.append([system, *(None if value is None else scale * value for value in means)])
        return Table(title, about, ["system", *heads, "all"], rows, digits)

    def side_by_side(
        self,
        title: str,
        about: str,
        columns: Mapping[str, Column],
        digits: int | Sequence[int] = 2,
    ) -> Table:
        """A row per system, a column per function of its values."""
        rows = [[name, *(column(self, name) for column in columns.values())] for name in self.values]
        return Table(title, about, ["system", *columns], rows, digits)

    @property
    def settings(self) -> dict[str, Any]:
        """How many pairs, and who is not in the tables for want of what; for the head of a section."""
        return {"pairs": len(self.pairs), **self.missing}

    def clips(self) -> dict[str, Any]:
        """All single values: what the pairs are, and per system and measure a list in their order."""
        told = {
            name: {m: [None if v is None else round(v, 4) for v in values] for m, values in each.items()}
            for name, each in self.values.items()
        }
        return {"pairs": [[pair.name, pair.noise, pair.column] for pair in self.pairs], "systems": told}


Column = Callable[[Scored, str], Cell]
"""A cell for the system of this name."""


def score(pairs: Sequence[Pair], tried: Sequence[System], names: Sequence[str]) -> Scored:
    """Run these systems over these pairs and take the measures of these names, from MEASURES.

    A peer that fails is named among the missing, with its error; what the others gave stays.
    """
    values: dict[str, dict[str, list[float | None]]] = {}
    store, asked = Store(), list(tried)
    for place, system in enumerate(asked):
        if system.missing:
            continue
        mine: dict[str, list[float | None]] = {name: [] for name in names}
        try:
            for pair in pairs:
                ran = use(system, pair.damaged, pair.rate, pair.facts)
                for name in names:
                    mine[name].append(None if ran is None else store.measured(name, pair, ran.out))
        except Exception as error:
            if not system.version:  # ours: to be mended, not to be reported
                raise
            asked[place] = replace(system, missing=f"failed: {type(error).__name__}: {str(error)[:80]}")
            continue
        values[system.name] = mine
    return Scored(pairs, values, absent(asked))


def absent(tried: Sequence[System]) -> dict[str, str]:
    """Who cannot be run here for want of what, to be said at the head of a section."""
    lacking = [f"{system.name} ({system.missing})" for system in tried if system.missing]
    return {"missing": ", ".join(lacking)} if lacking else {}


class Store:
    """Measures that were taken before."""

    def __init__(self) -> None:
        systems.CACHE.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(systems.CACHE / "scores.sqlite", timeout=60, isolation_level=None)
        self._base.execute("create table if not exists scores (key text primary key, value real)")
        self._text = hashlib.sha256(Path(measure.__file__).read_bytes()).digest()

    def measured(self, name: str, pair: Pair, out: Array) -> float | None:
        """This measure, from the disk or anew. What has no value is not kept: a package may be missing."""
        told = b"".join((self._text, name.encode(), str(pair.rate).encode()))
        key = hashlib.sha256(told + pair.clean.tobytes() + np.ascontiguousarray(out).tobytes()).hexdigest()
        had = self._base.execute("select value from scores where key = ?", (key,)).fetchone()
        if had:
            return float(had[0])
        value = MEASURES[name](pair.clean, out, pair.rate)
        if value is not None:
            self._base.execute("insert or replace into scores values (?, ?)", (key, value))
        return value
