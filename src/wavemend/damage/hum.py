"""Mains hum and buzz: a steady tone of 50 or 60 Hz and its harmonics.

Found by what sets it apart from notes: it is there in every pause, at one level, at exact
multiples of one frequency. Judged on frames of a second over stretches of about 16 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core import mains
from wavemend.core.blocks import Grid, Window
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

TOP_HZ = 5_000.0
PERIOD = 16_384  # points of the table that a simulated hum is read from
FRAMES_PER_WINDOW = 8
FRAMES_PER_STRETCH = 64
MIN_FRAMES = 8
USUAL_STRAY = 0.013  # of the fundamental from its family, on average
EVIDENCE_ASTRAY = 5.0  # where it strays further: tapes at a wrong speed, but also the note G1
LEAST_DB = -100.0  # fainter harmonics are not looked at, dBFS
LEAST_HEARD_DB = -82.0  # of all harmonics, A-weighted, dBFS; less is not heard and is left alone
MOST_GAP_DB = 7.0  # that a harmonic may seem to sink for an eighth of a second
EVIDENCE = 1.5  # harmonics, each counted by how steady it is
EVIDENCE_BESIDE = 1.0  # of a stretch beside one that is certain
EVIDENCE_OF_MOST = 2.0  # where seven in ten are right


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    f0_hz: float,
    sdr_db: float,
    buzz: float,
    drift_percent: float,
    swing_db: float,
) -> Drawn:
    """Amplitudes and phases of the harmonics in each channel, and the course of pitch and level."""
    count = max(1, int(min(TOP_HZ, 0.45 * format.sample_rate) / (f0_hz * (1 + drift_percent / 100))))
    k = np.arange(1, count + 1)
    level = k ** -(1.6 - 1.2 * buzz) * rng.uniform(0.2, 1.0, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    return {
        "f0_hz": f0_hz,
        "sdr_db": sdr_db,
        "drift": drift_percent / 100,
        "drift_s": float(rng.uniform(8, 25)),
        "drift_phase": float(rng.uniform(0, 2 * np.pi)),
        "swing_db": swing_db,
        "swing_s": float(rng.uniform(10, 30)),
        "levels": level.tolist(),
        "phases": phase.tolist(),
        "gains": rng.uniform(0.5, 1.0, format.channels).tolist(),
        "findings": (
            Finding(
                "hum",
                Region(0, samples, None, (0.9 * f0_hz, f0_hz * count)),
                severity=float(np.clip(1 - sdr_db / 60, 0, 1)),
                confidence=1.0,
                measures={"f0_hz": float(f0_hz)},
            ),
        )
        if samples
        else (),
    }


def hum_of(samples: int, format: Format, drawn: Drawn) -> npt.NDArray[np.float64]:
    """The hum alone, before it is scaled, (samples,)."""
    time = np.arange(samples) / format.sample_rate
    wander = 2 * np.pi / drawn["drift_s"]
    turn = time - drawn["drift"] / wander * np.cos(wander * time + drawn["drift_phase"])
    swing = 10 ** (drawn["swing_db"] / 20 * np.sin(2 * np.pi * time / drawn["swing_s"]))
    # one period in a table: a hundred harmonics are right to -70 dB between its points
    spectrum = np.zeros(PERIOD // 2 + 1, complex)
    spectrum[1 : len(drawn["levels"]) + 1] = np.asarray(drawn["levels"]) * np.exp(
        1j * np.asarray(drawn["phases"])
    )
    period = fft.irfft(spectrum, PERIOD) * (PERIOD / 2)
    place = np.mod(drawn["f0_hz"] * turn, 1.0) * PERIOD
    hum = np.interp(place, np.arange(PERIOD + 1), np.append(period, period[0]))
    return np.asarray(hum * swing, np.float64)


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add the hum; its level follows from the energies of both, over all channels."""
    hum = hum_of(samples.shape[1], format, drawn) * np.asarray(drawn["gains"])[:, np.newaxis]
    energy = float((samples.astype(np.float64) ** 2).sum())
    gain = np.sqrt(energy / ((hum**2).sum() + 1e-30)) * 10 ** (-drawn["sdr_db"] / 20)
    return np.asarray(samples + gain * hum, np.float32)


