"""The part of the report's page that is heard: players, matched loudness, pictures with axes."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from wavemend.core.encode import encode_flac
from wavemend.core.measure import measure
from wavemend.core.types import Format, Samples
from wavemend.restoration.page_words import clock
from wavemend.restoration.picture import Spectrograms, axis_position, paint, png

NAMES = ("Before", "After", "Removed")
HIGHEST_RATE = 50_000
LOUDEST_REMOVED_DB = 40.0


@dataclass(frozen=True, eq=False)
class Excerpt:
    """What is heard: (channels, samples) before and after, and where in the recording it begins, in s."""

    before: Samples
    after: Samples
    format: Format
    start_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return float(self.before.shape[1]) / self.format.sample_rate

    def spectrograms(self) -> npt.NDArray[np.floating]:
        """Before, after and removed, in dB."""
        pictures = Spectrograms(self.format, self.before.shape[1])
        for start in range(0, self.before.shape[1], 1 << 16):
            part = slice(start, start + (1 << 16))
            pictures.push(self.before[:, part], self.after[:, part])
        return pictures.finish()


def tracks(excerpt: Excerpt) -> tuple[list[Samples], Format]:
    """Before, after and removed as browsers play them: 1 or 2 channels, no more than 48 kHz, no peak above 1.

    All three are treated alike, so that before is still the sum of the others. Of more
    than two channels the even ones go left and the odd ones right.
    """
    sounds = [excerpt.before, excerpt.after, excerpt.before - excerpt.after]
    rate = excerpt.format.sample_rate
    factor = math.ceil(rate / HIGHEST_RATE)
    if excerpt.format.channels > 2:
        sounds = [np.stack([sound[::2].mean(axis=0), sound[1::2].mean(axis=0)]) for sound in sounds]
    if factor > 1:
        sounds = [np.asarray(resample_poly(sound, 1, factor, axis=1), np.float32) for sound in sounds]
    peak = max((float(np.abs(sound).max(initial=0.0)) for sound in sounds), default=0.0)
    if peak > 1.0:
        sounds = [np.asarray(sound / np.float32(peak), np.float32) for sound in sounds]
    return sounds, Format(round(rate / factor), len(sounds[0]))


def matched_gains_db(sounds: Sequence[Samples], format: Format) -> list[float]:
    """Gains that make all three equally loud: the louder of before and after comes down,
    and what was removed comes up as far as its peaks allow, by no more than 40 dB.
    """
    figures = [measure(sound, format) for sound in sounds]
    before, after, removed = (figure["loudness_lufs"] for figure in figures)
    aim = min(before, after)
    if min(before, after) <= -70.0:
        return [0.0, 0.0, 0.0]
    room = min(aim - removed, -0.5 - figures[2]["true_peak_dbtp"], LOUDEST_REMOVED_DB)
    silent = figures[2]["sample_peak_dbfs"] <= -120.0
    return [round(aim - before, 2), round(aim - after, 2), 0.0 if silent else round(room, 2)]


def data_uri(kind: str, content: bytes) -> str:
    """The bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def players(sounds: Sequence[Samples], format: Format) -> str:
    """Plain audio elements: what the page's script reads, and what is left without it."""
    rows = []
    for name, sound in zip(NAMES, sounds, strict=True):
        uri = data_uri("audio/flac", encode_flac(sound, format.sample_rate))
        element = f'<audio id="sound-{name.lower()}" controls preload="none" src="{uri}"></audio>'
        rows.append(f"<label>{name}{element}</label>")
    return "".join(rows)


def panels(
    levels: npt.NDArray[np.floating],
    top_db: float,
    sample_rate: int,
    start_s: float,
    seconds: float,
    overlay: str,
    below: str = "",
) -> str:
    """Three spectrograms one above the other, with axes of time and frequency; `overlay` goes onto each,
    `below` under the last.
    """
    top_hz = sample_rate / 2
    marks = [(f, float(axis_position(f, top_hz))) for f in (100, 300, 1000, 3000, 10_000, 30_000)]
    marks = [(f, place) for f, place in marks if place < 0.93]
    labels = "".join(f'<span style="bottom:{place:.2%}">{_short(f)}</span>' for f, place in marks)
    lines = "".join(f'<i class="grid" style="bottom:{place:.2%}"></i>' for _, place in marks)
    axis = f'<div class="axis">{labels}<span class="top">{top_hz / 1000:.0f} kHz</span></div>'
    out = []
    for name, picture in zip(NAMES, levels, strict=True):
        uri = data_uri("image/png", png(paint(picture, top_db)))
        out.append(
            f'<div class="panel">{axis}<div class="view"><img alt="Spectrogram: {name.lower()}" src="{uri}">'
            f'{lines}{overlay}<span class="name">{name}</span></div></div>'
        )
    return "".join(out) + below + time_axis(start_s, seconds)


def time_axis(start_s: float, seconds: float) -> str:
    """Labels at round times, in HTML."""
    if seconds <= 0:
        return ""
    step = next(
        (s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800) if seconds / s <= 7),
        3600,
    )
    first = math.ceil(start_s / step - 1e-9)
    times = [k * step for k in range(first, int((start_s + seconds) / step + 1e-9) + 1)]
    labels = [(t, (t - start_s) / seconds) for t in times]
    spans = "".join(
        f'<span class="{"start" if place < 0.02 else "end" if place > 0.98 else "mid"}" '
        f'style="left:{place:.2%}">{clock(t, step < 1)}</span>'
        for t, place in labels
    )
    return f'<div class="time">{spans}</div>'


def _short(frequency_hz: float) -> str:
    return f"{frequency_hz:.0f}" if frequency_hz < 1000 else f"{frequency_hz / 1000:g}k"
