"""Lossy coding: what MP3, AAC and their kin leave at low data rates, in files that no longer say so.

Not a codec but its sound: noise shaped like the music, holes where bands fall below one step, a
low-pass, and pre-echo as long as the frame. The transform is the MDCT of Princen and Bradley
(1987) with a sine window; steps grow with the power 3/4, as in MP3 and AAC; noise follows a
simple masking rule and rises with frequency. Band limits are those that LAME 3.100 chooses, noise by
band is fitted to what it leaves of music and speech.

Found by its lattice: transformed from the same samples on as the coder did, decoded sound has far more empty
lines than from any other (`core/coders`). That lasts as long as nobody changes speed or sample rate;
what low rates do to the sound itself is left to the learned diagnosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core import coders
from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.loudest import Loudest
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

FRAMES = (576, 1024)  # bins of MP3 and of AAC
HIGHEST_RATE = 48_000  # that they are mostly used at
LAME_KBPS = (16.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0)
LAME_TOP_HZ = (3_700.0, 5_500.0, 7_500.0, 11_000.0, 15_100.0, 17_000.0, 18_600.0)
NMR_DB = (-3.0, -7.0, -13.0, -16.0, -21.0, -25.0, -32.0)  # noise over what masks it, at MIDDLE_HZ
TILT_DB = (5.0, 6.0, 5.5, 5.5, 4.5, 4.0, 3.5)  # by which that rises in an octave
HOLES_DB = (-38.0, -46.0, -52.0, -56.0, -64.0, -70.0, -80.0)  # below the loudest band nothing is kept
MIDDLE_HZ = 2_000.0

PER_PART = 8  # segments that are looked at together
PARTS, PART_S = 4, 60.0  # a recording is looked at in so many parts, at most, of at least this length
PIECES = 6  # of a segment, of which the quietest counts
LEAST = 1e-4  # mean difference of neighbouring samples: what is quieter tells nothing
LOUDEST = 100.0  # what is far above full scale is no sound
SIGMAS, SURE_SIGMAS = 6.5, 9.0  # that a lattice stands out by; without a coder up to 5.9
SEVERE = 10.0  # mean logarithm of power that is missing in a line

FRAME = "frame_samples"
"""The measure of coding whose lattice was found: 576 as of MP3, 1024 as of AAC or Vorbis. Frames begin at
`frame_starts` and multiples of that later, of Vorbis multiples of 64."""

Mono = npt.NDArray[np.float32]


def draw(format: Format, samples: int, rng: np.random.Generator, *, kbps: float) -> Drawn:
    """One of two frame lengths; band limit, noise and holes near those of the rate."""

    def at(values: tuple[float, ...]) -> float:
        return float(np.interp(np.log2(kbps), np.log2(LAME_KBPS), values))

    cutoff_hz = min(at(LAME_TOP_HZ) * float(rng.uniform(0.95, 1.05)), format.sample_rate / 2)
    # above 48 kHz a coder would work at a lower rate, below it keeps its frames
    longer = 2 ** max(0, round(np.log2(format.sample_rate / HIGHEST_RATE)))
    truth = Finding(
        "coding",
        Region(0, max(samples, 1)),
        _severity(kbps),
        1.0,
        {"kbps": kbps, "cutoff_hz": cutoff_hz},
    )
    return {
        "bins": int(rng.choice(FRAMES)) * longer,
        "top_hz": cutoff_hz,
        "nmr_db": at(NMR_DB) + float(rng.uniform(-2, 2)),
        "tilt_db": at(TILT_DB),
        "floor_db": float(rng.uniform(-100, -85)),  # the threshold of hearing re full scale
        "holes_db": at(HOLES_DB) + float(rng.uniform(-4, 4)),
        "findings": (truth,) if samples else (),
    }


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Each channel coded and decoded on its own, in place and time."""
    return np.stack([coded(given, format.sample_rate, drawn) for given in samples])


