"""Networks and their cards: found by name or path, and refused where anything about them is in doubt."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

import contract
import tiny
import wavemend
from test_denoise import si_sdr_db
from wavemend.cli import cli
from wavemend.core.card import Card, read_card, write_card
from wavemend.core.types import Format, Plan, Samples
from wavemend.damage import damages
from wavemend.engine import model as engine_model
from wavemend.engine.confine import ENDLESS
from wavemend.engine.model import SHIPPED, Model, models
from wavemend.engine.stream import run
from wavemend.errors import InputError
from wavemend.repairs import repairs

MONO = Format(48_000, 1)
DENOISE, NOISE = repairs["denoise"], damages["noise"]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return tiny.write(tmp_path)


def edit(card: Path, **changes: Any) -> None:
    """Change keys of a card on disk; None takes a key away."""
    content = {**json.loads(card.read_text(encoding="utf-8")), **changes}
    content = {key: value for key, value in content.items() if value is not None}
    card.write_text(json.dumps(content), encoding="utf-8")


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = tiny.card("0" * 64)
    write_card(tmp_path / "a.json", made)
    assert read_card(tmp_path / "a.json") == made


@pytest.mark.parametrize("key", [f.name for f in fields(Card) if f.default is MISSING])
def test_a_card_that_lacks_a_key_is_refused(key: str, network: Path) -> None:
    edit(network.with_suffix(".json"), **{key: None})
    with pytest.raises(InputError, match=f"tiny.json: the card lacks the key '{key}'"):
        Model.load(str(network))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mood": "good"}, "'mood' that is not known"),
        ({"task": "declick"}, "task 'declick' is not known"),
        ({"bins": 700}, "frames of 1536 samples have 768"),
        ({"synthesis": 1000}, "synthesis must be a multiple of 960"),
        ({"hop": 0}, "hop"),
        ({"frames_per_call": 0}, "frames_per_call"),
        ({"training": {"minutes": 1}}, "hours_of_sound"),
        ({"sha256": "0" * 64}, "other hash"),
    ],
    ids=str,
)
def test_a_wrong_card_is_refused_in_one_line(changes: dict[str, Any], says: str, network: Path) -> None:
    edit(network.with_suffix(".json"), **changes)
    with pytest.raises(InputError, match=says) as caught:
        DENOISE.check({"model": str(network)})
    assert "\n" not in str(caught.value) and str(network.with_suffix("")) in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path, network: Path) -> None:
    with pytest.raises(InputError, match="model cannot be 'studyo'"):
        DENOISE.check({"model": "studyo"})
    with pytest.raises(InputError, match="there is no model 'studyo'"):
        Model.load("studyo")
    with pytest.raises(InputError, match="there is no such model"):
        DENOISE.check({"model": str(tmp_path / "none.onnx")})
    network.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="the card of the model cannot be read"):
        Model.load(str(network))


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    edit(path.with_suffix(".json"), state_size=5)
    with pytest.raises(InputError, match="its inputs are"):
        Model.load(str(path)).open()
    path.write_bytes(b"no network")
    write_card(path.with_suffix(".json"), tiny.card(engine_model.file_sha256(path)))
    with pytest.raises(InputError, match="not a network"):
        Model.load(str(path)).open()


def test_a_network_that_gives_nonsense_is_stopped(tmp_path: Path) -> None:
    path = tiny.write(tmp_path, fixed=float("nan"))
    stream = DENOISE.open(MONO, NOISE.simulate(np.zeros((1, 9), np.float32), MONO, 1)[1], model=str(path))
    with pytest.raises(InputError, match="no mask of finite numbers"):
        run(stream, np.zeros((1, 48_000), np.float32))


def test_a_network_is_loaded_once_until_its_file_changes(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    first = Model.load(str(path))
    assert Model.load(str(path)) is first and first.session is first.session
    tiny.write(tmp_path, knee=1.0)
    assert Model.load(str(path)).card.sha256 != first.card.sha256


def test_streams_of_one_network_do_not_hear_each_other(network: Path) -> None:
    model = Model.load(str(network))
    given = np.random.default_rng(0).standard_normal((3, 2, 768, 2)).astype(np.float32)
    alone = model.open()
    expected = [alone.step(x) for x in given]
    one, other = model.open(), model.open()
    mixed = []
    for x in given:
        mixed.append(one.step(x))
        other.step(2 * x)
    assert all(np.array_equal(a, b) for a, b in zip(expected, mixed, strict=True))


def test_options_that_a_network_does_not_read_are_refused(network: Path) -> None:
    for option in ({"smoothing": 2}, {"window_ms": 80.0}):
        with pytest.raises(InputError, match="is only read with model = classic"):
            DENOISE.check({"model": str(network), **option})
        assert DENOISE.check({"model": "classic", **option})["floor_db"] == 18.0
    checked = DENOISE.check({"model": str(network), "smoothing": 1})
    assert checked == {"strength": 1.0, "model": str(network), "content": "auto", "floor_db": 24.0}


def test_live_sound_waits_for_the_network_alone(tmp_path: Path) -> None:
    """A region without an end is not faded out, so nothing waits for its end."""
    path = tiny.write(tmp_path, **tiny.LIVE)
    whole = wavemend.Finding("noise", wavemend.Region(0, ENDLESS), 1.0, 1.0)
    stream = DENOISE.open(MONO, [whole], model=str(path))
    assert stream.latency == 960
    given = contract.music(MONO, 48_000)
    known = wavemend.Finding("noise", wavemend.Region(0, 48_000), 1.0, 1.0)
    assert np.array_equal(
        run(stream, given, block=480), run(DENOISE.open(MONO, [known], model=str(path)), given)
    )


def test_nothing_of_the_runtime_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys\nfrom wavemend.repairs import repairs\nfrom wavemend.restoration import api, words\n"
        "words.of_catalogue(), repairs['denoise'].check({'model': 'classic'})\n"
        "sys.exit('onnxruntime' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def noisy_music(snr_db: float = 15.0) -> tuple[Samples, Samples, float]:
    """Clean, noisy, and the noise's variance."""
    clean = contract.music(MONO, 6 * 48_000)
    noisy, _ = NOISE.simulate(clean, MONO, 3, snr_db=snr_db, slope_db_per_octave=0.0)
    return clean, noisy, float(np.var(noisy - clean))


