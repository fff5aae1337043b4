"""Weights of half the size: what a network was trained to is not known to more than eleven bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

FEWEST = 1024  # numbers in a tensor; smaller ones stay as they are


def halve(path: Path) -> None:
    """Store an .onnx file's large tensors as float16, equal ones once; it still calculates in float32."""
    model = onnx.load(str(path))
    graph = model.graph
    stored: dict[bytes, str] = {}
    casts, nodes = [], []

    def cast(tensor: Any, name: str) -> Any:
        """What makes `name` out of the tensor's half."""
        values = numpy_helper.to_array(tensor).astype("float16")
        key = repr(values.shape).encode() + values.tobytes()
        if key not in stored:
            stored[key] = f"{name}/half"
            graph.initializer.append(numpy_helper.from_array(values, stored[key]))
        return helper.make_node("Cast", [stored[key]], [name], to=TensorProto.FLOAT)

    for tensor in [one for one in graph.initializer if _large(one)]:
        casts.append(cast(tensor, tensor.name))
        graph.initializer.remove(tensor)
    for node in graph.node:
        held = node.attribute[0].t if node.op_type == "Constant" and node.attribute else None
        nodes.append(cast(held, node.output[0]) if held is not None and _large(held) else node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _large(tensor: Any) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= FEWEST)
