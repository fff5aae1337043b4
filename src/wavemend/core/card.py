"""The card of a network: what is needed to run it, and what it was made from.

NAME.json lies beside NAME.onnx. A card that lacks a key, has one too many, or names another
file's hash is refused: weights whose origin nobody can tell are not run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wavemend.core.frames import Frames
from wavemend.core.jsonable import from_plain, to_plain
from wavemend.core.text import write_text
from wavemend.errors import InputError

ANSWERS = {"denoise": "mask", "content": "odds", "examine": "odds", "weigh": "gains", "extend": "levels"}
"""What a network is for, and what it gives (engine.model)."""


@dataclass(frozen=True, slots=True)
class Data:
    """Sound that a network learned from: what one source gave under one licence."""

    name: str
    licence: str
    hours: float
    credit: str


@dataclass(frozen=True, slots=True)
class Training:
    """What a training cost. `hours_of_sound` counts every example as often as it was seen."""

    hours_of_sound: float
    minutes: float
    steps: int
    machine: str


@dataclass(frozen=True, slots=True)
class Card:
    """A network's card.

    `sample_rate`, `n_fft`, `hop` and `synthesis` are those of its core.frames.Frames, of which it
    takes `frames_per_call` at once, and if it is `told`, what belongs to the recording besides; a mask
    that comes out belongs to the frame `lookahead_frames` earlier. `parameters` counts its weights,
    `state_size` the numbers it carries from call to call. One that weighs hears whole stretches,
    `lookahead_frames` to both sides of each frame, and carries nothing. `recipe` is the whole
    experiment as text, `figures` what was measured, by name. `sha256` is that of the .onnx file.
    `kinds` are the damages that an examiner's answers are about, in order.
    """

    name: str
    title: str
    task: str
    told: bool
    version: str
    sample_rate: int
    n_fft: int
    hop: int
    synthesis: int
    bins: int
    frames_per_call: int
    lookahead_frames: int
    state_size: int
    parameters: int
    licence: str
    data: tuple[Data, ...]
    recipe: str
    seed: int
    training: Training
    figures: Mapping[str, float]
    sha256: str
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in ANSWERS:
            raise InputError(f"the task '{self.task}' is not known; known are {', '.join(ANSWERS)}")
        if min(self.sample_rate, self.n_fft, self.hop, self.synthesis) < 1:
            raise InputError("sample_rate, n_fft, hop and synthesis must be at least 1")
        if self.bins != self.frames.bins:
            raise InputError(f"bins is {self.bins}; frames of {self.n_fft} samples have {self.frames.bins}")
        least = self.state_size + (self.task == "weigh")
        if min(self.frames_per_call, least) < 1 or self.lookahead_frames < 0:
            raise InputError("frames_per_call and state_size must be at least 1, lookahead_frames at least 0")
        if bool(self.kinds) != (self.task == "examine"):
            raise InputError("kinds belong to an examiner, and to no other")

    @property
    def frames(self) -> Frames:
        """The frames that the network hears."""
        return Frames(self.sample_rate, self.n_fft, self.hop, self.synthesis)

    @property
    def latency_ms(self) -> float:
        """From a sample's arrival until it comes out, by the algorithm alone, at the network's own rate."""
        ahead = (self.frames_per_call + self.lookahead_frames - 1) * self.hop
        return 1000 * (self.synthesis + ahead) / self.sample_rate


def read_card(path: Path) -> Card:
    """The card in a .json file. Raises InputError where it is missing, or is not a complete card."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: the card of the model cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a card ({error})") from None
    try:
        return from_plain(Card, content, "the card")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_card(path: Path, card: Card) -> None:
    """The card as JSON that a person can read."""
    write_text(path, json.dumps(to_plain(card), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: the model cannot be read ({error.strerror})") from None
