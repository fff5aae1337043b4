"""Narrow bandwidth: sound that ends at a cliff far below the highest frequency that the file can hold.

Telephones, early codecs, shellac and recordings once kept at a low rate leave an edge: sound
below, nothing but a flat floor above. The spectrum of speech and music that merely falls has no
such edge and is no damage. A low-pass above 16 kHz, as lossy files have, is not reported.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

FRAMES_PER_S = 12
FRAME_S = 0.032
HIGHEST_HZ = 15_000.0
LOWEST_HZ = 2_200.0
HIGHEST_SHARE = 0.85  # of half the sample rate
STEP_HZ = 125.0  # width of the bands in which the spectrum is looked at
MIN_DROP_DB = 24.0
MIN_STEEPNESS_DB = 18.0  # more than what lies just below falls over as wide a stretch
EDGE_SHARE = 0.08  # of its frequency: within that to either side the sound ends
ENDS_DB = 12.0  # below the level before the edge, there the sound ends
FLOOR_DB = -130.0
QUIET = 1e-4
MIN_FRAMES = 12


def draw(
    format: Format, samples: int, rng: np.random.Generator, *, cutoff_hz: float, order: int, low_hz: float
) -> Drawn:
    """A cut-off near the one asked for, at most 0.8 of half the sample rate."""
    cutoff = min(cutoff_hz * float(rng.uniform(0.9, 1.1)), 0.4 * format.sample_rate)
    finding = Finding(
        "bandwidth",
        Region(0, max(samples, 1), None, (cutoff, format.sample_rate / 2)),
        severity=_severity(cutoff),
        confidence=1.0,
        measures={"cutoff_hz": cutoff},
    )
    return {"cutoff_hz": cutoff, "order": order, "low_hz": low_hz, "findings": (finding,) if samples else ()}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """An elliptic low-pass, and a Butterworth high-pass where the lows are to go as well."""
    rate = format.sample_rate
    sos = signal.ellip(drawn["order"], 0.3, 80, drawn["cutoff_hz"], fs=rate, output="sos")
    if drawn["low_hz"] > 0:
        sos = np.concatenate((signal.butter(4, drawn["low_hz"], "highpass", fs=rate, output="sos"), sos))
    if not samples.shape[1]:
        return samples.copy()
    return np.asarray(signal.sosfilt(sos, samples, axis=1), np.float32)


class BandwidthDetector(Search):
    """The mean spectrum of the louder frames, a few a second, all channels together."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._n_fft = fft.next_fast_len(max(64, round(FRAME_S * format.sample_rate)), real=True)
        self._grid = Grid(format.channels, hop=max(self._n_fft, format.sample_rate // FRAMES_PER_S))
        self._window = signal.get_window(("kaiser", 12.0), self._n_fft).astype(np.float32)
        self._window *= np.float32(np.sqrt(2 / (self._window**2).sum() / self._n_fft))
        self._sum = np.zeros(self._n_fft // 2 + 1)
        self._frames = 0

    def _conclude(self) -> Sequence[Finding]:
        if self._frames < MIN_FRAMES:
            return []
        return self._judge(self._sum / self._frames)

    def _look(self, window: Window) -> None:
        part = window.chunk[:, : self._n_fft]
        if part.shape[1] < self._n_fft or float(np.mean(part**2)) < QUIET**2:
            return
        spectrum = fft.rfft(part * self._window, axis=1)
        self._sum += (spectrum.real**2 + spectrum.imag**2).mean(axis=0)
        self._frames += 1

    def _judge(self, power: npt.NDArray[np.float64]) -> list[Finding]:
        nyquist = self._format.sample_rate / 2
        width = max(1, round(STEP_HZ / (nyquist / (len(power) - 1))))
        step_hz = nyquist / (len(power) - 1) * width
        bands = power[: len(power) // width * width].reshape(-1, width).mean(axis=1)
        level = np.maximum(10 * np.log10(bands + 1e-20), FLOOR_DB)
        best: tuple[float, int, float, float] | None = None
        for edge in range(round(LOWEST_HZ / step_hz), len(level) - 4):
            if edge * step_hz > min(HIGHEST_HZ, HIGHEST_SHARE * nyquist):
                break
            wide = max(2, round(EDGE_SHARE * edge))
            below = float(np.median(level[edge - 2 * wide : edge]))
            further = float(np.median(level[max(edge - 6 * wide, 0) : edge - 3 * wide]))
            drop = below - float(np.percentile(level[edge + wide :], 95))
            steep = drop - max(further - below, 0.0)
            if drop >= MIN_DROP_DB and steep >= MIN_STEEPNESS_DB and (best is None or steep > best[0]):
                best = (steep, edge, drop, below)
        if best is None:
            return []
        steep, edge, drop, below = best
        falls = np.flatnonzero(level[edge:] < below - ENDS_DB)
        cutoff = (edge + int(falls[0])) * step_hz
        if cutoff > HIGHEST_HZ:
            return []
        confidence = float(np.clip(0.6 + (steep - MIN_STEEPNESS_DB) / 60, 0.6, 0.97))
        return [
            Finding(
                "bandwidth",
                Region(0, self._grid.received, None, (cutoff, nyquist)),
                _severity(cutoff),
                confidence,
                {
                    "cutoff_hz": cutoff,
                    "drop_db": drop,
                    "slope_db_per_octave": drop / float(np.log2(1 + 2 * EDGE_SHARE)),
                },
            )
        ]


def _severity(cutoff_hz: float) -> float:
    """0 at 16 kHz, 0.5 at 5 kHz, 1 at 1.6 kHz."""
    return float(np.clip(np.log10(16_000 / cutoff_hz), 0.02, 1.0))


DAMAGE = Damage(
    name="bandwidth",
    title="Narrow bandwidth",
    params={
        "cutoff_hz": Param(6000.0, 500.0, 16000.0, "Hz", "where the sound ends"),
        "order": Param(8, 2, 12, "", "of the elliptic low-pass; the higher, the steeper", whole=True),
        "low_hz": Param(0.0, 0.0, 1000.0, "Hz", "where the sound begins; 0 leaves the lows"),
    },
    draw=draw,
    apply=apply,
    detector=BandwidthDetector,
    doc=__doc__,
)
