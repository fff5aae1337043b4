"""The high band is generated above the end of the band, and nowhere else."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from scipy import signal

import contract
import wavemend
from wavemend.core.band_end import band_end
from wavemend.core.translation import SPACING, between, source_width, sources
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import damages
from wavemend.engine.steady import Steady
from wavemend.engine.stream import run
from wavemend.repairs import repairs
from wavemend.restoration.plan import make_plan

EXTEND = repairs["extend"]
MONO, STEREO = Format(48_000, 1), Format(48_000, 2)


@lru_cache(maxsize=16)
def wide(rate: int = 48_000, channels: int = 1, seconds: float = 6.0, seed: int = 1) -> Samples:
    """Bursts of noise that falls by 4 dB an octave, over a faint floor; nothing in it ends."""
    count = round(seconds * rate)
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(count, 1 / rate)
    bins = np.fft.rfft(rng.standard_normal((channels, count))) * np.maximum(hz / 200, 1) ** (-4 / 6.02)
    swell = 0.2 + np.abs(np.sin(np.arange(count) / rate * 5))
    out = np.fft.irfft(bins, count) * swell
    out = 0.3 * out / np.abs(out).max() + 3e-6 * rng.standard_normal(out.shape)
    out = out.astype(np.float32)
    out.flags.writeable = False
    return out


def narrow(samples: Samples, cutoff_hz: float, rate: int = 48_000, order: int = 10) -> Samples:
    sos = signal.ellip(order, 0.2, 90, cutoff_hz, fs=rate, output="sos")
    return signal.sosfilt(sos, samples, axis=1).astype(np.float32)


def extended(samples: Samples, rate: int = 48_000, **options: float) -> Samples:
    """The whole of it taken for narrow, with nothing known of its end."""
    format = Format(rate, len(samples))
    finding = Finding("bandwidth", Region(0, max(samples.shape[1], 1)), 1.0, 1.0)
    return run(EXTEND.open(format, [finding], **options), samples)


def powers(samples: Samples, n_fft: int = 4096) -> np.ndarray:
    """The mean spectrum, (bins,)."""
    return signal.welch(samples, nperseg=n_fft, window=("kaiser", 14.0), axis=1)[1].mean(axis=0)


def share_db(difference: Samples, given: Samples, low_hz: float, high_hz: float, rate: int = 48_000) -> float:
    """Energy of the difference between two frequencies over that of the whole, dB."""
    bins = powers(difference.astype(np.float64))
    hz = np.linspace(0, rate / 2, len(bins))
    part = bins[(hz >= low_hz) & (hz < high_hz)].sum()
    return float(10 * np.log10(part / powers(given).sum() + 1e-30))


@pytest.mark.parametrize("cutoff_hz", [2_500.0, 4_000.0, 8_000.0, 12_000.0, 15_000.0])
def test_below_the_end_the_difference_is_under_60_db(cutoff_hz: float) -> None:
    given = narrow(wide(), cutoff_hz)
    out = extended(given, cutoff_hz=cutoff_hz)
    assert share_db(out - given, given, 0, cutoff_hz - 150) < -60
    assert share_db(out - given, given, cutoff_hz, 24_000) > -45


@pytest.mark.parametrize("cutoff_hz", [4_000.0, 8_000.0])
def test_what_is_added_is_about_as_strong_as_what_was_lost(cutoff_hz: float) -> None:
    """Noise that falls evenly, half an octave at a time."""
    truth = wide()
    out = extended(narrow(truth, cutoff_hz), cutoff_hz=cutoff_hz)
    for low_hz in (cutoff_hz * 1.1, cutoff_hz * 1.5):
        band = low_hz, min(low_hz * 1.4, 22_000)
        assert abs(share_db(out, truth, *band) - share_db(truth, truth, *band)) < 12


def test_what_has_no_end_keeps_its_bits() -> None:
    for rate in (44_100, 48_000):
        assert np.array_equal(extended(wide(rate), rate), wide(rate))


def test_strength_nothing_keeps_all_bits_and_half_adds_half() -> None:
    given = narrow(wide(), 5_000.0)
    assert np.array_equal(extended(given, cutoff_hz=5_000.0, strength=0.0), given)
    whole, half = (extended(given, cutoff_hz=5_000.0, strength=s).astype(float) for s in (1.0, 0.5))
    assert np.abs((half - given) - 0.5 * (whole - given)).max() < 1e-6


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000, 96_000])
def test_the_end_is_found_at_any_rate(rate: int) -> None:
    given = narrow(wide(rate), 6_000.0, rate)
    out = extended(given, rate)
    assert share_db(out - given, given, 0, 5_400, rate) < -60
    assert share_db(out - given, given, 6_600, 12_000, rate) > -45


def test_wide_sound_stays_as_it_is_and_narrow_sound_after_it_is_extended() -> None:
    first = wide(seconds=12.0)
    given = np.concatenate((first, narrow(wide(seconds=12.0, seed=2), 5_000.0)), axis=1)
    out = extended(given)
    second = 48_000
    assert np.array_equal(out[:, : 9 * second], given[:, : 9 * second])
    changed = (out - given)[:, 18 * second :]
    assert share_db(changed, given[:, 18 * second :], 5_500, 24_000) > -45


def test_an_end_that_moves_is_followed() -> None:
    parts = [narrow(wide(seconds=12.0, seed=k), hz) for k, hz in enumerate((8_000.0, 4_000.0))]
    given = np.concatenate(parts, axis=1)
    added = extended(given) - given
    second = 48_000
    early, late = added[:, : 9 * second], added[:, 18 * second :]
    assert share_db(early, parts[0], 4_400, 7_200) < -60 < share_db(early, parts[0], 8_800, 12_000)
    assert share_db(late, parts[1], 4_800, 7_200) > -45


def test_channels_keep_their_levels() -> None:
    given = narrow(wide(channels=2), 5_000.0) * np.array([[1.0], [0.1]], np.float32)
    added = extended(given, cutoff_hz=5_000.0) - given
    loud, quiet = (float(np.sqrt(np.mean(row**2))) for row in added)
    assert quiet == pytest.approx(loud / 10, rel=0.3)


def test_silence_stays_silent_and_loud_sound_does_not_blow_up() -> None:
    silent = np.zeros((1, 96_000), np.float32)
    assert not extended(silent, cutoff_hz=4_000.0).any()
    loud = narrow(wide(), 4_000.0)
    loud = loud / np.float32(np.abs(loud).max())
    assert np.abs(extended(loud, cutoff_hz=4_000.0)).max() < 3


def test_plans_hold_it_only_where_it_is_asked_for() -> None:
    format, samples = MONO, 288_000
    damaged, truth = damages["bandwidth"].simulate(wide(), format, seed=1, cutoff_hz=5_000.0)
    plan = make_plan(truth, format, samples)
    assert plan.steps == () and "unless extend is asked for" in plan.left_alone[0].reason
    result = wavemend.repair("extend", damaged, 48_000)
    assert share_db(result.restored.samples - damaged, damaged, 6_000, 24_000) > -45
    assert any(name == "model upper" for name in result.report.versions)


def test_it_does_not_need_torch() -> None:
    import subprocess
    import sys

    code = "import sys; import wavemend; import numpy as np; "
    code += "wavemend.repair('extend', np.zeros((1, 9000), np.float32), 48000, cutoff_hz=4000.0); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


FILTERS = {
    "elliptic": (0.1, lambda hz: signal.ellip(8, 0.3, 80, hz, fs=48_000, output="sos")),
    "72 dB an octave": (0.2, lambda hz: signal.butter(12, hz, fs=48_000, output="sos")),
}
"""How far off the end may be found, and what makes it."""


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("cutoff_hz", [2_500.0, 4_000.0, 6_500.0, 10_000.0, 15_000.0])
def test_steep_and_gentle_ends_are_found(name: str, cutoff_hz: float) -> None:
    near, made = FILTERS[name]
    found = band_end(powers(signal.sosfilt(made(cutoff_hz), wide(), axis=1), 2048)[:-1], 24_000)
    assert found == pytest.approx(cutoff_hz, rel=near)


@pytest.mark.parametrize("tilt", [0.0, 6.0, 12.0])
def test_a_slope_is_no_end(tilt: float) -> None:
    hz = np.maximum(np.arange(1024) * 24_000 / 1024, 100)
    rng = np.random.default_rng(0)
    power = (hz / 100) ** (-tilt / 3.01) * rng.chisquare(40, 1024) / 40 + 1e-9
    assert band_end(power, 24_000) is None


@given(cut=st.integers(80, 1000), bins=st.just(1024))
def test_every_bin_above_the_end_has_a_source_below_it(cut: int, bins: int) -> None:
    found = sources(bins, np.array(cut))
    place, width = np.arange(bins), int(source_width(np.array(cut)))
    assert np.array_equal(found[:cut], place[:cut])
    assert (found[cut:] < cut).all() and (found[cut:] >= cut - width).all()
    assert ((place - found) % 4 == 0).all()


@limits(max_examples=20)
@given(slope=st.floats(-1, 1), level=st.floats(-20, 20))
def test_straight_lines_go_through_the_levels(slope: float, level: float) -> None:
    middle = np.arange(1024 // SPACING) * SPACING + (SPACING - 1) / 2
    line = (level + slope * middle) @ between(1024)
    expected = level + slope * np.clip(np.arange(1024), middle[0], middle[-1])
    np.testing.assert_allclose(line, expected, atol=1e-2)


def test_a_block_at_a_time_is_the_same_as_all_at_once() -> None:
    """The contract's checks cut anywhere; here the end is found on the way."""
    given = narrow(contract.music(STEREO, 400_000), 5_000.0)
    finding = Finding("bandwidth", Region(0, 400_000), 1.0, 1.0)
    parts = [run(EXTEND.open(STEREO, [finding]), given, block=block) for block in (400_000, 512, 7_777)]
    assert np.array_equal(parts[0], parts[1]) and np.array_equal(parts[0], parts[2])


