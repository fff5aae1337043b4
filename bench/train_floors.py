"""python -m bench.train_floors --data CORPUS --out floors.npz [--seed N] [--tier A]

Makes the weights of core/floors.py: clips of a corpus are measured bare and under simulated noise
whose floor is known, two layers learn quantiles of that floor, and a head how likely it is
that there is one. Then the log odds are brought onto the scale of damage/noise.py, on the split
`valid`, and the layers are trained once more on both splits. See docs/floors-card.md.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is read

import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from bench.floors.collect import TIERS, Corpus, Sample, collect  # noqa: E402
from bench.floors.net import Array, Net, Training, fit_head, fit_net, over_and_second  # noqa: E402
from wavemend.core.floors import evidence_figures  # noqa: E402
from wavemend.damage.noise import CALIBRATION, MOST_EVIDENCE  # noqa: E402

AUDIBLE_DB = 28.0  # a floor that lies lower than this under the sound is not counted as there
RECORDED_SHARE = 0.3  # recorded noise is not all floor
CLEAN_WEIGHT = {"music": 4.0, "speech": 2.0}  # a floor found where there is none is the worse error
CALIBRATED_SNR_DB = (3.0, 26.0)
CLEAN_COUNTS = 3.0
BARE_OVER = -1.5  # in tens of dB: where the floor of bare music is said to lie, re the measured minimum


def training_set(samples: Sequence[Sample]) -> Training:
    """Targets and weights band by band, padded to one count of bands."""
    bands = max(len(s.index) for s in samples)
    figures = np.zeros((len(samples), bands, samples[0].figures.shape[1]))
    target, mask, weight = (np.zeros((len(samples), bands)) for _ in range(3))
    for k, s in enumerate(samples):
        here = slice(len(s.index))
        figures[k, here], mask[k, here] = s.figures, 1.0
        if s.truth is None:
            # bare speech mostly has a room of its own, at a level that nobody knows
            target[k, here], weight[k, here] = BARE_OVER, float(s.role == "music")
        else:
            target[k, here] = np.clip(s.truth - s.lowest, -15, 8) / 10
            weight[k, here] = RECORDED_SHARE if s.kind == "recorded" else 1.0
        # what lies far below everything else is worth less; below the rounding it is worth little
        weight[k, here] *= 0.4 + 2 * np.clip(s.share_db / 35 + 1, 0, 1)
        weight[k, here] *= np.where(s.lowest < -135, 0.1, 1.0)
    return Training(figures, target, mask, weight)


def pooled(net: Net, samples: Sequence[Sample]) -> Array:
    """What the evidence of each sample is weighed from, (samples, figures)."""
    rows = []
    for s in samples:
        over, second = over_and_second(net, s.figures)
        rows.append(evidence_figures(second, over, s.lowest, s.total, s.index))
    return np.array(rows)


def fit_evidence(net: Net, samples: Sequence[Sample], seed: int) -> Net:
    """The head's weights: log odds that there is an audible floor."""
    there = np.array([s.kind != "clean" for s in samples], float)
    weight = np.array(
        [
            CLEAN_WEIGHT[s.role]
            if s.kind == "clean"
            else float(s.below_db < AUDIBLE_DB) * (RECORDED_SHARE if s.kind == "recorded" else 1.0)
            for s in samples
        ]
    )
    return fit_head(pooled(net, samples), there, weight, seed)


def evidence(net: Net, samples: Sequence[Sample]) -> Array:
    """Log odds of each sample."""
    return np.asarray(np.tanh(pooled(net, samples) @ net["P1"] + net["p1"]) @ net["P2"] + net["p2"])


