"""What the chunks of WAV, AIFF and CAF say: read in shared terms, and written from them.

INFO: Microsoft/IBM 1991; bext and its coding history: EBU Tech 3285 and EBU R 98.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from wavemend.core import id3
from wavemend.core.chunks import Chunk, Layout, read_body
from wavemend.core.tags import Metadata
from wavemend.core.types import Format
from wavemend.errors import MediaError

INFO = {
    "INAM": "TITLE", "IART": "ARTIST", "IPRD": "ALBUM", "ICMT": "COMMENT", "ICRD": "DATE", "IGNR": "GENRE",
    "ICOP": "COPYRIGHT", "ITRK": "TRACKNUMBER", "IPRT": "TRACKNUMBER", "ISFT": "ENCODER", "IENG": "ENGINEER",
    "IKEY": "KEYWORDS", "ISBJ": "SUBJECT", "ISRC": "SOURCE", "ITCH": "ENCODED-BY",
    "IARL": "ARCHIVAL LOCATION",
    "ICMS": "COMMISSIONED", "IMED": "MEDIUM", "ISRF": "SOURCE FORM", "ILNG": "LANGUAGE", "IMUS": "COMPOSER",
    "IWRI": "LYRICIST", "IPUB": "ORGANIZATION",
}  # fmt: skip
_TO_INFO = {name: code for code, name in reversed(INFO.items())}
AIFF_TEXTS = {"NAME": "TITLE", "AUTH": "ARTIST", "(c) ": "COPYRIGHT", "ANNO": "COMMENT"}
CAF_KEYS = {"comments": "COMMENT", "year": "DATE", "track number": "TRACKNUMBER", "tempo": "BPM"}
WORDS = {
    "cue ": "cue points", "adtl": "labels of cue points", "plst": "play list", "smpl": "sampler loops",
    "inst": "instrument settings", "iXML": "iXML data", "axml": "axml data", "chna": "ADM channel table",
    "_PMX": "XMP data", "levl": "peak envelope", "MD5 ": "checksum of the samples", "ubxt": "ubxt text",
    "MARK": "markers", "INST": "instrument settings", "MIDI": "MIDI data", "AESD": "AES channel status",
    "COMT": "time-stamped comments", "SAUR": "Audition data", "acid": "loop data", "cart": "cart data",
    "LIST": "LIST chunk", "mark": "markers", "regn": "regions", "strg": "strings", "chan": "channel layout",
    "link": "link", "dbmd": "Dolby data", "CHAN": "channel layout",
}  # fmt: skip
"""Chunks in plain words."""

_SILENT = {
    "fmt ", "fact", "ds64", "JUNK", "junk", "FLLR", "PAD ", "PEAK", "COMM", "FVER", "desc", "free", "filr",
    "minf", "elm1", "DISP", "bext", "info", "id3 ", "ID3 ", "NAME", "AUTH", "(c) ", "ANNO",
}  # fmt: skip
BEXT_BYTES = 602


def read(file: BinaryIO, layout: Layout) -> Metadata:
    """What all chunks say; descriptions that are damaged or larger than 64 MiB are named, not read."""
    found = Metadata()
    order = ">" if layout.magic == b"RIFX" else "<"
    for chunk in layout.chunks:
        try:
            found += _read_chunk(file, chunk, order)
        except (MediaError, struct.error):
            found += Metadata(other=(f"chunk '{chunk.name}' (damaged)",))
    return found


def _read_chunk(file: BinaryIO, chunk: Chunk, order: str) -> Metadata:
    name = chunk.name
    if name == "LIST":
        body = read_body(file, chunk)
        if body[:4] == b"INFO":
            return Metadata(_read_info(body[4:], order))
        kind = body[:4].decode("latin-1")
        return Metadata(other=(WORDS.get(kind, f"LIST '{kind}'"),))
    if name == "bext":
        return Metadata(_read_bext(read_body(file, chunk)))
    if name in ("id3 ", "ID3 "):
        return id3.parse(read_body(file, chunk))
    if name in AIFF_TEXTS:
        text = _text(read_body(file, chunk))
        return Metadata(((AIFF_TEXTS[name], text),) if text else ())
    if name == "info":
        return Metadata(_read_caf_info(read_body(file, chunk)))
    said = f"chunk '{name.strip()}'" if name.isprintable() else f"chunk {chunk.id.hex()}"
    return Metadata(other=() if name in _SILENT else (WORDS.get(name, said),))


def _text(raw: bytes) -> str:
    """Text in UTF-8 or, failing that, Latin-1; up to the first zero byte."""
    raw = raw.split(b"\0")[0]
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()


def _read_info(body: bytes, order: str) -> tuple[tuple[str, str], ...]:
    found, at = [], 0
    while at + 8 <= len(body):
        code, length = struct.unpack_from(order + "4sI", body, at)
        name, text = code.decode("latin-1"), _text(body[at + 8 : at + 8 + length])
        if text and name.isprintable() and "=" not in name:
            found.append((INFO.get(name, name), text))
        at += 8 + length + length % 2
    return tuple(found)


def _read_bext(body: bytes) -> tuple[tuple[str, str], ...]:
    if len(body) < 348:
        raise struct.error("cut short")
    time = struct.unpack_from("<Q", body, 338)[0]
    fields = (
        ("DESCRIPTION", _text(body[:256])),
        ("ORIGINATOR", _text(body[256:288])),
        ("ORIGINATOR REFERENCE", _text(body[288:320])),
        ("ORIGINATION DATE", _text(body[320:330])),
        ("ORIGINATION TIME", _text(body[330:338])),
        ("TIME REFERENCE", str(time) if time else ""),
        ("UMID", body[348:412].hex() if any(body[348:412]) else ""),
        ("CODING HISTORY", _text(body[BEXT_BYTES:])),
    )
    return tuple((name, text) for name, text in fields if text)


def _read_caf_info(body: bytes) -> tuple[tuple[str, str], ...]:
    texts = [_text(part) for part in body[4:].split(b"\0")]
    pairs = zip(texts[::2], texts[1::2], strict=False)
    return tuple((CAF_KEYS.get(key, key.upper()), text) for key, text in pairs if key and text)


def history_line(format: Format, depth: int, text: str, version: str) -> str:
    """A line of coding history for linear sound (EBU R 98); commas would end the text, so they become +."""
    mode = {1: ",M=mono", 2: ",M=stereo"}.get(format.channels, "")
    said = " + ".join(part.strip() for part in text.replace("\r", " ").replace("\n", " ").split(","))
    width = f",W={depth}" if depth else ""
    return f"A=PCM,F={format.sample_rate}{width}{mode},T=wavemend {version} {said}".rstrip()


def with_history(body: bytes, line: str) -> bytes:
    """A bext chunk with one more line of coding history; nothing else changes."""
    fixed = body[:BEXT_BYTES].ljust(BEXT_BYTES, b"\0")
    before = body[BEXT_BYTES:].rstrip(b"\0")
    if before and not before.endswith(b"\n"):
        before += b"\r\n"
    body = fixed + before + line.encode("ascii", "replace") + b"\r\n"
    return body + bytes(len(body) % 2)  # some readers of RF64 lose their way after an odd length


def build(container: str, metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """Chunks for a file of a family that the source is not of: names and bodies."""
    if not metadata.comments and not metadata.pictures:
        return []
    if container == "CAF":
        keys = {name: key for key, name in CAF_KEYS.items()}
        pairs = [(keys.get(name, name.lower()), text) for name, text in metadata.tags.items()]
        body = b"".join(f"{key}\0{text}".encode() + b"\0" for key, text in pairs)
        return [(b"info", struct.pack(">I", len(pairs)) + body)]
    if container in ("AIFF", "AIFC"):
        places = {name: code for code, name in AIFF_TEXTS.items()}
        plain = [(places[n].encode(), t.encode()) for n, t in metadata.comments if n in places]
        tag = _id3_of_rest(metadata, places)
        return [*plain, *([(b"ID3 ", tag)] if tag else [])]
    info = b"".join(_info(_TO_INFO[n], t) for n, t in metadata.tags.items() if n in _TO_INFO)
    tag = _id3_of_rest(metadata, _TO_INFO)
    return [*([(b"LIST", b"INFO" + info)] if info else []), *([(b"id3 ", tag)] if tag else [])]


def note_chunks(container: str, note: str, order: str = "<") -> list[tuple[bytes, bytes]]:
    """A chunk that says one thing more in a file that keeps its own chunks; none where there is no place."""
    if container in ("AIFF", "AIFC"):
        return [(b"ANNO", note.encode())]
    return [] if container == "CAF" else [(b"LIST", b"INFO" + _info("ICMT", note, order))]


def _info(code: str, text: str, order: str = "<") -> bytes:
    raw = text.encode() + b"\0"
    return struct.pack(order + "4sI", code.encode(), len(raw)) + raw + bytes(len(raw) % 2)


def _id3_of_rest(metadata: Metadata, places: Sequence[str] | dict[str, str]) -> bytes:
    """An ID3 tag of all that is said, where plain chunks have no place for some of it."""
    complete = all(name in places for name, _ in metadata.comments) and not metadata.pictures
    return b"" if complete else id3.build(metadata.comments, metadata.pictures)
