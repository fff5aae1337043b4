"""Peers that are Python packages: noisereduce and pyrnnoise (RNNoise)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import soxr

from bench.systems import Array, System

RNNOISE_HZ = 48000
RNNOISE_DELAY = 960  # samples at 48 kHz


def noisereduce(share: float) -> System:
    """As its users get it (share 1) or taking only part of the noise, which scores better."""
    name = f"noisereduce, prop_decrease {share:g}"
    if not importlib.util.find_spec("noisereduce"):
        return System(name, _never, "Python package 'noisereduce'")

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        import noisereduce as package

        return np.asarray(package.reduce_noise(y=x, sr=rate, prop_decrease=share), np.float32)

    return System(name, run, version=importlib.metadata.version("noisereduce"))


def rnnoise() -> System:
    """RNNoise at 48 kHz in frames of 10 ms; its delay is taken out."""
    if not importlib.util.find_spec("pyrnnoise"):
        return System("RNNoise", _never, "Python package 'pyrnnoise'")

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        given = x if rate == RNNOISE_HZ else soxr.resample(x, rate, RNNOISE_HZ)
        out = _rnnoise(np.asarray(given, np.float32))
        back = out if rate == RNNOISE_HZ else soxr.resample(out, RNNOISE_HZ, rate)
        return np.asarray(np.pad(back, (0, max(len(x) - len(back), 0)))[: len(x)], np.float32)

    return System("RNNoise", run, version=importlib.metadata.version("pyrnnoise"))


def _rnnoise(x: Array) -> Array:
    import ctypes

    from pyrnnoise import rnnoise as package

    size = package.FRAME_SIZE
    padded = np.pad(x, (0, RNNOISE_DELAY + (-len(x)) % size + size)) * np.float32(32768)
    frames = padded[: len(padded) // size * size].reshape(-1, size).copy()
    state = package.create()
    for frame in frames:
        at = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        package.lib.rnnoise_process_frame(state, at, at)
    package.destroy(state)
    return frames.reshape(-1)[RNNOISE_DELAY : RNNOISE_DELAY + len(x)] / np.float32(32768)


def _never(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
    raise NotImplementedError("not installed")
