"""Bands: sound that reaches high, and where to pretend that it ends.

What lies above is what a network learns. Drawn as data from a seed and an index, then rendered without
randomness, as scenes are. The band is cut in the spectrum (training.extended): one transform serves for both
sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wavemend.core.frames import Frames
from wavemend.errors import InputError
from wavemend.training import targets
from wavemend.training.spectra import RATE, Drawn, Mono
from wavemend.training.stock import Bank, choose, shelf

WIDE = "wide"
KINDS = ("speech", "music", "noise")
SHARES = {"eq": 0.4, "speed": 0.5, "limit": 0.0, "room": 0.1}
EDGE = 0.97  # of the band that is true: codecs have holes just below their end
LEAST_HZ = 1_000.0  # of truth above the end, without which there is nothing to learn


@dataclass(frozen=True)
class Settings:
    """`targets` are weights; `wide` is the share of clips that reach high; `behind` how often recorded noise
    lies below, `hiss` how often that of amplifiers, both in dB re the active level.

    `true_to_hz` says of sources that were never coded up to where they are true; others are up to
    where their sound ends.
    """

    seconds: float = 4.0
    targets: dict[str, float] = field(default_factory=lambda: {"speech": 0.46, "music": 0.48, "noise": 0.06})
    wide: float = 0.75
    behind: float = 0.2
    behind_db: tuple[float, float] = (-50.0, -12.0)
    hiss: float = 0.4
    hiss_db: tuple[float, float] = (-85.0, -35.0)
    cutoff_hz: tuple[float, float] = (2_000.0, 16_000.0)
    slope: float = 0.5
    telephone: float = 0.15
    peak_dbfs: tuple[float, float] = (-36.0, -0.5)
    true_to_hz: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.targets if kind not in KINDS]
        if unknown:
            raise InputError(f"bands: there is no target '{unknown[0]}'; there are {', '.join(KINDS)}")
        if not 0.5 <= self.seconds <= 60:
            raise InputError(f"bands: seconds must be from 0.5 to 60, not {self.seconds:g}")
        low, high = self.cutoff_hz
        if not 500 <= low <= high <= 20_000:
            raise InputError("bands: cutoff_hz must rise from at least 500 to at most 20000")

    @property
    def samples(self) -> int:
        return round(self.seconds * 100) * (RATE // 100)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """48 kHz mono, (samples,), true up to `true_hz`; the band is to end at `cutoff_hz`.

    Just below it is damped by up to `damped_db`, as gentle filters do over so many `octaves`; below
    `low_hz` there is next to nothing.
    """

    sound: Mono
    kind: str
    true_hz: float
    cutoff_hz: float
    damped_db: float
    octaves: float
    low_hz: float


def draw(bank: Bank, settings: Settings, rng: np.random.Generator, split: str) -> dict[str, Any]:
    """All choices of an example, as plain data. InputError where the bank has nothing to draw from."""
    low, high = settings.cutoff_hz
    possible = {
        kind: weight for kind, weight in settings.targets.items() if weight > 0 and shelf(bank, kind, split)
    }
    if not possible:
        raise InputError(f"the bank has no clips for bands of the split '{split}'")
    kind = choose(possible, rng)
    layers = [_layer(bank, settings, kind, rng, split)]
    if kind != "noise" and rng.random() < settings.behind and shelf(bank, "noise", split, WIDE):
        layers.append(_layer(bank, settings, "noise", rng, split))
        layers[1]["level_db"] = float(rng.uniform(*settings.behind_db))
    true_hz = min(layer["true_hz"] for layer in layers)
    hiss = {"seed": int(rng.integers(2**31)), "level_db": float(rng.uniform(*settings.hiss_db))}
    most = max(min(high, true_hz - LEAST_HZ), low)
    telephone = bool(rng.random() < settings.telephone)
    return {
        "split": split,
        "samples": settings.samples,
        "kind": kind,
        "layers": layers,
        "hiss": hiss if rng.random() < settings.hiss else None,
        "true_hz": true_hz,
        "cutoff_hz": low * (most / low) ** float(rng.random()),
        "damped_db": float(rng.uniform(0, 30)) if rng.random() < settings.slope else 0.0,
        "octaves": float(rng.uniform(0.02, 0.35)),
        "low_hz": float(rng.uniform(80, 350)) if telephone else 0.0,
        "peak_dbfs": float(rng.uniform(*settings.peak_dbfs)),
        "rounding": bool(rng.random() < 0.7),
    }


def _layer(bank: Bank, settings: Settings, kind: str, rng: np.random.Generator, split: str) -> dict[str, Any]:
    wide = rng.random() < settings.wide and shelf(bank, kind, split, WIDE)
    clips = WIDE if wide else ""
    layer = targets.draw_layer(bank, kind, split, rng, settings.samples, SHARES, clips)
    speed = layer["length"] / targets.room_for(settings.samples)
    entries = bank.entries(kind, split)
    reach = [
        settings.true_to_hz.get(entries[one["clip"]].source, EDGE * entries[one["clip"]].bandwidth_hz)
        for one in layer["line"]
    ]
    layer["true_hz"] = min([RATE / 2, *(hz * speed for hz in reach)])
    layer["level_db"] = 0.0
    return layer


def render(bank: Bank, drawn: Drawn) -> Band:
    """The example that was drawn, its highest peak as drawn."""
    sound: Mono = np.zeros(drawn["samples"], np.float32)
    for layer in drawn["layers"]:
        part = targets.render_layer(bank, drawn["split"], layer, drawn["samples"])
        sound += part * np.float32(10 ** (layer["level_db"] / 20))
    if drawn["hiss"]:
        sound += np.resize(_hiss(drawn["hiss"]["seed"]), len(sound)) * np.float32(
            10 ** (drawn["hiss"]["level_db"] / 20)
        )
    sound *= np.float32(10 ** (drawn["peak_dbfs"] / 20) / max(float(np.abs(sound).max()), 1e-9))
    if drawn["rounding"]:
        sound = np.asarray(np.round(sound * np.float32(32767)) / np.float32(32767))
    names = ("kind", "true_hz", "cutoff_hz", "damped_db", "octaves", "low_hz")
    return Band(sound, **{name: drawn[name] for name in names})


def _hiss(seed: int) -> Mono:
    """A second of noise that falls or rises evenly with frequency, by up to 6 dB an octave."""
    rng = np.random.default_rng(seed)
    slope = rng.uniform(-1, 0.5)
    bins = np.fft.rfft(rng.standard_normal(RATE))
    bins *= np.maximum(np.arange(len(bins)) * 1.0, 50.0) ** slope
    noise = np.fft.irfft(bins, RATE)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


class Bands:
    """Example by index: a pure function of the bank, the settings, the seed and the index."""

    def __init__(self, bank: Bank, settings: Settings, seed: int, split: str = "train") -> None:
        self.bank, self.settings, self.seed, self.split = bank, settings, seed, split

    @property
    def seconds(self) -> float:
        """The length of each."""
        return self.settings.seconds

    def __getitem__(self, index: int) -> Band:
        rng = np.random.default_rng([self.seed, index])
        return render(self.bank, draw(self.bank, self.settings, rng, self.split))

    def item(self, index: int, frames: Frames) -> dict[str, Any]:
        """For a batch: `mixture`; `gains`, (bins,), of the band as it is heard; `cut` and `end` in bins."""
        band = self[index]
        hz = (np.arange(frames.bins) + 0.5) * frames.sample_rate / frames.n_fft
        cut = int(np.searchsorted(hz, band.cutoff_hz))
        return {
            "mixture": band.sound,
            "gains": gains(hz, band),
            "cut": cut,
            "end": int(np.searchsorted(hz, band.true_hz)),
            "kind": band.kind,
        }


def gains(hz: np.ndarray[Any, Any], band: Band) -> Mono:
    """Amplitudes at frequencies: zero from the end of the band on."""
    db = -band.damped_db * np.clip(1 + np.log2(np.maximum(hz, 1) / band.cutoff_hz) / band.octaves, 0, 1)
    if band.low_hz:
        db -= np.minimum(24 * np.maximum(np.log2(band.low_hz / np.maximum(hz, 1)), 0), 70)
    return np.where(hz < band.cutoff_hz, 10 ** (db / 20), 0).astype(np.float32)
