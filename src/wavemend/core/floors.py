"""Which part of a sound is a noise floor: a small trained estimate, band by band, and how likely it is.

Per third octave some forty figures tell how the quietest of the sound behaves: the levels of
patches, how their power swings from frame to frame, whether partials stand out, how the valleys
of a fine spectrum lie to each other in one second and over all. Two layers of weights set them
against those of the neighbouring bands, and give two quantiles of where the floor lies, in dB
over the measured minimum: a careful one (15 %) and the median. The quantiles are those of the
pinball loss (Koenker and Bassett, "Regression quantiles", Econometrica 1978), so that what is
uncertain comes out low. Trained on clean speech and music, bare and with Gaussian noise of
random level, slope, bumps, limits and wander, and with recorded noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import IO

import numpy as np
import numpy.typing as npt

from wavemend.core.noise import (
    BANDS_HZ,
    LEVEL_SIGMA_DB,
    NOISE_SPREAD_DB,
    PEAK_SIGMA_DB,
    SPREAD_SIGMA_DB,
    Array,
    Bands,
    Patches,
    PatchMeter,
    a_weight_db,
)
from wavemend.core.types import Format, Samples

LEVEL_SLACK_DB = 0.6  # how far a steady floor may wander
TEST_SLACK_DB = 0.12  # real noise is not quite Gaussian, and not quite flat within a band
MIN_HEARD_HZ = 250.0
MOST_OVER_MINIMUM_DB = 3.0
LOWER_QUARTILE_DB = -2.0  # of noise's power averaged over four frames, re its mean
_WIDTH = 10**0.05 - 10**-0.05


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """The noise floor of some seconds of one channel.

    `careful_db` and `likely_db` are densities in BANDS_HZ, `evidence` the log odds that
    there is an audible floor at all, `sound` and `noise` A-weighted powers of everything
    and of the likely floor.
    """

    careful_db: Array
    likely_db: Array
    evidence: float
    sound: float
    noise: float


Weights = Mapping[str, Array]


def read_weights(file: IO[bytes]) -> Weights:
    """Weights from a file like the one that is shipped; bench/train_floors.py makes such files."""
    return {name: array.astype(np.float64) for name, array in np.load(file).items()}


@cache
def _shipped() -> Weights:
    with resources.files("wavemend.core").joinpath("floors.npz").open("rb") as file:
        return read_weights(file)


def estimate(
    level: Array,
    spread: Array,
    peak: Array,
    fine: npt.NDArray[np.float32],
    swing: Array,
    bands: Bands,
    fine_bands: Bands,
    weights: Weights | None = None,
) -> Floor:
    """The floor from one channel's Patches put together.

    `level`, `spread` and `peak` are (patches, bands), `fine` is (rows, fine bins), `swing`
    (rows, fine bands); at least three patches and one row. Without `weights` it is judged by
    those that are shipped.
    """
    given, lowest, total = figures(level, spread, peak, fine, swing, bands, fine_bands)
    w = _shipped() if weights is None else weights
    first = np.tanh(given @ w["W1"] + w["b1"])
    reach = (len(w["W2"]) // first.shape[1] - 1) // 2
    padded = np.pad(first, ((reach, reach), (0, 0)))
    around = np.concatenate([padded[k : k + len(first)] for k in range(2 * reach + 1)], axis=1)
    second = np.tanh(around @ w["W2"] + w["b2"])
    over = np.minimum(10 * (second @ w["W3"] + w["b3"]), MOST_OVER_MINIMUM_DB)
    index = np.array([band for band, _, _ in fine_bands])
    pooled = evidence_figures(second, over, lowest, total, index)
    evidence = np.tanh(pooled @ w["P1"] + w["p1"]) @ w["P2"] + w["p2"]
    every = np.arange(len(BANDS_HZ))
    careful, likely = (np.interp(every, index, lowest + over[:, k]) for k in range(2))
    weight = a_weighted_width(index)
    return Floor(
        np.minimum(careful, likely),
        likely,
        float(evidence),
        float(10 ** (total / 10) @ weight),
        float(10 ** (likely[index] / 10) @ weight),
    )


def a_weighted_width(index: npt.NDArray[np.intp]) -> Array:
    """What makes densities in these of BANDS_HZ, (bands,), A-weighted powers: gain times width in Hz."""
    hz = np.array(BANDS_HZ)[index]
    return np.asarray(10 ** (a_weight_db(hz) / 10) * hz * _WIDTH)


def evidence_figures(
    second: Array, over: Array, lowest: Array, total: Array, index: npt.NDArray[np.intp]
) -> Array:
    """What the evidence is weighed from: means over the bands.

    `second` is what the second layer gives, (bands, units), `over` its careful and its likely
    quantile over `lowest` in dB, (bands, 2), `total` the mean density; `index` tells which bands.
    """
    hz = np.array(BANDS_HZ)[index]
    weight = a_weighted_width(index)
    heard = hz >= MIN_HEARD_HZ if (hz >= MIN_HEARD_HZ).any() else np.ones(len(hz), bool)
    sound = float(10 ** (total / 10) @ weight)
    below = np.minimum(
        [
            10 * np.log10((sound + 1e-20) / (10 ** (floor / 10) @ weight + 1e-20))
            for floor in (*(lowest[:, np.newaxis] + over).T, lowest)
        ],
        45.0,
    )
    trusted = _logistic(over + 4.0)
    share = 10 ** (lowest / 10) * weight
    return np.array(
        [
            *(below / 10),
            *trusted[heard].mean(axis=0),
            *(share @ trusted / share.sum()),
            np.clip(over[heard, 1] - over[heard, 0], -1, 10).mean() / 5,
            *(over[heard].mean(axis=0) / 5),
            len(hz) / 10 - 2.5,
            *second[heard].mean(axis=0),
        ]
    )


def joined(held: Sequence[Patches]) -> tuple[Array, Array, Array, npt.NDArray[np.float32], Array]:
    """Level, spread, peak, fine and swing of chunks in order, each (channels, patches or rows, ...)."""
    level, spread, peak, fine, swing = (
        np.concatenate([getattr(p, name) for p in held], axis=1)
        for name in ("level_db", "spread_db", "peak_db", "fine", "swing")
    )
    return level, spread, peak, fine, swing


def estimate_all(held: Sequence[Patches], meter: PatchMeter, weights: Weights | None = None) -> list[Floor]:
    """The floor of each channel from the patches of some chunks, in order; see `estimate`."""
    return [
        estimate(*channel, meter.bands, meter.fine_bands, weights)
        for channel in zip(*joined(held), strict=True)
    ]


class FloorFinder:
    """The floor of what came by in the last seconds, chunk after chunk, as far as it is evident."""

    MEMORY = 8
    MIN_PATCHES = 8
    EVIDENT = 3.5  # log odds
    DOUBT_DB = 8.0  # how much lower the floor is taken for each missing unit of evidence

    def __init__(self, format: Format) -> None:
        self._meter = PatchMeter(format)
        self._held: list[Patches] = []
        self._floors: Array | None = None

    def push(self, block: Samples) -> Array | None:
        """The densities in dB at BANDS_HZ, (channels, bands), or None while there is too little to tell."""
        fresh = list(self._meter.push(block))
        self._held = [*self._held, *fresh][-self.MEMORY :]
        if (
            fresh
            and self._meter.fine_bands
            and sum(p.level_db.shape[1] for p in self._held) >= self.MIN_PATCHES
        ):
            found = estimate_all(self._held, self._meter)
            doubt = max(0.0, self.EVIDENT - float(np.mean([floor.evidence for floor in found])))
            self._floors = np.array([floor.careful_db - self.DOUBT_DB * doubt for floor in found])
        return self._floors


def _logistic(x: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def _quantiles(ordered: npt.NDArray[np.floating], *places: float) -> Array:
    """Quantiles of what is sorted along the first axis, straight between neighbours: (places, ...)."""
    at = np.array(places) * (len(ordered) - 1)
    low = at.astype(int)
    share = (at - low).reshape(-1, *[1] * (ordered.ndim - 1))
    upper = ordered[np.minimum(low + 1, len(ordered) - 1)]
    return np.asarray(ordered[low] * (1 - share) + upper * share)


def _some_quantiles(values: Array, mask: npt.NDArray[np.bool_], places: Sequence[float]) -> Array:
    """Quantiles down the columns of what is in the mask, (places, columns); 0 where that is nothing."""
    ordered = np.sort(np.where(mask, values, np.inf), axis=0)
    last = np.maximum(mask.sum(axis=0) - 1, 0)
    at = np.outer(places, last)
    low = at.astype(int)
    upper = np.minimum(low + 1, last)
    found = np.take_along_axis(ordered, low, axis=0)
    share = at - low
    found = np.where(mask.any(axis=0), found, 0.0)
    upper_values = np.where(mask.any(axis=0), np.take_along_axis(ordered, upper, axis=0), 0.0)
    return np.asarray(found * (1 - share) + upper_values * share)


def figures(
    level: Array,
    spread: Array,
    peak: Array,
    fine: npt.NDArray[np.float32],
    swing: Array,
    bands: Bands,
    fine_bands: Bands,
) -> tuple[Array, Array, Array]:
    """What the weights are given, (bands, figures), the measured minimum and the mean, (bands,) in dB.

    The parameters are those of `estimate`.
    """
    count = len(fine_bands)
    level, spread, peak = level[:, :count], spread[:, :count], peak[:, :count]
    rows, mean, lows, low_mean = _valleys(fine, fine_bands)
    lowest = _quantiles(np.sort(rows[1], axis=0), 0.1)[0] - LOWER_QUARTILE_DB
    columns = [
        *_clip(_quantiles(np.sort(level, axis=0), 0.02, 0.1, 0.25, 0.5, 0.75, 0.95) - lowest, -10, 30, 5)
    ]
    columns += _noise_like(level, spread, peak, lowest, bands[:count])
    places = (0.1, 0.5, 0.9)
    columns += [*_clip(_quantiles(np.sort(spread, axis=0), *places) - NOISE_SPREAD_DB, -4, 8, 2)]
    columns += [*_clip(_quantiles(np.sort(peak, axis=0), *places), -4, 8, 2)]
    quarter = np.sort(rows[1], axis=0) - lowest
    columns += [
        _clip(quarter[0], -20, 20, 5),
        _clip(_quantiles(quarter, 0.5)[0], -10, 30, 5),
        _clip(quarter[-1], -10, 30, 5),
    ]
    apart = [np.sort(other - rows[1], axis=0) for other in (rows[0], rows[2], rows[3], mean)]
    columns += [_clip(_quantiles(other, 0.5)[0], -15, 24, 3) for other in apart]
    columns += [_clip(_quantiles(apart[k], 0.2)[0], -15, 24, 3) for k in (0, 1, 3)]
    ordered = np.sort(swing, axis=0)
    columns += [*(_quantiles(ordered, 0.5, 0.1) * 2 - 2)]
    columns += [_clip(low - lowest, -20, 40, 5) for low in (*lows, low_mean)]
    height = np.clip(lowest, -140, 0)
    index = np.array([band for band, _, _ in fine_bands])
    band_width = 10 * np.log10(np.array(BANDS_HZ)[index] * _WIDTH)
    whole = 10 * np.log10(np.sum(10 ** ((low_mean + band_width) / 10)) + 1e-20)
    columns += [
        (lowest - height.mean()) / 20,
        height / 20 + 4,
        np.log2([last - first for _, first, last in fine_bands]) / 3 - 1,
        index / 10 - 2,
        np.full(count, (count - 25) / 10),
        _clip(lowest + band_width - whole + 20, -60, 40, 20),
        _clip(low_mean + band_width - whole + 20, -60, 40, 20),
    ]
    return np.stack(columns, axis=1), lowest, low_mean


def _clip(values: Array, low: float, high: float, unit: float) -> Array:
    return np.asarray(np.clip(values, low, high) / unit)


def _valleys(fine: npt.NDArray[np.float32], fine_bands: Bands) -> tuple[list[Array], Array, Array, Array]:
    """Quantiles (10, 25, 50, 75 %) over each band's fine bins and their mean, in dB: per row, and of all."""
    places = (0.1, 0.25, 0.5, 0.75)
    rows = np.empty((5, len(fine), len(fine_bands)))
    whole = np.empty((5, len(fine_bands)))
    every = fine.mean(axis=0)
    for k, (_, first, last) in enumerate(fine_bands):
        cells, of_all = fine[:, first:last], every[first:last]
        rows[:4, :, k] = _quantiles(np.sort(cells, axis=1).T, *places)
        whole[:4, k] = _quantiles(np.sort(of_all), *places)
        rows[4, :, k], whole[4, k] = cells.mean(axis=1), of_all.mean()
    rows, whole = 10 * np.log10(rows), 10 * np.log10(whole)
    return list(rows[:4]), rows[4], whole[:4], whole[4]


