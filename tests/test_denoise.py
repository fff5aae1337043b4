"""The classical denoiser: better where there is noise, and little changed where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import contract
from test_noise import speech_like
from wavemend.core.noise import BANDS_HZ
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import damages
from wavemend.engine.stream import run
from wavemend.repairs import repairs

NOISE = damages["noise"]
MODEL = replace(repairs["denoise"].own_params["model"], default="classic")
DENOISE = replace(repairs["denoise"], own_params={**repairs["denoise"].own_params, "model": MODEL})
"""What is tested here is no network."""
MONO, STEREO = Format(48_000, 1), Format(48_000, 2)


def si_sdr_db(clean: Samples, other: Samples) -> float:
    s, e = clean.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    target = (s @ e) / (s @ s) * s
    return float(10 * np.log10(np.sum(target**2) / np.sum((e - target) ** 2)))


def white(samples: int, format: Format, level_db: float = -40.0) -> tuple[Samples, tuple[Finding, ...]]:
    """White noise and a finding that knows its floor."""
    rng = np.random.default_rng(1)
    noise = (10 ** (level_db / 20) * rng.standard_normal((format.channels, samples))).astype(np.float32)
    return noise, (known(samples, level_db, format),)


def known(samples: int, level_db: float, format: Format) -> Finding:
    density = level_db - 10 * np.log10(format.sample_rate / 2)
    measures = {"floor_db_per_hz": (float(density),) * len(BANDS_HZ)}
    return Finding("noise", Region(0, samples), 0.5, 1.0, measures)


@pytest.mark.parametrize(
    ("sound", "snr_db", "gain_db"),
    [
        ("music", 0, 6),
        ("music", 10, 6),
        ("music", 20, 4),
        ("speech", 0, 6),
        ("speech", 10, 3),
        ("speech", 20, 2),
    ],
)
def test_what_was_found_is_lowered(sound: str, snr_db: float, gain_db: float) -> None:
    clean = contract.music(MONO, 5 * 48_000) if sound == "music" else speech_like(MONO, 6.0)
    noisy, _ = NOISE.simulate(clean, MONO, 3, snr_db=snr_db, slope_db_per_octave=-2.0)
    found = NOISE.detect(noisy, MONO)
    restored = run(DENOISE.open(MONO, found), noisy)
    assert si_sdr_db(clean, restored) > si_sdr_db(clean, noisy) + gain_db


def test_strength_goes_straight_from_nothing_to_all() -> None:
    clean = contract.music(STEREO, 2 * 48_000)
    noisy, truth = NOISE.simulate(clean, STEREO, 3, snr_db=10.0)
    whole = run(DENOISE.open(STEREO, truth), noisy)
    assert np.array_equal(run(DENOISE.open(STEREO, truth, strength=0.0), noisy), noisy)
    for strength in (0.25, 0.75):
        part = run(DENOISE.open(STEREO, truth, strength=strength), noisy)
        middle = slice(2000, -2000)  # inside the fades
        assert part[:, middle] == pytest.approx((noisy + strength * (whole - noisy))[:, middle], abs=1e-6)


@pytest.mark.parametrize("floor_db", [6.0, 12.0, 18.0])
def test_noise_alone_is_lowered_by_as_much_as_was_asked_for(floor_db: float) -> None:
    noise, findings = white(4 * 48_000, STEREO)
    out = run(DENOISE.open(STEREO, findings, floor_db=floor_db), noise)
    middle = slice(4800, -4800)
    lowered = 10 * np.log10(np.mean(noise[:, middle] ** 2) / np.mean(out[:, middle] ** 2))
    assert lowered == pytest.approx(floor_db, abs=0.5)


def test_what_is_left_of_noise_is_still_noise() -> None:
    """Musical noise is cells that stick out: they would raise the fourth moment above a Gaussian's."""
    noise, findings = white(6 * 48_000, MONO)
    out = run(DENOISE.open(MONO, findings), noise)[0, 4800:-4800]
    frames = np.lib.stride_tricks.sliding_window_view(out, 2048)[::1024] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames, axis=1))[:, 4:-4] ** 2
    assert np.mean(power**2) / np.mean(power) ** 2 < 2.0 * 1.5


def test_the_noise_keeps_its_colour() -> None:
    silence = np.full((1, 6 * 48_000), 1e-12, np.float32)
    noise, _ = NOISE.simulate(silence, MONO, 2, snr_db=-10.0, slope_db_per_octave=-3.0, wander_db=0.0)
    noise = (noise * (0.01 / noise.std())).astype(np.float32)
    clean = speech_like(MONO, 6.0)
    found = NOISE.detect(clean + noise, MONO)
    out = run(DENOISE.open(MONO, found), noise)
    before, after = (np.abs(np.fft.rfft(x[0, 4800:-4800].astype(np.float64))) ** 2 for x in (noise, out))
    hz = np.fft.rfftfreq(noise.shape[1] - 9600, 1 / 48_000)
    lowered = [
        10 * np.log10(before[within].mean() / after[within].mean())
        for within in ((hz >= low) & (hz < 1.5 * low) for low in (2000, 3000, 4500, 6750, 10_000))
    ]
    assert np.ptp(lowered) < 5.0 and np.mean(lowered) == pytest.approx(18.0, abs=2.0)


