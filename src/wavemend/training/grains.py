"""Patches of spectrograms, and the steady noise over them: what a weigher learns from.

Music, sometimes with speech, under hiss, surface noise, hum and the like. The noise's power is known
as a diagnosis knows it: smoothed over time and frequency, and not quite right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wavemend.core.dsp import means_around
from wavemend.core.frames import Frames
from wavemend.errors import InputError
from wavemend.training import noises, targets
from wavemend.training.spectra import RATE, Drawn, Mono
from wavemend.training.stock import Bank, shelf

SHARES = {"eq": 0.3, "speed": 0.4, "limit": 0.0, "room": 0.0}
SMOOTHING = 0.07  # of the frequency, to both sides
COLOURED = 0.15  # the share of recorded noises that are
LOW_SHARE, LOWEST = 0.4, 80  # of patches that begin below this bin: most of music lies there
LEAST_POWER = 1e-7

Cells = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """`bins` is how many neighbouring bins a patch has.

    The noise's power is taken too low by `low_db` on average (at its spread, exponential), as a careful
    diagnosis does, and wrong by `error_db` from band to band.
    """

    seconds: float = 4.0
    bins: int = 240
    snr_db: tuple[float, float, float] = (-2.0, 12.0, 32.0)
    low_db: float = 3.5
    error_db: float = 2.0
    speech: float = 0.15
    noises: dict[str, float] = field(
        default_factory=lambda: {"hiss": 0.45, "surface": 0.25, "hum": 0.12, "fan": 0.1, "static": 0.08}
    )

    def __post_init__(self) -> None:
        if not 0.5 <= self.seconds <= 60:
            raise InputError(f"grains: seconds must be from 0.5 to 60, not {self.seconds:g}")
        if self.bins < 4 or self.bins % 4:
            raise InputError(f"grains: bins must be divisible by 4, not {self.bins}")


def draw(bank: Bank, settings: Settings, rng: np.random.Generator, split: str, frames: Frames) -> Drawn:
    """All choices of an example, as plain data. InputError where the bank has no music."""
    if not shelf(bank, "music", split):
        raise InputError(f"the bank has no music for patches of the split '{split}'")
    samples = round(settings.seconds * RATE / frames.hop) * frames.hop
    layers = [targets.draw_layer(bank, "music", split, rng, samples, SHARES)]
    layers[0]["level_db"] = 0.0
    if rng.random() < settings.speech and shelf(bank, "speech", split):
        layers.append(targets.draw_layer(bank, "speech", split, rng, samples, SHARES))
        layers[1]["level_db"] = float(rng.uniform(-15, 5))
    most = max(frames.bins - settings.bins, 0)
    low = min(most, LOWEST)
    return {
        "split": split,
        "samples": samples,
        "layers": layers,
        "noises": noises.draw(bank, split, rng, samples, settings.noises, COLOURED)[:2],
        "snr_db": float(rng.triangular(*settings.snr_db)),
        "errors_db": [float(e) for e in rng.normal(0, settings.error_db, 9)],
        "low_db": float(rng.exponential(settings.low_db) - rng.exponential(0.5)),
        "first": int(rng.integers((low if rng.random() < LOW_SHARE else most) + 1)),
    }


def render(bank: Bank, settings: Settings, drawn: Drawn, frames: Frames) -> dict[str, Any]:
    """`wanted` and `noise`, spectra (frames, bins, 2); the noise's `floor` and what is `known`, (bins,)."""
    split, samples = drawn["split"], drawn["samples"]
    sound: Mono = np.zeros(samples, np.float32)
    for layer in drawn["layers"]:
        made = targets.render_layer(bank, split, layer, samples)
        sound += made * np.float32(10 ** (layer["level_db"] / 20))
    sound /= np.float32(np.sqrt(np.mean(sound * sound)) + 1e-6)
    noise = noises.render(bank, split, drawn["noises"], sound, 10 ** (-drawn["snr_db"] / 20), None)
    wanted, unwanted = (patched(x, frames) for x in (sound, noise))
    floor = means_around(np.mean(unwanted.real**2 + unwanted.imag**2, axis=0), SMOOTHING, 2) + LEAST_POWER
    bins = np.arange(frames.bins)
    wrong = np.interp(bins, np.linspace(0, frames.bins, len(drawn["errors_db"])), drawn["errors_db"])
    floor = floor * 10 ** ((wrong - drawn["low_db"]) / 10)
    # above its file's band nobody knows what is wanted
    ends = min(layer["file_hz"] for layer in drawn["layers"]) * frames.n_fft / RATE
    first = drawn["first"]
    chosen = slice(first, first + settings.bins)
    return {
        "wanted": _parts(wanted[:, chosen]),
        "noise": _parts(unwanted[:, chosen]),
        "floor": floor[chosen].astype(np.float32),
        "known": (bins[chosen] < max(ends, first + settings.bins // 12)).astype(np.float32),
        "first": np.float32(first),
    }


def patched(sound: Mono, frames: Frames) -> npt.NDArray[np.complex64]:
    """Half-overlapping spectra under square-root Hann windows, as engine.wiener has them; frames are even."""
    padded = np.pad(sound, (frames.hop, frames.n_fft))
    cut = np.lib.stride_tricks.sliding_window_view(padded, frames.n_fft)[:: frames.hop]
    window = np.sin(np.pi * np.arange(frames.n_fft) / frames.n_fft).astype(np.float32)
    even = len(cut) // 2 * 2
    return np.asarray(np.fft.rfft(cut[:even] * window, axis=1)[:, : frames.bins], np.complex64)


def _parts(spectra: npt.NDArray[np.complex64]) -> Cells:
    return np.ascontiguousarray(spectra).view(np.float32).reshape(*spectra.shape, 2)


class Grains:
    """Example by index: a pure function of the bank, the settings, the seed and the index."""

    def __init__(self, bank: Bank, settings: Settings, seed: int, split: str = "train") -> None:
        self.bank, self.settings, self.seed, self.split = bank, settings, seed, split

    @property
    def seconds(self) -> float:
        """The length of each."""
        return self.settings.seconds

    def item(self, index: int, frames: Frames) -> dict[str, Any]:
        """For a batch; see `render`."""
        rng = np.random.default_rng([self.seed, index])
        return render(
            self.bank, self.settings, draw(self.bank, self.settings, rng, self.split, frames), frames
        )
