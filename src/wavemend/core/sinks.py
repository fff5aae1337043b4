"""Where samples go: a chunk file with the source's chunks around them, or an encoder."""

from __future__ import annotations

import hashlib
import shutil
import struct
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import numpy as np

from wavemend import __version__
from wavemend.core import chunktags, containers, id3, xiph
from wavemend.core.chunks import read_body
from wavemend.core.io_sndfile import ENCODERS, Encoder
from wavemend.core.linear import LinearReader
from wavemend.core.params import suggest
from wavemend.core.pcm import SUBTYPES, Encoding, Native, encode, to_float
from wavemend.core.reader import FileReader, Reader
from wavemend.core.tags import Metadata
from wavemend.errors import InputError

WAVES = {"WAV", "RF64", "W64"}
AIFFS = {"AIFF", "AIFC"}
LINEAR = WAVES | AIFFS | {"CAF"}
FLAC_DEPTHS = {8, 16, 24}
MASK_NAME = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"


class Sink(Protocol):
    """Takes samples of the target's encoding, in order."""

    def write(self, native: Native) -> None:
        """Write (channels, samples)."""

    def finish(self) -> None:
        """Write what comes after the samples."""

    def abort(self) -> None:
        """Give back what is held, but for the file itself. May be called after `finish`."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the file will be: its container, and how it holds samples.

    `kept` means that the source's chunks are taken over as they are, byte for byte.
    """

    container: str
    encoding: Encoding
    lossy: bool = False
    kept: bool = False

    @classmethod
    def of(cls, container: str, reader: Reader, subtype: str | None) -> Target:
        """The target for a container (from a name's ending) and a source."""
        source = reader.source.container
        if (container, source) in (("WAV", "RF64"), ("AIFF", "AIFC")):
            container = source
        wanted = SUBTYPES["PCM_24"] if reader.lossy else reader.encoding
        if subtype is not None:
            if subtype not in SUBTYPES:
                raise InputError(f"there is no subtype '{subtype}'{suggest(subtype, SUBTYPES)}")
            wanted = SUBTYPES[subtype]
        if (
            subtype is not None
            and container in ENCODERS
            and not (container == "FLAC" and wanted.kind == "int" and wanted.bits in FLAC_DEPTHS)
        ):
            raise InputError(f"a file of kind {container} cannot hold {subtype}; leave --subtype away")
        if container in ENCODERS and container != "FLAC":
            return cls(container, SUBTYPES["FLOAT"], lossy=True)
        if container == "FLAC":
            depth = wanted.bits if wanted.kind != "float" and wanted.bits in FLAC_DEPTHS else 24
            return cls(container, Encoding("int", depth))
        same = (wanted.kind, wanted.bits) == (reader.encoding.kind, reader.encoding.bits)
        if isinstance(reader, LinearReader):
            if same and container == source:
                return cls(container, reader.encoding, kept=True)
            if container in WAVES and source in WAVES and reader.layout.magic != b"RIFX":
                encoding = reader.encoding if same else _plain(container, wanted)
                return cls(container, encoding, kept=True)
        if container == "AIFF" and wanted.kind == "float":
            container = "AIFC"
        return cls(container, _plain(container, wanted))

    def copies(self, reader: Reader) -> bool:
        """Whether the file, if no sample changes, may be the source itself."""
        source = reader.source.container
        if self.container == "OPUS":
            return source == "OGG" and reader.source.subtype == "OPUS"
        if self.lossy:
            return source == self.container and reader.source.subtype in ENCODERS[self.container]
        if self.container == "FLAC":
            return source == "FLAC" and self.encoding == reader.encoding
        return self.kept and source == self.container and self.encoding == reader.encoding

    def not_carried(self, reader: Reader) -> tuple[str, ...]:
        """What of the source has no place here, in plain words."""
        lost, said = [], reader.metadata
        depth = reader.encoding.depth
        if self.lossy:
            lost.append(f"the exact samples: {self.container} is lossy")
        elif not reader.lossy and self.encoding.kind != "float" and not 0 < depth <= self.encoding.depth:
            held = f"{depth}-bit samples" if depth else f"{reader.encoding.bits}-bit float samples"
            lost.append(
                f"the precision of {held}: {self.container} is written with {self.encoding.depth} bits"
            )
        if self.kept and isinstance(reader, LinearReader) and self.container != reader.source.container:
            nameless = [chunk.id.hex() for chunk in reader.layout.chunks if not containers.has_name(chunk.id)]
            lost += [f"the chunk {id}: {self.container} has no such names" for id in nameless]
        if self.kept or self.container == "FLAC" == reader.source.container:
            return tuple(lost)
        nowhere = f"{self.container} has no place for it"
        lost += [f"{what}: {nowhere}" for what in said.other]
        if self.container in ("OGG", "OPUS"):
            names = dict.fromkeys(name for name, _ in said.comments if name not in Encoder.TAGS)
            lost += [f"tag {name}: {nowhere}" for name in names]
        if said.pictures and self.container in ("OGG", "OPUS", "CAF"):
            lost.append(f"pictures: {nowhere}")
        lost += [
            "a picture above 16 MiB: FLAC has no place for it" for p in said.pictures if _too_large(p, self)
        ]
        return tuple(lost)


