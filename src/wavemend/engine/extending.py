"""What lies above the end of a band, made from what a network says of its levels.

Levels are the network's, or those of steady noise that goes on where that is more; the phases are those
of the band below the end, moved up (core.translation), and so are the differences between channels.
Then the phases are brought into agreement: the spectra of the sound that comes out are to have the
magnitudes that were asked for, with what was already given out standing fast (Griffin and Lim, IEEE TASSP
1984; with a few frames ahead as Zhu et al., IEEE TASLP 2007).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.translation import QUIET, SPACING, between, source_width, sources
from wavemend.core.types import Format, Samples
from wavemend.engine.aside import Aside, Framed
from wavemend.engine.calls import Overlap, Spectra
from wavemend.engine.ends import Ends
from wavemend.engine.model import Model
from wavemend.engine.steady import Steady

TURNS = 3
"""How often the phases are brought into agreement."""
AHEAD = 8
"""Frames that have a say in the phases of those before them."""
LIFT = 1.4
"""The median of what is likely is less than its mean by far; and turns of phase lose some."""
MOST = 7.0
"""Nepers of power (30 dB) that the upper band may lie above the one just below its end."""
AS_HERE = 2.0
"""Of a frame's power below the end, that steady noise has at most above it: gated noise stays gated."""
FAINT = 4 * QUIET
"""Power below which nothing is made."""
NOTHING = 1e-20
UNTOLD_HZ = 16_000.0
"""Where the network is told that the band ends while it does not."""
TOLD = 0.94
"""Of the frequency of the end: so far the network hears, as filters damp what is near to it."""
RISE = 4
"""Bins over which the upper band begins, so that it does not leak below the end."""
GRAINS = 61
GRAIN = 1e-7

Powers = npt.NDArray[np.float32]