class HumDetector:
    """Judges stretches of about 16 s, and joins those with a hum of one pitch.

    Music plays notes, hum stays: a harmonic counts where it stands out from its
    surroundings in nearly all frames, its level in the quieter half of them is steady, and
    its frequency lies on the track of the fundamental.
    """

    def __init__(self, format: Format) -> None:
        self._by = by = mains.scale(format.sample_rate)
        reach = by.reach + by.margin
        self._grid = Grid(format.channels, by.hop * FRAMES_PER_WINDOW, left=reach, right=reach)
        self._powers: list[npt.NDArray[np.float32]] = []
        self._low: list[Samples] = []  # as many hops as there are frames
        self._from = 0
        self._stretches: list[_Stretch] = []

    def push(self, block: Samples) -> None:
        for window in self._grid.push(block):
            self._take(window, ended=False)

    def finish(self) -> Sequence[Finding]:
        for window in self._grid.flush():
            self._take(window, ended=True)
        if self._powers:
            self._judge(sum(part.shape[1] for part in self._powers), self._grid.received)
        return self._findings()

    def _take(self, window: Window, ended: bool) -> None:
        by = self._by
        shift = by.hop // 2 // by.factor * by.factor
        origin, stop = window.start - window.lead, window.samples.shape[1]
        centres = [
            at - origin
            for at in range(window.start + shift, window.start + window.length, by.hop)
            if at >= by.reach and at - origin + by.reach <= stop
        ]
        if centres:
            low = mains.brought_down(window.samples, centres[0], len(centres), by)
            self._powers.append(mains.powers(low, len(centres), by))
            hop = by.hop // by.factor
            inner = by.frame // 2 - hop // 2
            self._low.append(low[:, inner : inner + len(centres) * hop].copy())
        held = sum(part.shape[1] for part in self._powers)
        if held >= FRAMES_PER_STRETCH * 3 // 2:
            self._judge(FRAMES_PER_STRETCH, self._from + FRAMES_PER_STRETCH * by.hop)

    def _judge(self, frames: int, until: int) -> None:
        power = np.concatenate(self._powers, axis=1)
        self._powers = [power[:, frames:]] if power.shape[1] > frames else []
        power = power[:, :frames]
        low = np.concatenate(self._low, axis=1)
        used = frames * (self._by.hop // self._by.factor)
        self._low = [low[:, used:]] if low.shape[1] > used else []
        low = low[:, :used]
        start, self._from = self._from, until
        if frames < MIN_FRAMES:
            return
        stretch = max(
            (_examine(power, low, family, self._by, start, until) for family in mains.FAMILIES_HZ),
            key=lambda s: s.evidence.max(),
        )
        self._stretches.append(stretch)

    def _findings(self) -> list[Finding]:
        count = len(self._stretches)
        peaks = [float(s.evidence.max()) for s in self._stretches]
        inside = [peak >= EVIDENCE for peak in peaks]
        for order in (range(1, count), range(count - 2, -1, -1)):
            step = -1 if order.step > 0 else 1
            for i in order:
                beside = inside[i + step] and self._stretches[i + step].like(self._stretches[i])
                inside[i] = inside[i] or (beside and peaks[i] >= EVIDENCE_BESIDE)
        runs: list[list[_Stretch]] = []
        for i, stretch in enumerate(self._stretches):
            if not inside[i]:
                continue
            if runs and runs[-1][-1].until == stretch.start and runs[-1][-1].like(stretch):
                runs[-1].append(stretch)
            else:
                runs.append([stretch])
        return [_finding(run) for run in runs]


@dataclass(frozen=True, eq=False)
class _Stretch:
    start: int
    until: int
    family_hz: float
    f0_hz: float
    low_hz: float
    high_hz: float
    evidence: npt.NDArray[np.float64]  # by channel
    levels_db: npt.NDArray[np.float64]  # (channels, harmonics), of those that are certain, else -inf

    def like(self, other: _Stretch) -> bool:
        return self.family_hz == other.family_hz and abs(self.f0_hz - other.f0_hz) < 0.02 * self.f0_hz


def _examine(
    power: npt.NDArray[np.float32], low: Samples, family_hz: float, by: mains.Scale, start: int, until: int
) -> _Stretch:
    """Follow one family through (channels, frames, bins) and count the harmonics that behave as hum.

    `low` is the sound of the same frames, (channels, samples).
    """
    contrast = mains.contrasts(power, by)
    grid = mains.candidates(family_hz)
    f0, _ = mains.track(mains.standing_out(contrast, grid, by), grid, family_hz)
    k = np.arange(1, len(mains.bins_of(grid, power.shape[2], by)[0]) + 1)
    expected = f0[:, np.newaxis] * k
    at = np.clip(np.rint(expected / by.bin_hz).astype(np.int64), 3, power.shape[2] - 4)
    rows = np.arange(len(f0))[:, np.newaxis]
    level = 10 * np.log10(power + np.float32(1e-14))
    near = np.stack([level[:, rows, at + d] for d in range(-2, 3)])
    peak = at + near.argmax(axis=0) - 2
    c = np.arange(len(power))[:, np.newaxis, np.newaxis]
    before, top, after = (level[c, rows, peak + d] for d in (-1, 0, 1))
    bend = np.minimum(before - 2 * top + after, -1e-3)
    off = (peak + np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) * by.bin_hz - expected
    astray = np.median(off, axis=1)
    scatter = np.median(np.abs(off - astray[:, np.newaxis]), axis=1)
    stands = np.percentile(np.stack([contrast[:, rows, at + d] for d in (-1, 0, 1)]).max(axis=0), 20, axis=1)
    quiet, middle = np.percentile(level[:, rows, at], (10, 50), axis=1)
    certain = (
        np.clip((stands - 4) / 8, 0, 1)
        * np.clip((9 - (middle - quiet)) / 5, 0, 1)
        * np.clip((0.6 - scatter) / 0.3, 0, 1)
        * np.clip((0.5 - np.abs(astray)) / 0.25, 0, 1)
        * (quiet > LEAST_DB)
    )
    kept = np.flatnonzero(certain.max(axis=0) > 0)
    if len(kept):
        # notes that come again and again leave gaps too short for the long frames
        brief = np.percentile(mains.brief_levels(low, float(f0.mean()), k[kept], by), (10, 20), axis=1).mean(
            axis=0
        )
        certain[:, kept] *= np.clip((MOST_GAP_DB - (middle[:, kept] - brief)) / 4, 0, 1)
    # one line is a note; so are lines without any of the lowest, and a drone beside the mains' pitch
    several = ((certain >= 0.4).sum(axis=1) >= 2) & (certain[:, :4].max(axis=1) >= 0.4)
    if abs(f0.mean() / family_hz - 1) > USUAL_STRAY:
        several &= certain.sum(axis=1) >= EVIDENCE_ASTRAY
    levels = np.where(certain >= 0.4, np.percentile(level[:, rows, at], 25, axis=1), -np.inf)
    heard_db = 10 * np.log10((10 ** ((levels + _a_weighting(k * family_hz)) / 10)).sum(axis=1) / 2 + 1e-20)
    several &= heard_db > LEAST_HEARD_DB
    lowest, mean, highest = (float(v) for v in (np.percentile(f0, 5), f0.mean(), np.percentile(f0, 95)))
    return _Stretch(start, until, family_hz, mean, lowest, highest, certain.sum(axis=1) * several, levels)


def _a_weighting(f_hz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """IEC 61672-1, in dB."""
    f2 = np.asarray(f_hz, np.float64) ** 2
    gain = (
        12194.0**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2))
    )
    return np.asarray(20 * np.log10(gain) + 2.0, np.float64)