def _noise_like(level: Array, spread: Array, peak: Array, lowest: Array, bands: Bands) -> list[Array]:
    """How many patches are like noise, at which levels, how well these agree, and whether any lie below.

    A patch is like noise if its power swings from frame to frame as that of a Gaussian
    process does, and no partial stands out of it.
    """
    root = np.sqrt([last - first for _, first, last in bands])
    sigma = LEVEL_SIGMA_DB / root
    reach = np.hypot(sigma, LEVEL_SLACK_DB)
    like = np.abs(spread - NOISE_SPREAD_DB) < 3 * SPREAD_SIGMA_DB / root + TEST_SLACK_DB
    like &= np.abs(peak) < 3 * PEAK_SIGMA_DB / root + TEST_SLACK_DB
    enough = like.sum(axis=0) > 2
    tenth, first, middle, last = _some_quantiles(level, like, (0.1, 0.25, 0.5, 0.75))
    low = np.where(enough, tenth - lowest, -10.0)
    medium = np.where(enough, middle - lowest, -10.0)
    width = np.where(enough, (last - first) / 1.35 / reach, 3.0)
    # a median 10 dB or more under the measured minimum is none
    base = np.where(medium > -10, medium, 0) + lowest
    near = like & (np.abs(level - base) < 2.5 * reach)
    lowly = np.abs(level - lowest - 0.3) < 2.5 * reach
    pairs = near[1:] & near[:-1]
    steps = np.sum(np.abs(np.diff(level, axis=0)) * pairs, axis=0) / np.maximum(pairs.sum(axis=0), 1)
    wander = np.where(pairs.any(axis=0), steps / (1.128 * sigma + 0.1), 3.0)
    return [
        _clip(low, -10, 20, 5),
        _clip(medium, -10, 20, 5),
        np.clip(width, 0, 3),
        like.mean(axis=0),
        near.mean(axis=0),
        lowly.mean(axis=0),
        (lowly & like).mean(axis=0),
        np.mean(level < base - 3 * reach, axis=0),
        np.clip(wander, 0, 3),
    ]
