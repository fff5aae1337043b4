"""Vorbis comments, FLAC metadata blocks (RFC 9639) and the header packets of Ogg (RFC 3533, 7845)."""

from __future__ import annotations

import base64
import binascii
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from wavemend.core import id3
from wavemend.core.tags import Metadata, picture_parts
from wavemend.errors import MediaError

STREAMINFO, PADDING, APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(7)
MAX_BLOCK = 2**24 - 1
MAX_PACKET = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Block:
    """A FLAC metadata block."""

    kind: int
    body: bytes


def parse_comments(body: bytes) -> tuple[tuple[str, str], ...]:
    """Names (in capitals) and values of a Vorbis comment; what is cut short or not UTF-8 is left out."""
    found = []
    try:
        at = 4 + struct.unpack_from("<I", body)[0]
        count = struct.unpack_from("<I", body, at)[0]
        at += 4
        for _ in range(count):
            length = struct.unpack_from("<I", body, at)[0]
            name, equals, value = body[at + 4 : at + 4 + length].decode("utf-8", "replace").partition("=")
            if equals and name:
                found.append((name.upper(), value))
            at += 4 + length
    except struct.error:
        pass
    return tuple(found)


def build_comments(comments: Sequence[tuple[str, str]], vendor: str) -> bytes:
    """A Vorbis comment."""
    texts = [vendor.encode(), *(f"{name}={value}".encode() for name, value in comments)]
    packed = [struct.pack("<I", len(text)) + text for text in texts]
    return packed[0] + struct.pack("<I", len(comments)) + b"".join(packed[1:])


def read_blocks(file: BinaryIO) -> tuple[list[Block], int]:
    """The metadata blocks of a FLAC file, and where its sound begins. MediaError if they are cut short."""
    file.seek(0)
    start = id3.size(file.read(id3.HEADER))
    file.seek(start)
    if file.read(4) != b"fLaC":
        raise MediaError("the header is damaged: this is no FLAC file")
    blocks, last = [], False
    while not last:
        head = file.read(4)
        length = int.from_bytes(head[1:4])
        body = file.read(length)
        if len(head) < 4 or len(body) < length:
            raise MediaError("the header is cut short")
        last = bool(head[0] & 0x80)
        blocks.append(Block(head[0] & 0x7F, body))
    return blocks, file.tell()


def of_blocks(blocks: Sequence[Block]) -> Metadata:
    """What a FLAC file says about its sound."""
    comments: list[tuple[str, str]] = []
    pictures, other = [], []
    for block in blocks:
        if block.kind == COMMENT:
            comments += parse_comments(block.body)
        elif block.kind == PICTURE:
            pictures.append(block.body)
        elif block.kind == CUESHEET:
            other.append("cue sheet")
        elif block.kind == APPLICATION:
            other.append(f"application data '{block.body[:4].decode('latin-1')}'")
    return Metadata(tuple(comments), _sound(pictures), tuple(dict.fromkeys(other)))


def carried(blocks: Sequence[Block]) -> list[Block]:
    """The blocks that stay true when the sound is encoded again."""
    return [block for block in blocks if block.kind not in (STREAMINFO, SEEKTABLE)]


def with_comment(blocks: Sequence[Block], name: str, value: str, vendor: str) -> list[Block]:
    """The blocks with one more comment at the end of the others, which keep their bytes."""
    made = list(blocks)
    at = next((i for i, block in enumerate(made) if block.kind == COMMENT), None)
    if at is None:
        return [Block(COMMENT, build_comments([(name, value)], vendor)), *made]
    body, text = made[at].body, f"{name}={value}".encode()
    try:
        place = 4 + struct.unpack_from("<I", body)[0]
        count = struct.unpack_from("<I", body, place)[0]
    except struct.error:
        return made  # what cannot be read is left as it is
    head = body[:place] + struct.pack("<I", count + 1)
    made[at] = Block(COMMENT, head + body[place + 4 :] + struct.pack("<I", len(text)) + text)
    return made


