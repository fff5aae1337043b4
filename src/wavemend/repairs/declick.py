"""Take single clicks and pops out.

Use when: ticks, pops and glitches stand alone, up to some tens a second.
Not for:  dense crackle (decrackle), holes in the sound (fill), distortion of every peak.
Method:   an autoregressive model of what lies around each click; a click that is a damped
          oscillation is fitted and subtracted, the samples of any other are taken as
          unknown and interpolated (Godsill and Rayner 1998, "Digital Audio Restoration",
          chapters 5 and 7). Amid crackle, the surroundings are freed of it first.
          Exactly the findings' samples are replaced. Longest click: 50 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wavemend.core import ar, crackling, impulses, ringing
from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format
from wavemend.engine.gaps import Gaps
from wavemend.engine.stream import Stream
from wavemend.repairs import Repair

Floats = npt.NDArray[np.float64]

LONGEST_MS = 50.0
# Of the largest sample there and beside it: what would be larger is no sound, but a model gone wrong.
MOST = 1.5


class ClickRemover(Gaps):
    """Subtracts or interpolates one click at a time."""

    def __init__(self, format: Format, findings: Sequence[Finding], order: int, context_ms: float) -> None:
        self._rate, self._order = format.sample_rate, order
        self._own_context = context = max(round(context_ms / 1000 * format.sample_rate), 4 * order)
        longest = round(LONGEST_MS / 1000 * format.sample_rate)
        self._crackled = {
            (finding.region.start, channel)
            for finding in findings
            if finding.measures.get("amid_crackle")
            for channel in finding.region.channels or range(format.channels)
        }
        if self._crackled:
            context = max(context, 4 * impulses.frame_length(format.sample_rate))
        super().__init__(format, [finding.region for finding in findings], longest, context)
        self._near, self._amid = 0j, False
        self._found = {
            (finding.region.start, channel): _oscillation(finding, format.sample_rate)
            for finding in findings
            for channel in finding.region.channels or range(format.channels)
        }

    def new(
        self, window: Window, channel: int, start: int, stop: int, spans: Sequence[tuple[int, int]]
    ) -> Floats | None:
        self._near = self._found.get((start, channel), 0j)
        self._amid = (start, channel) in self._crackled
        return super().new(window, channel, start, stop, spans)

    def replace(self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]]) -> Floats:
        if self._amid:
            piece = self._freed(piece, start, stop)
        first, last = max(start - self._own_context, 0), stop + self._own_context
        piece = piece[first:last]
        others = [(max(a - first, 0), min(b, last) - first) for a, b in others if b > first and a < last]
        start, stop = start - first, stop - first
        a = self._model(piece, [(start, stop), *others])
        order = len(a) - 1
        beside = np.zeros(len(piece), np.bool_)
        for low, high in others:
            if high > start - 2 * order and low < stop + 2 * order:
                beside[low:high] = True
        if beside.any():
            beside[start:stop] = True
            filled = ar.fill(piece, beside, a)
            beside[start:stop] = False
            piece = np.where(beside, filled, piece)
        power = impulses.usual_power(piece, start, stop, a)
        limit = min(start + round(impulses.REACH_MS / 1000 * self._rate), len(piece) - order)
        mended, _ = impulses.mend(piece, start, [stop], a, power, self._rate, limit, stop, self._near)
        filled = np.concatenate((mended.sound, piece[mended.stop : stop]))
        near = piece[max(start - self._order, 0) : stop + self._order]
        return filled if np.abs(filled).max() <= MOST * np.abs(near).max() else piece[start:stop]

    def _model(self, piece: Floats, unknown: Sequence[tuple[int, int]]) -> Floats:
        """Of what is known of (n,), (p + 1,)."""
        known = ar.between(len(piece), unknown)
        order = ar.affordable(self._order, [high - low for low, high in known])
        return ar.covariance([piece[low:high] for low, high in known], order)

    def _freed(self, piece: Floats, start: int, stop: int) -> Floats:
        """(n,) without its crackle, the click still in it, which is taken out while crackle is looked for."""
        freed = crackling.once(piece, self._rate)
        if not self._near or stop - start < impulses.SHORTEST_RING:
            return freed
        first, last = max(start - self._own_context, 0), stop + self._own_context
        a = self._model(freed[first:last], [(start - first, stop - first)])
        error = np.convolve(piece, a)[start : stop + len(a) - 1]
        ring = ringing.fit(error, a, stop - start, self._rate, self._near, ends=True).sound()
        rest = piece.copy()
        rest[start:stop] -= ring
        freed = crackling.once(rest, self._rate)
        freed[start:stop] += ring
        return freed


def _oscillation(finding: Finding, rate: int) -> complex:
    """z of the damped oscillation that was found, to begin the search from; 0 where none was."""
    pitch_hz, decay_ms = finding.measures.get("ring_hz"), finding.measures.get("decay_ms")
    if not isinstance(pitch_hz, (int, float)) or not isinstance(decay_ms, (int, float)) or decay_ms <= 0:
        return 0j
    return complex(np.exp((-1000 / decay_ms + 2j * np.pi * pitch_hz) / rate))


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    return ClickRemover(format, findings, int(options["order"]), options["context_ms"])


REPAIR = Repair(
    name="declick",
    title="Remove clicks and pops",
    treats=("clicks",),
    scope="local",
    own_params={
        "order": Param(
            32, 4, 256, "", "numbers in the model of the sound; more resolve more tones", whole=True
        ),
        "context_ms": Param(20.0, 2.0, 200.0, "ms", "sound on each side that the model is fitted to"),
    },
    build=build,
    doc=__doc__,
)
