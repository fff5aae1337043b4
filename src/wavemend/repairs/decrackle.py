"""Take crackle out: many small impulses, in the passages that have it.

Use when: a worn or dusty surface crackles through the sound.
Not for:  single clicks and pops (declick): longer impulses are not looked for.
Method:   the sound is autoregressive, and crackle what was added to it: bursts of Gaussian
          samples whose spread falls exponentially. Where a burst is likelier than an onset of the
          sound, the most probable sound below is solved for, all bursts together; then
          again, with models of what is free of them (after Godsill and Rayner 1998,
          "Digital Audio Restoration", chapters 5 and 9).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core import crackling, impulses
from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples, merge_spans
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair

MOST_DB = 20.0  # sensitivity at which a burst need only be as likely as none


class CrackleRemover(Chunked):
    """Works through about a second at a time; a second without crackle is passed on."""

    def __init__(
        self, format: Format, findings: Sequence[Finding], sensitivity_db: float, passes: int
    ) -> None:
        frame = impulses.frame_length(format.sample_rate)
        self._margin = impulses.FRAMES_BESIDE * frame
        hop = max(round(format.sample_rate / frame), 1) * frame
        super().__init__(format, hop, left=self._margin, right=self._margin)
        self._passes = passes
        self._sigmas, self._proof = 10 ** ((29 - sensitivity_db) / 20), 2 * (MOST_DB - sensitivity_db)
        regions = [finding.region for finding in findings]
        self._spans = [
            merge_spans([(r.start, r.stop) for r in regions if r.of_channel(channel)])
            for channel in range(format.channels)
        ]

    def process(self, window: Window) -> Samples:
        begin, end = window.start, window.start + window.length
        hit = [c for c, spans in enumerate(self._spans) if any(a < end and b > begin for a, b in spans)]
        if not hit:
            return window.chunk
        out = window.chunk.copy()
        for channel in hit:
            sound = window.samples[channel].astype(np.float64)
            mended = crackling.clean(sound, self.format.sample_rate, self._sigmas, self._proof, self._passes)
            out[channel] = mended[window.lead : window.lead + window.length]
        return out


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    return CrackleRemover(format, findings, options["sensitivity_db"], int(options["passes"]))


REPAIR = Repair(
    name="decrackle",
    title="Remove crackle",
    treats=("crackle",),
    scope="local",
    own_params={
        "sensitivity_db": Param(
            17.0, 0.0, MOST_DB, "dB", "the higher, the smaller the impulses that are taken out"
        ),
        "passes": Param(3, 1, 12, "", "times that impulses are looked for", whole=True),
    },
    build=build,
    doc=__doc__,
)
