"""Raise peaks that were cut off flat.

Use when: the waveform has flat tops, at full scale or below after a later gain.
Not for:  peaks rounded by a limiter, tape or valves; nothing there is cut.
Method:   samples below the clip level keep their bits. The clipped ones are only ever moved
          outward, to where the sound is sparsest in time and frequency.

What comes out may pass full scale. Floats keep it; a file of integers needs a gain below 1,
or its peaks are cut again when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples
from wavemend.engine.sparse import extend
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair

CHUNK_S, CONTEXT_S = 2.0, 0.5
WINDOW_S = 0.186
REACH = 2  # frames before and after


class Declipper(Chunked):
    """Solves each cluster of clipped samples with its surroundings; what lies before is already repaired."""

    def __init__(self, format: Format, findings: Sequence[Finding], iterations: int) -> None:
        rate = format.sample_rate
        self._context = round(CONTEXT_S * rate)
        super().__init__(format, hop=round(CHUNK_S * rate), left=self._context, right=self._context)
        self._n_fft = 2 ** round(np.log2(WINDOW_S * rate))
        self._iterations = iterations
        self._findings = [
            sorted((f for f in findings if f.region.of_channel(c)), key=lambda f: f.region.start)
            for c in range(format.channels)
        ]
        self._next = [0] * format.channels
        self._before = np.zeros((format.channels, 0), np.float32)

    def process(self, window: Window) -> Samples:
        out = window.chunk.copy()
        first = window.start - window.lead
        known = self._before[:, self._before.shape[1] - window.lead :]
        for channel, given in enumerate(window.samples):
            high, low = self._clipped(channel, given, first)
            clipped = high | low
            clipped[: window.lead] = False
            own = np.flatnonzero(clipped[: window.lead + window.length])
            if not own.size:
                continue
            sound = given.copy()
            sound[: window.lead] = known[channel]
            floor = np.where(low & clipped, np.float32(-np.inf), sound)
            ceiling = np.where(high & clipped, np.float32(np.inf), sound)
            breaks = np.flatnonzero(np.diff(own) > self._n_fft) + 1
            for cluster in np.split(own, breaks):
                a = max(int(cluster[0]) - self._n_fft, 0)
                b = min(int(cluster[-1]) + 1 + self._n_fft, len(given))
                solved = extend(sound[a:b], floor[a:b], ceiling[a:b], self._n_fft, REACH, self._iterations)
                out[channel, cluster - window.lead] = solved[cluster - a]
        self._before = np.concatenate((self._before, out), axis=1)[:, -self._context :]
        return out

    def _clipped(self, channel: int, given: Samples, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the sound in the window lies at or beyond the levels that the findings name."""
        high, low = np.zeros(len(given), bool), np.zeros(len(given), bool)
        findings, stop = self._findings[channel], first + len(given)
        while self._next[channel] < len(findings) and findings[self._next[channel]].region.stop <= first:
            self._next[channel] += 1
        for finding in findings[self._next[channel] :]:
            if finding.region.start >= stop:
                break
            a, b = max(finding.region.start - first, 0), min(finding.region.stop - first, len(given))
            high[a:b] |= given[a:b] >= finding.measures["level_high"]
            low[a:b] |= given[a:b] <= finding.measures["level_low"]
        return high, low


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One pass for all channels; those without a clipped sample cost nothing."""
    return Declipper(format, findings, int(options["iterations"]))


REPAIR = Repair(
    name="declip",
    title="Restore clipped peaks",
    treats=("clipping",),
    scope="local",
    own_params={
        "iterations": Param(
            150, 10, 2000, "", "effort; the loudest clipping gains from more, time grows with it", whole=True
        )
    },
    build=build,
    doc=__doc__,
)
