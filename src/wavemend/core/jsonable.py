"""Frozen types to JSON and back. Reading is strict: a key that is unknown or missing is an error."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from wavemend.errors import InputError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as what json.dumps takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """The dataclass `kind` from what json.loads gave; InputError says where it does not fit."""
    return typing.cast(T, _read(kind, value, where or kind.__name__.lower()))


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast(type, kind), value, where)
    if origin in (typing.Union, types.UnionType):
        return _read_union(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            raise InputError(f"{where} is {value!r}; it must be one of {', '.join(map(str, args))}")
        return value
    if origin is tuple:
        return _read_tuple(args, value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be an object")
        return {key: _read(args[1], item, f"{where}.{key}") for key, item in value.items()}
    return _read_scalar(kind, value, where)


def _read_dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise InputError(f"{where} has a key '{key}' that is not known")
    for name, f in fields.items():
        optional = f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        if name not in value and not optional:
            raise InputError(f"{where} lacks the key '{name}'")
    try:
        return kind(**{key: _read(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(where) else f"{where}: {message}") from None


def _read_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    problem: InputError | None = None
    for arg in args:
        if arg is type(None):
            if value is None:
                return None
            continue
        try:
            return _read(arg, value, where)
        except InputError as error:
            problem = error
    raise problem or InputError(f"{where} does not fit")


def _read_tuple(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(args) != len(value):
        raise InputError(f"{where} must have {len(args)} entries")
    return tuple(
        _read(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(zip(args, value, strict=True))
    )


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) in (int, float):
        if abs(value) > sys.float_info.max or math.isnan(value):
            raise InputError(f"{where} is not a finite number")
        return value
    if type(value) is not kind:
        names = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
        raise InputError(f"{where} must be {names.get(kind, kind)}, not {value!r}")
    return value
