"""Weights of half the size: what a network was trained to is not known to more than eleven bits."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

FEWEST = 1024  # numbers in a tensor; smaller ones stay as they are


def halve(path: Path) -> None:
    """Store the large tensors of an .onnx file as float16; it still calculates in float32."""
    model = onnx.load(str(path))
    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) < FEWEST:
            continue
        name, small = tensor.name, f"{tensor.name}/half"
        values = numpy_helper.to_array(tensor).astype("float16")
        tensor.CopyFrom(numpy_helper.from_array(values, small))
        casts.append(helper.make_node("Cast", [small], [name], to=TensorProto.FLOAT))
    for place, cast in enumerate(casts):
        graph.node.insert(place, cast)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
