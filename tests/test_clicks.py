"""Clicks and crackle: found where they were put, not found where there are none, and taken out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal

from contract import music
from wavemend.core import impulses
from wavemend.core.impulses import Impulse, Mended
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import damages
from wavemend.damage.clicks import ClickDetector
from wavemend.damage.crackle import SURE_PER_S
from wavemend.engine.stream import run
from wavemend.repairs import repairs
from wavemend.restoration.diagnose import settled

MONO = Format(48_000, 1)


def voice(seconds: float, seed: int = 0) -> Samples:
    """Glottal pulses, slightly irregular, through four formants, over breath noise."""
    rng, rate = np.random.default_rng(seed), MONO.sample_rate
    pulses = rng.standard_normal(round(seconds * rate)) * 0.002
    at = 0.0
    while at < len(pulses) - 1:
        pulses[int(at)] += 1.0
        at += rate / 110 * rng.uniform(0.93, 1.07)
    for formant, width in ((600, 80), (1200, 90), (2500, 120), (3600, 200)):
        pole = np.exp((-np.pi * width + 2j * np.pi * formant) / rate)
        pulses = signal.lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], pulses)
    return (0.3 * pulses / np.abs(pulses).max()).astype(np.float32)[np.newaxis]


def hits(seconds: float, seed: int = 0) -> Samples:
    """Noise bursts with sharp attacks and decays of 2 to 60 ms, as drums and castanets have."""
    rng, rate = np.random.default_rng(seed), MONO.sample_rate
    out = rng.standard_normal(round(seconds * rate)) * 1e-4
    for _ in range(round(6 * seconds)):
        at, decay = int(rng.integers(0, len(out) - 1)), rng.uniform(0.002, 0.06) * rate
        burst = rng.standard_normal(len(out) - at) * np.exp(-np.arange(len(out) - at) / decay)
        out[at:] += rng.uniform(0.05, 0.4) * burst
    return out.astype(np.float32)[np.newaxis]


def removed_db(clean: Samples, damaged: Samples, repaired: Samples, region: Region) -> float:
    """How much of a click's error is gone, from 1 ms before it to 20 ms after."""
    span = slice(max(region.start - 48, 0), region.stop + 960)
    before = np.sum((damaged[:, span].astype(float) - clean[:, span]) ** 2)
    return float(
        10 * np.log10(before / max(np.sum((repaired[:, span].astype(float) - clean[:, span]) ** 2), 1e-20))
    )


SOUNDS = {"music": music(MONO, 4 * 48_000), "voice": voice(4.0)}


@pytest.mark.parametrize("kind", ["tick", "pop", "glitch"])
@pytest.mark.parametrize("sound", SOUNDS)
def test_clicks_are_found_to_the_sample_and_removed(sound: str, kind: str) -> None:
    clean = SOUNDS[sound]
    shares = {name: float(name == kind) for name in ("tick", "pop", "glitch")}
    damaged, truth = damages["clicks"].simulate(clean, MONO, seed=3, rate_per_s=4.0, level=5.0, **shares)
    truth = tuple(t for t in truth if 4_800 < t.region.start < clean.shape[1] - 4_800)
    found = damages["clicks"].detect(damaged, MONO)
    matched = [t for t in truth if any(abs(f.region.start - t.region.start) <= 2 for f in found)]
    assert len(matched) >= 0.75 * len(truth) > 5
    assert all(
        any(f.region.start < t.region.stop + 48 and f.region.stop > t.region.start - 48 for t in truth)
        for f in found
    )
    repaired = run(repairs["declick"].open(MONO, found), damaged)
    gone = [removed_db(clean, damaged, repaired, t.region) for t in matched]
    assert np.median(gone) > {"tick": 25.0, "pop": 15.0, "glitch": 30.0}[kind]


