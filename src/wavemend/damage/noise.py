"""Broadband noise: hiss of tape and electronics, the surface of discs, the air of a room.

Made as Gaussian noise with a slope and two band limits, at a level that may wander.
Found as what keeps its level in all pauses, between partials and above them: patches
of time and frequency whose power swings as that of a Gaussian process, whose levels
agree, and below which the sound never falls. Cymbals, breath, strings and codecs make
noise too, but at levels that follow the music. A floor that lies more than some 32 dB
below the sound (A-weighted) is a quiet room, and no damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavemend.core.noise import (
    BANDS_HZ,
    LEVEL_SIGMA_DB,
    NOISE_SPREAD_DB,
    PEAK_SIGMA_DB,
    SILENCE_DB,
    SPREAD_SIGMA_DB,
    Array,
    Patches,
    PatchMeter,
    a_weight_db,
)
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples, runs
from wavemend.damage import Damage, Drawn

LEVEL_SLACK_DB = 0.6  # how far a steady floor may wander
TEST_SLACK_DB = 0.12  # real noise is not quite Gaussian, and not quite flat within a band
MIN_PATCHES, MIN_PRESENCE = 6, 0.1
MIN_HEARD_HZ = 250.0
INAUDIBLE_DB = -125.0  # densities below it, -81 dBFS if white, are no ground for anything
AUDIBLE_SNR_DB = 31.0
STRETCH_PATCHES = 64
NEIGHBOURS = 4  # stretches to each side that have a say
SAME_FLOOR_DB = 6.0  # channels whose floors lie nearer are judged together
REPORT_FROM, LIKELY = 0.2, 0.5
MAX_SLOPE_DB = 2.0  # of a floor, from band to band
HIDDEN_DB = 3.5
FADING_DB = 0.5
SELDOM_SLACK_DB = 1.0
WEIGHTS = (-5.67, 3.5, 3.81, 3.53, 0.65, 1.37, -0.43, -0.66, 2.47, 3.37)  # in the order of `belief`

WANDER_S = (4.0, 15.0)


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    snr_db: float,
    slope_db_per_octave: float,
    low_hz: float,
    high_hz: float,
    wander_db: float,
) -> Drawn:
    """A seed for the noise and the phases of its wandering; every channel gets noise of its own."""
    drawn = {
        "seed": int(rng.integers(2**32)),
        "phases": [float(p) for p in rng.uniform(0, 2 * np.pi, 3)],
        "periods_s": [float(s) for s in rng.uniform(*WANDER_S, 3)],
        "snr_db": snr_db,
        "slope_db_per_octave": slope_db_per_octave,
        "low_hz": low_hz,
        "high_hz": high_hz,
        "wander_db": wander_db,
    }
    truth = Finding(
        "noise",
        Region(0, max(samples, 1), None, (low_hz, min(high_hz, format.sample_rate / 2))),
        severity=severity(snr_db),
        confidence=1.0,
        measures={"snr_db": snr_db},
    )
    return {**drawn, "findings": (truth,) if samples else ()}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add the noise, so loud that the power of all channels together lies snr_db above it."""
    count = samples.shape[1]
    if not count:
        return samples.copy()
    rng = np.random.default_rng(drawn["seed"])
    size = count + format.sample_rate // 10  # what runs around the end of the transform is thrown away
    hz = np.fft.rfftfreq(size, 1 / format.sample_rate)
    octaves = np.log2(np.maximum(hz, 20.0) / 1000.0)
    gain = 10 ** (drawn["slope_db_per_octave"] * octaves / 20)
    gain *= (hz >= drawn["low_hz"]) * (hz <= drawn["high_hz"])
    time = np.arange(count) / format.sample_rate
    turns = zip(drawn["periods_s"], drawn["phases"], strict=True)
    wander = sum(np.sin(2 * np.pi * time / period + phase) for period, phase in turns)
    level = 10 ** (drawn["wander_db"] * wander * np.sqrt(2 / 3) / 20)
    noise = np.empty(samples.shape)
    for row in noise:
        row[:] = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * gain, size)[:count] * level
    power = np.mean(np.square(samples, dtype=np.float64))
    noise *= np.sqrt(power * 10 ** (-drawn["snr_db"] / 10) / max(np.mean(noise**2), 1e-30))
    return (samples + noise).astype(np.float32)


