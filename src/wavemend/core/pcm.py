"""Sample values as files hold them, and as the library works on them.

Inside, integers are int32 whatever their width, with full scale 2^31, so one rule makes
float32 of them all; 32- and 64-bit floats stay what they are. Such *native* values are
kept beside the float32 ones, and a sample that no repair changed is written from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wavemend.core.types import Samples

Native = npt.NDArray[np.int32] | npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""(channels, samples): int32 with full scale 2^31, or floating point with full scale 1."""

_FAR = np.uint32(0x85EBCA6B)
_CACHED = 8192  # samples worked on at once: what a processor keeps near


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one sample lies in a file: `bits` wide, of which the upper `valid` count."""

    kind: Literal["int", "uint", "float"]
    bits: int
    big_endian: bool = False
    valid: int = 0

    @property
    def width(self) -> int:
        """Bytes of one sample."""
        return self.bits // 8

    @property
    def depth(self) -> int:
        """Bits that count; 0 for floating point, whose values are not rounded."""
        return 0 if self.kind == "float" else self.valid or self.bits

    @property
    def subtype(self) -> str:
        """The name that libsndfile has for it."""
        if self.kind == "float":
            return {32: "FLOAT", 64: "DOUBLE"}[self.bits]
        return {("uint", 8): "PCM_U8", ("int", 8): "PCM_S8"}.get((self.kind, self.bits), f"PCM_{self.bits}")

    @property
    def native(self) -> type[np.int32 | np.float32 | np.float64]:
        """The type of its native values."""
        if self.kind == "float":
            return np.float64 if self.bits == 64 else np.float32
        return np.int32


SUBTYPES = {
    "PCM_U8": Encoding("uint", 8),
    "PCM_S8": Encoding("int", 8),
    "PCM_16": Encoding("int", 16),
    "PCM_24": Encoding("int", 24),
    "PCM_32": Encoding("int", 32),
    "FLOAT": Encoding("float", 32),
    "DOUBLE": Encoding("float", 64),
}
"""Linear subtypes by their libsndfile names."""


def decode(data: bytes | memoryview, encoding: Encoding, channels: int) -> Native:
    """Interleaved bytes, a whole number of frames, as native values."""
    order = ">" if encoding.big_endian else "<"
    if encoding.kind == "float":
        flat = np.frombuffer(data, f"{order}f{encoding.width}")
        return np.ascontiguousarray(flat.reshape(-1, channels).T.astype(encoding.native, copy=False))
    raw = np.frombuffer(data, np.uint8).reshape(-1, channels, encoding.width).transpose(1, 0, 2)
    wide = np.zeros((*raw.shape[:2], 4), np.uint8)
    for inside, outside in _bytes(encoding):  # one of all samples at a time: long loops
        wide[:, :, inside] = raw[:, :, outside]
    values = wide.view("<i4")[:, :, 0]
    if encoding.kind == "uint":
        values ^= np.int32(-(2**31))
    return np.ascontiguousarray(values, np.int32)


def encode(native: Native, encoding: Encoding) -> bytes:
    """Native values of the encoding's own type as interleaved bytes; the inverse of `decode`."""
    order = ">" if encoding.big_endian else "<"
    if encoding.kind == "float":
        return native.T.astype(f"{order}f{encoding.width}").tobytes()
    values = np.ascontiguousarray(native, "<i4")
    if encoding.kind == "uint":
        values = values ^ np.int32(-(2**31))
    wide = values.view(np.uint8).reshape(*values.shape, 4)
    raw = np.empty((values.shape[1], values.shape[0], encoding.width), np.uint8)
    for inside, outside in _bytes(encoding):
        for channel in range(len(values)):
            raw[:, channel, outside] = wide[channel, :, inside]
    return raw.tobytes()


def _bytes(encoding: Encoding) -> list[tuple[int, int]]:
    """For each byte of a sample its place in a little-endian int32, and its place in the file."""
    width = encoding.width
    return [(4 - width + k, width - 1 - k if encoding.big_endian else k) for k in range(width)]


def to_float(native: Native) -> Samples:
    """Native values as float32 with full scale 1; exact up to 24 bits. float32 is not copied."""
    if native.dtype == np.int32:
        return native.astype(np.float32) * np.float32(2.0**-31)
    with np.errstate(over="ignore"):
        return native.astype(np.float32, copy=False)


