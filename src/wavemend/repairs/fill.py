"""Fill short holes from the sound on both sides.

Use when: samples are missing, muted or held for up to about 100 ms.
Not for:  longer holes: what is put in fades into a murmur, and the words or notes are gone.
Method:   autoregressive models of what lies on both sides, and the samples that leave them the smallest
          prediction error (Janssen, Veldhuis and Vries 1986). Three sizes are tried, for notes and for
          quick speech, and one by least squares, for steady tones; how well each one fills holes made
          for a trial in the sound before and after decides how much it counts. Amid other holes only
          the last is used, of all that is left between them. A hole longer than `longest_ms` is
          left as it is.
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
SHARP, SHARP_ORDER = 0.36, 0.3  # the same, of the sound and of the model by least squares
ROUNDS, TRIAL_ROUNDS = 3, 2
TRIAL_AWAY_MS = 4.0  # between the hole and the trials beside it
SHARPNESS = 4  # how much less a size counts that filled the trials worse
WORST = 2.0  # error of a trial over its energy, at most
SURE = 1e-8
SMALLEST_ORDER = 128  # by least squares: between this and the most, as many as the hole has samples
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
            filled = self._least_squares(piece, start, stop, others, low, high)
        else:
            filled = self._weighed(near, a, b)
        limit = 2 * float(np.max(np.abs(np.delete(piece, slice(start, stop))), initial=0.0))
        return np.clip(filled, -limit, limit)

    def _weighed(self, sound: Floats, start: int, stop: int) -> Floats:
        """What models of all sizes put in, weighed by how they did in the trials."""
        filled = np.array(self._candidates(sound, start, stop, ROUNDS))
        length = stop - start
        whole = sound.copy()
        whole[start:stop] = filled.mean(axis=0)
        errors = np.zeros(len(filled))
        for at in (start - self._away - length, stop + self._away):
            if at < length or at + 2 * length > len(sound):
                continue
            truth = sound[at : at + length]
            energy = float(truth @ truth) + 1e-12
            for k, trial in enumerate(self._candidates(whole, at, at + length, TRIAL_ROUNDS)):
                error = trial - truth
                errors[k] += min(float(error @ error) / energy, WORST)
        weights = (errors + SURE) ** -SHARPNESS
        return np.asarray(weights @ filled / weights.sum())

    def _candidates(self, sound: Floats, start: int, stop: int, rounds: int) -> list[Floats]:
        """One filling by each size of model, and one by least squares."""
        made = []
        for size in SIZES:
            near, a, b = self._around(sound, start, stop, size)
            order = max(round(self._order * size), 1)
            made.append(ar.interpolate(near, a, b, order, rounds))
        near, a, b = self._around(sound, start, stop, SHARP)
        made.append(self._least_squares(near, a, b, [], 0, len(near)))
        return made

    def _around(self, sound: Floats, start: int, stop: int, size: float) -> tuple[Floats, int, int]:
        reach = round(self._reach * size)
        first = max(start - reach, 0)
        return sound[first : stop + reach], start - first, stop - first

    def _least_squares(
        self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]], low: int, high: int
    ) -> Floats:
        """By one model of all stretches between the holes: sharp for steady tones, however many holes."""
        known = ar.between(len(piece), [(start, stop), *others])
        most = round(self._order * SHARP_ORDER)
        order = ar.affordable(min(most, max(stop - start, SMALLEST_ORDER)), [b - a for a, b in known])
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