def severity(snr_db: float) -> float:
    """0 where the noise lies 50 dB below the sound, 1 where it is as loud."""
    return float(np.clip((50.0 - snr_db) / 50.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What some seconds of one channel say of the noise in them.

    `floor_db` is its density in BANDS_HZ. The rest are the grounds for believing in it:
    `total` and `noise` A-weighted powers of the sound and of the bands where the floor is
    evident, `evident` the share of such bands above 250 Hz, `present` the mean share of
    patches there that show nothing but the floor, `steady` the same where the floor also
    keeps its level from one patch to the next, `wander` how far it does not (in units of
    what noise does), `width` how wide the levels of noise-like patches spread.
    """

    floor_db: Array
    total: float
    noise: float
    evident: float
    present: float
    steady: float
    wander: float
    width: float


def examine(level: Array, spread: Array, peak: Array, bands: list[tuple[int, int, int]]) -> Stretch:
    """Judge patches (patches, bands) of one channel.

    A patch is like noise if its power swings from frame to frame as that of a Gaussian
    process does and no partial stands out of it. A floor is evident in a band where
    enough patches are like noise, most of these agree in level, and hardly any patch
    lies below.
    """
    count = len(level)
    hz = np.array([BANDS_HZ[index] for index, _, _ in bands])
    root = np.sqrt([last - first for _, first, last in bands])
    sigma = LEVEL_SIGMA_DB / root
    reach = np.hypot(sigma, LEVEL_SLACK_DB)
    alive = level > INAUDIBLE_DB
    like = alive & (np.abs(spread - NOISE_SPREAD_DB) < 3 * SPREAD_SIGMA_DB / root + TEST_SLACK_DB)
    like &= np.abs(peak) < 3 * PEAK_SIGMA_DB / root + TEST_SLACK_DB
    quartiles = np.full((3, len(bands)), SILENCE_DB)
    for k in range(len(bands)):
        if like[:, k].any():
            quartiles[:, k] = np.quantile(level[like[:, k], k], (0.25, 0.5, 0.75))
    floor = quartiles[1]
    lowest = np.quantile(level, 0.05, axis=0) + 1.3 * reach
    near = like & (np.abs(level - floor) < 2.5 * reach)
    below = np.mean(alive & (level < floor - 3 * reach), axis=0)
    share = near.mean(axis=0)
    enough = max(MIN_PATCHES, MIN_PRESENCE * count)
    evident = (near.sum(0) >= enough) & (below < 0.08) & (near.sum(0) > 0.6 * like.sum(0))
    pairs = near[1:] & near[:-1]
    steps = np.sum(np.abs(np.diff(level, axis=0)) * pairs, axis=0) / np.maximum(pairs.sum(0), 1)
    wander = np.where(pairs.any(axis=0), steps / (1.128 * sigma + 0.1), 9.0)
    weight = 10 ** (a_weight_db(hz) / 10) * hz * (10**0.05 - 10**-0.05)
    heard = hz >= MIN_HEARD_HZ
    width = (quartiles[2] - quartiles[0]) / 1.35 / reach
    return Stretch(
        floor_db=_whole_floor(np.minimum(floor, lowest), evident, share, lowest, bands),
        total=float(np.mean(10 ** ((level + peak) / 10), axis=0) @ weight),
        noise=float(10 ** (floor[evident] / 10) @ weight[evident]),
        evident=float(evident[heard].mean()) if heard.any() else 0.0,
        present=float(share[heard].mean()) if heard.any() else 0.0,
        steady=float((share * np.clip(2.2 - wander, 0, 1) * evident)[heard].mean()) if heard.any() else 0.0,
        wander=float(np.minimum(wander, 3.0)[heard].mean()) if heard.any() else 3.0,
        width=float(np.median(np.minimum(width[evident], 3.0))) if evident.any() else 3.0,
    )


def _whole_floor(
    floor: Array,
    evident: npt.NDArray[np.bool_],
    share: Array,
    lowest: Array,
    bands: list[tuple[int, int, int]],
) -> Array:
    """The floor in all of BANDS_HZ, rather too low than too high: what is too high cuts music.

    Bands that show the floor often are believed, and bands that show it seldom only as far
    as they do not rise above the line between those. Where no floor is evident, something
    else lies above it: there it goes on, falling, and is held below the quietest patches.
    """
    whole = np.full(len(BANDS_HZ), SILENCE_DB)
    if not evident.any():
        return whole
    index = np.array([band for band, _, _ in bands])
    firm = evident & (share >= min(0.3, 0.6 * float(share[evident].max())))
    at, known = index[firm], floor[firm]
    offset = at - at.mean()
    slope = float(np.clip(offset @ known / max(offset @ offset, 1.0), -MAX_SLOPE_DB, MAX_SLOPE_DB))
    filled = np.interp(index, at, known)
    below, above = np.maximum(at[0] - index, 0), np.maximum(index - at[-1], 0)
    filled -= below * (max(slope, 0.0) + FADING_DB) + above * (max(-slope, 0.0) + FADING_DB)
    hidden = (below > 0) | (above > 0)
    ceiling = np.where(
        evident,
        np.minimum(floor, filled + SELDOM_SLACK_DB),
        lowest - np.where(hidden, HIDDEN_DB, HIDDEN_DB / 2),
    )
    filled = np.where(evident, ceiling, np.minimum(filled, ceiling))
    filled = np.where(firm, floor, filled)
    return np.interp(np.arange(len(BANDS_HZ)), index, filled)


def belief(stretch: Stretch, snr_db: float) -> float:
    """The probability that a stretch holds audible noise: fitted on clean and noised speech and music."""
    snr, share, present = min(snr_db, 40.0) / 10, stretch.evident, stretch.present
    grounds = (
        1.0,
        snr,
        share,
        present,
        snr * share,
        snr * present,
        stretch.wander,
        stretch.width,
        stretch.steady,
        float(np.sqrt(share * present)),
    )
    evidence = _logistic(float(np.dot(WEIGHTS, grounds)))
    broad = _logistic((share - 0.1) / 0.02)
    audible = _logistic((AUDIBLE_SNR_DB - snr_db) / 1.2)
    return evidence * broad * audible


def _logistic(x: float) -> float:
    return float(0.5 + 0.5 * np.tanh(x / 2))


class NoiseDetector:
    """Judges stretches of some ten seconds, and joins them with their neighbours' judgement."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._meter = PatchMeter(format)
        self._held: list[Patches] = []
        self._stretches: list[list[Stretch]] = []

    def push(self, block: Samples) -> None:
        for patches in self._meter.push(block):
            self._take(patches)

    def finish(self) -> Sequence[Finding]:
        for patches in self._meter.flush():
            self._take(patches)
        if self._meter.bands and sum(p.level_db.shape[1] for p in self._held) > MIN_PATCHES:
            self._examine(self._held)
        if not self._stretches:
            return ()
        found = [finding for group in self._groups() for finding in self._judge(group)]
        return sorted(found, key=lambda f: (f.region.start, f.region.channels or ()))

    def _take(self, patches: Patches) -> None:
        # a stretch is examined only when the next is full: the last then is never too short to judge
        self._held.append(patches)
        if sum(p.level_db.shape[1] for p in self._held) >= 2 * STRETCH_PATCHES:
            half = len(self._held) // 2
            self._examine(self._held[:half])
            self._held = self._held[half:]

    def _examine(self, held: list[Patches]) -> None:
        level, spread, peak = (
            np.concatenate([getattr(p, name) for p in held], axis=1)
            for name in ("level_db", "spread_db", "peak_db")
        )
        self._stretches.append(
            [examine(level[c], spread[c], peak[c], self._meter.bands) for c in range(len(level))]
        )

    def _groups(self) -> list[list[int]]:
        """Channels, those with floors of about the same level together."""
        noise = [np.median([row[c].noise for row in self._stretches]) for c in range(self._format.channels)]
        groups: list[list[int]] = []
        loudest = 0.0
        for channel in np.argsort(noise)[::-1].tolist():
            if groups and noise[channel] * 10 ** (SAME_FLOOR_DB / 10) >= loudest:
                groups[-1].append(channel)
            else:
                groups.append([channel])
                loudest = float(noise[channel])
        return groups

    def _judge(self, channels: list[int]) -> list[Finding]:
        rows = self._stretches
        sound = np.array([[max(row[c].total, 1e-20) for c in channels] for row in rows])
        noise = np.array([[max(row[c].noise, 1e-20) for c in channels] for row in rows])
        # against the level of the whole recording: in a pause there is nothing but a floor
        snr = 10 * np.log10(np.maximum(np.maximum(sound, sound.mean(axis=0)) / noise, 1.0))
        own = np.array(
            [[belief(row[c], snr[k, i]) for i, c in enumerate(channels)] for k, row in enumerate(rows)]
        )
        every = own.mean(axis=1)
        judged = [float(every[max(k - NEIGHBOURS, 0) : k + NEIGHBOURS + 1].mean()) for k in range(len(rows))]
        found = []
        least = LIKELY if max(judged) >= LIKELY else REPORT_FROM
        for first, last in runs(np.array(judged) >= least):
            start = first * STRETCH_PATCHES * self._meter.patch_length
            stop = (
                self._meter.received
                if last == len(rows)
                else last * STRETCH_PATCHES * self._meter.patch_length
            )
            for i, channel in enumerate(channels):
                part = [row[channel] for row in rows[first:last]]
                below = float(
                    10 * np.log10(max(np.mean(sound[first:last, i]) / np.mean(noise[first:last, i]), 1.0))
                )
                found.append(
                    self._finding(channel, start, stop, part, below, float(np.mean(judged[first:last])))
                )
        return found

    def _finding(
        self, channel: int, start: int, stop: int, part: list[Stretch], below_db: float, confidence: float
    ) -> Finding:
        shape = np.median([stretch.floor_db for stretch in part], axis=0)
        hz = np.array(BANDS_HZ)
        within = hz * 10**0.05 < self._format.sample_rate / 2
        power = 10 ** (shape / 10) * hz * (10**0.05 - 10**-0.05)
        snr_db = float(10 * np.log10(max(10 ** (below_db / 10) - 1, 1e-3)))
        return Finding(
            "noise",
            Region(
                start,
                stop,
                (channel,),
                (float(hz[0]), float(hz[within][-1]) if within.any() else float(hz[0])),
            ),
            severity=severity(snr_db),
            confidence=confidence,
            measures={
                "snr_db": snr_db,
                "floor_dbfs": float(10 * np.log10(power[within].sum() + 1e-20)),
                "floor_db_per_hz": tuple(round(float(v), 2) for v in shape),
            },
        )


PARAMS = {
    "snr_db": Param(
        15.0, -10.0, 60.0, "dB", "power of the sound over that of the noise, all channels together"
    ),
    "slope_db_per_octave": Param(
        0.0, -12.0, 6.0, "dB", "0 is white, -3 pink, -6 brown, 3 a worn tape's hiss"
    ),
    "low_hz": Param(20.0, 0.0, 20_000.0, "Hz", "below it there is no noise"),
    "high_hz": Param(96_000.0, 100.0, 400_000.0, "Hz", "above it there is no noise"),
    "wander_db": Param(
        0.3, 0.0, 6.0, "dB", "how far the level wanders within some seconds (root mean square)"
    ),
}

DAMAGE = Damage(
    name="noise",
    title="Broadband noise",
    params=PARAMS,
    draw=draw,
    apply=apply,
    detector=NoiseDetector,
    doc=__doc__,
)
