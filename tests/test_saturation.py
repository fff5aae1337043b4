"""Soft clipping: the curve is told from the sound, undone, and not imagined where none was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import signal

from contract import music
from test_declip import sdr_db
from wavemend.core.bending import Bending, Curve, emptiness, search, telling
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import damages
from wavemend.damage.saturation import CURVES, DAMAGE
from wavemend.engine.stream import run
from wavemend.repairs.desaturate import REPAIR, curve_of
from wavemend.restoration.diagnose import settled
from wavemend.restoration.guard import guarded

FORMAT = Format(44_100, 1)
SECONDS = 4


def clean(seed: int = 1) -> Samples:
    """Music as a recorder hears it: with a little noise, and 16 bits."""
    x = music(FORMAT, SECONDS * FORMAT.sample_rate, seed)
    return in_16_bits(x + 1e-4 * np.random.default_rng(seed).standard_normal(x.shape))


def in_16_bits(x: np.ndarray) -> Samples:
    return np.asarray(np.round(x * 32768) / 32768, np.float32)


def frames(x: Samples, n: int = 2048) -> np.ndarray:
    return x[0, : x.shape[1] // n * n].reshape(-1, n)


@pytest.mark.parametrize("curve", range(3), ids=CURVES)
@pytest.mark.parametrize("drive_db", [6.0, 12.0])
def test_finds_the_curve_and_undoes_it(curve: int, drive_db: float) -> None:
    x = clean()
    bent, truth = DAMAGE.simulate(x, FORMAT, seed=1, drive_db=drive_db, curve=curve)
    bent = in_16_bits(bent)
    (found,) = DAMAGE.detect(bent, FORMAT)
    assert found.region.start == 0 and found.region.stop == x.shape[1]
    assert found.confidence > 0.9
    was, told = (curve_of(one) for one in (*truth, found))
    assert abs(told.bias - was.bias) < 0.03
    out = run(REPAIR.open(FORMAT, [found]), bent)
    assert sdr_db(x, out) > sdr_db(x, bent) + 12


def test_truth_undoes_what_was_simulated() -> None:
    x = clean()
    for curve, better in ((0, 50.0), (1, 25.0), (2, 50.0)):
        bent, truth = DAMAGE.simulate(x, FORMAT, seed=1, curve=curve)
        assert sdr_db(x, run(REPAIR.open(FORMAT, truth), bent)) > sdr_db(x, bent) + better


def test_finds_none_in_clean_sound() -> None:
    for seed in range(4):
        assert not DAMAGE.detect(clean(seed), FORMAT)


@pytest.mark.parametrize("kind", ["noise", "hum", "clipping", "bandwidth", "crackle"])
def test_finds_none_in_other_damage(kind: str) -> None:
    damaged, _ = damages[kind].simulate(clean(), FORMAT, seed=3)
    assert not [f for f in DAMAGE.detect(damaged, FORMAT) if f.severity >= REPAIR.min_severity]


def test_finds_none_where_the_sound_was_equalised_since() -> None:
    bent, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, drive_db=6.0)
    later = signal.lfilter(*signal.butter(2, 200, "high", fs=FORMAT.sample_rate), bent)
    found = DAMAGE.detect(np.asarray(later, np.float32), FORMAT)
    x = signal.lfilter(*signal.butter(2, 200, "high", fs=FORMAT.sample_rate), clean())
    out = run(REPAIR.open(FORMAT, found), np.asarray(later, np.float32))
    assert sdr_db(x, out) >= sdr_db(x, later) - 0.1


def test_covers_only_the_part_that_was_bent() -> None:
    half = 6 * SECONDS * FORMAT.sample_rate
    x = np.concatenate([clean(1 + k % 3) for k in range(12)], axis=1)
    bent, _ = DAMAGE.simulate(x[:, half:], FORMAT, seed=1, curve=0)
    (found,) = DAMAGE.detect(np.concatenate((x[:, :half], bent), axis=1), FORMAT)
    assert abs(found.region.start - half) < FORMAT.sample_rate
    assert found.region.stop == 2 * half


def test_each_channel_has_its_curve() -> None:
    stereo = Format(FORMAT.sample_rate, 2)
    left = clean()
    right, _ = DAMAGE.simulate(clean(2), FORMAT, seed=1, curve=0)
    (found,) = DAMAGE.detect(np.concatenate((left, right)), stereo)
    assert found.region.channels == (1,)


def test_long_recordings_keep_the_loudest_of_each_stretch() -> None:
    """More frames than are kept: what is found is that of the whole."""
    x = np.concatenate([clean(seed) for seed in range(5)], axis=1)
    bent, _ = DAMAGE.simulate(x, FORMAT, seed=1, curve=2)
    (found,) = DAMAGE.detect(bent, FORMAT)
    assert (found.region.start, found.region.stop) == (0, x.shape[1])
    assert sdr_db(x, run(REPAIR.open(FORMAT, [found]), bent)) > sdr_db(x, bent) + 12


def test_peaks_fit_where_the_whole_was_bent() -> None:
    """A recorder that turned up what it had bent: the way back would pass full scale."""
    x = clean()
    bent, _ = DAMAGE.simulate(x, FORMAT, seed=1, curve=0)
    gain = np.float32(0.99 / np.abs(bent).max())
    loud = in_16_bits(bent * gain)
    found = DAMAGE.detect(loud, FORMAT)
    out, kept = (run(REPAIR.open(FORMAT, found, level=level), loud) for level in ("fit", "keep"))
    assert np.abs(kept).max() > 1.5 and 0.9 < np.abs(out).max() < 1.02
    assert sdr_db(x * gain, kept) > 25
    ratio = np.abs(out).max() / np.abs(kept).max()
    assert np.allclose(out, kept * ratio, atol=1e-5)
    half = np.concatenate((loud, clean(2)))
    (part,) = DAMAGE.detect(half, Format(FORMAT.sample_rate, 2))
    assert "gain_db" not in part.measures


def test_a_flat_top_of_a_bent_sound_is_no_clipping_of_its_own() -> None:
    region = Region(0, 1000, (0,))
    bent = Finding("saturation", region, 0.5, 0.9)
    cut = Finding("clipping", Region(10, 500, (0,)), 0.5, 0.9, {"level_high": 1.0, "level_low": -1.0})
    click = Finding("clicks", Region(20, 25, (0,)), 0.5, 0.9, {"peak_db": 3.0})
    assert settled([bent, cut, click], FORMAT) == (bent,)
    beside = Finding("clipping", Region(900, 1100, (0,)), 0.5, 0.9)
    assert beside in settled([bent, beside], FORMAT)


def test_guard_gives_back_what_a_wrong_curve_makes() -> None:
    x = clean()
    wrong = Finding("saturation", Region(0, x.shape[1]), 0.5, 1.0, measures_of(Curve(0.6)))
    stream = guarded(REPAIR.open(FORMAT, [wrong]), 0, REPAIR, FORMAT)
    assert np.array_equal(run(stream, x), x)
    verdicts = stream.verdicts  # type: ignore[attr-defined]
    assert {v.action for v in verdicts} == {"revert"} and verdicts[0].measures["fuller_db"] > 0.05


def test_guard_keeps_the_right_curve() -> None:
    bent, truth = DAMAGE.simulate(clean(), FORMAT, seed=1, curve=0)
    stream = guarded(REPAIR.open(FORMAT, truth), 0, REPAIR, FORMAT)
    assert np.array_equal(run(stream, bent), run(REPAIR.open(FORMAT, truth), bent))
    assert {v.action for v in stream.verdicts} == {"keep"}  # type: ignore[attr-defined]


def measures_of(curve: Curve) -> dict[str, float]:
    return {name: getattr(curve, name) for name in REPAIR.needs}


curves = st.builds(
    Curve,
    asymptote=st.floats(0.2, 2.0),
    bias=st.floats(-0.8, 0.8),
    knee=st.floats(0.8, 40.0),
    hardness=st.floats(0.3, 4.0),
    steepest=st.sampled_from((30.0, 300.0)),
)


@given(curve=curves)
@settings(max_examples=60, deadline=None)
def test_the_way_back_rises_from_zero_with_slope_one(curve: Curve) -> None:
    low, high = curve.trusted()
    assume(low < 0 < high)
    levels = np.linspace(1.2 * low, 1.2 * high, 3001)
    back = curve.undo(levels)
    assert (np.diff(back) > 0).all()
    small = 1e-4 * min(-low, high)
    slope = np.diff(curve.undo(np.array([-small, small])))[0] / (2 * small)
    assert abs(slope - 1) < 0.05 or abs(curve.bias) > 0.5
    assert curve.undo(np.zeros(1))[0] == 0


def test_slopes_of_the_search_are_those_of_what_it_lowers() -> None:
    bent, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, curve=0)
    bending = Bending(frames(bent)[:6])
    told = np.array([0.1, 0.2, 0.7, 0.2])
    _, slopes = bending.cost(told, 30.0)
    for k in range(4):
        step = 1e-4 * np.eye(4)[k]
        rise = bending.cost(told + step, 30.0)[0] - bending.cost(told - step, 30.0)[0]
        assert slopes[k] == pytest.approx(rise / 2e-4, rel=1e-2)


def test_noise_is_full_and_a_tone_empty() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 2048))
    tone = np.sin(2 * np.pi * 50.5 / 2048 * np.arange(2048))[np.newaxis]
    assert emptiness(noise)[0].max() > -4 and emptiness(tone)[0][0] < -40


def test_nothing_is_told_from_silence_or_too_little() -> None:
    silence = np.zeros((10, 2048), np.float32)
    assert not len(telling(silence, 80)) and search(silence[:0]) is None
    x = frames(clean())
    quiet = np.concatenate((x, 1e-3 * x))
    assert telling(quiet, len(quiet)).max() < len(x)
