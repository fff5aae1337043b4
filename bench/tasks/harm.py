"""The first promise: what has no damage comes out of the whole chain bit for bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile

import wavemend
from bench.material import Clip, Material
from bench.report import Cell, Section, Table

DEPTHS = (16, 24)


def run(material: Material, quick: bool) -> Section:
    """Clips of speech and music as 16 and 24 bit files through `wavemend.restore`, read back and compared."""
    each, seconds = (3, 5.0) if quick else (30, 10.0)
    clips = material.clips("speech", each, seconds) + material.clips("music", each, seconds)
    touched: list[list[Cell]] = []
    shares = []
    for i, clip in enumerate(clips):
        depth = DEPTHS[i % 2]
        share, steps = changed(clip.quantised(depth))
        shares.append(share)
        if share:
            touched.append([clip.name, f"{depth} bit", f"{100 * share:.4f} %", steps])
    whole = sum(share == 0 for share in shares)
    summary = [
        ["clips", len(shares)],
        ["bit-identical", whole],
        ["worst share of changed samples", f"{100 * max(shares, default=0.0):.4f} %"],
    ]
    tables = [
        Table(
            "Undamaged clips through restore", "Speech and music, 16 and 24 bit in turn.", ["", ""], summary
        )
    ]
    if touched:
        about = "Undamaged means that nothing was done to them here."
        tables.append(
            Table("Clips that came out changed", about, ["clip", "depth", "changed", "steps"], touched)
        )
    return Section("harm", "Do no harm", tables, {"seconds each": seconds})


def changed(clip: Clip) -> tuple[float, str]:
    """Share of samples that a file comes back with changed, and the steps that did it."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "in.wav"), Path(folder, "out.wav")
        soundfile.write(before, clip.samples.T, clip.format.sample_rate, subtype=f"PCM_{clip.bits}")
        result = wavemend.restore(before)
        result.save(after)
        given, got = (soundfile.read(path, dtype="int32", always_2d=True)[0] for path in (before, after))
    if given.shape != got.shape:
        return 1.0, "another length"
    steps = "; ".join(f"{step.repair}: {step.reason}" for step in result.report.plan.steps)
    return float(np.mean(given != got)), steps
