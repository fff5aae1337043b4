"""The bench of denoisers: noises meet their ratios, measures are kept, peers come out undelayed."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import __main__ as bench
from bench import measure, report, synth, systems
from bench.material import Clip
from bench.peers import networks
from bench.peers.common import at_rate
from bench.tasks import denoise_pairs, scoring
from bench.tasks.pairs import Pair
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.types import Format


@functools.cache
def clip(rate: int = 44100) -> Clip:
    sound = synth.strings(0, 3.0)[np.newaxis].astype(np.float32)
    return denoise_pairs.at_rate(Clip("strings", "music", sound, Format(synth.RATE_HZ, 1)), rate)


@pytest.mark.parametrize("kind", denoise_pairs.STEADY)
@pytest.mark.parametrize("rate", [44100, 48000])
def test_steady_noise_meets_its_ratio_and_shows_itself(kind: str, rate: int) -> None:
    pair = denoise_pairs.steady(clip(rate), kind, 10)
    assert measure.sdr(pair.clean, pair.damaged) == pytest.approx(10, abs=0.01)
    alone = pair.facts["noise"]
    assert len(alone) == rate // 2
    in_mixture = pair.damaged - pair.clean
    assert np.std(alone) == pytest.approx(np.std(in_mixture), rel=0.7)
    again = denoise_pairs.steady(clip(rate), kind, 10)
    np.testing.assert_array_equal(pair.damaged, again.damaged)


def test_hum_left_over_has_lines_at_the_mains() -> None:
    noise = synth.hum_left(3, 8.0, 48000)
    power = np.abs(np.fft.rfft(noise * np.hanning(len(noise)))) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / 48000)
    lines = [
        max(
            power[np.abs(hz - mains * k) < 2].max() / np.median(power[np.abs(hz - mains * k) < 20])
            for k in (1, 2, 3)
        )
        for mains in (50.0, 60.0)
    ]
    assert max(lines) > 100


def test_surface_noise_comes_back_with_the_turn() -> None:
    noise = synth.surface(1, 30.0, 16000)
    loudness = np.log(np.convolve(noise**2, np.ones(800) / 800, "same")[::400] + 1e-12)
    loudness -= loudness.mean()
    spectrum = np.abs(np.fft.rfft(loudness * np.hanning(len(loudness)))) ** 2
    hz = np.fft.rfftfreq(len(loudness), 400 / 16000)
    turns = [turn / 60 for turn in (100 / 3, 45.0, 78.26)]
    peak = hz[np.argmax(spectrum * (hz < 4))]
    assert min(abs(peak - k * turn) for turn in turns for k in (1, 2, 3)) < 0.06


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5000), st.sampled_from([(512, 256), (512, 128), (400, 100)]))
def test_frames_overlap_and_add_to_the_sound(length: int, sizes: tuple[int, int]) -> None:
    size, hop = sizes
    x = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    frames = networks._frames(x, size, hop)
    back = networks._cut(networks._added(frames, hop) / (size // hop), size - hop, length)
    np.testing.assert_allclose(back, x, atol=1e-6)


def test_a_peers_delay_and_rate_are_taken_out() -> None:
    def late(x: systems.Array) -> systems.Array:
        return np.concatenate((np.zeros(100, np.float32), x))[: len(x)]

    x = clip().samples[0]
    same = at_rate(late, 44100, 100)(x, 44100, {})
    np.testing.assert_array_equal(same, x)
    resampled = at_rate(late, 48000, 100)(x, 44100, {})
    assert measure.sdr(x[500:-500], resampled[500:-500]) > 60


def test_without_their_files_peers_are_named_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAVEMEND_PEERS", raising=False)
    for system in (networks.ulunas(), networks.fastenhancer("b")):
        assert system.missing


def double(x: systems.Array, rate: int, facts: Mapping[str, Any]) -> systems.Array:
    return x * np.float32(0.25)


def test_measures_are_taken_once_and_beyond_is_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "CACHE", tmp_path)
    calls: list[float] = []

    def share(clean: systems.Array, out: systems.Array, rate: int) -> float:
        calls.append(float(out[0]))
        return float(out[0] / clean[0])

    monkeypatch.setattr(scoring, "MEASURES", {"share": share})
    ones = np.ones(100, np.float32)
    pairs = [Pair("a", ones, 2 * ones, 8000, name="x"), Pair("b", ones, 4 * ones, 8000, name="y")]
    tried = [
        systems.untouched(),
        systems.System("quarter", double),
        systems.System("gone", double, "a package"),
    ]
    for _ in range(2):
        scored = scoring.score(pairs, tried, ["share"])
    assert len(calls) == 4
    table = scored.by("t", "a", "share", beyond="(input)", scale=100)
    assert table.head == ["system", "a", "b", "all"]
    assert table.rows[0][1:] == [0.0, 0.0, 0.0]
    assert table.rows[1] == ["quarter", -150.0, -300.0, -225.0]
    assert len(table.rows) == 2
    assert scored.settings == {"pairs": 2, "missing": "gone (a package)"}
    assert scored.clips()["systems"]["quarter"]["share"] == [0.5, 1.0]
    assert scored.clips()["pairs"] == [["x", "", "a"], ["y", "", "b"]]


def test_a_peer_that_fails_is_named_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "CACHE", tmp_path)
    monkeypatch.setattr(scoring, "MEASURES", {"first": lambda clean, out, rate: float(out[0])})
    pairs = [Pair("a", np.ones(9, np.float32), np.ones(9, np.float32), 8000)]

    def broken(x: systems.Array, rate: int, facts: Mapping[str, Any]) -> systems.Array:
        raise ValueError("no such layer")

    tried = [systems.untouched(), systems.System("peer", broken, version="1"), systems.System("q", double)]
    scored = scoring.score(pairs, tried, ["first"])
    assert set(scored.values) == {"(input)", "q"}
    assert scored.settings["missing"] == "peer (failed: ValueError: no such layer)"
    with pytest.raises(ValueError, match="no such layer"):  # ours must not fail in silence
        scoring.score(pairs, [systems.System("ours", broken)], ["first"])


def test_speech_that_is_gone_counts_as_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.ones(10, np.float32)
    monkeypatch.setattr(measure, "pesq_wb", lambda clean, out, rate: 4.6 if out.any() else None)
    assert scoring.pesq(sound, sound, 16000) == 4.6
    assert scoring.pesq(sound, 0 * sound, 16000) == 1.0
    assert scoring.pesq(0 * sound, 0 * sound, 16000) is None


def test_forced_works_where_restore_leaves_alone() -> None:
    x = synth.strings(1, 3.0).astype(np.float32)
    rate = synth.RATE_HZ
    forced = systems.forced("classic").run(x, rate, {})
    decided = systems.decided("classic").run(x, rate, {})
    assert forced.shape == decided.shape == x.shape
    np.testing.assert_array_equal(decided, x)


def test_single_values_have_a_file_and_columns_their_digits(tmp_path: Path) -> None:
    table = report.Table("T", "A.", ["system", "a", "b"], [["x", 1.234, 1.234]], (0, 2))
    order = ["one", "two"]
    report.write([report.Section("one", "One", [table], clips={"v": [1.0]})], {"date": "d"}, tmp_path, order)
    report.write([report.Section("two", "Two", [table], clips={"v": [2.0]})], {"date": "d"}, tmp_path, order)
    assert "| x | 1 | 1.23 |" in (tmp_path / "RESULTS.md").read_text()
    assert json.loads((tmp_path / "clips.json").read_text()) == {"one": {"v": [1.0]}, "two": {"v": [2.0]}}
    report.write([report.Section("two", "Two", [table])], {"date": "d"}, tmp_path, ["two"])
    assert list(json.loads((tmp_path / "results.json").read_text())) == ["two"]


def test_a_name_stands_for_all_its_tasks() -> None:
    assert bench.named("clicks") == ["clicks"]
    assert bench.named("denoise") == [name for name in bench.TASKS if name.startswith("denoise-")]
    assert not bench.named("deno")