def calibrate(net: Net, samples: Sequence[Sample]) -> tuple[float, float]:
    """Offset and slope that make log odds those of the samples (Platt's scaling), clips by clips.

    Each role counts as much as the other, and clean clips more than noisy ones.
    """
    odds = evidence(net, samples)
    clips = list(dict.fromkeys(s.clip for s in samples))
    first = {s.clip: s for s in reversed(samples)}
    mean = {
        clip: float(np.mean([o for o, s in zip(odds, samples, strict=True) if s.clip == clip]))
        for clip in clips
    }
    low, high = CALIBRATED_SNR_DB
    used = [c for c in clips if first[c].kind == "clean" or low <= first[c].snr_db <= high]
    used = [c for c in used if first[c].kind != "recorded"]
    x = np.clip([mean[c] for c in used], -MOST_EVIDENCE, MOST_EVIDENCE)
    there = np.array([first[c].kind != "clean" for c in used], float)
    groups = Counter((first[c].role, first[c].kind) for c in used)
    if len({kind for _, kind in groups}) < 2:
        raise SystemExit("the split valid has no clips, or all of one kind: nothing to calibrate with")
    weight = np.array(
        [
            (CLEAN_COUNTS if first[c].kind == "clean" else 1.0) / groups[first[c].role, first[c].kind]
            for c in used
        ]
    )

    def loss(v: Array) -> float:
        z = v[0] + v[1] * x
        # a little pull towards no change decides where the clips leave it open
        return float(weight @ (np.logaddexp(0, z) - there * z)) + 1e-3 * float(v[0] ** 2 + (v[1] - 1) ** 2)

    found = minimize(loss, [0.0, 1.0], bounds=[(-8.0, 8.0), (0.1, 10.0)]).x
    return float(found[0]), float(found[1])


def rescaled(net: Net, offset: float, slope: float) -> Net:
    """The same with log odds such that CALIBRATION of damage/noise.py, applied to them, is right."""
    known_offset, known_slope = CALIBRATION
    share = slope / known_slope
    return {**net, "P2": net["P2"] * share, "p2": net["p2"] * share + (offset - known_offset) / known_slope}


def train(fitted: Sequence[Sample], held_out: Sequence[Sample], seed: int, epochs: int) -> tuple[Net, Array]:
    """Net and head on the first, calibrated on the second; and the net's loss after each epoch."""
    net, _ = fit_net(training_set(fitted), seed, epochs)
    net = {**net, **fit_evidence(net, fitted, seed)}
    offset, slope = calibrate(net, held_out)
    print(f"calibration on valid: {offset:.2f} + {slope:.2f} x log odds", file=sys.stderr)
    every = [*fitted, *held_out]
    net, losses = fit_net(training_set(every), seed, epochs)
    net = {**net, **fit_evidence(net, every, seed)}
    return rescaled(net, offset, slope), losses


def export(net: Net, path: Path) -> str:
    """Write the file; its SHA-256. Two bytes a weight are enough for the layers."""
    small: dict[str, Any] = {
        name: values.astype(np.float32 if name.lower().startswith("p") else np.float16)
        for name, values in net.items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **small)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Collect, train, calibrate and export."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_floors", description=__doc__)
    corpus = os.environ.get("WAVEMEND_CORPUS")
    parser.add_argument(
        "--data", type=Path, default=corpus, help="corpus with manifest.csv (WAVEMEND_CORPUS)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--seed", type=int, default=0, help="for the choice of clips, the noise and the start"
    )
    parser.add_argument(
        "--tier",
        choices=TIERS,
        default="C",
        help="A: only what is free or asks for credit alone; B: also share-alike; C: all",
    )
    parser.add_argument("--clips", type=int, default=40, help="excerpts of each source and split")
    parser.add_argument("--versions", type=int, default=3, help="noisy versions of each excerpt")
    parser.add_argument("--epochs", type=int, default=45)
    given = parser.parse_args(arguments)
    if not given.data:
        parser.error("--data or WAVEMEND_CORPUS must name a corpus")
    parts = []
    for split in ("train", "valid"):
        material = Corpus(Path(given.data), split, given.tier)
        parts.append(list(collect(material, given.clips, given.versions, given.seed)))
        print(f"{split}: {len(parts[-1])} samples from", *material.used(), sep="\n  ")
        if not parts[-1]:
            parser.error(f"{given.data} has no speech or music of tier {given.tier} in the split {split}")
    net, losses = train(parts[0], parts[1], given.seed, given.epochs)
    print(f"loss {losses[0]:.4f} after the first epoch, {losses[-1]:.4f} after the last")
    print(f"{export(net, given.out)}  {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
