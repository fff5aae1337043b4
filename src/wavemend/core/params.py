"""Parameters, declared once as data.

The command line, its help, the documentation and every shell to come are made
from these declarations; none has defaults of its own.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wavemend.errors import InputError

Options = Mapping[str, Any]
"""Parameter values by name, complete and checked: numbers for a Param, text for a Choice."""


class Parameter(Protocol):
    """What a user may set, whatever kind of value it takes.

    `only_with` names another parameter and the one value of it with which this one is read, `unless`
    one with which it is not.
    """

    @property
    def default(self) -> float | str: ...

    @property
    def unit(self) -> str: ...

    @property
    def help(self) -> str: ...

    @property
    def only_with(self) -> tuple[str, str] | None: ...

    @property
    def unless(self) -> tuple[str, str] | None: ...

    @property
    def range(self) -> str:
        """The values that are taken, in words."""

    def check(self, owner: str, name: str, value: Any) -> Any:
        """The value, checked; InputError names the parameter and what it takes."""

    def plain(self) -> dict[str, Any]:
        """The declaration as what json.dumps takes."""


@dataclass(frozen=True, slots=True)
class Param:
    """One number that a user may set.

    `low` and `high` are inclusive. A `whole` parameter takes integers only. A
    name ends in its unit where it has one (`_hz`, `_ms`, `_db`). `default_with` is another
    parameter, a value of it, and the default that holds with that.
    """

    default: float
    low: float
    high: float
    unit: str
    help: str
    whole: bool = False
    only_with: tuple[str, str] | None = None
    default_with: tuple[str, str, float] | None = None
    unless: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        for default in (self.default, self.default_with[2] if self.default_with else self.default):
            if not self.low <= default <= self.high:
                raise InputError(f"the default {default} is outside {self.low} to {self.high}")

    @property
    def range(self) -> str:
        return f"{self.low:g} to {self.high:g}"

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
            raise InputError(f"{owner}: {name} is {number:g}{unit}; give {self.range}{unit}")
        if self.whole and number != int(number):
            raise InputError(f"{owner}: {name} is {number:g}; give a whole number")
        return int(number) if self.whole else number

    def plain(self) -> dict[str, Any]:
        return {
            "default": self.default,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "help": self.help,
            **({"default_with": list(self.default_with)} if self.default_with else {}),
            **_conditions(self),
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some names; where there is a `suffix`, also the path of a file that ends in it."""

    default: str
    choices: tuple[str, ...]
    help: str
    suffix: str = ""
    only_with: tuple[str, str] | None = None
    unless: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        self.check("a choice", "the default", self.default)

    @property
    def unit(self) -> str:
        return ""

    @property
    def range(self) -> str:
        file = (f"the path of a {self.suffix} file",) if self.suffix else ()
        return " | ".join((*self.choices, *file))

    def check(self, owner: str, name: str, value: Any) -> str:
        """The value as a text. Whether the file is there is not looked at."""
        text = str(value)
        if text in self.choices or (self.suffix and text.lower().endswith(self.suffix)):
            return text
        raise InputError(f"{owner}: {name} cannot be '{text}'; give {self.range}")

    def plain(self) -> dict[str, Any]:
        return {
            "default": self.default,
            "choices": list(self.choices),
            "suffix": self.suffix,
            "help": self.help,
            **_conditions(self),
        }


def _conditions(param: Parameter) -> dict[str, Any]:
    held = {"only_with": param.only_with, "unless": param.unless}
    return {name: list(condition) for name, condition in held.items() if condition}


def about(param: Parameter) -> str:
    """The help of a parameter, with the condition under which it is read."""
    held = {"only with": param.only_with, "not with": param.unless}
    said = [f" ({words} {' = '.join(condition)})" for words, condition in held.items() if condition]
    return param.help + "".join(said)


def defaults(param: Parameter) -> str:
    """The default in words, with the one that holds under a condition."""
    special = param.default_with if isinstance(param, Param) else None
    return shown(param.default) + ("; {2:g} with {0} = {1}".format(*special) if special else "")


def shown(value: float | str) -> str:
    """A value as it is written for people."""
    return value if isinstance(value, str) else f"{value:g}"


def resolve(owner: str, params: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of `owner`: what was given, checked, and the defaults for the rest.

    Parameters that are not read with the others' values are left out. Raises InputError for a name that
    is not declared, for a value out of range, and for one that would not be read.
    """
    for name in given:
        if name not in params:
            raise InputError(f"{owner} has no option '{name}'{suggest(name, params)}")
    checked = {name: p.check(owner, name, given.get(name, p.default)) for name, p in params.items()}
    for name, param in params.items():
        if isinstance(param, Param) and param.default_with and name not in given:
            other, value, default = param.default_with
            checked[name] = default if checked[other] == value else checked[name]
        for condition, wanted, words in ((param.only_with, True, "only"), (param.unless, False, "not")):
            if condition is None or (checked[condition[0]] == condition[1]) == wanted:
                continue
            if checked.pop(name) != param.default:
                other, value = condition
                raise InputError(f"{owner}: {name} is {words} read with {other} = {value}")
            break
    return checked


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known are {', '.join(names)}" if names else ""