def to_double(native: Native) -> npt.NDArray[np.float64]:
    """Native values as float64 with full scale 1, exactly."""
    return native.astype(np.float64) * (2.0**-31 if native.dtype == np.int32 else 1.0)


def dither(start: int, channel: int, at: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Triangular noise between -1 and 1 for the samples start + at of a channel.

    The value depends on the place alone, so blocks may be cut anywhere and a second
    run gives the same bits. It is a hash of it (two rounds of multiply and shift with
    the constants of C. Wellons, "Prospecting for hash functions", 2018), whose halves
    are two uniform numbers; their difference has the triangular density.
    """
    place = at + start
    x = place.astype(np.uint32)
    if place.max(initial=0) >> 32:
        x += (place >> 32).astype(np.uint32) * _FAR
    x += np.uint32(channel * 0x9E3779B9 & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    halves = (x >> np.uint32(16)).astype(np.int32) - (x & np.uint32(0xFFFF)).astype(np.int32)
    return np.multiply(halves, 2.0**-16, dtype=np.float64)


def merge(
    native: Native, restored: Samples, encoding: Encoding, start: int, kept: Encoding | None = None
) -> tuple[Native, int, int]:
    """What to write for `restored`, and how many values changed and were clipped.

    A sample with the same bits as the read one keeps its native value; a changed one
    becomes native + (restored - read). Where an integer encoding cannot hold the value
    exactly, or the sample changed, it is dithered (TPDF, one step) and rounded.
    `start` is the place of the block in the recording, `kept` the source's encoding.
    """
    read = to_float(native)
    if native.dtype == np.int32:
        same = read == restored  # integers know no -0
    else:
        same = read.view(np.int32) == np.ascontiguousarray(restored).view(np.int32)
    changed = same.size - int(np.count_nonzero(same))
    if encoding == kept and not changed:
        return native, 0, 0
    if encoding.kind == "float":
        return _merge_float(native, read, restored, same, encoding), changed, 0
    clipped, out = 0, np.empty(native.shape, np.int32)
    if encoding == kept:
        out[:] = native
    for first in range(0, native.shape[1], _CACHED):
        span = slice(first, min(first + _CACHED, native.shape[1]))
        for channel in range(len(native)):
            at = np.flatnonzero(~same[channel, span]) if encoding == kept else np.arange(span.stop - first)
            if not len(at):
                continue
            noise = dither(start + first, channel, at)
            some: slice | npt.NDArray[np.intp] = span if len(at) == span.stop - first else first + at
            now = native[channel, some], restored[channel, some], read[channel, some], same[channel, some]
            out[channel, some], over = _rounded(*now, noise, encoding)
            clipped += over
    return out, changed, clipped


def _rounded(
    native: Native,
    restored: Samples,
    read: Samples,
    same: npt.NDArray[np.bool_],
    noise: npt.NDArray[np.float64],
    encoding: Encoding,
) -> tuple[npt.NDArray[np.int32], int]:
    """Values of one channel as integers, and how many of them were beyond full scale."""
    steps = 2.0 ** (encoding.depth - 1)
    wanted = native.astype(np.float64) * (steps * (2.0**-31 if native.dtype == np.int32 else 1.0))
    if same.any():
        # a lossy or floating-point source is dithered as a whole, but its silence stays silent
        noise = np.where(same & (wanted == np.rint(wanted)), 0.0, noise)
    wanted += (restored.astype(np.float64) - read) * steps
    over = 0
    if wanted.max() >= steps - 0.5 or wanted.min() < -steps - 0.5:
        over = int(np.count_nonzero((wanted >= steps - 0.5) | (wanted < -steps - 0.5)))
    wanted += noise
    whole = np.clip(np.rint(wanted, out=wanted), -steps, steps - 1, out=wanted)
    whole *= 2.0 ** (32 - encoding.depth)
    return whole.astype(np.int32), over


def _merge_float(
    native: Native, read: Samples, restored: Samples, same: npt.NDArray[np.bool_], encoding: Encoding
) -> Native:
    if encoding.bits == 32:
        return np.where(same, read, restored)
    exact = to_double(native)
    return np.where(same, exact, exact + (restored.astype(np.float64) - read))
