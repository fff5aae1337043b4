"""The command line as scripts use it: words and JSON on stdout, one line on stderr, exit codes, files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import make_piece
import numpy as np
import pytest
import soundfile as sf
import soxr

import contract
from wavemend import cli
from wavemend.core.types import Format, Samples
from wavemend.core.writer import FileWriter
from wavemend.damage import damages
from wavemend.repairs import repairs

RATE = 48_000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*args: object) -> tuple[int, str, str]:
        code = 0
        try:
            cli.main([str(arg) for arg in args])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def piece() -> Samples:
    return make_piece.make_piece()[:, : 6 * RATE]


@pytest.fixture
def clean(tmp_path: Path, piece: Samples) -> Path:
    path = tmp_path / "clean.wav"
    sf.write(path, piece.T, RATE, subtype="PCM_24")
    return path


@pytest.fixture
def offset(tmp_path: Path, piece: Samples) -> Path:
    path = tmp_path / "offset.wav"
    sf.write(path, 0.9 * piece.T + 0.05, RATE, subtype="PCM_24")
    return path


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert code == 2
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    for word in words:
        assert word in lines[0]


def test_help_is_light() -> None:
    code = (
        "import sys\nfrom wavemend.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'soundfile', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'{heavy} loaded' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("restore", "diagnose", "plan", "repair", "damage", "compare", "list"):
        assert command in done.stdout


def test_restore_repairs_and_says_so(run: Run, offset: Path, tmp_path: Path) -> None:
    out, residual, folder = tmp_path / "new.wav", tmp_path / "removed.wav", tmp_path / "report"
    code, text, err = run("restore", offset, "-o", out, "--residual", residual, "--report", folder)
    assert (code, err) == (0, "")
    assert "DC offset" in text
    assert str(out) in text
    before, _ = sf.read(offset)
    after, rate = sf.read(out)
    removed, _ = sf.read(residual)
    assert rate == RATE
    assert after.shape == before.shape
    assert sf.info(out).subtype == "PCM_24"
    assert np.abs(after.mean(axis=0)).max() < 0.005
    assert np.abs(before - after - removed).max() <= 2**-22
    assert {"report.html", "report.json"} <= {p.name for p in folder.iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".") or p.suffix == ".tmp"]


def test_layers_are_written_and_add_up(run: Run, offset: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "new.wav", tmp_path / "layers"
    code, _, err = run("restore", offset, "-o", out, "--layers", folder)
    assert (code, err) == (0, "")
    assert sorted(p.name for p in folder.iterdir()) == ["1-dc.wav", "layers.json", "rounding.wav"]
    before, after, layer = (sf.read(path, dtype="float32")[0] for path in (offset, out, folder / "1-dc.wav"))
    assert np.abs(before + layer - after).max() <= 1.6 * 2**-23
    refused(run("restore", offset, "-o", out, "--layers", offset), "no folder")


def test_restore_names_its_output_itself(run: Run, offset: Path) -> None:
    code, text, _ = run("restore", offset, "--json")
    report = json.loads(text)
    assert code == 0
    assert report["output"] == str(offset.with_name("offset.restored.wav"))
    assert Path(report["output"]).exists()
    assert [step["repair"] for step in report["plan"]["steps"]] == ["dc"]


def test_clean_comes_back_bit_for_bit(run: Run, clean: Path, tmp_path: Path) -> None:
    code, text, _ = run("restore", clean, "-o", tmp_path / "same.wav")
    assert code == 0
    assert "Nothing was changed" in text
    assert np.array_equal(sf.read(clean, dtype="int32")[0], sf.read(tmp_path / "same.wav", dtype="int32")[0])


def test_strength_and_only(run: Run, offset: Path, tmp_path: Path) -> None:
    run("restore", offset, "-o", tmp_path / "none.wav", "--strength", 0)
    run("restore", offset, "-o", tmp_path / "other.wav", "--only", "clicks")
    original = sf.read(offset, dtype="int32")[0]
    for name in ("none.wav", "other.wav"):
        assert np.array_equal(sf.read(tmp_path / name, dtype="int32")[0], original)
    run("restore", offset, "-o", tmp_path / "half.wav", "--strength", 0.5, "--only", "dc")
    assert sf.read(tmp_path / "half.wav")[0].mean() == pytest.approx(0.025, abs=0.005)


def test_same_plan_same_bits(run: Run, offset: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert run("plan", offset, "-o", plan)[0] == 0
    run("restore", offset, "-o", tmp_path / "a.wav")
    run("restore", offset, "-o", tmp_path / "b.wav", "--plan", plan)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    edited = json.loads(plan.read_text())
    edited["steps"] = []
    plan.write_text(json.dumps(edited))
    run("restore", offset, "-o", tmp_path / "c.wav", "--plan", plan)
    assert np.array_equal(sf.read(tmp_path / "c.wav")[0], sf.read(offset)[0])


def test_a_missing_band_is_generated_only_where_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    narrow, plan = tmp_path / "narrow.wav", tmp_path / "plan.json"
    half = contract.music(Format(16_000, 1), 48_000)[0] + 0.01 * np.random.default_rng(0).standard_normal(
        48_000
    )
    sf.write(narrow, soxr.resample(half, 16_000, 48_000), 48_000, subtype="PCM_24")
    code, text, _ = run("restore", narrow, "-o", tmp_path / "as-it-was.wav", "--json", "--only", "bandwidth")
    assert code == 0 and not json.loads(text)["plan"]["steps"]
    code, text, _ = run(
        "restore", narrow, "-o", tmp_path / "wide.wav", "--json", "--only", "bandwidth", "--extend"
    )
    report = json.loads(text)
    assert [step["repair"] for step in report["plan"]["steps"]] == ["extend"]
    assert [trace["provenance"] for trace in report["provenance"]] == ["generated"]
    assert run("plan", narrow, "--extend", "-o", plan)[0] == 0
    assert "extend" in [step["repair"] for step in json.loads(plan.read_text())["steps"]]
    refused(run("restore", narrow, "-o", tmp_path / "no.wav", "--plan", plan, "--extend"), "--extend")


def test_the_voice_alone_is_kept_only_where_it_is_asked_for(run: Run, clean: Path, tmp_path: Path) -> None:
    out, plan = tmp_path / "voice.wav", tmp_path / "plan.json"
    assert run("restore", clean, "-o", out, "--voice")[0] == 0  # nothing lies under it
    assert np.array_equal(sf.read(out)[0], sf.read(clean)[0])
    assert run("plan", clean, "--voice", "-o", plan)[0] == 0
    refused(run("restore", clean, "-o", tmp_path / "no.wav", "--plan", plan, "--voice"), "--voice")


def test_a_plan_never_replaces_its_recording(run: Run, clean: Path, tmp_path: Path) -> None:
    before = clean.read_bytes()
    (tmp_path / "link.json").symlink_to(clean)
    refused(run("plan", clean, "-o", clean), "input")
    refused(run("plan", clean, "-o", tmp_path / "link.json"), "input")
    assert clean.read_bytes() == before


def test_a_plan_in_a_pipe_is_json(run: Run, offset: Path) -> None:
    code, text, _ = run("plan", offset)
    assert code == 0
    assert json.loads(text)["wavemend_plan"] == 1


def test_diagnose_json(run: Run, offset: Path) -> None:
    code, text, _ = run("diagnose", offset, "--json")
    assert code == 0
    found = json.loads(text)
    keys = {"damage", "start_s", "stop_s", "channels", "band_hz", "severity", "confidence"}
    assert all(set(finding) == keys for finding in found)
    assert {"dc"} == {f["damage"] for f in found}
    assert found[0]["stop_s"] == pytest.approx(6.0)


def test_diagnose_in_words(run: Run, clean: Path) -> None:
    assert run("diagnose", clean) == (0, "Nothing was found to be wrong.\n", "")


def test_damage_then_repair_then_compare(run: Run, clean: Path, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.wav", tmp_path / "good.wav"
    code, text, _ = run("damage", "dc", clean, "-o", bad, "--offset", 0.1, "--seed", 3)
    assert code == 0
    truth = json.loads((tmp_path / "bad.truth.json").read_text())
    assert str(tmp_path / "bad.truth.json") in text
    assert truth["seed"] == 3
    assert truth["options"] == {"offset": 0.1}
    assert {f["damage"] for f in truth["findings"]} == {"dc"}
    code, text, _ = run("repair", "dc", bad, "-o", good, "--window-s", 1.0)
    assert code == 0
    code, text, _ = run("compare", clean, bad, good, "--json")
    rows = json.loads(text)
    assert code == 0
    assert [row["file"] for row in rows] == [str(bad), str(good)]
    assert {"si_sdr_db", "sdr_db", "lsd_db", "changed_samples"} <= set(rows[0])
    assert rows[1]["sdr_db"] > rows[0]["sdr_db"] + 20


def test_repair_stays_in_its_span(run: Run, offset: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.wav"
    assert run("repair", "dc", offset, "-o", out, "--start", 2, "--stop", 4)[0] == 0
    before, after = sf.read(offset, dtype="int32")[0], sf.read(out, dtype="int32")[0]
    changed = np.flatnonzero((before != after).any(axis=1))
    assert changed[0] >= 2 * RATE
    assert changed[-1] < 4 * RATE
    assert len(changed) > RATE


def test_list_names_everything_with_units_and_ranges(run: Run) -> None:
    code, text, _ = run("list")
    assert code == 0
    for kind in (*damages.values(), *repairs.values()):
        assert kind.name in text
        for name, param in kind.params.items():
            assert f"--{name.replace('_', '-')}" in text
            assert param.range in text
    assert set(json.loads(run("list", "--json")[1])) == {"damages", "repairs", "models"}


def test_bad_usage_is_one_line_and_2(run: Run, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    refused(run("repair", "undo", clean, "-o", out), "no repair 'undo'")
    refused(run("damage", "rust", clean, "-o", out), "no damage 'rust'")
    refused(run("restore", clean, "-o", out, "--only", "rust"), "no damage 'rust'")
    refused(run("restore", clean, "-o", out, "--strength", 2), "strength")
    refused(run("repair", "dc", clean, "-o", out, "--window-s", 99), "window_s", "30 s")
    refused(run("repair", "dc", clean, "-o", out, "--start", 5, "--stop", 4), "span")
    refused(run("repair", "dc", clean, "-o", out, "--start", "nan"), "span")
    refused(run("repair", "dc", clean, "-o", out, "--stop", "inf"), "span")
    refused(run("restore", clean, "-o", out, "--only", ""), "--only")
    refused(run("damage", "dc", clean, "-o", out, "--seed", -1), "--seed")
    refused(run("restore", clean, "-o", clean), "input")
    refused(run("restore"), "INPUT", "restore --help")
    refused(run("restore", clean, "-o", out, "--strenght", 1), "--strenght")
    refused(run("repair", "dc", clean), "--output")
    refused(run("mend", clean), "mend")
    refused(run("restore", clean, "-o", out, "--plan", tmp_path / "none.json"), "none.json")
    assert not out.exists()


@pytest.mark.parametrize(
    "content", [b"", b"just some text, no sound", b"RIFF\x00\x00"], ids=["empty", "text", "header"]
)
@pytest.mark.parametrize("command", ["restore", "diagnose", "plan"])
def test_bad_files_are_one_line_and_2(run: Run, tmp_path: Path, command: str, content: bytes) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(content)
    refused(run(command, bad), "bad.wav")
    refused(run(command, tmp_path / "missing.wav"), "missing.wav")
    refused(run(command, tmp_path), str(tmp_path.name))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.wav"]


def test_nan_is_refused_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "nan.wav"
    samples = np.zeros(RATE, np.float32)
    samples[-1] = np.nan
    sf.write(bad, samples, RATE, subtype="FLOAT")
    refused(run("repair", "dc", bad, "-o", tmp_path / "out.wav"), "NaN")
    assert [p.name for p in tmp_path.iterdir()] == ["nan.wav"]


def test_what_cannot_be_written_is_said_before_the_diagnosis(
    run: Run, offset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavemend.restoration.api.find", None)
    out = tmp_path / "out.wav"
    refused(run("restore", offset, "-o", tmp_path / "missing" / "out.wav"), "no folder")
    refused(run("restore", offset, "-o", out, "--residual", offset), "input")
    refused(run("restore", offset, "-o", out, "--residual", tmp_path / "missing" / ".." / "out.wav"), "resid")
    refused(run("repair", "dc", offset, "-o", offset), "input")
    assert [p.name for p in tmp_path.iterdir()] == ["offset.wav"]


def test_without_its_report_no_sound_appears(run: Run, offset: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("in the way")
    out, residual = tmp_path / "out.wav", tmp_path / "removed.wav"
    refused(
        run("restore", offset, "-o", out, "--residual", residual, "--report", tmp_path / "report"), "report"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["offset.wav", "report"]


def test_how_much_was_changed_is_said(run: Run, offset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    assert "every sample as it was" in run("restore", offset, "-o", out, "--strength", 0)[1]
    assert "of the samples changed" in run("repair", "dc", offset, "-o", out)[1]
    assert json.loads(run("restore", offset, "-o", out, "--json")[1])["changed_samples"] > RATE
    code, text, _ = run("repair", "dc", offset, "-o", tmp_path / "out.ogg")
    assert code == 0
    assert "OGG is lossy" in text


def test_our_own_fault_is_1(run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("wavemend.restoration.api.diagnose_file", broken)
    code, out, err = run("diagnose", clean)
    assert (code, out) == (1, "")
    assert "fault of wavemend" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_stopped_in_the_middle_nothing_is_left(
    run: Run, offset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out, residual = tmp_path / "out.wav", tmp_path / "removed.flac"
    write = FileWriter.write

    def stopped(writer: FileWriter, block: Samples) -> None:
        write(writer, block)
        assert [p for p in tmp_path.iterdir() if p.name.startswith(".")]
        signal.raise_signal(getattr(signal, name))

    monkeypatch.setattr(FileWriter, "write", stopped)
    refused(run("restore", offset, "-o", out, "--residual", residual), "stopped")
    assert [p.name for p in tmp_path.iterdir()] == ["offset.wav"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_stdout_is_not_our_fault() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "wavemend.cli", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "wavemend: no space left on the disk\n")


def test_a_closed_pipe_is_no_error(clean: Path) -> None:
    command = f"'{sys.executable}' -m wavemend.cli list | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "0", done.stderr
    assert done.stderr == ""


def test_silent_channels_and_absurd_values(run: Run, tmp_path: Path, piece: Samples) -> None:
    half = np.stack([piece[0], np.zeros_like(piece[0])], axis=1)
    sf.write(tmp_path / "half.wav", half, RATE, subtype="PCM_24")
    code, _, err = run("diagnose", tmp_path / "half.wav")
    assert (code, err) == (0, "")
    sf.write(tmp_path / "silent.wav", np.zeros((RATE, 2)), RATE, subtype="PCM_24")
    assert run("restore", tmp_path / "silent.wav", "-o", tmp_path / "out.wav")[0] == 0
    sf.write(tmp_path / "huge.wav", piece.T * 1e30, RATE, subtype="FLOAT")
    refused(run("restore", tmp_path / "huge.wav", "-o", tmp_path / "none.wav"), "full scale")
    assert not (tmp_path / "none.wav").exists()


def test_a_subtype_that_the_kind_of_file_cannot_hold_is_refused(
    run: Run, clean: Path, tmp_path: Path
) -> None:
    refused(run("restore", clean, "-o", tmp_path / "x.flac", "--subtype", "FLOAT"), "cannot hold FLOAT")
    refused(run("restore", clean, "-o", tmp_path / "x.ogg", "--subtype", "PCM_16"), "cannot hold PCM_16")
    assert run("restore", clean, "-o", tmp_path / "x.wav", "--subtype", "FLOAT")[0] == 0
    assert sf.info(tmp_path / "x.wav").subtype == "FLOAT"


def test_threads_are_told_before_numpy_is_loaded() -> None:
    code = (
        "import os, sys\nfrom wavemend.cli import main\n"
        "try: main(['--version'])\nexcept SystemExit: pass\n"
        "sys.exit(0 if os.environ['OPENBLAS_NUM_THREADS'] == '1' and 'numpy' not in sys.modules else 1)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
