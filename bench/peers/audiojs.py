"""audiojs (npm, MIT): packages @audio/denoise-*, run by node from the folder in WAVEMEND_AUDIOJS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.common import missing
from bench.systems import Array, System, TooSlowError

DRIVER = Path(__file__).with_suffix(".mjs")


def declick() -> System:
    return _system("denoise-declick", lambda facts: {})


def decrackle() -> System:
    return _system("denoise-decrackle", lambda facts: {})


def declip() -> System:
    return _system("denoise-declip", lambda facts: {"clipLevel": facts["clip_level"]})


def dehum() -> System:
    """Told the mains frequency, and to follow it; with as many notches as reach 1 kHz."""
    return _system(
        "denoise-dehum",
        lambda facts: {
            "freq": facts["mains_hz"],
            "harmonics": int(1000 / facts["mains_hz"]),
            "adaptive": True,
        },
    )


def omlsa() -> System:
    return _system("denoise-omlsa", lambda facts: {})


def repair() -> System:
    def gaps(facts: Mapping[str, Any]) -> dict[str, Any]:
        rate = facts["rate_hz"]
        return {"regions": [{"at": a / rate, "duration": (b - a) / rate} for a, b in facts["gaps"]]}

    return _system("denoise-repair", gaps)


def _system(package: str, told: Any) -> System:
    folder = os.environ.get("WAVEMEND_AUDIOJS", "")
    manifest = Path(folder) / "node_modules" / "@audio" / package / "package.json"
    if not shutil.which("node"):
        return missing(f"audiojs {package}", "program 'node'")
    if not folder or not manifest.is_file():
        return missing(f"audiojs {package}", f"npm package '@audio/{package}' (folder in WAVEMEND_AUDIOJS)")
    version = json.loads(manifest.read_text(encoding="utf-8"))["version"]

    def run(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        options = json.dumps({"fs": rate, **told({**facts, "rate_hz": rate})})
        command = ["node", str(DRIVER), folder, f"@audio/{package}", options]
        try:
            done = subprocess.run(command, input=x.tobytes(), capture_output=True, check=True, timeout=180)
        except subprocess.TimeoutExpired:
            raise TooSlowError(package) from None
        out = np.frombuffer(done.stdout, np.float32)
        return np.pad(out, (0, max(len(x) - len(out), 0)))[: len(x)]

    return System(f"audiojs {package} {version}", run, version=version)
