"""The door to files: open a recording, write a restored one."""

from __future__ import annotations

import os
from pathlib import Path

from wavemend.core import chunks, chunktags, id3, io_sndfile, video, xiph
from wavemend.core.linear import LinearReader
from wavemend.core.reader import ArrayReader, Reader
from wavemend.core.tags import Metadata
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
        file.seek(0)
        head = file.read(16)
        if head[:3] == b"ID3":
            file.seek(id3.size(head))
            head = file.read(16)
        layout = chunks.parse(file)
        metadata = chunktags.read(file, layout) if layout else Metadata()
        if layout is not None and layout.encoding is not None:
            format = Format(layout.sample_rate, layout.channels)
            source = Source(str(path), layout.container, layout.encoding.subtype, metadata.tags)
            return LinearReader(
                path, layout, format, layout.samples, source, layout.encoding, metadata=metadata
            )
    if video.is_video(head):
        return video.open_video(path)
    found = io_sndfile.probe(path)
    container = found.pop("container")
    if layout is None:
        metadata = _described(path, container)
    source = Source(str(path), container, found.pop("subtype"), metadata.tags)
    rest = (found.pop("format"), found.pop("samples"), source, found.pop("encoding"))
    return io_sndfile.SndfileReader(path, *rest, metadata=metadata, **found)


def _described(path: Path, container: str) -> Metadata:
    """What a file says that libsndfile decodes."""
    with path.open("rb") as file:
        if container == "FLAC":
            return xiph.of_blocks(xiph.read_blocks(file)[0])
        if container == "OGG":
            return xiph.read_ogg(file)
        if container != "MP3":
            return Metadata()
        size = id3.size(file.read(id3.HEADER))
        file.seek(0)
        found = id3.parse(file.read(min(size, chunks.MAX_HELD)))
        if not found.comments and path.stat().st_size > 128:
            file.seek(-128, os.SEEK_END)
            found += id3.parse_v1(file.read(128))
        return found
