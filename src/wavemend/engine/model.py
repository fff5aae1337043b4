"""Networks: an .onnx file and its card, run by ONNX Runtime on one thread.

What a network takes and gives, in calls that follow each other, as float32:

    spectrum  (1, frames_per_call, bins, 2)  in   real and imaginary part of the frames of core.frames
    state     (1, state_size)                in   zeros at the start, then the last call's next_state
    content   (1, 1)                         in   of one that is told: -1 speech alone, 1 music too
    mask      (1, frames_per_call, bins, 2)  out  a denoiser's: complex gain, magnitude 0 to 1
    odds      (1, frames_per_call)           out  a listener's: log odds that music belongs to the recording
    odds      (1, frames_per_call, kinds)    out  an examiner's: log odds of each kind of damage on its card
    levels    (1, frames_per_call, bins / SPACING)  out  an extender's: logarithms of power
    next_state (1, state_size)               out

One that weighs has no state, and takes stretches of any even length and of bins divisible by 4:

    over      (1, frames, bins)              in   power over that of steady noise
    gains     (1, frames, bins)              out  the share of each cell that is more than noise, 0 to 1

An answer belongs to the frame that came in `lookahead_frames` earlier. Nothing of ONNX Runtime is
loaded before a network is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wavemend.core.card import ANSWERS, Card, file_sha256, read_card
from wavemend.core.params import suggest
from wavemend.core.translation import SPACING
from wavemend.errors import DeviceError, InputError

SHIPPED = Path(__file__).parents[1] / "models"
SUFFIX = ".onnx"

Values = npt.NDArray[np.float32]


def shapes(card: Card) -> dict[str, list[int]]:
    """Of all that networks with a state take and give, by name."""
    cells, state = [1, card.frames_per_call, card.bins, 2], [1, card.state_size]
    odds = [*cells[:2], len(card.kinds)] if card.kinds else cells[:2]
    return {
        "spectrum": cells,
        "state": state,
        "content": [1, 1],
        "mask": cells,
        "odds": odds,
        "levels": [*cells[:2], card.bins // SPACING],
        "next_state": state,
    }


def weighed(model: Model, over: Values) -> Values:
    """The gains of a stretch from a network that weighs, (frames, bins) both.

    InputError where it gives what is no number.
    """
    frames, bins = over.shape
    padded = np.pad(over, ((0, -frames % 2), (0, -bins % 4)), mode="edge")
    (gains,) = model.session.run(("gains",), {"over": padded[np.newaxis]})
    if gains.shape != (1, *padded.shape) or not np.isfinite(gains).all():
        raise InputError(f"{model.path}: the model gave no gains of finite numbers, {padded.shape}")
    return np.asarray(gains[0, :frames, :bins], np.float32)


class Running:
    """A network in the middle of a recording: what it remembers lies here."""

    def __init__(self, model: Model) -> None:
        self._session, self._path, self._answer = model.session, model.path, ANSWERS[model.card.task]
        self._shape = shapes(model.card)[self._answer]
        self._state = np.zeros((1, model.card.state_size), np.float32)
        self._told = model.card.told

    def step(self, spectrum: Values, content: float = 0.0) -> Values:
        """The mask, the odds or the levels for the next frames, without the leading 1.

        Raises InputError where the network gives what is no number.
        """
        given = {"spectrum": spectrum[np.newaxis], "state": self._state}
        if self._told:
            given["content"] = np.full((1, 1), content, np.float32)
        answer, self._state = self._session.run((self._answer, "next_state"), given)
        if list(answer.shape) != self._shape or not np.isfinite(answer).all():
            raise InputError(
                f"{self._path}: the model gave no {self._answer} of finite numbers, {self._shape}"
            )
        return np.asarray(answer[0], np.float32)


@dataclass(frozen=True)
class Model:
    """A network with its card. Where it is used more than once in a process, it is loaded once."""

    card: Card
    path: Path

    @staticmethod
    def load(name: str) -> Model:
        """A network that is shipped, by name, or another by the path of its .onnx file, its card beside it.

        Raises InputError where there is none, where its card is missing or incomplete, and where the
        file is not the one that the card describes.
        """
        if name in models():
            return _loaded(SHIPPED / f"{name}{SUFFIX}", 0)
        path = Path(name)
        if not name.lower().endswith(SUFFIX):
            raise InputError(f"there is no model '{name}'{suggest(name, models())}")
        if not path.is_file():
            raise InputError(f"{path}: there is no such model")
        return _loaded(path.resolve(), path.stat().st_mtime_ns)

    def open(self) -> Running:
        """The network at the start of a recording."""
        return Running(self)

    @cached_property
    def session(self) -> Any:
        """ONNX Runtime's session. Raises InputError where the file is no network of the card's shape."""
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as faults
        except ImportError as error:
            raise DeviceError(f"networks need ONNX Runtime, pip install onnxruntime ({error})") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is raised
        try:
            session = onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except (
            faults.Fail,
            faults.InvalidArgument,
            faults.InvalidGraph,
            faults.InvalidProtobuf,
            faults.NoSuchFile,
            faults.NotImplemented,
            faults.RuntimeException,
        ) as error:
            raise InputError(f"{self.path}: not a network that can be run ({error})") from None
        self._check(session)
        return session

    def _check(self, session: Any) -> None:
        if self.card.task == "weigh":
            names = [one.name for one in (*session.get_inputs(), *session.get_outputs())]
            if names != ["over", "gains"]:
                raise InputError(f"{self.path}: it has {', '.join(names)}; by its card it has over, gains")
            return
        shape, answer = shapes(self.card), ANSWERS[self.card.task]
        inputs = ["spectrum", "state"]
        if self.card.told:
            inputs.append("content")
        for what, has, names in (
            ("inputs", session.get_inputs(), inputs),
            ("outputs", session.get_outputs(), [answer, "next_state"]),
        ):
            found, wants = {one.name: one.shape for one in has}, {name: shape[name] for name in names}
            if found != wants or any(one.type != "tensor(float)" for one in has):
                raise InputError(
                    f"{self.path}: its {what} are {found}; by its card they are {wants}, float32"
                )


@lru_cache(maxsize=16)
def _loaded(path: Path, changed: int) -> Model:
    """`changed` is when the file was: one that was replaced is read anew."""
    card = read_card(path.with_suffix(".json"))
    if file_sha256(path) != card.sha256:
        raise InputError(f"{path}: not the file that its card {path.stem}.json describes (other hash)")
    return Model(card, path)


@lru_cache(maxsize=8)
def models(task: str = "") -> tuple[str, ...]:
    """The names of the networks that are shipped; of one task where it is given."""
    found = sorted(SHIPPED.glob(f"*{SUFFIX}"))
    return tuple(path.stem for path in found if task in ("", read_card(path.with_suffix(".json")).task))
