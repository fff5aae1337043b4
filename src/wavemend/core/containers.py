"""Chunk files written: headers made anew or copied from a source, with room for the samples between."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from wavemend.core.chunks import (
    AMBISONIC_TAIL,
    EXTENSIBLE,
    FLOAT,
    GUID_TAIL,
    PCM,
    W64_RIFF,
    W64_TAIL,
    Chunk,
    Layout,
)
from wavemend.core.pcm import Encoding
from wavemend.core.types import Format
from wavemend.errors import InputError

LIMIT = 0xFFFFFFFF
PIECE = 2**20
SPEAKERS = {1: 4, 2: 3, 3: 7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
"""The usual channel masks (FLAC's order of channels)."""

Piece = tuple[bytes, bytes | Chunk]
"""A chunk to be written: its name, and its body, given or to be copied from the source."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A chunk file to be: what comes before the samples, how many bytes they are, what comes after.

    `lead` opens the chunk of the samples; `rest` and `trailer` are spans of the source
    that follow the samples within their chunk, and the last chunk.
    """

    container: str
    magic: bytes
    before: tuple[Piece, ...]
    lead: bytes
    data_bytes: int
    after: tuple[Piece, ...]
    samples: int
    rest: tuple[int, int] = (0, 0)
    trailer: tuple[int, int] = (0, 0)

    @property
    def wave(self) -> bool:
        return self.container in ("WAV", "RF64")


def like(layout: Layout, source: BinaryIO) -> Outline:
    """The outline of a copy of `layout`: every chunk in its place."""
    source.seek(layout.data.body)
    lead = source.read(layout.data_start - layout.data.body)
    return Outline(
        container=layout.container,
        magic=layout.magic,
        before=tuple((chunk.id, chunk) for chunk in layout.before),
        lead=lead,
        data_bytes=layout.data_bytes,
        after=tuple((chunk.id, chunk) for chunk in layout.after),
        samples=layout.samples,
        rest=(layout.data_start + layout.data_bytes, layout.data.body + layout.data.size),
        trailer=(layout.trailer, layout.size),
    )


def fresh(container: str, format: Format, samples: int, encoding: Encoding, mask: int = 0) -> Outline:
    """The outline of a new file that holds nothing but samples."""
    data_bytes = samples * format.channels * encoding.width
    if container in ("AIFF", "AIFC"):
        before, lead, magic = _aiff_head(container, format, samples, encoding), bytes(8), b"FORM"
    elif container == "CAF":
        before, lead, magic = _caf_head(format, encoding), bytes(4), b"caff"
    else:
        before, lead = _wave_head(format, samples, encoding, mask), b""
        magic = {"W64": b"riff", "RF64": b"RF64"}.get(container, b"RIFF")
    return Outline(container, magic, before, lead, data_bytes, (), samples)


def _wave_head(format: Format, samples: int, encoding: Encoding, mask: int) -> tuple[Piece, ...]:
    frame = encoding.width * format.channels
    tag = FLOAT if encoding.kind == "float" else PCM
    extended = format.channels > 2
    fmt = struct.pack(
        "<HHIIHH",
        EXTENSIBLE if extended else tag,
        format.channels,
        format.sample_rate,
        min(format.sample_rate * frame, LIMIT),
        frame,
        encoding.bits,
    )
    if extended:
        fmt += struct.pack("<HHIH", 22, encoding.depth or encoding.bits, mask, tag) + GUID_TAIL
    elif tag == FLOAT:
        fmt += b"\0\0"
    fact: tuple[Piece, ...] = ((b"fact", struct.pack("<I", min(samples, LIMIT))),) if tag == FLOAT else ()
    return ((b"fmt ", fmt), *fact)


def _aiff_head(container: str, format: Format, samples: int, encoding: Encoding) -> tuple[Piece, ...]:
    if samples > LIMIT:
        raise InputError("an AIFF file ends at 4 GiB; name the output .wav, .w64 or .caf")
    comm = struct.pack(">hIh", format.channels, samples, encoding.depth or encoding.bits)
    mantissa, exponent = math.frexp(format.sample_rate)
    comm += struct.pack(">HQ", exponent + 16382, int(math.ldexp(mantissa, 64)))
    if container == "AIFF":
        return ((b"COMM", comm),)
    codec = f"fl{encoding.bits}".encode() if encoding.kind == "float" else b"NONE"
    return ((b"FVER", bytes.fromhex("a2805140")), (b"COMM", comm + codec + b"\0\0"))


def _caf_head(format: Format, encoding: Encoding) -> tuple[Piece, ...]:
    flags = (encoding.kind == "float") | (0 if encoding.big_endian else 2)
    frame = encoding.width * format.channels
    desc = struct.pack(
        ">d4sIIIII", format.sample_rate, b"lpcm", flags, frame, 1, format.channels, encoding.bits
    )
    return ((b"desc", desc),)


def converted(outline: Outline, container: str) -> Outline:
    """A WAV, RF64 or W64 outline as another of the three; all chunks stay that have a name there."""
    before, after = (
        tuple((_named(id, container), body) for id, body in pieces if has_name(id) and id[:4] != b"ds64")
        for pieces in (outline.before, outline.after)
    )
    magic = {"W64": b"riff", "RF64": b"RF64"}.get(container, b"RIFF")
    if container == "W64":  # libsndfile takes what follows the samples there for sound
        before, after = before + after, ()
    return replace(outline, container=container, magic=magic, before=before, after=after)


def has_name(id: bytes) -> bool:
    """Whether a chunk of a W64 file, named by a GUID, can be one of a WAV file too."""
    return all(32 <= byte < 127 for byte in id[:4]) and id[4:] in (b"", W64_TAIL)


def _named(id: bytes, container: str) -> bytes:
    if container == "W64":
        return id if len(id) == 16 else id + W64_TAIL
    return id[:4]


def finished(outline: Outline) -> Outline:
    """The outline with its final header: a WAV that is too large for one becomes an RF64."""
    if outline.container == "W64":
        before = tuple((_named(id, "W64"), body) for id, body in outline.before)
        return replace(outline, before=before)
    if outline.container == "WAV" and _total(outline) > LIMIT:
        if outline.magic == b"RIFX":
            raise InputError("a big-endian WAV file ends at 4 GiB; name the output .rf64 or .w64")
        outline = converted(outline, "RF64")
    if outline.container in ("AIFF", "AIFC") and _total(outline) > LIMIT:
        raise InputError("an AIFF file ends at 4 GiB; name the output .wav, .w64 or .caf")
    if outline.container == "RF64":
        table = next((body for id, body in outline.before if id == b"ds64"), b"")
        others = tuple(piece for piece in outline.before if piece[0] != b"ds64")
        length = table.size if isinstance(table, Chunk) else 28
        outline = replace(outline, before=((b"ds64", bytes(max(length, 28))), *others))
        sizes = struct.pack("<QQQI", _total(outline), _data_size(outline), outline.samples, 0)
        # 28 bytes count; what lay behind them was a table of other large chunks, of which none are left
        body = sizes + bytes(max(length, 28) - 28)
        outline = replace(outline, before=((b"ds64", body), *others))
    return outline


def _data_size(outline: Outline) -> int:
    return len(outline.lead) + outline.data_bytes + outline.rest[1] - outline.rest[0]


def _size(body: bytes | Chunk) -> int:
    return body.size if isinstance(body, Chunk) else len(body)


def _padding(outline: Outline, size: int) -> int:
    return -size % {"W64": 8, "CAF": 1}.get(outline.container, 2)


def _data_padding(outline: Outline) -> int:
    # a W64 file that ends with its samples ends there: some readers take padding for samples
    return 0 if outline.container == "W64" and not outline.after else _padding(outline, _data_size(outline))


def _header_bytes(outline: Outline) -> int:
    return {"W64": 24, "CAF": 12}.get(outline.container, 8)


def _total(outline: Outline) -> int:
    """All bytes of chunks, with what stands before the first and behind the total size."""
    sizes = [_size(body) for _, body in (*outline.before, *outline.after)]
    total = sum(_header_bytes(outline) + size + _padding(outline, size) for size in sizes)
    total += _header_bytes(outline) + _data_size(outline) + _data_padding(outline)
    return total + {"W64": 40, "CAF": 8}.get(outline.container, 4)


def write_head(outline: Outline, out: BinaryIO, source: BinaryIO | None) -> dict[bytes, int]:
    """Everything up to the samples; where the body of each chunk went."""
    total, magic = _total(outline), outline.magic
    if outline.container == "W64":
        out.write(W64_RIFF + struct.pack("<Q", total) + b"wave" + W64_TAIL)
    elif outline.container == "CAF":
        out.write(struct.pack(">4sHH", magic, 1, 0))
    elif magic == b"FORM":
        out.write(struct.pack(">4sI4s", magic, total, outline.container.encode()))
    else:
        order = ">" if magic == b"RIFX" else "<"
        out.write(magic + struct.pack(order + "I", LIMIT if outline.container == "RF64" else total) + b"WAVE")
    places = {}
    for id, body in outline.before:
        out.write(_chunk_head(outline, id, _size(body)))
        places[id[:4]] = out.tell()
        _write_body(outline, body, out, source)
    id = _named(b"SSND" if magic == b"FORM" else b"data", outline.container)
    size = LIMIT if outline.container == "RF64" else _data_size(outline)
    out.write(_chunk_head(outline, id, size) + outline.lead)
    return places


def write_tail(outline: Outline, out: BinaryIO, source: BinaryIO | None) -> dict[bytes, int]:
    """Everything behind the samples; where the body of each chunk went."""
    if source is not None:
        _copy(source, *outline.rest, out)
    out.write(bytes(_data_padding(outline)))
    places = {}
    for id, body in outline.after:
        out.write(_chunk_head(outline, id, _size(body)))
        places[id[:4]] = out.tell()
        _write_body(outline, body, out, source)
    if source is not None:
        _copy(source, *outline.trailer, out)
    return places


def _chunk_head(outline: Outline, id: bytes, size: int) -> bytes:
    if outline.container == "W64":
        return id + struct.pack("<Q", size + 24)
    if outline.container == "CAF":
        return id + struct.pack(">q", size)
    order = ">" if outline.magic in (b"FORM", b"RIFX") else "<"
    return id + struct.pack(order + "I", size)


def _write_body(outline: Outline, body: bytes | Chunk, out: BinaryIO, source: BinaryIO | None) -> None:
    if isinstance(body, bytes):
        out.write(body)
    elif source is not None:
        _copy(source, body.body, body.body + body.size, out)
    out.write(bytes(_padding(outline, _size(body))))


def _copy(source: BinaryIO, start: int, stop: int, out: BinaryIO) -> None:
    for part in _pieces(source, start, stop):
        out.write(part)


def _pieces(source: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    source.seek(start, os.SEEK_SET)
    while start < stop:
        part = source.read(min(PIECE, stop - start))
        if not part:
            raise InputError("the source became shorter while it was copied")
        start += len(part)
        yield part


def channel_mask(fmt: bytes) -> int:
    """The speakers that a WAVE_FORMAT_EXTENSIBLE header names; 0 for none."""
    if len(fmt) >= 40 and struct.unpack_from("<H", fmt)[0] == EXTENSIBLE and fmt[26:40] != AMBISONIC_TAIL:
        return int(struct.unpack_from("<I", fmt, 20)[0])
    return 0
