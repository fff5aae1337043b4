"""A network small enough to be written by hand, and the same in numpy, so that running one can be tested.

The power of each bin is smoothed by one pole; the mask is power / (power + knee), turned a little. With
a look-ahead it belongs to earlier frames. Its state, its look-ahead and its several frames per call matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper, save

from wavemend.core.card import Card, Data, Training, file_sha256, write_card
from wavemend.core.types import Samples

POLE = np.float32(0.7)
TURN = np.float32(0.4)
SHAPE: Mapping[str, int] = {
    "sample_rate": 48_000,
    "n_fft": 1536,
    "hop": 480,
    "synthesis": 960,
    "frames_per_call": 2,
    "lookahead_frames": 1,
}
LIVE = {**SHAPE, "frames_per_call": 1, "lookahead_frames": 0}


def card(sha256: str = "", **changes: Any) -> Card:
    """A complete card; `changes` are keys of it."""
    given = {**SHAPE, **changes}
    given.setdefault("bins", given["n_fft"] // 2)
    given.setdefault("state_size", given["bins"])
    about = {
        "name": "tiny",
        "title": "One pole",
        "task": "denoise",
        "told": False,
        "version": "1",
        "parameters": 2,
        "licence": "Apache-2.0",
        "data": (Data("nothing", "CC0-1.0", 0.0, "nobody"),),
        "recipe": "[network]\nname = 'tiny'\n",
        "seed": 0,
        "training": Training(0.0, 0.0, 0, "none"),
        "figures": {"PESQ-WB": 1.0},
        "sha256": sha256,
    }
    return Card(**{**about, **given})


def write(
    folder: Path,
    name: str = "tiny",
    knee: float = 1e-4,
    fixed: float | None = None,
    told: bool = False,
    **changes: Any,
) -> Path:
    """NAME.onnx and NAME.json in `folder`; the path of the first.

    `fixed` is a constant mask. A network that is `told` the content halves the mask of speech.
    """
    changes["told"] = told
    made = card(name=name, **changes)
    path = folder / f"{name}.onnx"
    model = _graph(made, knee, fixed, told)
    checker.check_model(model)
    save(model, path)
    write_card(path.with_suffix(".json"), card(file_sha256(path), name=name, **changes))
    return path


def _graph(made: Card, knee: float, fixed: float | None, told: bool) -> Any:
    count, bins = made.frames_per_call, made.bins
    nodes, constants = [], []

    def constant(name: str, value: Any, dtype: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    one, pole, rest = constant("one", 1), constant("pole", POLE), constant("rest", 1 - POLE)
    turn, level, last = constant("turn", TURN), constant("knee", knee), constant("last", [3], np.int64)
    squared = node("Mul", ["spectrum", "spectrum"], "squared")
    power = node("ReduceSum", [squared, last], "power", keepdims=0)  # (1, frames, bins)
    frames = [f"frame{k}" for k in range(count)]
    nodes.append(helper.make_node("Split", [power], frames, axis=1, num_outputs=count))
    shape = constant("flat", [1, bins], np.int64)
    before, masks = "state", []
    for k, frame in enumerate(frames):
        now = node("Mul", [node("Reshape", [frame, shape], f"flat{k}"), rest], f"new{k}")
        old = node("Mul", [before, pole], f"old{k}")
        before = node("Add", [old, now], "next_state" if k == count - 1 else f"state{k}")
        gain = node("Div", [before, node("Add", [before, level], f"sum{k}")], f"gain{k}")
        if fixed is not None:
            gain = node(
                "Add",
                [node("Mul", [gain, constant(f"no{k}", 0)], f"none{k}"), constant(f"fix{k}", fixed)],
                f"fixed{k}",
            )
        if told:
            share = node("Mul", ["content", constant(f"quarter{k}", 0.25)], f"share{k}")
            whole = node("Add", [share, constant(f"rest{k}", 0.75)], f"told{k}")
            gain = node("Mul", [gain, whole], f"toldgain{k}")
        angle = node("Mul", [node("Sub", [one, gain], f"less{k}"), turn], f"angle{k}")
        if fixed is not None:
            angle = node("Mul", [angle, constant(f"straight{k}", 0)], f"angle0{k}")
        parts = []
        for op in ("Cos", "Sin"):
            part = node("Mul", [gain, node(op, [angle], f"{op}{k}")], f"part{op}{k}")
            parts.append(
                node("Unsqueeze", [part, constant(f"ends{op}{k}", [1, 3], np.int64)], f"cell{op}{k}")
            )
        masks.append(node("Concat", parts, f"mask{k}", axis=3))
    node("Concat", masks, "mask", axis=1)
    cells, state = [1, count, bins, 2], [1, made.state_size]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("spectrum", TensorProto.FLOAT, cells), value("state", TensorProto.FLOAT, state)]
        + ([value("content", TensorProto.FLOAT, [1, 1])] if told else []),
        [value("mask", TensorProto.FLOAT, cells), value("next_state", TensorProto.FLOAT, state)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def reference(
    samples: Samples, made: Card, knee: float = 1e-4, least: float = 0.0
) -> npt.NDArray[np.float64]:
    """What the tiny network makes of (channels, samples) at its own rate, worked out all at once."""
    frames, n = made.frames, samples.shape[1]
    count = -(-n // frames.hop) + frames.overlap + made.lookahead_frames
    given = np.pad(samples.astype(np.float64), ((0, 0), (frames.n_fft - frames.hop, count * frames.hop)))
    cut = np.lib.stride_tricks.sliding_window_view(given, frames.n_fft, axis=1)[:, :: frames.hop][:, :count]
    spectra = np.fft.rfft(cut * frames.analysis, axis=2)
    power = np.mean(np.abs(spectra) ** 2, axis=0)
    smooth, state = [], np.zeros(power.shape[1])
    for row in power:
        state = POLE * state + (1 - POLE) * row
        smooth.append(state)
    gain = np.array(smooth) / (np.array(smooth) + knee)
    mask = gain * np.exp(1j * TURN * (1 - gain))
    mask[:, -1] = mask[:, -2]
    mask = mask[made.lookahead_frames :]
    mask = mask * np.maximum(1, least / np.maximum(np.abs(mask), 1e-30))
    used = len(mask)
    sound = np.fft.irfft(spectra[:, :used] * mask, axis=2) * frames.synth
    out = np.zeros((len(samples), frames.n_fft + used * frames.hop))
    for t in range(used):
        out[:, t * frames.hop : t * frames.hop + frames.n_fft] += sound[:, t]
    lead = frames.n_fft - frames.hop
    return out[:, lead : lead + n]


def weigher(folder: Path, name: str = "weigher", reach: int = 6) -> Path:
    """NAME.onnx and NAME.json of a network that weighs: gains are over / (over + 1), cell by cell."""
    changes: dict[str, Any] = {
        "name": name,
        "task": "weigh",
        "n_fft": 1920,
        "hop": 960,
        "synthesis": 1920,
        "frames_per_call": 1,
        "lookahead_frames": reach,
        "state_size": 0,
    }
    shape = (1, "frames", "bins")
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["over", "one"], ["both"]),
            helper.make_node("Div", ["over", "both"], ["gains"]),
        ],
        name,
        [helper.make_tensor_value_info("over", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("gains", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    path = folder / f"{name}.onnx"
    save(model, path)
    write_card(path.with_suffix(".json"), card(file_sha256(path), **changes))
    return path
