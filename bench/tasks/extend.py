"""The missing high band: how near in spectrum to what was there, and what changes below the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from bench import measure
from bench.material import Clip, Material
from bench.report import Cell, Section, Table, mean
from bench.systems import Array, System, untouched, use
from bench.tasks.pairs import Pair
from wavemend.core.types import Finding, Format, Region
from wavemend.engine.stream import run as streamed
from wavemend.repairs import repairs

REACH_HZ = 16_000.0
TRUE = 0.98  # of where a clip's sound ends: so far it counts
ENDS_HZ = {"speech": (4_000.0, 8_000.0), "music": (5_000.0, 8_000.0)}
HEARD = {"speech": 0, "music": 4}  # clips for each end that ViSQOL hears: it is slow
KEPT_DB = -60.0
MARGIN = 0.88  # of the end, below which all is to stay: that of the change of rate, and some
DEMOS = "WAVEMEND_BWE_DEMOS"
"""The variable with demonstrations: folders with wideband.wav, the truth, and what systems made of it."""


def run(material: Material, quick: bool) -> Section:
    """Speech and music of the split that reach 16 kHz, sampled at twice the cut-off and back."""
    counts = {"speech": 4 if quick else 24, "music": 4 if quick else 16}
    clips = {
        role: [c.mono() for c in material.clips(role, count, 5.0, 1.0, REACH_HZ)]
        for role, count in counts.items()
    }
    tables, single = [], {}
    for role, some in clips.items():
        pairs = [narrowed(clip, hz) for hz in ENDS_HZ[role] for clip in some]
        table, values = _table(role, pairs)
        tables.append(table)
        single[role] = values
    shown = _demos()
    if shown:
        tables.append(shown)
    missing = {} if measure.has_visqol() else {"ViSQOL": "missing: pip install visqol-python"}
    return Section("extend", "The missing high band", tables, {**counts, **missing}, single)


def narrowed(clip: Clip, end_hz: float) -> Pair:
    """The clip sampled at twice the frequency where it is to end, and back (sinc interpolation, soxr VHQ)."""
    clean, rate = clip.samples[0], clip.format.sample_rate
    low = soxr.resample(clean.astype(np.float64), rate, 2 * end_hz, quality="VHQ")
    back = soxr.resample(low, 2 * end_hz, rate, quality="VHQ")
    given = np.zeros_like(clean)
    given[: len(back)] = back[: len(clean)]
    facts = {"end_hz": end_hz, "reach_hz": TRUE * min(clip.reach_hz or rate / 2, rate / 2)}
    return Pair(f"{end_hz / 1000:g} kHz", clean, given, rate, facts, clip.name)


def _table(role: str, pairs: Sequence[Pair]) -> tuple[Table, dict[str, Any]]:
    ends = list(dict.fromkeys(pair.column for pair in pairs))
    rows: list[list[Cell]] = []
    single: dict[str, Any] = {"pairs": [[pair.name, pair.column] for pair in pairs]}
    for system in (untouched("(input: sinc)"), copied(), found(), told()):
        scores: dict[str, list[list[float | None]]] = {end: [] for end in ends}
        spent = sound = 0.0
        for pair in pairs:
            ran = use(system, pair.damaged, pair.rate, pair.facts)
            assert ran is not None
            spent, sound = spent + ran.seconds, sound + pair.seconds
            heard = len(scores[pair.column]) < HEARD[role]
            scores[pair.column].append(_scores(pair, ran.out, heard))
        single[system.name] = [row[0] for end in ends for row in scores[end]]
        columns = [[row[k] for row in scores[end]] for k in range(3) for end in ends]
        below = [row[3] for end in ends for row in scores[end] if row[3] is not None]
        speed = sound / spent if spent > 0.02 * sound / 50 else None
        kept = sum(changed <= KEPT_DB for changed in below) / len(below) if below else None
        rows.append([system.name, *map(mean, columns), max(below, default=None), kept, speed])
    names = [f"{what}, {end}" for what in ("LSD", "LSD to half the rate", "ViSQOL") for end in ends]
    about = (
        f"{len(pairs) // len(ends)} clips of {role} that reach {REACH_HZ / 1000:g} kHz, at their rate, "
        "sampled at twice the frequency given and back. LSD in bels as in the field (2048/512; lower is "
        "nearer), up to where the truth ends (most clips were coded with losses: above that "
        "nothing can be known), and up to half the rate; means over clips. "
        f"ViSQOL: version 3 for audio, 1 to 5, the first {HEARD[role]} clips. "
        f"Changed: energy of the difference below {MARGIN:g} of the end over that of the input, the worst "
        f"clip, dB; kept: the share of clips where it is {KEPT_DB:g} dB at most (a clip whose own band "
        "ends below the cut is continued from there)."
    )
    digits = (*[3] * (2 * len(ends)), *[2] * len(ends), 0, 3, 0)
    return Table(
        f"Extension of {role}",
        about,
        ["system", *names, "changed below", "kept", "x real time"],
        rows,
        digits,
    ), single


def _scores(pair: Pair, out: Array, heard: bool) -> list[float | None]:
    below = measure.changed_below(pair.damaged, out, pair.rate, MARGIN * pair.facts["end_hz"])
    return [
        measure.lsd_field(pair.clean, out, pair.rate, pair.facts["reach_hz"]),
        measure.lsd_field(pair.clean, out, pair.rate),
        measure.visqol(pair.clean, out, pair.rate) if heard else None,
        below if np.any(out != pair.damaged) else None,
    ]


def told() -> System:
    """Our repair, told where the band ends."""

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        return _extended(x, rate, cutoff_hz=facts["end_hz"])

    return System("wavemend, told the end", mend)


def found() -> System:
    """Our repair, which finds the end itself."""
    return System("wavemend", lambda x, rate, facts: _extended(x, rate))


def _extended(x: Array, rate: int, **options: float) -> Array:
    everywhere = Finding("bandwidth", Region(0, len(x)), 1.0, 1.0)
    stream = repairs["extend"].open(Format(rate, 1), [everywhere], **options)
    return streamed(stream, x[np.newaxis])[0]


def copied() -> System:
    """The upper half of the band, moved up again and again, falling on as it fell from octave to octave."""

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        n, hop = 2048, 512
        window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n))
        padded = np.pad(x.astype(np.float64), (n, 2 * n))
        cut = np.lib.stride_tricks.sliding_window_view(padded, n)[::hop]
        spectra = np.fft.rfft(cut * window, axis=1)
        end = int(0.9 * facts["end_hz"] / rate * n)
        wide = end // 8 * 4
        power = np.mean(np.abs(spectra) ** 2, axis=0)
        octave = np.log2((power[wide // 2 : wide].mean() + 1e-20) / (power[wide : 2 * wide].mean() + 1e-20))
        slope = -max(float(octave), 0.0) if np.isfinite(octave) else 0.0
        place = np.arange(end, n // 2 + 1)
        source = place - wide * ((place - end) // wide + 1)
        spectra[:, end:] = spectra[:, source] * 2 ** (slope / 2 * np.log2(place / source))
        spectra[:, :end] = 0
        out = np.zeros(len(padded))
        for k, frame in enumerate(np.fft.irfft(spectra, n, axis=1) * window / 2):
            out[k * hop : k * hop + n] += frame
        return (x + out[n : n + len(x)]).astype(np.float32)

    return System("spectral copy", mend)


def _demos() -> Table | None:
    """What authors show of their systems, beside ours on the same sounds; None where there is no folder."""
    folder = os.environ.get(DEMOS, "")
    if not folder:
        return None
    each: dict[str, dict[str, float]] = {}
    for truth in sorted(Path(folder).glob("*/wideband.wav")):
        clean, rate = soundfile.read(truth, dtype="float32")
        end_hz = float(truth.parent.name.split("kto")[0]) * 500
        pair = narrowed(Clip(truth.parent.name, "speech", clean[np.newaxis], Format(rate, 1)), end_hz)
        made = {path.stem: soundfile.read(path, dtype="float32")[0] for path in truth.parent.glob("*.wav")}
        made |= {s.name: s.run(pair.damaged, rate, pair.facts) for s in (copied(), found(), told())}
        for name, out in made.items():
            if name != "wideband":
                size = min(len(clean), len(out))
                each.setdefault(name, {})[truth.parent.name] = measure.lsd_field(
                    clean[:size], out[:size], rate
                )
    heads = sorted({head for values in each.values() for head in values}, key=lambda h: int(h.split("k")[0]))
    rows = [[name, *(values.get(head) for head in heads)] for name, values in sorted(each.items())]
    about = (
        "One utterance of VCTK for each rate, which the authors of AP-BWE (Lu et al., 2024) show with the "
        "output of their system and of others; LSD in bels over the whole band, 0 to 24 kHz. Ours heard none "
        "of VCTK."
    )
    return Table("Speech, beside what authors show", about, ["system", *heads], rows, 3)
