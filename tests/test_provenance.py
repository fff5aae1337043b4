"""Everything is accounted for: layers that add up bit for bit, a map that is true, words in the file."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

import contract
import wavemend
from test_guard import Known
from wavemend.core.io import open_reader
from wavemend.core.jsonable import from_plain
from wavemend.core.types import (
    PROVENANCES,
    Finding,
    Format,
    Region,
    Remark,
    Report,
    Samples,
    Trace,
    Verdict,
)
from wavemend.damage import damages
from wavemend.engine.stream import Passthrough, run
from wavemend.errors import InputError
from wavemend.repairs import repairs
from wavemend.restoration import words
from wavemend.restoration.api import restore_file
from wavemend.restoration.ledger import MOST_RUNS, Accounted, Places, strongest
from wavemend.restoration.outlets import ROUNDING, history, note
from wavemend.restoration.page_lanes import band
from wavemend.restoration.plan import make_plan
from wavemend.restoration.report import report_json
from wavemend.restoration.run import _taken_back

RATE = 44_100
FORMAT = Format(RATE, 2)


@pytest.fixture(scope="module")
def aged() -> tuple[Samples, wavemend.Plan]:
    """Music with an offset, clicks and a hole, and the plan for it."""
    sound = np.array(contract.music(FORMAT, 3 * RATE))
    sound[0, 20_000:20_400] = 0.0
    sound[:, 60_000:60_009] += np.float32(0.4)
    findings = [
        Finding("dropouts", Region(20_000, 20_400, (0,)), 0.5, 1.0),
        Finding("clicks", Region(60_000, 60_009), 0.5, 1.0),
        Finding("dc", Region(0, 3 * RATE), 0.5, 1.0, {"offset": 0.05}),
    ]
    return sound + np.float32(0.05), make_plan(findings, FORMAT, 3 * RATE)


@pytest.fixture(scope="module")
def result(aged: tuple[Samples, wavemend.Plan]) -> wavemend.Result:
    return wavemend.restore(aged[0], RATE, plan=aged[1])


def added(sound: Samples, layers: list[Samples]) -> Samples:
    out = sound
    for layer in layers:
        out = np.where(layer != 0, out + layer, out)
    return out


def test_input_and_layers_are_the_restored_sound_bit_for_bit(
    aged: tuple[Samples, wavemend.Plan], result: wavemend.Result
) -> None:
    assert [step.repair for step in result.report.plan.steps] == ["declick", "fill", "dc"]
    layers = [layer.samples for layer in result.layers]
    assert all(layer.any() for layer in layers)
    total = added(aged[0], layers)
    assert np.array_equal(total.view(np.int32), result.restored.samples.view(np.int32))


def test_a_layer_can_be_switched_off(aged: tuple[Samples, wavemend.Plan], result: wavemend.Result) -> None:
    layers = [layer.samples for layer in result.layers]
    assert np.array_equal(result.without(2).samples, added(aged[0], layers[:2]))
    assert np.array_equal(result.without(0, 1, 2).samples, aged[0])
    assert np.array_equal(result.without().samples, result.restored.samples)
    with pytest.raises(InputError, match="no step 3"):
        result.without(3)


def test_the_map_is_true(aged: tuple[Samples, wavemend.Plan], result: wavemend.Result) -> None:
    report, changed = result.report, result.restored.samples != aged[0]
    assert [report.plan.steps[t.step].repair for t in report.provenance] == ["declick", "fill", "dc"]
    assert [t.provenance for t in report.provenance] == ["interpolated", "interpolated", "attenuated"]
    for channel in range(2):
        kinds = strongest(report.provenance, channel, 0, 3 * RATE)
        assert not changed[channel][kinds == 0].any()
        assert (kinds[60_000:60_009] == 1 + PROVENANCES.index("interpolated")).all()
        inside = kinds[20_000:20_400]
        assert (inside == (2 if channel == 0 else 1)).all()
    for trace, layer in zip(report.provenance, result.layers, strict=True):
        assert trace.values == np.count_nonzero(layer.samples)
    # windows of the map are cut from the whole of it
    assert np.array_equal(
        strongest(report.provenance, 0, 20_100, 20_900),
        strongest(report.provenance, 0, 0, 30_000)[20_100:20_900],
    )


def test_the_map_in_the_report_reads_back_and_is_short(result: wavemend.Result) -> None:
    text = report_json(result.report)
    assert from_plain(Report, json.loads(text)) == dataclasses.replace(
        result.report, seconds=json.loads(text)["seconds"]
    )
    assert "[ 20000, 20400 ]" in text


class Kept:
    """A sink for layers."""

    def __init__(self) -> None:
        self.parts: list[Samples] = []

    def push(self, layer: Samples) -> None:
        self.parts.append(layer.copy())


values = st.one_of(st.floats(-4, 4, width=32), st.sampled_from([0.0, -0.0, 1e-30, -1e-38, 0.7, 1e-9]))


@given(st.lists(st.tuples(values, values), min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_difference_adds_up_for_any_cut(pairs: list[tuple[float, float]], cuts: list[int]) -> None:
    dry, wet = (np.array([side], np.float32) for side in zip(*pairs, strict=True))
    kept = Kept()
    format = Format(8_000, 1)
    generated = [Region(3, 9)]
    stream = Accounted(Known(wet, 5), format, 0, "attenuated", generated, [kept], local=True)
    edges = [0, *sorted(min(c, len(pairs)) for c in cuts), len(pairs)]
    out = np.concatenate([*(stream.push(dry[:, a:b]) for a, b in pairwise(edges)), stream.flush()], axis=1)
    layer = np.concatenate(kept.parts, axis=1)
    assert np.array_equal(added(dry, [layer]).view(np.int32), out.view(np.int32))
    assert np.abs(out.astype(float) - wet).max() <= 2.0**-23 * max(np.abs(layer).max(), 1e-30)
    same = dry == wet
    assert np.array_equal(out.view(np.int32)[same], dry.view(np.int32)[same])
    kinds = strongest(stream.traces(), 0, 0, len(pairs))
    assert (kinds[~same[0]] > 0).all()
    assert not (kinds[:3] == 3).any() and not (kinds[9:] == 3).any()
    assert (kinds[3:9][~same[0][3:9]] == 3).all()


def test_where_nothing_is_done_nothing_is_noted() -> None:
    sound = np.array(contract.music(FORMAT, 5_000))
    stream = Accounted(Passthrough(FORMAT), FORMAT, 0, "generated", [], [], local=True)
    assert np.array_equal(run(stream, sound), sound)
    assert stream.traces() == []


def test_the_map_of_any_recording_is_small_and_hides_nothing() -> None:
    places = Places(2, 4)
    starts = np.cumsum(np.random.default_rng(0).integers(10, 90, 60_000))
    for start in starts.tolist():
        places.add(0, start, start + 3)
    places.add(1, 5, 9)
    traces = places.traces(0, "interpolated")
    assert sum(len(trace.runs) for trace in traces) <= MOST_RUNS and traces[0].joined > 4
    kinds = strongest(traces, 0, 0, int(starts[-1]) + 3)
    assert all((kinds[at : at + 3] == 2).all() for at in starts[::97])
    assert all(first[1] + traces[0].joined < second[0] for first, second in pairwise(traces[0].runs))


@pytest.fixture
def file(tmp_path: Path, aged: tuple[Samples, wavemend.Plan]) -> Path:
    sf.write(tmp_path / "old.wav", aged[0].T, RATE, "PCM_16")
    return tmp_path / "old.wav"


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff"])
def test_layers_and_rounding_are_the_written_file(
    file: Path, aged: tuple[Samples, wavemend.Plan], tmp_path: Path, ending: str
) -> None:
    out, folder = tmp_path / f"new.{ending}", tmp_path / "layers"
    restore_file(file, out, plan=aged[1], layers=folder)
    listed = json.loads((folder / "layers.json").read_text())
    names = [entry["file"] for entry in listed["layers"]]
    assert names == ["1-declick.wav", "2-fill.wav", "3-dc.wav"] and listed["rounding"] == ROUNDING
    before = sf.read(file, dtype="float32")[0].T
    layers = [sf.read(folder / name, dtype="float32")[0].T for name in names]
    restored = added(before, layers)
    written = sf.read(out, dtype="float64")[0].T
    rounding = sf.read(folder / ROUNDING, dtype="float32")[0].T
    total = restored.astype(np.float64) + rounding
    assert np.array_equal(np.rint(total * 32768), written * 32768)
    assert np.abs(rounding).max() <= 1.5 / 32768


def test_layers_of_float_files_need_no_rounding(tmp_path: Path, aged: tuple[Samples, wavemend.Plan]) -> None:
    sf.write(tmp_path / "old.wav", aged[0].T, RATE, "FLOAT")
    restore_file(tmp_path / "old.wav", tmp_path / "new.wav", plan=aged[1], layers=tmp_path / "layers")
    layers = [sf.read(path, dtype="float32")[0].T for path in sorted((tmp_path / "layers").glob("*.wav"))]
    assert len(layers) == 3
    assert np.array_equal(added(aged[0], layers), sf.read(tmp_path / "new.wav", dtype="float32")[0].T)


def test_a_clean_file_has_no_layers_and_stays_as_it_is(tmp_path: Path) -> None:
    sf.write(tmp_path / "old.wav", contract.music(FORMAT, 2 * RATE).T, RATE, "PCM_24")
    done = restore_file(tmp_path / "old.wav", tmp_path / "new.wav", layers=tmp_path / "layers")
    assert (tmp_path / "old.wav").read_bytes() == (tmp_path / "new.wav").read_bytes()
    assert done.report.provenance == () and [p.name for p in (tmp_path / "layers").iterdir()] == [
        "layers.json"
    ]


@pytest.fixture
def generating(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if taking out an offset were an invention: one word in a repair's declaration."""
    made = dataclasses.replace(repairs["dc"], provenance="generated")
    monkeypatch.setitem(repairs._all(), "dc", made)


