"""Old records: clicks that are real, or were put there by others, and a method that was published with them.

The sounds are those of J. Nuzman, "Audio Restoration: An Investigation of Digital Methods for Click
Removal and Hiss Reduction" (2004): four records as they are, a clip with clicks from a record laid
over clean sound, and what his method (an autoregressive model with sinusoids) made of each.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, signal
from scipy.ndimage import uniform_filter1d

from bench.material import Clip, Material
from bench.measure import sdr
from bench.peers import audiojs, ffmpeg
from bench.report import Cell, Section, Table
from bench.systems import Array, System, ours, untouched, use

SOURCE = "nuzman2004"
RECORDS = ("brady", "cali", "hatari", "tina")
BOTH = ("clicks", "crackle")
ORDER, FRAME_S, AROUND_S = 32, 0.046, 0.05
IMPULSE = 10.0  # times the usual prediction error around it
APART_S = 0.002
HIGH_HZ, SHORT_S, HIGH_IMPULSE = 8_000.0, 0.0002, 6.0


def run(material: Material, quick: bool) -> Section:
    """Artificial clicks against their truth; real ones by what stands out before and after."""
    clips = {clip.name.split(" @")[0].rsplit("/", 1)[-1]: clip for clip in material.benchmark(SOURCE)}
    if not {"iwclicks.wav", "iwoke.wav"} <= set(clips):
        where = f"None without the recordings of {SOURCE} in the corpus."
        return Section("real-clicks", "Clicks of records", [Table("Clicks of records", where, ["", ""], [])])
    records = RECORDS[:1] if quick else RECORDS
    return Section(
        "real-clicks",
        "Clicks of records",
        [_laid_over(clips), *_on_records(clips, records)],
        {"clips": len(records) + 1},
    )


def _systems() -> list[System]:
    return [ours(BOTH, "wavemend"), ffmpeg.adeclick(), audiojs.declick()]


def _laid_over(clips: dict[str, Clip]) -> Table:
    damaged = clips["iwclicks.wav"]
    rate, given = damaged.format.sample_rate, damaged.samples[0]
    clean = aligned(clips["iwoke.wav"].samples[0], given)
    rows: list[list[Cell]] = [["(input)", sdr(clean, given)]]
    for system in _systems():
        ran = None if system.missing else use(system, given, rate)
        rows.append([system.name, None if ran is None else sdr(clean, ran.out)])
    for name in ("iwproc-30-04.wav", "iwproc-50-02.wav"):
        rows.append([f"published with it, {name}", sdr(clean, clips[name].samples[0])])
    return Table(
        "Clicks laid over clean sound: SDR, dB",
        "Clicks of a record on a clip of another one, against that clip.",
        ["system", "SDR"],
        rows,
        digits=1,
    )


def _on_records(clips: dict[str, Clip], records: tuple[str, ...]) -> list[Table]:
    rows: list[list[Cell]] = []
    high_rows: list[list[Cell]] = []
    for system in [untouched(), *_systems(), None]:
        cells: list[Cell] = []
        high: list[Cell] = []
        for name in records:
            clip = clips[f"{name}.wav"]
            given, rate = clip.samples[0], clip.format.sample_rate
            if system is None:
                out = clips[f"{name}-proc-50-04.wav"].samples[0][: len(given)]
            else:
                ran = None if system.missing else use(system, given, rate)
                if ran is None:
                    cells += [None, None]
                    high.append(None)
                    continue
                out = ran.out
            cells += [impulses_per_s(out, rate), removed_db(given, out)]
            high.append(high_impulses_per_s(out, rate))
        title = system.name if system else "published with them"
        rows.append([title, *cells])
        high_rows.append([title, *high])
    head = ["system", *(what for name in records for what in (f"{name}, a second", f"{name}, taken"))]
    return [
        Table(
            "Clicks on records, by prediction",
            "Nobody knows the truth. A second: places whose prediction error (order 32, frames of 46 ms) is "
            "more than ten times the median around them; pulses of voices, plucks and consonants are most of "
            "those that are left. Taken: energy of what was removed re the input, in dB.",
            head,
            rows,
            digits=1,
        ),
        Table(
            "Clicks on records, above 8 kHz",
            "A second: places where the level above 8 kHz, in 0.2 ms, is more than six times the median "
            "around them. These records have little sound there, and clicks reach further.",
            ["system", *records],
            high_rows,
            digits=1,
        ),
    ]


def aligned(clean: Array, damaged: Array) -> Array:
    """That part of the clean sound which the damaged one begins with, as long as that."""
    shift = int(np.argmax(signal.fftconvolve(clean, damaged[::-1]))) - (len(damaged) - 1)
    return clean[max(shift, 0) :][: len(damaged)]


def removed_db(given: Array, out: Array) -> float:
    """Energy of the difference re the input, dB."""
    difference = given.astype(np.float64) - out
    return float(10 * np.log10((np.sum(difference**2) + 1e-12) / np.sum(given.astype(np.float64) ** 2)))


def impulses_per_s(x: Array, rate: int) -> float:
    """Places where the prediction error stands out from its surroundings, per second."""
    error = np.abs(prediction_error(x.astype(np.float64), rate))
    return _standing_out_per_s(error, rate, IMPULSE, 1.0 / 32768)


def high_impulses_per_s(x: Array, rate: int) -> float:
    """Places where the level above 8 kHz stands out from its surroundings, per second."""
    band = signal.butter(8, HIGH_HZ, "high", fs=rate, output="sos")
    power = np.square(signal.sosfiltfilt(band, x.astype(np.float64)))
    level = np.sqrt(uniform_filter1d(power, max(round(SHORT_S * rate), 1)))
    return _standing_out_per_s(level, rate, HIGH_IMPULSE, 1e-5)


def _standing_out_per_s(size: np.ndarray, rate: int, times: float, least: float) -> float:
    width = 2 * round(AROUND_S * rate / 2 / 16) + 1
    usual = signal.medfilt(size[::16][: len(size) // 16], width)  # every 16th sample is enough for a median
    usual = np.repeat(np.maximum(usual, least), 16)
    high = np.flatnonzero(size[: len(usual)] > times * usual)
    return float(np.sum(np.diff(high, prepend=-rate) > APART_S * rate)) * rate / len(size)


def prediction_error(x: np.ndarray, rate: int) -> np.ndarray:
    """Of a linear prediction fitted to each frame (autocorrelation), (samples,)."""
    frame = round(FRAME_S * rate)
    window = np.hanning(2 * frame)
    out = np.zeros(len(x))
    padded = np.concatenate((np.zeros(ORDER + frame // 2), x, np.zeros(2 * frame)))
    for start in range(0, len(x), frame):
        part = padded[ORDER + start : ORDER + start + 2 * frame] * window
        lags = signal.correlate(part, part, method="fft")[2 * frame - 1 :][: ORDER + 1]
        lags[0] = lags[0] * (1 + 1e-9) + 1e-9
        a = linalg.solve_toeplitz(lags[:-1], lags[1:])
        here = slice(start, min(start + frame, len(x)))
        run_up = padded[frame // 2 + start : frame // 2 + here.stop + ORDER]
        out[here] = signal.lfilter(np.concatenate(([1.0], -a)), 1.0, run_up)[
            ORDER : ORDER + here.stop - start
        ]
    return out