def _too_large(picture: bytes, target: Target) -> bool:
    return target.container == "FLAC" and len(picture) > xiph.MAX_BLOCK


def _plain(container: str, wanted: Encoding) -> Encoding:
    """An encoding as a container has it: WAV's 8 bits are unsigned, AIFF and CAF are big-endian."""
    if wanted.kind == "float":
        return Encoding("float", wanted.bits, container not in WAVES)
    eight = container in WAVES and wanted.bits == 8
    return Encoding("uint" if eight else "int", wanted.bits, container not in WAVES, wanted.valid)


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says of its making: a line of coding history, and a note; both may be empty."""

    line: str
    note: str


def open_sink(target: Target, out: BinaryIO, reader: Reader, history: str, note: str, folder: Path) -> Sink:
    """The sink for a target. Encoders keep their raw output in an unnamed file in `folder`."""
    line = ""
    if history:
        line = chunktags.history_line(reader.format, target.encoding.depth, history, __version__)
    if target.container in LINEAR:
        return ChunkSink(target, out, reader, Said(line, note))
    return EncoderSink(target, out, reader, Said(line, note), folder)


class ChunkSink:
    """Samples between chunks: the source's own where the target keeps them, else what can be said of it."""

    def __init__(self, target: Target, out: BinaryIO, reader: Reader, made: Said) -> None:
        self._encoding, self._out = target.encoding, out
        self._source = reader.path.open("rb") if target.kept and isinstance(reader, LinearReader) else None
        self._peaks: list[tuple[float, int]] = [(0.0, 0)] * reader.format.channels
        self._at = 0
        try:
            self._begin(target, reader, made)
        except BaseException:
            self.abort()
            raise

    def _begin(self, target: Target, reader: Reader, made: Said) -> None:
        if self._source is not None and isinstance(reader, LinearReader):
            outline = self._kept(target, reader, self._source, made)
        else:
            mask = (
                0 if isinstance(reader, LinearReader) else containers.SPEAKERS.get(reader.format.channels, 0)
            )
            outline = containers.fresh(target.container, reader.format, reader.samples, target.encoding, mask)
            said = chunktags.build(target.container, _with_made(reader.metadata, made))
            # where most readers look for them; libsndfile takes what follows W64's samples for sound
            if target.container in ("W64", "CAF"):
                outline = replace(outline, before=(*outline.before, *said))
            else:
                outline = replace(outline, after=tuple(said))
        self._outline = containers.finished(outline)
        ids = {id[:4] for id, _ in self._outline.before + self._outline.after}
        self._wants_peaks = b"PEAK" in ids
        self._digest = hashlib.md5(usedforsecurity=False) if b"MD5 " in ids else None
        self._places = containers.write_head(self._outline, self._out, self._source)

    def _kept(self, target: Target, reader: LinearReader, source: BinaryIO, made: Said) -> containers.Outline:
        outline = containers.like(reader.layout, source)
        if target.encoding != reader.encoding:
            mask = 0
            for chunk in reader.layout.before:
                mask = containers.channel_mask(read_body(source, chunk)) if chunk.name == "fmt " else mask
            new = containers.fresh(target.container, reader.format, reader.samples, target.encoding, mask)
            dropped = (b"fmt ", b"fact", b"PEAK", b"ds64")
            kept = tuple(piece for piece in outline.before if piece[0][:4] not in dropped)
            after = tuple(piece for piece in outline.after if piece[0][:4] not in dropped)
            outline = replace(
                outline, before=new.before + kept, after=after, data_bytes=new.data_bytes, rest=(0, 0)
            )
        if target.container != reader.layout.container:
            outline = containers.converted(outline, target.container)
        if made.line:
            outline = replace(
                outline,
                before=tuple(_appended(piece, source, made.line) for piece in outline.before),
                after=tuple(_appended(piece, source, made.line) for piece in outline.after),
            )
        if made.note and not any(name[:4] == b"bext" for name, _ in outline.before + outline.after):
            order = ">" if outline.magic == b"RIFX" else "<"
            said = tuple(chunktags.note_chunks(target.container, made.note, order))
            # W64: libsndfile takes what follows the samples for sound
            if target.container == "W64":
                outline = replace(outline, before=(*outline.before, *said))
            else:
                outline = replace(outline, after=(*outline.after, *said))
        return outline

    def write(self, native: Native) -> None:
        data = encode(native, self._encoding)
        self._out.write(data)
        if self._digest:
            self._digest.update(data)
        if self._wants_peaks:
            size = np.abs(to_float(native))
            for channel, at in enumerate(size.argmax(axis=1)):
                if size[channel, at] > self._peaks[channel][0]:
                    self._peaks[channel] = (float(size[channel, at]), self._at + int(at))
        self._at += native.shape[1]

    def finish(self) -> None:
        self._places |= containers.write_tail(self._outline, self._out, self._source)
        if self._wants_peaks:
            order = ">" if self._outline.magic in (b"FORM", b"RIFX") else "<"
            peaks = b"".join(struct.pack(order + "fI", v, min(at, 0xFFFFFFFF)) for v, at in self._peaks)
            self._patch(b"PEAK", 8, peaks)
        if self._digest:
            self._patch(b"MD5 ", 0, self._digest.digest())
        self.abort()

    def _patch(self, id: bytes, offset: int, data: bytes) -> None:
        """Correct what a kept chunk says of the samples, if it is as long as it should be."""
        pieces = self._outline.before + self._outline.after
        body = next(body for name, body in pieces if name[:4] == id)
        if (len(body) if isinstance(body, bytes) else body.size) == offset + len(data):
            self._out.seek(self._places[id] + offset)
            self._out.write(data)

    def abort(self) -> None:
        if self._source is not None:
            self._source.close()