def test_channels_share_their_gain() -> None:
    mono = NOISE.simulate(speech_like(MONO, 3.0), MONO, 2, snr_db=10.0)[0][0]
    given = np.stack([mono, 0.25 * mono])
    floor = {c: known(given.shape[1], -30.0 - 12.04 * c, MONO).measures["floor_db_per_hz"] for c in range(2)}
    findings = [
        Finding("noise", Region(0, given.shape[1], (c,)), 0.5, 1.0, {"floor_db_per_hz": floor[c]})
        for c in range(2)
    ]
    out = run(DENOISE.open(STEREO, findings), given)
    assert np.std(out[1] - 0.25 * out[0]) < 1e-3 * np.std(out[1])
    assert np.std(out - given) > 1e-2 * np.std(given)


def test_loud_sound_keeps_its_level_and_tone() -> None:
    clean = contract.music(STEREO, 5 * 48_000)
    noisy, _ = NOISE.simulate(clean, STEREO, 3, snr_db=25.0)
    out = run(DENOISE.open(STEREO, NOISE.detect(noisy, STEREO)), noisy)
    hz = np.fft.rfftfreq(clean.shape[1], 1 / 48_000)
    power = [np.sum(np.abs(np.fft.rfft(x.astype(np.float64), axis=1)) ** 2, axis=0) for x in (clean, out)]
    for low, high in ((100, 300), (300, 800), (800, 2000)):
        within = (hz >= low) & (hz < high)
        assert 10 * np.log10(power[1][within].sum() / power[0][within].sum()) == pytest.approx(0.0, abs=0.2)


def test_forced_on_clean_sound_it_changes_little() -> None:
    for clean in (contract.music(MONO, 5 * 48_000), speech_like(MONO, 6.0)):
        unknown = Finding("noise", Region(0, clean.shape[1]), 1.0, 1.0)
        assert si_sdr_db(clean, run(DENOISE.open(MONO, (unknown,)), clean)) > 25.0


def test_an_unknown_floor_is_found_along_the_way() -> None:
    clean = speech_like(MONO, 6.0)
    noisy, truth = NOISE.simulate(clean, MONO, 3, snr_db=5.0)
    restored = run(DENOISE.open(MONO, truth), noisy)
    assert "floor_db_per_hz" not in truth[0].measures
    assert si_sdr_db(clean, restored) > si_sdr_db(clean, noisy) + 4.0


def test_a_floor_that_sinks_is_followed() -> None:
    noise, findings = white(30 * 8_000, Format(8_000, 1))
    fading = (noise * 10 ** (-np.linspace(0, 3, noise.shape[1]) / 20)).astype(np.float32)
    speech = 10 * speech_like(Format(8_000, 1), 30.0)
    followed = run(DENOISE.open(Format(8_000, 1), findings), (speech + fading).astype(np.float32))
    last = slice(-10 * 8_000, None)
    assert si_sdr_db(speech[:, last], followed[:, last]) > si_sdr_db(
        speech[:, last], (speech + fading)[:, last]
    )


@pytest.mark.parametrize("option", [{"floor_db": 6.0}, {"smoothing": 3}, {"window_ms": 80.0}])
def test_every_parameter_is_heard(option: dict[str, float]) -> None:
    noisy, truth = NOISE.simulate(contract.music(MONO, 2 * 48_000), MONO, 3, snr_db=10.0)
    assert not np.array_equal(
        run(DENOISE.open(MONO, truth, **option), noisy), run(DENOISE.open(MONO, truth), noisy)
    )


def test_a_drone_under_noise_is_kept() -> None:
    """Dense low partials that swell slowly are not the floor, however long they last."""
    rng = np.random.default_rng(6)
    time = np.arange(10 * 48_000) / 48_000
    drone = np.zeros(len(time))
    for hz in np.geomspace(80, 700, 60):
        swell = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.05, 0.4) * time + rng.uniform(0, 6))
        drone += swell * np.sin(2 * np.pi * hz * time + rng.uniform(0, 6)) * 80 / hz
    clean = (0.02 * drone[np.newaxis]).astype(np.float32)
    noisy, _ = NOISE.simulate(clean, MONO, 3, snr_db=15.0)
    restored = run(DENOISE.open(MONO, NOISE.detect(noisy, MONO)), noisy)
    assert si_sdr_db(clean, restored) > si_sdr_db(clean, noisy) + 3.0


def test_a_bare_finding_leaves_clean_sound_nearly_as_it_is() -> None:
    unknown = Finding("noise", Region(0, 12 * 48_000), 1.0, 1.0)
    for clean in (contract.music(MONO, 12 * 48_000), speech_like(MONO, 12.0)):
        assert si_sdr_db(clean, run(DENOISE.open(MONO, (unknown,)), clean)) > 35.0
