"""The bench measures what it says: known errors give known numbers, and its clips are always the same."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bench import measure, report, synth, systems
from bench.material import Clip, Material
from bench.tasks import clicks, declip, denoise_pairs, diagnosis, extend, fill, fill_long, hum
from bench.tasks.pairs import Pair, head, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.types import Finding, Format, Region

RATE = 16000


@functools.cache
def clip(seconds: float = 3.0, role: str = "music", seed: int = 0) -> Clip:
    make = {"speech": synth.voice, "music": synth.strings, "noise": synth.air}[role]
    sound = make(seed, seconds)[np.newaxis].astype(np.float32)
    return Clip(f"{role} {seed}", role, sound, Format(synth.RATE_HZ, 1))


@given(st.integers(0, 1000), st.floats(-10, 60))
def test_sdr_is_what_was_mixed(seed: int, db: float) -> None:
    rng = np.random.default_rng(seed)
    clean, error = rng.standard_normal((2, 4000))
    error *= np.sqrt(np.sum(clean**2) / np.sum(error**2)) * 10 ** (-db / 20)
    assert measure.sdr(clean, clean + error) == pytest.approx(db, abs=1e-6)
    assert measure.gone(clean, clean + error, clean + error / 10) == pytest.approx(20.0, abs=1e-6)


@given(st.floats(0.1, 10))
def test_si_sdr_does_not_see_gain(gain: float) -> None:
    rng = np.random.default_rng(1)
    clean, error = rng.standard_normal((2, 4000))
    out = clean + 0.1 * error
    assert measure.si_sdr(clean, gain * out) == pytest.approx(measure.si_sdr(clean, out), abs=1e-6)


def test_cut_share_knows_a_cut_from_none() -> None:
    x = clip().samples[0]
    assert measure.cut_share(x, x, RATE) == 0.0
    assert measure.cut_share(x, x * 10 ** (-2 / 20), RATE) < 1e-6
    assert measure.cut_share(x, x * 10 ** (-4 / 20), RATE) == pytest.approx(1.0)
    hiss = clip(role="noise").samples[0]
    assert measure.lsd(hiss, hiss * 0.5, RATE) == pytest.approx(6.02, abs=0.01)


def test_a_perfect_output_is_at_most_200_db() -> None:
    x = clip().samples[0]
    assert measure.sdr(x, x) == pytest.approx(200.0)
    assert measure.gone(x, x + np.float32(0.1), x) == pytest.approx(200.0)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(clicks.KINDS), st.integers(0, 3))
def test_clicks_change_only_their_places(kind: str, seed: int) -> None:
    given_clip = clip(seed=seed)
    damaged, places = clicks.add_clicks(given_clip, kind, 5.0)
    touched = np.zeros(len(damaged), bool)
    for a, b in places:
        touched[a:b] = True
        assert not np.array_equal(damaged[a:b], given_clip.samples[0, a:b])
    assert places
    np.testing.assert_array_equal(damaged[~touched], given_clip.samples[0, ~touched])
    np.testing.assert_array_equal(damaged, clicks.add_clicks(given_clip, kind, 5.0)[0])


@pytest.mark.parametrize("input_db", declip.LEVELS_DB)
def test_clipping_meets_its_input_sdr(input_db: float) -> None:
    pair = declip.clipped(clip(), input_db)
    assert measure.sdr(pair.clean, pair.damaged) == pytest.approx(input_db, abs=0.05)
    assert np.abs(pair.damaged).max() == pytest.approx(pair.facts["clip_level"], rel=1e-5)


@pytest.mark.parametrize("db", [0, 20])
def test_noise_meets_its_ratio(db: float) -> None:
    pair = denoise_pairs.noisy(clip(role="speech"), clip(role="noise", seconds=1.0), db)
    assert measure.sdr(pair.clean, pair.damaged) == pytest.approx(db, abs=0.01)


@pytest.mark.parametrize("condition", hum.CONDITIONS)
def test_hum_lies_on_its_mains_frequency(condition: str) -> None:
    mains_hz, wander_hz, rich = hum.CONDITIONS[condition]
    made = hum.made(clip(8.0), condition)
    power = np.abs(np.fft.rfft(made * np.hanning(len(made)))) ** 2
    hz = np.fft.rfftfreq(len(made), 1 / synth.RATE_HZ)
    nearest = np.abs(hz - mains_hz * np.round(hz / mains_hz))
    loud = power > 1e-6 * power.max()
    harmonic = np.maximum(np.round(hz / mains_hz), 1)
    assert np.all(nearest[loud] <= (wander_hz + 0.05) * harmonic[loud] + 1.0)
    assert (hz[loud].max() > 3000) == rich


def test_gaps_are_gaps_and_leaving_them_gives_nothing() -> None:
    pair = fill.gapped(clip(4.0), 10.0)
    assert pair.facts["gaps"]
    for a, b in pair.facts["gaps"]:
        assert not pair.damaged[a:b].any()
        assert measure.sdr(pair.clean[a:b], pair.damaged[a:b]) == pytest.approx(0.0)


def test_erb_distance_is_a_level() -> None:
    hiss = clip(role="noise").samples[0]
    assert measure.erb_distance(hiss, hiss, RATE) == 0.0
    assert measure.erb_distance(hiss, hiss * 0.5, RATE) == pytest.approx(6.02, abs=0.05)
    a, b = measure.around(np.arange(60_000.0), np.arange(60_000.0) + 1, 48_000, 20_000, 30_000)
    assert (a[0], a[-1]) == (20_000 - 1024, 30_000 + 1023) and (b - a == 1).all()


def test_long_gaps_are_the_same_for_all_and_copying_finds_what_repeats() -> None:
    pair = fill_long.torn(clip(8.0), 200)
    assert pair is not None and pair.facts["gaps"]
    outside = np.ones(len(pair.clean), bool)
    for a, b in pair.facts["gaps"]:
        assert b - a == round(0.2 * pair.rate) and not pair.damaged[a:b].any()
        outside[a:b] = False
    assert np.array_equal(pair.clean[outside], pair.damaged[outside])
    again = fill_long.torn(clip(8.0), 200)
    assert again is not None and again.facts == pair.facts
    bar = np.random.default_rng(0).standard_normal(4_000).astype(np.float32)
    sound = np.tile(bar, 12)
    torn = sound.copy()
    torn[20_000:22_000] = 0
    found = fill_long.copying().run(torn, RATE, {"gaps": [(20_000, 22_000)]})
    assert np.allclose(found, sound, atol=1e-6)


def test_seams_tell_a_click_and_a_jump() -> None:
    rng = np.random.default_rng(1)
    sound = (0.1 * rng.standard_normal(4 * RATE)).astype(np.float32)
    a, b = RATE, 2 * RATE
    lowest, jump, click = fill_long._seams(sound, sound, RATE, a, b)
    assert lowest > -2 and abs(jump) < 2 and click < 1.3
    loud = sound.copy()
    loud[a:b] *= 4
    assert abs(fill_long._seams(sound, loud, RATE, a, b)[1] - 12) < 2
    clicked = sound.copy()
    clicked[b - 1] = 3.0
    assert fill_long._seams(sound, clicked, RATE, a, b)[2] > 5


def test_missing_and_slow_systems_stay_in_the_table() -> None:
    def slow(x: systems.Array, rate: int, facts: object) -> systems.Array:
        raise systems.TooSlowError

    x = clip().samples[0]
    pairs = [Pair("a", x, x + np.float32(0.01), RATE), Pair("b", x, x, RATE)]
    everyone = [
        systems.untouched(),
        systems.System("absent", slow, missing="a program"),
        systems.System("slow", slow),
        systems.ours(["no such damage"]),
    ]
    made = rows(pairs, everyone, lambda pair, out: [measure.sdr(pair.clean, out)], report.mean)
    assert [len(row) for row in made] == [len(head(pairs))] * 4
    assert made[0][2] == pytest.approx(200.0)
    assert "missing: a program" in str(made[1][0])
    assert made[2][1:3] == [None, None]
    assert "missing: no repair" in str(made[3][0])


def test_peers_are_kept_by_sound_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "CACHE", tmp_path)
    calls = []

    def half(x: systems.Array, rate: int, facts: object) -> systems.Array:
        calls.append(rate)
        return x / 2

    x = clip(0.5).samples[0]
    for version, sound in (("1", x), ("1", x), ("2", x), ("1", -x)):
        ran = systems.use(systems.System("half", half, version=version), sound, RATE)
        assert ran is not None
        np.testing.assert_array_equal(ran.out, sound / 2)
    assert len(calls) == 3


def finding(start: int, stop: int, confidence: float = 0.9, channel: int = 0) -> Finding:
    return Finding("clicks", Region(start, stop, (channel,)), 0.5, confidence)


def test_diagnosis_counts_events() -> None:
    tally = diagnosis.Tally()
    sound = clip()
    truth = [finding(1000, 1010), finding(20000, 20010), finding(40000, 40010)]
    found = [
        finding(1005, 1012),
        finding(20000, 20010, 0.2),
        finding(60000, 60010),
        finding(40000, 40010, 0.9, 1),
    ]
    diagnosis.add_damaged(tally, sound, truth, found)
    diagnosis.add_clean(tally, sound, diagnosis.sure_ones([finding(5, 9, 0.4)]))
    assert (tally.found, tally.tried, tally.true_events, tally.hit_events) == (1, 1, 3, 1)
    assert (tally.findings, tally.right_findings) == (3, 1)
    assert (tally.clean, tally.alarms) == (1, 0)
    assert len(tally.sure) == 4


def test_calibration_sees_a_boaster() -> None:
    honest, boaster = diagnosis.Tally(), diagnosis.Tally()
    honest.sure = [(0.85, i % 20 < 17) for i in range(100)]
    boaster.sure = [(0.85, False)] * 100
    assert "error 0.000" in diagnosis.calibration({"a": honest}).about
    assert "error 0.850" in diagnosis.calibration({"a": boaster}).about


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    columns = ["path", "role", "source", "split", "seconds", "sample_rate"]
    with open(tmp_path / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for i in range(12):
            name = f"piece{i}.wav"
            sound = synth.air(i, 2.0) if i != 3 else np.zeros(88200)
            soundfile.write(tmp_path / name, sound, synth.RATE_HZ, subtype="PCM_16")
            writer.writerow(
                [name, "music", f"source{i % 2}", "test" if i < 8 else "train", 2.0, synth.RATE_HZ]
            )
    return tmp_path


def test_clips_are_chosen_by_hash(corpus: Path) -> None:
    first = Material(corpus).clips("music", 5, 1.0, shortest=1.0)
    again = Material(corpus).clips("music", 6, 1.0, shortest=1.0)
    assert [c.name for c in first] == [c.name for c in again[:5]]
    assert len(Material(corpus).clips("music", 100, 1.0, shortest=1.0)) == 7  # of 8, one is silent
    for one, other in zip(first, again, strict=False):
        np.testing.assert_array_equal(one.samples, other.samples)
        assert one.seconds == 1.0
    assert {c.name.split(".")[0] for c in first}.isdisjoint({f"piece{i}" for i in range(8, 12)})


def test_quantised_is_on_the_grid() -> None:
    for bits in (16, 24):
        steps = clip().quantised(bits).samples.astype(np.float64) * 2 ** (bits - 1)
        np.testing.assert_array_equal(steps, np.round(steps))


def test_results_are_written_for_people_and_programs(tmp_path: Path) -> None:
    table = report.Table(
        "A title", "About it.", ["system", "a"], [["x | y", -1.26], ["z", None]], notes=["A note."]
    )
    first, second = (report.Section(name, name.upper(), [table], {"clips": 2}) for name in ("one", "two"))
    report.write([second], {"date": "yesterday", "machine": "m"}, tmp_path, ["one", "two"])
    report.write([first], {"date": "today", "machine": "m"}, tmp_path, ["one", "two"])
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| x / y | −1.3 |" in text
    assert "| z | – |" in text
    assert "| machine | m |" in text
    assert text.index("## ONE\n\ndate: today; clips: 2.") < text.index("## TWO\n\ndate: yesterday; clips: 2.")
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["two"]["tables"][0]["rows"][0] == ["x | y", -1.26]
    assert report.markdown(content) == text


def test_the_fields_distance_is_a_bel_for_ten_decibels_and_stops_at_its_floor() -> None:
    clean = np.random.default_rng(0).standard_normal(24_000) * 0.1
    assert measure.lsd_field(clean, clean, 48_000) == 0
    assert measure.lsd_field(clean, clean * 10**0.5, 48_000) == pytest.approx(1.0, abs=1e-3)
    silence = np.zeros(24_000)
    assert measure.lsd_field(silence, 1e-9 * clean, 48_000) == 0
    high = np.fft.irfft(np.fft.rfft(clean) * (np.arange(12_001) > 9_000), 24_000)
    assert (
        measure.lsd_field(clean, clean - high, 48_000, 8_000)
        < 0.02
        < measure.lsd_field(clean, clean - high, 48_000)
    )


def test_what_changes_below_the_end_is_weighed_against_the_whole() -> None:
    second = np.arange(48_000) / 48_000
    given = np.sin(2 * np.pi * 1000 * second)
    added = given + 0.01 * np.sin(2 * np.pi * 2000 * second) + np.sin(2 * np.pi * 9000 * second)
    assert measure.changed_below(given, added, 48_000, 5_000) == pytest.approx(-40, abs=0.1)
    assert measure.changed_below(given, added, 48_000, 1_500) < -120


def test_a_narrowed_clip_lacks_what_lies_above_and_keeps_what_lies_below() -> None:
    whole = clip(role="noise")
    pair = extend.narrowed(whole, 4_000.0)
    assert pair.clean.shape == pair.damaged.shape
    assert measure.lsd_field(pair.clean, pair.damaged, pair.rate, 3_000) < 0.05
    assert measure.lsd_field(pair.clean, pair.damaged, pair.rate) > 0.5
    made = extend.copied().run(pair.damaged, pair.rate, pair.facts)
    assert measure.lsd_field(pair.clean, made, pair.rate) < measure.lsd_field(
        pair.clean, pair.damaged, pair.rate
    )


def test_the_grade_of_a_gap_hears_that_gap_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second on each side, the clean sound outside; no table where the package is missing."""
    given: list[systems.Array] = []

    def grade(clean: systems.Array, out: systems.Array, rate: int) -> float:
        given.append(out - clean)
        return float(len(clean) / rate)

    monkeypatch.setattr(fill_long, "visqol", grade)
    clean = np.zeros(8 * RATE, np.float32)
    gaps = [(3 * RATE, 4 * RATE), (9 * RATE // 2, 5 * RATE)]
    pair = Pair("a", clean, clean, RATE, {"gaps": gaps})
    assert fill_long._visqol(pair, clean + np.float32(1)) == [3.0, 2.5]
    assert [int(changed.sum()) for changed in given] == [RATE, RATE // 2]
    assert all(not changed[:RATE].any() and not changed[-RATE:].any() for changed in given)
    monkeypatch.setattr(fill_long, "has_visqol", lambda: False)
    assert fill_long.graded([pair], [systems.untouched()]) == []
