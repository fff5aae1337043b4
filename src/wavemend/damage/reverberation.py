"""Reverberation: a room around a voice or an instrument, too far from the microphone.

The direct sound stays in its place and at its level; early reflections and a decaying tail are
added. The tail is Gaussian noise under an exponential decay (Polack's statistical model, 1988), of
which the highs die sooner; each channel has a tail of its own, as in a diffuse field.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

EDGES_HZ = (400.0, 2500.0, 6000.0)  # of the bands that decay each at its rate
SOONEST_S = 0.003  # after the direct sound
TAIL = 1.1  # of the longest reverberation time is kept: -66 dB
NEPERS = float(3 * np.log(10))  # 60 dB


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    rt60_s: float,
    direct_to_reverberant_db: float,
) -> Drawn:
    """Seed and decay of the tail, and times and gains of the early reflections in each channel."""
    mixing_s = float(rng.uniform(0.02, 0.08))  # until reflections are too dense to be told apart
    count = int(rng.integers(6, 20))
    # as many as grow with the square of time
    after_s = SOONEST_S + mixing_s * np.sort(np.sqrt(rng.uniform(0, 1, count)))
    gain = np.exp(-NEPERS * after_s / rt60_s) * rng.uniform(0.2, 0.9, count) * rng.choice((-1.0, 1.0), count)
    spread = (format.channels, count)
    damping = float(rng.uniform(0.45, 0.9))
    truth = Finding(
        "reverberation",
        Region(0, max(samples, 1)),
        _severity(rt60_s, direct_to_reverberant_db),
        1.0,
        {"rt60_s": rt60_s, "direct_to_reverberant_db": direct_to_reverberant_db},
    )
    return {
        "rt60_s": rt60_s,
        "direct_to_reverberant_db": direct_to_reverberant_db,
        "ratios": [float(rng.uniform(0.9, 1.4)), 1.0, damping, damping**2],  # of rt60_s, by band
        "seed": int(rng.integers(2**32)),
        "start_s": float(rng.uniform(0.005, 0.03)),  # of the tail, which has risen by then
        "early_share": float(rng.uniform(0.1, 0.5)),  # of the energy beside the direct sound
        # two microphones stand a hand's breadth apart
        "early_s": np.maximum(after_s + rng.uniform(-3e-4, 3e-4, spread), SOONEST_S).tolist(),
        "early": (gain * rng.uniform(0.6, 1.0, spread)).tolist(),
        "findings": (truth,) if samples else (),
    }


def response(channel: int, format: Format, drawn: Drawn) -> npt.NDArray[np.float32]:
    """All of a channel's impulse response but the direct sound, which would be 1 at sample 0; (taps,)."""
    rate = format.sample_rate
    longest_s = TAIL * drawn["rt60_s"] * max(drawn["ratios"])
    count = fft.next_fast_len(int(longest_s * rate) + rate // 5, real=True)
    noise = np.random.default_rng([drawn["seed"], channel]).standard_normal(count, dtype=np.float32)
    spectrum = fft.rfft(noise)
    hz = np.fft.rfftfreq(count, 1 / rate)
    below = [np.zeros(len(hz)), *(1 / (1 + (hz / edge) ** 4) for edge in EDGES_HZ), np.ones(len(hz))]
    time = np.arange(count, dtype=np.float32) / np.float32(rate)
    late = np.zeros(count, np.float32)
    for low, high, ratio in zip(below[:-1], below[1:], drawn["ratios"], strict=True):
        band = fft.irfft(spectrum * (high - low).astype(np.float32), count)
        late += band * np.exp(np.float32(-NEPERS / (drawn["rt60_s"] * ratio)) * time)
    rise = (time - np.float32(SOONEST_S)) / np.float32(drawn["start_s"] - SOONEST_S)
    late *= np.clip(rise, 0, 1) ** 2
    early = np.zeros(count, np.float32)
    at = np.maximum(np.rint(np.asarray(drawn["early_s"][channel]) * rate).astype(np.intp), 1)
    np.add.at(early, at, np.asarray(drawn["early"][channel], np.float32))
    share = drawn["early_share"]
    room = _of_energy(late, 1 - share) + _of_energy(early, share)
    return _of_energy(room, 10 ** (-drawn["direct_to_reverberant_db"] / 10))


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add the room to every channel; what would sound beyond the end is cut."""
    count = samples.shape[1]
    if not count:
        return samples.copy()
    out = np.empty(samples.shape, np.float32)
    for channel, given in enumerate(samples):
        room = response(channel, format, drawn)[:count]
        out[channel] = given + signal.oaconvolve(given, room)[:count]
    return out


def _of_energy(part: npt.NDArray[np.float32], energy: float) -> npt.NDArray[np.float32]:
    held = float(np.dot(part, part))
    return part * np.float32(np.sqrt(energy / max(held, 1e-30)))


def _severity(rt60_s: float, direct_to_reverberant_db: float) -> float:
    """0.5 where a room of 1 s is as loud as the direct sound; as much more for 4 s as for 7.5 dB."""
    return float(np.clip(0.5 - direct_to_reverberant_db / 30 + 0.125 * np.log2(rt60_s), 0.02, 1.0))


DAMAGE = Damage(
    name="reverberation",
    title="Reverberation",
    params={
        "rt60_s": Param(1.0, 0.2, 4.0, "s", "time in which the middle of the spectrum falls by 60 dB"),
        "direct_to_reverberant_db": Param(
            0.0, -15.0, 15.0, "dB", "energy of the direct sound over that of all else"
        ),
    },
    draw=draw,
    apply=apply,
    doc=__doc__,
)