def _finding(run: list[_Stretch]) -> Finding:
    evidence = np.max([s.evidence for s in run], axis=0)
    channels = tuple(int(c) for c in np.flatnonzero(evidence >= EVIDENCE_BESIDE))
    levels = np.max([s.levels_db[list(channels)].max(axis=0) for s in run], axis=0)
    total_db = float(10 * np.log10((10 ** (levels / 10)).sum() / 2))
    f0_hz = float(np.mean([s.f0_hz for s in run]))
    highest = int(np.flatnonzero(np.isfinite(levels))[-1]) + 1
    best = float(np.mean(sorted(s.evidence.max() for s in run)[-2:]))
    return Finding(
        "hum",
        Region(run[0].start, run[-1].until, channels, (0.9 * f0_hz, (highest + 0.5) * f0_hz)),
        severity=float(np.clip((total_db + 90) / 80, 0.05, 1)),
        confidence=float(1 - 0.3 * 2 ** (-(best - EVIDENCE_OF_MOST) / 1.2)),
        measures={
            "f0_hz": f0_hz,
            "drift_percent": 50 * (max(s.high_hz for s in run) - min(s.low_hz for s in run)) / f0_hz,
            "level_dbfs": total_db,
            "harmonics_dbfs": tuple(float(max(v, -120.0)) for v in levels[:highest]),
        },
    )


DAMAGE = Damage(
    name="hum",
    title="Mains hum",
    params={
        "f0_hz": Param(50.0, 45.0, 65.0, "Hz", "fundamental"),
        "sdr_db": Param(10.0, -20.0, 80.0, "dB", "level of the sound over that of the hum"),
        "buzz": Param(0.3, 0.0, 1.0, "", "0 is a dull hum, 1 a sharp buzz"),
        "drift_percent": Param(0.0, 0.0, 2.0, "%", "how far the fundamental wanders to either side"),
        "swing_db": Param(0.0, 0.0, 6.0, "dB", "how far the level wanders to either side"),
    },
    draw=draw,
    apply=apply,
    detector=HumDetector,
    doc=__doc__,
)
