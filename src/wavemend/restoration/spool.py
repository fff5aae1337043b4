"""What was restored, and the layers of it, in temporary files until somebody saves or hears them."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

import numpy as np

from wavemend.core.reader import BLOCK
from wavemend.core.types import Format, Samples
from wavemend.errors import DeviceError


class Spool:
    """A sink that keeps the restored sound in a temporary file, which goes away with it."""

    def __init__(self, format: Format) -> None:
        self._channels = format.channels
        self._file = tempfile.TemporaryFile(prefix="wavemend-")  # noqa: SIM115 - lives as long as the spool
        weakref.finalize(self, self._file.close)

    def push(self, before: Samples, after: Samples) -> None:
        _store(self._file, after)

    def blocks(self) -> Iterator[Samples]:
        """All of it in order, (channels, samples)."""
        self._file.seek(0)
        while data := self._file.read(BLOCK * self._channels * 4):
            yield np.frombuffer(data, "<f4").reshape(-1, self._channels).T

    def samples(self) -> Samples:
        """(channels, samples), read-only."""
        self._file.flush()
        if not self._file.seek(0, os.SEEK_END):
            return np.zeros((self._channels, 0), np.float32)
        return np.memmap(self._file, "<f4", "r").reshape(-1, self._channels).T


class LayerSpool:
    """A sink that keeps the layer of one step: only the stretches where there is something."""

    def __init__(self, format: Format) -> None:
        self._channels, self._at = format.channels, 0
        self._stretches: list[tuple[int, int]] = []
        self._file = tempfile.TemporaryFile(prefix="wavemend-")  # noqa: SIM115 - lives as long as the spool
        weakref.finalize(self, self._file.close)

    def push(self, layer: Samples) -> None:
        start, self._at = self._at, self._at + layer.shape[1]
        some = np.flatnonzero(layer.any(axis=0))
        if some.size:
            first, last = int(some[0]), int(some[-1]) + 1
            self._stretches.append((start + first, start + last))
            _store(self._file, layer[:, first:last])

    def samples(self) -> Samples:
        """The whole layer, (channels, samples), read-only; held in memory."""
        whole = np.zeros((self._channels, self._at), np.float32)
        self._file.seek(0)
        for start, stop in self._stretches:
            data = self._file.read((stop - start) * self._channels * 4)
            whole[:, start:stop] = np.frombuffer(data, "<f4").reshape(-1, self._channels).T
        whole.flags.writeable = False
        return whole


def _store(file: IO[bytes], samples: Samples) -> None:
    try:
        file.write(np.ascontiguousarray(samples.T, "<f4").tobytes())
    except OSError as error:
        place = tempfile.gettempdir()
        raise DeviceError(f"{place}: no place for the restored sound ({error.strerror})") from None
