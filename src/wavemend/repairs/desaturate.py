"""Undo soft clipping: give rounded peaks their height back.

Use when: tape, valves, an amplifier or a plug-in was driven too hard, and the sound was left so since.
Not for:  sound that was equalised, mixed or coded as MP3 afterwards: no curve can be told there any more,
          and the diagnosis finds none. Peaks that were cut off flat are for `declip`.
Method:   the diagnosis tells the curve that bent the sound from the partials that it made. Its inverse puts
          each sample back by itself: nothing is smoothed, and quiet sound stays as it is. Peaks that were
          bent so far that they lie all but at one level are restored as cut ones.

What comes out is up to 20 dB higher at its peaks. Where all of the recording was bent and they would pass
full scale, the whole is turned down by as much (`--level keep` leaves it, for files that hold floats).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from wavemend.core.bending import Curve
from wavemend.core.blocks import Window
from wavemend.core.params import Choice, Options
from wavemend.core.types import Finding, Format, Samples
from wavemend.engine.stream import Chain, Chunked, Passthrough, Stream
from wavemend.repairs import Repair
from wavemend.repairs.declip import ITERATIONS, Declipper

NAMES = tuple(field.name for field in fields(Curve))
CHUNK = 16_384
FIT, KEEP = "fit", "keep"
HEIGHT = 0.9999  # of the highest level that is trusted: at or above it a peak counts as cut


class Unbender(Chunked):
    """Sample by sample the way back, within the regions."""

    def __init__(self, format: Format, findings: Sequence[Finding]) -> None:
        super().__init__(format, hop=CHUNK)
        self._findings = [(finding, curve_of(finding)) for finding in findings]

    def process(self, window: Window) -> Samples:
        sound = window.chunk.copy()
        start, stop = window.start, window.start + window.length
        for finding, curve in self._findings:
            a, b = max(finding.region.start, start), min(finding.region.stop, stop)
            if a < b:
                own = [channel for channel in range(len(sound)) if finding.region.of_channel(channel)]
                place = slice(a - start, b - start)
                sound[own, place] = _put_back(sound[own, place], curve)
        return sound


def _put_back(given: Samples, curve: Curve) -> npt.NDArray[np.float64]:
    """The sound before; where the curve does not tell it, as high as it was at least."""
    low, high = curve.trusted()
    back = curve.undo(np.clip(given, low, high))
    beyond = (given < low) | (given > high)
    back[beyond] = np.copysign(np.maximum(np.abs(back[beyond]), np.abs(given[beyond])), given[beyond])
    return back


class Gain(Passthrough):
    """The same, turned down."""

    def __init__(self, format: Format, gain_db: float) -> None:
        super().__init__(format)
        self._gain = np.float32(10 ** (gain_db / 20))

    def push(self, block: Samples) -> Samples:
        return block * self._gain


def curve_of(finding: Finding) -> Curve:
    """The curve that a finding tells of."""
    told = {k: v for k, v in finding.measures.items() if k in NAMES and isinstance(v, int | float)}
    return Curve(**told)


def levels(finding: Finding) -> Finding:
    """Where the sound counts as cut once it is put back, as a finding of clipping."""
    curve = curve_of(finding)
    low, high = curve.undo(np.array(curve.trusted())) * HEIGHT
    return replace(finding, damage="clipping", measures={"level_high": float(high), "level_low": float(low)})


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """The way back, then the peaks of which it says no more than that they were high."""
    cut = Declipper(format, [levels(finding) for finding in findings], int(options["iterations"]))
    streams: list[Stream] = [Unbender(format, findings), cut]
    gains_db = [g for f in findings if isinstance(g := f.measures.get("gain_db", 0.0), int | float)]
    if options["level"] == FIT and min(gains_db, default=0.0) < 0:
        streams.append(Gain(format, min(gains_db)))
    return Chain(format, streams)


REPAIR = Repair(
    name="desaturate",
    title="Undo soft clipping",
    treats=("saturation",),
    scope="local",
    own_params={
        "level": Choice(
            FIT,
            (FIT, KEEP),
            "fit: peaks that would pass full scale turn a whole recording down; keep: nothing is turned down",
        ),
        "iterations": ITERATIONS,
    },
    build=build,
    doc=__doc__,
    takes="distortion",
    min_severity=0.1,  # what was made or taken lies 36 dB below the sound
    needs=NAMES,
)
