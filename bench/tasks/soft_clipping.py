"""Soft clipping, and hard clipping that was coded since: what has no flat top left in it."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import product

import numpy as np
import soundfile

from bench.material import Clip, Material
from bench.measure import sdr
from bench.peers import ffmpeg
from bench.report import Section, Table, mean
from bench.systems import Array, ours, untouched
from bench.tasks.declip import clipped, sounds_of
from bench.tasks.pairs import Pair, head, rows
from wavemend.damage import damages
from wavemend.damage.saturation import CURVES

DRIVES_DB = (6.0, 12.0, 18.0)
CODED_DB = (5.0, 10.0, 20.0)
MP3_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def run(material: Material, quick: bool) -> Section:
    """Speech, music, and for soft clipping the excerpts of the declipping survey, where they are there."""
    sounds = sounds_of(material, quick)
    tables = [_soft(sounds), _coded({role: sounds[role] for role in ("speech", "music")})]
    numbers = {f"{name} clips": len(clips) for name, clips in sounds.items()}
    return Section("soft-clipping", "Soft clipping, and clipping that was coded since", tables, numbers)


def _soft(sounds: dict[str, list[Clip]]) -> Table:
    """Soft clipping, in 16 bits as it would be in a file."""
    saturation = damages["saturation"]
    pairs = []
    for name, drive_db, curve in product(sounds, DRIVES_DB, range(len(CURVES))):
        for clip in sounds[name]:
            bent, _ = saturation.simulate(clip.samples, clip.format, 1, drive_db=drive_db, curve=curve)
            stored = np.asarray(np.round(bent[0] * 32768) / 32768, np.float32)
            column = f"{name}, {drive_db:g} dB"
            pairs.append(Pair(column, clip.samples[0], stored, clip.format.sample_rate))
    systems = [untouched(), ours(["saturation"]), ours(["clipping"], "wavemend, hard clipping alone")]
    return Table(
        "Soft clipping, whole sounds",
        "Mean SDR, dB. Peaks driven so hard into a curve without memory, each sound into each of three: "
        "tanh, arctan, tanh off its middle (tape); stored in 16 bits. wavemend finds the curve. "
        "No peer that can be run undoes it.",
        head(pairs),
        rows(pairs, systems, _sdr, mean),
    )


def _coded(sounds: dict[str, list[Clip]]) -> Table:
    """Clipped, then coded: no two tops are equal any more."""
    pairs = []
    for role, level_db in product(sounds, CODED_DB):
        for clip in sounds[role]:
            if clip.format.sample_rate in MP3_HZ:
                pair = clipped(clip, level_db)
                stored = mp3(pair.damaged, pair.rate)
                pairs.append(replace(pair, column=f"{role}, {level_db:g} dB", damaged=stored, facts={}))
    return Table(
        "Clipped, then coded as MP3: SDR, dB",
        "Mean over whole clips. Hard clipping to the input SDR at the head, then MP3 as libsndfile makes it "
        "by default. wavemend is told nothing.",
        head(pairs),
        rows(pairs, [untouched(), ours(["clipping"]), ffmpeg.adeclip()], _sdr, mean),
    )


def mp3(x: Array, rate: int) -> Array:
    """(samples,) as an MP3 gives them back, in place and as long."""
    held = io.BytesIO()
    quieter = 0.5 / max(float(np.abs(x).max()), 1e-9)
    soundfile.write(held, x * quieter, rate, format="MP3")
    held.seek(0)
    back = soundfile.read(held, dtype="float32")[0] / quieter
    out = np.zeros(len(x), np.float32)
    out[: len(back)] = back[: len(x)]
    return out


def _sdr(pair: Pair, out: Array) -> list[float | None]:
    return [sdr(pair.clean, out)]
