"""Take mains hum and buzz out, harmonic by harmonic, following its frequency and level.

Use when: a steady tone of 50 or 60 Hz and its harmonics lies under the recording, also one
          that drifts with the speed of a tape.
Not for:  machines, fans and generators whose pitch wanders by more than some percent.
Method:   a rough track of the fundamental is found over all harmonics together; each harmonic
          is brought down to zero frequency along it; then one phase for all and the amplitude
          of each are fitted to what is seen some seconds before and after, with weights that
          leave out the moments when music or speech covers a harmonic (see core/harmonics.py).
          Their sum is subtracted. A harmonic that is not certain is subtracted in part or
          not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core import harmonics, mains
from wavemend.core.blocks import Window
from wavemend.core.harmonics import Complexes, Fit, Floats
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair

BLOCKS_PER_S = 200
BLOCKS_PER_UNIT = 16
UNITS_PER_CHUNK = 50
UNITS_PER_WAVE = 6  # brought down with waves of one frequency, and turned block by block to the track's
MIN_UNITS = 12
ROUGH = 32  # harmonics that are looked at for the phase, before all are for the amplitudes
PERIOD = 16_384  # points of the table that the hum is read from
FADE_UNITS = 4  # from one estimate to the next
SEARCH_HZ = 1.2  # round the mains' frequency, for one that does not move
LASTING_DB = 8.0  # three harmonics that stand out so far are believed without a finding's word
USUAL_STRAY = 0.013  # of such a hum from its family; the note G1 lies at 0.02
SMOOTH_OVER = 3  # frames of the track on either side
TRACKED_FRAMES = 60

Phase = Callable[[Floats], Floats]
"""Of the fundamental, in rad, at places counted in samples."""


class HumRemover(Chunked):
    """Estimates and subtracts the harmonics of one fundamental in some channels.

    For each chunk a fit over `context_s` before and after it. Where one fit gives way to the
    next, they are faded into each other.
    """

    def __init__(
        self, format: Format, channels: Collection[int], f0_hz: float | None, context_s: float, top_hz: float
    ) -> None:
        rate = format.sample_rate
        self._by = mains.scale(rate)
        self._block = max(1, round(rate / BLOCKS_PER_S))
        self._unit = self._block * BLOCKS_PER_UNIT
        self._unit_s = self._unit / rate
        self._context = max(MIN_UNITS, round(context_s / self._unit_s))
        ahead = self._by.reach + self._by.margin + 3 * self._by.hop
        hop = self._unit * UNITS_PER_CHUNK
        super().__init__(format, hop=hop, right=self._context * self._unit + ahead)
        self._channels = sorted(channels)
        self._f0_hz, self._top_hz = f0_hz, min(top_hz, 0.45 * rate)
        self._track = _Track(self._by, f0_hz)
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(BLOCKS_PER_UNIT) + 0.5) / BLOCKS_PER_UNIT)
        self._ramps = (np.stack((rise, 1 - rise)) * 2 / self._unit).astype(np.complex64)
        # units that are held, from number `_first` on; frame m is centred between units m and m + 1
        self._first = 0
        self._halves = np.zeros((len(self._channels), 0, 2, 0), np.complex64)
        self._base = np.zeros(0)  # phase at the end of each unit, along which it was brought down
        self._now: _Estimate | None = None
        self._before: _Estimate | None = None

    def process(self, window: Window) -> Samples:
        last = window.start - window.lead + window.samples.shape[1]
        ended = last < window.start + window.length + self._grid.right
        self._track.extend(window, last)
        if not self._track.found:
            self._first = (window.start + window.length) // self._unit
            return window.chunk
        until = (last if ended else self._track.known_until) // self._unit
        self._before = self._now
        if until > self._first + len(self._base) and until - self._first >= MIN_UNITS:
            self._now = self._estimate(window, until)
        if self._now is None:
            return window.chunk
        out = window.chunk.copy()
        out[self._channels] -= self._hum(window)
        self._forget((window.start + window.length) // self._unit - self._context)
        return out

    def _estimate(self, window: Window, until: int) -> _Estimate:
        """Take in the units up to `until`, first roughly, then along the phase that was found with them."""
        held = len(self._base)
        start = self._first + held
        rough = self._track.phase(self.format.sample_rate)
        if held:
            seam = np.array([start * self._unit], float)
            rough = _shifted(rough, float(self._base[-1] - rough(seam)[0]))
        count = max(1, int(self._top_hz / self._track.centre_hz))
        halves, base = self._brought_down(window, start, until, rough, min(ROUGH, count))
        halves = np.concatenate((self._halves[..., : halves.shape[-1]], halves), axis=1) if held else halves
        base = np.concatenate((self._base, base))
        phase = self._phase(_lines(halves), base[:-1], held)
        new, ends = self._brought_down(window, start, until, phase, count)
        self._halves = np.concatenate((self._halves, new), axis=1) if held else new
        self._base = np.concatenate((self._base, ends))
        begin = phase(self._unit * (self._first + 1.0 + np.arange(len(self._base) - 1)))
        fit = harmonics.fit(_lines(self._halves), self._base[:-1], begin, self._unit_s, ())
        return _Estimate(fit, self._first, self._unit)

    def _phase(self, lines: Complexes, base: Floats, held: int) -> Phase:
        """The best of several phases: along the rough track, or straight on, or standing still."""
        at = self._unit * (self._first + 1.0 + np.arange(len(base)))
        if self._now is None:
            near_hz = self._f0_hz or self._track.centre_hz
            f0 = harmonics.constant_pitch(lines, base, self._unit_s, near_hz, SEARCH_HZ)
            tries = [base, 2 * np.pi * f0 / self.format.sample_rate * at]
            schedules = harmonics.COLD
        else:
            straight = self._now.phase(at)
            along = np.concatenate(
                (straight[: held - 1], base[held - 1 :] - base[held - 1] + straight[held - 1])
            )
            tries = [straight, along]
            schedules = harmonics.WARM
        best = harmonics.search(lines, base, tries, self._unit_s, schedules)
        by = harmonics.model(len(base), self._unit_s)
        first, unit = self._first, self._unit
        return lambda places: by.phase_at(places / unit - 1 - first, best)

    def _brought_down(
        self, window: Window, start: int, until: int, phase: Phase, count: int
    ) -> tuple[Complexes, Floats]:
        """Units `start` to `until`: sums with a rising and a falling ramp, and the phase at the ends."""
        block = self._block
        origin = window.start - window.lead
        sound = window.samples[self._channels, start * self._unit - origin : until * self._unit - origin]
        sound = sound.reshape(len(sound), -1, block)
        edges = phase(np.arange(start * BLOCKS_PER_UNIT, until * BLOCKS_PER_UNIT + 1) * float(block))
        middle = 0.5 * (edges[1:] + edges[:-1])
        step = UNITS_PER_WAVE * BLOCKS_PER_UNIT
        parts = []
        for i in range(0, len(middle), step):
            j = min(i + step, len(middle))
            turn = (edges[j] - edges[i]) / ((j - i) * block)  # rad in a sample
            wave = harmonics.powers_of(-turn * (np.arange(block) - (block - 1) / 2), count)
            part = sound[:, i:j] @ wave.real + 1j * (sound[:, i:j] @ wave.imag)
            part = part * harmonics.powers_of(-middle[i:j], count)
            parts.append(self._ramps @ part.reshape(len(sound), -1, BLOCKS_PER_UNIT, count))
        return np.concatenate(parts, axis=1), edges[BLOCKS_PER_UNIT::BLOCKS_PER_UNIT]

    def _hum(self, window: Window) -> Samples:
        """What is subtracted from the chunk, (its channels, samples)."""
        assert self._now is not None
        hum = self._now.hum(window.start, window.length)
        if self._before is not None and self._before is not self._now:
            fade = min(FADE_UNITS * self._unit, window.length)
            share = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)).astype(np.float32)
            old = self._before.hum(window.start, fade)
            hum[:, :fade] = old + share * (hum[:, :fade] - old)
        return hum

    def _forget(self, unit: int) -> None:
        """Drop the units before this one, of which those estimated last are kept alive by the estimate."""
        drop = min(max(unit - self._first, 0), max(len(self._base) - MIN_UNITS, 0))
        if drop:
            self._halves, self._base = self._halves[:, drop:].copy(), self._base[drop:].copy()
            self._first += drop


def _lines(halves: Complexes) -> Complexes:
    """Frames of two units each, half overlapping, (channels, units - 1, harmonics)."""
    return np.asarray(halves[:, :-1, 0] + halves[:, 1:, 1], np.complex64)


def _shifted(phase: Phase, by: float) -> Phase:
    return lambda places: phase(places) + by


@dataclass(frozen=True, eq=False)
class _Estimate:
    """A fit whose frame 0 lies at the end of unit `first`."""

    fit: Fit
    first: int
    unit: int

    def phase(self, places: Floats) -> Floats:
        return self.fit.model.phase_at(places / self.unit - 1 - self.first, self.fit.phase)

    def hum(self, start: int, length: int) -> Samples:
        """(channels, length) from sample `start` on."""
        levels = self.fit.levels
        channels, count, _ = levels.shape
        out = np.zeros((channels, length), np.float32)
        if not levels.any():
            return out
        step = self.unit // BLOCKS_PER_UNIT
        edges = np.arange(start, start + length + step, step)
        turns = self.phase(edges.astype(np.float64)) * (PERIOD / (2 * np.pi))
        turns, steps = np.mod(turns[:-1], PERIOD), np.diff(turns)
        inside = ((np.arange(step) + 0.5) / step).astype(np.float32)
        place = turns.astype(np.float32)[:, np.newaxis] + steps.astype(np.float32)[:, np.newaxis] * inside
        place = place.ravel()[:length]
        low = place.astype(np.int32)
        share = place - low
        low &= PERIOD - 1
        # one period at each of the level knots, and between them as much of either as is near
        tables = _tables(levels)
        frames_per_knot = (self.fit.model.frames - 1) / (count - 1)
        knot = ((start + 0.5) / self.unit - 1 - self.first) / frames_per_knot
        pace = 1 / (self.unit * frames_per_knot)
        for i in range(count - 1):
            a = 0 if i == 0 else min(max(math.ceil((i - knot) / pace), 0), length)
            b = length if i == count - 2 else min(max(math.ceil((i + 1 - knot) / pace), 0), length)
            if a >= b:
                continue
            weight = np.clip(knot - i + pace * np.arange(a, b), 0, 1).astype(np.float32)
            at, part = low[a:b], share[a:b]
            for c in range(channels):
                old, new = (
                    values.take(at) + part * steps_.take(at) for values, steps_ in tables[c, i : i + 2]
                )
                out[c, a:b] = old + weight * (new - old)
        return out


def _tables(levels: Complexes) -> npt.NDArray[np.float32]:
    """One period for each channel and knot, and the steps from each of its points to the next."""
    spectra = np.zeros((*levels.shape[:2], PERIOD // 2 + 1), np.complex64)
    spectra[..., 1 : levels.shape[2] + 1] = levels * np.float32(PERIOD / 2)
    period = fft.irfft(spectra, PERIOD)
    return np.stack((period, np.roll(period, -1, axis=-1) - period), axis=2)


class _Track:
    """The fundamental from moment to moment, roughly, as far as the recording is known."""

    def __init__(self, by: mains.Scale, f0_hz: float | None) -> None:
        self._by = by
        self._known = f0_hz is not None
        families = mains.FAMILIES_HZ if f0_hz is None else (f0_hz,)
        self._grids = [mains.candidates(family) for family in families]
        self._centres = list(families)
        self._scores: list[npt.NDArray[np.float32]] = []
        self._kept_from = 0
        self._frames = 0
        self._path: Floats = np.zeros(0)
        self.found = False

    @property
    def centre_hz(self) -> float:
        """The usual frequency of the family."""
        return self._centres[0]

    def _centre(self, frame: int) -> int:
        return frame * self._by.hop + self._by.hop // 2 // self._by.factor * self._by.factor

    @property
    def known_until(self) -> int:
        """The sample up to which the track will hardly change any more."""
        return self._centre(self._frames - 2) if self._frames > 2 else 0

    def extend(self, window: Window, last: int) -> None:
        """Take in the frames that lie whole within the recording up to sample `last`."""
        by = self._by
        origin = window.start - window.lead
        while self._centre(self._frames) < by.reach:
            self._frames += 1
            self._kept_from = self._frames
        count = 0
        while self._centre(self._frames + count) + by.reach <= last:
            count += 1
        if count <= 0:
            return
        low = mains.brought_down(window.samples, self._centre(self._frames) - origin, count, by)
        power = mains.powers(low, count, by)
        contrast = mains.contrasts(power, by)
        new = [mains.standing_out(contrast, grid, by) for grid in self._grids]
        old = self._scores or [part[:0] for part in new]
        self._scores = [np.concatenate(pair) for pair in zip(old, new, strict=True)]
        self._frames += count
        self._decide()

    def _decide(self) -> None:
        tracks = [
            mains.track(score, grid, centre)
            for score, grid, centre in zip(self._scores, self._grids, self._centres, strict=True)
        ]
        best = int(np.argmax([lasting.sum() for _, lasting in tracks]))
        path, lasting = tracks[best]
        hum = (
            int((lasting > LASTING_DB).sum()) >= 3
            and lasting[:4].max() > LASTING_DB
            and abs(path.mean() / self._centres[best] - 1) < USUAL_STRAY
        )
        if not self.found and (self._known or hum):
            self.found = True
            self._grids, self._scores = [self._grids[best]], [self._scores[best]]
            self._centres = [self._centres[best]]
        self._path = path
        spare = len(path) - TRACKED_FRAMES
        if spare > 0:
            self._scores = [score[spare:] for score in self._scores]
            self._path = path[spare:]
            self._kept_from += spare

    def phase(self, sample_rate: int) -> Phase:
        """The phase along the track; zero at its first frame, and straight on beyond both ends."""
        shape = np.hanning(2 * SMOOTH_OVER + 3)[1:-1]
        padded = np.pad(self._path, SMOOTH_OVER, mode="reflect" if len(self._path) > SMOOTH_OVER else "edge")
        f0 = np.convolve(padded, shape / shape.sum(), mode="valid")
        hop, first = float(self._by.hop), float(self._centre(self._kept_from))
        reached = np.concatenate(([0.0], np.cumsum(0.5 * (f0[1:] + f0[:-1]) * hop)))

        def at(places: Floats) -> Floats:
            index = np.clip(((places - first) // hop).astype(np.int64), 0, len(f0) - 1)
            over = places - first - hop * index
            bend = np.append(np.diff(f0) / hop, 0.0)[index] * ((over > 0) & (over < hop))
            turns = reached[index] + f0[index] * over + 0.5 * bend * over**2
            return np.asarray(2 * np.pi / sample_rate * turns, np.float64)

        return at


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One fundamental for all channels with a finding: that of the most certain one that names it."""
    named = [f for f in findings if isinstance(f.measures.get("f0_hz"), float)]
    best = max(named, key=lambda f: f.confidence, default=None)
    f0_hz = float(best.measures["f0_hz"]) if best is not None else None  # type: ignore[arg-type]
    channels = [c for c in range(format.channels) if any(f.region.of_channel(c) for f in findings)]
    return HumRemover(format, channels, f0_hz, options["context_s"], options["top_hz"])


REPAIR = Repair(
    name="dehum",
    title="Remove hum",
    treats=("hum",),
    scope="steady",
    own_params={
        "context_s": Param(
            8.0,
            2.0,
            30.0,
            "s",
            "sound seen before and after; the longer, the safer for notes, the shorter, the faster followed",
        ),
        "top_hz": Param(9000.0, 200.0, 20000.0, "Hz", "harmonics above are left in"),
    },
    build=build,
    doc=__doc__,
    takes="tones",
    min_confidence=0.6,
)
