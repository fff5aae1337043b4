"""Old records as spectrograms: as they are, without their clicks, and what was taken.

python -m bench.click_examples --data FOLDER [--out FOLDER]

writes real-clicks.png and real-clicks.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is read

import numpy as np  # noqa: E402

from bench.gap_examples import stacked, strip  # noqa: E402
from bench.material import Material  # noqa: E402
from bench.systems import ours  # noqa: E402
from bench.tasks.real_clicks import BOTH, RECORDS, SOURCE, impulses_per_s, removed_db  # noqa: E402

SHOWN_S = 2.5
LAID_OVER = "iwclicks"


def main(arguments: list[str]) -> int:
    """Repair, draw and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.click_examples")
    parser.add_argument("--data", type=Path, default=os.environ.get("WAVEMEND_CORPUS"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    given = parser.parse_args(arguments)
    clips = {Path(clip.name.split(" @")[0]).stem: clip for clip in Material(given.data).benchmark(SOURCE)}
    if not clips:
        parser.error(f"the corpus has no recordings of {SOURCE}")
    rows, lines = [], []
    for name in (LAID_OVER, *RECORDS):
        clip = clips[name]
        rate, before = clip.format.sample_rate, clip.samples[0]
        after = ours(BOTH).run(before.copy(), rate, {})
        at = _most_taken(before - after, round(SHOWN_S * rate))
        part = slice(at, at + round(SHOWN_S * rate))
        three = [x[np.newaxis, part] for x in (before, after, before - after)]
        rows.append(strip(*three, rate, loudest=0))
        here = f"{impulses_per_s(before, rate):.0f} | {impulses_per_s(after, rate):.0f}"
        lines.append(f"| {name}, from {at / rate:.1f} s | {here} | {removed_db(before, after):.1f} |")
    (given.out / "real-clicks.png").write_bytes(stacked(rows))
    text = [
        "<!-- made by python -m bench.click_examples; do not edit -->",
        "",
        "# Clicks of old records",
        "",
        'The recordings of J. Nuzman, "Audio Restoration" (2004): clicks of a record laid over clean '
        "sound, then four records as they are. From left to right: as it is, repaired (`declick`, "
        "`decrackle`, as the diagnosis decides), and what was taken, in the same shades; "
        f"{SHOWN_S:g} s each, those from which most was taken, from 0 Hz to half the sample rate.",
        "",
        "![Spectrograms of five recordings: before, after, removed](real-clicks.png)",
        "",
        "| recording | places that stand out, a second: before | after | taken, dB re the sound |",
        "| --- | ---: | ---: | ---: |",
        *lines,
        "",
        "Places stand out where the error of a linear prediction is more than ten times the median around "
        "them; plucks and consonants are among them. Beside other programs, and with the true sound of the "
        'first: [RESULTS](../bench/RESULTS.md), "Clicks of records"; what is left, and why: '
        "[decisions](decisions-clicks.md).",
    ]
    (given.out / "real-clicks.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    return 0


def _most_taken(removed: np.ndarray, width: int) -> int:
    """Where the excerpt begins that holds most of the removed energy."""
    energy = np.concatenate(([0.0], np.cumsum(removed.astype(np.float64) ** 2)))
    starts = np.arange(0, max(len(removed) - width, 0) + 1, max(width // 10, 1))
    return int(starts[np.argmax(energy[np.minimum(starts + width, len(removed))] - energy[starts])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
