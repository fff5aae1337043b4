"""The phases of a band that is missing: what lies below its end, moved up.

Spectral band replication (Dietz et al., "Spectral band replication, a novel approach in audio
coding", AES 112th Convention, 2002), in short-time spectra. The band below the end is repeated upwards,
moved by multiples of four bins: with hops of a quarter of a frame that needs no turn of phase from
frame to frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

QUIET = 1e-11
"""Power that is not told from silence: where the field's measure of log-spectral distance has its floor."""
SPACING = 8
"""Bins from one level that is given to the next."""
GRAIN = 4

Places = npt.NDArray[np.int64]


def source_width(cut: Places) -> Places:
    """How many bins below the end are repeated: about half of what there is."""
    return np.maximum(cut // 2 // GRAIN * GRAIN, GRAIN)


def sources(bins: int, cut: Places) -> Places:
    """From which bin each comes, for ends at bin `cut`: (...,) -> (..., bins). Bins below are their own."""
    place = np.arange(bins)
    width = source_width(np.asarray(cut))[..., np.newaxis]
    over = np.maximum(place - np.asarray(cut)[..., np.newaxis], -1)
    return np.asarray(place - width * (over // width + 1), np.int64)


def between(bins: int) -> npt.NDArray[np.float32]:
    """Levels at every SPACING-th bin to levels at every bin, by straight lines, (bins / SPACING, bins)."""
    knots = bins // SPACING
    at = np.clip((np.arange(bins) - (SPACING - 1) / 2) / SPACING, 0, knots - 1)
    low = np.minimum(at.astype(int), knots - 2)
    out = np.zeros((knots, bins), np.float32)
    out[low, np.arange(bins)] = 1 - (at - low)
    out[low + 1, np.arange(bins)] += at - low
    return out
