"""What the peers share: their own rate, their delay taken out, and where model files are looked for."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from bench.systems import Array, System

FOLDER = "WAVEMEND_PEERS"
Process = Callable[[Array], Array]
"""Mono sound at the peer's own rate in, the same with the peer's delay out."""


def never(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
    """Stands in for a peer that is not installed."""
    raise NotImplementedError("not installed")


def missing(name: str, what: str) -> System:
    """A peer that cannot be run here, and what it lacks."""
    return System(name, never, what)


def at_rate(process: Process, rate_hz: int, delay: int) -> Callable[[Array, int, Mapping[str, Any]], Array]:
    """Around a peer that knows one rate only: resampled there and back, and `delay` samples earlier."""

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        given = x if rate == rate_hz else soxr.resample(x, rate, rate_hz, quality="VHQ")
        made = process(np.pad(np.asarray(given, np.float32), (0, delay)))[delay : delay + len(given)]
        back = made if rate == rate_hz else soxr.resample(made, rate_hz, rate, quality="VHQ")
        return np.asarray(np.pad(back, (0, max(len(x) - len(back), 0)))[: len(x)], np.float32)

    return run


def has(package: str) -> bool:
    """Whether a Python package is installed."""
    return importlib.util.find_spec(package) is not None


def packed(*parts: str) -> Path | None:
    """A data file inside an installed package, found without importing the package."""
    for base in sys.path:
        file = Path(base, *parts)
        if file.is_file():
            return file
    return None


def given(name: str) -> Path | None:
    """A model file of this name in the folder named by WAVEMEND_PEERS."""
    folder = os.environ.get(FOLDER, "")
    file = Path(folder, name)
    return file if folder and file.is_file() else None


def session(path: Path) -> Any:
    """An ONNX model on one thread of the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
