"""What a bank holds for scenes: clips by source and group, drawn so that no source crowds out the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from wavemend.training.spectra import RATE, Mono


class Clip(Protocol):
    """A clip as a bank describes it."""

    @property
    def source(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def tags(self) -> str: ...
    @property
    def bandwidth_hz(self) -> float: ...
    @property
    def level_dbfs(self) -> float: ...
    @property
    def length(self) -> int: ...


class Bank(Protocol):
    """Where clips come from: float32, 48 kHz, mono."""

    def __hash__(self) -> int: ...
    def entries(self, role: str = "", split: str = "", side: str = "") -> Sequence[Any]: ...
    def read(self, entry: Any, start: int = 0, length: int | None = None) -> Mono: ...
    def twin(self, entry: Any) -> Any: ...


class Shelf:
    """Clips of one role and split. A clip is known by its index in `bank.entries(role, split)`.

    Sources and, within them, groups are drawn by the square root of their length; sources that are
    true to 16 kHz twice as often as those that end at 8 kHz, for they teach twice as much.
    """

    def __init__(self, clips: Sequence[Clip], keep: Callable[[Clip], bool]) -> None:
        self.clips = clips
        found: dict[str, dict[str, list[int]]] = {}
        for index, clip in enumerate(clips):
            if clip.side != "damaged" and clip.length > 0 and keep(clip):
                found.setdefault(clip.source, {}).setdefault(clip.group, []).append(index)
        self._groups = [[tuple(own) for own in groups.values()] for groups in found.values()]
        lengths = [[sum(clips[i].length for i in own) for own in groups] for groups in self._groups]
        self._steps = [np.cumsum(np.sqrt(own)) for own in lengths]
        worth = [_worth([clips[i] for own in groups for i in own]) for groups in self._groups]
        self._sources = np.cumsum(np.sqrt([sum(own) for own in lengths]) * worth)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def group(self, rng: np.random.Generator) -> tuple[int, ...]:
        """The clips of a group (a speaker, a piece, an instrument)."""
        source = _pick(self._sources, rng)
        return self._groups[source][_pick(self._steps[source], rng)]


def _worth(clips: Sequence[Clip]) -> float:
    return float(np.mean(np.clip([clip.bandwidth_hz for clip in clips], *WORTH_HZ))) / WORTH_HZ[0]


def _pick(steps: npt.NDArray[np.float64], rng: np.random.Generator) -> int:
    return int(np.searchsorted(steps, rng.random() * steps[-1], side="right"))


def choose(weights: dict[str, float], rng: np.random.Generator) -> str:
    """A name, drawn by weight."""
    return list(weights)[_pick(np.cumsum(list(weights.values())), rng)]


WORTH_HZ = (8_000.0, 16_000.0)
WIDE_HZ = 15_000.0
STEADY = ("vinyl", "hum", "static", "machine")
NOT_NOISE = "synthetic"  # synthesisers that play noises
ROUGH = 0.1
PEAK = 2.7  # Nepers of power over the geometric mean around it
LOOK_S, BINS = 6, 4096


@lru_cache(maxsize=32)
def shelf(bank: Bank, role: str, split: str, kind: str = "") -> Shelf:
    """The clips of a role. A `kind` may be asked for. "wide": all that reach WIDE_HZ. Of noises,
    "real": all but synthesisers' sounds; "steady": discs, hum, static and machines; "event": single
    happenings; "rough": those real ones without tones, which nobody would take for music.
    """

    def keep(clip: Clip) -> bool:
        tags = clip.tags.split()
        if kind == "wide":
            return clip.bandwidth_hz >= WIDE_HZ
        if kind == "steady":
            return any(tag in tags for tag in STEADY)
        if kind == "event":
            return "event" in tags
        if kind == "rough":
            return (
                NOT_NOISE not in tags
                and tonality(bank.read(clip, 0, min(clip.length, LOOK_S * RATE))) < ROUGH
            )
        return not (kind == "real" and NOT_NOISE in tags)

    return Shelf(bank.entries(role, split), keep)


def tonality(sound: Mono) -> float:
    """The share of energy in narrow peaks, 200 Hz to 8 kHz, in the median frame of 85 ms; if too short, 1."""
    frames = sound[: len(sound) // BINS * BINS].reshape(-1, BINS)
    if not frames.any():
        return 1.0
    window = np.hanning(BINS).astype(np.float32)
    power = np.abs(fft.rfft(frames * window, axis=1))[:, 17:700] ** 2
    total = power.sum(axis=1)
    power = power[(total > 0) & (total >= 1e-3 * total.max())]
    usual = ndimage.uniform_filter1d(np.log(power + 1e-20), 41, axis=1)
    peaks = np.log(power + 1e-20) > usual + PEAK
    return float(np.median((power * peaks).sum(axis=1) / (power.sum(axis=1) + 1e-20)))
