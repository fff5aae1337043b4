"""Write a restored recording: beside its target, then renamed; the input is never touched."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from wavemend.core import sinks
from wavemend.core.linear import LinearReader
from wavemend.core.pcm import Native, merge
from wavemend.core.reader import FileReader, Reader, SilentReader
from wavemend.core.types import Samples
from wavemend.errors import DeviceError, InputError

CONTAINERS = {
    ".wav": "WAV", ".wave": "WAV", ".bwf": "WAV", ".rf64": "RF64", ".w64": "W64", ".aif": "AIFF",
    ".aiff": "AIFF", ".aifc": "AIFC", ".caf": "CAF", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG",
    ".opus": "OPUS", ".mp3": "MP3",
}  # fmt: skip
"""What a name's ending says about the file to be written."""


def default_output(path: str | os.PathLike[str], reader: Reader) -> Path:
    """Where the restored `path` goes if nobody says: beside it, as `name.restored.ending`.

    The ending stays. What was lossy, or can only be read, becomes FLAC; WAV, if FLAC
    cannot hold it: more than 24 bits or 8 channels.
    """
    path = Path(path)
    if path.suffix.lower() in CONTAINERS and not reader.lossy:
        return path.with_name(f"{path.stem}.restored{path.suffix}")
    flac = reader.format.channels <= 8 and (reader.lossy or 0 < reader.encoding.depth <= 24)
    return path.with_name(f"{path.stem}.restored{'.flac' if flac else '.wav'}")


def same_file(first: Path, second: Path) -> bool:
    """Whether two names lead to one file: by a link, by upper and lower case, by any way."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return False


class FileWriter:
    """Takes restored blocks and writes a file that differs from the source in nothing else.

    `write` takes float32 (channels, samples) of any length, which together are as long
    as the recording. A sample that still has the bits that were read is written from the
    source's own value; only others are rounded and dithered. The container follows from
    the ending of `path`; `subtype` (a libsndfile name, as PCM_24) from the source unless
    given. `history` says in a few words what was done: it becomes a line of the
    CodingHistory where the source is a Broadcast WAV and something was changed. `note`
    becomes a comment among the descriptions of any other file that has a place for it. A
    `residual` has only the length and format of the recording: the blocks are all there
    is, in 32-bit float where the container has that.

    A context manager: the file appears, whole, when it is left without an error, and
    never otherwise. Raises InputError where the target is the source, has an unknown
    ending or lies in no folder; MediaError where the format cannot hold the sound;
    DeviceError where the disk is full or must not be written to.

    After that, `changed` and `clipped` count sample values, `not_carried` says what
    of the source has no place in the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        reader: Reader,
        *,
        history: str = "",
        note: str = "",
        subtype: str | None = None,
        residual: bool = False,
    ) -> None:
        self.path, self.reader = Path(path), reader
        self.changed = self.clipped = 0
        self._at, self._open = 0, False
        try:
            container = self._checked_target()
        except OSError as error:
            raise _explained(error, self.path) from None
        if residual:
            self.reader = reader = SilentReader(reader.format, reader.samples)
        self.target = sinks.Target.of(container, reader, subtype)
        self.not_carried = self.target.not_carried(reader)
        # a link stays a link: what it leads to is replaced
        self._final = Path(os.path.realpath(self.path))
        self._temporary = self._final.with_name(f".{self._final.name}.{secrets.token_hex(4)}.part")
        self._own = reader.encoding if isinstance(reader, LinearReader) else None
        self._open = True
        with self._guarded():
            self._file = _create(self._temporary)
            self._sink = sinks.open_sink(self.target, self._file, reader, history, note, self._final.parent)

    def _checked_target(self) -> str:
        ending = self.path.suffix.lower()
        if ending not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise InputError(
                f"{self.path}: cannot write a file with the ending '{ending}'; known are {known}"
            )
        if self.path.is_dir():
            raise InputError(f"{self.path}: this is a folder; give a file's name")
        if not self.path.parent.is_dir():
            raise InputError(f"{self.path}: there is no folder {self.path.parent}")
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"{self.path}: this is not a regular file")
        if isinstance(self.reader, FileReader) and same_file(self.path, self.reader.path):
            raise InputError(f"{self.path}: the output would replace the input; give another name")
        return CONTAINERS[ending]

    def write(self, block: Samples) -> Native:
        """Write the next samples of the restored recording, float32 (channels, samples); what was written."""
        if not self._open:
            raise InputError(f"{self.path}: the file is closed")
        with self._guarded():
            return self._write(block)

    def _write(self, block: Samples) -> Native:
        channels, length = self.reader.format.channels, self.reader.samples
        if block.ndim != 2 or block.shape[0] != channels or block.dtype != np.float32:
            raise InputError(
                f"blocks must be float32 of {channels} channels, not {block.dtype} {block.shape}"
            )
        start, stop = self._at, self._at + block.shape[1]
        if stop > length:
            raise InputError(f"more samples than the recording's {length} were written")
        if not block.shape[1]:
            return block
        if not np.isfinite(block).all():
            raise InputError("the restored samples hold NaN or infinities")
        native = self.reader.native(start, stop)
        out, changed, clipped = merge(native, block, self.target.encoding, start, kept=self._own)
        self._sink.write(out)
        self._at, self.changed, self.clipped = stop, self.changed + changed, self.clipped + clipped
        return out

    def close(self) -> None:
        """Finish the file and give it its name."""
        if not self._open:
            return
        with self._guarded():
            if self._at != self.reader.samples:
                raise InputError(f"{self._at} of the recording's {self.reader.samples} samples were written")
            self._sink.finish()
            if not self.changed and self.target.copies(self.reader):
                self._copy_source()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._final)
            self._open = False

    def _copy_source(self) -> None:
        """Nothing changed, nothing converted: the file itself, byte for byte."""
        assert isinstance(self.reader, FileReader)
        self.reader.check_unchanged()
        self._file.seek(0)
        self._file.truncate()
        with self.reader.path.open("rb") as source:
            shutil.copyfileobj(source, self._file, 2**20)

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._open:
            self._open = False
            sink, file = getattr(self, "_sink", None), getattr(self, "_file", None)
            try:
                if sink is not None:
                    sink.abort()
            finally:
                if file is not None:
                    sinks.close_quietly(file)
                    self._temporary.unlink(missing_ok=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Nothing is left after an error; those of the system say whose fault they are."""
        try:
            yield
        except OSError as error:
            self.abort()
            raise _explained(error, self.path) from None
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def _create(path: Path) -> BinaryIO:
    # not tempfile: the new file gets the rights that any new file gets
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")


def _explained(error: OSError, path: Path) -> DeviceError | InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DeviceError(f"{path}: no space left on the disk")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DeviceError(f"{path}: no permission to write there")
    if error.errno == errno.ENAMETOOLONG:
        return InputError(f"{path}: the name is too long")
    return DeviceError(f"{path}: {error.strerror or error}")