@pytest.mark.usefixtures("generating")
@pytest.mark.parametrize("ending", ["wav", "flac", "aiff", "ogg", "mp3", "w64", "caf"])
def test_every_file_says_that_sound_was_generated(
    tmp_path: Path, aged: tuple[Samples, wavemend.Plan], ending: str
) -> None:
    container = {"aiff": "AIFF", "w64": "W64", "caf": "CAF", "mp3": "MP3"}.get(ending, "WAV")
    old = tmp_path / f"old.{ending if container != 'WAV' else 'wav'}"
    sf.write(old, aged[0].T, RATE, format=container)
    if ending == "flac":
        sf.write(tmp_path / "old.flac", aged[0].T, RATE, "PCM_16")
        old = tmp_path / "old.flac"
    done = restore_file(old, tmp_path / f"new.{ending}", plan=aged[1])
    said = "Parts of this sound were generated by wavemend (dc)"
    with open_reader(done.output) as reader:
        tags = dict(reader.source.tags)
        assert reader.samples >= 3 * RATE
    if ending == "caf":
        assert "COMMENT" not in tags  # a CAF file keeps its chunks; there is no place for one more
    else:
        assert said in tags["COMMENT"]
    assert "Generated, not recorded: 3.00 s, by dc" in words.of_report(done.report)


