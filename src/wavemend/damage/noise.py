"""Broadband noise: hiss of tape and electronics, the surface of discs, the air of a room.

Made as Gaussian noise with a slope and two band limits, at a level that may wander.
Found by a small trained estimate of the floor in every third octave (core/floors.py): how
the quietest of the sound behaves in pauses, between partials and above them, and whether
that is how a Gaussian process does. Cymbals, breath, strings and codecs make noise too,
but at levels that follow the music. A floor that lies more than some 31 dB below the
sound (A-weighted) is a quiet room, and no damage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavemend.core.floors import Floor, estimate_all
from wavemend.core.noise import BANDS_HZ, Patches, PatchMeter
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples, runs
from wavemend.damage import Damage, Drawn

MIN_PATCHES = 6
INAUDIBLE_POWER = 1e-10  # A-weighted, re full scale: no ground for anything
AUDIBLE_SNR_DB = 31.0
STRETCH_PATCHES = 64
NEIGHBOURS = 4  # stretches to each side that have a say
SAME_FLOOR_DB = 6.0  # channels whose floors lie nearer are judged together
REPORT_FROM, LIKELY = 0.2, 0.5
MOST_EVIDENCE = 8.0
CALIBRATION = (-1.79, 1.2)  # of log odds, on clips that were not trained on
CAREFUL_SHARE = 0.35  # of stretches whose floors lie below the one that is taken

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


class NoiseDetector:
    """Judges stretches of some ten seconds, and joins them with their neighbours' judgement."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._meter = PatchMeter(format)
        self._held: list[Patches] = []
        self._stretches: list[list[Floor]] = []

    def push(self, block: Samples) -> None:
        for patches in self._meter.push(block):
            self._take(patches)

    def finish(self) -> Sequence[Finding]:
        for patches in self._meter.flush():
            self._take(patches)
        if self._meter.fine_bands and sum(p.level_db.shape[1] for p in self._held) > MIN_PATCHES:
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
        self._stretches.append(estimate_all(held, self._meter))

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
        sound = np.array([[max(row[c].sound, 1e-20) for c in channels] for row in rows])
        noise = np.array([[max(row[c].noise, 1e-20) for c in channels] for row in rows])
        evidence = np.array([[row[c].evidence for c in channels] for row in rows])
        # against the level of the whole recording: in a pause there is nothing but a floor
        snr = 10 * np.log10(np.maximum(sound, sound.mean(axis=0)) / noise)
        evidence = np.minimum(evidence, 2 * (AUDIBLE_SNR_DB - snr))
        silent = sound < INAUDIBLE_POWER
        own = np.ma.array(np.clip(evidence, -MOST_EVIDENCE, MOST_EVIDENCE), mask=silent).mean(axis=1)
        near = [own[max(k - NEIGHBOURS, 0) : k + NEIGHBOURS + 1].mean() for k in range(len(rows))]
        judged = np.array([-MOST_EVIDENCE if value is np.ma.masked else float(value) for value in near])
        belief = 0.5 + 0.5 * np.tanh((CALIBRATION[0] + CALIBRATION[1] * judged) / 2)
        found = []
        least = LIKELY if belief.max() >= LIKELY else REPORT_FROM
        for first, last in runs(belief >= least):
            start = first * STRETCH_PATCHES * self._meter.patch_length
            stop = (
                self._meter.received
                if last == len(rows)
                else last * STRETCH_PATCHES * self._meter.patch_length
            )
            for i, channel in enumerate(channels):
                part = [row[channel] for k, row in enumerate(rows[first:last], first) if not silent[k, i]]
                if part:
                    found.append(
                        self._finding(channel, start, stop, part, float(np.mean(belief[first:last])))
                    )
        return found

    def _finding(self, channel: int, start: int, stop: int, part: list[Floor], confidence: float) -> Finding:
        shape = np.quantile([floor.careful_db for floor in part], CAREFUL_SHARE, axis=0)
        hz = np.array(BANDS_HZ)
        within = hz * 10**0.05 < self._format.sample_rate / 2
        power = 10 ** (shape / 10) * hz * (10**0.05 - 10**-0.05)
        over = sum(floor.sound for floor in part) / max(sum(floor.noise for floor in part), 1e-20)
        snr_db = float(10 * np.log10(max(over - 1, 1e-3)))
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
