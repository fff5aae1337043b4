"""Another rate while it streams: exact in time and level, the same for any cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.resample import LONGEST, Ratio, Resampler
from wavemend.core.types import Samples


def converted(
    samples: Samples, rate_in: int, rate_out: int, cuts: tuple[int, ...] = (), periods: int = 3
) -> Samples:
    ratio = Ratio.of(rate_in, rate_out)
    stream = Resampler(len(samples), ratio, periods * ratio.down)
    places = [0, *sorted(cuts), samples.shape[1]]
    parts = [stream.push(samples[:, a:b]) for a, b in pairwise(places)]
    return np.concatenate([*parts, stream.flush()], axis=1)


# at the odd rate no period is short enough for a matrix
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_768, 44_100, 47_997, 96_000, 192_000])
def test_tones_come_out_where_they_were_there_and_back(rate: int) -> None:
    low = min(rate, 48_000)
    hz = np.array([[0.003], [0.11], [0.31], [0.44]]) * low
    tones = {
        r: (0.5 * np.sin(2 * np.pi * hz * np.arange(r) / r + 1)).astype(np.float32) for r in (rate, 48_000)
    }
    there = converted(tones[rate], rate, 48_000)
    assert there.shape[1] == 48_000
    middle = slice(2400, -2400)
    assert np.abs(there - tones[48_000])[:, middle].max() < 0.5 * 10 ** (-100 / 20)
    back = converted(there, 48_000, rate)
    assert np.abs(back - tones[rate])[:, rate // 20 : -rate // 20].max() < 0.5 * 10 ** (-100 / 20)


@pytest.mark.parametrize(("rate", "hz"), [(96_000, 25_000), (192_000, 60_000), (48_000, 23_000)])
def test_what_the_lower_rate_cannot_hold_is_gone(rate: int, hz: float) -> None:
    to = 44_100 if rate == 48_000 else 48_000
    tone = np.sin(2 * np.pi * hz * np.arange(rate) / rate)[np.newaxis].astype(np.float32)
    assert np.abs(converted(tone, rate, to)[:, 2400:-2400]).max() < 10 ** (-100 / 20)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(44_100, 48_000), (48_000, 8_000), (96_000, 48_000), (1_201, 1_303)]),
    st.integers(0, 900),
    st.lists(st.integers(0, 900), max_size=5),
    st.integers(1, 5),
)
def test_any_cut_and_length(rates: tuple[int, int], length: int, cuts: list[int], periods: int) -> None:
    samples = np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)
    whole = converted(samples, *rates, periods=periods)
    ratio = Ratio.of(*rates)
    assert whole.shape == (2, -(-length * ratio.up // ratio.down))
    cut = converted(samples, *rates, cuts=tuple(min(c, length) for c in cuts), periods=periods)
    assert np.array_equal(whole, cut)
    other = converted(samples, *rates, periods=periods + 1)
    assert other == pytest.approx(whole, abs=1e-5)


def test_both_ways_of_working_it_out_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(1).standard_normal((2, 3000)).astype(np.float32)
    ratio = Ratio.of(44_100, 48_000)
    assert ratio.up <= LONGEST
    product = converted(samples, 44_100, 48_000)
    monkeypatch.setattr("wavemend.core.resample.LONGEST", 0)
    monkeypatch.setattr("wavemend.core.resample.SHORT", 0)
    assert converted(samples, 44_100, 48_000) == pytest.approx(product, abs=1e-5)
