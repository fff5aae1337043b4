"""Blocks, windows, chains and confinement: laws that every stream stands on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.blocks import Grid, Window
from wavemend.core.types import Format, Region, Samples, merge_spans, runs
from wavemend.engine.confine import Confined
from wavemend.engine.spectral import Spectra, Spectral
from wavemend.engine.stream import Chain, Chunked, Passthrough, run

FORMAT = Format(8_000, 2)


def sound(samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-1, 1, (2, samples)).astype(np.float32)


class Mean(Chunked):
    """The mean of each chunk's window, so that a wrong window shows."""

    def process(self, window: Window) -> Samples:
        return np.repeat(window.samples.mean(axis=1, keepdims=True), window.length, axis=1)


class Unchanged(Spectral):
    def change(self, spectra: Spectra) -> Spectra:
        return spectra


sizes = st.integers(0, 400)
blocks = st.lists(st.integers(0, 90), max_size=8)


@given(sizes, blocks, st.integers(1, 60), st.integers(0, 70), st.integers(0, 70))
def test_windows_do_not_depend_on_the_cut(
    total: int, cuts: list[int], hop: int, left: int, right: int
) -> None:
    x = sound(total)
    grid = Grid(2, hop, left, right)
    seen = []
    at = 0
    for size in [*cuts, total]:
        seen += [(w.start, w.length, w.lead, w.samples.copy()) for w in grid.push(x[:, at : at + size])]
        at = min(at + size, total)
    seen += [(w.start, w.length, w.lead, w.samples.copy()) for w in grid.flush()]
    assert grid.received == total
    assert sum(length for _, length, _, _ in seen) == total
    for start, length, lead, samples in seen:
        assert start % hop == 0
        assert np.array_equal(samples, x[:, start - lead : min(start + length + right, total)])
        assert lead == min(start, left)


@given(sizes, blocks)
def test_a_chain_is_aligned_and_as_long_as_its_input(total: int, cuts: list[int]) -> None:
    x = sound(total)

    class Same(Chunked):
        def process(self, window: Window) -> Samples:
            return window.chunk

    chain = Chain(FORMAT, [Same(FORMAT, 17, 3, 5), Passthrough(FORMAT), Same(FORMAT, 64, 0, 30)])
    assert chain.latency == 17 + 5 + 64 + 30
    parts, at = [], 0
    for size in [*cuts, total]:
        parts.append(chain.push(x[:, at : at + size]))
        at = min(at + size, total)
        assert sum(p.shape[1] for p in parts) >= at - chain.latency
    parts.append(chain.flush())
    assert np.array_equal(np.concatenate(parts, axis=1), x)


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(1, 700), st.sampled_from([(256, 64), (256, 128), (64, 16)]))
def test_spectra_that_are_not_changed_give_the_input_back(
    total: int, block: int, shape: tuple[int, int]
) -> None:
    x = sound(total)
    whole = run(Unchanged(FORMAT, *shape, frames_per_chunk=5), x)
    assert np.abs(whole - x).max(initial=0) < 2e-6
    assert np.array_equal(run(Unchanged(FORMAT, *shape, frames_per_chunk=5), x, block), whole)


regions = st.lists(
    st.tuples(st.integers(0, 399), st.integers(1, 200), st.sampled_from([None, (0,), (1,), (0, 1)])),
    max_size=4,
)


@given(st.integers(1, 400), regions, st.integers(0, 40), st.floats(0, 1), st.integers(1, 400))
def test_confined_changes_nothing_outside(
    total: int, rows: list[tuple[int, int, tuple[int, ...] | None]], fade: int, strength: float, block: int
) -> None:
    x = sound(total)
    chosen = [Region(a, a + length, channels) for a, length, channels in rows]
    out = run(Confined(Mean(FORMAT, 32, 8, 8), FORMAT, chosen, fade, strength), x, block)
    assert out.shape == x.shape
    for channel in range(2):
        inside = np.zeros(total, bool)
        for region in chosen:
            if region.of_channel(channel):
                inside[region.start : region.stop] = True
        assert np.array_equal(out[channel, ~inside], x[channel, ~inside])
    assert np.array_equal(out, run(Confined(Mean(FORMAT, 32, 8, 8), FORMAT, chosen, fade, strength), x))


@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (0, 2000), (0, 400), (600, 1000)])
def test_no_fade_where_the_recording_begins_or_ends(start: int, stop: int) -> None:
    x = sound(1000)
    wet = run(Mean(FORMAT, 32, 8, 8), x)
    out = run(Confined(Mean(FORMAT, 32, 8, 8), FORMAT, [Region(start, stop)], fade=50), x, block=70)
    flat = slice(start if start == 0 else start + 50, 1000 if stop >= 1000 else stop - 50)
    assert np.array_equal(out[:, flat], wet[:, flat])
    if start:
        assert not np.array_equal(out[:, start : start + 50], wet[:, start : start + 50])
    if stop < 1000:
        assert not np.array_equal(out[:, stop - 50 : stop], wet[:, stop - 50 : stop])


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 4))
def test_runs_and_merged_spans_cover_what_is_true(bits: list[bool], gap: int) -> None:
    mask = np.array(bits, bool)
    spans = runs(mask)
    rebuilt = np.zeros(len(mask), bool)
    for a, b in spans:
        assert a < b
        rebuilt[a:b] = True
    assert np.array_equal(rebuilt, mask)
    merged = merge_spans(spans[::-1], gap)
    assert all(b + gap < c for (_, b), (c, _) in itertools.pairwise(merged))
    assert all(any(a <= s and t <= b for a, b in merged) for s, t in spans)
