"""Spectrograms of before, after and removed, gathered in one pass, and pictures of them as PNG."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Grid, Window
from wavemend.core.types import Format, Samples

Floats = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8]

ROWS = 256
COLUMNS = 1600
RANGE_DB = 90.0
SHADES = 64
BEND_HZ = 300.0  # the frequency axis is linear well below this, and logarithmic above


def axis_position(frequency_hz: npt.ArrayLike, top_hz: float) -> Floats:
    """Where a frequency lies on the axis: 0 at 0 Hz, 1 at `top_hz`."""
    return np.asarray(np.log1p(np.asarray(frequency_hz, float) / BEND_HZ) / np.log1p(top_hz / BEND_HZ))


def axis_frequency(position: npt.ArrayLike, top_hz: float) -> Floats:
    """The inverse of `axis_position`, Hz."""
    return np.asarray(BEND_HZ * np.expm1(np.asarray(position, float) * np.log1p(top_hz / BEND_HZ)))


class Spectrograms:
    """Three spectrograms of equal shape in one pass: before, after, and their difference.

    Memory does not depend on the length: there are at most `columns` columns. Of all frames
    and bins that fall into one cell the mean of the squared power is taken, so that a click
    or a line stays visible between quiet neighbours. Of the channels the loudest counts.
    """

    FRAMES = 32

    def __init__(self, format: Format, samples: int, columns: int = COLUMNS) -> None:
        rate = format.sample_rate
        self._channels = format.channels
        self._n_fft = n_fft = 2 ** max(7, round(np.log2(rate / 23.4)))
        self._hop = int(np.clip(-(-samples // columns), max(1, n_fft // 8), 3 * n_fft // 4))
        self._frames = max(1, -(-samples // self._hop))
        self.columns = min(columns, self._frames)
        self._hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
        self._hann /= self._hann.sum() / 2  # a full-scale sine has power 1
        rows_hz = axis_frequency(np.arange(ROWS + 1) / ROWS, rate / 2)
        self._edges = np.unique(np.clip(np.rint(rows_hz * n_fft / rate).astype(int), 1, n_fft // 2))
        widths = np.diff(self._edges, append=n_fft // 2 + 1)
        self._widths = widths.astype(np.float32)
        centres = (self._edges + (widths - 1) / 2) * rate / n_fft
        self._centres = axis_position(centres, rate / 2)
        self._sums = np.zeros((3, self.columns, len(self._edges)), np.float32)
        self._counts = np.zeros(self.columns, np.int64)
        self._grid = Grid(2 * format.channels, self._hop * self.FRAMES, right=n_fft - self._hop)
        # half a frame of silence puts the middle of frame k on sample k · hop
        self._silence = np.zeros((2 * format.channels, n_fft // 2), np.float32)
        for window in self._grid.push(self._silence):
            self._take(window)
        self._done = 0

    def push(self, before: Samples, after: Samples) -> None:
        """The next samples of both, equally many, cut anywhere."""
        for window in self._grid.push(np.concatenate((before, after))):
            self._take(window)

    def _take(self, window: Window) -> None:
        first = window.start // self._hop
        count = min(-(-window.length // self._hop), self._frames - first)
        if count <= 0:
            return
        need = (count - 1) * self._hop + self._n_fft
        sound = window.samples[:, :need]
        if sound.shape[1] < need:
            sound = np.pad(sound, ((0, 0), (0, need - sound.shape[1])))
        n = self._channels
        same = np.array_equal(sound[:n], sound[n:])
        cut = np.lib.stride_tricks.sliding_window_view(sound[:n] if same else sound, self._n_fft, axis=1)
        spectra = fft.rfft(cut[:, :: self._hop] * self._hann, axis=2)
        columns = np.arange(first, first + count) * self.columns // self._frames
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        self._counts[columns[starts]] += np.diff(starts, append=count)
        if same:
            power = self._bands(spectra)
            pictures = [power, power]
        else:
            before, after = spectra[:n], spectra[n:]
            pictures = [self._bands(part) for part in (before, after, before - after)]
        for sums, power in zip(self._sums, pictures, strict=False):
            sums[columns[starts]] += np.add.reduceat(power, starts, axis=0)

    def _bands(self, spectra: npt.NDArray[np.complexfloating]) -> Floats:
        """(channels, frames, bins) to the mean squared power of the loudest channel, (frames, bands)."""
        power = spectra.real**2 + spectra.imag**2
        loudest = power[0] if len(power) == 1 else np.maximum.reduce(power)
        return np.asarray(
            np.add.reduceat(np.square(loudest, out=loudest), self._edges, axis=1) / self._widths
        )

    def finish(self) -> Floats:
        """Levels in dB, (3, ROWS, columns), low frequencies first; 0 is a full-scale sine in a narrow row."""
        for part in (self._grid.push(self._silence), self._grid.flush()):
            for window in part:
                self._take(window)
        mean = np.sqrt(self._sums / np.maximum(self._counts, 1)[:, np.newaxis])
        level = 10 * np.log10(np.maximum(mean, 1e-16))
        place = (np.arange(ROWS) + 0.5) / ROWS
        right = np.clip(np.searchsorted(self._centres, place), 1, len(self._centres) - 1)
        left = right - 1
        share = np.clip(
            (place - self._centres[left]) / (self._centres[right] - self._centres[left]), 0.0, 1.0
        ).astype(np.float32)
        rows = level[:, :, left] * (1 - share) + level[:, :, right] * share
        return np.asarray(rows.swapaxes(1, 2))


def top_of(levels: Floats) -> float:
    """The level that is drawn brightest: just above nearly all that is there, in steps of 5 dB."""
    return float(np.ceil(np.quantile(levels, 0.9995) / 5) * 5)


def paint(levels: Floats, top_db: float) -> Pixels:
    """Levels in dB, low frequencies first, as shades 0 to SHADES - 1, high frequencies first."""
    share = (levels[::-1] - (top_db - RANGE_DB)) / RANGE_DB
    return np.asarray(np.clip(share * SHADES, 0, SHADES - 1), np.uint8)


@lru_cache(maxsize=4)
def colours(count: int = SHADES) -> bytes:
    """A colour map whose lightness rises evenly from near black to cream, as RGB triples.

    A path through Oklab (Ottosson 2020): lightness linear, hue from blue through plum and
    copper to straw, chroma as high as it looks calm, less where sRGB has no such colour.
    """
    share = np.linspace(0, 1, count)
    light = 0.13 + 0.84 * share
    hue = np.radians(np.interp(share, (0, 0.3, 0.55, 0.8, 1), (262, 290, 382, 425, 455)))
    chroma = np.interp(share, (0, 0.2, 0.5, 0.75, 1), (0.02, 0.10, 0.135, 0.13, 0.045))
    for _ in range(40):
        rgb = _oklab_to_linear(light, chroma * np.cos(hue), chroma * np.sin(hue))
        outside = ((rgb < 0) | (rgb > 1)).any(axis=1)
        chroma = np.where(outside, chroma * 0.96, chroma)
    rgb = np.clip(rgb, 0, 1)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return bytes(np.rint(encoded * 255).astype(np.uint8))


def _oklab_to_linear(light: Floats, a: Floats, b: Floats) -> Floats:
    lab = np.stack((light, a, b), axis=1)
    cones = lab @ np.array(
        [
            [1.0, 1.0, 1.0],
            [0.3963377774, -0.1055613458, -0.0894841775],
            [0.2158037573, -0.0638541728, -1.291485548],
        ]
    )
    return np.asarray(
        cones**3
        @ np.array(
            [
                [4.0767416621, -1.2684380046, -0.0041960863],
                [-3.3077115913, 2.6097574011, -0.7034186147],
                [0.2309699292, -0.3413193965, 1.707614701],
            ]
        )
    )


def png(pixels: Pixels, palette: bytes | None = None) -> bytes:
    """An indexed PNG of (rows, columns); the palette is RGB triples, that of `colours` by default."""
    palette = colours() if palette is None else palette
    rows, columns = pixels.shape
    lines = np.zeros((rows, columns + 1), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def before_and_after(before: Samples, after: Samples, format: Format, width: int = 1200) -> bytes:
    """One PNG with the spectrogram before on the left and after on the right, in the same shades."""
    gap = 8
    pictures = Spectrograms(format, before.shape[1], columns=(width - gap) // 2)
    for start in range(0, before.shape[1], 1 << 16):
        pictures.push(before[:, start : start + (1 << 16)], after[:, start : start + (1 << 16)])
    levels = pictures.finish()[:2]
    top = top_of(levels)
    stretch = np.arange((width - gap) // 2) * pictures.columns // ((width - gap) // 2)
    left, right = (paint(picture, top)[:, stretch].repeat(2, axis=0) for picture in levels)
    # one more entry in the palette, white, keeps the two apart
    middle = np.full((len(left), gap), SHADES, np.uint8)
    return png(np.concatenate((left, middle, right), axis=1), colours() + b"\xff\xff\xff")