@pytest.mark.usefixtures("generating")
def test_what_was_said_before_stays(tmp_path: Path, aged: tuple[Samples, wavemend.Plan]) -> None:
    with sf.SoundFile(tmp_path / "old.flac", "w", RATE, 2, "PCM_16") as made:
        made.comment, made.title = "side two", "A waltz"
        made.write(aged[0].T)
    restore_file(tmp_path / "old.flac", tmp_path / "new.flac", plan=aged[1])
    with sf.SoundFile(tmp_path / "new.flac") as found:
        assert found.title == "A waltz"
    with open_reader(tmp_path / "new.flac") as reader:
        assert reader.source.tags["COMMENT"].startswith("side two; Parts of this")


def test_history_and_note_name_what_generates(
    aged: tuple[Samples, wavemend.Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert history(aged[1]) == "declick, fill, dc" and note(aged[1]) == ""
    monkeypatch.setitem(repairs._all(), "dc", dataclasses.replace(repairs["dc"], provenance="generated"))
    assert history(aged[1]) == "declick, fill, dc, parts generated by dc"
    assert "3. dc: DC offset, 0.0 s to 3.0 s, in part generated" in words.of_plan(aged[1])
    idle = dataclasses.replace(aged[1].steps[2], options={"strength": 0.0})
    assert note(dataclasses.replace(aged[1], steps=(*aged[1].steps[:2], idle))) == ""


def test_the_band_under_the_picture(result: wavemend.Result) -> None:
    drawn = band(result.report, 0, 3 * RATE)
    assert drawn.count('class="attenuated"') >= 2 and drawn.count('class="interpolated"') == 2
    assert "generated" not in drawn.split("aria-label")[0]
    generated = Trace(1, "generated", None, ((0, 3 * RATE),), 0, 1)
    all_of_it = dataclasses.replace(result.report, provenance=(*result.report.provenance, generated))
    assert band(all_of_it, 0, 3 * RATE).count("<rect") == 1
    assert band(dataclasses.replace(result.report, provenance=()), 0, 3 * RATE) == ""


def test_a_place_that_the_guard_took_back_is_not_called_generated() -> None:
    remark = Remark(1, Region(100, 200, (0,)), True, {}, "")
    for region, step, action, expected in (
        (Region(150, 160), 1, "revert", True),
        (Region(150, 160, (1,)), 1, "revert", False),
        (Region(200, 260), 1, "revert", False),
        (Region(150, 160), 0, "revert", False),
        (Region(150, 160), 1, "keep", False),
    ):
        verdict = Verdict(step, region, action, {}, "")  # type: ignore[arg-type]
        assert _taken_back(remark, [verdict]) is expected


def test_a_repair_that_must_be_asked_for_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = dataclasses.replace(
        repairs["dc"], name="broaden", treats=("bandwidth",), opt_in=True, provenance="generated"
    )
    monkeypatch.setitem(repairs._all(), "broaden", waiting)
    found = [Finding("bandwidth", Region(0, 1000), 0.9, 1.0)]
    plan = make_plan(found, FORMAT, 1000)
    assert plan.steps == () and "broaden is asked for" in plan.left_alone[0].reason
    plan = make_plan(found, FORMAT, 1000, also=["broaden"])
    assert [step.repair for step in plan.steps] == ["broaden"]
    with pytest.raises(InputError, match="declick need not be asked for"):
        make_plan(found, FORMAT, 1000, also=["declick"])
    with pytest.raises(InputError, match="no repair 'widen'"):
        make_plan(found, FORMAT, 1000, also=["widen"])
    sound = contract.music(FORMAT, RATE)
    with pytest.raises(InputError, match="a plan already says"):
        wavemend.restore(sound, RATE, plan=plan, also=["broaden"])
    (trace,) = wavemend.restore(sound, RATE, also=["broaden"]).report.provenance
    assert trace.provenance == "generated"
    assert wavemend.restore(sound, RATE).report.provenance == ()


def test_damage_kinds_have_one_usual_repair() -> None:
    usual = [kind for repair in repairs.values() if not repair.opt_in for kind in repair.treats]
    assert len(usual) == len(set(usual)) and set(usual) <= set(damages)
