"""Descriptions of a recording."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says about its sound, in terms that other containers can hold too.

    `comments` are names and values as in Vorbis comments, in their order; a name may
    come more than once. `pictures` are FLAC picture blocks. `other` names, in plain
    words, what only the file's own container has a place for.
    """

    comments: tuple[tuple[str, str], ...] = ()
    pictures: tuple[bytes, ...] = ()
    other: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """One text for each name; several values are joined by "; "."""
        joined: dict[str, str] = {}
        for name, value in self.comments:
            joined[name] = f"{joined[name]}; {value}" if name in joined else value
        return joined
