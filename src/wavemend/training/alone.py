"""One training in a folder at a time: two would write over each other's weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wavemend.errors import InputError

LOCK = "lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder. The system lets go of it when the process ends, however it does.

    Raises InputError where another process holds it.
    """
    with (folder / LOCK).open("a") as file:
        try:
            _hold(file)
        except OSError:
            raise InputError(
                f"{folder}: another training works in this folder; wait for it, or end it first"
            ) from None
        yield


def _hold(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
