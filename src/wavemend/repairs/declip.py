"""Raise peaks that were cut off flat.

Use when: the waveform has flat tops, at full scale or below after a later gain.
Not for:  peaks rounded by tape, valves or a limiter; nothing there is cut. See `desaturate`.
Method:   samples below the clip level keep their bits. The clipped ones are only ever moved
          outward, to where the sound is sparsest in time and frequency; lone tops of a few
          samples to where an autoregressive model of their surroundings expects them.

What comes out may pass full scale. Floats keep it; a file of integers needs a gain below 1,
or its peaks are cut again when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core import ar
from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples
from wavemend.engine.sparse import Dictionary, agree, concentration
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair

CHUNK_S, CONTEXT_S = 2.4, 0.4
# Resolutions of a dictionary: seconds; frames before and after that count as neighbours.
MANY = ((0.371, 1), (0.186, 2), (0.093, 2), (0.046, 3), (0.023, 4))
FAR, SHORT = ((0.371, 1), (0.093, 2)), ((0.093, 2), (0.046, 3), (0.023, 4))
# With how firmly large cells are held, and the last threshold; see `sparse.Dictionary`.
LIGHT = ((MANY, 0, 3e-5),)
DENSE = ((MANY, 0, 3e-5), (((0.186, 2), (0.093, 2), (0.046, 3)), 0, 3e-5), (FAR, 0, 3e-5))
# Voices' few high peaks come out too high where nothing holds them.
VOICES = ((MANY, 3, 2e-4), (SHORT, 3, 2e-4), (SHORT, 0, 2e-4))
LONG_S, BRIEF_S = 0.371, 0.093
VOICE_RATIO = 1.07  # a voice is so much sparser in brief windows than in long ones
DENSE_SHARE = 0.1  # of samples clipped: below it one dictionary and fewer steps do
FEWEST_STEPS = 0.5  # as a share of `iterations`

ITERATIONS = Param(
    500, 10, 2000, "", "effort: time grows with it, beyond the default little is gained", whole=True
)

LONE_COUNT, LONE_TOTAL = 6, 12  # clipped samples in a lone top; in all its surroundings
LONE_JOIN_S, LONE_AROUND_S = 0.0015, 0.023
ORDER = 64
LONE_GROWTH = 2.0  # a top of a few samples does not hide more than 6 dB

Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Declipper(Chunked):
    """Solves each cluster of clipped samples with its surroundings; what lies before is already repaired."""

    def __init__(self, format: Format, findings: Sequence[Finding], iterations: int) -> None:
        rate = format.sample_rate
        context = round(CONTEXT_S * rate)
        super().__init__(format, hop=round(CHUNK_S * rate), left=context, right=context)
        self._light, self._dense, self._voices = (
            [
                Dictionary([(_power_of_two(span * rate), reach) for span, reach in resolutions], roots, last)
                for resolutions, roots, last in dictionaries
            ]
            for dictionaries in (LIGHT, DENSE, VOICES)
        )
        self._long, self._brief = _power_of_two(LONG_S * rate), _power_of_two(BRIEF_S * rate)
        self._reach = self._long // 2
        self._iterations = iterations
        self._lone_gap, self._around = round(LONE_JOIN_S * rate), round(LONE_AROUND_S * rate)
        self._findings = [
            sorted((f for f in findings if f.region.of_channel(c)), key=lambda f: f.region.start)
            for c in range(format.channels)
        ]
        self._next = [0] * format.channels
        self._before = np.zeros((format.channels, 0), np.float32)

    def process(self, window: Window) -> Samples:
        given, lead = window.samples.copy(), window.lead
        given[:, :lead] = self._before[:, self._before.shape[1] - lead :]
        for channel, sound in enumerate(given):
            high, low = self._clipped(channel, window)
            at = np.flatnonzero(high | low)
            if at.size and at[0] < lead + window.length:
                dense = self._solve_lone(sound, at)
                self._solve_dense(sound, high, low, dense, lead + window.length)
        self._before = np.concatenate((self._before, given[:, lead : lead + window.length]), axis=1)
        self._before = self._before[:, -self._grid.left :]
        return given[:, lead : lead + window.length]

    def _clipped(self, channel: int, window: Window) -> tuple[Mask, Mask]:
        """Where the sound lies at or beyond the levels that the findings name, past the lead."""
        sound, first = window.samples[channel], window.start - window.lead
        high, low = np.zeros(len(sound), bool), np.zeros(len(sound), bool)
        findings = self._findings[channel]
        while self._next[channel] < len(findings) and findings[self._next[channel]].region.stop <= first:
            self._next[channel] += 1
        for finding in findings[self._next[channel] :]:
            if finding.region.start >= first + len(sound):
                break
            a, b = max(finding.region.start - first, window.lead), finding.region.stop - first
            high[a:b] |= sound[a:b] >= finding.measures["level_high"]
            low[a:b] |= sound[a:b] <= finding.measures["level_low"]
        return high, low

    def _solve_lone(self, sound: npt.NDArray[np.float32], at: Ints) -> Ints:
        """Fill the lone tops, in place; the clipped places that are left."""
        breaks = np.flatnonzero(np.diff(at) > self._lone_gap) + 1
        first, stop = np.append(0, breaks), np.append(breaks, len(at))
        around = np.searchsorted(at, at[stop - 1] + self._around, "right")
        around -= np.searchsorted(at, at[first] - self._around)
        lone = (stop - first <= LONE_COUNT) & (around <= LONE_TOTAL)
        if lone.any():
            tops = [at[a:b] for a, b in zip(first[lone], stop[lone], strict=True)]
            _predict(sound, tops, self._around)
        rest: Ints = at[~np.repeat(lone, stop - first)]
        return rest

    def _solve_dense(
        self, sound: npt.NDArray[np.float32], high: Mask, low: Mask, at: Ints, stop: int
    ) -> None:
        """Extend the clipped samples before `stop`, in place, cluster by cluster."""
        unknown = np.zeros(len(sound), bool)
        unknown[at] = True
        floor = np.where(low & unknown, np.float32(-np.inf), sound)
        ceiling = np.where(high & unknown, np.float32(np.inf), sound)
        own = at[at < stop]
        reach = self._reach
        for cluster in np.split(own, np.flatnonzero(np.diff(own) > reach) + 1) if own.size else ():
            a, b = max(int(cluster[0]) - reach, 0), min(int(cluster[-1]) + 1 + reach, len(sound))
            share = np.count_nonzero(unknown[a:b]) / (b - a)
            steps = round(
                self._iterations * min(1.0, FEWEST_STEPS + (1 - FEWEST_STEPS) * share / DENSE_SHARE)
            )
            dictionaries = self._dense if share >= DENSE_SHARE else self._light
            long, brief = (concentration(sound[a:b], n_fft) for n_fft in (self._long, self._brief))
            if long > VOICE_RATIO * brief:
                dictionaries = self._voices
            solved = agree(sound[a:b], floor[a:b], ceiling[a:b], dictionaries, steps)
            sound[cluster] = solved[cluster - a]


def _power_of_two(samples: float) -> int:
    return int(2 ** round(np.log2(samples)))


def _predict(sound: npt.NDArray[np.float32], tops: Sequence[Ints], around: int) -> None:
    """Put the samples `tops` of (n,) where a model of `around` samples on both sides expects them.

    In place, never inward. All tops are fitted together: the recursion costs the same for one and many.
    """
    spans = [(max(int(top[0]) - around, 0), min(int(top[-1]) + around, len(sound))) for top in tops]
    lengths = [stop - start for start, stop in spans]
    parts = np.zeros((len(tops), max(lengths)))
    tapers = np.zeros_like(parts)
    for part, taper, (start, stop) in zip(parts, tapers, spans, strict=True):
        part[: stop - start] = sound[start:stop]
        taper[: stop - start] = np.hanning(stop - start + 2)[1:-1]
    order = max(min(ORDER, min(lengths) // 4), 1)
    for _ in range(2):
        lags = ar.autocorrelation(parts * tapers, order)
        lags[:, 0] *= 1 + 1e-9
        models, _errors = ar.levinson(lags)
        for part, model, top, (start, stop) in zip(parts, models, tops, spans, strict=True):
            gap, cut = top - start, sound[top].astype(np.float64)
            missing = np.zeros(stop - start, bool)
            missing[gap] = True
            filled = ar.fill(part[: stop - start], missing, model)
            part[gap] = cut * np.clip(filled[gap] / cut, 1.0, LONE_GROWTH)
    for part, top, (start, _) in zip(parts, tops, spans, strict=True):
        outward = np.abs(part[top - start]) > np.abs(sound[top])
        sound[top[outward]] = part[top[outward] - start]


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One pass for all channels; those without a clipped sample cost nothing."""
    return Declipper(format, findings, int(options["iterations"]))


REPAIR = Repair(
    name="declip",
    title="Restore clipped peaks",
    treats=("clipping",),
    scope="local",
    own_params={"iterations": ITERATIONS},
    build=build,
    doc=__doc__,
    needs=("level_high", "level_low"),
)
