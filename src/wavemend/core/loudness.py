"""Loudness and true peak as broadcasters measure them, in a stream, for any rate and 1 to 64 channels.

ITU-R BS.1770-4 (K-weighting, gating, true peak), EBU R 128, EBU Tech 3342 (loudness range).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import sosfilt

from wavemend.core.types import Format, Samples

Doubles = npt.NDArray[np.float64]

SILENCE_LUFS = -70.0  # the absolute gate: nothing quieter counts as programme
SEGMENTS_PER_S = 10
BIN_LU = 0.01
LOUDEST_LUFS = 30.0

# Weights of BS.1770-4, table 4, in the order of channels in WAV files; LFE does not count.
SURROUND = 10**0.15
WEIGHTS = {
    5: (1.0, 1.0, 1.0, SURROUND, SURROUND),
    6: (1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND),
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, SURROUND, SURROUND),
}


def k_weighting(sample_rate: int) -> Doubles:
    """The K-weighting filter at any rate, (2 sections, 6): head shelf, then high-pass.

    The analogue prototypes behind the standard's 48 kHz table, by the bilinear transform
    with its frequency held at the corner; at 48 kHz the table comes out to 1e-7.
    """
    shelf_hz, shelf_q, shelf_db, slope = (
        1681.974450955533,
        0.7071752369554196,
        3.999843853973347,
        0.4996667741545416,
    )
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * min(shelf_hz / sample_rate, 0.45))
    top = 10 ** (shelf_db / 20)
    mid = top**slope
    shelf = [top + mid * k / shelf_q + k * k, 2 * (k * k - top), top - mid * k / shelf_q + k * k]
    shelf += [1 + k / shelf_q + k * k, 2 * (k * k - 1), 1 - k / shelf_q + k * k]
    k = np.tan(np.pi * pass_hz / sample_rate)
    low = [1 + k / pass_q + k * k, 2 * (k * k - 1), 1 - k / pass_q + k * k]
    # The standard leaves the high-pass at the gain its table has, not at unity
    high_pass = [1.0, -2.0, 1.0, 1.0, low[1] / low[0], low[2] / low[0]]
    return np.array([[value / shelf[3] for value in shelf], high_pass])


class Levels:
    """A histogram of levels in LU that remembers the exact energy of each bin."""

    def __init__(self) -> None:
        size = round((LOUDEST_LUFS - SILENCE_LUFS) / BIN_LU) + 1
        self._count = np.zeros(size, np.int64)
        self._energy = np.zeros(size)

    def add(self, energies: Doubles) -> None:
        """Count blocks by their weighted mean square; those below the absolute gate are left out."""
        levels = to_lufs(energies)
        heard = levels > SILENCE_LUFS
        index = np.minimum(((levels[heard] - SILENCE_LUFS) / BIN_LU).astype(int), len(self._count) - 1)
        np.add.at(self._count, index, 1)
        np.add.at(self._energy, index, energies[heard])

    def gated(self, below_lu: float) -> tuple[float, npt.NDArray[np.int64]]:
        """Loudness of all that lies at most `below_lu` under the ungated loudness, and the counts of it."""
        if not self._count.any():
            return SILENCE_LUFS, np.zeros_like(self._count)
        gate = float(to_lufs(self._energy.sum() / self._count.sum())) - below_lu
        first = max(0, int(np.ceil((gate - SILENCE_LUFS) / BIN_LU)))
        kept = self._count.copy()
        kept[:first] = 0
        return float(to_lufs(self._energy[first:].sum() / kept.sum())), kept


def to_lufs(energy: npt.ArrayLike) -> Doubles:
    """Weighted mean square to LUFS; no less than 20 below the absolute gate."""
    floor = 10 ** ((SILENCE_LUFS - 20 + 0.691) / 10)
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(energy, floor)))


class Loudness:
    """Integrated loudness and loudness range; takes the recording in chunks of one second.

    Blocks of 400 ms every 100 ms for the loudness, of 3 s every 100 ms for its range. A
    recording shorter than a block counts as one block, so that every sound has a loudness.
    Channels: 5 are L R C Ls Rs, 6 and 8 as in WAV files with LFE fourth; all others weigh 1.
    """

    def __init__(self, format: Format) -> None:
        self._sos = k_weighting(format.sample_rate)
        self._state = np.zeros((2, format.channels, 2))
        self._weights = np.array(WEIGHTS.get(format.channels, (1.0,) * format.channels))
        self._rate = format.sample_rate
        self._momentary, self._short_term = Levels(), Levels()
        self._recent = np.zeros((2, 0))
        self._total, self._samples = 0.0, 0

    def take(self, chunk: Samples) -> None:
        """The next second, (channels, samples); only the last may be shorter."""
        heard, self._state = sosfilt(self._sos, chunk, axis=1, zi=self._state)
        edges = np.arange(SEGMENTS_PER_S + 1) * self._rate // SEGMENTS_PER_S
        power = self._weights @ np.add.reduceat(
            np.square(heard, out=heard), edges[edges < chunk.shape[1]], axis=1
        )
        self._total += float(power.sum())
        self._samples += chunk.shape[1]
        whole = int(np.count_nonzero(edges[1:] <= chunk.shape[1]))
        segments = np.concatenate((self._recent, (power[:whole], np.diff(edges)[:whole])), axis=1)
        for levels, blocks in ((self._momentary, 4), (self._short_term, 30)):
            energy, length = _sliding_sums(segments, blocks, whole)
            levels.add(energy / length)
        self._recent = segments[:, -29:]

    def finish(self) -> tuple[float, float]:
        """Integrated loudness in LUFS (no less than -70) and loudness range in LU (0 below 3 s)."""
        if self._samples < 0.4 * self._rate and self._samples:
            self._momentary.add(np.array([self._total / self._samples]))
        integrated, _ = self._momentary.gated(10.0)
        _, kept = self._short_term.gated(20.0)
        if not kept.any():
            return max(integrated, SILENCE_LUFS), 0.0
        share = np.cumsum(kept) / kept.sum()
        low, high = np.searchsorted(share, (0.10, 0.95))
        return max(integrated, SILENCE_LUFS), float(high - low) * BIN_LU


def _sliding_sums(segments: Doubles, blocks: int, new: int) -> Doubles:
    """Sums over `blocks` columns, for each of the last `new` columns that has so many up to itself."""
    known = segments[:, -min(segments.shape[1], new + blocks - 1) :]
    if new == 0 or known.shape[1] < blocks:
        return np.zeros((len(segments), 0))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(known, blocks, axis=1).sum(axis=2))


class TruePeak:
    """The highest value of the waveform between the samples, by 4-fold interpolation (BS.1770-4, annex 2).

    2-fold above 80 kHz and none above 160 kHz, as the annex allows. Stretches that cannot
    reach the highest peak so far, whatever their samples, are not interpolated; the
    result is the same as if all were.
    """

    HALF = 12
    PIECE = 64

    def __init__(self, format: Format) -> None:
        self.factor = 4 if format.sample_rate < 80_000 else 2 if format.sample_rate < 160_000 else 1
        self.peak = 0.0
        place = np.arange(-self.HALF + 1, self.HALF + 1)
        phases = []
        for step in range(1, self.factor):
            at = step / self.factor - place
            taps = np.sinc(at) * np.i0(7.0 * np.sqrt(np.maximum(1 - (at / self.HALF) ** 2, 0))) / np.i0(7.0)
            phases.append(taps / taps.sum())
        self._bound = max((float(np.abs(taps).sum()) for taps in phases), default=1.0)
        width = self.PIECE + 2 * self.HALF - 1
        self._matrix = np.zeros((width, self.PIECE * len(phases)), np.float32)
        for index, taps in enumerate(phases):
            for i in range(self.PIECE):
                self._matrix[i : i + 2 * self.HALF, index * self.PIECE + i] = taps

    def take(self, samples: Samples, lead: int, length: int) -> None:
        """The next chunk, samples[:, lead : lead + length], with up to HALF samples on both sides."""
        chunk = samples[:, lead : lead + length]
        self.peak = max(self.peak, float(np.abs(chunk).max(initial=0.0)))
        if self.factor == 1 or not length:
            return
        count = -(-length // self.PIECE)
        padded = np.zeros((len(samples), count * self.PIECE + 2 * self.HALF), np.float32)
        first = lead - self.HALF + 1
        given = samples[:, max(first, 0) : lead + length + self.HALF]
        padded[:, max(-first, 0) : max(-first, 0) + given.shape[1]] = given
        pieces = np.lib.stride_tricks.sliding_window_view(padded, len(self._matrix), axis=1)[:, :: self.PIECE]
        pieces = pieces[:, :count].reshape(-1, len(self._matrix))
        reach = np.maximum(pieces.max(axis=1), -pieces.min(axis=1)) * self._bound
        order = np.argsort(-reach, kind="stable")
        order = order[reach[order] > self.peak]
        for part in (order[:32], order[32:]):
            hopeful = part[reach[part] > self.peak]
            if len(hopeful):
                self.peak = max(self.peak, float(np.abs(pieces[hopeful] @ self._matrix).max()))
