"""What files say about their sound, in terms that all of them share."""

from __future__ import annotations

import struct
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

    def __add__(self, more: Metadata) -> Metadata:
        """Both, but for what is said twice with the same words."""
        comments = tuple(dict.fromkeys(self.comments + more.comments))
        return Metadata(
            comments,
            tuple(dict.fromkeys(self.pictures + more.pictures)),
            tuple(dict.fromkeys(self.other + more.other)),
        )


def make_picture(kind: int, mime: str, description: str, data: bytes) -> bytes:
    """A FLAC picture block; its size in pixels is left open."""
    name, text = mime.encode(), description.encode()
    head = struct.pack(">II", kind, len(name)) + name + struct.pack(">I", len(text)) + text
    return head + struct.pack(">5I", 0, 0, 0, 0, len(data)) + data


def picture_parts(block: bytes) -> tuple[int, str, str, bytes]:
    """Kind, MIME type, description and data; ValueError or struct.error if it is damaged."""
    kind, length = struct.unpack_from(">II", block)
    at = 8 + length
    mime = block[8:at].decode("latin-1")
    length = struct.unpack_from(">I", block, at)[0]
    description = block[at + 4 : at + 4 + length].decode("utf-8", "replace")
    at += 4 + length + 16
    length = struct.unpack_from(">I", block, at)[0]
    data = block[at + 4 : at + 4 + length]
    if len(data) != length:
        raise ValueError("the picture is cut short")
    return kind, mime, description, data
