"""Read linear samples from chunk files, without a library between."""

from __future__ import annotations

from pathlib import Path

from wavemend.core import chunks
from wavemend.core.pcm import Native, decode
from wavemend.core.reader import Cursor, FileReader


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
