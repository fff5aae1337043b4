"""Plans: ordered, with reasons, saved and read back strictly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemend.core.types import Finding, Format, Plan, Region, Step
from wavemend.errors import InputError, PlanError, WavemendError
from wavemend.repairs import repairs
from wavemend.restoration.diagnose import in_order, settled
from wavemend.restoration.plan import (
    ORDER,
    check_fit,
    forced_plan,
    load_plan,
    make_plan,
    parse_plan,
    plan_text,
)

FORMAT = Format(48_000, 2)
SAMPLES = 480_000


def finding(damage: str, start: int = 1000, stop: int = 2000, confidence: float = 0.9) -> Finding:
    return Finding(damage, Region(start, stop, (0,)), 0.5, confidence, {"level": 0.25, "shape": (1.0, 2.0)})


def test_steps_come_in_the_order_of_physics_not_of_findings() -> None:
    kinds = [kind for name in reversed(ORDER) if name in repairs for kind in repairs[name].treats]
    found = [finding(kind, 9_000 * i, 9_000 * i + 1_000) for i, kind in enumerate(kinds)]
    plan = make_plan(found, FORMAT, SAMPLES)
    names = [step.repair for step in plan.steps]
    assert names == [name for name in ORDER if name in repairs and not repairs[name].opt_in]
    assert all(step.reason for step in plan.steps)


def test_what_is_not_repaired_is_named_with_a_reason() -> None:
    found = [finding("dc"), finding("dc", confidence=0.2), finding("something else")]
    plan = make_plan(found, FORMAT, SAMPLES)
    assert [step.findings for step in plan.steps] == [(0,)]
    reasons = {i: left.reason for left in plan.left_alone for i in left.findings}
    assert "uncertain" in reasons[1]
    assert "no repair" in reasons[2]


def test_every_finding_is_in_a_step_or_left_alone() -> None:
    found = [finding(kind, confidence=c) for kind in ("dc", "nothing known") for c in (0.1, 0.9)]
    plan = make_plan(found, FORMAT, SAMPLES)
    named = [i for s in plan.steps for i in s.findings] + [i for a in plan.left_alone for i in a.findings]
    assert sorted(named) == list(range(len(found)))


def test_only_and_strength() -> None:
    plan = make_plan([finding("dc")], FORMAT, SAMPLES, strength=0.3, only=["dc"])
    assert plan.steps[0].options == {"strength": 0.3}
    with pytest.raises(InputError, match="did you mean 'clicks'"):
        make_plan([], FORMAT, SAMPLES, only=["click"])
    with pytest.raises(InputError, match="strength"):
        make_plan([finding("dc")], FORMAT, SAMPLES, strength=1.5)


spans = st.tuples(st.integers(0, SAMPLES - 1), st.integers(1, SAMPLES)).filter(lambda s: s[0] < s[1])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(spans, st.floats(0, 1), st.floats(0, 1)), max_size=5))
def test_a_plan_survives_being_saved(rows: list[tuple[tuple[int, int], float, float]]) -> None:
    found = [Finding("dc", Region(a, b, (1,), (0.0, 5.0)), s, c, {"offset": s}) for (a, b), s, c in rows]
    plan = make_plan(found, FORMAT, SAMPLES)
    assert parse_plan(plan_text(plan)) == plan


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_damaged_plan_is_refused_in_one_line(data: st.DataObject) -> None:
    text = plan_text(make_plan([finding("dc"), finding("hum")], FORMAT, SAMPLES))
    at = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(at, len(text)))
    put = data.draw(
        st.sampled_from(["", "}", '"', "-1", "null", "[[[", "1e999", "\u0000", '"x": 1,', "NaN", "99"])
    )
    try:
        plan = parse_plan(text[:at] + put + text[stop:])
    except PlanError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(plan, Plan)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data(), json_values)
def test_any_value_in_any_place_is_read_or_refused(data: st.DataObject, value: object) -> None:
    content = json.loads(plan_text(make_plan([finding("dc")], FORMAT, SAMPLES)))
    node = content
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        node[key] = value
        break
    try:
        parse_plan(json.dumps(content))
    except WavemendError as error:
        assert isinstance(error, PlanError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c["steps"][0].update(repair="undo"), "no repair 'undo'"),
        (lambda c: c["steps"][0]["options"].update(depth=3), "no option 'depth'"),
        (lambda c: c["steps"][0]["options"].update(strength=2), "strength"),
        (lambda c: c["steps"][0]["options"].update(strength=10**400), "strength"),
        (lambda c: c["findings"][0]["measures"].update(offset=float("nan")), "offset"),
        (lambda c: c["steps"][0].update(findings=[7]), "not there"),
        (lambda c: c["findings"][0]["region"].update(stop=SAMPLES + 1), "outside"),
        (lambda c: c["findings"][0]["region"].update(channels=[2]), "outside"),
        (lambda c: c.pop("samples"), "samples"),
        (lambda c: c.update(wavemend_plan=99), "not a wavemend plan"),
    ],
)
def test_each_mistake_is_named(change: object, message: str) -> None:
    content = json.loads(plan_text(make_plan([finding("dc")], FORMAT, SAMPLES)))
    change(content)  # type: ignore[operator]
    with pytest.raises(PlanError, match=message):
        parse_plan(json.dumps(content))


def test_a_byte_order_mark_does_no_harm_and_what_is_no_text_is_named(tmp_path: Path) -> None:
    plan = make_plan([finding("dc")], FORMAT, SAMPLES)
    (tmp_path / "plan.json").write_text(plan_text(plan), encoding="utf-8-sig")
    assert load_plan(tmp_path / "plan.json") == plan
    (tmp_path / "plan.json").write_bytes(b"\xff\x00")
    with pytest.raises(PlanError, match="not text"):
        load_plan(tmp_path / "plan.json")


def test_a_plan_for_another_recording_is_refused() -> None:
    plan = make_plan([finding("dc")], FORMAT, SAMPLES)
    with pytest.raises(PlanError, match="480000"):
        check_fit(plan, FORMAT, SAMPLES + 1)
    with pytest.raises(PlanError, match="44100"):
        check_fit(plan, Format(44_100, 2), SAMPLES)


def test_a_forced_repair_covers_the_span_and_every_channel() -> None:
    found = [finding("dc"), dataclasses.replace(finding("dc"), severity=0.9, measures={"offset": 0.1})]
    plan = forced_plan(repairs["dc"], FORMAT, SAMPLES, found, (100, 900), {"strength": 0.5})
    assert {f.region.channels for f in plan.findings} == {(0,), (1,)}
    assert all((f.region.start, f.region.stop) == (100, 900) for f in plan.findings)
    assert plan.findings[0].measures == {"offset": 0.1}
    assert plan.steps == (Step("dc", {**repairs["dc"].check({}), "strength": 0.5}, (0, 1), "asked for"),)
    with pytest.raises(InputError, match="span"):
        forced_plan(repairs["dc"], FORMAT, SAMPLES, (), (900, 100), {})


def test_a_gap_that_is_too_long_is_left_alone_or_refused() -> None:
    plan = make_plan([finding("dropouts", 0, 48_001)], FORMAT, SAMPLES)
    assert not plan.steps
    assert "longer than the 1000 ms" in plan.left_alone[0].reason
    with pytest.raises(InputError, match="longest_ms"):
        forced_plan(repairs["fill"], FORMAT, SAMPLES, (), (0, 49_000), {})
    forced = forced_plan(repairs["fill"], FORMAT, SAMPLES, (), (100, 580), {})
    assert forced.findings == (Finding("dropouts", Region(100, 580), 1.0, 1.0),)


def test_a_step_is_refused_findings_that_it_cannot_use() -> None:
    content = json.loads(plan_text(make_plan([finding("dc"), finding("hum")], FORMAT, SAMPLES)))
    content["steps"][0]["findings"] = [1]
    with pytest.raises(PlanError, match="does not treat"):
        parse_plan(json.dumps(content))
    with pytest.raises(InputError, match="level_high"):
        repairs["declip"].open(FORMAT, [Finding("clipping", Region(0, 9), 1.0, 1.0)])
    with pytest.raises(InputError, match="floor_db_per_hz"):
        repairs["denoise"].open(
            FORMAT, [Finding("noise", Region(0, 9), 1.0, 1.0, {"floor_db_per_hz": (1.0,)})], model="classic"
        )
    with pytest.raises(InputError, match="band"):
        Region(0, 9, None, (100.0, 50.0))


def test_a_slight_offset_is_left_alone() -> None:
    slight = Finding("dc", Region(0, SAMPLES), 0.1, 0.95, {"offset": 0.02})
    plan = make_plan([slight], FORMAT, SAMPLES)
    assert not plan.steps
    assert "too slight" in plan.left_alone[0].reason


def test_what_lies_under_speech_is_taken_where_somebody_asks_for_the_voice() -> None:
    around = Finding("environment", Region(0, SAMPLES), 0.9, 0.8)
    hiss = Finding("noise", Region(0, SAMPLES), 0.9, 0.95)
    plan = make_plan([around, hiss], FORMAT, SAMPLES)
    assert [step.repair for step in plan.steps] == ["denoise"]
    assert [left.reason for left in plan.left_alone] == [
        "environment: left as it is unless voice is asked for"
    ]
    plan = make_plan([around, hiss], FORMAT, SAMPLES, also=["voice"])
    assert [(step.repair, step.findings) for step in plan.steps] == [("voice", (0, 1))]
    assert not make_plan([], FORMAT, SAMPLES, also=["voice"]).steps


def test_the_edge_of_a_hole_is_no_click() -> None:
    hole = Finding("dropouts", Region(5_000, 9_000, (0,)), 0.9, 1.0)
    inside = Finding("clicks", Region(8_990, 9_005, (0,)), 0.9, 1.0)
    beside = Finding("clicks", Region(4_980, 4_999, (0,)), 0.9, 1.0)
    other = Finding("clicks", Region(8_990, 9_005, (1,)), 0.9, 1.0)
    away = Finding("clicks", Region(9_200, 9_210, (0,)), 0.9, 1.0)
    wide = Finding("clicks", Region(4_000, 9_900, (0,)), 0.9, 1.0)
    clip = Finding("clipping", Region(4_980, 4_999, (0,)), 0.9, 1.0)
    found = [hole, inside, beside, other, away, wide, clip]
    assert settled(found, FORMAT) == in_order([hole, other, away, wide, clip])
    long = dataclasses.replace(hole, damage="silence", region=Region(5_000, 600_000, (0,)))
    assert settled([long, beside], FORMAT) == (long,)  # whoever fills it or leaves it
    unsure = dataclasses.replace(hole, confidence=0.4)
    assert settled([unsure, beside], FORMAT) == in_order([unsure, beside])


def test_short_clicks_of_a_passage_of_crackle_are_left_to_decrackle() -> None:
    short = {"amid_crackle": 1, "short_amid_crackle": 1}
    click = Finding("clicks", Region(5_000, 5_004, (0,)), 0.9, 1.0, short)
    crackle = Finding("crackle", Region(0, 40_000, (0,)), 0.5, 0.6)
    assert settled([click, crackle], FORMAT) == (crackle,)
    for stays in (
        dataclasses.replace(click, measures={"amid_crackle": 1}),
        dataclasses.replace(click, region=Region(5_000, 5_004, (1,))),
        dataclasses.replace(click, region=Region(5_000, 5_004)),
        dataclasses.replace(click, region=Region(39_999, 40_003, (0,))),
    ):
        assert stays in settled([stays, crackle], FORMAT)
    assert click in settled([click, dataclasses.replace(crackle, confidence=0.4)], FORMAT)


def test_the_corner_of_a_top_that_was_cut_is_no_click() -> None:
    corner = Finding("clicks", Region(5_000, 5_012, (0,)), 0.2, 0.9, {"peak_db": -4.0})
    cut = Finding("clipping", Region(4_000, 9_000, (0,)), 0.8, 0.98)
    assert settled([corner, cut], FORMAT) == (cut,)
    for stays in (
        dataclasses.replace(corner, measures={"peak_db": 12.0}),
        dataclasses.replace(corner, region=Region(5_000, 5_012, (1,))),
        dataclasses.replace(corner, region=Region(9_000, 9_012, (0,))),
        dataclasses.replace(corner, damage="crackle"),
    ):
        assert stays in settled([stays, cut], FORMAT)
    assert corner in settled([corner, dataclasses.replace(cut, confidence=0.4)], FORMAT)


def test_surroundings_that_a_steady_kind_explains_are_not_said_twice() -> None:
    everywhere = Region(0, 100_000)
    under = Finding(
        "environment", everywhere, 0.9, 0.9, {"log_odds": 3.0, "unaided_log_odds": -1.0, "spread_db": 2.0}
    )
    hum = Finding("hum", everywhere, 0.9, 0.9)
    assert settled([under, hum], FORMAT) == (hum,)
    assert settled([under], FORMAT) == (under,)

    def stays(finding: Finding = under, other: Finding = hum) -> bool:
        return finding in settled([finding, other], FORMAT)

    assert stays(dataclasses.replace(under, measures={**under.measures, "spread_db": 9.0}))
    assert stays(dataclasses.replace(under, measures={**under.measures, "unaided_log_odds": 2.0}))
    assert stays(dataclasses.replace(under, measures={"log_odds": 3.0}))
    assert stays(other=dataclasses.replace(hum, confidence=0.4))
    assert stays(other=dataclasses.replace(hum, damage="clicks"))
    assert stays(other=dataclasses.replace(hum, region=Region(60_000, 100_000)))
