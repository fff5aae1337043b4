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
        super().__init__(format, hop=window, left=window // 2, right=window // 2)

    def process(self, window: Window) -> Samples:
        given, lead, grid = window.samples, window.lead, self._grid
        # beyond both ends of the recording the running sum stands still
        short = max(grid.left - lead, 0), max(lead + window.length + grid.right - given.shape[1], 0)
        total = np.zeros((len(given), short[0] + given.shape[1] + 1 + short[1]))
        inner = total[:, short[0] + 1 : short[0] + 1 + given.shape[1]]
        np.cumsum(given, axis=1, dtype=np.float64, out=inner)
        total[:, short[0] + 1 + given.shape[1] :] = inner[:, -1:]
        at = np.arange(lead, lead + window.length)
        count = np.minimum(at + grid.right, given.shape[1]) - np.maximum(at - grid.left, 0)
        first = lead + short[0] - grid.left
        last = lead + short[0] + grid.right
        sums = total[:, last : last + window.length] - total[:, first : first + window.length]
        return np.asarray(window.chunk - sums / count, np.float32)


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
    min_severity=0.2,  # an offset of 0.04: less costs below 0.4 dB of headroom, and nobody hears it
)
