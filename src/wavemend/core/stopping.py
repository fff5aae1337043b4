"""Ctrl-C, kill and a closed terminal end a program without leaving anything half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class Stopped(BaseException):
    """Somebody wants the program to end; what is half done is to be cleared away."""


@dataclass
class Wish:
    """What a signal asked for.

    Work that comes in steps ends between two of them: in the middle of one, an encoder's
    callback might swallow the exception and go on with a broken file. A second signal does not wait.
    """

    asked: bool = False
    in_steps: bool = False


WISH = Wish()


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C, kill and a closed terminal raise Stopped, once: clearing away is not disturbed."""
    WISH.asked = False
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heeded = {number: before for number in numbers if (before := signal.getsignal(number)) != signal.SIG_IGN}

    def stop(number: int, frame: object) -> None:
        again, WISH.asked = WISH.asked, True
        if again or not WISH.in_steps:
            for each in heeded:
                signal.signal(each, signal.SIG_IGN)
            raise Stopped

    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, before in heeded.items():
            signal.signal(number, before)
