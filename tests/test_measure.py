"""The meters against the standards' own cases, against an independent implementation, and cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from wavemend.core.loudness import Loudness, TruePeak, k_weighting
from wavemend.core.measure import Distance, Held, Meter, compare, lag, measure
from wavemend.core.types import Format, Samples
from wavemend.errors import InputError

STEREO = Format(48_000, 2)


def tone(format: Format, f_hz: float, level_db: float, seconds: float, phase: float = 0.0) -> Samples:
    time = np.arange(round(seconds * format.sample_rate)) / format.sample_rate
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * f_hz * time + phase)
    return np.tile(wave, (format.channels, 1)).astype(np.float32)


def integrated(sound: Samples, format: Format) -> float:
    return measure(sound, format)["loudness_lufs"]


def test_k_weighting_is_the_standards_table_at_48_khz() -> None:
    shelf, high_pass = k_weighting(48_000)
    assert shelf == pytest.approx(
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        abs=1e-7,
    )
    assert high_pass == pytest.approx([1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-7)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_a_997_hz_sine_in_stereo_reads_its_level(rate: int, level: float) -> None:
    """EBU Tech 3341, cases 1 and 2: a stereo sine of that peak level in dBFS reads the same in LUFS."""
    format = Format(rate, 2)
    assert integrated(tone(format, 997, level, 3), format) == pytest.approx(level, abs=0.1)


def test_gate_ignores_what_is_ten_lu_quieter() -> None:
    """EBU Tech 3341, case 3, shortened: -36, -23 and -36 dBFS read -23 LUFS."""
    parts = [tone(STEREO, 1000, level, seconds) for level, seconds in ((-36, 4), (-23, 20), (-36, 4))]
    assert integrated(np.concatenate(parts, axis=1), STEREO) == pytest.approx(-23.0, abs=0.1)


def test_surround_channels_weigh_more_and_lfe_nothing() -> None:
    """EBU Tech 3341, case 6: L, R -28; C -24; Ls, Rs -30 dBFS in WAV order, LFE full, reads -23 LUFS."""
    format = Format(48_000, 6)
    levels = (-28.0, -28.0, -24.0, 0.0, -30.0, -30.0)
    sound = np.concatenate([tone(Format(48_000, 1), 1000, level, 3) for level in levels])
    assert integrated(sound, format) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (48_000, 2), (22_050, 2), (96_000, 5)])
def test_loudness_agrees_with_pyloudnorm(rate: int, channels: int) -> None:
    format = Format(rate, channels)
    rng = np.random.default_rng(4)
    level = np.repeat(10 ** rng.uniform(-3, -0.5, 12), rate // 2)
    sound = (rng.standard_normal((channels, 6 * rate // 2 * 2)) * level).astype(np.float32)
    oracle = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert integrated(sound, format) == pytest.approx(
        oracle.integrated_loudness(sound.T.astype(float)), abs=0.05
    )


@pytest.mark.parametrize(("quiet", "expected"), [(-30.0, 10.0), (-25.0, 5.0), (-40.0, 20.0)])
def test_loudness_range_of_two_levels(quiet: float, expected: float) -> None:
    """EBU Tech 3342, cases 1 to 3, shortened: 1 kHz at -20 dBFS and then quieter."""
    sound = np.concatenate((tone(STEREO, 1000, -20, 10), tone(STEREO, 1000, quiet, 10)), axis=1)
    assert measure(sound, STEREO)["loudness_range_lu"] == pytest.approx(expected, abs=1.0)


def test_loudness_range_agrees_with_pyloudnorm() -> None:
    format = Format(8_000, 1)
    rng = np.random.default_rng(9)
    level = 10 ** (np.linspace(-35, -10, 400_000) / 20)
    sound = (rng.standard_normal((1, 400_000)) * level * 0.3).astype(np.float32)
    expected = pyloudnorm.Meter(8_000, filter_class="DeMan").loudness_range(sound.T.astype(float))
    assert measure(sound, format)["loudness_range_lu"] == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize(
    ("divisor", "phase_deg", "sample_db"),
    [(4, 0.0, -6.0), (4, 45.0, -9.0), (6, 60.0, -6.0 + 20 * np.log10(np.sin(np.pi / 3))), (8, 67.5, -6.7)],
)
def test_true_peak_between_samples(divisor: int, phase_deg: float, sample_db: float) -> None:
    """EBU Tech 3341, cases 15 to 18: sines of -6 dBFS at fractions of the rate; +0.2, -0.4 dB allowed."""
    sound = tone(STEREO, 48_000 / divisor, -6.0, 1.0, np.deg2rad(phase_deg))
    fade = np.minimum(1, np.arange(48_000) / 2400)
    figures = measure((sound * fade * fade[::-1]).astype(np.float32), STEREO)
    assert -6.4 <= figures["true_peak_dbtp"] <= -5.8
    assert figures["sample_peak_dbfs"] == pytest.approx(sample_db, abs=0.1)


def test_true_peak_leaves_out_only_what_cannot_be_the_peak() -> None:
    """The same as interpolating everything."""
    meter = TruePeak(STEREO)
    rng = np.random.default_rng(2)
    sound = (rng.standard_normal((2, 20_000)) * 0.2).astype(np.float32)
    sound[1, 7000:7002] = 0.9
    meter.take(sound, 0, sound.shape[1])
    brute = max(_interpolated_peak(channel) for channel in sound)
    assert meter.peak == pytest.approx(brute, rel=1e-5)


def _interpolated_peak(channel: Samples) -> float:
    half = TruePeak.HALF
    stuffed = np.zeros(4 * len(channel))
    stuffed[::4] = channel
    at = np.arange(-4 * half, 4 * half + 1) / 4
    taps = np.sinc(at) * np.i0(7.0 * np.sqrt(np.maximum(1 - (at / half) ** 2, 0))) / np.i0(7.0)
    for phase in range(1, 4):
        taps[phase::4] /= taps[phase::4].sum()
    return float(np.abs(np.convolve(stuffed, taps, "same")).max())


@given(st.lists(st.integers(0, 130_000), max_size=6), st.sampled_from([Format(48_000, 2), Format(11_025, 1)]))
@settings(max_examples=6, deadline=None)
def test_any_cut_gives_the_same_figures(cuts: list[int], format: Format) -> None:
    sound = music(format, 125_001)
    meter, edges = Meter(format), [0, *sorted(cuts), sound.shape[1]]
    for start, stop in pairwise(edges):
        meter.push(sound[:, start:stop])
    assert meter.finish() == measure(sound, format)


@pytest.mark.parametrize("format", [Format(8_000, 1), Format(44_100, 8), Format(192_000, 2)])
@pytest.mark.parametrize("length", [0, 1, 100, 3_000])
def test_short_and_silent_recordings_have_figures(format: Format, length: int) -> None:
    for sound in (np.zeros((format.channels, length), np.float32), music(format, 4096)[:, :length]):
        figures = measure(sound, format)
        assert all(np.isfinite(value) for value in figures.values())
        assert figures["loudness_lufs"] >= -70.0
    assert measure(np.zeros((format.channels, length), np.float32), format)["true_peak_dbtp"] == -200.0


@pytest.mark.parametrize("level", [-80.0, -50.0])
def test_noise_floor_is_the_level_of_the_pauses(level: float) -> None:
    rng = np.random.default_rng(5)
    sound = rng.standard_normal((2, 480_000)) * 10 ** (level / 20)
    sound[:, :240_000] += tone(STEREO, 440, -10, 5)
    sound[:, 400_000:] = 0.0  # digital silence is no floor
    assert measure(sound.astype(np.float32), STEREO)["noise_floor_dbfs"] == pytest.approx(level, abs=1.0)


@pytest.mark.parametrize("cutoff", [4_000, 12_000])
@pytest.mark.parametrize("noise_db", [-120.0, -60.0])
def test_bandwidth_is_where_the_sound_ends(cutoff: float, noise_db: float) -> None:
    """Bursts of band-limited sound, over steady noise that reaches further up."""
    rng = np.random.default_rng(6)
    spectrum = np.fft.rfft(rng.standard_normal((2, 480_000)), axis=1)
    spectrum[:, np.fft.rfftfreq(480_000, 1 / 48_000) > cutoff] = 0
    burst = np.interp(np.arange(480_000), np.arange(41) * 12_000, rng.uniform(0, 1, 41) ** 4)
    sound = 0.3 * burst * np.fft.irfft(spectrum, axis=1) + rng.standard_normal((2, 480_000)) * 10 ** (
        noise_db / 20
    )
    assert measure(sound.astype(np.float32), STEREO)["bandwidth_hz"] == pytest.approx(cutoff, abs=450)


def test_distance_of_a_copy_is_none() -> None:
    sound = music(STEREO, 100_000)
    figures = compare(Held(sound, STEREO), Held(sound, STEREO))
    assert (figures["si_sdr_db"], figures["sdr_db"], figures["lsd_db"]) == (200.0, 200.0, 0.0)
    assert (figures["changed_samples"], figures["lag_samples"], figures["max_difference_db"]) == (
        0,
        0,
        -200.0,
    )


@given(st.floats(-60, 20), st.floats(0.3, 3.0))
@settings(max_examples=15, deadline=None)
def test_distances_are_their_definitions(noise_db: float, gain: float) -> None:
    reference = music(STEREO, 70_000)
    rng = np.random.default_rng(7)
    noise = rng.standard_normal(reference.shape) * 10 ** (noise_db / 20) * 0.01
    other = (gain * reference + noise).astype(np.float32)
    figures = compare(Held(reference, STEREO), Held(other, STEREO))
    r, x = reference.astype(float).ravel(), other.astype(float).ravel()
    target = (r @ x) / (r @ r) * r
    si_sdr = 10 * np.log10((target @ target) / ((x - target) @ (x - target)))
    assert figures["si_sdr_db"] == pytest.approx(si_sdr, abs=0.01)
    assert figures["sdr_db"] == pytest.approx(10 * np.log10((r @ r) / ((r - x) @ (r - x))), abs=0.01)
    assert figures["max_difference_db"] == pytest.approx(20 * np.log10(np.abs(r - x).max()), abs=0.01)


def test_log_spectral_distance_of_a_gain_is_the_gain() -> None:
    rng = np.random.default_rng(8)
    sound = (rng.standard_normal((1, 60_000)) * 0.1).astype(np.float32)
    format = Format(16_000, 1)
    figures = compare(Held(sound, format), Held(sound * np.float32(2), format))
    assert figures["lsd_db"] == pytest.approx(20 * np.log10(2), abs=0.01)


@given(st.lists(st.integers(0, 60_000), max_size=5))
@settings(max_examples=8, deadline=None)
def test_distance_does_not_depend_on_the_cut(cuts: list[int]) -> None:
    reference = music(STEREO, 60_000)
    other = (reference * np.float32(0.9) + np.float32(1e-4)).astype(np.float32)
    distance, edges = Distance(STEREO), [0, *sorted(cuts), 60_000]
    for start, stop in pairwise(edges):
        distance.push(reference[:, start:stop], other[:, start:stop])
    whole = Distance(STEREO)
    whole.push(reference, other)
    assert distance.finish() == whole.finish()


def test_changed_samples_are_counted() -> None:
    reference = music(STEREO, 50_000)
    other = reference.copy()
    other[0, [5, 40_000]] += 0.25
    figures = compare(Held(reference, STEREO), Held(other, STEREO))
    assert figures["changed_samples"] == 2 and figures["changed_share"] == 2 / 100_000
    assert figures["max_difference_db"] == pytest.approx(-12.04, abs=0.01)


@pytest.mark.parametrize("shift", [0, 1, -1, 37, -4000])
def test_lag_is_found(shift: int) -> None:
    sound = music(STEREO, 60_000)
    reference, other = sound[:, 5000:45_000], sound[:, 5000 - shift : 45_000 - shift]
    assert lag(reference, -other) == shift
    figures = compare(Held(reference, STEREO), Held(other, STEREO))
    assert figures["lag_samples"] == shift


def test_other_lengths_and_formats() -> None:
    sound = music(STEREO, 50_000)
    figures = compare(Held(sound, STEREO), Held(sound[:, :40_000], STEREO), block=7_000)
    assert figures["longer_samples"] == -10_000 and figures["changed_samples"] == 0
    with pytest.raises(InputError, match="44100"):
        compare(Held(sound, STEREO), Held(sound, Format(44_100, 2)))


def test_memory_of_the_loudness_meter_does_not_grow() -> None:
    format = Format(1_000, 1)
    meter = Loudness(format)
    for _ in range(200):
        meter.take(np.full((1, 1_000), 0.1, np.float32))
    assert meter._recent.shape == (2, 29)
