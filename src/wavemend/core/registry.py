"""One door for built-in and outside kinds: entry points that name modules."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from wavemend.core.params import suggest
from wavemend.errors import InputError


class Named(Protocol):
    """Something that a registry can hold."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T], Generic[T]):
    """All objects of one class that the entry points of one group lead to, by name.

    An entry point names a module; where that is a package, its modules are read
    too, in sorted order. Modules are read at the first look-up. Two objects of
    one name raise InputError.
    """

    def __init__(self, group: str, kind: type[T], what: str) -> None:
        self._group, self._kind, self._what = group, kind, what
        self._found: dict[str, T] | None = None

    def __getitem__(self, name: str) -> T:
        found = self._all()
        if name not in found:
            raise InputError(f"there is no {self._what} '{name}'{suggest(name, found)}")
        return found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, T]:
        if self._found is None:
            found: dict[str, T] = {}
            for point in sorted(entry_points(group=self._group), key=lambda point: point.name):
                for module in _modules(point.value):
                    for thing in vars(module).values():
                        if isinstance(thing, self._kind):
                            self._add(found, thing)
            self._found = dict(sorted(found.items()))
        return self._found

    def _add(self, found: dict[str, T], thing: T) -> None:
        if found.setdefault(thing.name, thing) is not thing:
            raise InputError(f"two packages bring a {self._what} named '{thing.name}'; uninstall one")


def _modules(name: str) -> Iterator[ModuleType]:
    module = importlib.import_module(name)
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda info: info.name):
        yield importlib.import_module(f"{name}.{info.name}")
