"""Take crackle out: many small impulses, in the passages that have it.

Use when: a worn or dusty surface crackles through the sound.
Not for:  single clicks and pops (declick): longer impulses are not looked for.
Method:   inside the passages, places whose prediction error a few changed samples explain are
          found, and these samples replaced by the ones that make the error smallest (Godsill
          and Rayner 1998, "Digital Audio Restoration", chapter 5); then again, with
          models of the cleaner sound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core import impulses, specks
from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples, merge_spans
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair


class CrackleRemover(Chunked):
    """Works through about a second at a time; a second without crackle is passed on."""

    def __init__(
        self, format: Format, findings: Sequence[Finding], sensitivity_db: float, passes: int
    ) -> None:
        frame = impulses.frame_length(format.sample_rate)
        self._margin = impulses.FRAMES_BESIDE * frame
        hop = max(round(format.sample_rate / frame), 1) * frame
        super().__init__(format, hop, left=self._margin, right=self._margin)
        self._passes, self._min_gain_db = passes, 24.0 - sensitivity_db
        self._ratio = 10 ** ((16.0 - sensitivity_db / 2) / 20)
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
        sound = window.samples[hit].copy()
        for _ in range(self._passes):
            if not self._clean(sound):
                break
        out = window.chunk.copy()
        out[hit] = sound[:, window.lead : window.lead + window.length]
        return out

    def _clean(self, sound: Samples) -> bool:
        """Take out, in place, what lies far enough apart; whether anything did."""
        found = specks.find(sound, self.format.sample_rate, self._ratio)
        good = np.flatnonzero(found.gain_db > self._min_gain_db)
        length = found.added.shape[1]
        taken = np.zeros(sound.shape, np.bool_)
        for i in good[np.argsort(-found.gain_db[good], kind="stable")]:
            channel, start = int(found.channel[i]), int(found.start[i])
            reach = slice(start, start + length + specks.ORDER)
            if not taken[channel, reach].any():
                taken[channel, reach] = True
                sound[channel, start : start + length] -= found.added[i].astype(np.float32)
        return bool(good.size)


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    return CrackleRemover(format, findings, options["sensitivity_db"], int(options["passes"]))


REPAIR = Repair(
    name="decrackle",
    title="Remove crackle",
    treats=("crackle",),
    scope="local",
    own_params={
        "sensitivity_db": Param(
            16.0, 0.0, 20.0, "dB", "the higher, the smaller the impulses that are taken out"
        ),
        "passes": Param(5, 1, 12, "", "times that impulses are looked for", whole=True),
    },
    build=build,
    doc=__doc__,
)
