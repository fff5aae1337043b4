"""Where samples go: a chunk file with the source's chunks around them, or an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from wavemend.core import containers
from wavemend.core.io_sndfile import Encoder
from wavemend.core.linear import LinearReader
from wavemend.core.params import suggest
from wavemend.core.pcm import SUBTYPES, Encoding, Native, encode
from wavemend.core.reader import Reader
from wavemend.errors import InputError

WAVES = {"WAV", "RF64", "W64"}
AIFFS = {"AIFF", "AIFC"}
LINEAR = WAVES | AIFFS | {"CAF"}
FLAC_DEPTHS = {8, 16, 24}


class Sink(Protocol):
    """Takes samples of the target's encoding, in order."""

    def write(self, native: Native) -> None:
        """Write (channels, samples)."""

    def finish(self) -> None:
        """Write what comes after the samples."""

    def abort(self) -> None:
        """Give back what is held, but for the file itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the file will be: its container, how it holds samples, and whether the source's layout is kept."""

    container: str
    encoding: Encoding
    lossy: bool = False
    kept: bool = False

    @classmethod
    def of(cls, container: str, reader: Reader, subtype: str | None) -> Target:
        """The target for a container (from a name's ending) and a source."""
        source = reader.source.container
        if (container == "WAV" and source == "RF64") or (container == "AIFF" and source == "AIFC"):
            container = source
        wanted = reader.encoding
        if subtype is not None:
            if subtype not in SUBTYPES:
                raise InputError(f"there is no subtype '{subtype}'{suggest(subtype, SUBTYPES)}")
            wanted = SUBTYPES[subtype]
        elif reader.lossy:
            wanted = SUBTYPES["PCM_24"]
        if container in ("OGG", "OPUS", "MP3"):
            return cls(container, SUBTYPES["FLOAT"], lossy=True)
        if container == "FLAC":
            depth = wanted.bits if wanted.kind != "float" and wanted.bits in FLAC_DEPTHS else 24
            return cls(container, Encoding("int", depth))
        same = (wanted.kind, wanted.bits) == (reader.encoding.kind, reader.encoding.bits)
        if isinstance(reader, LinearReader) and source == container and same:
            return cls(container, reader.encoding, kept=True)
        if container in WAVES:
            kind = "uint" if wanted.kind != "float" and wanted.bits == 8 else wanted.kind
            kind = "int" if kind == "uint" and wanted.bits > 8 else kind
            encoding = Encoding(kind, wanted.bits, valid=wanted.valid)
        else:
            kind = "int" if wanted.kind == "uint" else wanted.kind
            encoding = Encoding(kind, wanted.bits, big_endian=True, valid=wanted.valid)
            if container == "AIFF" and kind == "float":
                container = "AIFC"
        return cls(container, encoding)

    def copies(self, reader: Reader) -> bool:
        """Whether the file, if no sample changes, may be the source itself."""
        container, lossy = reader.source.container, reader.lossy
        if self.kept:
            return True
        if self.container == "OPUS":
            return container == "OGG" and reader.source.subtype == "OPUS"
        if self.lossy or self.container == "FLAC":
            return container == self.container and (lossy or self.encoding.bits == reader.encoding.bits)
        return False

    def not_carried(self, reader: Reader) -> tuple[str, ...]:
        """What of the source has no place here, in plain words."""
        return ()


def open_sink(target: Target, out: BinaryIO, reader: Reader, history: str) -> Sink:
    """The sink for a target; the source's chunks and tags are taken from the reader."""
    if target.container in LINEAR:
        return ChunkSink(target, out, reader, history)
    return Encoder(out, target.container, target.encoding.subtype, reader.format)


class ChunkSink:
    """Samples between chunks."""

    def __init__(self, target: Target, out: BinaryIO, reader: Reader, history: str) -> None:
        self._target, self._out = target, out
        self._source = reader.path.open("rb") if isinstance(reader, LinearReader) else None
        if target.kept and isinstance(reader, LinearReader) and self._source is not None:
            outline = containers.like(reader.layout, self._source)
        else:
            outline = containers.fresh(target.container, reader.format, reader.samples, target.encoding)
        self._outline = containers.finished(outline)
        containers.write_head(self._outline, out, self._source)

    def write(self, native: Native) -> None:
        self._out.write(encode(native, self._target.encoding))

    def finish(self) -> None:
        containers.write_tail(self._outline, self._out, self._source)
        self.abort()

    def abort(self) -> None:
        if self._source is not None:
            self._source.close()
