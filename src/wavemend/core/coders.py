"""Lattices on which lossy coders work, found in the sound that they gave back.

A coder cuts sound into frames, transforms each and rounds its lines; many become zero. Whoever transforms the
decoded sound with the same transform, from the same sample on, sees them again, nearly empty among full
ones; one sample beside they are full. After Moehrs, Herre and Geiger, "Analysing decompressed
audio with the inverse decoder", AES 112th Convention, 2002.

Transforms: the MDCT (Princen and Bradley 1987) of AAC and Vorbis, with their windows; the polyphase
filters and MDCT of 18 lines of MP3 (ISO/IEC 11172-3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft
from scipy.ndimage import median_filter, uniform_filter1d

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

SEGMENT = 3072  # samples in which every start of every lattice fits
LOWEST_HZ, HIGHEST_HZ, HIGHEST_SHARE = 500.0, 16_000.0, 0.9  # lines that are looked at
ALIKE = 15  # neighbouring lines that are of about one level
EMPTY = 1e-6  # of that level: less is not told from nothing
ROUNDING = 2.0**-30 / 6  # power in a line, of samples of 16 bits, twice that of even rounding
CLEAR = 30.0  # times that a line must have to be looked at
MOST = 6.0  # sigmas that one segment may say: several have to agree
SIMILAR = 0.6  # of the most sigmas
SLOW = 33  # starts over which the level may change
VORBIS_STEP = 64  # what its frames of 2048 and 256 samples lie apart is a multiple of it
FEWER_BELOW_HZ = 26_000  # Vorbis has shorter frames there

BANDS, TAPS, LONG = 32, 512, 18
# The low-pass behind the filters of MP3 (ISO/IEC 11172-3, table 3-B.3), times 65536: its first half with the
# middle, without the signs that the standard's order of summing needs.
_HALF = (
    "0 1 1 1 1 1 1 2 2 2 2 3 3 4 4 5 5 6 7 7 8 9 10 11 13 14 16 17 19 21 24 26 29 31 35 38 41 45 49 53 "
    "58 63 68 73 79 85 91 97 104 111 117 125 132 139 147 154 161 169 176 183 190 196 202 208 213 218 "
    "222 225 227 228 228 227 224 221 215 208 200 189 177 163 146 127 106 83 57 29 -2 -36 -72 -111 -153 "
    "-197 -244 -294 -347 -401 -459 -519 -581 -645 -711 -779 -848 -919 -991 -1064 -1137 -1210 -1283 "
    "-1356 -1428 -1498 -1567 -1634 -1698 -1759 -1817 -1870 -1919 -1962 -2001 -2032 -2057 -2075 -2085 "
    "-2087 -2080 -2063 -2037 -2000 -1952 -1893 -1822 -1739 -1644 -1535 -1414 -1280 -1131 -970 -794 -605 "
    "-402 -185 45 288 545 814 1095 1388 1692 2006 2330 2663 3004 3351 3705 4063 4425 4788 5153 5517 "
    "5879 6237 6589 6935 7271 7597 7910 8209 8491 8755 8998 9219 9416 9585 9727 9838 9916 9959 9966 "
    "9935 9863 9750 9592 9389 9139 8840 8492 8092 7640 7134 6574 5959 5288 4561 3776 2935 2037 1082 70 "
    "-998 -2122 -3300 -4533 -5818 -7154 -8540 -9975 -11455 -12980 -14548 -16155 -17799 -19478 -21189 "
    "-22929 -24694 -26482 -28289 -30112 -31947 -33791 -35640 -37489 -39336 -41176 -43006 -44821 -46617 "
    "-48390 -50137 -51853 -53534 -55178 -56778 -58333 -59838 -61289 -62684 -64019 -65290 -66494 -67629 "
    "-68692 -69679 -70590 -71420 -72169 -72835 -73415 -73908 -74313 -74630 -74856 -74992 -75038 "
)


@dataclass(frozen=True)
class Lattice:
    """A transform that begins anew every `hop` samples; `lines` gives those from each of these starts.

    Lines are (hop, hop) of (SEGMENT,) samples: by the first sample, then by frequency; all starts are tried.
    Where short frames lie between long ones, these go on beside their lattice, by a multiple of `step`.
    """

    name: str
    hop: int
    step: int
    lines: Callable[[Singles], Singles]


@dataclass(frozen=True)
class Found:
    """The lattice on which the most lines are empty, from sample `offset` on and every step of it later.

    `sigmas` is how far these starts stand out from all others, `emptied` by how much less there is in a
    line, as a mean difference of natural logarithms of power.
    """

    lattice: str
    hop: int
    offset: int
    sigmas: float
    emptied: float


def search(segments: Sequence[Singles], starts: Sequence[int], rate: int) -> Found | None:
    """The lattice that all of these (SEGMENT,) samples show together; `starts` is where each begins.

    None where no segment has any sound that could tell.
    """
    found: list[tuple[float, Found]] = []
    for lattice in lattices(rate):
        courses = []
        for segment, start in zip(segments, starts, strict=True):
            course = _course(lattice, segment, rate)
            if course is not None:
                courses.append(np.roll(course, start % lattice.step))
        if not courses:
            continue
        whole = np.stack([course / _spread(course) for course in courses])
        together = np.maximum(whole, -MOST).sum(axis=0)
        offset = int(np.argmin(together))
        sigmas = float(-together[offset] / _spread(together))
        emptied = float(-np.mean([course[offset] for course in courses]))
        strength = -float(whole[:, offset].sum())
        found.append((strength, Found(lattice.name, lattice.hop, offset, sigmas, emptied)))
    # one lattice shows a little on others too, with nearly as much agreement: the fullest is it
    most = max((one.sigmas for _, one in found), default=0.0)
    agreed = [(strength, one) for strength, one in found if one.sigmas >= SIMILAR * most]
    return max(agreed, key=lambda pair: pair[0])[1] if agreed else None


def lattices(rate: int) -> list[Lattice]:
    """Those that coders use at this sample rate: MP3, then MDCTs of several lengths and windows."""
    mp3 = Lattice("MP3", BANDS * LONG, BANDS * LONG, hybrid)
    found = [mp3, _plain("MDCT", 576), _plain("AAC", 1024), _plain("Vorbis", 1024)]
    return [*found, _plain("Vorbis", 512)] if rate < FEWER_BELOW_HZ else found


def _course(lattice: Lattice, segment: Singles, rate: int) -> Floats | None:
    """Mean logarithm of the lines from each start on, less what is usual around; the least of each step."""
    half_hz = rate / 2
    low, high = (
        round(hz / half_hz * lattice.hop) for hz in (LOWEST_HZ, min(HIGHEST_HZ, HIGHEST_SHARE * half_hz))
    )
    power = np.square(lattice.lines(segment)[:, low:high])
    level = uniform_filter1d(power.mean(axis=0), ALIKE)
    clear = level > CLEAR * ROUNDING
    if np.count_nonzero(clear) < ALIKE:
        return None
    share = power[:, clear]
    share /= level[clear]
    share += EMPTY + np.float32(ROUNDING) / level[clear]
    course = np.log(share, out=share).mean(axis=1, dtype=np.float64)
    course -= median_filter(course, SLOW, mode="reflect")
    least = course.reshape(-1, lattice.step).min(axis=0)
    return np.asarray(least - np.median(least), np.float64)


def _spread(course: Floats) -> float:
    """The standard deviation of most of it."""
    return max(1.4826 * float(np.median(np.abs(course - np.median(course)))), 1e-9)


def mdct(first: Singles, second: Singles) -> Singles:
    """The lines of frames (frames, lines), given as their halves, windowed: (frames, lines), even many."""
    mid = first.shape[1] // 2
    folded = np.concatenate(
        (-second[:, mid - 1 :: -1] - second[:, mid:], first[:, :mid] - first[:, : mid - 1 : -1]), axis=1
    )
    return np.asarray(fft.dct(folded, type=4, norm="ortho", axis=1))


@lru_cache(maxsize=8)
def _plain(name: str, bins: int) -> Lattice:
    """An MDCT of so many lines under a sine window of twice the length, or under that of Vorbis."""
    window = np.sin(np.pi / 2 / bins * (np.arange(2 * bins) + 0.5))
    step = bins
    if name == "Vorbis":
        window, step = np.sin(np.pi / 2 * window**2), VORBIS_STEP
    window = window.astype(np.float32)

    def lines(segment: Singles) -> Singles:
        frames = sliding_window_view(segment, 2 * bins)[:bins] * window
        return mdct(frames[:, :bins], frames[:, bins:])

    return Lattice(name, bins, step, lines)


@lru_cache(maxsize=1)
def _filters() -> Singles:
    """The filters of MP3 with the time turned round, (TAPS, BANDS), scaled to keep power."""
    half = np.array(_HALF.split(), np.float64)
    low_pass = np.concatenate((half, half[1:256][::-1]))
    low_pass /= np.sqrt(np.square(low_pass).sum() / 2)
    turn = np.outer(np.arange(TAPS) - 16, 2 * np.arange(BANDS) + 1) * (np.pi / 64)
    return np.asarray((low_pass[:, np.newaxis] * np.cos(turn))[::-1], np.float32)


@lru_cache(maxsize=1)
def _long() -> tuple[Singles, Singles, Singles]:
    """MP3's MDCT of a band's 36 samples, even bands and odd, (36, LONG); and its butterflies, (2, 8)."""
    at, line = np.arange(2 * LONG)[:, np.newaxis], np.arange(LONG)
    waves = np.cos(np.pi / 72 * (2 * at + 1 + LONG) * (2 * line + 1)) * np.sin(np.pi / 36 * (at + 0.5)) / 3
    across = np.array((-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037))
    butterflies = np.stack((np.ones(8), across)) / np.sqrt(1 + across**2)
    even = np.asarray(waves, np.float32)
    # the spectra of odd bands lie the wrong way round
    odd = np.asarray(waves * np.where(at % 2, -1, 1), np.float32)
    return even, odd, np.asarray(butterflies, np.float32)


def hybrid(segment: Singles) -> Singles:
    """The 576 lines of MP3's long blocks from each of 576 starts on: (576, 576) of (SEGMENT,) samples."""
    even, odd, (keep, across) = _long()
    hop = BANDS * LONG
    bands = sliding_window_view(segment, TAPS)[: hop + (2 * LONG - 1) * BANDS] @ _filters()
    lines = np.empty((hop, BANDS, LONG), np.float32)
    for first, waves in ((0, even), (1, odd)):
        mine = np.ascontiguousarray(bands[:, first::2].T)
        frames = sliding_window_view(mine, (2 * LONG - 1) * BANDS + 1, axis=1)[:, :, ::BANDS]
        lines[:, first::2] = (frames @ waves).transpose(1, 0, 2)
    below, above = lines[:, :-1, : LONG - 9 : -1].copy(), lines[:, 1:, :8].copy()
    lines[:, :-1, : LONG - 9 : -1] = below * keep + above * across
    lines[:, 1:, :8] = above * keep - below * across
    return lines.reshape(hop, hop)
