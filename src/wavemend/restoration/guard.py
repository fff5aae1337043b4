"""The guard: every step is measured against over-smoothing while it runs, and kept, blended or reverted.

A guarded repair is a stream around a stream. It sees what went in and what came out,
and lets through as much of the difference as stays within the bounds:

steady repairs, in windows of one second: the share of the energy of wanted time-frequency
    cells that is cut by more than 3 dB; the energy of wanted cells above 4 kHz; the onsets
    (positive spectral flux) of wanted cells. A cell is wanted when it stands 15 dB above the
    floor, which is followed over ten seconds. Of 100, 75, 50, 25 and 0 % of the difference the
    largest within all bounds is taken, and the share glides from window to window.
local repairs, in each changed run of samples: no louder than 12 dB above the loudest of what
    was there and what surrounds it; no rougher (second difference) than what was there or
    9 dB above the surroundings. A run that breaks a bound is given back as it was.
repairs that undo a curve, in windows of one second: spectra must not get fuller.
"""

from __future__ import annotations

import numpy as np

from wavemend.core.blocks import Grid, Queue, Window
from wavemend.core.types import Format, Samples, Verdict
from wavemend.engine.stream import Passthrough, Stream
from wavemend.repairs import Repair
from wavemend.restoration.judge_curve import CurveJudge
from wavemend.restoration.judge_local import LocalJudge
from wavemend.restoration.judge_steady import SteadyJudge
from wavemend.restoration.judges import Judge


class Guarded:
    """A step's stream under guard. `verdicts` is complete after the flush."""

    def __init__(self, inner: Stream, judge: Judge, format: Format) -> None:
        self._inner, self._judge = inner, judge
        self._dry = Queue(format.channels)
        window = format.sample_rate
        # both sides run through one grid, so that any cut gives the same windows
        self._channels = format.channels
        self._pairs = Grid(2 * format.channels, hop=window, left=window // 50, right=window)

    @property
    def latency(self) -> int:
        return self._inner.latency + self._pairs.hop + self._pairs.right

    @property
    def verdicts(self) -> list[Verdict]:
        """What the guard decided so far."""
        return self._judge.verdicts()

    def push(self, block: Samples) -> Samples:
        self._dry.append(block)
        return self._through(self._inner.push(block), last=False)

    def flush(self) -> Samples:
        return self._through(self._inner.flush(), last=True)

    def _through(self, wet: Samples, last: bool) -> Samples:
        start = self._dry.start
        dry = self._dry.view(start, start + wet.shape[1])
        pair = np.concatenate((dry, wet))
        self._dry.drop(start + wet.shape[1])
        out = [self._decide(window) for window in self._pairs.push(pair)]
        if last:
            out.extend(self._decide(window) for window in self._pairs.flush())
        return np.concatenate(out, axis=1) if out else np.zeros((self._channels, 0), np.float32)

    def _decide(self, window: Window) -> Samples:
        n = self._channels
        dry = Window(window.samples[:n], window.lead, window.length, window.start)
        wet = window.samples[n:]
        chunk = slice(window.lead, window.lead + window.length)
        share = self._judge.judge(dry, wet)
        if share.min() == 1.0:
            return wet[:, chunk].copy()
        mixed = dry.chunk + share * (wet[:, chunk].astype(np.float64) - dry.chunk)
        kept = np.where(share == 1.0, wet[:, chunk], np.where(share == 0.0, dry.chunk, mixed))
        return np.asarray(kept, np.float32)


def guarded(inner: Stream, step: int, repair: Repair, format: Format) -> Stream:
    """A step's stream under the judge that it asks for.

    There is nothing to guard where nothing is done, or where somebody asked for anything to be taken.
    """
    if isinstance(inner, Passthrough) or repair.takes == "anything":
        return inner
    return Guarded(inner, _judge(step, repair, format), format)


def _judge(step: int, repair: Repair, format: Format) -> Judge:
    if repair.takes == "distortion":
        return CurveJudge(step, format)
    return LocalJudge(step, format) if repair.scope == "local" else SteadyJudge(step, repair, format)
