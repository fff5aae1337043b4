"""What a judge is: it measures one window of a step and says how much of the difference passes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from wavemend.core.blocks import Window
from wavemend.core.types import Samples, Verdict

Floats = npt.NDArray[np.floating]


class Judge(Protocol):
    """Sees the windows of a step in order, each once."""

    def judge(self, dry: Window, wet: Samples) -> Floats:
        """The share of the difference, 0 to 1, for each sample: (channels, length) or (length,)."""

    def verdicts(self) -> list[Verdict]:
        """What was decided, in order of place. Called after the last window."""
