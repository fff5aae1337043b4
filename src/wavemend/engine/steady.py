"""Steady noise below the end of a band, and how strong it would be above it.

Hiss goes on where a band was cut, at the level that it has there. What counts as hiss: the quiet
moments of the last seconds are all but as loud as the middling ones, and their levels lie on a line that is
nearly level. Quiet moments of music fall with frequency, are rugged, or are far apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wavemend.core.translation import SPACING

QUIET_PERCENT = 20.0
FRAMES, FEWEST = 400, 32  # that are remembered; with fewer nothing is said
SURE, NONE = 1.0, 2.0  # times the limits: full weight up to there, none beyond
FALLS_DB, RUGGED_DB, APART_DB = 1.0, 0.9, 3.0  # an octave; RMS about the line; quiet and middling moments
FAINT = 1e-7  # -70 dBFS: what is below is mostly what codecs left, and does not go on

Powers = npt.NDArray[np.float32]


class Steady:
    """Power spectra of frames in, (channels, frames, bins); how strong steady noise would be above, out."""

    def __init__(self, channels: int, bins: int) -> None:
        self._bins = bins
        self._heard = np.zeros((channels, 0, bins // SPACING), np.float32)

    def push(self, power: Powers) -> None:
        """Hear the next frames."""
        levels = power.reshape(*power.shape[:2], -1, SPACING).mean(axis=3)
        self._heard = np.concatenate((self._heard, levels), axis=1)[:, -FRAMES:]

    def above(self, end: int) -> Powers:
        """Power in each bin, were the octave below bin `end` to go on, (channels, bins); 0 without hiss."""
        low, high = -(-end // (2 * SPACING)), end // SPACING
        if self._heard.shape[1] < FEWEST or high - low < 3:
            return np.zeros((len(self._heard), self._bins), np.float32)
        quiet, middling = np.percentile(self._heard[:, :, low:high], [QUIET_PERCENT, 50], axis=1) + 1e-20
        octaves = np.log2(np.arange(self._bins) + 0.5)
        at = octaves[low * SPACING + SPACING // 2 : high * SPACING : SPACING]
        at, middle = at - at.mean(), at.mean()
        level = 10 * np.log10(quiet)
        slope = level @ at / (at @ at)
        mean = level.mean(axis=1)
        rugged = np.sqrt(np.mean((level - mean[:, np.newaxis] - np.outer(slope, at)) ** 2, axis=1))
        apart = np.median(10 * np.log10(middling / quiet), axis=1)
        sure = np.where(mean > 10 * np.log10(FAINT), 1.0, 0.0)
        for value, limit in ((-slope, FALLS_DB), (rugged, RUGGED_DB), (apart, APART_DB)):
            sure *= np.clip((NONE - value / limit) / (NONE - SURE), 0, 1)
        line = mean[:, np.newaxis] + np.outer(np.minimum(slope, 0), octaves - middle)
        return np.asarray(sure[:, np.newaxis] * 10 ** (line / 10), np.float32)
