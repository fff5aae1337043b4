"""Crackle as bursts added to a predictable sound."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from wavemend.core import crackling, impulses

RATE = 48_000
SIGMAS, PROOF, PASSES = 4.0, 6.0, 3


def resonant(excitation: np.ndarray) -> np.ndarray:
    """Formants over what excites them."""
    a = np.array([1.0])
    for hz, width in ((500, 80), (1500, 120), (3500, 250)):
        pole = np.exp(-np.pi * width / RATE + 2j * np.pi * hz / RATE)
        a = np.convolve(a, [1, -2 * pole.real, abs(pole) ** 2])
    sound = signal.lfilter([1], a, excitation)
    return sound / np.abs(sound).max() * 0.3


def voice(seconds: float = 1.0) -> np.ndarray:
    """Pulses through formants, and a little noise."""
    rng = np.random.default_rng(1)
    excitation = rng.standard_normal(round(seconds * RATE)) * 0.01
    excitation[:: RATE // 120] += 1
    return resonant(excitation)


def crackled(sound: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """With 150 bursts a second, half of them ringing; and where they lie."""
    rng = np.random.default_rng(2)
    out, where = sound.copy(), np.zeros(len(sound), bool)
    level = size * np.sqrt(np.mean(sound**2))
    for at in rng.integers(100, len(sound) - 100, 150 * len(sound) // RATE):
        if rng.random() < 0.5:
            shape = np.ones(rng.integers(1, 4))
        else:
            n = np.arange(25)
            shape = np.exp(-n / 4) * np.cos(2 * np.pi * rng.uniform(2000, 8000) * n / RATE)
        out[at : at + len(shape)] += level * rng.uniform(0.2, 1) * rng.choice((-1, 1)) * shape
        where[at : at + len(shape)] = True
    return out, where


def sdr(sound: np.ndarray, out: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(sound**2) / np.sum((sound - out) ** 2)))


@pytest.mark.parametrize(("size", "least_db"), [(0.5, 8.0), (2.0, 10.0), (8.0, 10.0)])
def test_crackle_goes(size: float, least_db: float) -> None:
    sound = voice()
    damaged, _ = crackled(sound, size)
    out = crackling.clean(damaged, RATE, SIGMAS, PROOF, PASSES)
    assert sdr(sound, out) > sdr(sound, damaged) + least_db


def test_what_lies_between_keeps_its_bits() -> None:
    sound = voice()
    damaged, where = crackled(sound, 2.0)
    out = crackling.clean(damaged, RATE, SIGMAS, PROOF, PASSES)
    near = np.convolve(where, np.ones(81), "same") > 0
    assert (~near).mean() > 0.5
    # here and there a burst is thought longer than it was, or a pulse one
    assert np.mean(out[~near] != damaged[~near]) < 0.01


def test_a_burst_that_meets_the_wave_with_the_other_sign_goes_too() -> None:
    rng, n = np.random.default_rng(5), np.arange(RATE)
    sound = 0.3 * np.sin(2 * np.pi * 200 * n / RATE) + 0.002 * rng.standard_normal(RATE)
    troughs = np.arange(180, RATE - 400, 1200)
    damaged = sound.copy()
    damaged[troughs] += 0.5
    out = crackling.clean(damaged, RATE, SIGMAS, PROOF, PASSES)
    assert np.mean(np.abs(out - sound)[troughs] < 0.02) > 0.95


def test_pulses_of_a_voice_stay() -> None:
    sound = voice()
    assert np.array_equal(crackling.clean(sound, RATE, SIGMAS, PROOF, PASSES), sound)


def test_a_crowd_is_one_against_what_is_usual() -> None:
    alone = np.zeros(RATE, bool)
    alone[20_000:20_090] = True  # 90 of 288 samples
    rising, even = np.ones(RATE), np.ones(RATE)
    rising[20_090:] = 2.0
    crowded = crackling._crowded(alone, rising, RATE)
    assert crowded[20_000:20_090].all() and crowded.mean() < 0.02
    assert not crackling._crowded(alone, even, RATE).any()  # what follows is as quiet as what was before
    amid = alone.copy()
    amid[::20] = True  # as dense crackle has them everywhere
    assert not crackling._crowded(amid, rising, RATE).any()
    amid[20_000:20_200] = True
    assert crackling._crowded(amid, rising, RATE)[20_100]


def test_crackle_in_silence_goes() -> None:
    """However far it stands out: what rings, and a few wrong samples."""
    sound = np.zeros(RATE)
    sound[RATE // 2 :] = voice()[: RATE - RATE // 2]
    n = np.arange(30)
    ring = 0.1 * np.exp(-n / 6) * np.cos(0.8 * n)
    damaged = sound.copy()
    for at in (3_000, 9_000, 15_000):
        damaged[at : at + 30] += ring
    for at in (6_000, 12_000, 18_000):
        damaged[at : at + 3] += 0.08
    cleaned = crackling.clean(damaged, RATE, SIGMAS, PROOF, PASSES)
    left = np.sum((cleaned - sound)[: RATE // 2] ** 2) / np.sum((damaged - sound) ** 2)
    assert left < 0.01


def test_of_a_burst_that_rings_its_course_is_taken() -> None:
    rng = np.random.default_rng(4)
    sound = 1e-4 * rng.standard_normal(RATE)
    n = np.arange(36)
    damaged = sound.copy()
    damaged[20_000:20_036] += 0.1 * np.exp(-n / 6) * np.cos(0.7 * n)
    cleaned = crackling.clean(damaged, RATE, SIGMAS, PROOF, PASSES)
    error_db = 10 * np.log10(np.sum((cleaned - sound) ** 2) / np.sum((damaged - sound) ** 2))
    assert error_db < -45


def test_drum_hits_stay() -> None:
    rng = np.random.default_rng(3)
    hits = np.zeros(RATE)
    for at in range(3000, RATE - 9000, 6000):
        hits[at : at + 8000] += rng.standard_normal(8000) * np.exp(-np.arange(8000) / 900)
    sound = resonant(hits + 1e-3 * rng.standard_normal(RATE))
    out = crackling.clean(sound, RATE, SIGMAS, PROOF, PASSES)
    assert np.mean(out != sound) < 3e-3
    assert sdr(sound, out + 1e-12) > 50


def test_silence_and_short_sounds_come_back() -> None:
    short = voice()[: 3 * impulses.frame_length(RATE)]
    for sound in (np.zeros(RATE), short):
        assert np.array_equal(crackling.clean(sound, RATE, SIGMAS, PROOF, PASSES), sound)


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_any_rate(rate: int) -> None:
    rng = np.random.default_rng(4)
    sound = signal.lfilter([1], [1, -1.6, 0.81], rng.standard_normal(rate)) * 0.02
    damaged = sound.copy()
    damaged[rng.integers(100, rate - 100, 60)] += 0.8
    out = crackling.clean(damaged, rate, SIGMAS, PROOF, PASSES)
    assert len(out) == len(sound) and np.isfinite(out).all()
    assert sdr(sound, out) > sdr(sound, damaged) + 10


def test_what_comes_out_wrong_only_without_another_is_taken_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged, _ = crackled(voice(), 2.0)
    judge, refused = crackling._plausible, []

    def strict(found: crackling.Bursts, *rest: object) -> crackling.Mask:
        keep = judge(found, *rest)  # type: ignore[arg-type]
        if len(refused) < 2:
            last = int(np.argmax(found.start))
            refused.append(slice(found.start[last], found.start[last] + found.length[last]))
            keep[last] = False
        return keep

    monkeypatch.setattr(crackling, "_plausible", strict)
    out = crackling.clean(damaged, RATE, SIGMAS, PROOF, 1)
    assert len(refused) == 2
    for place in refused:
        assert np.array_equal(out[place], damaged[place])