def coded(sound: Mono, rate: int, drawn: Drawn) -> Mono:
    """`sound` coded and decoded, (samples,), in place and time.

    `drawn` has `bins` (even), `top_hz`, `nmr_db` and `floor_db`. Without `tilt_db` the noise lies as far
    below the sound at all frequencies; without `holes_db` only what falls below one step is lost.
    """
    bins = drawn["bins"]
    blocks = -(-len(sound) // bins) + 1
    padded = np.zeros((blocks + 1) * bins, np.float32)
    padded[bins : bins + len(sound)] = sound
    halves = padded.reshape(blocks + 1, bins)
    window = np.sin(np.pi / 2 / bins * (np.arange(2 * bins, dtype=np.float32) + np.float32(0.5)))
    first, second = halves[:-1] * window[:bins], halves[1:] * window[bins:]
    lines = _quantise(coders.mdct(first, second), rate, drawn)
    mid = bins // 2
    folded = fft.dct(lines, type=4, norm="ortho", axis=1)
    low, high = folded[:, :mid], folded[:, mid:]
    out = np.zeros_like(halves)
    out[:-1] += np.concatenate((high, -high[:, ::-1]), axis=1) * window[:bins]
    out[1:] += np.concatenate((-low[:, ::-1], -low), axis=1) * window[bins:]
    return out.reshape(-1)[bins : bins + len(sound)]


@lru_cache(maxsize=16)
def _edges(bins: int, rate: int) -> npt.NDArray[np.intp]:
    """Bands of about half a Bark, at least 4 lines each."""
    edges = [0]
    while edges[-1] < bins:
        hz = edges[-1] * rate / 2 / bins
        edges.append(min(edges[-1] + max(4, round((50 + 0.09 * hz) / (rate / 2 / bins))), bins))
    return np.array(edges)


def _quantise(lines: Mono, rate: int, drawn: Drawn) -> Mono:
    bins = drawn["bins"]
    edges = _edges(bins, rate)
    width = np.diff(edges).astype(np.float32)
    energy = np.add.reduceat(lines * lines, edges[:-1], axis=1) / width
    masked = np.maximum(energy, 0.1 * np.roll(energy, 1, axis=1) * (np.arange(len(width)) > 0))
    octaves = np.log2((edges[:-1] + edges[1:]) * (rate / 4 / bins) / MIDDLE_HZ)
    tilt = (10 ** (drawn.get("tilt_db", 0.0) * octaves / 10)).astype(np.float32)
    noise = masked * (np.float32(10 ** (drawn["nmr_db"] / 10)) * tilt)
    noise += np.float32(10 ** (drawn["floor_db"] / 10))
    step = np.repeat(np.sqrt(12 * noise), edges[1:] - edges[:-1], axis=1)
    size = np.abs(lines) / step
    # the power law makes steps finer for small values and coarser for large ones
    level = np.floor(size**0.75 + np.float32(0.4054))
    out = np.copysign(level ** np.float32(4 / 3) * step, lines)
    out[:, int(drawn["top_hz"] / (rate / 2) * bins) :] = 0
    least = energy.max(axis=1, keepdims=True) * np.float32(10 ** (drawn.get("holes_db", -np.inf) / 10))
    out *= np.repeat(energy >= least, edges[1:] - edges[:-1], axis=1)
    return np.asarray(out, np.float32)


def _severity(kbps: float) -> float:
    """0.1 at 192 kbit/s, 0.5 at 64, 1 at 16."""
    return float(np.clip(np.log2(256 / kbps) / 4, 0.02, 1.0))


class CodingDetector(Search):
    """Keeps the loudest segments of the channels' mean, and looks for a lattice in them at the end."""

    def __init__(self, format: Format) -> None:
        self._rate = format.sample_rate
        self._grid = Grid(format.channels, hop=coders.SEGMENT)
        self._loudest = Loudest(1, PARTS * PER_PART, coders.SEGMENT)

    def _conclude(self) -> Sequence[Finding]:
        if self._rate > HIGHEST_RATE:
            return []
        length = self._grid.received
        count = min(max(int(length / (PART_S * self._rate)), 1), PARTS)
        found: list[tuple[Region, coders.Found]] = []
        for part in range(count):
            start, stop = part * length // count, (part + 1) * length // count
            coder = self._coder(start, stop)
            if coder and found and found[-1][0].stop == start and found[-1][1].lattice == coder.lattice:
                region, before = found.pop()
                start, coder = region.start, max(before, coder, key=lambda one: one.sigmas)
            if coder:
                found.append((Region(start, stop), coder))
        return [_finding(*one) for one in found]

    def _look(self, window: Window) -> None:
        if window.length == coders.SEGMENT:
            sound = np.clip(window.chunk, -LOUDEST, LOUDEST).mean(axis=0)
            # coders show at high frequencies; loud ones hide the rounding of samples, steady ones are coded
            # in long frames
            rank = np.abs(np.diff(sound, append=sound[-1:])).reshape(PIECES, -1).mean(axis=1).min()
            self._loudest.offer(window.start // coders.SEGMENT, rank[np.newaxis], sound[np.newaxis])

    def _coder(self, start: int, stop: int) -> coders.Found | None:
        """What coded samples start to stop, from the loudest segment of each of PER_PART pieces of them."""
        kept, ranks = self._loudest.pieces[0], self._loudest.ranks[0]
        at = self._loudest.places[0] * coders.SEGMENT
        within = (at >= start) & (at < stop) & (ranks >= LEAST)
        piece = np.where(within, (at - start) * PER_PART // max(stop - start, 1), -1)
        own = (np.flatnonzero(piece == k) for k in range(PER_PART))
        chosen = [mine[np.argmax(ranks[mine])] for mine in own if len(mine)]
        coder = coders.search([kept[i] for i in chosen], at[chosen], self._rate) if chosen else None
        return coder if coder and coder.sigmas >= SIGMAS else None


def _finding(region: Region, coder: coders.Found) -> Finding:
    surely = min((coder.sigmas - SIGMAS) / (SURE_SIGMAS - SIGMAS), 1.0)
    return Finding(
        "coding",
        region,
        severity=float(np.clip(coder.emptied / SEVERE, 0.02, 1.0)),
        confidence=0.9 + 0.09 * surely,
        measures={
            FRAME: float(coder.hop),
            "frame_starts": float(coder.offset),
            "emptied_db": 10 / float(np.log(10)) * coder.emptied,
            "sigmas": coder.sigmas,
        },
    )


DAMAGE = Damage(
    name="coding",
    title="Lossy coding",
    params={
        "kbps": Param(
            64.0, 16.0, 192.0, "kbit/s", "rate of a stereo MP3 at 44.1 or 48 kHz that sounds as bad"
        ),
    },
    draw=draw,
    apply=apply,
    detector=CodingDetector,
    doc=__doc__,
)
