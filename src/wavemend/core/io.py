"""The door to files: open a recording, write a restored one."""

from __future__ import annotations

import os
from pathlib import Path

from wavemend.core import chunks, io_sndfile
from wavemend.core.linear import LinearReader
from wavemend.core.reader import ArrayReader, Reader
from wavemend.core.types import Format, Source
from wavemend.core.writer import FileWriter, default_output
from wavemend.errors import DeviceError, InputError, MediaError, WavemendError

__all__ = ["ArrayReader", "FileWriter", "Reader", "default_output", "open_reader"]


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