def planned(noisy: Samples, path: Path) -> Plan:
    plan = wavemend.plan(noisy, 48_000, only=["noise"])
    return replace(
        plan, steps=tuple(replace(s, options={**s.options, "model": str(path)}) for s in plan.steps)
    )


def test_the_guard_keeps_a_good_network_and_takes_back_a_bad_one(tmp_path: Path) -> None:
    clean, noisy, variance = noisy_music()
    good = tiny.write(tmp_path, "good", knee=4 * variance)
    bad = tiny.write(tmp_path, "bad", knee=1e5 * variance)
    kept = wavemend.restore(noisy, 48_000, plan=planned(noisy, good))
    assert si_sdr_db(clean, kept.restored.samples) > si_sdr_db(clean, noisy) + 5
    assert "revert" not in {v.action for v in kept.report.verdicts}
    forced = wavemend.repair("denoise", noisy, 48_000, model=str(bad))
    assert si_sdr_db(clean, forced.restored.samples) < si_sdr_db(clean, noisy) - 5
    reverted = wavemend.restore(noisy, 48_000, plan=planned(noisy, bad))
    assert {v.action for v in reverted.report.verdicts} == {"revert"}
    assert Model.load(str(bad)).card.sha256 in reverted.report.versions["model bad"]
    assert np.array_equal(reverted.restored.samples, noisy)


def test_a_plan_names_its_network_and_can_be_written(tmp_path: Path, network: Path) -> None:
    _, noisy, _ = noisy_music()
    plan = wavemend.plan(noisy, 48_000, only=["noise"])
    assert plan.steps[0].options["model"] == DENOISE.params["model"].default
    changed = planned(noisy, network)
    wavemend.save_plan(changed, tmp_path / "plan.json")
    assert wavemend.load_plan(tmp_path / "plan.json") == changed
    network.unlink()
    with pytest.raises(wavemend.PlanError, match="no such model"):
        wavemend.load_plan(tmp_path / "plan.json")


def test_on_the_command_line(tmp_path: Path, network: Path) -> None:
    _, noisy, _ = noisy_music()
    given, out, removed = (tmp_path / name for name in ("in.wav", "out.wav", "removed.wav"))
    sf.write(given, noisy.T, 48_000, subtype="FLOAT")
    options = ("--model", str(network), "--strength", "0.5", "--floor-db", "30", "--residual", str(removed))
    done = CliRunner().invoke(cli, ["repair", "denoise", str(given), "-o", str(out), *options])
    assert done.exit_code == 0, done.output
    before, after, gone = (sf.read(path, dtype="float32")[0] for path in (given, out, removed))
    assert gone == pytest.approx(before - after, abs=1e-6)
    whole = wavemend.repair("denoise", noisy, 48_000, model=str(network), floor_db=30.0).restored.samples[0]
    assert after == pytest.approx(before + 0.5 * (whole - before), abs=1e-6)
    card = CliRunner().invoke(cli, ["list", "--model", str(network)])
    for word in (
        "One pole",
        "CC0-1.0",
        "nobody",
        "PESQ-WB: 1",
        "name = 'tiny'",
        Model.load(str(network)).card.sha256,
    ):
        assert word in card.output
    plain = CliRunner().invoke(cli, ["list", "--model", str(network), "--json"])
    assert json.loads(plain.output)["title"] == "One pole"


SHIPS = pytest.mark.skipif(not models(), reason="no network is shipped yet")


@SHIPS
def test_both_networks_are_shipped_and_the_larger_is_the_default() -> None:
    assert set(models("denoise")) == {"live", "studio"} and set(models("content")) == {"ear"}
    assert set(models("examine")) == {"examiner"}
    assert DENOISE.params["model"].default == "studio"
    assert Model.load("live").card.latency_ms <= 20.0
    assert {path.suffix for path in SHIPPED.iterdir()} == {".onnx", ".json", ".pt", ".md"}


@SHIPS
@pytest.mark.parametrize("name", models("denoise"))
def test_a_shipped_network_lists_its_card_and_leaves_clean_music_whole(name: str) -> None:
    card = Model.load(name).card
    assert card.name == name and card.data and card.figures
    listed = CliRunner().invoke(cli, ["list"]).output
    assert f"{name}: {card.title}" in listed and f"{card.parameters:,} parameters" in listed
    clean = contract.music(Format(44_100, 2), 3 * 44_100)
    known = wavemend.Finding("noise", wavemend.Region(0, 3 * 44_100), 1.0, 1.0)
    stream = DENOISE.open(Format(44_100, 2), [known], model=name)
    once = run(stream, clean, block=10_007)
    assert np.array_equal(once, run(DENOISE.open(Format(44_100, 2), [known], model=name), clean))
    assert si_sdr_db(clean, once) > 20.0
