"""Twelve gaps, drawn by a seed and not by hand, as spectrograms: before, after and what was there.

python -m bench.gap_examples --data FOLDER [--seed N] [--out FOLDER]

writes gaps.png and gaps.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is read

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from bench.material import Clip, Material  # noqa: E402
from bench.measure import around, erb_distance, lsd  # noqa: E402
from wavemend.core.types import Finding, Format, Region, Samples  # noqa: E402
from wavemend.engine.stream import remarks_of, run  # noqa: E402
from wavemend.repairs import repairs  # noqa: E402
from wavemend.restoration.picture import Spectrograms, colours, paint, png, top_of  # noqa: E402

MUSIC, SPEECH = 9, 3
LENGTHS_MS = (100, 200, 300, 500, 1000)
SHOWN_S = 2.0
WIDTH, HEIGHT, BORDER = 240, 86, 6
COARSE = 4  # shades that become one: the picture stays small

Pixels = npt.NDArray[np.uint8]


def example(clip: Clip, rng: np.random.Generator) -> tuple[Pixels, str]:
    """One row of the picture, and one of the table."""
    rate = clip.format.sample_rate
    length_ms = int(rng.choice(LENGTHS_MS))
    length = round(length_ms * rate / 1000)
    clean = clip.samples[:1]
    start = int(rng.integers(2 * rate, clean.shape[1] - 2 * rate - length))
    damaged = clean.copy()
    damaged[:, start : start + length] = 0.0
    stream = repairs["fill"].open(
        Format(rate, 1), [Finding("dropouts", Region(start, start + length), 1.0, 1.0)]
    )
    out = run(stream, damaged)
    first = start + length // 2 - round(SHOWN_S / 2 * rate)
    part = slice(first, first + round(SHOWN_S * rate))
    row = strip(damaged[:, part], out[:, part], clean[:, part], rate)
    near = around(clean[0], out[0], rate, start, start + length)
    remarks = remarks_of(stream)
    said = "interpolated" if not remarks else "a guess" if remarks[0].guess else "likely"
    place = f"{Path(clip.name.split(' @')[0]).name} | {length_ms} ms"
    return row, f"{clip.role} | {place} | {lsd(*near, rate):.1f} | {erb_distance(*near, rate):.1f} | {said}"


def strip(before: Samples, after: Samples, third: Samples, rate: int, loudest: int = 2) -> Pixels:
    """Three spectrograms side by side, in shades that begin at the top of the one that is `loudest`."""
    made = Spectrograms(Format(rate, 1), before.shape[1], columns=WIDTH)
    made.push(before, after)
    true = Spectrograms(Format(rate, 1), before.shape[1], columns=WIDTH)
    true.push(third, third)
    levels = [*made.finish()[:2], true.finish()[0]]
    top = top_of(levels[loudest])
    tall = np.arange(HEIGHT) * levels[0].shape[0] // HEIGHT
    wide = np.arange(WIDTH) * levels[0].shape[1] // WIDTH
    pictures = [paint(level, top)[tall][:, wide] // COARSE * COARSE for level in levels]
    space = np.full((HEIGHT, BORDER), len(colours()) // 3, np.uint8)
    return np.concatenate([pictures[0], space, pictures[1], space, pictures[2]], axis=1)


def stacked(strips: Sequence[Pixels]) -> bytes:
    """A PNG of strips, one below the other."""
    space = np.full((BORDER, strips[0].shape[1]), len(colours()) // 3, np.uint8)
    pixels = np.concatenate([part for one in strips for part in (one, space)][:-1])
    return png(pixels, colours() + b"\xff\xff\xff")


def main(arguments: list[str]) -> int:
    """Draw, fill and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.gap_examples")
    parser.add_argument("--data", type=Path, default=os.environ.get("WAVEMEND_CORPUS"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(given.seed)
    material = Material(Path(given.data) if given.data else None)
    clips: list[Clip] = []
    for role, count in (("music", MUSIC), ("speech", SPEECH)):
        known = material.clips(role, 3 * count, 8.0, 7.0)
        clips += [known[i] for i in sorted(rng.choice(len(known), min(count, len(known)), replace=False))]
    made = [example(clip.mono(), rng) for clip in clips]
    (given.out / "gaps.png").write_bytes(stacked([row for row, _ in made]))
    lines = [
        "<!-- made by python -m bench.gap_examples; do not edit -->",
        "",
        "# Twelve gaps",
        "",
        f"Drawn with seed {given.seed} from {material.described}, none left out. From left to right: with "
        f"the gap, filled, and what was there; {SHOWN_S:g} s each, from 0 Hz to half the sample rate. The "
        "distances are those of the bench, in the gap.",
        "",
        "![Spectrograms of twelve gaps: before, after, truth](gaps.png)",
        "",
        "| row | kind | recording | gap | LSD, dB | ERB bands, dB | the report says |",
        "| ---: | --- | --- | ---: | ---: | ---: | --- |",
        *(f"| {i} | {text} |" for i, (_, text) in enumerate(made, 1)),
    ]
    (given.out / "gaps.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
