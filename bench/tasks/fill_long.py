"""Long gaps: how near the spectrum is of what is put in, whether there are seams, what is called a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import signal

from bench.material import Clip, Material, seed_of
from bench.measure import around, erb_distance, has_visqol, lsd, visqol
from bench.report import Section, Table, mean
from bench.systems import Array, System, processor_seconds, untouched
from bench.tasks.fill import janssen, told
from bench.tasks.pairs import Pair, head, rows
from wavemend.core import ar
from wavemend.core.types import Finding, Format, Region
from wavemend.engine.stream import remarks_of
from wavemend.engine.stream import run as streamed
from wavemend.repairs import repairs

GAPS_MS = (100, 200, 300)
GAPS_EACH = 2
JANSSEN_ORDER, JANSSEN_ROUNDS = 1024, 5
LIKE_MS, SEARCHED_S = 40.0, 2.0  # of plain copying
HEARD_S = 1.0  # of sound on each side of a gap, that is graded with it


def run(material: Material, quick: bool) -> Section:
    """Gaps of 100, 200, 300 ms in music, of a second, and in speech."""
    clips = [c.mono() for c in material.clips("music", 3 if quick else 10, 8.0, 6.0)]
    lengths = GAPS_MS[1:2] if quick else GAPS_MS
    pairs = [pair for length in lengths for clip in clips if (pair := torn(clip, length))]
    systems = [untouched(), told(), janssen(JANSSEN_ORDER, JANSSEN_ROUNDS), copying()]
    tables = [
        Table(
            "Long gaps in music: log-spectral distance in the gaps, dB",
            "Mean over gaps, of the frames of 46 ms that touch the gap. All are told where the gaps are.",
            head(pairs),
            rows(pairs, systems, _lsd, mean),
            2,
        ),
        Table(
            "Long gaps in music: distance of levels in ERB bands, dB",
            "Mean absolute difference of the levels in 40 bands of equal width on the ERB scale, floor 60 dB "
            "below the loudest: a simple perceptual measure, not PEAQ and not PEMO-Q.",
            head(pairs),
            rows(pairs, systems, _erb, mean),
            2,
        ),
        *graded(pairs, systems),
        seconds(clips),
    ]
    spoken = [c.mono() for c in material.clips("speech", 6 if quick else 24, 8.0, 6.0)]
    tables.append(guesses(spoken, clips))
    missing = {} if has_visqol() else {"ViSQOL": "missing: pip install visqol-python"}
    counts = {"clips": len(clips), "gaps": len(pairs) * GAPS_EACH}
    return Section("fill-long", "Long gaps", tables, {**counts, **missing})


def torn(clip: Clip, length_ms: float) -> Pair | None:
    """The clip with gaps at random places with sound before, in and after; None where there are none."""
    clean, rate = clip.samples[0], clip.format.sample_rate
    rng = np.random.default_rng(seed_of("torn", length_ms, clip.name))
    damaged, gaps, length = clean.copy(), [], round(length_ms * rate / 1000)
    room = (len(clean) - 2 * rate) // GAPS_EACH
    for k in range(GAPS_EACH):
        at = rate + k * room + int(rng.integers(0, max(room - 2 * length, 1)))
        near = rate // 20
        parts = (clean[at - near : at], clean[at : at + length], clean[at + length : at + length + near])
        if min(float(np.mean(part.astype(np.float64) ** 2)) for part in parts) > 1e-6:
            damaged[at : at + length] = 0
            gaps.append((at, at + length))
    return Pair(f"{length_ms:g} ms", clean, damaged, rate, {"gaps": gaps}) if gaps else None


def copying() -> System:
    """The passage within two seconds whose 40 ms before and after are most like those of the gap."""

    def mend(x: Array, rate: int, facts: Mapping[str, Any]) -> Array:
        out = x.copy()
        for a, b in facts["gaps"]:
            out[a:b] = _alike(x, rate, a, b, facts["gaps"])
        return out

    return System("copying", mend, version="1")


def _alike(x: Array, rate: int, a: int, b: int, gaps: list[tuple[int, int]]) -> Array:
    width = round(LIKE_MS * rate / 1000)
    best, found = -2.0, np.zeros(b - a, np.float32)
    reach = round(SEARCHED_S * rate)
    left = max([stop for _, stop in gaps if stop <= a] + [a - reach, 0])
    right = min([start for start, _ in gaps if start >= b] + [b + reach, len(x)])
    for low, high in ((left, a), (b, right)):
        sound = x[low:high].astype(np.float64)
        count = len(sound) - (b - a) - 2 * width + 1
        if count < 1:
            continue
        ends = x[a - width : a].astype(np.float64), x[b : b + width].astype(np.float64)
        second = width + b - a
        like = signal.oaconvolve(sound, ends[0][::-1], "valid")[:count]
        like = like + signal.oaconvolve(sound, ends[1][::-1], "valid")[second : second + count]
        power = np.concatenate(([0.0], np.cumsum(sound**2)))
        sums = power[width:] - power[:-width]
        energy = sums[:count] + sums[second : second + count]
        score = like / np.sqrt(np.maximum(energy * (ends[0] @ ends[0] + ends[1] @ ends[1]), 1e-20))
        at = int(np.argmax(score))
        if score[at] > best:
            best, found = float(score[at]), sound[at + width : at + width + b - a].astype(np.float32)
    return found


def graded(pairs: Sequence[Pair], systems: Sequence[System]) -> list[Table]:
    """The grade of a model of hearing for sound around each gap; nothing without its package."""
    if not has_visqol():
        return []
    return [
        Table(
            "Long gaps in music: ViSQOL",
            f"Version 3 for audio, 1 to 5, of the gap and {HEARD_S:g} s on each side, the clean sound "
            "but for the one gap; mean over gaps.",
            head(pairs),
            rows(pairs, systems, _visqol, mean),
            2,
        )
    ]


def _visqol(pair: Pair, out: Array) -> list[float | None]:
    grades: list[float | None] = []
    for a, b in pair.facts["gaps"]:
        near, alone = round(HEARD_S * pair.rate), pair.clean.copy()
        alone[a:b] = out[a:b]
        part = slice(max(a - near, 0), b + near)
        grades.append(visqol(pair.clean[part], alone[part], pair.rate))
    return grades


def _lsd(pair: Pair, out: Array) -> list[float | None]:
    return [lsd(*around(pair.clean, out, pair.rate, a, b), pair.rate) for a, b in pair.facts["gaps"]]


def _erb(pair: Pair, out: Array) -> list[float | None]:
    return [erb_distance(*around(pair.clean, out, pair.rate, a, b), pair.rate) for a, b in pair.facts["gaps"]]


def seconds(clips: list[Clip]) -> Table:
    """A second at once: silence, jumps, clicks and cost."""
    values = []
    for clip in clips:
        x, rate = clip.samples[0], clip.format.sample_rate
        a = (len(x) - rate) // 2
        damaged = x.copy()
        damaged[a : a + rate] = 0
        began = processor_seconds()
        out, _ = _filled(damaged, rate, a, a + rate)
        values.append([*_seams(x, out, rate, a, a + rate), processor_seconds() - began])
    told_of = np.array(values)
    worst = [told_of[:, 0].min(), np.abs(told_of[:, 1]).max(), told_of[:, 2].max(), told_of[:, 3].max()]
    middle = [*np.median(told_of[:, :1], axis=0), *np.median(np.abs(told_of[:, 1:]), axis=0)]
    return Table(
        "A gap of one second in music",
        "Lowest level of 50 ms in the gap against the lowest in half a second on each side (below 0 is a "
        "dent); level of 50 ms inside each seam against 50 ms outside; largest prediction error (order 32) "
        "within 2 ms of a seam against the largest in the 100 ms that lead to it (1 is no click); processor "
        "time.",
        ["", "lowest, dB", "jump, dB", "click, times", "seconds"],
        [["median", *map(float, middle)], ["worst", *map(float, worst)]],
        2,
    )


def _filled(damaged: Array, rate: int, a: int, b: int) -> tuple[Array, bool]:
    """The repair, told where the gap is, and whether it calls what it did a guess."""
    stream = repairs["fill"].open(Format(rate, 1), [Finding("dropouts", Region(a, b), 1.0, 1.0)])
    out = streamed(stream, damaged[np.newaxis])[0]
    return out, any(remark.guess for remark in remarks_of(stream))


def _seams(clean: Array, out: Array, rate: int, a: int, b: int) -> tuple[float, float, float]:
    width = rate // 20

    def levels(sound: Array) -> Array:
        whole = sound[: len(sound) // width * width].astype(np.float64).reshape(-1, width)
        return np.asarray(10 * np.log10(np.mean(whole**2, axis=1) + 1e-12))

    sides = np.concatenate((levels(clean[a - 10 * width : a]), levels(clean[b : b + 10 * width])))
    inside = levels(out[a:b])
    jumps = inside[0] - sides[9], inside[-1] - sides[10]
    clicks = [_click(out[: a + width], a, width), _click(out[b - width :][::-1], len(out) - b, width)]
    return float(inside.min() - sides.min()), float(max(jumps, key=abs)), max(clicks)


def _click(sound: Array, seam: int, width: int) -> float:
    """The largest prediction error just behind the seam over the largest in 100 ms before it."""
    near = sound[seam - 2 * width : seam + width].astype(np.float64)
    model = ar.covariance([near[: 2 * width]], 32)
    error = np.abs(np.convolve(near, model))
    return float(error[2 * width : 2 * width + width // 25].max() / (error[64 : 2 * width].max() + 1e-9))


def guesses(spoken: list[Clip], music: list[Clip]) -> Table:
    """How often what was put in is called a guess."""
    body = []
    for name, clips in (("speech", spoken), ("music", music)):
        cells: list[float] = []
        for length in (160, 300):
            marks = []
            for pair in filter(None, (torn(clip, length) for clip in clips)):
                marks += [
                    _filled(_closed(pair, k), pair.rate, *gap)[1] for k, gap in enumerate(pair.facts["gaps"])
                ]
            cells.append(float(np.mean(marks)) if marks else float("nan"))
        body.append([name, *cells])
    return Table(
        "Called a guess",
        "Share of gaps, with sound before, in and after, of which the report says that they are a guess.",
        ["", "160 ms", "300 ms"],
        body,
        2,
    )


def _closed(pair: Pair, but: int) -> Array:
    """The clip with only one of its gaps."""
    out = pair.clean.copy()
    a, b = pair.facts["gaps"][but]
    out[a:b] = 0
    return out
