"""Parameters, declared once as data.

The command line, its help, the documentation and every shell to come are made
from these declarations; none has defaults of its own.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wavemend.errors import InputError

Options = Mapping[str, float]
"""Parameter values by name, complete and checked."""


@dataclass(frozen=True, slots=True)
class Param:
    """One number that a user may set.

    `low` and `high` are inclusive. A `whole` parameter takes integers only. A
    name ends in its unit where it has one (`_hz`, `_ms`, `_db`).
    """

    default: float
    low: float
    high: float
    unit: str
    help: str
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high:
            raise InputError(f"the default {self.default} is outside {self.low} to {self.high}")

    def check(self, owner: str, name: str, value: Any) -> float:
        """The value as a number, or an error that names the parameter and its range."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"{owner}: {name} must be a number, not {value!r}") from None
        except OverflowError:
            number = math.inf
        unit = f" {self.unit}" if self.unit else ""
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise InputError(f"{owner}: {name} is {number:g}{unit}; give {self.low:g} to {self.high:g}{unit}")
        if self.whole and number != int(number):
            raise InputError(f"{owner}: {name} is {number:g}; give a whole number")
        return int(number) if self.whole else number


def resolve(owner: str, params: Mapping[str, Param], given: Mapping[str, Any]) -> dict[str, float]:
    """All options of `owner`: what was given, checked, and the defaults for the rest.

    Raises InputError for a name that is not declared and for a value out of range.
    """
    for name in given:
        if name not in params:
            raise InputError(f"{owner} has no option '{name}'{suggest(name, params)}")
    return {name: param.check(owner, name, given.get(name, param.default)) for name, param in params.items()}


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known are {', '.join(names)}" if names else ""
