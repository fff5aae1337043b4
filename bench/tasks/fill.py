"""Gaps in music: how near to what was there the filled-in sound comes."""

from __future__ import annotations

import numpy as np

from bench.material import Clip, Material, seed_of
from bench.measure import sdr
from bench.peers import audiojs
from bench.report import Section, Table, mean
from bench.systems import Array, System, ours, planned, untouched
from bench.tasks.pairs import Pair, head, rows
from wavemend.core.types import Finding, Format, Region
from wavemend.repairs import repairs

GAPS_MS = (5, 10, 20, 50)


def run(material: Material, quick: bool) -> Section:
    """Gaps of four lengths, two a second, zeroed."""
    clips = [c.mono() for c in material.clips("music", 3 if quick else 12, 6.0, 4.0)]
    pairs = [gapped(clip, length) for length in (GAPS_MS[:2] if quick else GAPS_MS) for clip in clips]
    table = Table(
        "Gaps in music: SDR inside the gaps, dB",
        "Mean over gaps of 10·log10 of the energy that was there over that of the error; leaving "
        "the gap gives 0. "
        "wavemend first with the gaps found from scratch, then told where they are, as audiojs is.",
        head(pairs),
        rows(pairs, [untouched(), ours(["dropouts"]), told(), audiojs.repair()], _each_gap, mean),
    )
    return Section("fill", "Gaps", [table], {"clips": len(clips)})


def told() -> System:
    """Our repair of gaps, told where they are."""
    filling = [repair for repair in repairs.values() if "dropouts" in repair.treats]
    if not filling:
        return System("wavemend, told", lambda x, rate, facts: x, "no repair that fills gaps yet")

    def mend(x: Array, rate: int, facts) -> Array:
        gaps = [Finding("dropouts", Region(a, b, (0,)), 1.0, 1.0) for a, b in facts["gaps"]]
        return planned(x[np.newaxis], Format(rate, 1), gaps)[0]

    return System("wavemend, told", mend)


def gapped(clip: Clip, length_ms: float) -> Pair:
    """The clip with a gap every half a second where there is sound."""
    clean, rate = clip.samples[0], clip.format.sample_rate
    rng = np.random.default_rng(seed_of("gaps", length_ms, clip.name))
    damaged, gaps, length = clean.copy(), [], round(length_ms * rate / 1000)
    for second in np.arange(0.5, clip.seconds - 0.5, 0.5):
        at = round((second + rng.uniform(0, 0.2)) * rate)
        if np.mean(clean[at : at + length].astype(np.float64) ** 2) > 1e-6:
            damaged[at : at + length] = 0
            gaps.append((at, at + length))
    return Pair(f"{length_ms:g} ms", clean, damaged, rate, {"gaps": gaps})


def _each_gap(pair: Pair, out: Array) -> list[float | None]:
    return [sdr(pair.clean[a:b], out[a:b]) for a, b in pair.facts["gaps"]]
