"""From a trained network to an .onnx file and its card; nothing is written unless both are right."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from wavemend.core.card import ANSWERS, Card, Data, Training, file_sha256, write_card
from wavemend.errors import InputError
from wavemend.training.bank import Origin
from wavemend.training.half import halve
from wavemend.training.network import Denoiser, Examiner, Learner, Streaming, Weigher
from wavemend.training.recipe import Recipe

TOLERANCE = 1e-3  # of a gain, or of log odds; at most 0.01 dB where nothing is cut
HALF_TOLERANCE = {
    "mask": 1e-2,
    "gains": 1e-2,
    "odds": 1e-1,
    "levels": 1e-1,
}  # the same, with weights of half the size
BLOCKS = 8


def export(
    network: Learner,
    recipe: Recipe,
    origins: Sequence[Origin],
    training: Training,
    figures: Mapping[str, float],
    folder: Path,
) -> tuple[Path, Card]:
    """Write NAME.onnx and NAME.json into `folder`; returns the first and the card.

    Raises InputError if ONNX Runtime, block by block, gives other answers than torch, or if
    the card is not complete.
    """
    frames, model = recipe.frames, recipe.model
    _complete(recipe, origins, training, figures)
    path = folder / f"{model.name}.onnx"
    beside = folder / f"{model.name}.onnx.part"
    network = network.eval()
    given = _given(network, model.frames_per_call, frames.bins)
    _write(network, beside, given)
    try:
        check(network, beside, given)
        halve(beside)
        check(network, beside, given, HALF_TOLERANCE[ANSWERS[network.task]])
        card = Card(
            name=model.name,
            title=model.title,
            task=network.task,
            told=isinstance(network, Denoiser),
            version=model.version,
            sample_rate=frames.sample_rate,
            n_fft=frames.n_fft,
            hop=frames.hop,
            synthesis=frames.synthesis,
            bins=frames.bins,
            frames_per_call=model.frames_per_call,
            lookahead_frames=network.reach if isinstance(network, Weigher) else _streaming(network).lookahead,
            state_size=given["state"].shape[1] if "state" in given else 0,
            parameters=sum(p.numel() for p in network.parameters()),
            licence=model.licence,
            data=tuple(Data(o.name, o.licence, round(o.hours, 3), o.credit) for o in origins),
            recipe=recipe.text,
            seed=recipe.seed,
            training=training,
            figures={name: round(float(value), 4) for name, value in figures.items()},
            sha256=file_sha256(beside),
            kinds=network.kinds if isinstance(network, Examiner) else (),
        )
        write_card(path.with_suffix(".json"), card)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return path, card


def _complete(
    recipe: Recipe, origins: Sequence[Origin], training: Training, figures: Mapping[str, float]
) -> None:
    missing = {
        "a name": recipe.model.name,
        "a title": recipe.model.title,
        "a licence": recipe.model.licence,
        "the data": origins,
        "steps": training.steps,
        "figures": figures,
    }
    lacking = [name for name, value in missing.items() if not value]
    unnamed = [origin.name for origin in origins if not origin.licence]
    if unnamed:
        lacking.append(f"the licence of {', '.join(unnamed)}")
    if lacking:
        raise InputError(f"the card of the model is not complete, it lacks {'; '.join(lacking)}")


def _streaming(network: Learner) -> Streaming:
    assert isinstance(network, Streaming)
    return network


def _given(network: Learner, count: int, bins: int) -> dict[str, torch.Tensor]:
    """What the network takes, by the names of engine.model."""
    if isinstance(network, Weigher):
        return {"over": torch.ones(1, 2 * network.reach, bins)}
    size = _streaming(network).state_size()
    given = {"spectrum": torch.zeros(1, count, bins, 2), "state": torch.zeros(1, size)}
    return given | ({"content": torch.zeros(1, 1)} if isinstance(network, Denoiser) else {})


def _write(network: Learner, path: Path, given: Mapping[str, torch.Tensor]) -> None:
    answers = [ANSWERS[network.task], *(["next_state"] if "state" in given else [])]
    free = {1: "frames", 2: "bins"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of itself
        torch.onnx.export(
            network,
            tuple(given.values()),
            str(path),
            input_names=list(given),
            output_names=answers,
            dynamic_axes=None if "state" in given else dict.fromkeys((*given, *answers), free),
            opset_version=17,
            dynamo=False,
        )


def check(
    network: Learner, path: Path, given: Mapping[str, torch.Tensor], tolerance: float = TOLERANCE
) -> float:
    """Largest difference between the answers of torch and of the file; `given` as it was written with.

    Raises InputError where it is above `tolerance`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    compare = _stretches if isinstance(network, Weigher) else _calls
    worst = compare(network, session, dict(given))
    if worst > tolerance:
        raise InputError(f"{path.stem}: ONNX Runtime and torch differ by {worst:.2g}; the file is not kept")
    return worst


def _calls(network: Learner, session: onnxruntime.InferenceSession, given: dict[str, torch.Tensor]) -> float:
    """Over calls that carry their state."""
    rng = np.random.default_rng(0)
    worst, kept = 0.0, given["state"]
    for block in range(BLOCKS):
        level = 10.0 ** rng.uniform(-4, 0)
        spectrum = rng.standard_normal(tuple(given["spectrum"].shape)) * level * (block != 2)
        given["spectrum"] = torch.from_numpy(spectrum.astype(np.float32))
        if "content" in given:
            given["content"] = torch.full((1, 1), float(rng.uniform(-1, 1)))
        answer, state = session.run(
            [ANSWERS[network.task], "next_state"], {name: value.numpy() for name, value in given.items()}
        )
        with torch.no_grad():
            expected, kept = network(*(given | {"state": kept}).values())
        given["state"] = torch.from_numpy(state)
        worst = max(worst, _difference(answer, expected))
    return worst


def _stretches(
    network: Learner, session: onnxruntime.InferenceSession, given: dict[str, torch.Tensor]
) -> float:
    """Over stretches of several lengths and widths."""
    rng = np.random.default_rng(0)
    worst, (_, frames, bins) = 0.0, given["over"].shape
    for longer, wider in ((0, 0), (6, 4), (2, 40)):
        over = rng.exponential(10.0 ** rng.uniform(-2, 4), (1, frames + longer, bins + wider))
        (answer,) = session.run(None, {"over": over.astype(np.float32)})
        with torch.no_grad():
            expected = network(torch.from_numpy(over.astype(np.float32)))
        worst = max(worst, _difference(answer, expected))
    return worst


def _difference(answer: Any, expected: torch.Tensor) -> float:
    difference = float(np.abs(answer - expected.numpy()).max())
    return difference if np.isfinite(difference) else float("inf")