@pytest.mark.parametrize(
    "make", [lambda s: music(MONO, 4 * 48_000, s), lambda s: voice(4.0, s), lambda s: hits(4.0, s)]
)
@pytest.mark.parametrize("damage", ["clicks", "crackle"])
def test_nothing_is_found_in_sound_that_has_none(damage: str, make) -> None:  # type: ignore[no-untyped-def]
    for seed in (1, 2):
        assert damages[damage].detect(make(seed), MONO) == ()


def test_a_click_in_one_channel_leaves_the_other_alone() -> None:
    stereo = Format(48_000, 2)
    clean = music(stereo, 2 * 48_000)
    damaged = clean.copy()
    damaged[1, 40_000:40_003] += 0.4
    (found,) = damages["clicks"].detect(damaged, stereo)
    assert found.region == Region(40_000, 40_003, (1,))
    assert found.measures["peak_db"] > 6
    repaired = run(repairs["declick"].open(stereo, [found]), damaged)
    assert np.array_equal(repaired[0], clean[0])
    assert np.abs(repaired[1] - clean[1]).max() < 0.004


def test_a_click_beside_a_larger_one_is_found() -> None:
    damaged = SOUNDS["music"].copy()
    for at, size in ((50_000, 0.6), (50_400, -0.25)):
        damaged[0, at : at + 3] += size
    found = damages["clicks"].detect(damaged, MONO)
    assert [f.region for f in found] == [Region(50_000, 50_003, (0,)), Region(50_400, 50_403, (0,))]


@pytest.fixture(scope="module")
def disc() -> tuple[Samples, Samples, tuple[Finding, ...]]:
    """Music with hiss; the same with crackle and long pops; and the pops."""
    hiss = np.random.default_rng(7).normal(0, 0.004, SOUNDS["music"].shape)
    clean = (SOUNDS["music"] + hiss).astype(np.float32)
    crackled, _ = damages["crackle"].simulate(clean, MONO, seed=2, rate_per_s=300.0)
    damaged, pops = damages["clicks"].simulate(
        crackled, MONO, seed=6, rate_per_s=5.0, level=8.0, tick=0.0, glitch=0.0
    )
    return clean, damaged, pops


def test_long_pops_amid_crackle_are_found(disc: tuple[Samples, Samples, tuple[Finding, ...]]) -> None:
    _, damaged, pops = disc
    found = [f for f in damages["clicks"].detect(damaged, MONO) if f.measures["width_ms"] > 1]
    hit = [p for p in pops if any(abs(f.region.start - p.region.start) <= 2 for f in found)]
    assert len(hit) >= 0.6 * len(pops) > 8
    assert all(f.measures["amid_crackle"] for f in found)


def test_a_pop_amid_crackle_is_fitted_to_what_crackle_leaves(
    disc: tuple[Samples, Samples, tuple[Finding, ...]],
) -> None:
    clean, damaged, pops = disc
    left_db = []
    for told in ({}, {"amid_crackle": 1.0}):
        out = run(repairs["declick"].open(MONO, [replace(pop, measures=told) for pop in pops]), damaged)
        spans = [slice(pop.region.start, pop.region.stop) for pop in pops]
        left = [np.sum((out[:, s].astype(float) - clean[:, s]) ** 2) for s in spans]
        left_db.append(10 * float(np.mean(np.log10(left))))
    assert left_db[1] < left_db[0] - 2


def test_a_ringing_pop_amid_crackle_goes_all_but_whole() -> None:
    clean = SOUNDS["voice"]
    crackled, _ = damages["crackle"].simulate(clean, MONO, seed=2, rate_per_s=300.0)
    damaged, _ = damages["clicks"].simulate(
        crackled, MONO, seed=6, rate_per_s=5.0, level=15.0, tick=0.0, glitch=0.0
    )
    found = [f for f in damages["clicks"].detect(damaged, MONO) if "ring_hz" in f.measures]
    out = run(repairs["declick"].open(MONO, found), damaged)
    gone = []
    for region in (finding.region for finding in found):
        before, after = (
            np.sum((x - clean)[:, region.start : region.stop].astype(float) ** 2) for x in (damaged, out)
        )
        gone.append(10 * np.log10(before / after))
    assert len(gone) > 12 and np.mean(gone) > 30


