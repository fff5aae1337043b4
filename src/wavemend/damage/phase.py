"""Faults between the two channels of a stereo recording: one dead or weak, one inverted, one late.

Judged on stretches of half a second: a fault of cable, head or converter holds from end to end,
so it is called only where nearly all stretches that carry sound agree. Two channels that are
the same are mono, which is no fault. Recordings of other than two channels are not judged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import fft

from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

KINDS = ("dead", "weak", "inverted", "delayed")
WEAK_DB = 20.0  # difference of the channels from which on one is too weak
DEAD_DB = 60.0
ALIKE = 0.9  # correlation from which on the channels carry the same sound
AGREEING = 0.95  # share of the stretches that must show the fault
MIN_STRETCHES = 4
QUIET = 1e-4  # root mean square below which a stretch is not judged
MAX_DELAY_MS = 5.0
MIN_DELAY_MS = 0.04
EVERY = 4  # of so many stretches one is searched for a delay


def draw(
    format: Format, samples: int, rng: np.random.Generator, *, kind: int, weak_db: float, delay_ms: float
) -> Drawn:
    """Which channel, and which fault: 0 dead, 1 weak, 2 inverted, 3 delayed, -1 any but dead."""
    name = KINDS[kind] if kind >= 0 else str(rng.choice(KINDS[1:]))
    channel = int(rng.integers(format.channels))
    jitter = float(rng.uniform(0.8, 1.2))
    measures = {
        "dead": {"level_db": -200.0},
        "weak": {"level_db": -weak_db * jitter},
        "inverted": {"correlation": -1.0},
        "delayed": {"delay_ms": delay_ms * jitter},
    }[name]
    finding = Finding("phase", Region(0, samples, (channel,)), 0.8, 1.0, measures) if samples else None
    return {
        "kind": name,
        "channel": channel,
        "gain": 10 ** (-weak_db * jitter / 20),
        "delay": max(1, round(delay_ms * jitter / 1000 * format.sample_rate)),
        "findings": (finding,) if finding else (),
    }


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Change one channel; a delayed one takes, but for the delay, its neighbour's sound, as a fault would."""
    out = samples.copy()
    channel, kind = drawn["channel"], drawn["kind"]
    if kind == "delayed":
        shift = min(drawn["delay"], out.shape[1])
        other = samples[(channel + 1) % format.channels]
        out[channel] = np.concatenate((np.zeros(shift, np.float32), other[: out.shape[1] - shift]))
    elif kind == "inverted":
        out[channel] = -samples[(channel + 1) % format.channels]
    else:
        out[channel] *= np.float32(0.0 if kind == "dead" else drawn["gain"])
    return out


class PhaseDetector(Search):
    """Levels and correlations of half-second stretches, kept as counts and sums."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._grid = Grid(format.channels, hop=max(1, format.sample_rate // 2))
        self._judged = self._inverted = self._alike = self._searched = 0
        self._weak = np.zeros(2, int)
        self._dead = np.zeros(2, int)
        self._energy = np.zeros(2)
        self._product = 0.0
        self._delays: dict[int, int] = {}

    def _conclude(self) -> Sequence[Finding]:
        if self._judged < MIN_STRETCHES:
            return []
        needed = AGREEING * self._judged
        for channel in (0, 1):
            if self._weak[channel] >= needed:
                ratio_db = float(
                    10 * np.log10((self._energy[channel] + 1e-20) / (self._energy[1 - channel] + 1e-20))
                )
                dead = self._dead[channel] >= needed
                share = float(min(1.0, (-ratio_db - WEAK_DB) / 20))
                return [
                    self._finding(
                        (channel,),
                        0.9 if dead else 0.5,
                        0.97 if dead else 0.6 + 0.35 * share,
                        {"level_db": max(ratio_db, -200.0)},
                    )
                ]
        if self._inverted >= needed:
            correlation = self._product / float(np.sqrt(self._energy.prod()) + 1e-20)
            return [
                self._finding(
                    None,  # nobody can tell which of the two it is
                    0.8,
                    float(np.clip(0.5 - 0.5 * correlation, 0.5, 0.98)),
                    {"correlation": float(correlation)},
                )
            ]
        return self._late()

    def _late(self) -> list[Finding]:
        if self._searched < MIN_STRETCHES or not self._delays:
            return []
        delay, votes = max(self._delays.items(), key=lambda item: (item[1], -abs(item[0])))
        milliseconds = delay * 1000 / self._format.sample_rate
        if votes < AGREEING * self._searched or abs(milliseconds) < MIN_DELAY_MS:
            return []
        channel = 1 if delay > 0 else 0
        return [self._finding((channel,), 0.5, 0.9, {"delay_ms": abs(milliseconds)})]

    def _finding(
        self, channels: tuple[int, ...] | None, severity: float, confidence: float, measures: dict[str, float]
    ) -> Finding:
        return Finding("phase", Region(0, self._grid.received, channels), severity, confidence, measures)

    def _look(self, window: Window) -> None:
        if self._format.channels != 2 or window.length < self._grid.hop // 2:
            return
        left, right = window.chunk
        energy = np.array([float(left @ left), float(right @ right)])
        if energy.max() < QUIET**2 * window.length:
            return
        self._judged += 1
        self._energy += energy
        product = float(left @ right)
        self._product += product
        level_db = 10 * np.log10(energy / energy.max() + 1e-20)
        self._weak += level_db < -WEAK_DB
        self._dead += level_db < -DEAD_DB
        self._inverted += product < -ALIKE * np.sqrt(energy.prod())
        if self._judged % EVERY == 1 and energy.min() > 1e-4 * energy.max():
            self._search(left, right)

    def _search(self, left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> None:
        """Vote for the delay of the right channel, where the two are otherwise the same."""
        self._searched += 1
        size = fft.next_fast_len(2 * len(left), real=True)
        cross = fft.irfft(fft.rfft(left, size).conj() * fft.rfft(right, size), size)
        reach = round(MAX_DELAY_MS / 1000 * self._format.sample_rate)
        near = np.concatenate((cross[-reach:], cross[: reach + 1]))
        best = int(np.abs(near).argmax())
        scale = float(np.sqrt(float(left @ left) * float(right @ right)))
        if abs(near[best]) >= ALIKE * scale:
            self._delays[best - reach] = self._delays.get(best - reach, 0) + 1


DAMAGE = Damage(
    name="phase",
    title="Fault between channels",
    params={
        "kind": Param(
            -1, -1, 3, "", "0 dead, 1 weak, 2 inverted, 3 delayed; -1 draws one of the last three", whole=True
        ),
        "weak_db": Param(35.0, 20.0, 60.0, "dB", "how far a weak channel lies below the others"),
        "delay_ms": Param(0.5, 0.1, 4.0, "ms", "how late a delayed channel is"),
    },
    draw=draw,
    apply=apply,
    detector=PhaseDetector,
    doc=__doc__,
    min_channels=2,
)
