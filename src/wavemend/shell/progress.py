"""A hook that draws a bar on a terminal, and heeds the wish to stop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wavemend.core.stopping import WISH, Stopped

if TYPE_CHECKING:
    from wavemend.core.hook import Event, Hook


@contextmanager
def progress() -> Iterator[Hook]:
    """A hook that draws a bar on a terminal and nothing in a pipe, and heeds the wish to stop."""

    def heed(event: Event) -> None:
        if WISH.asked:
            raise Stopped

    WISH.in_steps = True
    try:
        if sys.stderr.isatty():
            with _bar() as draw:

                def both(event: Event) -> None:
                    heed(event)
                    draw(event)

                yield both
        else:
            yield heed
    finally:
        WISH.in_steps = False


@contextmanager
def _bar() -> Iterator[Hook]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:>9}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def hook(event: Event) -> None:
            if event.stage not in tasks:
                tasks[event.stage] = bar.add_task(event.stage, total=event.total)
            bar.update(tasks[event.stage], completed=event.done)

        yield hook
