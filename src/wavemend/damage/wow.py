"""Wow and flutter: speed that varies, as of discs off centre, slack belts and worn capstans.

The pitch sways with the turns of the disc (wow, below 6 Hz), roughens with those of capstan and
rollers (flutter, above it; the bounds are those of AES6 and IEC 60386), and drifts as tape is wound.
The mean speed is right, and both ends stay where they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

DRIFT_S = (5.0, 25.0)  # periods
SWING_S = {"wow": (4.0, 15.0), "flutter": (0.3, 3.0)}  # periods in which the depth comes and goes
TAPS = 24  # -60 dB up to 0.83 of half the sample rate
BETA = 6.5
PHASES = 8192  # between two samples, of which the nearest is taken: -80 dB
CHUNK = 16_384


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    wow_percent: float,
    wow_hz: float,
    flutter_percent: float,
    flutter_hz: float,
    drift_percent: float,
) -> Drawn:
    """The course of the speed as a sum of sines, under "speed": share of the speed, Hz, phase.

    Wow and flutter come and go: two sides of each line make its depth swing and leave its peak as asked.
    """
    lines: list[tuple[float, float, float]] = []
    for kind, percent, hz in (("wow", wow_percent, wow_hz), ("flutter", flutter_percent, flutter_hz)):
        swing = float(rng.uniform(0.2, 0.8))
        beside_hz = 1 / float(rng.uniform(*SWING_S[kind]))
        phase, beside = (float(p) for p in rng.uniform(0, 2 * np.pi, 2))
        lines.append((percent * (1 - swing / 2), hz, phase))
        lines.append((percent * swing / 4, hz + beside_hz, phase + beside))
        lines.append((percent * swing / 4, hz - beside_hz, phase - beside))
    for share in rng.dirichlet((1.0, 1.0, 1.0)):
        period, phase = float(rng.uniform(*DRIFT_S)), float(rng.uniform(0, 2 * np.pi))
        lines.append((drift_percent * float(share), 1 / period, phase))
    measures = {
        "wow_percent": wow_percent,
        "wow_hz": wow_hz,
        "flutter_percent": flutter_percent,
        "flutter_hz": flutter_hz,
        "drift_percent": drift_percent,
    }
    most = wow_percent + flutter_percent + drift_percent
    truth = Finding("wow", Region(0, max(samples, 1)), _severity(most), 1.0, measures)
    return {
        "speed": [[percent / 100, hz, phase] for percent, hz, phase in lines if percent],
        "findings": (truth,) if samples and most else (),
    }


def places(samples: int, format: Format, drawn: Drawn) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Where each sample of the output is read, in samples of the input, chunk by chunk: first one, (count,).

    From 0 to samples - 1 without turning back: what the speed would run away by is taken back evenly.
    """
    share, hz, phase = np.reshape(drawn["speed"], (-1, 3)).T
    turn = 2 * np.pi * hz / format.sample_rate
    reach = share / turn  # how far each line leads away from even speed
    last = max(samples - 1, 1)
    ahead = (reach * (np.cos(phase) - np.cos(phase + turn * last))).sum() / last
    at = np.arange(min(CHUNK, samples))
    # the same for every chunk but for its phase: a product with two tables instead of as many cosines
    tables = np.concatenate((np.cos(turn[:, np.newaxis] * at), np.sin(turn[:, np.newaxis] * at)))
    for first in range(0, samples, CHUNK):
        now = phase + turn * first
        away = (reach * np.cos(phase)).sum() + np.concatenate(
            (-reach * np.cos(now), reach * np.sin(now))
        ) @ tables
        place = first + at + away - ahead * (first + at)
        yield first, np.clip(place[: samples - first], 0, samples - 1)


@lru_cache(maxsize=1)
def _kernel() -> npt.NDArray[np.float32]:
    """A sinc under a Kaiser window, (PHASES + 1, TAPS); one row for each place between two samples."""
    part = np.arange(PHASES + 1)[:, np.newaxis] / PHASES
    away = np.arange(TAPS) - (TAPS // 2 - 1) - part
    window = np.i0(BETA * np.sqrt(np.maximum(1 - (2 * away / TAPS) ** 2, 0))) / np.i0(BETA)
    return np.asarray(np.sinc(away) * window, np.float32)


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """All channels read along the same warped time; beyond both ends there is silence."""
    count = samples.shape[1]
    if not drawn["speed"] or not count:
        return samples.copy()
    padded = np.pad(samples, ((0, 0), (TAPS // 2 - 1, TAPS // 2)))
    around = np.lib.stride_tricks.sliding_window_view(padded, TAPS, axis=1)
    out = np.empty(samples.shape, np.float32)
    for first, place in places(count, format, drawn):
        whole = place.astype(np.intp)
        weights = _kernel().take(np.rint((place - whole) * PHASES).astype(np.intp), axis=0)
        for channel, given in enumerate(around):
            out[channel, first : first + len(place)] = np.einsum("st,st->s", given[whole], weights)
    return out


def _severity(percent: float) -> float:
    """0.2 at 0.1 %, which is just heard; 1 at 3 %."""
    return float(np.clip((percent / 3) ** 0.5, 0.02, 1.0))


DAMAGE = Damage(
    name="wow",
    title="Wow and flutter",
    params={
        "wow_percent": Param(0.5, 0.0, 3.0, "%", "how far the speed sways to either side"),
        "wow_hz": Param(
            0.55, 0.3, 6.0, "Hz", "how often it sways; a disc of 33 rpm turns 0.55 times a second"
        ),
        "flutter_percent": Param(0.05, 0.0, 2.0, "%", "how far the speed flutters to either side"),
        "flutter_hz": Param(12.0, 6.0, 100.0, "Hz", "how often it flutters"),
        "drift_percent": Param(0.0, 0.0, 2.0, "%", "how far the speed drifts to either side, in 5 to 25 s"),
    },
    draw=draw,
    apply=apply,
    doc=__doc__,
)
