"""Open a recording from a file. Writing is in core.writer."""

from __future__ import annotations

import os
from pathlib import Path

from wavemend.core import chunks, io_sndfile
from wavemend.core.pcm import Native, decode
from wavemend.core.reader import ArrayReader, Cursor, FileReader, Reader
from wavemend.core.types import Format, Source
from wavemend.errors import DeviceError, InputError, MediaError, WavemendError

__all__ = ["ArrayReader", "Reader", "open_reader"]


class LinearReader(FileReader):
    """A file of chunks with linear samples, read without a library between."""

    def __init__(self, path: Path, layout: chunks.Layout, *args: object, **options: object) -> None:
        super().__init__(path, *args, **options)
        self.layout = layout

    def open(self) -> Cursor:
        self.check_unchanged()
        return _LinearCursor(self)


class _LinearCursor:
    def __init__(self, reader: LinearReader) -> None:
        self._reader, self._at = reader, 0
        self._file = reader.path.open("rb", buffering=0)

    def read(self, count: int) -> Native:
        layout, encoding = self._reader.layout, self._reader.encoding
        frame = layout.channels * encoding.width
        count = max(0, min(count, layout.samples - self._at))
        self._file.seek(layout.data_start + self._at * frame)
        data = bytearray(count * frame)
        view, got = memoryview(data), 0
        while got < len(data) and (more := self._file.readinto(view[got:])):
            got += more
        whole = got // frame
        self._at += whole
        return decode(view[: whole * frame], encoding, layout.channels)

    def seek(self, position: int) -> None:
        self._at = position

    def close(self) -> None:
        self._file.close()


def open_reader(path: str | os.PathLike[str]) -> Reader:
    """A file as a recording, whatever its name says it is.

    Raises MediaError where it is missing, damaged, cut short, without samples or no sound
    at all; DeviceError where it must not be read, or needs a package that is not installed.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise MediaError("there is no such file")
        if path.is_dir():
            raise MediaError("this is a folder, not a sound file")
        if not path.is_file():
            raise MediaError("this is not a regular file")
        if path.stat().st_size == 0:
            raise MediaError("the file is empty")
        reader = _open(path)
        if reader.samples < 1:
            raise MediaError("the file holds no samples")
        return reader
    except PermissionError:
        raise DeviceError(f"{path}: no permission to read it") from None
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from None
    except InputError as error:
        raise MediaError(f"{path}: {error}") from None
    except WavemendError as error:
        message = str(error)
        raise type(error)(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _open(path: Path) -> Reader:
    with path.open("rb") as file:
        layout = chunks.parse(file)
    if layout is not None and layout.encoding is not None:
        format = Format(layout.sample_rate, layout.channels)
        source = Source(str(path), layout.container, layout.encoding.subtype)
        return LinearReader(path, layout, format, layout.samples, source, layout.encoding)
    found = io_sndfile.probe(path)
    source = Source(str(path), found.pop("container"), found.pop("subtype"))
    return io_sndfile.SndfileReader(
        path, found.pop("format"), found.pop("samples"), source, found.pop("encoding"), **found
    )
