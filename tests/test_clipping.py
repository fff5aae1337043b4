"""The clipping detector: exact levels wherever they lie, and silence where nothing is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from wavemend.core.types import Finding, Format, Samples
from wavemend.damage.clipping import DAMAGE, UNREACHED

FORMAT = Format(44_100, 2)
SECONDS = 4


def clipped_by(findings: tuple[Finding, ...], x: Samples) -> np.ndarray:
    """The samples that findings call clipped: in their region, at or beyond their levels."""
    mask = np.zeros(x.shape, bool)
    for finding in findings:
        (channel,) = finding.region.channels or ()
        span = slice(finding.region.start, finding.region.stop)
        part = x[channel, span]
        mask[channel, span] |= part >= finding.measures["level_high"]
        mask[channel, span] |= part <= finding.measures["level_low"]
    return mask


def clean() -> Samples:
    return music(FORMAT, SECONDS * FORMAT.sample_rate)


def as_pcm(x: Samples, bits: int, dither: bool = False) -> Samples:
    rng = np.random.default_rng(0)
    noise = rng.random(x.shape) - rng.random(x.shape) if dither else 0.0
    top = 2 ** (bits - 1)
    return (np.clip(np.round(x * float(top) + noise), -top, top - 1) / top).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"sdr_db": 1.0},
        {"sdr_db": 7.0},
        {"sdr_db": 20.0, "gain_db": -23.0},
        {"sdr_db": 15.0, "sides": 1},
        {"level": 0.2, "gain_db": 9.0},
    ],
)
@pytest.mark.parametrize("store", ["float", "16 bit", "16 bit dithered", "24 bit"])
def test_finds_every_clipped_sample_and_no_other(options: dict[str, float], store: str) -> None:
    damaged, truth = DAMAGE.simulate(clean(), FORMAT, seed=2, **options)
    wanted = clipped_by(truth, damaged)
    if store != "float":
        damaged = as_pcm(damaged, int(store[:2]), dither="dithered" in store)
    found = clipped_by(DAMAGE.detect(damaged, FORMAT), damaged)
    assert (found & wanted).sum() >= 0.98 * wanted.sum()
    # what lies within the quantisation of the level cannot be told from it
    assert (found & ~wanted).sum() <= (0.001 if store == "float" else 0.03) * wanted.sum() + 2


def test_levels_are_exact_and_the_open_side_is_out_of_reach() -> None:
    damaged, (truth, *_) = DAMAGE.simulate(clean(), FORMAT, seed=1, sdr_db=10.0, sides=1, gain_db=-3.0)
    found = DAMAGE.detect(damaged, FORMAT)
    assert found
    for finding in found:
        assert finding.measures["level_high"] == truth.measures["level_high"]
        assert finding.measures["level_low"] == truth.measures["level_low"]
        assert UNREACHED in (finding.measures["level_high"], -finding.measures["level_low"])


def test_levels_of_two_passages_are_told_apart() -> None:
    first, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, level=0.2)
    second, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, level=0.2, gain_db=-12.0)
    found = DAMAGE.detect(np.concatenate((first, second), axis=1), FORMAT)
    levels = {round(f.measures["level_high"], 5) for f in found if f.measures["level_high"] < UNREACHED}
    assert levels == {0.2, round(0.2 * 10 ** (-12 / 20), 5)}
    assert all(f.confidence > 0.8 for f in found if f.measures["runs"] > 5)


@pytest.mark.parametrize("format", [Format(8_000, 1), Format(192_000, 1), Format(48_000, 8)])
def test_any_rate_and_any_channels(format: Format) -> None:
    x = music(format, 2 * format.sample_rate)
    damaged, truth = DAMAGE.simulate(x, format, seed=1, sdr_db=10.0)
    wanted = clipped_by(truth, damaged)
    assert (clipped_by(DAMAGE.detect(damaged, format), damaged) & wanted).sum() >= 0.95 * wanted.sum()
    assert DAMAGE.detect(x, format) == ()


def test_only_the_clipped_channel() -> None:
    damaged, _ = DAMAGE.simulate(clean(), FORMAT, seed=1, sdr_db=10.0)
    damaged[0] = clean()[0]
    assert {f.region.channels for f in DAMAGE.detect(damaged, FORMAT)} == {(1,)}


TIME = np.arange(3 * 44_100) / 44_100


def square(pitch: float, duty: float = 0.5) -> np.ndarray:
    return np.where((TIME * pitch) % 1 < duty, 1.0, -1.0)


def limited(x: np.ndarray) -> np.ndarray:
    """Driven 12 dB into a limiter with a look-ahead of 2 ms: peaks at the ceiling, none cut."""
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    gain = minimum_filter1d(0.98 / np.maximum(np.abs(4 * x), 0.98), 178)
    return np.asarray(4 * x * uniform_filter1d(gain, 89))


HARMLESS = {
    "music": lambda: clean()[0],
    "low sine at 16 bit": lambda: as_pcm(0.9 * np.sin(2 * np.pi * 40 * TIME), 16),
    "sine at 8 bit": lambda: as_pcm(0.9 * np.sin(2 * np.pi * 211.3 * TIME), 8),
    "sine at full scale": lambda: as_pcm(np.sin(2 * np.pi * 997 * TIME), 16),
    "square wave": lambda: 0.5 * square(220.3),
    "two squares and a pulse": lambda: as_pcm(
        0.3 * square(220.3) + 0.2 * square(331.7, 0.25) + 0.25 * square(554.1, 0.125), 16
    ),
    "stairs of a four-bit triangle": lambda: np.round(7.5 * (2 * np.abs(2 * (TIME * 180 % 1) - 1) - 1)) / 9,
    "square and sine in turn": lambda: np.where(
        TIME % 0.05 < 0.025, 0.5 * square(220.3), 0.3 * np.sin(2 * np.pi * 313 * TIME)
    ),
    "gated tone": lambda: 0.7 * np.sin(2 * np.pi * 300 * TIME) * (TIME % 0.3 < 0.15),
    "held samples": lambda: np.repeat(clean()[0][::8], 8)[: len(TIME)],
    "noise at 16 bit": lambda: as_pcm(np.random.default_rng(1).standard_normal(len(TIME)) * 0.02, 16),
    "music through a limiter": lambda: limited(clean()[0].astype(np.float64)),
    "silence": lambda: np.zeros(len(TIME)),
    "offset": lambda: np.full(len(TIME), 0.5),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_silent_where_nothing_is_cut(name: str) -> None:
    x = np.asarray(HARMLESS[name](), np.float32)[np.newaxis]
    found = DAMAGE.detect(x, Format(44_100, 1))
    assert [f for f in found if f.confidence >= 0.5] == []


def test_touching_full_scale_once_is_too_little() -> None:
    x = clean()[:1] * np.float32(1.9)
    x[0, 50_000:50_003] = 1.0
    found = DAMAGE.detect(as_pcm(x, 16), Format(44_100, 1))
    assert all(f.confidence < 0.5 for f in found)


@settings(max_examples=25, deadline=None)
@given(sdr=st.floats(0.5, 40.0), gain=st.floats(-20.0, 10.0), seed=st.integers(0, 99), one=st.booleans())
def test_simulation_gives_the_distortion_asked_for(sdr: float, gain: float, seed: int, one: bool) -> None:
    x = music(Format(8_000, 1), 4_000)
    damaged, truth = DAMAGE.simulate(
        x, Format(8_000, 1), seed, sdr_db=sdr, gain_db=gain, sides=1 if one else 2
    )
    back = damaged.astype(np.float64) / 10 ** (gain / 20)
    power = np.square(x, dtype=np.float64).sum()
    got = 10 * np.log10(power / np.square(x - back).sum())
    # one side alone may hold too little energy to lose that much
    assert got == pytest.approx(sdr, abs=0.1) or (one and got > sdr)
    mask = clipped_by(truth, damaged)
    assert np.array_equal(mask, np.abs(back - x) > 1e-6) or mask.sum() >= (np.abs(back - x) > 1e-6).sum()
