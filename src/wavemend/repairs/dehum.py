"""Take mains hum and buzz out, harmonic by harmonic, following its frequency and level.

Use when: a steady tone of 50 or 60 Hz and its harmonics lies under the recording, also one
          that drifts with the speed of a tape.
Not for:  machines, fans and generators whose pitch wanders by more than some percent.
Method:   the fundamental is tracked over all harmonics together; each harmonic is brought
          down to zero frequency along that track, its complex amplitude is estimated over
          some seconds with weights that leave out the moments when music or speech
          covers it (an M-estimate with Cauchy weights), and the sum of all is subtracted. A
          harmonic that is not certain is subtracted in part or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core import mains
from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair

BLOCKS_PER_S = 375
BLOCKS_PER_FRAME = 48
FRAMES_PER_CHUNK = 8
ITERATIONS = 3
PAST = 2  # times more is seen of what has gone by than of what comes
LASTING_DB = 8.0  # three harmonics that stand out so far are believed without a finding's word
USUAL_STRAY = 0.013  # of such a hum from its family; the note G1 lies at 0.02
SMOOTH_OVER = 3  # frames of the track on either side
LAG = 4  # frames between the phases that are compared
REFINED_OVER = 10  # frames on either side over which the frequency is refined
PHASE_OVER = 8  # frames on either side that agree on a phase
STILL = 100.0  # what speaks against a shift of phase, in 1/rad²
REFINED_WITH = 24  # harmonics

Complex = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.float64]


class HumRemover(Chunked):
    """Estimates and subtracts the harmonics of one fundamental in all channels.

    Stages, each on what the one before has made final: the track of the fundamental,
    the harmonics along it in frames of an eighth of a second, a correction of the
    track by their phases, and their amplitudes, for which `context_s` are seen on
    either side.
    """

    def __init__(self, format: Format, f0_hz: float | None, context_s: float, top_hz: float) -> None:
        rate = format.sample_rate
        self._by = mains.scale(rate)
        self._block = max(1, round(rate / BLOCKS_PER_S))
        self._frame = self._block * BLOCKS_PER_FRAME
        self._context = max(FRAMES_PER_CHUNK, round(context_s * rate / self._frame))
        ahead = self._by.reach + self._by.margin + 2 * self._by.hop + (LAG + 1) * self._frame
        super().__init__(
            format,
            hop=self._frame * FRAMES_PER_CHUNK,
            left=2 * self._by.reach + 2 * self._by.margin + 2 * self._by.hop,
            right=self._context * self._frame + ahead,
        )
        self._track = _Track(self._by, f0_hz)
        lowest = self._track.lowest_hz
        self._k = np.arange(1, max(1, int(min(top_hz, 0.45 * rate) / lowest)) + 1)
        # frames that are held: index of the first, then one entry each
        self._first = 0
        self._lines = np.zeros((format.channels, 0, len(self._k)), np.complex64)
        self._weights = np.zeros((format.channels, 0, len(self._k)), np.float32)
        self._turn = np.zeros(0)  # advance of phase from the frame before that the track has missed
        self._phase = np.zeros(0)  # of the fundamental at the middle of each block of the frames held
        self._f0 = np.zeros(0)  # at the middle of each frame
        self._end_phase = 0.0

    def process(self, window: Window) -> Samples:
        last = window.start - window.lead + window.samples.shape[1]
        ended = last < window.start + window.length + self._grid.right
        self._track.extend(window, last)
        if not self._track.found:
            self._first = (window.start + window.length) // self._frame
            return window.chunk
        until = last if ended else self._track.known_until
        count = (until - self._frame * (self._first + len(self._f0))) // self._frame
        if count > 0:
            self._demodulate(window, count)
        if not len(self._f0):
            return window.chunk
        out = window.chunk - self._hum(window)
        self._forget(window.start // self._frame + FRAMES_PER_CHUNK)
        return np.asarray(out, np.float32)

    def _wave(self, f0_hz: float) -> Complex:
        """One block of each harmonic, its phase zero in the middle, (block, harmonics)."""
        time = (np.arange(self._block) - (self._block - 1) / 2) / self.format.sample_rate
        wave = np.exp(2j * np.pi * f0_hz * time[:, np.newaxis] * self._k)
        return np.asarray(wave, np.complex64)

    def _demodulate(self, window: Window, count: int) -> None:
        rate, block = self.format.sample_rate, self._block
        start = self._frame * (self._first + len(self._f0))
        middles = np.asarray(start + block * (np.arange(count * BLOCKS_PER_FRAME) + 0.5), np.float64)
        f0 = self._track.at(middles)
        advance = 2 * np.pi * f0 * block / rate
        phase = np.mod(self._end_phase + np.cumsum(advance) - 0.5 * advance, 2 * np.pi)
        self._end_phase = float((self._end_phase + advance.sum()) % (2 * np.pi))
        offset = start - window.start + window.lead
        sound = window.samples[:, offset : offset + count * self._frame]
        sound = np.ascontiguousarray(sound).reshape(len(sound), -1, block)
        wave = self._wave(float(f0.mean())).conj()
        part = (sound @ wave.real + 1j * (sound @ wave.imag)) * self._rotation(-phase)
        lines = part.reshape(len(sound), count, BLOCKS_PER_FRAME, -1).mean(axis=2) * (2 / block)
        self._lines = np.concatenate((self._lines, lines.astype(np.complex64)), axis=1)
        self._weights = np.concatenate((self._weights, np.ones(lines.shape, np.float32)), axis=1)
        self._phase = np.concatenate((self._phase, phase))
        self._f0 = np.concatenate((self._f0, f0.reshape(count, -1).mean(axis=1)))
        self._turn = np.concatenate((self._turn, np.zeros(count)))
        self._refine(count)

    def _rotation(self, phase: Floats) -> Complex:
        angle = np.mod(phase[:, np.newaxis] * self._k, 2 * np.pi).astype(np.float32)
        return np.asarray(np.exp(1j * angle), np.complex64)

    def _refine(self, count: int) -> None:
        """Correct the track by the phases of the lower harmonics, for frames whose surroundings are known."""
        used = min(REFINED_WITH, len(self._k))
        frames = len(self._f0)
        if frames < 2 * LAG:
            return
        lines = self._lines[:, :, :used]
        pairs = (lines[:, LAG:] * lines[:, :-LAG].conj()).sum(axis=0)
        k = self._k[:used]
        turn = np.zeros((len(pairs), 1))
        sizes = np.abs(pairs)
        for _ in range(4):
            # a pair that does not turn as the others do has a note in it
            odd = np.angle(pairs * np.exp(-1j * k * LAG * turn))
            weight = 1 / (0.1 + odd**2)
            sums, total = _around(weight * pairs), _around(weight * sizes)
            coherence = np.minimum(np.abs(sums) / (total + 1e-20), 0.999)
            sharp = (coherence * k) ** 2 / (1 - coherence**2) * (coherence > 0.4)
            missed = np.angle(sums * np.exp(-1j * k * LAG * turn))
            sharp = sharp / (1 + (missed / 0.3) ** 2)
            turn = (
                turn + ((sharp * missed / (k * LAG)).sum(axis=1) / (sharp.sum(axis=1) + 1e-9))[:, np.newaxis]
            )
        new = np.interp(np.arange(frames) - LAG / 2, np.arange(len(turn)), turn[:, 0])
        done = max(frames - count - REFINED_OVER, 0) if frames > count else 0
        self._turn[done:] = new[done:]

    def _hum(self, window: Window) -> npt.NDArray[np.float32]:
        """What is subtracted from the chunk."""
        turned = np.cumsum(self._turn)
        lines = self._lines * self._rotation(-turned)
        at = np.arange(lines.shape[1])
        later = at - at[:, np.newaxis]
        near = np.where(later > 0, later / self._context, -later / (PAST * self._context))
        kernel = np.where(near < 1, np.cos(np.pi / 2 * near) ** 2, 0.0).astype(np.float32)
        weights = self._weights
        for _ in range(ITERATIONS):
            total = kernel @ weights
            level = (kernel @ (weights * lines)) / total
            away = np.abs(lines - level) ** 2
            spread = (kernel @ (weights * away)) / total
            weights = 1 / (1 + away / (spread + np.float32(1e-20)))
            shift = self._shift(lines, level, weights / (spread + np.float32(1e-20)))
            lines = lines * self._rotation(-shift)
            turned = turned + shift
        self._turn = np.diff(turned, prepend=0.0)
        self._weights = weights
        doubt = spread * (kernel**2 @ weights**2) / total**2
        size = np.abs(level) ** 2
        level = level * np.maximum(0, 1 - doubt / (size + np.float32(1e-20)))

        begin = window.start // self._frame - self._first
        blocks = -(-window.length // self._block)
        place = begin * BLOCKS_PER_FRAME + np.arange(blocks)
        phase = self._extended_phase(place)
        where = np.clip((place + 0.5) / BLOCKS_PER_FRAME - 0.5, 0, len(at) - 1)
        low = np.minimum(where.astype(np.int64), max(len(at) - 2, 0))
        share = (where - low).astype(np.float32)[:, np.newaxis]
        high = np.minimum(low + 1, len(at) - 1)
        smooth = level[:, low] * (1 - share) + level[:, high] * share
        missed = np.interp(where, at, turned)
        smooth = smooth * self._rotation(phase + missed)
        wave = self._wave(float(self._f0[np.clip(begin, 0, len(at) - 1) :][:FRAMES_PER_CHUNK].mean()))
        hum = smooth.real @ wave.real.T - smooth.imag @ wave.imag.T
        return np.asarray(hum.reshape(len(hum), -1)[:, : window.length], np.float32)

    def _shift(self, lines: Complex, level: Complex, sure: npt.NDArray[np.float32]) -> Floats:
        """By how much the phase of the fundamental differs from the one believed, in each frame."""
        pull = (sure * self._k * (lines * level.conj()).imag).sum(axis=(0, 2), dtype=np.float64)
        stiff = (sure * self._k**2 * np.abs(level) ** 2).sum(axis=(0, 2), dtype=np.float64)
        shape = np.hanning(2 * PHASE_OVER + 1)
        inner = slice(PHASE_OVER, PHASE_OVER + len(pull))
        near = np.convolve(stiff, shape)[inner] + STILL
        return np.clip(np.convolve(pull, shape)[inner] / near, -0.2, 0.2)

    def _extended_phase(self, place: npt.NDArray[np.int64]) -> Floats:
        """The phase in the blocks at these places; beyond the last frame it runs on at the last frequency."""
        held = len(self._phase)
        beyond = np.maximum(place - (held - 1), 0)
        step = 2 * np.pi * self._f0[-1] * self._block / self.format.sample_rate
        phase: Floats = self._phase[np.minimum(place, held - 1)] + beyond * step
        return phase

    def _forget(self, frame: int) -> None:
        """Drop the frames that are of no more use when the next chunk begins with `frame`."""
        drop = min(max(frame - PAST * self._context - self._first, 0), len(self._f0) - 1)
        if drop:
            # the sum of the turns starts at the first frame held: keep the phase that was reached
            reached = float(self._turn[:drop].sum())
            self._phase = self._phase[drop * BLOCKS_PER_FRAME :] + reached
            self._lines = self._lines[:, drop:] * self._rotation(np.array([-reached]))
            self._end_phase += reached
            self._weights = self._weights[:, drop:]
            self._f0, self._turn = self._f0[drop:], self._turn[drop:]
            self._first += drop


def _around(values: np.ndarray) -> np.ndarray:
    """Sums over REFINED_OVER rows to either side."""
    half = REFINED_OVER
    sums = np.cumsum(np.pad(values, ((half + 1, half), (0, 0))), axis=0)
    return np.asarray(sums[2 * half + 1 :] - sums[: -2 * half - 1])


class _Track:
    """The fundamental from moment to moment, made final as the recording goes on."""

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
        self.lowest_hz = min(float(grid[0]) for grid in self._grids)

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
        while self._centre(self._frames) < origin + by.reach and self._centre(self._frames) < by.reach:
            self._frames += 1
            self._kept_from = self._frames
        count = 0
        while self._centre(self._frames + count) + by.reach <= last:
            count += 1
        if count <= 0:
            return
        power = mains.powers(window.samples, self._centre(self._frames) - origin, count, by)
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
        spare = len(path) - 60
        if spare > 0:
            self._scores = [score[spare:] for score in self._scores]
            self._path = path[spare:]
            self._kept_from += spare

    def at(self, samples: Floats) -> Floats:
        """The fundamental at these samples, in Hz."""
        centres = self._centre(self._kept_from) + self._by.hop * np.arange(len(self._path))
        shape = np.hanning(2 * SMOOTH_OVER + 3)[1:-1]
        padded = np.pad(self._path, SMOOTH_OVER, mode="reflect" if len(self._path) > SMOOTH_OVER else "edge")
        smooth = np.convolve(padded, shape / shape.sum(), mode="valid")
        return np.interp(samples, centres, smooth)


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One fundamental for all channels: that of the most certain finding that names one."""
    named = [f for f in findings if isinstance(f.measures.get("f0_hz"), float)]
    best = max(named, key=lambda f: f.confidence, default=None)
    f0_hz = float(best.measures["f0_hz"]) if best is not None else None  # type: ignore[arg-type]
    return HumRemover(format, f0_hz, options["context_s"], options["top_hz"])


REPAIR = Repair(
    name="dehum",
    title="Remove hum",
    treats=("hum",),
    scope="steady",
    own_params={
        "context_s": Param(
            4.0,
            1.0,
            30.0,
            "s",
            "sound seen ahead; the longer, the safer for notes, the shorter, the faster followed",
        ),
        "top_hz": Param(5000.0, 200.0, 20000.0, "Hz", "harmonics above are left in"),
    },
    build=build,
    doc=__doc__,
)
