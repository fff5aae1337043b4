"""Files made of chunks around linear samples: WAV, RF64, BW64, W64, AIFF, AIFC and CAF.

The layout says where every chunk lies, so that a copy can keep each of them byte for
byte, in order, and put new samples where the old ones were. Sizes are checked against
the file before anything is believed.

WAV: Microsoft/IBM 1991 and WAVE_FORMAT_EXTENSIBLE; RF64 and BW64: EBU Tech 3306 and
ITU-R BS.2088; W64: Sonic Foundry; AIFF-C: Apple 1991; CAF: Apple Core Audio Format 1.0.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

from wavemend.core.pcm import Encoding
from wavemend.errors import MediaError

W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
AMBISONIC_TAIL = bytes.fromhex("00002107d3118644c8c1ca000000")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE

# What programs that write to a pipe put where the size would be.
UNKNOWN_SIZES = {0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF}
MAX_CHUNKS = 10_000
MAX_HELD = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its name (in W64 a GUID), where its body lies, and how long that is."""

    id: bytes
    body: int
    size: int

    @property
    def name(self) -> str:
        """The four characters that say what it holds."""
        return self.id[:4].decode("latin-1")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies. `encoding` is None where the samples are not linear.

    Samples fill `data_bytes` from `data_start`; `after` are the chunks behind them
    and `trailer` is where bytes begin that belong to no chunk (`size` if there are none).
    """

    container: str
    magic: bytes
    sample_rate: int
    channels: int
    encoding: Encoding | None
    data: Chunk
    data_start: int
    data_bytes: int
    before: tuple[Chunk, ...]
    after: tuple[Chunk, ...]
    trailer: int
    size: int

    @property
    def samples(self) -> int:
        """Length in samples, where the encoding is known."""
        return self.data_bytes // (self.channels * self.encoding.width) if self.encoding else 0

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks but the samples."""
        return self.before + self.after


@dataclass(frozen=True, slots=True)
class _Style:
    """How chunk headers are written in a family of formats."""

    order: str
    size_code: str = "I"
    id_bytes: int = 4
    align: int = 2
    counts_header: bool = False


def read_body(file: BinaryIO, chunk: Chunk) -> bytes:
    """The chunk's content; MediaError above 64 MiB, which no description needs."""
    if chunk.size > MAX_HELD:
        raise MediaError(f"the chunk '{chunk.name}' is too large to be read")
    file.seek(chunk.body)
    return file.read(chunk.size)