def test_what_is_short_amid_crackle_is_left_to_decrackle() -> None:
    damaged, _ = damages["crackle"].simulate(SOUNDS["voice"], MONO, seed=3, rate_per_s=200.0, level=8.0)
    clicks, crackle = (damages[kind].detect(damaged, MONO) for kind in ("clicks", "crackle"))
    kept = [f for f in settled([*clicks, *crackle], MONO) if f.damage == "clicks"]
    assert all(f.measures["width_ms"] > 0.7 for f in kept)
    assert len(kept) < len(clicks)
    out = run(repairs["declick"].open(MONO, kept), damaged)
    errors = [float(np.sum((x - SOUNDS["voice"]).astype(float) ** 2)) for x in (damaged, out)]
    assert errors[1] <= 1.02 * errors[0]


def test_a_fill_louder_than_all_around_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = SOUNDS["music"].copy()
    damaged[0, 50_000:50_003] += 0.2
    wild = Mended(0, np.full(3, 5.0))
    monkeypatch.setattr(impulses, "mend", lambda piece, start, *rest: (replace(wild, stop=start + 3), 0.0))
    finding = Finding("clicks", Region(50_000, 50_003, (0,)), 1.0, 1.0)
    assert np.array_equal(run(repairs["declick"].open(MONO, [finding]), damaged), damaged)


@pytest.mark.parametrize(("after_db", "found"), [(5.0, True), (9.0, True), (12.0, False)])
def test_a_click_that_explains_nearly_everything_may_leave_more(after_db: float, found: bool) -> None:
    sure = Impulse(0, 144, np.zeros(144), 70 + after_db, after_db, 1.0, 14.0, 900.0, 0.5, 0.0)
    detector = ClickDetector(MONO)
    assert detector.accepts(sure, amid=False) is found
    assert detector.accepts(replace(sure, before_db=20 + after_db), amid=False) is (after_db == 5.0)
    below = replace(sure, ring_hz=10.0)
    assert detector.accepts(below, amid=False) is found
    assert not detector.accepts(replace(below, before_db=40 + after_db), amid=False)


@pytest.mark.parametrize("apart", [300, 420, 700])
def test_two_clicks_that_hide_each_other_are_found(apart: int) -> None:
    """Alike, and within the stretch that each has to stand out from."""
    damaged = SOUNDS["music"].copy()
    for at in (50_000, 50_000 + apart):
        damaged[0, at : at + 3] += 0.3
    found = damages["clicks"].detect(damaged, MONO)
    assert [f.region.start for f in found] == [50_000, 50_000 + apart]


@pytest.mark.parametrize(("rise_db", "found"), [(0.0, True), (6.0, False)])
def test_in_noise_a_short_loud_click_is_believed_beside_others(rise_db: float, found: bool) -> None:
    """It explains little; and what is followed by louder sound is its onset."""
    bare = Impulse(0, 10, np.zeros(10), 11.0, 1.0, 1.0, 14.0, 0.0, 0.0, rise_db)
    detector = ClickDetector(MONO)
    assert not detector._likely(bare, amid=False)
    detector._sure.append(2)
    assert detector._likely(bare, amid=False) is found
    assert not detector._likely(bare, amid=True)


def test_a_louder_click_is_more_severe() -> None:
    clean = SOUNDS["music"]
    severities = []
    for size in (0.3, 0.6, 0.9):
        damaged = clean.copy()
        damaged[0, 50_000:50_004] += size
        severities.append(damages["clicks"].detect(damaged, MONO)[0].severity)
    assert severities == sorted(severities) and severities[0] < severities[-1]