def _appended(piece: containers.Piece, source: BinaryIO, line: str) -> containers.Piece:
    """The piece; a bext chunk with one more line of history."""
    id, body = piece
    if id[:4] != b"bext":
        return piece
    return id, chunktags.with_history(body if isinstance(body, bytes) else read_body(source, body), line)


def _with_made(metadata: Metadata, made: Said) -> Metadata:
    """The same, with a line of coding history where there was one, and the note as a comment."""
    comments = metadata.comments
    if made.line:
        comments = tuple(
            (name, f"{text.rstrip()}\r\n{made.line}" if name == "CODING HISTORY" else text)
            for name, text in comments
        )
    if made.note:
        comments = (*comments, ("COMMENT", made.note))
    return replace(metadata, comments=comments)


def close_quietly(file: IO[bytes]) -> None:
    """Close a file that is thrown away; what it still holds may not find a place on the disk."""
    try:
        file.close()
    except OSError:
        file.raw.close()  # type: ignore[attr-defined]


class EncoderSink:
    """Samples through an encoder; at the end its output is joined to the source's descriptions."""

    def __init__(self, target: Target, out: BinaryIO, reader: Reader, made: Said, folder: Path) -> None:
        self._target, self._out = target, out
        self._said = _with_made(reader.metadata, made)
        self._blocks: list[xiph.Block] | None = None
        if target.container == "FLAC":
            self._prepare_flac(reader, made.note)
        self._raw = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by finish or abort
        try:
            self._encoder = Encoder(
                self._raw, target.container, target.encoding.subtype, reader.format, self._said.tags
            )
        except BaseException:
            close_quietly(self._raw)
            raise

    def _prepare_flac(self, reader: Reader, note: str) -> None:
        if isinstance(reader, FileReader) and reader.source.container == "FLAC":
            with reader.path.open("rb") as file:
                self._blocks = xiph.carried(xiph.read_blocks(file)[0])
            if note:
                self._blocks = xiph.with_comment(self._blocks, "COMMENT", note, f"wavemend {__version__}")
            return
        if isinstance(reader, LinearReader):
            with reader.path.open("rb") as file:
                fmt = [read_body(file, chunk) for chunk in reader.layout.before if chunk.name == "fmt "]
            mask = containers.channel_mask(fmt[0]) if fmt and reader.layout.magic != b"RIFX" else 0
            if mask not in (0, containers.SPEAKERS.get(reader.format.channels)):
                comments = (*self._said.comments, (MASK_NAME, f"0x{mask:04X}"))
                self._said = replace(self._said, comments=comments)
        self._blocks = xiph.make_blocks(self._said, f"wavemend {__version__}")

    def write(self, native: Native) -> None:
        self._encoder.write(native)

    def finish(self) -> None:
        self._encoder.finish()
        self._raw.seek(0)
        if self._blocks is not None:
            made, start = xiph.read_blocks(self._raw)
            xiph.write_blocks(self._out, made[0], self._blocks)
            self._raw.seek(start)
        elif self._target.container == "MP3":
            self._out.write(id3.build(self._said.comments, self._said.pictures))
        shutil.copyfileobj(self._raw, self._out, 2**20)
        self._raw.close()

    def abort(self) -> None:
        self._encoder.abort()
        close_quietly(self._raw)
