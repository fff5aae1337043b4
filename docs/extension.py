"""Twelve examples of extended sound as spectrograms, chosen by seed: docs/extension.png.

python docs/extension.py CORPUS     needs a corpus as the bench does, and its split `test`
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.material import Clip, Material
from bench.tasks.extend import ENDS_HZ, REACH_HZ, found, narrowed

from wavemend.restoration.picture import SHADES, colours, paint, png

SEED = 12
EACH = 6  # of speech, and of music
N_FFT, TOP_HZ = 1024, 22_050.0
COLUMNS, ROWS, GAP = 190, 72, 4

Levels = npt.NDArray[np.float64]


def levels(samples: npt.NDArray[np.floating], rate: int) -> Levels:
    """(ROWS, COLUMNS) in dB, low frequencies first, evenly from 0 to TOP_HZ."""
    hop = max((len(samples) - N_FFT) // COLUMNS, 1)
    cut = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, N_FFT)), N_FFT)[::hop][:COLUMNS]
    power = np.abs(np.fft.rfft(cut * np.hanning(N_FFT), axis=1)) ** 2
    edges = np.linspace(0, TOP_HZ / rate * N_FFT, ROWS + 1).astype(int)
    rows = np.add.reduceat(power[:, : edges[-1] + 1], edges[:-1], axis=1) / np.diff(edges)
    out = np.full((ROWS, COLUMNS), -200.0)
    out[:, : len(rows)] = 10 * np.log10(rows.T + 1e-12)
    return out


def row(clip: Clip, end_hz: float) -> npt.NDArray[np.uint8]:
    """Before, after, truth."""
    pair = narrowed(clip, end_hz)
    after = found().run(pair.damaged, pair.rate, pair.facts)
    three = [levels(sound, pair.rate) for sound in (pair.damaged, after, pair.clean)]
    top = float(np.quantile(three[2], 0.999))
    gap = np.full((ROWS, GAP), SHADES, np.uint8)
    painted = [paint(each, top) for each in three]
    return np.concatenate((painted[0], gap, painted[1], gap, painted[2]), axis=1)


def main(corpus: str) -> None:
    """Draw and write."""
    material, rng = Material(Path(corpus)), np.random.default_rng(SEED)
    rows = []
    for role, ends in ENDS_HZ.items():
        clips = [clip.mono() for clip in material.clips(role, 60, 3.0, 1.5, REACH_HZ)]
        for index in rng.choice(len(clips), EACH, replace=False):
            rows.append(row(clips[index], float(rng.choice(ends))))
            rows.append(np.full((GAP, rows[0].shape[1]), SHADES, np.uint8))
    picture = np.concatenate(rows[:-1])
    path = Path(__file__).with_name("extension.png")
    path.write_bytes(png(picture, colours() + b"\xff\xff\xff"))


if __name__ == "__main__":
    main(sys.argv[1])
