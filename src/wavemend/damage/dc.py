"""A constant offset of the waveform from zero, as a faulty converter or microphone supply leaves it.

Found from the means of one-second stretches: an offset is what they agree on. Sound
has none, whatever its spectrum, so the agreement tells an offset from very low notes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core.blocks import Grid
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

MIN_OFFSET = 0.01  # -40 dBFS: less is not worth a word
MIN_AGREEMENT = 8.0  # offset over the spread of the means


def draw(format: Format, samples: int, rng: np.random.Generator, *, offset: float) -> Drawn:
    """An offset of random sign in every channel."""
    offsets = [offset * float(rng.choice((-1.0, 1.0))) for _ in range(format.channels)]
    findings = tuple(
        _finding(channel, samples, value, confidence=1.0) for channel, value in enumerate(offsets) if value
    )
    return {"offsets": offsets, "findings": findings if samples else ()}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add the offsets; what leaves full scale is left to the writer to clip."""
    return samples + np.asarray(drawn["offsets"], np.float32)[:, np.newaxis]


class OffsetDetector:
    """Means of one-second stretches, per channel; a shorter recording counts as one stretch."""

    def __init__(self, format: Format) -> None:
        self._grid = Grid(format.channels, hop=format.sample_rate)
        self._means: list[np.ndarray] = []

    def push(self, block: Samples) -> None:
        for window in self._grid.push(block):
            self._means.append(window.chunk.mean(axis=1, dtype=np.float64))

    def finish(self) -> Sequence[Finding]:
        for window in self._grid.flush():
            if not self._means and window.length >= self._grid.hop // 4:
                self._means.append(window.chunk.mean(axis=1, dtype=np.float64))
        if not self._means:
            return ()
        means = np.array(self._means)
        offset = np.median(means, axis=0)
        spread = 1.4826 * np.median(np.abs(means - offset), axis=0) + np.abs(offset) * 1e-3 + 1e-12
        agreement = np.abs(offset) / spread
        return [
            _finding(c, self._grid.received, float(offset[c]), float(1 - 2.0 / agreement[c]))
            for c in range(len(offset))
            if abs(offset[c]) >= MIN_OFFSET and agreement[c] >= MIN_AGREEMENT
        ]


def _finding(channel: int, samples: int, offset: float, confidence: float) -> Finding:
    return Finding(
        "dc",
        Region(0, samples, (channel,), (0.0, 5.0)),
        severity=min(1.0, abs(offset) / 0.2),
        confidence=confidence,
        measures={"offset": offset},
    )


DAMAGE = Damage(
    name="dc",
    title="DC offset",
    params={"offset": Param(0.06, 0.0, 0.5, "", "distance of the waveform from zero, full scale is 1")},
    draw=draw,
    apply=apply,
    detector=OffsetDetector,
    doc=__doc__,
)
