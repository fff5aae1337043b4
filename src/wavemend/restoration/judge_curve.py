"""The judge of repairs that undo a curve: where it was there, spectra get emptier; where not, fuller."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wavemend.core.bending import FRAME_MS, emptiness, telling
from wavemend.core.noise import frame_length
from wavemend.core.types import Action, Format, Samples
from wavemend.restoration.judges import GlidingJudge

FULLER_BOUND_DB = 0.05
FEWEST = 8  # frames: one alone may get fuller under the right curve


class CurveJudge(GlidingJudge[float]):
    """Gives back windows whose loud frames did not get emptier."""

    def __init__(self, step: int, format: Format) -> None:
        super().__init__(step)
        self._frame = frame_length(format.sample_rate, FRAME_MS)

    def hear(self, dry: Samples, wet: Samples) -> float | None:
        """By how many dB the cells got fuller, median over frames of all channels that were changed."""
        count = dry.shape[1] // self._frame
        if not count or np.array_equal(dry, wet):
            return None
        before, after = (x[:, : count * self._frame].reshape(-1, self._frame) for x in (dry, wet))
        loud = telling(before, len(before))
        loud = loud[(before[loud] != after[loud]).any(axis=1)]
        if len(loud) < FEWEST:
            return None
        return float(np.median(emptiness(after[loud])[0] - emptiness(before[loud])[0]))

    def decide(self, heard: float | None) -> tuple[float, dict[str, float]]:
        if heard is None:
            return 1.0, {}
        return float(heard <= FULLER_BOUND_DB), {"fuller_db": heard}

    def worse(self, name: str, a: float, b: float) -> float:
        return max(a, b)

    def reason(self, action: Action, measures: Mapping[str, float]) -> str:
        did = f"between its partials the sound got {-measures['fuller_db']:.2f} dB emptier"
        if action == "keep":
            return f"within bounds: {did}"
        return f"it would have made new partials ({measures['fuller_db']:+.2f} dB); given back untouched"
