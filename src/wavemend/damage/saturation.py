"""Soft clipping: peaks rounded by tape, valves or a limiter; nothing is flat, all is changed a little.

Made by a curve without memory: tanh, arctan, or tanh about a working point off the middle, as of tape
with a bias that is wrong, which gives even harmonics too.

Found from the loudest frames of the whole recording: if there is a curve whose inverse empties their spectra,
it was there. Sound that was equalised, mixed or coded after it was bent shows this less, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt

from wavemend.core.bending import FRAME_MS, Bending, Bent, Curve, search, telling
from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.loudest import Loudest
from wavemend.core.noise import frame_length
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

CURVES = ("tanh", "arctan", "tape")
TAPE_BIAS = 0.35
SLIGHT_DB = -40.0  # what was made or taken, re the sound
AS_TANH, AS_ARCTAN = (2.0, 1.0), (1.844, 2.14)  # knee and hardness; arctan is met to 1 %

KEPT = 256  # frames of a recording, the loudest of as many stretches
LOOKED_AT = 80  # of these, for a search
LEAST = 0.01  # of full scale: what is quieter is not looked at
LEAST_GAIN_DB, SURE_DB = 0.02, 0.15  # emptier spectra, mean over frames
LEAST_SHARE, SURE_SHARE = 0.5, 0.85  # of frames that get emptier
LEAST_HELD_DB = -1.0  # a curve that does not treat both sides alike may raise the highest peak a little
LEAST_PART_S = 20.0  # a part of the recording that is searched by itself
UNBENT_DB = 0.7  # frames that get so much fuller, on average, were not bent


def draw(format: Format, samples: int, rng: np.random.Generator, *, drive_db: float, curve: int) -> Drawn:
    """The curve, drawn where none is asked for. `settle` tells it by the sound."""
    chosen = CURVES[int(rng.integers(len(CURVES))) if curve < 0 else curve]
    return {"drive_db": drive_db, "curve": chosen, "findings": ()}


def settle(samples: Samples, format: Format, drawn: Drawn) -> Drawn:
    """The draw with the truth about it: which curve bent this sound, and what that changed."""
    scale = _scale(samples, drawn)
    if not scale:
        return drawn
    bias = np.tanh(TAPE_BIAS) if drawn["curve"] == "tape" else 0.0
    shape = AS_ARCTAN if drawn["curve"] == "arctan" else AS_TANH
    asymptote = (np.pi / 2 if drawn["curve"] == "arctan" else 1 / (1 - bias**2)) / scale
    truth = Curve(float(asymptote), float(bias), *shape)
    bent = apply(samples, format, drawn)
    return {**drawn, "findings": (_finding(Region(0, samples.shape[1]), truth, samples, bent, 1.0),)}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """The curve, its slope at zero kept: quiet sound stays, the highest peak is driven by drive_db."""
    scale = _scale(samples, drawn)
    if not scale:
        return samples.copy()
    return np.asarray(_bent(samples.astype(np.float64) * scale, drawn["curve"]) / scale, np.float32)


def _scale(samples: Samples, drawn: Drawn) -> float:
    """What the sound is multiplied by on its way into the curve; 0 where nothing is bent."""
    peak = float(np.abs(samples).max(initial=0.0))
    # at 0 dB the curve is not reached at all, at 6 dB the peak lies where it has bent by a quarter
    return float(10 ** (drawn["drive_db"] / 20) - 1) / peak if peak and drawn["drive_db"] > 0 else 0.0


def _bent(x: npt.NDArray[np.float64], curve: str) -> npt.NDArray[np.float64]:
    if curve == "tanh":
        return np.tanh(x)
    if curve == "arctan":
        return np.arctan(x)
    offset = np.tanh(TAPE_BIAS)
    return np.asarray((np.tanh(x + TAPE_BIAS) - offset) / (1 - offset**2))


class SaturationDetector(Search):
    """Keeps the loudest frames, channel by channel, and looks for curves at the end."""

    def __init__(self, format: Format) -> None:
        self._rate, self._half = format.sample_rate, frame_length(format.sample_rate, FRAME_MS) // 2
        half = self._half
        self._grid = Grid(format.channels, hop=32 * half, left=half // 2, right=half // 2)
        self._loudest = Loudest(format.channels, KEPT, 2 * half)
        self._kept, self._peaks = self._loudest.pieces, self._loudest.ranks

    def _conclude(self) -> Sequence[Finding]:
        found = [one for channel in range(len(self._kept)) for one in self._bent(channel)]
        return sorted(_fitted(found, len(self._kept), self._grid.received), key=lambda f: f.region.start)

    def _look(self, window: Window) -> None:
        """Each sample lies in the middle of one frame, by whose peak there the frame is judged."""
        half, given = self._half, window.samples
        count = -(-window.length // half)
        frames = np.zeros((len(given), (count + 1) * half), np.float32)
        before = half // 2 - window.lead  # of the recording's begin
        part = given[:, : (count + 1) * half - before]
        frames[:, before : before + part.shape[1]] = part
        middles = frames[:, half // 2 : half // 2 + count * half].reshape(len(given), count, half)
        peaks = np.abs(middles).max(axis=2)
        # a recording that breaks off fills the spectrum by itself
        whole = (np.arange(count) + 2) * half <= before + given.shape[1]
        whole[: before > 0] = False
        peaks[:, ~whole] = 0
        for k in range(count):
            self._loudest.offer(window.start // half + k, peaks[:, k], frames[:, k * half : (k + 2) * half])

    def _bent(self, channel: int) -> list[Finding]:
        """What bent the channel: all of it, or parts."""
        loud = np.flatnonzero(self._peaks[channel] >= LEAST)
        if not len(loud):
            return []
        at = loud[telling(self._kept[channel, loud], len(loud))]
        return self._within(channel, at, 0, len(at))

    def _within(self, channel: int, at: npt.NDArray[np.intp], begin: int, end: int) -> list[Finding]:
        """What bent the stretches `begin` to `end` of those that tell something of the channel."""
        frames = self._kept[channel, at[begin:end]]
        bent = _search(frames)
        if bent is None:
            middle = begin + (end - begin) // 2
            parts = ((begin, middle), (middle, end))
            if min(self._seconds(at[a:b]) for a, b in parts) < LEAST_PART_S:
                return []
            return [found for a, b in parts for found in self._within(channel, at, a, b)]
        first, last = _where(Bending(frames).gains(bent.curve))
        found = [
            one
            for a, b in ((begin, begin + first), (begin + last + 1, end))
            if self._seconds(at[a:b]) >= LEAST_PART_S
            for one in self._within(channel, at, a, b)
        ]
        if last + 1 - first < len(frames):
            begin, end = begin + first, begin + last + 1
            frames = self._kept[channel, at[begin:end]]
            bent = _search(frames)
        if bent is None:
            return found
        told = np.clip(frames, *bent.curve.trusted())
        before = bent.curve.undo(told)
        if np.abs(before).max() < np.abs(told).max() * 10 ** (LEAST_HELD_DB / 20):
            return found
        stretch = self._loudest.each * self._half
        start = int(at[begin]) * stretch if begin else 0
        stop = int(at[end - 1] + 1) * stretch if end < len(at) else self._grid.received
        region = Region(start, stop, (channel,))
        return [*found, _finding(region, bent.curve, before, told, _confidence(bent))]

    def _seconds(self, at: npt.NDArray[np.intp]) -> float:
        """From the first of these stretches to the last."""
        return float(at[-1] - at[0]) * self._loudest.each * self._half / self._rate if len(at) else 0.0


def _fitted(found: Sequence[Finding], channels: int, samples: int) -> list[Finding]:
    """Where all of the recording was bent, with the gain at which its peaks fit below full scale again."""
    whole = {f.region.channels for f in found if (f.region.start, f.region.stop) == (0, samples)}
    if len(whole) < channels:
        return list(found)
    highest = max(peak for f in found if isinstance(peak := f.measures["peak"], float))
    gain_db = min(-20 * np.log10(highest), 0.0)
    return [replace(f, measures={**f.measures, "gain_db": float(gain_db)}) for f in found]


def _search(frames: npt.NDArray[np.float32]) -> Bent | None:
    """The curve over the loudest of these frames; None where too little speaks for it."""
    bent = search(frames[telling(frames, LOOKED_AT)])
    if bent is None or bent.gain_db > -LEAST_GAIN_DB or bent.share < LEAST_SHARE:
        return None
    return bent


def _where(gains_db: npt.NDArray[np.float64]) -> tuple[int, int]:
    """First and last of the neighbours that together gain the most; to both ends where these lose little."""
    best, since, sum_db = (0.0, 0, 0), 0, 0.0
    for k, gain in enumerate(gains_db):
        if sum_db <= 0:
            since, sum_db = k, 0.0
        sum_db -= gain
        best = max(best, (sum_db, since, k))
    first, last = best[1:]
    if first and gains_db[:first].mean() < UNBENT_DB:
        first = 0
    if last + 1 < len(gains_db) and gains_db[last + 1 :].mean() < UNBENT_DB:
        last = len(gains_db) - 1
    return first, last


def _confidence(bent: Bent) -> float:
    surely = (
        min((-bent.gain_db - LEAST_GAIN_DB) / (SURE_DB - LEAST_GAIN_DB), 1.0),
        min((bent.share - LEAST_SHARE) / (SURE_SHARE - LEAST_SHARE), 1.0),
    )
    return 0.4 + 0.59 * min(surely)


def _finding(
    region: Region,
    curve: Curve,
    before: npt.NDArray[np.floating],
    after: npt.NDArray[np.floating],
    confidence: float,
) -> Finding:
    """From the sound before it was bent and after, of the same shape: where it was bent most, if not all."""
    energy = float(np.square(before, dtype=np.float64).sum()) + 1e-30
    change = float(np.square(before - after, dtype=np.float64).sum()) + 1e-30
    distortion_db = 10 * np.log10(change / energy)
    peak, now = (float(np.abs(x).max(initial=0.0)) for x in (before, after))
    return Finding(
        "saturation",
        region,
        severity=float(np.clip(1 - distortion_db / SLIGHT_DB, 0.0, 1.0)),
        confidence=confidence,
        measures={
            "distortion_db": float(distortion_db),
            "peak": peak,
            "held_db": float(20 * np.log10((peak + 1e-30) / (now + 1e-30))),
            **asdict(curve),
        },
    )


DAMAGE = Damage(
    name="saturation",
    title="Soft clipping",
    params={
        "drive_db": Param(
            12.0, 0.0, 40.0, "dB", "how hard the peaks are driven into the curve; 0: not at all"
        ),
        "curve": Param(
            -1, -1, 2, "", "0 tanh, 1 arctan, 2 tape with even harmonics; -1 draws one", whole=True
        ),
    },
    draw=draw,
    apply=apply,
    detector=SaturationDetector,
    doc=__doc__,
    settle=settle,
)