def parse(file: BinaryIO) -> Layout | None:
    """The layout of a chunk file; None for any other kind. MediaError says what is wrong with it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _parse_wave(file, head, size)
    if head[:16] == W64_RIFF and head[24:40] == b"wave" + W64_TAIL:
        return _parse_wave(file, head, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _parse_aiff(file, head, size)
    if head[:4] == b"caff":
        return _parse_caf(file, size)
    return None


def _walk(
    file: BinaryIO, style: _Style, at: int, promised: int, size: int, data_id: bytes, sizes: dict[bytes, int]
) -> tuple[list[Chunk], int, int]:
    """All chunks from `at`, the index of the samples (-1: none), and where the last chunk ends.

    Chunks end where the header `promised`, unless the samples prove that wrong.
    """
    header = style.id_bytes + struct.calcsize(style.size_code)
    found: list[Chunk] = []
    data, data_end = -1, size
    while at + header <= size and len(found) < MAX_CHUNKS:
        if data >= 0 and at >= promised >= data_end:
            break
        file.seek(at)
        raw = file.read(header)
        name, body = raw[: style.id_bytes], at + header
        if style.id_bytes == 4 and not _is_name(name):
            break
        length = struct.unpack(style.order + style.size_code, raw[style.id_bytes :])[0]
        if style.counts_header:
            length -= header
        if length == 0xFFFFFFFF and name in sizes:
            length = sizes[name]
        if data < 0 and _is(name, data_id):
            if length == -1 and not style.counts_header:
                length = size - body
            data, length = len(found), _data_size(file, length, body, size, style)
            data_end = body + length
        elif not 0 <= length <= size - body:
            break
        found.append(Chunk(name, body, length))
        at = body + length
        at += -at % style.align if style.align > 2 else _pad(file, at, length, style)
    return found, data, min(at, size)


def _data_size(file: BinaryIO, length: int, body: int, size: int, style: _Style) -> int:
    there = size - body
    if length == 0 and there >= 8 and style.size_code == "I":
        # a recorder that never came back to write the size; or really nothing, and then a chunk
        file.seek(body)
        name, after = struct.unpack(style.order + "4sI", file.read(8))
        return 0 if _is_name(name) and after <= there - 8 else there
    if 0 <= length <= there:
        return int(length)
    if length in UNKNOWN_SIZES:
        return there
    raise MediaError(
        f"the file is cut short: its header promises {length} bytes of samples, {there} are there"
    )


def _is(id: bytes, name: bytes) -> bool:
    """Whether a chunk has this name; in W64 the whole GUID must fit."""
    return id in (name, name + W64_TAIL)


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)


def _pad(file: BinaryIO, at: int, length: int, style: _Style) -> int:
    """0 or 1 bytes up to the next chunk; some programs forget to make the length even."""
    if style.align == 1 or length % 2 == 0:
        return 0
    file.seek(at)
    ahead = file.read(5)
    forgotten = len(ahead) == 5 and _is_name(ahead[:4]) and not 32 <= ahead[4] < 127
    return 0 if forgotten else 1


def _find(chunks: list[Chunk], name: bytes) -> Chunk | None:
    return next((chunk for chunk in chunks if _is(chunk.id, name)), None)


def _need(file: BinaryIO, chunks: list[Chunk], name: bytes, least: int) -> bytes:
    chunk = _find(chunks, name)
    if chunk is None or chunk.size < least:
        raise MediaError(f"the header is cut short or damaged: it has no valid '{name.decode()}' chunk")
    return read_body(file, chunk)


def _split(
    layout: Layout,
    chunks: list[Chunk],
    data: int,
    end: int,
    frame: int,
    lead: int = 0,
    limit: int | None = None,
) -> Layout:
    """The layout with its chunks; `lead` bytes of the data chunk come before the samples."""
    if data < 0:
        raise MediaError("the file is cut short: it has no samples")
    chunk = chunks[data]
    if lead > chunk.size:
        raise MediaError("the header is damaged: the samples begin behind their chunk")
    there = chunk.size - lead
    if limit is not None:
        if limit > there:
            raise MediaError(
                f"the file is cut short: its header promises {limit} bytes of samples, {there} are there"
            )
        there = limit
    return replace(
        layout,
        data=chunk,
        data_start=chunk.body + lead,
        data_bytes=there // frame * frame,
        before=tuple(chunks[:data]),
        after=tuple(chunks[data + 1 :]),
        trailer=end,
    )


def _parse_wave(file: BinaryIO, head: bytes, size: int) -> Layout:
    magic = head[:4]
    sizes: dict[bytes, int] = {}
    promised = size
    if magic == b"riff":
        style = _Style("<", "q", 16, 8, True)
        container, first = "W64", 40
    else:
        style = _Style(">" if magic == b"RIFX" else "<")
        container, first = {b"RF64": "RF64", b"BW64": "RF64"}.get(magic, "WAV"), 12
        promised = 8 + struct.unpack(style.order + "I", head[4:8])[0]
        if container == "RF64":
            promised = _read_ds64(file, head, sizes)
    chunks, data, stop = _walk(file, style, first, promised, size, b"data", sizes)
    fmt = _need(file, chunks[: data + 1] if data >= 0 else chunks, b"fmt ", 14)
    rate, channels, encoding, frame = _read_fmt(fmt, style.order)
    empty = Chunk(b"data", 0, 0)
    layout = Layout(container, magic, rate, channels, encoding, empty, 0, 0, (), (), stop, size)
    return _split(layout, chunks, data, stop, frame if encoding else 1)


def _read_ds64(file: BinaryIO, head: bytes, sizes: dict[bytes, int]) -> int:
    if head[12:16] != b"ds64":
        raise MediaError("the header is damaged: an RF64 file without a 'ds64' chunk")
    length = struct.unpack("<I", head[16:20])[0]
    file.seek(20)
    body = file.read(min(length, 65536))
    if len(body) < 28:
        raise MediaError("the header is cut short")
    total, data, _, count = struct.unpack("<QQQI", body[:28])
    sizes[b"data"] = data
    for k in range(min(count, (len(body) - 28) // 12)):
        name, there = struct.unpack_from("<4sQ", body, 28 + 12 * k)
        sizes[name] = there
    return 8 + int(total)


def _read_fmt(fmt: bytes, order: str) -> tuple[int, int, Encoding | None, int]:
    tag, channels, rate, _, frame = struct.unpack_from(order + "HHIIH", fmt)
    bits = struct.unpack_from(order + "H", fmt, 14)[0] if len(fmt) >= 16 else 0
    valid = bits
    if tag == EXTENSIBLE and len(fmt) >= 40:
        valid = struct.unpack_from(order + "H", fmt, 18)[0] or bits
        tag = struct.unpack_from(order + "H", fmt, 24)[0]
        if fmt[26:40] not in (GUID_TAIL, AMBISONIC_TAIL):
            tag = -1
    if tag not in (PCM, FLOAT):
        return rate, channels, None, max(frame, 1)
    if not channels:
        raise MediaError("the header says that there are no channels")
    width = frame // channels
    fits = width * channels == frame and 0 < bits <= width * 8 and valid <= width * 8
    if not fits or width not in ((1, 2, 3, 4) if tag == PCM else (4, 8)):
        raise MediaError(f"the header is damaged: {bits} bits in {frame} bytes for {channels} channels")
    if tag == FLOAT:
        return rate, channels, Encoding("float", width * 8, order == ">"), frame
    kind: Literal["int", "uint"] = "uint" if width == 1 else "int"
    valid = 0 if valid == width * 8 else valid
    return rate, channels, Encoding(kind, width * 8, order == ">", valid), frame


_AIFC: dict[bytes, tuple[Literal["int", "uint", "float"], bool]] = {
    b"NONE": ("int", True), b"twos": ("int", True), b"in24": ("int", True), b"in32": ("int", True),
    b"sowt": ("int", False), b"raw ": ("uint", True), b"fl32": ("float", True), b"FL32": ("float", True),
    b"fl64": ("float", True), b"FL64": ("float", True),
}  # fmt: skip


def _parse_aiff(file: BinaryIO, head: bytes, size: int) -> Layout:
    promised = 8 + int(struct.unpack(">I", head[4:8])[0])
    chunks, data, stop = _walk(file, _Style(">"), 12, promised, size, b"SSND", {})
    comm = _need(file, chunks, b"COMM", 18)
    channels, frames, bits = struct.unpack_from(">hIh", comm)
    rate = round(_from_extended(comm[8:18]))
    codec = comm[18:22] if head[8:12] == b"AIFC" and len(comm) >= 22 else b"NONE"
    container = head[8:12].decode()
    if channels < 1:
        raise MediaError("the header says that there are no channels")
    empty = Chunk(b"SSND", 0, 0)
    layout = Layout(container, b"FORM", rate, channels, None, empty, 0, 0, (), (), stop, size)
    if codec not in _AIFC:
        return _split(layout, chunks, data, stop, 1)
    kind, big = _AIFC[codec]
    bits = 64 if codec.lower() == b"fl64" else 32 if kind == "float" else bits
    width = (bits + 7) // 8
    if not 0 < bits <= (64 if kind == "float" else 32) or (kind == "uint" and width != 1):
        raise MediaError(f"the header is damaged: samples of {bits} bits")
    encoding = Encoding(kind, width * 8, big, 0 if bits == width * 8 else bits)
    offset = 0
    if data >= 0:
        file.seek(chunks[data].body)
        start = file.read(8)
        offset = struct.unpack(">I", start[:4])[0] if len(start) == 8 else 0
    frame = width * channels
    return _split(
        replace(layout, encoding=encoding), chunks, data, stop, frame, lead=8 + offset, limit=frames * frame
    )


def _from_extended(raw: bytes) -> float:
    """An 80-bit IEEE 754 extended number; 0 where it is none that a sample rate could be."""
    exponent, mantissa = struct.unpack(">HQ", raw)
    if exponent & 0x8000 or exponent > 16383 + 63:
        return 0.0
    return math.ldexp(mantissa, exponent - 16383 - 63)


def _parse_caf(file: BinaryIO, size: int) -> Layout:
    chunks, data, stop = _walk(file, _Style(">", "q", 4, 1), 8, size, size, b"data", {})
    desc = _need(file, chunks, b"desc", 32)
    rate, codec, flags, packet, frames, channels, bits = struct.unpack_from(">d4sIIIII", desc)
    rate = round(rate) if math.isfinite(rate) else 0
    if not channels:
        raise MediaError("the header says that there are no channels")
    empty = Chunk(b"data", 0, 0)
    layout = Layout("CAF", b"caff", rate, channels, None, empty, 0, 0, (), (), stop, size)
    width = (bits + 7) // 8
    linear = codec == b"lpcm" and frames == 1 and packet == width * channels
    if not linear or width not in ((4, 8) if flags & 1 else (1, 2, 3, 4)):
        return _split(layout, chunks, data, stop, 1)
    valid = 0 if bits == width * 8 else bits
    encoding = Encoding("float" if flags & 1 else "int", width * 8, not flags & 2, valid)
    return _split(replace(layout, encoding=encoding), chunks, data, stop, packet, lead=4)
