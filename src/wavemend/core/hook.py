"""One way out of the core for progress, events and artefacts.

A hook is any callable that takes an `Event`; a progress bar, a log and a test watch
the same events. The core knows no screen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """`done` of `total` samples of a stage ("diagnose", "repair", "write") are through."""

    stage: str
    done: int
    total: int


Hook = Callable[[Event], None]


def silent(event: Event) -> None:
    """The hook that watches nothing."""
