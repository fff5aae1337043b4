"""Where the mains frequency and its harmonics lie in a recording, from moment to moment.

Sound is brought down to about 4 kHz and cut into frames of one second, four a second. The
track of the fundamental is the smoothest path (Viterbi) through the frames along which all
harmonics together stand out most from what lies between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, signal
from scipy.ndimage import uniform_filter1d

from wavemend.core.types import Samples

Floats = npt.NDArray[np.float64]

RATE_HZ = 4_000.0
TOP_HZ = 1_200.0  # harmonics above are not used for tracking
FRAMES_PER_S = 4
STEP_HZ = 0.05
FAMILIES_HZ = (50.0, 60.0)
SPREAD = 0.022  # how far the fundamental may stray from its family
SURROUNDINGS_HZ = 24.0  # a line is compared with the mean level so near to it
MOVE_COST_DB = 0.15  # of one step, the square of it for more
STRAY_COST_DB = 0.3  # of one percent away from where the mains should be
MOVE = 4  # steps that the track may move from frame to frame


@dataclass(frozen=True, eq=False)
class Scale:
    """The numbers of the analysis at one sample rate.

    `factor` is the decimation, `hop` the samples between frames (a multiple of twice
    the factor), `reach` what a frame needs on either side of its centre, in samples.
    """

    sample_rate: int
    factor: int
    frame: int
    hop: int
    n_fft: int
    taps: npt.NDArray[np.float32]
    window: npt.NDArray[np.float32]

    @property
    def reach(self) -> int:
        return self.frame // 2 * self.factor

    @property
    def margin(self) -> int:
        """Samples beyond `reach` that the decimation filter sees."""
        return len(self.taps) // 2

    @property
    def bin_hz(self) -> float:
        return self.sample_rate / self.factor / self.n_fft


@lru_cache(maxsize=8)
def scale(sample_rate: int) -> Scale:
    """The analysis for a sample rate in Hz."""
    factor = max(1, round(sample_rate / RATE_HZ))
    rate = sample_rate / factor
    frame = 2 * round(rate / 2)
    taps = signal.firwin(10 * factor + 1, 0.5 / factor, window=("kaiser", 6.0)) if factor > 1 else np.ones(1)
    window = signal.get_window("hann", frame)
    return Scale(
        sample_rate,
        factor,
        frame,
        2 * factor * round(rate / FRAMES_PER_S / 2),
        fft.next_fast_len(2 * frame, real=True),
        taps.astype(np.float32),
        (2 * window / window.sum()).astype(np.float32),
    )


def brought_down(samples: Samples, first: int, count: int, by: Scale) -> Samples:
    """What `count` frames see, at the lower rate; the first frame is centred on sample `first`.

    (channels, samples) in and out. What lies outside the array counts as silence.
    """
    begin = first - by.reach - by.margin
    length = (count - 1) * by.hop + by.frame * by.factor + 2 * by.margin
    lo, hi = max(begin, 0), min(begin + length, samples.shape[1])
    part = np.zeros((len(samples), length), np.float32)
    part[:, lo - begin : hi - begin] = samples[:, lo:hi]
    if by.factor > 1:
        part = signal.upfirdn(by.taps, part, down=by.factor, axis=1)[:, 2 * by.margin // by.factor :]
    return np.asarray(part, np.float32)


def powers(low: Samples, count: int, by: Scale) -> npt.NDArray[np.float32]:
    """Squared amplitudes of the lines in `count` frames of a sound that was brought down.

    (channels, samples) in, (channels, count, bins) out, bins of `by.bin_hz` up to
    TOP_HZ and a little more.
    """
    frames = np.lib.stride_tricks.sliding_window_view(low, by.frame, axis=1)[:, :: by.hop // by.factor]
    spectra = fft.rfft(frames[:, :count] * by.window, by.n_fft, axis=2)
    kept = spectra[..., : int(1.05 * TOP_HZ / by.bin_hz)]
    return np.asarray(kept.real**2 + kept.imag**2, np.float32)


def brief_levels(low: Samples, f0_hz: float, k: npt.NDArray[np.int64], by: Scale) -> Floats:
    """Levels of harmonics in frames of an eighth of a second, (channels, frames, harmonics), in dB.

    `low` is sound that was brought down.
    """
    rate = by.sample_rate / by.factor
    frame = round(rate / 8)
    window = signal.get_window("hann", frame)
    frames = np.lib.stride_tricks.sliding_window_view(low, frame, axis=1)[:, :: frame // 2]
    time = (np.arange(frame) - frame / 2) / rate
    out = np.zeros((*frames.shape[:2], len(k)))
    for i, harmonic in enumerate(k):
        wave = 2 * window / window.sum() * np.exp(-2j * np.pi * harmonic * f0_hz * time)
        out[:, :, i] = np.abs(frames @ wave.astype(np.complex64))
    return np.asarray(20 * np.log10(out + 1e-7), np.float64)


def contrasts(power: npt.NDArray[np.float32], by: Scale) -> npt.NDArray[np.float32]:
    """How far each bin stands out from its surroundings, in dB."""
    level = 10 * np.log10(power + np.float32(1e-14))
    around = uniform_filter1d(level, 2 * round(SURROUNDINGS_HZ / by.bin_hz) + 1, axis=-1, mode="nearest")
    return np.asarray(level - around, np.float32)


@lru_cache(maxsize=16)
def candidates(family_hz: float, spread: float = SPREAD) -> Floats:
    """Fundamentals to try around a mains frequency, in Hz."""
    half = round(family_hz * spread / STEP_HZ)
    return np.asarray(family_hz + STEP_HZ * np.arange(-half, half + 1), np.float64)


def bins_of(f0_hz: Floats, bins: int, by: Scale) -> npt.NDArray[np.int64]:
    """The nearest bins of the harmonics, (f0, harmonics); as many as lie below TOP_HZ for the highest."""
    count = max(1, int(min(TOP_HZ, bins * by.bin_hz - 2) / float(np.max(f0_hz))))
    at = np.rint(np.asarray(f0_hz)[:, np.newaxis] * np.arange(1, count + 1) / by.bin_hz)
    return np.minimum(at.astype(np.int64), bins - 1)


def standing_out(contrast: npt.NDArray[np.float32], f0_hz: Floats, by: Scale) -> npt.NDArray[np.float32]:
    """The contrast of the harmonics of each fundamental, mean of all channels, clipped.

    (channels, frames, bins) in, (frames, f0, harmonics) out, in dB.
    """
    at = bins_of(f0_hz, contrast.shape[-1], by)
    return np.asarray(np.clip(contrast, -3.0, 15.0)[..., at].mean(axis=0), np.float32)


def best_path(score: Floats) -> npt.NDArray[np.int64]:
    """The column for each row that makes the largest sum, moving by at most MOVE from row to row."""
    frames, count = score.shape
    total = score[0].copy()
    came = np.zeros((frames, count), np.int64)
    moves = np.arange(-MOVE, MOVE + 1)
    cost = MOVE_COST_DB * moves**2.0
    padded = np.full(count + 2 * MOVE, -np.inf)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * MOVE + 1)
    columns = np.arange(count)
    for m in range(1, frames):
        padded[MOVE:-MOVE] = total
        options = near - cost
        pick = options.argmax(axis=1)
        came[m] = columns + moves[pick]
        total = options[columns, pick] + score[m]
    path = np.zeros(frames, np.int64)
    path[-1] = int(total.argmax())
    for m in range(frames - 1, 0, -1):
        path[m - 1] = came[m, path[m]]
    return path


def track(contrast: npt.NDArray[np.float32], f0_hz: Floats, centre_hz: float) -> tuple[Floats, Floats]:
    """The fundamental in each frame, in Hz, and how far the lasting harmonics stand out along it, in dB.

    `contrast` is (frames, f0, harmonics), from `standing_out`. First the lower harmonics
    weigh more; then those that stand out nearly all the time, which the notes of music do not.
    """
    k = np.arange(1, contrast.shape[2] + 1)
    weight = np.asarray(k**-0.5, np.float64)
    rows = np.arange(len(contrast))
    away = STRAY_COST_DB * ((f0_hz - centre_hz) / (0.01 * centre_hz)) ** 2
    for _ in range(3):
        weight = np.asarray(weight / weight.sum(), np.float64)
        score = (contrast @ weight.astype(np.float32)).astype(np.float64) - away
        path = best_path(score)
        lasting = np.asarray(np.percentile(contrast[rows, path], 25, axis=0), np.float64)
        weight = np.clip((lasting - 1.0) / 8, 0.002 * k**-0.5, 1.0)
    inner = np.clip(path, 1, score.shape[1] - 2)
    left, mid, right = (score[rows, inner + d] for d in (-1, 0, 1))
    bend = np.minimum(left - 2 * mid + right, -1e-6)
    shift = np.where(path == inner, np.clip(0.5 * (left - right) / bend, -0.5, 0.5), 0.0)
    return f0_hz[path] + STEP_HZ * shift, lasting
