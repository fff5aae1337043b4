"""What every recording looks like to the rest of the library, whatever file it comes from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from wavemend.core.pcm import Encoding, Native, to_float
from wavemend.core.tags import Metadata
from wavemend.core.types import Format, Samples, Source, as_samples
from wavemend.errors import InputError, MediaError

BLOCK = 65536
MAX_SAMPLE = 1e6  # of full scale: what goes beyond is not sound, and breaks arithmetic


class Cursor(Protocol):
    """A place in a recording, from which samples are read in order."""

    def read(self, count: int) -> Native:
        """The next samples, (channels, count); fewer at the end, and none behind it."""

    def seek(self, position: int) -> None:
        """Go on reading from there."""

    def close(self) -> None:
        """Give the file back."""


class Reader(ABC):
    """A recording that is read in blocks; memory does not grow with its length.

    `samples` is its length, and what `blocks` gives in total. `lossy` says that the
    file does not hold the samples themselves (MP3, Vorbis, A-law and the like).
    A context manager; closing twice does no harm.
    """

    def __init__(
        self,
        format: Format,
        samples: int,
        source: Source,
        encoding: Encoding,
        *,
        lossy: bool = False,
        metadata: Metadata | None = None,
    ) -> None:
        self.format, self.samples, self.source = format, samples, source
        self.encoding, self.lossy = encoding, lossy
        self.metadata = metadata or Metadata()
        self._cursor: Cursor | None = None
        self._at = 0

    @abstractmethod
    def open(self) -> Cursor:
        """A new cursor at the beginning, independent of all others."""

    def blocks(self, size: int = BLOCK) -> Iterator[Samples]:
        """The recording from its beginning, as float32 (channels, size); the last may be shorter.

        Raises MediaError where the file is damaged, ends early, or holds NaN or infinities.
        """
        if size < 1:
            raise InputError(f"a block of {size} samples is not one")
        cursor = self.open()
        try:
            for start in range(0, self.samples, size):
                count = min(size, self.samples - start)
                yield self._checked(to_float(self._read(cursor, count, start)), start)
        finally:
            cursor.close()

    def native(self, start: int, stop: int) -> Native:
        """Samples start to stop as the file holds them (see core.pcm), (channels, stop - start).

        Reading on where the last call stopped is quick; going back may not be.
        """
        if not 0 <= start <= stop <= self.samples:
            raise InputError(f"samples {start} to {stop} are not within the recording's {self.samples}")
        if self._cursor is None:
            self._cursor, self._at = self.open(), 0
        if start != self._at:
            self._cursor.seek(start)
        self._at = -1
        found = self._read(self._cursor, stop - start, start)
        self._at = stop
        return found

    def read(self, start: int, stop: int) -> Samples:
        """Samples start to stop as float32, (channels, stop - start)."""
        return self._checked(to_float(self.native(start, stop)), start)

    def _read(self, cursor: Cursor, count: int, start: int) -> Native:
        found = cursor.read(count)
        if found.shape[1] != count:
            at = (start + found.shape[1]) / self.format.sample_rate
            raise MediaError(f"{self._name}the file is damaged or cut short {at:.2f} s into the sound")
        return found

    def _checked(self, block: Samples, start: int) -> Samples:
        # a sum is not finite if one of its terms is not; float64 cannot overflow here
        with np.errstate(invalid="ignore"):
            total = np.sum(block, dtype=np.float64)
        if not np.isfinite(total):
            channel, at = np.argwhere(~np.isfinite(block))[0]
            seconds = (start + at) / self.format.sample_rate
            raise MediaError(
                f"{self._name}the samples hold NaN or infinities (channel {channel}, at {seconds:.2f} s)"
            )
        if block.size and max(float(block.max()), -float(block.min())) > MAX_SAMPLE:
            raise MediaError(
                f"{self._name}the samples reach beyond {MAX_SAMPLE:g} times full scale; this is no sound"
            )
        return block

    @property
    def _name(self) -> str:
        return f"{self.source.path}: " if self.source.path else ""

    def close(self) -> None:
        """Give the file back; reading again opens it again."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArrayReader(Reader):
    """An array as a recording: floating point, (channels, samples) or (samples,), full scale ±1.

    Raises InputError for other shapes and types, for NaN and infinities, and for no samples.
    """

    def __init__(self, samples: npt.ArrayLike, sample_rate: int) -> None:
        array = as_samples(samples)
        format = Format(sample_rate, array.shape[0])
        if not array.shape[1]:
            raise InputError("there are no samples")
        super().__init__(format, array.shape[1], Source(subtype="FLOAT"), Encoding("float", 32))
        self.array = array

    def open(self) -> Cursor:
        return _ArrayCursor(self.array)


class SilentReader(Reader):
    """Silence of a given length: what a file is written against that has no source, as a residual."""

    def __init__(self, format: Format, samples: int) -> None:
        if samples < 1:
            raise InputError("there are no samples")
        super().__init__(format, samples, Source(subtype="FLOAT"), Encoding("float", 32))

    def open(self) -> Cursor:
        return _ArrayCursor(np.broadcast_to(np.float32(0), (self.format.channels, self.samples)))


class _ArrayCursor:
    def __init__(self, array: Samples) -> None:
        self._array, self._at = array, 0

    def read(self, count: int) -> Native:
        start, self._at = self._at, min(self._at + count, self._array.shape[1])
        return np.array(self._array[:, start : self._at])

    def seek(self, position: int) -> None:
        self._at = position

    def close(self) -> None:
        pass


class FileReader(Reader):
    """A recording in a file, which must stay the same file while it is read."""

    def __init__(self, path: Path, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.path = path
        self._stamp = stamp(path)

    def check_unchanged(self) -> None:
        """MediaError if the file is not the one that was opened first."""
        if stamp(self.path) != self._stamp:
            raise MediaError(f"{self.path}: the file was changed while it was read")


def stamp(path: Path) -> tuple[int, int, int, int]:
    """What tells a file from another, and from itself after a change."""
    try:
        info = os.stat(path)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}") from None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns
