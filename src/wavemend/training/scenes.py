"""Scenes: examples to train a denoiser on, damaged as real recordings are.

An example is drawn as plain data from a seed and its index, then rendered from a bank
without randomness: it can be made again, alone, on any machine that has the bank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wavemend.core.frames import Frames
from wavemend.core.params import suggest
from wavemend.errors import InputError
from wavemend.training import codec, noises, spectra, targets
from wavemend.training.spectra import RATE, Drawn, Mono
from wavemend.training.stock import Bank, choose, shelf

FRAME = RATE // 100
TARGETS = ("speech", "music", "both", "silence", "pair")
LOW_RATES, LOW_SHARES = (8000, 11_025, 16_000, 22_050, 24_000, 32_000), (0.1, 0.05, 0.5, 0.15, 0.1, 0.1)
NOISES = (*noises.RECORDED, *noises.STOLEN, "digital", *noises.MADE)


def _targets() -> dict[str, float]:
    return {"speech": 0.56, "music": 0.32, "both": 0.04, "silence": 0.03, "pair": 0.05}


def _speech_noises() -> dict[str, float]:
    return {
        "real": 0.54,
        "music": 0.12,
        "steady": 0.04,
        "babble": 0.04,
        "hiss": 0.07,
        "surface": 0.04,
        "hum": 0.02,
        "fan": 0.03,
        "gusts": 0.03,
        "texture": 0.05,
        "static": 0.01,
        "digital": 0.01,
    }


def _music_noises() -> dict[str, float]:
    return {
        "hiss": 0.42,
        "surface": 0.26,
        "hum": 0.1,
        "steady": 0.05,
        "rough": 0.13,
        "texture": 0.04,
        "digital": 0.02,
    }


@dataclass(frozen=True)
class Settings:
    """What scenes hold. Shares are 0 to 1; weights are relative; levels are (low, likely, high).

    `targets` are weights of the kinds of wanted sound: "both" is speech over music, "pair" a
    pair of the bank. What the bank lacks is left out.
    """

    seconds: float = 4.0
    targets: Mapping[str, float] = field(default_factory=_targets)
    speech_noises: Mapping[str, float] = field(default_factory=_speech_noises)
    music_noises: Mapping[str, float] = field(default_factory=_music_noises)
    speech_snr_db: tuple[float, float, float] = (-5.0, 8.0, 30.0)
    music_snr_db: tuple[float, float, float] = (0.0, 10.0, 35.0)
    least_snr_db: float = 5.0  # where voices or hum are the loudest noise
    peak_dbfs: tuple[float, float, float] = (-45.0, -10.0, -1.0)
    clean: float = 0.10
    nearly_clean: float = 0.05
    eq: float = 0.5
    speed: float = 0.4
    limit: float = 0.15
    room: float = 0.35
    narrow: float = 0.0  # recorded at a low sample rate, wanted sound and noise alike
    codec: float = 0.10
    rounding: float = 0.5
    untold: float = 0.25
    music_possible: float = 0.15  # of speech: told that music belongs to it too, though there is none

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """Settings from a recipe's table; InputError for unknown keys and values out of range."""
        known = {one.name: one for one in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in table.items():
            if name not in known:
                raise InputError(f"scenes: there is no '{name}'{suggest(name, known)}")
            default = getattr(cls(), name)
            if isinstance(default, Mapping):
                given[name] = _weights(name, value, TARGETS if name == "targets" else NOISES)
            elif isinstance(default, tuple):
                given[name] = _triple(name, value)
            else:
                low, high = {"seconds": (0.1, 60.0), "least_snr_db": (-60.0, 60.0)}.get(name, (0.0, 1.0))
                given[name] = _number(name, value, low, high)
        return cls(**given)

    @property
    def samples(self) -> int:
        """Length of an example: a whole number of frames of 10 ms."""
        return round(self.seconds * 100) * FRAME


def _number(name: str, value: Any, low: float = -200.0, high: float = 200.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"scenes: {name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _weights(name: str, value: Any, known: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise InputError(f"scenes: {name} must be a table of weights")
    for key in value:
        if key not in known:
            raise InputError(f"scenes: {name} has no '{key}'{suggest(key, known)}")
    weights = {key: _number(f"{name}.{key}", weight, 0.0, 1e6) for key, weight in value.items()}
    if not sum(weights.values()) > 0:
        raise InputError(f"scenes: the weights in {name} are all zero")
    return weights


def _triple(name: str, value: Any) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise InputError(f"scenes: {name} must be [lowest, likeliest, highest]")
    low, likely, high = (_number(name, one) for one in value)
    if not low <= likely <= high:
        raise InputError(f"scenes: {name} must rise from lowest to highest")
    return low, likely, high


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """What a network learns from, 48 kHz mono.

    `target` is true below `band_hz`; above, nothing is known, but in the frames of 10 ms
    where `silent` holds, (samples / 480,): there the target is zero at all frequencies.
    `content` is what a network is told of the target: -1 speech alone, 1 music too, 0 nothing.
    """

    mixture: Mono
    target: Mono
    band_hz: float
    kind: str
    silent: npt.NDArray[np.bool_]
    content: float


def draw(bank: Bank, settings: Settings, rng: np.random.Generator, split: str = "train") -> dict[str, Any]:
    """All choices of an example, as plain data. InputError where the bank has nothing to draw from."""
    has = {
        "speech": bool(shelf(bank, "speech", split)),
        "music": bool(shelf(bank, "music", split)),
        "pair": bool(bank.entries("", split, "damaged")),
    }
    has |= {"both": has["speech"] and has["music"], "silence": True}
    possible = {name: weight for name, weight in settings.targets.items() if weight > 0 and has[name]}
    if not any(has[name] for name in ("speech", "music", "pair")) or not possible:
        raise InputError(f"the bank has no clips for scenes of the split '{split}'")
    wanted = choose(possible, rng)
    drawn: dict[str, Any] = {
        "split": split,
        "samples": settings.samples,
        "target": wanted,
        "peak_dbfs": _triangle(settings.peak_dbfs, rng),
        "rounding": bool(rng.random() < settings.rounding),
    }
    if wanted == "pair":
        return drawn | {"content": 0.0} | _draw_pair(bank, split, settings.samples, rng)
    drawn["layers"] = _draw_layers(bank, settings, wanted, split, rng)
    drawn["clean"] = bool(wanted != "silence" and rng.random() < settings.clean)
    music = wanted in ("music", "both") or (wanted == "silence" and rng.random() < 0.5)
    weights = settings.music_noises if music else settings.speech_noises
    drawn["noises"] = (
        [] if drawn["clean"] else noises.draw(bank, split, rng, settings.samples, weights, settings.eq)
    )
    if any(one["kind"] == "surface" and one["sound"]["shellac"] for one in drawn["noises"]):
        _age(drawn["layers"], settings.limit, rng)
    snr_db = _triangle(settings.music_snr_db if music else settings.speech_snr_db, rng)
    kinds = [one["kind"] for one in drawn["noises"]]
    if "babble" in kinds or kinds[:1] == ["hum"]:
        snr_db = max(snr_db, settings.least_snr_db)
    if rng.random() < settings.nearly_clean / max(1 - settings.clean, 1e-6):
        snr_db = float(rng.uniform(35, 60))
    limits = [layer["limit"] for layer in drawn["layers"] if layer["limit"]]
    drawn |= {
        "snr_db": snr_db,
        "noise_limit": limits[0] if limits and rng.random() < 0.4 else None,
        "codec": codec.draw(rng) if rng.random() < settings.codec else None,
        "content": -1.0 if "music" in kinds else _draw_content(settings, wanted, music, rng),
    }
    narrow = settings.narrow > 0 and rng.random() < settings.narrow
    return drawn | {"rate_hz": int(rng.choice(LOW_RATES, p=LOW_SHARES)) if narrow else RATE}


def _draw_content(settings: Settings, wanted: str, music: bool, rng: np.random.Generator) -> float:
    """What the network is told; music that is possible need not be there, music that is there is possible."""
    if rng.random() < settings.untold:
        return 0.0
    if wanted == "silence":
        return float(rng.choice((-1, 1)))
    return 1.0 if music or rng.random() < settings.music_possible else -1.0


def _triangle(levels: tuple[float, float, float], rng: np.random.Generator) -> float:
    low, likely, high = levels
    return float(rng.triangular(low, likely, high)) if high > low else low


def _draw_layers(
    bank: Bank, settings: Settings, wanted: str, split: str, rng: np.random.Generator
) -> list[dict[str, Any]]:
    shares = {"eq": settings.eq, "speed": settings.speed, "limit": settings.limit, "room": settings.room}
    roles = {"both": ("speech", "music"), "silence": ()}.get(wanted, (wanted,))
    layers = [targets.draw_layer(bank, role, split, rng, settings.samples, shares) for role in roles]
    for place, layer in enumerate(layers):
        layer["level_db"] = float(rng.uniform(-25, 0)) if place else 0.0
    return layers


def _age(layers: list[dict[str, Any]], share: float, rng: np.random.Generator) -> None:
    """What lies under the surface of shellac is narrow, three times as often as elsewhere."""
    if layers and rng.random() < 3 * share:
        limit = {
            "low_hz": float(rng.uniform(60, 250)),
            "high_hz": float(3500 * 2.3 ** rng.random()),
            "octaves": float(rng.uniform(0.3, 2.5)),
        }
        for layer in layers:
            layer["limit"] = limit


def _draw_pair(bank: Bank, split: str, samples: int, rng: np.random.Generator) -> dict[str, Any]:
    pairs = bank.entries("", split, "damaged")
    index = int(rng.integers(len(pairs)))
    length = pairs[index].length
    return {
        "clip": index,
        "start": int(rng.integers(max(length - samples, 0) + 1)),
        "length": min(length, samples),
    }


def render(bank: Bank, drawn: Drawn) -> Example:
    """The example that was drawn; nothing in it is above full scale."""
    if drawn["target"] == "pair":
        return _render_pair(bank, drawn)
    samples, split = drawn["samples"], drawn["split"]
    target = np.zeros(samples, np.float32)
    for layer in drawn["layers"]:
        target += targets.render_layer(bank, split, layer, samples) * np.float32(
            10 ** (layer["level_db"] / 20)
        )
    silent = targets.silent_frames(target)
    target.reshape(-1, FRAME)[silent] = 0
    if drawn["noises"]:
        gain = 10 ** (-drawn["snr_db"] / 20)
        mixture = target + noises.render(bank, split, drawn["noises"], target, gain, drawn["noise_limit"])
    else:
        mixture = target.copy()
    truths = (spectra.truth_hz(layer["file_hz"], layer["limit"]) for layer in drawn["layers"])
    band_hz = min(truths, default=RATE / 2)
    if drawn["rate_hz"] < RATE:
        mixture, target = (spectra.sampled(sound, drawn["rate_hz"]) for sound in (mixture, target))
        band_hz = RATE / 2 if band_hz >= drawn["rate_hz"] / 2 else band_hz
    what = "+".join(one["kind"] for one in drawn["noises"]) or "clean"
    return _finish(mixture, target, band_hz, f"{drawn['target']}/{what}", silent, drawn)


def _render_pair(bank: Bank, drawn: Drawn) -> Example:
    damaged = bank.entries("", drawn["split"], "damaged")[drawn["clip"]]
    clean = bank.twin(damaged)
    mixture, target = np.zeros((2, drawn["samples"]), np.float32)
    for out, entry in ((mixture, damaged), (target, clean)):
        out[: drawn["length"]] = bank.read(entry, drawn["start"], drawn["length"])
    silent = np.zeros(len(target) // FRAME, np.bool_)
    return _finish(mixture, target, min(clean.bandwidth_hz, RATE / 2), "pair", silent, drawn)


def _finish(
    mixture: Mono, target: Mono, band_hz: float, kind: str, silent: npt.NDArray[np.bool_], drawn: Drawn
) -> Example:
    """Level, codec and rounding, for both alike."""
    peak = max(float(np.abs(mixture).max()), float(np.abs(target).max()), 1e-9)
    gain = np.float32(10 ** (drawn["peak_dbfs"] / 20) / peak)
    same = not drawn.get("noises", True)
    pair = [mixture * gain, target * gain]
    if drawn.get("codec"):
        pair = [codec.apply(sound, drawn["codec"]) for sound in (pair[:1] if same else pair)]
        pair = pair * 2 if same else pair
        pair[1].reshape(-1, FRAME)[silent] = 0
    if drawn["rounding"]:
        pair = [np.round(sound * np.float32(32767)) / np.float32(32767) for sound in pair]
    mixture, target = (np.clip(sound, -1, 1) for sound in pair)
    return Example(mixture, mixture.copy() if same else target, band_hz, kind, silent, drawn["content"])


class Scenes:
    """Example by index: a pure function of the bank, the settings, the seed and the index."""

    def __init__(self, bank: Bank, settings: Settings, seed: int, split: str = "train") -> None:
        self.bank, self.settings, self.seed, self.split = bank, settings, seed, split

    @property
    def seconds(self) -> float:
        """The length of each."""
        return self.settings.seconds

    def drawn(self, index: int) -> dict[str, Any]:
        """What example `index` is made of, as plain data."""
        if not 0 <= index < math.inf:
            raise InputError(f"examples are counted from 0, not {index}")
        return draw(self.bank, self.settings, np.random.default_rng([self.seed, index]), self.split)

    def __getitem__(self, index: int) -> Example:
        return render(self.bank, self.drawn(index))

    def item(self, index: int, frames: Frames) -> dict[str, Any]:
        """For a batch; see Example, and `silent_frames`."""
        example = self[index]
        return {
            "mixture": example.mixture,
            "target": example.target,
            "band_hz": np.float32(example.band_hz),
            "silent": silent_frames(example, frames),
            "content": np.array([example.content], np.float32),
            "kind": example.kind,
        }


def silent_frames(example: Example, frames: Frames) -> npt.NDArray[np.bool_]:
    """Frames of the network whose samples are all silent in the target, as Transform counts frames."""
    heard = np.concatenate(([0], np.cumsum(~example.silent)))
    stop = (np.arange(frames.count(len(example.target))) + 1) * frames.hop
    first = np.clip((stop - frames.n_fft) // FRAME, 0, len(example.silent))
    last = np.clip(-(-stop // FRAME), 0, len(example.silent))
    return np.asarray(heard[last] == heard[first])
