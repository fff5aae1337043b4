"""Declipping: outward only, everything else bit for bit, and much nearer to what was there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage.clipping import DAMAGE, UNREACHED
from wavemend.engine.sparse import Dictionary, Gabor, agree, concentration, extend
from wavemend.engine.stream import run
from wavemend.repairs.declip import REPAIR

FORMAT = Format(22_050, 1)


def sdr_db(x: Samples, y: Samples) -> float:
    error = np.square(x.astype(np.float64) - y).sum()
    return float(10 * np.log10(np.square(x, dtype=np.float64).sum() / error))


def voice(format: Format, seconds: float) -> Samples:
    """A gliding pulse train through three resonances, in syllables, over faint noise; peak 0.5."""
    from scipy import signal

    rng = np.random.default_rng(4)
    time = np.arange(round(seconds * format.sample_rate)) / format.sample_rate
    phase = np.cumsum((120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / format.sample_rate)
    source = (np.diff(np.floor(phase), prepend=0) > 0) + 0.003 * rng.standard_normal(len(time))
    for hz, width in ((600, 80), (1300, 100), (2600, 160)):
        radius = np.exp(-np.pi * width / format.sample_rate)
        pole = 2 * radius * np.cos(2 * np.pi * hz / format.sample_rate)
        source = signal.lfilter([1.0], [1.0, -pole, radius**2], source)
    source *= np.clip(np.sin(2 * np.pi * 2 * time) + 0.6, 0.0, 1.0)
    return np.asarray(0.5 * source / np.abs(source).max(), np.float32)[np.newaxis]


def whole(length: int, high: float, low: float) -> Finding:
    return Finding("clipping", Region(0, length), 1.0, 1.0, {"level_high": high, "level_low": low})


@pytest.mark.parametrize(
    ("sound", "sdr", "gain"),
    [(music, 3.0, 8.0), (music, 7.0, 12.0), (music, 20.0, 14.0), (voice, 7.0, 8.0), (voice, 20.0, 12.0)],
)
def test_gives_back_much_of_what_was_cut(sound: object, sdr: float, gain: float) -> None:
    x = music(FORMAT, 3 * 22_050) if sound is music else voice(FORMAT, 3.0)
    damaged, truth = DAMAGE.simulate(x, FORMAT, seed=1, sdr_db=sdr)
    out = run(REPAIR.open(FORMAT, truth), damaged)
    assert sdr_db(x, out) - sdr_db(x, damaged) > gain


def test_works_on_what_the_detector_says() -> None:
    x = music(FORMAT, 3 * 22_050)
    damaged, _ = DAMAGE.simulate(x, FORMAT, seed=1, sdr_db=10.0, gain_db=-6.0)
    out = run(REPAIR.open(FORMAT, DAMAGE.detect(damaged, FORMAT)), damaged)
    before, wanted = sdr_db(x, damaged * 10 ** (6 / 20)), x * np.float32(10 ** (-6 / 20))
    assert sdr_db(wanted, out) - before > 10.0


@settings(max_examples=25, deadline=None)
@given(
    sdr=st.floats(1.0, 30.0),
    seed=st.integers(0, 50),
    sides=st.sampled_from([1, 2]),
    length=st.integers(50, 9_000),
    rate=st.sampled_from([8_000, 11_025]),
)
def test_outward_only_and_the_rest_bit_for_bit(
    sdr: float, seed: int, sides: int, length: int, rate: int
) -> None:
    format = Format(rate, 1)
    damaged, truth = DAMAGE.simulate(music(format, 9_000)[:, :length], format, seed, sdr_db=sdr, sides=sides)
    if not truth:
        return
    out = run(REPAIR.open(format, truth, iterations=20), damaged)
    high, low = damaged >= truth[0].measures["level_high"], damaged <= truth[0].measures["level_low"]
    reliable = ~(high | low)
    assert np.array_equal(out[reliable], damaged[reliable])
    assert (out[high] >= damaged[high]).all() and (out[low] <= damaged[low]).all()
    assert np.isfinite(out).all()


def test_lone_tops_are_predicted_closely() -> None:
    x = music(Format(44_100, 1), 2 * 44_100).copy()
    peaks = [int(np.abs(x[0, a : a + 8_000]).argmax()) + a for a in range(10_000, 80_000, 8_000)]
    damaged, findings = x.copy(), []
    for peak in peaks:
        level = float(np.sort(np.abs(x[0, peak - 3 : peak + 4]))[-4])
        span = slice(peak - 3, peak + 4)
        damaged[0, span] = np.clip(x[0, span], -level, level)
        measures = {"level_high": level, "level_low": -level}
        findings.append(Finding("clipping", Region(peak - 3, peak + 4), 1.0, 1.0, measures))
    out = run(REPAIR.open(Format(44_100, 1), findings), damaged)
    assert sdr_db(x, out) - sdr_db(x, damaged) > 15.0


def test_a_seam_between_chunks_is_no_worse_than_elsewhere() -> None:
    format = Format(8_000, 1)
    x = music(format, 8 * 8_000)
    damaged, truth = DAMAGE.simulate(x, format, seed=1, sdr_db=7.0)
    out = run(REPAIR.open(format, truth), damaged)
    error = np.abs(out - x)[0]
    seams = [error[s - 80 : s + 80] for s in (24_000, 48_000)]
    assert np.mean(seams) < 3 * error.mean()


def test_clean_channels_cost_nothing_and_keep_their_bits() -> None:
    format = Format(8_000, 2)
    x = music(format, 16_000)
    damaged, truth = DAMAGE.simulate(x, format, seed=1, sdr_db=10.0)
    damaged[0] = np.clip(x[0] * 1.9, -1, 1)
    out = run(REPAIR.open(format, [f for f in truth if f.region.of_channel(1)]), damaged)
    assert np.array_equal(out[0], damaged[0])
    assert not np.array_equal(out[1], damaged[1])


def test_more_iterations_do_better() -> None:
    x = music(FORMAT, 2 * 22_050)
    damaged, truth = DAMAGE.simulate(x, FORMAT, seed=1, sdr_db=5.0)
    few, many = (sdr_db(x, run(REPAIR.open(FORMAT, truth, iterations=n), damaged)) for n in (20, 200))
    assert many > few + 1.0


@settings(max_examples=20, deadline=None)
@given(
    length=st.integers(1, 3_000),
    n_fft=st.sampled_from([16, 128, 1024]),
    seed=st.integers(0, 9),
    moves=st.lists(st.integers(0, 5_000), max_size=3),
)
def test_the_frame_is_tight_wherever_it_lies(length: int, n_fft: int, seed: int, moves: list[int]) -> None:
    x = np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    frame = Gabor(length, n_fft)
    for by in (0, *moves):
        frame.move(by)
        cells = frame.analysis(x)
        twice = np.full(cells.shape[1], 2.0)
        twice[[0, -1]] = 1.0
        assert np.isclose((np.abs(cells) ** 2 @ twice).sum(), np.square(x).sum(), rtol=1e-4)
        assert np.allclose(frame.synthesis(cells), x, atol=1e-5)


def test_extend_keeps_to_its_bounds() -> None:
    x = music(FORMAT, 5_000)[0]
    low, high = x - np.float32(0.01), x + np.float32(0.02)
    low[::2] = high[::2] = x[::2]
    out = extend(x, low, high, Dictionary([(512, 1), (128, 2)]), 12)
    assert np.array_equal(out[::2], x[::2])
    assert (out >= low).all() and (out <= high).all()


def test_what_several_dictionaries_agree_on_keeps_to_the_bounds_and_is_better() -> None:
    x = music(FORMAT, 20_000)[0]
    damaged, _ = DAMAGE.simulate(x[np.newaxis], FORMAT, seed=1, sdr_db=5.0)
    cut, level = damaged[0], np.abs(damaged).max()
    low = np.where(cut <= -level, -np.inf, cut).astype(np.float32)
    high = np.where(cut >= level, np.inf, cut).astype(np.float32)
    resolutions = ([(4096, 2), (1024, 3)], [(8192, 1), (2048, 2)], [(2048, 2), (512, 4)])
    dictionaries = [Dictionary(one) for one in resolutions]
    alone = [sdr_db(x, extend(cut, low, high, one, 60)) for one in dictionaries]
    out = agree(cut, low, high, dictionaries, 60)
    assert sdr_db(x, out) > np.mean(alone)
    assert (out >= low).all() and (out <= high).all()


def test_roots_hold_peaks_lower() -> None:
    x = music(FORMAT, 20_000)[0]
    cut = np.clip(x, -0.3 * np.abs(x).max(), 0.3 * np.abs(x).max())
    low = np.where(cut == cut.min(), -np.inf, cut).astype(np.float32)
    high = np.where(cut == cut.max(), np.inf, cut).astype(np.float32)
    loose, held = (extend(cut, low, high, Dictionary([(2048, 2), (512, 3)], roots), 60) for roots in (0, 2))
    assert np.abs(cut).sum() < np.abs(held).sum() < 0.98 * np.abs(loose).sum()


def test_concentration_is_least_in_windows_that_fit() -> None:
    tone = np.sin(np.arange(22_050) * 0.2).astype(np.float32)
    clicks = np.zeros(22_050, np.float32)
    clicks[::3_000] = 1
    assert concentration(tone, 8192) < 0.5 * concentration(tone, 256)
    assert concentration(clicks, 256) < 0.5 * concentration(clicks, 8192)
    assert concentration(np.zeros_like(tone), 256) == 0
    noise = np.random.default_rng(1).standard_normal(22_050).astype(np.float32)
    assert 0.8 < concentration(noise, 256) < 0.95  # Gaussian noise: the square root of pi, over two


def test_a_side_out_of_reach_is_never_moved() -> None:
    x = np.clip(music(FORMAT, 22_050) * 3, -0.6, 0.6)
    out = run(REPAIR.open(FORMAT, [whole(22_050, 0.6, -UNREACHED)]), x)
    assert (out[x >= np.float32(0.6)] > 0.6).any()
    assert np.array_equal(out[x < 0.5], x[x < 0.5])
