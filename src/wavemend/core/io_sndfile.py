"""Compressed sound through libsndfile: FLAC, Ogg, MP3, ADPCM and the like."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import soundfile

from wavemend.core import id3, xiph
from wavemend.core.pcm import SUBTYPES, Encoding, Native
from wavemend.core.reader import FileReader
from wavemend.core.types import Format
from wavemend.errors import MediaError

LOSSLESS = {*SUBTYPES, "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32", "DPCM_16", "DPCM_8", "DWVW_12"}
SEEKABLE = {"FLAC"}
BLOCK = 65536
ID3V1_BYTES = 128
ENCODER_BLOCK = 8192  # libsndfile's Vorbis encoder keeps a whole block on its stack


class Patched(io.RawIOBase):
    """A file with some bytes replaced and another length claimed, for decoders that trust a header.

    libsndfile takes the length of an MP3 from its size where no header tells it, and
    refuses a FLAC whose encoder did not come back to write the length.
    """

    def __init__(self, path: Path, patches: dict[int, bytes], claim: int = 1) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._patches = patches
        self._end = self._file.seek(0, io.SEEK_END) * claim
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        data = bytearray(self._file.read(len(buffer)))
        if not data and self._at >= self._end - ID3V1_BYTES:
            data = bytearray(min(len(buffer), self._end - self._at))  # no tag at the claimed end
        for at, patch in self._patches.items():
            for k, byte in enumerate(patch, start=at - self._at):
                if 0 <= k < len(data):
                    data[k] = byte
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _hushed(hush: bool = True) -> Iterator[None]:
    """libsndfile's MP3 decoder writes about every fault of a file to the terminal; here it is kept from it.

    The standard error of the whole process is turned away meanwhile, so for one block at a time.
    """
    try:
        kept = os.dup(2) if hush else -1
    except OSError:  # there is none to be turned away
        kept = -1
    if kept < 0:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def speaking(path: Path) -> Iterator[None]:
    """libsndfile's errors as a MediaError with the file's name."""
    try:
        yield
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError, AssertionError) as error:
        what = getattr(error, "error_string", "") or "it is damaged or of no known kind"
        raise MediaError(
            f"{path}: cannot be read as sound: {what.removeprefix('Error : ').strip(' .')}"
        ) from None
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from None


class SndfileReader(FileReader):
    """A compressed file; samples of lossy ones are float32, of others what they are."""

    def __init__(self, path: Path, *args: Any, patches: dict[int, bytes], claim: int, **options: Any) -> None:
        super().__init__(path, *args, **options)
        self._patches, self._claim = patches, claim

    def open(self) -> _SndfileCursor:
        self.check_unchanged()
        return _SndfileCursor(self, _open(self.path, self._patches, self._claim))


class _SndfileCursor:
    def __init__(self, reader: SndfileReader, file: soundfile.SoundFile) -> None:
        self._reader, self._file, self._at = reader, file, 0
        self._dtype = np.dtype(reader.encoding.native).name
        self._seekable = file.format in SEEKABLE
        self._noisy = file.format == "MP3"

    def read(self, count: int) -> Native:
        with speaking(self._reader.path), _hushed(self._noisy):
            found = self._file.read(count, dtype=self._dtype, always_2d=True)
        self._at += len(found)
        return np.ascontiguousarray(found.T)

    def seek(self, position: int) -> None:
        if self._seekable:
            with speaking(self._reader.path):
                self._at = self._file.seek(position)
            return
        # what lies before decides how lossy formats decode: begin again rather than jump
        if position < self._at:
            self._file.close()
            self._file = self._reader.open()._file
            self._at = 0
        while self._at < position and self.read(min(BLOCK, position - self._at)).shape[1]:
            pass

    def close(self) -> None:
        self._file.close()


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that soundfile does not seek in after every read, as it does: Opus decodes anew then."""

    def seekable(self) -> bool:
        return False


def _open(path: Path, patches: dict[int, bytes], claim: int) -> soundfile.SoundFile:
    with speaking(path), _hushed():
        if patches or claim > 1:
            return _Forward(Patched(path, patches, claim))
        return _Forward(str(path))


