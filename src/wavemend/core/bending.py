"""Curves without memory that round peaks: what they did to a sound, found from the sound alone, and undone.

A curve y = f(x) makes new partials where there were none: between the harmonics, above the band, in what was
silent. Of all curves the one is sought whose inverse leaves spectra the emptiest (blind inversion of a
memoryless nonlinearity; the measure is the mean log power of cells re the power of their frame, as in
spectral flatness). Sound that no such curve went over only gets fuller by any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, optimize

Floats = npt.NDArray[np.float64]

FRAME_MS = 43.0  # that spectra are taken over, about
PLACES = np.concatenate((np.linspace(0, 0.9, 600, endpoint=False), 1 - np.geomspace(0.1, 1e-7, 1200)))
"""Where the table of a curve has its points: ever denser towards 1."""
FLOOR = 1e-7  # of the mean cell: what is emptier, or noise, does not count
LEVELS = 4096  # of the table by which frames are bent
STEPS = (30.0, 300.0)  # steepest slopes, one search after the other: a steep curve leads away from afar
FAR_FROM_TOP = (0.02, 0.15, 0.4, 0.9)  # log of the asymptote over the peak
BIASES = (0.0, -0.3, 0.3)
START = (np.log(2.0), np.log(1.2))  # log of knee and hardness
BOUNDS = ((-0.25, 1.8), (-0.7, 0.7), (np.log(1.5), np.log(60.0)), (np.log(0.3), np.log(4.0)))
INSIDE = 0.02  # a bias, knee or hardness so near to its bound was no curve's: noise leads there
SEARCHES, ROUNDS = 2, 60
HINT_DB = -0.004  # what a first look must gain for a search to be worth its time
PASSED = 3  # frames that may be louder than the peak that the asymptote is told from: clicks
QUIET = 0.125  # of that peak: what stays below was hardly bent
FEWEST = 4  # frames


@dataclass(frozen=True, slots=True)
class Curve:
    """How a sound was bent, told by the slope of the way back: (1 - |z|^knee)^-hardness at z.

    z is the bent sound over `asymptote`, which it cannot pass, moved by `bias` (-1 to 1, 0 for a curve that
    treats both sides alike). knee 2 and hardness 1 is tanh, hardness 2 nearly arctan; the higher the knee,
    the more suddenly it bends. The slope where the sound is 0 counts as 1: quiet sound stays as it is.
    `steepest` is the slope from which on a sample is not trusted.
    """

    asymptote: float
    bias: float = 0.0
    knee: float = 2.0
    hardness: float = 1.0
    steepest: float = STEPS[-1]

    def table(self) -> tuple[Floats, Floats]:
        """z from 0 on, (n,), and the sound before it was bent, over the asymptote, (n,)."""
        slope = self._slope(PLACES)
        gained = np.diff(PLACES) * (slope[1:] + slope[:-1]) / 2
        last = int(np.searchsorted(slope, self.steepest * 0.999))
        way = np.concatenate(([0.0], np.cumsum(gained)))
        return PLACES[: last + 1], way[: last + 1]

    def undo(self, bent: npt.NDArray[np.floating]) -> Floats:
        """The sound before, of any shape; past the trusted part the slope stays `steepest`."""
        z, way = self.table()
        slope = float(self._slope(np.asarray(min(abs(self.bias), float(z[-1])))))

        def back(moved: Floats) -> Floats:
            size = np.abs(moved)
            gone = np.interp(size, z, way) + np.maximum(size - z[-1], 0) * self.steepest
            return np.asarray(np.copysign(gone, moved), np.float64)

        moved = np.asarray(bent, np.float64) / self.asymptote + self.bias
        middle = float(back(np.asarray([self.bias]))[0])
        return np.asarray((back(moved) - middle) * (self.asymptote / slope))

    def trusted(self) -> tuple[float, float]:
        """The lowest and the highest bent sample that still tells what was there."""
        last = float(self.table()[0][-1])
        return -self.asymptote * (last + self.bias), self.asymptote * (last - self.bias)

    def _slope(self, z: Floats) -> Floats:
        """Of the way back, at places of the table, below 1."""
        return np.asarray(np.minimum((1 - z**self.knee) ** -self.hardness, self.steepest))


@dataclass(frozen=True, slots=True, eq=False)
class Bent:
    """A curve that was found, and what undoing it gains in each frame that was looked at, (frames,).

    In dB of emptiness: below 0 the frame's cells got emptier.
    """

    curve: Curve
    gains_db: Floats

    @property
    def gain_db(self) -> float:
        """The mean over the frames."""
        return float(self.gains_db.mean())

    @property
    def share(self) -> float:
        """Of the frames, those that get emptier."""
        return float((self.gains_db < 0).mean())


class Bending:
    """How much emptier the spectra of frames, (frames, n), get when a curve is undone."""

    def __init__(self, frames: npt.NDArray[np.floating]) -> None:
        self._high, self._low = (_usual_peak(side) for side in (frames, -frames))
        edge = 1.001 * float(np.abs(frames).max())
        self._levels = np.linspace(-edge, edge, LEVELS)
        at = (np.asarray(frames, np.float64) + edge) * ((LEVELS - 1) / (2 * edge))
        self._below = at.astype(np.intp)
        self._part = at - self._below
        self._before = emptiness(frames)[0]

    def curve(self, told: Floats, steepest: float) -> Curve:
        """From what the search moves: logs of asymptote over peak, of knee and of hardness, and the bias."""
        bias = float(told[1])
        reach = max(self._high / (1 - bias), self._low / (1 + bias))
        far, knee, hardness = (float(np.exp(told[k])) for k in (0, 2, 3))
        return Curve(reach * far, bias, knee, hardness, steepest)

    def gains(self, curve: Curve) -> Floats:
        """dB by which each frame gets fuller when the curve is undone, (frames,); below 0: emptier."""
        return np.asarray(emptiness(self._unbent(curve))[0] - self._before)

    def cost(self, told: Floats, steepest: float) -> tuple[float, Floats]:
        """The mean of `gains`, and how it changes with what the search moves, (4,)."""
        level, slopes = emptiness(self._unbent(self.curve(told, steepest)), slopes=True)
        # what a sample's change does, summed by its level: then any change of the curve costs one product
        by_level = np.bincount(self._below.ravel(), (slopes * (1 - self._part)).ravel(), LEVELS)
        by_level += np.bincount(self._below.ravel() + 1, (slopes * self._part).ravel(), LEVELS)
        change = np.empty(len(told))
        for k in range(len(told)):
            step = np.zeros(len(told))
            step[k] = 1e-4
            up, down = (self.curve(told + s, steepest).undo(self._levels) for s in (step, -step))
            change[k] = by_level @ (up - down) / 2e-4
        return float((level - self._before).mean()), change / len(level)

    def _unbent(self, curve: Curve) -> Floats:
        table = curve.undo(self._levels)
        return np.asarray(table[self._below] * (1 - self._part) + table[self._below + 1] * self._part)


def emptiness(frames: npt.NDArray[np.floating], slopes: bool = False) -> tuple[Floats, Floats]:
    """Mean over the cells of each frame, (frames, n), in dB re its power: the lower, the emptier; (frames,).

    With `slopes` also how each sample changes it, (frames, n); else an empty array.
    """
    n = frames.shape[1]
    window = np.hanning(n + 1)[:-1]
    cells = fft.rfft(frames.astype(np.float64, copy=False) * window, axis=1)
    power = cells.real**2 + cells.imag**2
    mean = power.mean(axis=1, keepdims=True) + 1e-30
    share = power / mean + FLOOR
    level = 10 * np.log10(share).mean(axis=1)
    if not slopes:
        return level, np.empty((0, 0))
    by_cell = 1 / share
    by_cell -= (by_cell * power).mean(axis=1, keepdims=True) / mean
    by_cell *= 10 / np.log(10) / power.shape[1] / mean
    back = 2 * by_cell * cells
    back[:, 1 : (n + 1) // 2] /= 2  # the real transform back counts these twice
    return level, np.asarray(fft.irfft(back, n, axis=1) * n * window)


def search(frames: npt.NDArray[np.floating]) -> Bent | None:
    """The curve that bent these frames, (frames, n), n even; None where no curve makes them emptier.

    For so many frames as `telling` gives; fewer than FEWEST tell nothing.
    """
    if len(frames) < FEWEST:
        return None
    bending = Bending(frames)
    starts = [np.array([far, bias, *START]) for far in FAR_FROM_TOP for bias in BIASES]
    first = [float(bending.gains(bending.curve(told, STEPS[0])).mean()) for told in starts]
    order = np.argsort(first)
    if first[order[0]] > HINT_DB:
        return None
    found = [_descend(bending, starts[k], STEPS[0]) for k in order[:SEARCHES]]
    told, gain = min(found, key=lambda one: one[1])
    steepest = STEPS[0]
    for step in STEPS[1:]:
        further, better = _descend(bending, told, step)
        if better < gain:
            told, gain, steepest = further, better, step
    curve = bending.curve(told, steepest)
    low, high = curve.trusted()
    if not (_is_inside(told) and low < 0 < high):
        return None
    return Bent(curve, bending.gains(curve))


def _descend(bending: Bending, start: Floats, steepest: float) -> tuple[Floats, float]:
    result = optimize.minimize(
        bending.cost,
        start,
        args=(steepest,),
        jac=True,
        method="L-BFGS-B",
        bounds=BOUNDS,
        options={"maxiter": ROUNDS},
    )
    return np.asarray(result.x), float(result.fun)


def _is_inside(told: Floats) -> bool:
    """Whether the search ended within its bounds; a knee may be as sharp and a curve as far as it likes."""
    (_, (least_bias, most_bias), (least_knee, _), (_, most_hardness)) = BOUNDS
    _, bias, knee, hardness = (float(value) for value in told)
    return (
        least_bias + INSIDE < bias < most_bias - INSIDE
        and knee > least_knee + INSIDE
        and hardness < most_hardness - INSIDE
    )


def telling(frames: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    """Places of the `count` frames of (frames, n) with the highest peaks, in order, without what is quiet."""
    peaks = np.abs(frames).max(axis=1)
    if not peaks.any():
        return np.empty(0, np.intp)
    loud = np.argsort(peaks)[::-1][:count]
    return np.sort(loud[peaks[loud] >= QUIET * _usual_peak(np.abs(frames))])


def _usual_peak(frames: npt.NDArray[np.floating]) -> float:
    """The highest sample but for the loudest few frames."""
    peaks = np.sort(frames.max(axis=1))
    return float(peaks[-1 - min(PASSED, len(peaks) // FEWEST)])
