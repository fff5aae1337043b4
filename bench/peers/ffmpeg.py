"""FFmpeg's filters, run as the program `ffmpeg`. arnndn needs a model file, WAVEMEND_RNNN."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from bench.peers.common import missing
from bench.systems import Array, System, TooSlowError

NOTCH_Q = 30
HIGHEST_NOTCH_HZ = 1000.0


def adeclick() -> System:
    return _system("ffmpeg adeclick", lambda facts, rate: "adeclick")


def adeclip() -> System:
    return _system("ffmpeg adeclip", lambda facts, rate: "adeclip")


def notches() -> System:
    """Told the mains frequency: a notch at every harmonic to 1 kHz, as one does it with FFmpeg."""

    def chain(facts: Mapping[str, Any], rate: int) -> str:
        mains_hz = facts["mains_hz"]
        count = int(min(HIGHEST_NOTCH_HZ, 0.45 * rate) / mains_hz)
        return ",".join(f"bandreject=f={mains_hz * k}:width_type=q:w={NOTCH_Q}" for k in range(1, count + 1))

    return _system("ffmpeg notches", chain)


def afftdn() -> System:
    """Tracking the noise, 12 dB: the best of several settings on noisy speech."""
    return _system("ffmpeg afftdn", lambda facts, rate: "afftdn=nr=12:nf=-30:tn=1", delay_s=0.025)


def afftdn_told() -> System:
    """Led by a piece of the noise alone, from which it learns the shape; the lead is cut off again.

    It is told the noise's level as well, without which the learned shape is of little use: the best of
    several settings on music.
    """
    name = "ffmpeg afftdn, noise profile"

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        delay, noise = round(0.025 * rate), np.asarray(facts["noise"], np.float32)
        level_db = 20 * np.log10(float(np.std(noise)) + 1e-9)
        learn = f"asendcmd=c='0.0 afftdn sn start; {0.8 * len(noise) / rate:.3f} afftdn sn stop'"
        chain = f"{learn},afftdn=nr=20:nf={np.clip(level_db + 3, -80, -20):.1f}"
        led = np.pad(np.concatenate((noise, x)), (0, delay))
        return _filtered(led, rate, chain)[len(noise) + delay :][: len(x)]

    return System(name, run, version="2 " + _version()) if shutil.which("ffmpeg") else _no_ffmpeg(name)


def arnndn() -> System:
    model = os.environ.get("WAVEMEND_RNNN", "")
    if not model or not Path(model).is_file():
        return missing("ffmpeg arnndn", "a model file (.rnnn) in WAVEMEND_RNNN")
    return _system(
        f"ffmpeg arnndn {Path(model).stem}", lambda facts, rate: f"arnndn=m={model}", 0.01, rate_hz=48000
    )


def _system(
    name: str,
    chain: Callable[[Mapping[str, Any], int], str],
    delay_s: float = 0.0,
    rate_hz: int | None = None,
) -> System:
    """A filter chain at the sound's own rate or at one that it needs; its constant delay is taken out."""
    if not shutil.which("ffmpeg"):
        return _no_ffmpeg(name)

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        at = rate_hz or rate
        given = x if at == rate else soxr.resample(x, rate, at).astype(np.float32)
        delay = round(delay_s * at)
        out = _filtered(np.pad(given, (0, delay)), at, chain(facts, at))[delay:]
        back = out if at == rate else soxr.resample(out, at, rate)
        return np.pad(back, (0, max(len(x) - len(back), 0)))[: len(x)]

    return System(name, run, version="1 " + _version())


def _filtered(x: Array, rate: int, chain: str) -> Array:
    form = ["-f", "f32le", "-ar", str(rate), "-ac", "1"]
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1"]
    command += [*form, "-i", "pipe:0", "-af", chain, *form, "pipe:1"]
    try:
        done = subprocess.run(
            command, input=x.astype(np.float32).tobytes(), capture_output=True, check=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        raise TooSlowError(chain) from None
    return np.frombuffer(done.stdout, np.float32)


def _version() -> str:
    done = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True)
    return done.stdout.split(" Copyright")[0].removeprefix("ffmpeg version ")


def _no_ffmpeg(name: str) -> System:
    return missing(name, "program 'ffmpeg'")
