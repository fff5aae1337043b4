"""Many small impulses at once: found and measured together, for crackle.

The tests of `impulses`, cheaper: an impulse is thought to be a few samples long, and the
change of these samples that makes the prediction error smallest is solved for,
for all candidates together (least squares, as in Godsill and Rayner 1998, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavemend.core import ar, impulses
from wavemend.core.recent import Recent
from wavemend.core.types import Samples

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

ORDER = impulses.ORDER
LENGTHS = (4, 10, 24)  # samples at 48 kHz that an impulse may have; the likeliest is taken
EARLY = 2  # samples before the largest error that may already be the impulse's
SCALE_CELLS = 32  # cells whose median peak is the usual one
MAX_LEFT_DB = 5.0  # error left over the usual one: more was no impulse


@dataclass(frozen=True, slots=True)
class Specks:
    """Impulses in (channels, n), in order: each row of `added` begins at `start`, and is zero after its end.

    `gain_db` says how much of the prediction error there each explains, `left_db` the error
    that is left over the usual one.
    """

    channel: Ints
    start: Ints
    added: Floats
    gain_db: Floats
    left_db: Floats


_recent: Recent[Specks] = Recent()


def find(samples: Samples, rate: int, ratio: float) -> Specks:
    """Impulses whose prediction error stands out by `ratio` from the usual peaks around; (channels, n).

    The last few answers are kept, as by `impulses.analyse`, and may not be written to.
    """
    return _recent.answer(samples, (rate, ratio), lambda: _find(samples, rate, ratio))


def _find(samples: Samples, rate: int, ratio: float) -> Specks:
    frame, cell = impulses.frame_length(rate), impulses.cell_length(rate)
    lengths = [max(round(length * rate / 48000), 2) for length in LENGTHS]
    longest = lengths[-1]
    reach = longest + ORDER
    channels, count = samples.shape
    cells = count // cell
    nothing = Specks(*(np.zeros(0, np.intp),) * 2, np.zeros((0, longest)), *(np.zeros(0),) * 2)
    if cells < 2 * SCALE_CELLS or count < 2 * frame:
        return nothing
    a, error = impulses.analyse(samples, rate)
    peak = np.abs(error[:, : cells * cell]).reshape(channels, cells, cell).max(axis=2)
    usual = np.maximum(_usual(peak), impulses.SMALLEST)
    best = np.maximum(peak[:, :-2], peak[:, 2:])
    beside = np.pad(best, ((0, 0), (1, 1)), constant_values=np.inf)
    channel, index = np.nonzero((peak > ratio * usual) & (peak >= beside))
    inside = np.abs(error[channel[:, np.newaxis], index[:, np.newaxis] * cell + np.arange(cell)])
    start = index * cell + np.argmax(inside, axis=1) - EARLY
    keep = (start >= ORDER) & (start + reach < count)
    channel, index, start = channel[keep], index[keep], start[keep]
    if not channel.size:
        return nothing
    own = a[channel, np.minimum(start // frame, a.shape[1] - 1)]
    power = np.square(usual[channel, index].astype(np.float64) / 2.5)
    there = error[channel[:, np.newaxis], start[:, np.newaxis] + np.arange(reach)].astype(np.float64)
    return _solve(channel, start, there, own, power, lengths)


def _solve(channel: Ints, start: Ints, error: Floats, a: Floats, power: Floats, lengths: list[int]) -> Specks:
    longest = lengths[-1]
    toward = (np.lib.stride_tricks.sliding_window_view(error, ORDER + 1, axis=1) * a[:, np.newaxis]).sum(
        axis=2
    )
    lags = ar.autocorrelation(a, longest - 1).astype(np.float64)
    total = np.square(error).sum(axis=1)
    added = np.zeros((len(start), longest))
    left = total.copy()
    least = np.full(len(start), np.inf)
    for length in lengths:
        apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        gram = lags[:, apart] + 1e-9 * lags[:, :1, np.newaxis] * np.eye(length)
        more = np.linalg.solve(gram, toward[:, :length, np.newaxis])[..., 0]
        rest = np.maximum(total - (toward[:, :length] * more).sum(axis=1), 0.0)
        # each free number costs what it would explain of pure chance, and a little more
        cost = rest / power + 4.0 * length
        better = cost < least
        least[better], left[better] = cost[better], rest[better]
        added[better] = 0.0
        added[better, :length] = more[better]
    reach = error.shape[1]
    gain_db = 10 * np.log10((total + 1e-30) / (left + reach * power * 0.1 + 1e-30))
    left_db = 10 * np.log10(left / (reach * power) + 1e-9)
    return Specks(channel, start, added, gain_db, left_db)


def _usual(peak: Samples) -> Samples:
    """The median peak of some cells around each, (channels, cells): the larger of two blocks'."""
    channels, cells = peak.shape
    blocks = cells // SCALE_CELLS
    medians = np.median(peak[:, : blocks * SCALE_CELLS].reshape(channels, blocks, SCALE_CELLS), axis=2)
    at = (np.arange(cells) + 0.5) / SCALE_CELLS - 0.5
    low = np.clip(np.floor(at).astype(np.intp), 0, blocks - 1)
    high = np.clip(low + 1, 0, blocks - 1)
    return np.asarray(np.maximum(medians[:, low], medians[:, high]), np.float32)