def test_hiss_goes_on_where_it_was_cut_and_sound_that_falls_does_not() -> None:
    """Of what was lost of even hiss all but 3 dB comes back, up to 20 kHz; a pause in it stays one."""
    hiss = 0.003 * np.random.default_rng(4).standard_normal((1, 288_000))
    given = narrow(hiss, 5_000.0)
    given[:, 200_000:210_000] = 0
    added = extended(given, cutoff_hz=5_000.0) - given
    second = 48_000
    for low_hz, high_hz in ((6_000, 12_000), (12_000, 20_000)):
        part = powers(added[:, second : 4 * second])[
            round(low_hz * 2048 / 24_000) : round(high_hz * 2048 / 24_000)
        ]
        truth = powers(hiss)[round(low_hz * 2048 / 24_000) : round(high_hz * 2048 / 24_000)]
        assert abs(10 * np.log10(part.mean() / truth.mean())) < 3
    assert np.abs(added[:, 203_000:207_000]).max() < 1e-4
    steady, rng = Steady(1, 1024), np.random.default_rng(5)
    falls = 1e-3 * (np.arange(1, 1025) / 1024) ** -2.0
    for tilt, goes_on in ((1e-3 * np.ones(1024), True), (falls, False)):
        steady.push(np.asarray(tilt * rng.exponential(1.0, (1, 400, 1024)), np.float32))
        assert steady.above(213).any() == goes_on


def test_a_cliff_that_a_slope_leads_to_is_the_end() -> None:
    """Speech that has all but died away below the end: the end is not drawn back into it."""
    hz = np.arange(1024) * 24_000 / 1024
    rng = np.random.default_rng(2)
    falls = np.interp(hz, [0, 5_500, 6_600, 6_900, 7_500, 7_850, 24_000], [0, -35, -47, -68, -69, -130, -130])
    power = 10 ** (falls / 10) * rng.chisquare(40, 1024) / 40
    assert band_end(power, 24_000) == pytest.approx(7_600, rel=0.05)
