"""The judge of steady repairs: bounds on what becomes of wanted time-frequency cells."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from wavemend.core.types import Action, Format, Samples
from wavemend.repairs import Repair
from wavemend.restoration.judges import Floats, GlidingJudge

CUT_BOUND = 0.03  # share of wanted energy that may be cut by more than 3 dB
HIGH_BAND_BOUND_DB = -2.0
ONSET_BOUND_DB = -1.5
HIGH_BAND_HZ = 4000.0
WANTED_DB = 15.0
SILENT_POWER = 1e-11
AMOUNTS = (1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A window as the judge hears it: (channels, frames, bins) each."""

    before: npt.NDArray[np.complex64]
    after: npt.NDArray[np.complex64]
    power: Floats
    wanted: npt.NDArray[np.bool_]


class SteadyJudge(GlidingJudge[Heard]):
    """Bounds on wanted time-frequency cells, window by window."""

    def __init__(self, step: int, repair: Repair, format: Format) -> None:
        super().__init__(step)
        self._takes = repair.takes
        # standing tones need spectra that tell harmonics of 50 Hz apart
        seconds = 0.17 if repair.takes == "tones" else 0.043
        self._n_fft = 2 ** max(7, round(np.log2(format.sample_rate * seconds)))
        self._hann = np.hanning(self._n_fft + 1)[:-1].astype(np.float32)
        self._high = np.fft.rfftfreq(self._n_fft, 1 / format.sample_rate) >= HIGH_BAND_HZ
        self._quiet = 0.5 if repair.takes == "tones" else 0.2
        self._bands = _third_octaves(self._n_fft // 2 + 1)
        self._floors: deque[Floats] = deque(maxlen=4 if repair.takes == "tones" else 10)
        self._energies: deque[float] = deque(maxlen=10)

    def hear(self, dry: Samples, wet: Samples) -> Heard | None:
        """The spectra of a window and its wanted cells; None where there is nothing to judge."""
        if np.array_equal(dry, wet) or dry.shape[1] < self._n_fft:
            return None
        before, after = self._spectra(dry), self._spectra(wet)
        power = before.real**2 + before.imag**2
        wanted = power > self._floor(power) * 10 ** (WANTED_DB / 10)
        self._energies.append(float(power[wanted].sum()))
        return Heard(before, after, power, wanted)

    def decide(self, heard: Heard | None) -> tuple[float, dict[str, float]]:
        """The share that stays within the bounds, and what was measured at all of it."""
        usual = float(np.mean(self._energies)) if self._energies else 0.0
        if heard is None or usual == 0.0:
            return 1.0, {}
        measures: dict[str, float] = {}
        for share in AMOUNTS:
            mixed = heard.before + share * (heard.after - heard.before)
            changed = mixed.real**2 + mixed.imag**2
            now = measures_of(heard.power, changed, heard.wanted, self._high, usual)
            measures = measures or now
            if (
                now["cut_share"] <= CUT_BOUND
                and now["high_band_db"] >= HIGH_BAND_BOUND_DB
                and now["onsets_db"] >= ONSET_BOUND_DB
            ):
                return share, measures
        return 0.0, measures

    def _spectra(self, x: Samples) -> npt.NDArray[np.complex64]:
        """(channels · frames, bins) of frames that touch each other; their order within a channel is kept."""
        count = x.shape[1] // self._n_fft
        frames = x[:, : count * self._n_fft].reshape(len(x), count, self._n_fft)
        return np.asarray(fft.rfft(frames * self._hann, axis=2), np.complex64)

    def _floor(self, power: Floats) -> Floats:
        """The level, per bin, under which a cell counts as floor: (bins,)."""
        # the quantile q of exponentially distributed power lies at -ln(1 - q) of its mean
        low = _lowest(power, self._quiet, axis=1).max(axis=0) / -np.log1p(-self._quiet)
        if low.max() > SILENT_POWER * self._n_fft or not self._floors:
            self._floors.append(low)  # digital silence is no floor for what follows it
        floor = _lowest(np.array(self._floors), 0.2, axis=0)
        if self._takes == "tones":
            # a tone that drifts moves from bin to bin: the envelope of a hum's harmonics counts
            floor = np.asarray(ndimage.maximum_filter1d(floor, 31))
        else:
            # a standing tone rises above its neighbours: it is wanted, however long it stands
            centres = np.log([(a + b) / 2 for a, b in self._bands])
            levels = np.log([_lowest(floor[a:b], 0.3, axis=0) + 1e-30 for a, b in self._bands])
            floor = np.exp(np.interp(np.log(np.arange(len(floor)) + 0.5), centres, levels))
        return np.asarray(floor + 1e-12 * self._n_fft)

    def worse(self, name: str, a: float, b: float) -> float:
        return max(a, b) if name == "cut_share" else min(a, b)

    def reason(self, action: Action, measures: Mapping[str, float]) -> str:
        did = (
            f"at most {measures['cut_share']:.1%} of the wanted energy cut, "
            f"high band {measures['high_band_db']:+.1f} dB, onsets {measures['onsets_db']:+.1f} dB"
        )
        if action == "keep":
            return f"within bounds: {did}"
        given = f"{measures['share']:.0%} of it applied" if action == "blend" else "given back untouched"
        return f"in full it would have crossed a bound ({did}); {given}"


def _lowest(values: Floats, share: float, axis: int) -> Floats:
    """The value that `share` of the others lie below, along an axis."""
    place = int(share * (values.shape[axis] - 1) + 0.5)
    return np.asarray(np.partition(values, place, axis=axis).take(place, axis=axis))


def _third_octaves(bins: int) -> list[tuple[int, int]]:
    """Half-open bands of a third of an octave, at least four bins wide."""
    edges = [0]
    while edges[-1] < bins:
        edges.append(min(bins, max(edges[-1] + 4, round(edges[-1] * 2 ** (1 / 3)))))
    return list(pairwise(edges))


def measures_of(
    before: Floats,
    after: Floats,
    wanted: npt.NDArray[np.bool_],
    high: npt.NDArray[np.bool_],
    usual: float = 0.0,
) -> dict[str, float]:
    """What a change does to the wanted cells; powers are (channels, frames, bins).

    cut_share: the share of their energy that lies in cells cut by more than 3 dB.
    high_band_db: the change of their energy in the bins `high`. onsets_db: the change of
    the summed positive flux of their magnitudes. `usual` is their energy in a usual
    window: where there is much less, in a pause, little can be lost.
    """
    total = max(float(before[wanted].sum()), usual)
    cut = float(before[wanted & (after < 0.501 * before)].sum())
    upper = wanted & high
    was, now = float(before[upper].sum()), float(after[upper].sum())
    # high cells that carry next to nothing of the sound say nothing about it
    high_band = 10 * np.log10((now + 1e-12) / was) if was > 1e-4 * total else 0.0
    rise = wanted[:, 1:]
    flux_before = float(np.maximum(np.diff(np.sqrt(before), axis=1), 0)[rise].sum())
    flux_after = float(np.maximum(np.diff(np.sqrt(after), axis=1), 0)[rise].sum())
    pause = float(before[wanted].sum()) < 0.05 * usual
    onsets = 0.0 if pause or flux_before < 1e-9 else 20 * np.log10((flux_after + 1e-12) / flux_before)
    return {"cut_share": cut / total, "high_band_db": float(high_band), "onsets_db": float(onsets)}
