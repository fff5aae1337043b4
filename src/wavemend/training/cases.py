"""Cases: examples of what may be wrong with a recording, from the simulators of `damage`, one over another.

Drawn as data from a seed and an index, then rendered without randomness, as scenes are. Recorded
noises of the bank stand for the surroundings where there are any. What cannot be known of a
clip (whether its file was narrow before, whether a recorded noise hums) does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wavemend.core.frames import Frames
from wavemend.core.types import Finding, Format
from wavemend.damage import damages
from wavemend.errors import InputError
from wavemend.training import noises, targets
from wavemend.training.spectra import RATE, Drawn, Mono
from wavemend.training.stock import Bank, choose, shelf

FORMAT = Format(RATE, 1)
FADE = RATE // 10
ECHO_S = 1.0  # so long after a click or a hole a recording counts as one that has them
LOCAL = ("clicks", "dropouts")
GATED = ("environment", "noise", "hum", "crackle", "saturation", "bandwidth", "coding")
WIDE_HZ = 16_000.0
CUT_SHARE = 0.7  # of a file's own bandwidth, below which a cut is surely the narrower one
QUIET = 1e-3  # -60 dB re the active level: frames so quiet tell nothing
STRONG = {"rt60_s": (1.2, 4.0), "direct_to_reverberant_db": (-15.0, 0.0)}  # more than music has of itself

Range = tuple[float, float]
RANGES: dict[str, dict[str, Range]] = {
    "reverberation": {"rt60_s": (0.4, 4.0), "direct_to_reverberant_db": (-12.0, 6.0)},
    "saturation": {"drive_db": (6.0, 30.0)},
    "bandwidth": {"cutoff_hz": (2000.0, 12_000.0), "order": (4, 12)},
    "crackle": {"rate_per_s": (20.0, 1200.0), "level": (0.3, 6.0)},
    "clicks": {"rate_per_s": (1.0, 8.0), "level": (2.0, 20.0)},
    "wow": {"wow_percent": (0.1, 2.0), "wow_hz": (0.4, 5.0)},
    "hum": {"f0_hz": (46.0, 64.0), "sdr_db": (0.0, 30.0), "buzz": (0.01, 1.0)},
    "clipping": {"sdr_db": (3.0, 25.0), "sides": (1, 2), "gain_db": (-12.0, 0.0)},
    "dropouts": {"rate_per_s": (0.7, 5.0), "longest_ms": (10.0, 200.0)},
    "coding": {"kbps": (16.0, 96.0)},
}
"""Options of the simulators; sizes are log-uniform between positive bounds far apart, others uniform."""

ORDER = (
    "reverberation",
    "environment",
    "saturation",
    "bandwidth",
    "noise",
    "crackle",
    "clicks",
    "wow",
    "hum",
    "clipping",
    "dropouts",
    "coding",
)
"""In which they befall a recording; the kinds that can be asked for."""

STEADY_NOISES = {"hiss": 0.65, "surface": 0.2, "fan": 0.1, "static": 0.05}
SURROUNDINGS = {
    "real": 0.5,
    "event": 0.2,
    "calls": 0.08,
    "engine": 0.05,
    "hits": 0.03,
    "babble": 0.07,
    "gusts": 0.05,
    "texture": 0.02,
}
UNKNOWN_WITH = {"environment": ("noise", "hum"), "surface": ("crackle", "clicks")}


@dataclass(frozen=True)
class Settings:
    """`whole` is the share of undamaged examples; weights of kinds and of wanted sounds are relative."""

    seconds: float = 5.0
    whole: float = 0.25
    more: float = 0.35
    """The chance of one more damage, again and again."""
    partial: float = 0.2
    recorded: float = 0.85
    """The share of surroundings that are recorded, not made."""
    snr_db: tuple[float, float] = (0.0, 30.0)
    kinds: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=lambda: {"speech": 0.48, "music": 0.46, "both": 0.06})

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in ORDER]
        if unknown:
            raise InputError(f"cases: there is no kind '{unknown[0]}'; there are {', '.join(ORDER)}")
        if not 0.5 <= self.seconds <= 60:
            raise InputError(f"cases: seconds must be from 0.5 to 60, not {self.seconds:g}")

    @property
    def samples(self) -> int:
        return round(self.seconds * 100) * (RATE // 100)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """48 kHz mono, (samples,); by kind, what holds where (samples,), and kinds of which nothing is known."""

    sound: Mono
    holds: Mapping[str, npt.NDArray[np.bool_]]
    unknown: frozenset[str]
    silent: npt.NDArray[np.bool_]


def draw(bank: Bank, settings: Settings, rng: np.random.Generator, split: str) -> dict[str, Any]:
    """All choices of a case, as plain data. InputError where the bank has no speech and no music."""
    has = {role: bool(shelf(bank, role, split)) for role in ("speech", "music")}
    has["both"] = all(has.values())
    possible = {name: weight for name, weight in settings.targets.items() if has.get(name) and weight > 0}
    if not possible:
        raise InputError(f"the bank has no clips for cases of the split '{split}'")
    wanted = choose(possible, rng)
    samples = settings.samples
    shares = {"eq": 0.4, "speed": 0.4, "limit": 0.0, "room": 0.0}
    roles = ("speech", "music") if wanted == "both" else (wanted,)
    layers = [targets.draw_layer(bank, role, split, rng, samples, shares) for role in roles]
    for place, layer in enumerate(layers):
        layer["level_db"] = float(rng.uniform(-20, 0)) if place else 0.0
    weights = {kind: settings.kinds.get(kind, 1.0) for kind in ORDER}
    chosen: list[str] = []
    if rng.random() >= settings.whole:
        while len(chosen) < len(weights) - 1 and (not chosen or rng.random() < settings.more):
            chosen.append(choose({k: w for k, w in weights.items() if k not in chosen and w > 0}, rng))
    music = wanted != "speech"
    return {
        "split": split,
        "samples": samples,
        "target": wanted,
        "layers": layers,
        "damages": [
            _draw_one(kind, bank, settings, rng, split, music) for kind in sorted(chosen, key=ORDER.index)
        ],
        "peak_dbfs": float(rng.triangular(-30, -4, -0.5)),
        "rounding": bool(rng.random() < 0.7),
    }


def _draw_one(
    kind: str, bank: Bank, settings: Settings, rng: np.random.Generator, split: str, music: bool
) -> dict[str, Any]:
    samples = settings.samples
    drawn: dict[str, Any] = {"kind": kind, "gate": None}
    if kind in GATED and rng.random() < settings.partial:
        drawn["gate"] = {"at": int(rng.uniform(0.2, 0.8) * samples), "before": bool(rng.random() < 0.5)}
    snr_db = float(rng.uniform(*settings.snr_db))
    recorded = shelf(bank, "noise", split, "real")
    if kind == "noise" or (kind == "environment" and recorded and rng.random() < settings.recorded):
        weights = STEADY_NOISES if kind == "noise" else SURROUNDINGS
        parts = noises.draw(bank, split, rng, samples, weights, 0.4)
        if kind == "noise":
            parts = parts[:1]
        return drawn | {"snr_db": snr_db, "noises": parts}
    options: dict[str, float] = {"snr_db": snr_db} if kind == "environment" else {}
    for name, (low, high) in (
        RANGES.get(kind, {}) | (STRONG if music and kind == "reverberation" else {})
    ).items():
        options[name] = low * (high / low) ** rng.random() if low > 0 else float(rng.uniform(low, high))
        if isinstance(low, int):
            options[name] = round(options[name])
    if kind == "hum" and rng.random() < 0.7:
        options["f0_hz"] = float(rng.choice((50.0, 60.0)))
    damage = damages[kind]
    checked = {
        name: param.check(kind, name, options.get(name, param.default))
        for name, param in damage.params.items()
    }
    return drawn | {"options": options, "drawn": damage.draw(FORMAT, samples, rng, **checked)}


def render(bank: Bank, drawn: Drawn) -> Case:
    """The case that was drawn, its highest peak at most at full scale."""
    samples, split = drawn["samples"], drawn["split"]
    sound: Mono = np.zeros(samples, np.float32)
    for layer in drawn["layers"]:
        sound += targets.render_layer(bank, split, layer, samples) * np.float32(
            10 ** (layer["level_db"] / 20)
        )
    silent = targets.silent_frames(sound, QUIET / targets.SILENT)
    file_hz = min(layer["file_hz"] for layer in drawn["layers"])
    holds: dict[str, npt.NDArray[np.bool_]] = {}
    unknown = {"bandwidth"} if file_hz < WIDE_HZ else set()
    for one in drawn["damages"]:
        kind = one["kind"]
        damaged, where = _damaged(bank, split, one, sound)
        if one["gate"]:
            gate = _gate(one["gate"], samples)
            damaged, where = sound + gate * (damaged - sound), where & (gate > 0.5)
        sound, holds[kind] = damaged, where
        unknown |= set(UNKNOWN_WITH.get(kind, ()))
        if any(part["kind"] == "surface" for part in one.get("noises", ())):
            unknown |= set(UNKNOWN_WITH["surface"])
        if kind == "bandwidth" and one["drawn"]["cutoff_hz"] < CUT_SHARE * file_hz:
            unknown.discard("bandwidth")
    sound *= np.float32(10 ** (drawn["peak_dbfs"] / 20) / max(float(np.abs(sound).max()), 1e-9))
    if drawn["rounding"]:
        sound = np.asarray(np.round(sound * np.float32(32767)) / np.float32(32767))
    return Case(sound, holds, frozenset(unknown - set(holds)), np.repeat(silent, RATE // 100))


def _damaged(bank: Bank, split: str, one: Drawn, sound: Mono) -> tuple[Mono, npt.NDArray[np.bool_]]:
    """The sound with one damage, and where it is."""
    samples = len(sound)
    if "noises" in one:
        level = float(np.sqrt(np.mean(sound * sound))) * 10 ** (-one["snr_db"] / 20)
        noise = noises.render(bank, split, one["noises"], sound, level, None)
        return sound + noise, np.ones(samples, np.bool_)
    damage, drawn = damages[one["kind"]], one["drawn"]
    if damage.settle is not None:
        drawn = damage.settle(sound[np.newaxis], FORMAT, drawn)
    damaged = damage.apply(sound[np.newaxis], FORMAT, drawn)[0]
    return damaged, _where(one["kind"], drawn["findings"], samples)


def _where(kind: str, findings: tuple[Finding, ...], samples: int) -> npt.NDArray[np.bool_]:
    """Where findings say that a damage is; single events are remembered for a while."""
    where = np.zeros(samples, np.bool_)
    if kind not in LOCAL:
        where[:] = bool(findings)
        return where
    for finding in findings:
        where[finding.region.start : finding.region.stop + round(ECHO_S * RATE)] = True
    return where


def _gate(drawn: Drawn, samples: int) -> Mono:
    """0 before a place and 1 after it, or the other way round, (samples,)."""
    rise = np.clip((np.arange(samples, dtype=np.float32) - drawn["at"]) / FADE, 0, 1)
    return np.asarray(1 - rise if drawn["before"] else rise)


class Cases:
    """Case by index: a pure function of the bank, the settings, the seed and the index."""

    def __init__(
        self, bank: Bank, settings: Settings, kinds: tuple[str, ...], seed: int, split: str = "train"
    ) -> None:
        self.bank, self.settings, self.kinds, self.seed, self.split = bank, settings, kinds, seed, split

    @property
    def seconds(self) -> float:
        """The length of each."""
        return self.settings.seconds

    def __getitem__(self, index: int) -> Case:
        rng = np.random.default_rng([self.seed, index])
        return render(self.bank, draw(self.bank, self.settings, rng, self.split))

    def item(self, index: int, frames: Frames) -> dict[str, Any]:
        """For a batch: `mixture`; `holds` and `counts`, (frames, kinds), 0 or 1, by the frames' last hops."""
        case = self[index]
        count = frames.count(len(case.sound))
        at = np.minimum(np.arange(count) * frames.hop + frames.hop // 2, len(case.sound) - 1)
        holds = np.zeros((count, len(self.kinds)), np.float32)
        known = np.ones_like(holds) * ~case.silent[np.minimum(at, len(case.silent) - 1)][:, np.newaxis]
        for place, kind in enumerate(self.kinds):
            if kind in case.holds:
                holds[:, place] = case.holds[kind][at]
            elif kind in case.unknown:
                known[:, place] = 0
        return {"mixture": case.sound, "holds": holds, "counts": known.astype(np.float32)}
