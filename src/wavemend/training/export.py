"""From a trained network to an .onnx file and its card; nothing is written unless both are right."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from wavemend.core.card import ANSWERS, Card, Data, Training, file_sha256, write_card
from wavemend.errors import InputError
from wavemend.training.bank import Origin
from wavemend.training.network import Denoiser, Examiner, Streaming
from wavemend.training.recipe import Recipe

TOLERANCE = 1e-3  # of a gain, or of log odds; at most 0.01 dB where nothing is cut
HALF_TOLERANCE = 0.1  # of levels in Nepers of power (0.4 dB), whose weights are held in half precision
LARGE = 1000
BLOCKS = 8


def export(
    network: Streaming,
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
    size = network.state_size()
    _write(network, beside, model.frames_per_call, frames.bins, size)
    try:
        if model.half:
            halve(beside)
        tolerance = HALF_TOLERANCE if model.half else TOLERANCE
        check(network, beside, model.frames_per_call, frames.bins, size, tolerance)
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
            lookahead_frames=network.lookahead,
            state_size=size,
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


def _given(network: Streaming, count: int, bins: int, size: int) -> dict[str, torch.Tensor]:
    """What the network takes, by the names of engine.model."""
    given = {"spectrum": torch.zeros(1, count, bins, 2), "state": torch.zeros(1, size)}
    return given | ({"content": torch.zeros(1, 1)} if isinstance(network, Denoiser) else {})


def _write(network: Streaming, path: Path, count: int, bins: int, size: int) -> None:
    given = _given(network, count, bins, size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of itself
        torch.onnx.export(
            network,
            tuple(given.values()),
            str(path),
            input_names=list(given),
            output_names=[ANSWERS[network.task], "next_state"],
            opset_version=17,
            dynamo=False,
        )


def halve(path: Path) -> None:
    """Hold the large weights of an .onnx file in half precision; they are made float32 when it is loaded."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    graph, casts = model.graph, []
    for weight in [w for w in graph.initializer if w.data_type == onnx.TensorProto.FLOAT]:
        values = numpy_helper.to_array(weight)
        if values.size < LARGE:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))


def check(
    network: Streaming, path: Path, count: int, bins: int, size: int, tolerance: float = TOLERANCE
) -> float:
    """Largest difference between the answers of torch and of the file, over blocks that carry their state.

    Raises InputError where it is above `tolerance`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst, given = 0.0, _given(network, count, bins, size)
    kept = given["state"]
    for block in range(BLOCKS):
        level = 10.0 ** rng.uniform(-4, 0)
        spectrum = rng.standard_normal((1, count, bins, 2)) * level * (block != 2)
        given["spectrum"] = torch.from_numpy(spectrum.astype(np.float32))
        if "content" in given:
            given["content"] = torch.full((1, 1), float(rng.uniform(-1, 1)))
        answer, state = session.run(
            [ANSWERS[network.task], "next_state"], {name: value.numpy() for name, value in given.items()}
        )
        with torch.no_grad():
            expected, kept = network(*(given | {"state": kept}).values())
        given["state"] = torch.from_numpy(state)
        difference = float(np.abs(answer - expected.numpy()).max())
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
    if worst > tolerance:
        raise InputError(f"{path.stem}: ONNX Runtime and torch differ by {worst:.2g}; the file is not kept")
    return worst
