"""Fill short holes from the sound on both sides.

Use when: samples are missing, muted or held for up to about 100 ms.
Not for:  longer holes: what is put in fades into a murmur, and the words or notes are gone.
Method:   autoregressive models of what lies on both sides, and the samples that leave them the smallest
          prediction error (Janssen, Veldhuis and Vries 1986). Three sizes are tried, for steady notes
          and for quick speech; how well each one fills holes made for a trial in the sound before
          and after decides how much it counts. Amid other holes one model is fitted to all that is
          left between them. A hole longer than `longest_ms` is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core import ar
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format
from wavemend.engine.gaps import Gaps
from wavemend.engine.stream import Stream
from wavemend.repairs import Repair

Floats = npt.NDArray[np.float64]


SIZES = (1.0, 0.36, 0.125)  # of models and of the sound that they are fitted to, as shares of the largest
ROUNDS, TRIAL_ROUNDS = 3, 2
TRIAL_AWAY_MS = 4.0  # between the hole and the trials beside it
SHARPNESS = 4  # how much less a size counts that filled the trials worse
WORST = 2.0  # error of a trial over its energy, at most
SURE = 1e-4
SMALLEST_ORDER = 128  # amid other holes: between this and `order`, as many as the hole has samples
FEWEST = 3  # known samples for each number in the smallest model


class HoleFiller(Gaps):
    """Interpolates one hole at a time."""

    def __init__(
        self, format: Format, findings: Sequence[Finding], order: int, context_ms: float, longest_ms: float
    ) -> None:
        per_ms = format.sample_rate / 1000
        self._order, self._reach = order, round(context_ms * per_ms)
        self._away = round(TRIAL_AWAY_MS * per_ms)
        regions = [finding.region for finding in findings]
        super().__init__(format, regions, round(longest_ms * per_ms), self._reach)

    def replace(self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]]) -> Floats:
        # only what reaches up to the hole without another one is used
        low = max([high for _, high in others if high <= start], default=0)
        high = min([low for low, _ in others if low >= stop], default=len(piece))
        near, a, b = piece[low:high], start - low, stop - low
        if others and len(near) - (b - a) < FEWEST * self._order * SIZES[-1]:
            filled = self._amid_others(piece, start, stop, others, low, high)
        else:
            filled = self._weighed(near, a, b)
        limit = 2 * float(np.max(np.abs(np.delete(piece, slice(start, stop))), initial=0.0))
        return np.clip(filled, -limit, limit)

    def _weighed(self, sound: Floats, start: int, stop: int) -> Floats:
        """What models of all sizes put in, weighed by how they did in the trials."""
        filled = np.array([self._filled(sound, start, stop, size, ROUNDS) for size in SIZES])
        length = stop - start
        whole = sound.copy()
        whole[start:stop] = filled.mean(axis=0)
        errors = np.zeros(len(SIZES))
        for at in (start - self._away - length, stop + self._away):
            if at < length or at + 2 * length > len(sound):
                continue
            truth = sound[at : at + length]
            energy = float(truth @ truth) + 1e-12
            for k, size in enumerate(SIZES):
                error = self._filled(whole, at, at + length, size, TRIAL_ROUNDS) - truth
                errors[k] += min(float(error @ error) / energy, WORST)
        weights = (errors + SURE) ** -SHARPNESS
        return np.asarray(weights @ filled / weights.sum())

    def _filled(self, sound: Floats, start: int, stop: int, size: float, rounds: int) -> Floats:
        reach = round(self._reach * size)
        first, last = max(start - reach, 0), min(stop + reach, len(sound))
        order = max(round(self._order * size), 1)
        return ar.interpolate(sound[first:last], start - first, stop - first, order, rounds)

    def _amid_others(
        self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]], low: int, high: int
    ) -> Floats:
        """By one model, by least squares, of all stretches between the holes."""
        known = ar.between(len(piece), [(start, stop), *others])
        order = ar.affordable(min(self._order, max(stop - start, SMALLEST_ORDER)), [b - a for a, b in known])
        a = ar.covariance([piece[a:b] for a, b in known], order)
        missing = np.zeros(high - low, np.bool_)
        missing[start - low : stop - low] = True
        return ar.fill(piece[low:high], missing, a)[start - low : stop - low]


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    return HoleFiller(format, findings, int(options["order"]), options["context_ms"], options["longest_ms"])


REPAIR = Repair(
    name="fill",
    title="Fill short holes",
    treats=("dropouts",),
    scope="local",
    own_params={
        "order": Param(
            2560,
            16,
            6000,
            "",
            "numbers in the largest model of the sound; more resolve more tones",
            whole=True,
        ),
        "context_ms": Param(250.0, 5.0, 800.0, "ms", "sound on each side that the largest is fitted to"),
        "longest_ms": Param(100.0, 1.0, 200.0, "ms", "the longest hole that is filled"),
    },
    fills=True,
    build=build,
    doc=__doc__,
)
