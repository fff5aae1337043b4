"""Take a constant or slowly wandering offset out of the waveform.

Use when: the waveform does not swing around zero.
Not for:  rumble and thumps; they are faster than the window.
Method:   the mean over a sliding window, centred on each sample, is subtracted: a
          linear-phase high-pass whose cut-off (-3 dB) lies at 0.44 / window_s Hz.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Samples
from wavemend.engine.stream import Chunked, Stream
from wavemend.repairs import Repair


class OffsetRemover(Chunked):
    """Subtracts the mean over `window` samples around each; over fewer at both ends."""

    def __init__(self, format: Format, window: int) -> None:
        super().__init__(format, hop=window // 2, left=window // 2, right=window // 2)

    def process(self, window: Window) -> Samples:
        given, lead, grid = window.samples, window.lead, self._grid
        total = np.zeros((len(given), given.shape[1] + 1))
        np.cumsum(given, axis=1, dtype=np.float64, out=total[:, 1:])
        at = np.arange(lead, lead + window.length)
        first = np.maximum(at - grid.left, 0)
        last = np.minimum(at + grid.right, given.shape[1])
        mean = (total[:, last] - total[:, first]) / (last - first)
        return np.asarray(window.chunk - mean, np.float32)


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One window for all channels; only those with a finding are heard."""
    return OffsetRemover(format, window=2 * round(options["window_s"] * format.sample_rate / 2))


REPAIR = Repair(
    name="dc",
    title="Remove DC offset",
    treats=("dc",),
    scope="steady",
    own_params={
        "window_s": Param(2.0, 0.5, 30.0, "s", "the longer, the lower the notes that stay untouched")
    },
    build=build,
    doc=__doc__,
    takes="tones",
)
