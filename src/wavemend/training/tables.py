"""Tables of a recipe as frozen dataclasses, unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from wavemend.core.params import suggest
from wavemend.errors import InputError

T = TypeVar("T")


def read_table(kind: type[T], table: Mapping[str, Any], name: str) -> T:
    """A dataclass made from a table; InputError for keys and types that it does not have."""
    types = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise InputError(f"{name}: there is no '{key}'{suggest(key, sorted(known))}")
    try:
        return kind(**{key: _as(types[key], value, f"{name}.{key}") for key, value in table.items()})
    except TypeError as error:
        raise InputError(f"{name}: {error}") from None


def _as(wanted: Any, value: Any, name: str) -> Any:
    if get_origin(wanted) is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{name} must be a list")
        inner = get_args(wanted)
        each = inner[0] if len(inner) == 2 and inner[1] is ... else None
        if each is None and len(value) != len(inner):
            raise InputError(f"{name} must have {len(inner)} items")
        return tuple(_as(each or inner[k], item, f"{name}[{k}]") for k, item in enumerate(value))
    if get_origin(wanted) is dict:
        wanted = dict
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise InputError(f"{name} must be {wanted.__name__}, not {value!r}")
    return value