@given(st.integers(0, 2**31), st.lists(st.integers(1, 60_000), max_size=4), st.booleans())
@example(0, [], True)
@settings(max_examples=10, deadline=None)
def test_any_region_may_be_declicked_and_nothing_else_changes(seed: int, cuts: list[int], amid: bool) -> None:
    rng = np.random.default_rng(seed)
    clean = SOUNDS["music"][:, :60_000]
    findings = []
    for _ in range(2):
        start = int(rng.choice((0, 5, 59_990, rng.integers(0, 59_999))))
        stop = min(start + int(rng.choice((1, 3, rng.integers(1, 900)))), 60_000)
        told = {
            "amid_crackle": 1,
            "ring_hz": float(rng.uniform(50, 9_000)),
            "decay_ms": float(rng.uniform(0.01, 5)),
        }
        findings.append(Finding("clicks", Region(start, stop), 0.5, 1.0, told if amid else {}))
    stream = repairs["declick"].open(MONO, findings)
    parts = [
        stream.push(clean[:, a:b]) for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 60_000], strict=True)
    ]
    out = np.concatenate([*parts, stream.flush()], axis=1)
    outside = np.ones(60_000, bool)
    for finding in findings:
        outside[finding.region.start : finding.region.stop] = False
    assert np.array_equal(out[:, outside], clean[:, outside])
    assert np.isfinite(out).all() and np.abs(out).max() < 4


def test_a_click_longer_than_the_longest_is_left_as_it_is() -> None:
    clean = SOUNDS["music"]
    finding = Finding("clicks", Region(48_000, 48_000 + 48 * 60), 0.5, 1.0)
    assert np.array_equal(run(repairs["declick"].open(MONO, [finding]), clean), clean)


@pytest.mark.parametrize("sound", SOUNDS)
def test_crackle_is_found_as_a_passage_and_gets_less(sound: str) -> None:
    clean = SOUNDS[sound]
    damaged, _ = damages["crackle"].simulate(clean, MONO, seed=2, rate_per_s=150.0, level=4.0)
    (found,) = damages["crackle"].detect(damaged, MONO)
    assert found.region.start == 0 and found.region.stop >= 0.9 * clean.shape[1]
    assert found.measures["rate_per_s"] > 20
    repaired = run(repairs["decrackle"].open(MONO, [found]), damaged)
    before = np.sum((damaged - clean).astype(float) ** 2)
    assert 10 * np.log10(before / np.sum((repaired - clean).astype(float) ** 2)) > 4.0


def test_many_that_hardly_stand_out_are_crackle_and_a_few_clicks_are_not() -> None:
    clean = SOUNDS["music"]
    hissing = clean + np.random.default_rng(7).normal(0, 0.0012, clean.shape).astype(np.float32)
    rough, _ = damages["crackle"].simulate(hissing, MONO, seed=2, rate_per_s=300.0, level=0.4)
    (found,) = damages["crackle"].detect(rough, MONO)
    assert found.measures["rate_per_s"] < SURE_PER_S
    clicked, truth = damages["clicks"].simulate(clean, MONO, seed=2, rate_per_s=5.0, pop=0.0)
    assert len(truth) > 12 and not damages["crackle"].detect(clicked, MONO)


def test_crackle_ends_where_the_passage_ends() -> None:
    clean = SOUNDS["music"]
    damaged, _ = damages["crackle"].simulate(clean, MONO, seed=2, rate_per_s=200.0, level=4.0)
    damaged[:, 96_000:] = clean[:, 96_000:]
    (found,) = damages["crackle"].detect(damaged, MONO)
    assert found.region.start == 0 and 80_000 < found.region.stop < 120_000


@pytest.mark.parametrize("name", ["declick", "decrackle"])
def test_every_parameter_changes_the_result(name: str) -> None:
    repair = repairs[name]
    clean = SOUNDS["voice"][:, :48_000]
    damaged, truth = damages[repair.treats[0]].simulate(clean, MONO, seed=4, rate_per_s=20.0)
    usual = run(repair.open(MONO, truth), damaged)
    for option in repair.own_params:
        value = repair.params[option].low
        assert not np.array_equal(run(repair.open(MONO, truth, **{option: value}), damaged), usual), option
