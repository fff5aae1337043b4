"""Fill short holes from the sound on both sides.

Use when: samples are missing, muted or held for up to about 100 ms.
Not for:  longer holes: what is put in fades into a murmur, and the words or notes are gone.
Method:   an autoregressive model of high order, fitted to what lies on both sides, and the
          samples that leave it the smallest prediction error (Janssen, Veldhuis and Vries
          1986; Etter 1996, "Restoration of a discrete-time signal segment by
          interpolation based on the left-sided and right-sided autoregressive parameters").
          A hole longer than `longest_ms` is left as it is.
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


SMALLEST_ORDER = 128  # between this and `order`, as many as the hole has samples


class HoleFiller(Gaps):
    """Interpolates one hole at a time."""

    def __init__(
        self, format: Format, findings: Sequence[Finding], order: int, context_ms: float, longest_ms: float
    ) -> None:
        per_ms = format.sample_rate / 1000
        self._order = order
        regions = [finding.region for finding in findings]
        super().__init__(format, regions, round(longest_ms * per_ms), round(context_ms * per_ms))

    def replace(self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]]) -> Floats:
        known = ar.between(len(piece), [(start, stop), *others])
        # only what reaches up to the hole without another one is used
        low = max([high for _, high in others if high <= start], default=0)
        high = min([low for low, _ in others if low >= stop], default=len(piece))
        order = min(self._order, max(stop - start, SMALLEST_ORDER))
        order = ar.affordable(order, [b - a for a, b in known])
        a = ar.covariance([piece[a:b] for a, b in known], order)
        missing = np.zeros(high - low, np.bool_)
        missing[start - low : stop - low] = True
        filled = ar.fill(piece[low:high], missing, a)[start - low : stop - low]
        limit = 2 * float(np.max(np.abs(np.delete(piece, slice(start, stop))), initial=0.0))
        return np.clip(filled, -limit, limit)


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    return HoleFiller(format, findings, int(options["order"]), options["context_ms"], options["longest_ms"])


REPAIR = Repair(
    name="fill",
    title="Fill short holes",
    treats=("dropouts",),
    scope="local",
    own_params={
        "order": Param(
            768, 16, 2000, "", "most numbers in the model of the sound; more resolve more tones", whole=True
        ),
        "context_ms": Param(90.0, 5.0, 500.0, "ms", "sound on each side that the model is fitted to"),
        "longest_ms": Param(100.0, 1.0, 200.0, "ms", "the longest hole that is filled"),
    },
    fills=True,
    build=build,
    doc=__doc__,
)