class Extension(Framed):
    """Blocks at the network's rate in, the band above the end out, aligned and as long.

    `end_hz(sample)` says where the band ends around a sample: None where it does not. Each channel
    keeps its own level and phases.
    """

    def __init__(self, model: Model, channels: int, end_hz: Callable[[int], float | None]) -> None:
        super().__init__(model.card, channels, ahead=AHEAD)
        self._running, self._frames = model.open(), model.card.frames
        self._end_hz, self._overlap = end_hz, Overlap(self._frames, channels)
        self._between = between(self._card.bins)
        self._steady = Steady(channels, self._card.bins)
        shape = (channels, 0, self._card.bins)
        self._waiting = np.zeros(shape, np.complex64)
        self._cuts = np.zeros(0, np.int64)
        self._asked, self._made = np.zeros(shape, np.float32), np.zeros(shape, np.complex64)
        self._given = np.zeros((channels, self._frames.overlap - 1, self._card.bins), np.complex64)
        rng = np.random.default_rng(0)
        grains = rng.standard_normal((2, GRAINS, self._card.bins)) * GRAIN
        self._grains = np.asarray(grains[0] + 1j * grains[1], np.complex64)
        self._frame = 0

    def made(self, start: int, spectra: Spectra) -> Samples:
        spectra = spectra[:, :, :-1]
        card = self._card
        cut = self._cut(start)
        self._steady.push(_power(spectra))
        heard = np.zeros((spectra.shape[1], card.bins, 2), np.float32)
        told = round(TOLD * (cut or self._bin(UNTOLD_HZ)))
        heard[:, :told, 0] = np.sqrt(np.mean(_power(spectra[:, :, :told]), axis=0) + np.float32(NOTHING))
        levels = self._running.step(heard)
        levels = levels[
            max(card.lookahead_frames - start // card.hop, 0) :
        ]  # less those before the recording
        self._waiting = np.concatenate((self._waiting, spectra), axis=1)
        self._cuts = np.concatenate((self._cuts, np.full(spectra.shape[1], cut)))
        known, cuts = self._waiting[:, : len(levels)], self._cuts[: len(levels)]
        self._waiting, self._cuts = self._waiting[:, len(levels) :], self._cuts[len(levels) :]
        asked, made = self._begun(known, cuts, levels)
        self._asked = np.concatenate((self._asked, asked), axis=1)
        self._made = np.concatenate((self._made, made), axis=1)
        return self._settled()

    def _cut(self, sample: int) -> int:
        """The first bin above the end; 0 where there is no end."""
        end_hz = self._end_hz(sample)
        return 0 if end_hz is None else self._bin(end_hz)

    def _bin(self, hz: float) -> int:
        return min(round(hz * self._card.n_fft / self._card.sample_rate), self._card.bins - SPACING)

    def _begun(self, spectra: Spectra, cuts: npt.NDArray[np.int64], levels: Powers) -> tuple[Powers, Spectra]:
        """The magnitudes that are asked for, and a beginning: both (channels, frames, bins)."""
        bins = self._card.bins
        asked, made = np.zeros(spectra.shape, np.float32), np.zeros(spectra.shape, np.complex64)
        for cut in np.unique(cuts[cuts > 0]):
            own = np.flatnonzero(cuts == cut)
            told = round(TOLD * cut)
            taken, wide = spectra[:, own], int(source_width(told))
            power = _power(taken[:, :, told - wide : told]) + np.float32(NOTHING)
            envelope = levels[own] @ self._between
            place = sources(bins, told)
            edge_power = power.mean(axis=2, keepdims=True)
            edge = np.log(edge_power)
            alike = np.log(power.mean(axis=(0, 2)))
            envelope = np.minimum(envelope - alike[:, np.newaxis], np.float32(MOST)) + edge
            wanted = np.exp(envelope)
            hiss = self._steady.above(told)[:, np.newaxis]
            wanted = np.maximum(wanted, np.minimum(hiss, AS_HERE * edge_power))
            size = np.float32(LIFT) * np.sqrt(np.maximum(wanted - np.float32(FAINT), 0))
            rise = np.clip((np.arange(bins) - cut + 1) / (RISE + 1), 0, 1).astype(np.float32)
            grains = self._grains[(self._frame + own) % GRAINS]
            asked[:, own] = size * rise
            made[:, own] = _turned(taken[:, :, place] + grains, asked[:, own])
        self._frame = (self._frame + len(cuts)) % GRAINS
        return asked, made

    def _settled(self) -> Samples:
        """The sound of the frames that have enough others after them; the phases of all are settled."""
        fixed, count = self._given.shape[1], self._made.shape[1] - AHEAD
        if self._asked.any():
            for _ in range(TURNS):
                again = self._again(np.concatenate((self._given, self._made), axis=1))
                self._made = _turned(again[:, fixed:], self._asked)
        if count <= 0:
            return np.zeros((self._channels, 0), np.float32)
        done = self._made[:, :count]
        self._asked, self._made = self._asked[:, count:], self._made[:, count:]
        self._given = np.concatenate((self._given, done), axis=1)[:, -fixed:]
        return self._overlap.add(np.pad(done, ((0, 0), (0, 0), (0, 1))))

    def _again(self, spectra: Spectra) -> Spectra:
        """The spectra of the sound that spectra make."""
        frames, count = self._frames, spectra.shape[1]
        sound = fft.irfft(np.pad(spectra, ((0, 0), (0, 0), (0, 1))), frames.n_fft, axis=2) * frames.synth
        sound = sound.reshape(self._channels, count, -1, frames.hop)
        whole = np.zeros((self._channels, count + sound.shape[2] - 1, frames.hop), np.float32)
        for k in range(sound.shape[2]):
            whole[:, k : k + count] += sound[:, :, k]
        line = whole.reshape(self._channels, -1)
        cut = np.lib.stride_tricks.sliding_window_view(line, frames.n_fft, axis=1)[:, :: frames.hop]
        return np.asarray(fft.rfft(cut * frames.analysis, axis=2)[:, :, :-1], np.complex64)


def _power(spectra: Spectra) -> Powers:
    return np.asarray(spectra.real**2 + spectra.imag**2, np.float32)


def _turned(spectra: Spectra, size: Powers) -> Spectra:
    """These magnitudes with the phases of `spectra`."""
    return np.asarray(size * (spectra / np.maximum(np.abs(spectra), np.float32(1e-30))), np.complex64)


class Extended(Aside):
    """The stream that adds what lies above the end of a band.

    The band ends at `cutoff_hz`; where that is 0, at what is found along the way, AHEAD_S ahead, or at
    `expected_hz` where nothing is found and next to nothing lies above.
    """

    def __init__(
        self, format: Format, model: Model, cutoff_hz: float = 0.0, expected_hz: float | None = None
    ) -> None:
        finds = None if cutoff_hz else Ends(model.card, format.channels, format.sample_rate / 2, expected_hz)
        end_hz = finds.end_hz if finds else lambda sample: cutoff_hz
        difference = Extension(model, format.channels, end_hz)
        super().__init__(format, model.card.sample_rate, difference, finds)