def make_blocks(metadata: Metadata, vendor: str) -> list[Block]:
    """Blocks for what another container said."""
    comment = Block(COMMENT, build_comments(metadata.comments, vendor))
    return [comment, *(Block(PICTURE, body) for body in metadata.pictures)]


def write_blocks(out: BinaryIO, streaminfo: Block, others: Sequence[Block]) -> None:
    """The head of a FLAC file; blocks that are larger than FLAC allows are left out."""
    out.write(b"fLaC")
    fitting = [streaminfo, *(block for block in others if len(block.body) <= MAX_BLOCK)]
    for block in fitting:
        last = 0x80 if block is fitting[-1] else 0
        out.write(bytes((last | block.kind,)) + len(block.body).to_bytes(3) + block.body)


def read_ogg(file: BinaryIO) -> Metadata:
    """The comments of the first stream of an Ogg file; nothing where its second packet is not comments."""
    file.seek(0)
    packets = _packets(file)
    next(packets, b"")
    body = next(packets, b"")
    for mark in (b"\x03vorbis", b"OpusTags"):
        if body.startswith(mark):
            return _unpack(parse_comments(body[len(mark) :]))
    return Metadata()


def _unpack(comments: Sequence[tuple[str, str]]) -> Metadata:
    """Pictures lie in the comments of Ogg as text; here they are taken out."""
    kept, pictures = [], []
    for name, value in comments:
        if name == "METADATA_BLOCK_PICTURE":
            try:
                pictures.append(base64.b64decode(value, validate=True))
            except binascii.Error:
                kept.append((name, value))
        else:
            kept.append((name, value))
    return Metadata(tuple(kept), _sound(pictures))


def _sound(pictures: Sequence[bytes]) -> tuple[bytes, ...]:
    """The picture blocks that hold what they say."""
    good = []
    for picture in pictures:
        try:
            picture_parts(picture)
        except (struct.error, UnicodeError, ValueError):
            continue
        good.append(picture)
    return tuple(good)


def _packets(file: BinaryIO) -> Iterator[bytes]:
    """Packets of the first logical stream of an Ogg file."""
    serial, packet = None, bytearray()
    while True:
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        lacing = file.read(head[26])
        body = file.read(sum(lacing))
        if serial is None:
            serial = head[14:18]
        if head[14:18] != serial:
            continue
        at = 0
        for length in lacing:
            packet += body[at : at + length]
            at += length
            if length < 255:
                yield bytes(packet)
                packet = bytearray()
        if len(packet) > MAX_PACKET:
            return


def length_by_frames(file: BinaryIO) -> int:
    """The length in samples that the last frame of a FLAC file tells; 0 if none is found.

    For files whose encoder could not go back and write the length. A frame counts if the
    checksum of its header is right.
    """
    blocks, start = read_blocks(file)
    nominal = struct.unpack_from(">H", blocks[0].body, 2)[0]
    size = file.seek(0, io.SEEK_END)
    file.seek(max(start, size - 2**20))
    data = file.read()
    at = len(data)
    while (at := data.rfind(b"\xff", 0, at)) >= 0:
        if data[at + 1 : at + 2] in (b"\xf8", b"\xf9"):
            end = _frame_end(data[at : at + 16], nominal)
            if end:
                return end
    return 0


def _frame_end(head: bytes, nominal: int) -> int:
    """Where a frame ends in the recording, from its header; 0 if it is none (RFC 9639, section 9.1)."""
    if len(head) < 6 or not head[2] >> 4:
        return 0
    first = head[4]
    ones = next((k for k in range(8) if not first << k & 0x80), 8)
    if ones in (1, 8):
        return 0
    more = max(ones - 1, 0)
    number = first & (0x7F >> ones)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    at, code = 5 + more, head[2] >> 4
    extra = {6: 1, 7: 2}.get(code, 0)
    if extra:
        length = int.from_bytes(head[at : at + extra]) + 1
    else:
        length = 192 if code == 1 else 576 << (code - 2) if code <= 5 else 256 << (code - 8)
    at += extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return 0
    return (number if head[1] & 1 else number * nominal) + length


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