def probe(path: Path) -> dict[str, Any]:
    """What libsndfile makes of a file: format, samples, container, subtype, encoding, lossy, patches, claim.

    Lengths that the file does not state are counted by decoding it once.
    """
    patches, claim = _needed(path)
    with _open(path, patches, claim) as file:
        subtype, container = file.subtype, file.format
        lossy = subtype not in LOSSLESS
        encoding = SUBTYPES.get(subtype) or Encoding("float", 32)
        if not lossy and subtype not in SUBTYPES:
            bits = int(subtype.rsplit("_", 1)[1])
            encoding = Encoding("int", (bits + 7) // 8 * 8, valid=0 if bits % 8 == 0 else bits)
        if file.samplerate < 1 or file.channels < 1:
            raise MediaError(f"{path}: the header is damaged: no sample rate or no channels")
        format = Format(file.samplerate, file.channels)
        samples = file.frames
        if claim > 1:
            samples = _count(path, patches, claim)
        elif container == "FLAC" and samples:
            with speaking(path):
                file.seek(samples - 1)
                if len(file.read(1)) != 1:
                    raise MediaError(f"{path}: the file is cut short")
    return {
        "format": format, "samples": samples, "container": container, "subtype": subtype,
        "encoding": encoding, "lossy": lossy, "patches": patches, "claim": claim,
    }  # fmt: skip


def _count(path: Path, patches: dict[int, bytes], claim: int) -> int:
    """The length of a recording, found by decoding all of it."""
    total = 0
    with _open(path, patches, claim) as file, speaking(path), _hushed():
        buffer = np.empty((BLOCK, file.channels), np.float32)
        while got := len(file.read(out=buffer)):
            total += got
    return total


def _needed(path: Path) -> tuple[dict[int, bytes], int]:
    """Patches for a FLAC without a length; a longer claim for an MP3 without one."""
    with path.open("rb") as file:
        start = id3.size(file.read(id3.HEADER))
        file.seek(start)
        first = file.read(4096)
        if first[:4] == b"fLaC" and len(first) > 26:
            packed = int.from_bytes(first[21:26])
            if packed % 2**36 == 0:
                return {start + 21: (packed + xiph.length_by_frames(file)).to_bytes(5)}, 1
            return {}, 1
    is_mp3 = len(first) > 4 and first[0] == 0xFF and first[1] & 0xE6 in (0xE2, 0xE4, 0xE6)
    told = any(mark in first[:400] for mark in (b"Xing", b"Info", b"VBRI"))
    return {}, 64 if is_mp3 and not told else 1


ENCODERS = {
    "FLAC": ("FLAC", ""),
    "OGG": ("OGG", "VORBIS"),
    "OPUS": ("OGG", "OPUS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
}
"""Containers that libsndfile writes: its names for the container and the codec."""


class Encoder:
    """Samples through one of libsndfile's encoders into an open file."""

    TAGS: ClassVar = {
        "TITLE": "title",
        "ARTIST": "artist",
        "ALBUM": "album",
        "COMMENT": "comment",
        "DATE": "date",
        "GENRE": "genre",
        "TRACKNUMBER": "tracknumber",
        "COPYRIGHT": "copyright",
        "LICENSE": "license",
    }

    def __init__(
        self, out: BinaryIO, container: str, subtype: str, format: Format, tags: Mapping[str, str]
    ) -> None:
        kind, codec = ENCODERS[container]
        self._out = _Careful(out)
        try:
            self._file = soundfile.SoundFile(
                self._out,
                "w",
                format.sample_rate,
                format.channels,
                codec or subtype,
                format=kind,
            )
        except (soundfile.LibsndfileError, ValueError) as error:
            self._out.check()
            raise MediaError(
                f"{container} cannot hold {format.channels} channels at {format.sample_rate} Hz; "
                "name the output .wav"
            ) from error

        if kind == "OGG":
            for name, place in self.TAGS.items():
                if name in tags:
                    setattr(self._file, place, tags[name])

    def write(self, native: Native) -> None:
        frames = np.ascontiguousarray(native.T)
        for start in range(0, len(frames), ENCODER_BLOCK):
            try:
                self._file.write(frames[start : start + ENCODER_BLOCK])
            except (soundfile.LibsndfileError, AssertionError) as error:
                self._out.check()
                raise MediaError(f"the encoder failed: {error}") from error
            self._out.check()

    def finish(self) -> None:
        self._file.close()
        self._out.check()

    def abort(self) -> None:
        if not self._file.closed:
            self._out.broken = True
            self._file.close()


class _Careful:
    """A file for libsndfile, which cannot carry an exception through: it is kept until asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.broken = file, False
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.broken:
            return len(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.broken, self._error = True, error
            return 0

    def read(self, count: int) -> bytes:
        return self._file.read(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.tell() if self.broken else self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        pass

    def check(self) -> None:
        """Raise what went wrong while libsndfile was writing."""
        if self._error is not None:
            raise self._error
