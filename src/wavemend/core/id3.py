"""ID3v2 tags (2.2, 2.3 and 2.4) and ID3v1, read; ID3v2.4 written. After the informal standards at id3.org."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from wavemend.core.tags import Metadata, make_picture, picture_parts

FRAMES = {
    "TIT2": "TITLE", "TT2": "TITLE", "TPE1": "ARTIST", "TP1": "ARTIST", "TALB": "ALBUM", "TAL": "ALBUM",
    "TPE2": "ALBUMARTIST", "TP2": "ALBUMARTIST", "TRCK": "TRACKNUMBER", "TRK": "TRACKNUMBER",
    "TPOS": "DISCNUMBER", "TPA": "DISCNUMBER", "TDRC": "DATE", "TYER": "DATE", "TYE": "DATE",
    "TCON": "GENRE", "TCO": "GENRE", "COMM": "COMMENT", "COM": "COMMENT", "TCOM": "COMPOSER",
    "TCM": "COMPOSER", "TCOP": "COPYRIGHT", "TCR": "COPYRIGHT", "TPUB": "ORGANIZATION",
    "TPB": "ORGANIZATION", "TENC": "ENCODED-BY", "TEN": "ENCODED-BY", "TSSE": "ENCODER", "TSS": "ENCODER",
    "TBPM": "BPM", "TBP": "BPM", "TKEY": "INITIALKEY", "TSRC": "ISRC", "TRC": "ISRC", "TLAN": "LANGUAGE",
    "TEXT": "LYRICIST", "TXT": "LYRICIST", "TPE3": "CONDUCTOR", "TP3": "CONDUCTOR", "TPE4": "REMIXER",
    "TIT1": "GROUPING", "TT1": "GROUPING", "TIT3": "SUBTITLE", "TT3": "SUBTITLE", "USLT": "LYRICS",
    "ULT": "LYRICS",
}  # fmt: skip
_WRITTEN = {name: frame for frame, name in reversed(FRAMES.items()) if len(frame) == 4}
_WRITTEN["DATE"] = "TDRC"
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_LANGUAGE = ("COMM", "COM", "USLT", "ULT")
HEADER = 10


def size(head: bytes) -> int:
    """Length of a tag with its header, from its first ten bytes; 0 if there is none."""
    if len(head) < HEADER or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    return HEADER + _unsafe(head[6:10]) + (HEADER if head[5] & 0x10 else 0)


def parse(tag: bytes) -> Metadata:
    """What an ID3v2 tag says; frames that cannot be understood are named in `other`."""
    if not size(tag):
        return Metadata()
    comments: list[tuple[str, str]] = []
    pictures: list[bytes] = []
    other: list[str] = []
    for name, body in _frames(tag):
        try:
            if name in ("APIC", "PIC"):
                pictures.append(_picture(name, body))
            elif name in ("TXXX", "TXX"):
                texts = _texts(body)
                comments += [(texts[0].upper() or "COMMENT", text) for text in texts[1:]]
            elif name in _LANGUAGE:
                texts = _texts(body[:1] + body[4:])
                comments += [(FRAMES[name], text) for text in texts[1:2] if text]
            elif name in FRAMES:
                comments += [(FRAMES[name], text) for text in _texts(body) if text]
            else:
                other.append(f"ID3 frame {name}")
        except (UnicodeError, IndexError, ValueError):
            other.append(f"ID3 frame {name} (damaged)")
    usable = tuple((name, text) for name, text in comments if _is_key(name))
    return Metadata(usable, tuple(pictures), tuple(dict.fromkeys(other)))


def parse_v1(tag: bytes) -> Metadata:
    """What the last 128 bytes of an MP3 say."""
    if len(tag) != 128 or tag[:3] != b"TAG":
        return Metadata()
    fields = (("TITLE", 3, 33), ("ARTIST", 33, 63), ("ALBUM", 63, 93), ("DATE", 93, 97), ("COMMENT", 97, 125))
    found = [(name, tag[a:b].split(b"\0")[0].decode("latin-1").strip()) for name, a, b in fields]
    if tag[125] == 0 and tag[126]:
        found.append(("TRACKNUMBER", str(tag[126])))
    return Metadata(tuple((name, text) for name, text in found if text))


def build(comments: Sequence[tuple[str, str]], pictures: Sequence[bytes]) -> bytes:
    """An ID3v2.4 tag; names without a frame of their own go into TXXX frames."""
    frames = b""
    together: dict[str, list[str]] = {}
    for name, text in comments:
        together.setdefault(name, []).append(text)
    for name, texts in together.items():
        frame = _WRITTEN.get(name)
        if frame in _LANGUAGE:
            for text in texts:
                frames += _frame(str(frame), b"\x03und\0" + text.encode())
        elif frame:
            frames += _frame(frame, b"\x03" + "\0".join(texts).encode())
        else:
            frames += _frame("TXXX", b"\x03" + "\0".join((name, *texts)).encode())
    for picture in pictures:
        kind, mime, description, data = picture_parts(picture)
        body = b"\x03" + mime.encode() + b"\0" + bytes((kind & 255,)) + description.encode() + b"\0" + data
        frames += _frame("APIC", body)
    return b"ID3\x04\0\0" + _safe(len(frames)) + frames if frames else b""


def _frame(name: str, body: bytes) -> bytes:
    return name.encode() + _safe(len(body)) + b"\0\0" + body


def _safe(number: int) -> bytes:
    """28 bits in four bytes that are below 128."""
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def _unsafe(raw: bytes) -> int:
    return sum((byte & 127) << shift for byte, shift in zip(raw, (21, 14, 7, 0), strict=True))


def _frames(tag: bytes) -> Iterator[tuple[str, bytes]]:
    version, flags = tag[3], tag[5]
    data = tag[HEADER : HEADER + _unsafe(tag[6:10])]
    if flags & 0x80 and version < 4:
        data = data.replace(b"\xff\0", b"\xff")
    at = 0
    if (
        flags & 0x40 and version > 2 and len(data) >= 4
    ):  # an extended header, which tells nothing of the sound
        at = _unsafe(data[:4]) if version == 4 else 4 + struct.unpack(">I", data[:4])[0]
    name_bytes, head = (3, 6) if version == 2 else (4, 10)
    while at + head <= len(data) and data[at]:
        name = data[at : at + name_bytes].decode("latin-1")
        raw = data[at + name_bytes : at + 2 * name_bytes]
        length = _unsafe(raw) if version == 4 else int.from_bytes(raw)
        options = data[at + 9] if version > 2 else 0
        body = data[at + head : at + head + length]
        at += head + length
        if not name.isalnum():
            return
        if version == 4 and options & 0x02:
            body = body.replace(b"\xff\0", b"\xff")
        if version == 4 and options & 0x01:
            body = body[4:]
        if options & (0x0C if version == 4 else 0xC0):
            yield name, b"\xff"  # packed or encrypted: named as damaged
        else:
            yield name, body


def _texts(body: bytes) -> list[str]:
    """The texts of a frame that begins with its encoding."""
    if body[0] >= len(_ENCODINGS):
        raise ValueError("unknown encoding")
    return body[1:].decode(_ENCODINGS[body[0]]).replace("\ufeff", "").rstrip("\0").split("\0")


def _picture(name: str, body: bytes) -> bytes:
    if body[0] >= len(_ENCODINGS):
        raise ValueError("unknown encoding")
    if name == "PIC":
        mime, rest = f"image/{body[1:4].decode('latin-1').lower()}", body[4:]
    else:
        raw, rest = body[1:].split(b"\0", 1)
        mime = raw.decode("latin-1")
    kind, rest = rest[0], rest[1:]
    wide = body[0] in (1, 2)
    end = next(i for i in range(0, len(rest) + 1, 1 + wide) if not any(rest[i : i + 1 + wide]))
    description = rest[:end].decode(_ENCODINGS[body[0]])
    return make_picture(kind, mime, description, rest[end + 1 + wide :])


def _is_key(name: str) -> bool:
    return bool(name) and all(" " <= letter <= "}" and letter != "=" for letter in name)
