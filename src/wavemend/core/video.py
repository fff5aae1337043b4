"""The sound of M4A, MP4, MOV, MKV, AAC and WMA files, through PyAV (the extra `video`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wavemend.core.pcm import Encoding, Native, to_float
from wavemend.core.reader import FileReader
from wavemend.core.tags import Metadata
from wavemend.core.types import Format, Source
from wavemend.errors import DeviceError, MediaError

NAMES = {"mov": "MP4", "matroska": "MKV", "asf": "WMA", "aac": "AAC", "mpegts": "MPEG-TS"}
LOSSLESS = (
    "pcm_s",
    "pcm_u",
    "pcm_f",
    "alac",
    "flac",
    "wavpack",
    "tta",
    "ape",
    "truehd",
    "mlp",
    "wmalossless",
)
BITS = {"u8": 8, "s16": 16, "s32": 32, "flt": 32, "dbl": 64}
TECHNICAL = {
    "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "HANDLER_NAME", "VENDOR_ID", "DURATION", "LANGUAGE",
}  # fmt: skip
RENAMED = {"TRACK": "TRACKNUMBER", "DISC": "DISCNUMBER", "ALBUM_ARTIST": "ALBUMARTIST"}
MISSING_S = 0.5
BLOCK = 65536


def is_video(head: bytes) -> bool:
    """Whether the first bytes are those of a file that PyAV is needed for."""
    aac = head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0
    marks = (b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"FLV\x01", b"wvpk", b"TTA1", b"MAC ")
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") or head.startswith(marks) or aac


def open_video(path: Path) -> VideoReader:
    """The first sound track of a file; its length is found by decoding all of it once.

    Raises DeviceError where PyAV is not installed; MediaError where there is no sound.
    """
    av = _library(path)
    with _speaking(path), av.open(str(path)) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: the file has no sound")
        stream = container.streams.audio[0]
        context = stream.codec_context
        if context is None:
            raise MediaError(f"{path}: the header is cut short or damaged: the kind of sound is not known")
        codec, kind = context.name, context.format.name.removesuffix("p") if context.format else "flt"
        format = Format(context.sample_rate or 0, context.channels or 0)
        lossy = not codec.startswith(LOSSLESS) or codec in ("pcm_alaw", "pcm_mulaw")
        encoding = _encoding(kind, 0 if lossy else _raw_bits(context), lossy)
        comments = {**container.metadata, **stream.metadata}
        others = container.streams
        tracks = (len(others.audio) - 1, "other sound tracks"), (len(others.video), "the picture track")
        metadata = Metadata(
            tuple(_comments(comments)),
            other=(
                *(words for count, words in tracks if count),
                *(["subtitles"] if others.subtitles else []),
            ),
        )
        duration = float(stream.duration * stream.time_base) if stream.duration else 0.0
        name = container.format.name.split(",")[0]
    source = Source(
        str(path),
        NAMES.get(name, name.upper()),
        codec.upper() if lossy else encoding.subtype,
        metadata.tags,
    )
    reader = VideoReader(path, format, 0, source, encoding, lossy=lossy, metadata=metadata)
    reader.samples = reader.count()
    if reader.samples / format.sample_rate < min(duration - MISSING_S, duration * 0.99):
        raise MediaError(f"{path}: the file is cut short: its header promises {duration:.2f} s")
    return reader


def _comments(given: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key, text in given.items():
        name = key.upper()
        if text and name not in TECHNICAL and name.isascii() and "=" not in name:
            yield RENAMED.get(name, name), text


def _encoding(kind: str, raw_bits: int, lossy: bool) -> Encoding:
    if lossy or kind not in BITS:
        return Encoding("float", 32)
    if kind in ("flt", "dbl"):
        return Encoding("float", BITS[kind])
    return Encoding("int", raw_bits if raw_bits in (8, 16, 24) else BITS[kind])


def _raw_bits(context: Any) -> int:
    """Bits that count in a sample: 24 lie in the upper part of 32."""
    name = context.name
    if name.startswith("pcm_"):
        return int("".join(filter(str.isdigit, name)) or 0)
    # decoders of 24 bits give 32 with zeros below; those of more are rare
    return 24 if context.format and context.format.name.startswith("s32") else 0


class VideoReader(FileReader):
    """The first sound track of a file, decoded as it is read."""

    def open(self) -> _VideoCursor:
        self.check_unchanged()
        return _VideoCursor(self)

    def count(self) -> int:
        """The length, found by decoding."""
        cursor, total = self.open(), 0
        try:
            while got := cursor.read(BLOCK).shape[1]:
                total += got
        finally:
            cursor.close()
        return total


class _VideoCursor:
    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader
        self._held: list[Native] = []
        self._count = self._at = 0
        with _speaking(reader.path):
            self._container = _library(reader.path).open(str(reader.path))
            self._frames = self._container.decode(self._container.streams.audio[0])

    def read(self, count: int) -> Native:
        channels = self._reader.format.channels
        with _speaking(self._reader.path):
            while self._count < count and (frame := next(self._frames, None)) is not None:
                self._held.append(self._values(frame))
                self._count += self._held[-1].shape[1]
        empty = np.zeros((channels, 0), self._reader.encoding.native)
        whole = np.concatenate([empty, *self._held], axis=1)
        found, rest = whole[:, :count], whole[:, count:]
        self._held, self._count = [rest], rest.shape[1]
        self._at += found.shape[1]
        return np.ascontiguousarray(found)

    def _values(self, frame: Any) -> Native:
        format = self._reader.format
        values: npt.NDArray[Any] = frame.to_ndarray()
        channels = len(frame.layout.channels)
        if frame.sample_rate != format.sample_rate or channels != format.channels:
            raise MediaError(f"{self._reader.path}: the sound changes its format on the way")
        if not frame.format.is_planar:
            values = values.reshape(-1, channels).T
        if values.dtype.kind == "f":
            wide = self._reader.encoding.bits == 64
            return values.astype(np.float64) if wide else values.astype(np.float32, copy=False)
        middle = 128 if values.dtype == np.uint8 else 0
        whole = (values.astype(np.int32) - middle) << np.int32(32 - 8 * values.dtype.itemsize)
        return whole if self._reader.encoding.kind == "int" else to_float(whole)

    def seek(self, position: int) -> None:
        # what lies before decides how lossy formats decode: begin again rather than jump
        if position < self._at:
            self.close()
            self.__init__(self._reader)  # type: ignore[misc]
        while self._at < position and self.read(min(BLOCK, position - self._at)).shape[1]:
            pass

    def close(self) -> None:
        self._container.close()


def _library(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise DeviceError(
            f'{path}: this kind of file needs PyAV; install it with: pip install "wavemend[video]"'
        ) from None
    return av


@contextmanager
def _speaking(path: Path) -> Iterator[None]:
    """PyAV's errors as a MediaError with the file's name."""
    av = _library(path)
    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: cannot be read as sound: {error.strerror}") from None
    except (ValueError, EOFError) as error:
        if isinstance(error, MediaError | DeviceError) or "wavemend" in type(error).__module__:
            raise
        raise MediaError(f"{path}: cannot be read as sound: {error}") from None
