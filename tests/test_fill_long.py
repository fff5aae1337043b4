"""Holes of up to a second: no seam, no silence, no jump; one seed, the same bits; guesses are said."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

import wavemend
from contract import check_repair, music
from test_dropouts import holed, steady
from wavemend.core import ar, partials
from wavemend.core.spectral_envelope import band_levels, shaped
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import damages
from wavemend.engine.bridging import Bridge, bridge
from wavemend.engine.stream import remarks_of, run
from wavemend.errors import InputError
from wavemend.repairs import repairs
from wavemend.repairs.fill import LONG_MS, HoleFiller
from wavemend.restoration import words

MONO, STEREO = Format(48_000, 1), Format(48_000, 2)
START = 100_000


def hiss(samples: int, seed: int = 3) -> Samples:
    """Noise that is dull, as of a tape."""
    rng = np.random.default_rng(seed)
    return (0.1 * np.convolve(rng.standard_normal(samples), np.hanning(9) / 4, "same"))[np.newaxis].astype(
        np.float32
    )


def filled(sound: Samples, start: int, stop: int, format: Format = MONO, **options: float) -> Samples:
    finding = Finding("dropouts", Region(start, stop), 0.9, 1.0)
    return run(repairs["fill"].open(format, [finding], **options), holed(sound, start, stop))


def levels_db(sound: Samples, width: int) -> np.ndarray:
    """Of stretches of so many samples."""
    whole = sound[0, : sound.shape[1] // width * width].astype(float)
    return 10 * np.log10(np.mean(whole.reshape(-1, width) ** 2, axis=1) + 1e-12)


SOUNDS = {"chord": steady(MONO, 250_000), "hiss": hiss(250_000), "notes": music(MONO, 250_000)}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("length_ms", [100, 300, 1000])
def test_no_silence_no_jump_and_no_click(name: str, length_ms: int) -> None:
    sound = SOUNDS[name]
    stop = START + 48 * length_ms
    out = filled(sound, START, stop)
    width = 1_200  # 25 ms
    inside = levels_db(out[:, START:stop], width)
    around = np.concatenate([levels_db(sound[:, at : at + 9_600], width) for at in (START - 9_600, stop)])
    assert inside.min() > around.min() - 6 and inside.max() < around.max() + 6
    # at the seams the sound surprises no more than it does elsewhere
    a = ar.covariance([sound[0, START - 9_600 : START].astype(float)], 32)
    surprise = np.abs(np.convolve(out[0, START - 9_600 : stop + 9_600].astype(float), a))
    usual = np.sort(surprise[100:9_600])[-20:].mean()
    for seam in (9_600, 9_600 + stop - START):
        assert surprise[seam - 4 : seam + 40].max() < 4 * usual


def test_a_chord_goes_on() -> None:
    clean = SOUNDS["chord"]
    stop = START + 9_600
    out = filled(clean, START, stop)
    error = out[:, START:stop] - clean[:, START:stop]
    assert 10 * np.log10(np.sum(clean[:, START:stop] ** 2) / np.sum(error**2)) > 15


def test_music_that_repeats_itself_is_copied() -> None:
    bar = hiss(24_000)[0] * np.exp(-np.arange(24_000) / 5_000)
    clean = np.tile(bar, 10)[np.newaxis].astype(np.float32)
    stop = START + 14_400
    finding = Finding("dropouts", Region(START, stop), 0.9, 1.0)
    stream = repairs["fill"].open(MONO, [finding])
    out = run(stream, holed(clean, START, stop))
    (remark,) = remarks_of(stream)
    assert "copied" in remark.text
    away = (remark.measures["copied_from_s"] * 48_000 - START) / 24_000
    assert away == pytest.approx(round(away), abs=0.01)
    error = out[:, START:stop] - clean[:, START:stop]
    assert 10 * np.log10(np.sum(clean[:, START:stop] ** 2) / np.sum(error**2)) > 6


def test_the_same_seed_gives_the_same_bits_and_another_another_sound() -> None:
    sound = SOUNDS["hiss"]
    once, again = (filled(sound, START, START + 14_400, seed=5) for _ in range(2))
    other = filled(sound, START, START + 14_400, seed=6)
    assert np.array_equal(once, again) and not np.array_equal(once, other)
    assert np.array_equal(other[:, :START], sound[:, :START])


@given(
    st.lists(st.integers(0, 200_000), max_size=4), st.integers(60_000, 110_000), st.integers(3_000, 48_000)
)
@settings(max_examples=8, deadline=None)
def test_cuts_are_not_heard(cuts: list[int], start: int, length: int) -> None:
    sound = SOUNDS["notes"][:, :200_000]
    finding = Finding("silence", Region(start, start + length), 0.9, 1.0)
    damaged = holed(sound, start, start + length)
    whole = run(repairs["fill"].open(MONO, [finding]), damaged)
    stream = repairs["fill"].open(MONO, [finding])
    edges = [0, *sorted(cuts), 200_000]
    parts = [stream.push(damaged[:, a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([*parts, stream.flush()], axis=1), whole)
    outside = np.ones(200_000, bool)
    outside[start : start + length] = False
    assert np.array_equal(whole[:, outside], damaged[:, outside])


@pytest.mark.parametrize(("start", "stop"), [(0, 10_000), (40_000, 50_000), (500, 49_500), (0, 50_000)])
def test_holes_at_the_ends_and_of_nearly_everything(start: int, stop: int) -> None:
    sound = music(MONO, 50_000)
    finding = Finding("dropouts", Region(start, stop), 0.9, 1.0)
    out = run(repairs["fill"].open(MONO, [finding]), holed(sound, start, stop))
    assert np.isfinite(out).all() and np.abs(out).max() <= 2
    assert np.array_equal(out[:, stop:], sound[:, stop:]) and np.array_equal(out[:, :start], sound[:, :start])


def test_a_neighbouring_hole_is_not_heard_as_sound() -> None:
    sound = SOUNDS["hiss"]
    damaged = holed(holed(sound, START, START + 9_600), START + 12_000, START + 21_600, 0.9)
    findings = [
        Finding("dropouts", Region(a, b), 0.9, 1.0)
        for a, b in ((START, START + 9_600), (START + 12_000, START + 21_600))
    ]
    out = run(repairs["fill"].open(MONO, findings), damaged)
    inside = levels_db(out[:, START : START + 21_600], 1_200)
    assert np.abs(inside - levels_db(sound[:, :48_000], 1_200).mean()).max() < 6


def test_both_channels_of_a_mono_recording_stay_alike_and_are_one_remark() -> None:
    sound = np.repeat(SOUNDS["notes"], 2, axis=0)
    finding = Finding("dropouts", Region(START, START + 14_400), 0.9, 1.0)
    stream = repairs["fill"].open(STEREO, [finding])
    out = run(stream, holed(sound, START, START + 14_400))
    assert np.array_equal(out[0], out[1])
    (remark,) = remarks_of(stream)
    assert remark.region == Region(START, START + 14_400, (0, 1))


@pytest.mark.parametrize("shared", [0.0, 0.7, -1.0])
def test_hiss_stays_as_wide_as_it_is(shared: float) -> None:
    one, other = SOUNDS["hiss"], hiss(250_000, seed=8)
    sound = np.concatenate([one, shared * one + np.float32(np.sqrt(1 - shared**2)) * other])
    stop = START + 19_200
    out = filled(sound, START, stop, STEREO)[:, START:stop]
    assert np.corrcoef(out)[0, 1] == pytest.approx(shared, abs=0.2)


@pytest.mark.parametrize(("length_ms", "expected"), [(100, False), (200, True)])
def test_what_changes_is_a_guess_from_150_ms_on(length_ms: int, expected: bool) -> None:
    """As syllables do, with 4 of them a second; what goes on as it was is none."""
    stop = START + 48 * length_ms
    syllables = np.array(SOUNDS["hiss"]) * (0.02 + np.sin(4 * np.pi * np.arange(250_000) / 48_000) ** 4)
    said = []
    for sound in (syllables.astype(np.float32), SOUNDS["hiss"], SOUNDS["chord"]):
        stream = repairs["fill"].open(MONO, [Finding("dropouts", Region(START, stop), 0.9, 1.0)])
        run(stream, holed(sound, START, stop))
        said += remarks_of(stream)
    assert [remark.guess for remark in said] == [expected, False, False]
    assert said[0].measures["restless_db"] > 2 * said[1].measures["restless_db"]
    assert said[2].measures["steady"] > 0.9 > said[1].measures["steady"]


@pytest.mark.parametrize(
    ("length", "disagreement_db", "restless_db", "expected"),
    [(3_000, 2.5, 0.0, True), (3_000, 1.5, 9.0, False), (9_600, 1.5, 9.0, True), (9_600, 1.5, 4.0, False)],
)
def test_what_makes_a_guess(length: int, disagreement_db: float, restless_db: float, expected: bool) -> None:
    filler = HoleFiller(MONO, [], repairs["fill"].check({}))
    made = Bridge(np.zeros(length), disagreement_db, restless_db, 0.0, None)
    assert filler._remark(Region(0, length), made).guess is expected


def test_the_report_says_generated_from_where_on() -> None:
    sound = SOUNDS["notes"]
    short, long = (round(48 * LONG_MS * factor) for factor in (0.9, 1.1))
    damaged = holed(holed(sound, 60_000, 60_000 + short), 150_000, 150_000 + long)
    findings = [
        Finding("dropouts", Region(60_000, 60_000 + short), 0.9, 1.0),
        Finding("dropouts", Region(150_000, 150_000 + long // 2), 0.9, 1.0),
        Finding("dropouts", Region(150_000 + long // 2, 150_000 + long), 0.9, 1.0),
    ]
    plan = wavemend.plan(damaged, 48_000, only=["dropouts"])
    step = wavemend.Step("fill", {}, (0, 1, 2), "")
    made = wavemend.Plan(plan.format, plan.samples, tuple(findings), (step,))
    report = wavemend.restore(damaged, 48_000, plan=made).report
    runs = {trace.provenance: trace.runs for trace in report.provenance}
    assert runs["interpolated"] == ((60_000, 60_000 + short),)
    assert runs["generated"] == ((150_000, 150_000 + long),)
    assert "Generated, not recorded: 0.07 s, by fill" in words.of_report(report)


@pytest.mark.parametrize("length_ms", [35, 120, 333, 390, 700, 990])
def test_a_torn_tape_is_found_and_filled_by_restore(length_ms: int) -> None:
    sound = np.array(SOUNDS["chord"])
    stop = START + 48 * length_ms
    report = (result := wavemend.restore(holed(sound, START, stop), 48_000)).report
    assert [step.repair for step in report.plan.steps] == ["fill"]
    assert levels_db(result.restored.samples[:, START:stop], 1_200).min() > -30
    kinds = {trace.provenance for trace in report.provenance}
    assert kinds == ({"generated"} if length_ms > LONG_MS else {"interpolated"})


def test_the_sound_beside_a_hole_stays_as_it_is() -> None:
    """Its edges are no clicks."""
    damaged = np.repeat(holed(SOUNDS["notes"], START, START + 16_000), 2, axis=0)
    damaged[0, 180_000:181_000] = 0
    result = wavemend.restore(damaged, 48_000)
    changed = result.restored.samples != damaged
    changed[:, START : START + 16_000] = changed[0, 180_000:181_000] = False
    assert not changed.any()
    assert [step.repair for step in result.report.plan.steps] == ["fill"]


def test_longer_than_a_second_is_left_alone_with_the_reason() -> None:
    damaged = holed(SOUNDS["chord"], START, START + 50_000)
    report = wavemend.restore(damaged, 48_000).report
    assert report.plan.steps == () and "longer than the 1000 ms" in report.plan.left_alone[0].reason
    with pytest.raises(InputError, match="longer than longest_ms"):
        wavemend.repair("fill", damaged, 48_000, span_s=(1.0, 2.1))


def test_a_second_costs_less_than_ten() -> None:
    began = time.process_time()
    filled(SOUNDS["notes"], START, START + 48_000)
    assert time.process_time() - began < 10


def test_the_contract_holds_for_silence() -> None:
    check_repair(repairs["fill"], damages["silence"], (Format(8_000, 1), Format(44_100, 2)))


@given(st.floats(200, 6_000), st.floats(0, 6), st.floats(0.02, 1.0))
@settings(max_examples=25, deadline=None)
def test_a_partial_is_found_and_led_across(pitch_hz: float, phase: float, size: float) -> None:
    rate, n, gap = 48_000, 4_320, 4_800
    tone = size * np.cos(2 * np.pi * pitch_hz / rate * np.arange(2 * n + gap) + phase)
    before, after = partials.at_end(tone[:n], rate), partials.at_end(tone[n + gap :][::-1], rate)
    through, share = partials.across(before, after, gap, rate)
    assert share > 0.99
    assert np.abs(through - tone[n : n + gap]).max() < 0.05 * size
    assert np.abs(before.rest[n // 2 :]).max() < 0.02 * size


@given(st.floats(300, 3_000), st.floats(-0.01, 0.01))
@settings(max_examples=25, deadline=None)
def test_a_partial_may_glide(pitch_hz: float, glide: float) -> None:
    """Frequency goes evenly from one side to the other: the cubic phase is near to that."""
    rate, n, gap = 48_000, 4_320, 4_800
    place = np.clip((np.arange(2 * n + gap) - n) / gap, 0, 1)
    run_of = np.cumsum(2 * np.pi * pitch_hz / rate * (1 + glide * place))
    tone = np.cos(run_of)
    before, after = partials.at_end(tone[:n], rate), partials.at_end(tone[n + gap :][::-1], rate)
    through, share = partials.across(before, after, gap, rate)
    assert share > 0.99
    # up to a phase of one turn more or less, which no one can know, the level stays
    assert np.abs(np.sqrt(2) * np.std(through.reshape(4, -1), axis=1) - 1).max() < 0.1
    assert np.abs(through[:24] - tone[n : n + 24]).max() < 0.1
    assert np.abs(through[-24:] - tone[n + gap - 24 : n + gap]).max() < 0.1


def test_a_note_that_dies_away_is_not_copied_over_itself() -> None:
    time_s = np.arange(250_000) / 48_000
    note = sum(np.sin(2 * np.pi * f * time_s) / k for k, f in enumerate((220, 441, 663), 1))
    clean = (0.3 * note * np.exp(-2.5 * time_s))[np.newaxis].astype(np.float32)
    out = filled(clean, START, START + 48_000)
    apart = levels_db(out[:, START : START + 48_000], 2_400) - levels_db(
        clean[:, START : START + 48_000], 2_400
    )
    assert np.abs(apart).max() < 4


def test_a_passage_that_is_brighter_is_not_copied() -> None:
    rng, gap = np.random.default_rng(3), 9_600
    tone = 0.3 * np.sin(2 * np.pi * 225 * np.arange(80_000) / 48_000)
    band = signal.butter(4, 2_000, "high", fs=48_000, output="sos")
    noise = signal.sosfilt(band, rng.standard_normal(80_000))
    noises = [(rng.standard_normal(gap), rng.standard_normal(gap))]

    def copied(level: float) -> int | None:
        """With the last 0.1 s before the gap and the first after it at another level than all else."""
        course = np.full(80_000, 1e-2)
        course[35_200 : 40_000 + gap + 4_800] = level
        sound = tone + course * noise
        return bridge(sound[:40_000], sound[40_000 + gap :], gap, 48_000, noises).copied

    assert copied(1e-2) is not None
    assert copied(1e-3) is None


def test_a_process_has_the_level_and_spectrum_of_what_it_was_fitted_to() -> None:
    sound = hiss(24_000)[0].astype(float)
    a, power = ar.process(sound, 64)
    more = ar.go_on(sound, a, np.sqrt(power) * np.random.default_rng(1).standard_normal(24_000))
    apart = band_levels(more, 48_000).mean(axis=0) - band_levels(sound, 48_000).mean(axis=0)
    assert np.abs(apart).max() < 2.5
    silent, nothing = ar.process(np.zeros(1_000), 16)
    assert nothing == 0.0 and not ar.go_on(np.zeros(10), silent, np.zeros(5)).any()


def test_magnitudes_are_brought_to_those_of_the_sides() -> None:
    sound = hiss(60_000)[0].astype(float)
    before, gap, after = sound[:20_000], sound[20_000:40_000], sound[40_000:]
    wanted = band_levels(before, 48_000).mean(axis=0)
    errors = [
        np.abs(band_levels(x, 48_000).mean(axis=0) - wanted).max()
        for x in (0.2 * gap, shaped(before, 0.2 * gap, after, 48_000))
    ]
    assert errors[1] < 0.35 * errors[0]
    assert np.array_equal(shaped(before[:100], gap, after, 48_000), gap)


def test_nothing_on_either_side_gives_silence() -> None:
    none = np.zeros(0)
    noise = np.ones(3_000)
    made = bridge(none, none, 3_000, 48_000, [(noise, noise), (noise, noise)])
    assert not made.sound.any() and made.disagreement_db == 0.0 and made.copied is None


def test_a_brighter_side_is_not_heard_at_the_seam_of_a_dull_one() -> None:
    """Within the 12 ms that lead into the dull side, no partials and no noise of the other."""
    narrow = signal.ellip(10, 0.1, 100, 6_000, fs=48_000, output="sos")
    dull = signal.sosfilt(narrow, hiss(68_000)[0])[8_000:]
    bright = hiss(60_000, 7)[0] + 0.1 * np.sin(2 * np.pi * 12_345 / 48_000 * np.arange(60_000))
    noises = [(a, b) for a, b in np.random.default_rng(1).standard_normal((2, 2, 12_000))]
    whole = np.concatenate((bright, bridge(bright, dull, 12_000, 48_000, noises).sound, dull))
    high = signal.sosfilt(signal.butter(8, 9_000, "high", fs=48_000, output="sos"), whole)
    led, own = (float(np.mean(part**2)) for part in (high[71_600:71_960], high[80_000:90_000]))
    assert led < 4 * own
