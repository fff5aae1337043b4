"""The library: five lines for a file, the same for arrays and recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import contract
import wavemend
from wavemend.core.hook import Event
from wavemend.core.types import Finding, Format, Recording
from wavemend.damage import damages
from wavemend.errors import InputError
from wavemend.restoration.plan import make_plan

RATE = 44_100


@pytest.fixture
def offset() -> np.ndarray:
    return contract.music(Format(RATE, 2), 5 * RATE) + np.float32(0.05)


def test_a_file_in_and_out(tmp_path: Path, offset: np.ndarray) -> None:
    sf.write(tmp_path / "old.wav", offset.T, RATE, subtype="PCM_24")
    result = wavemend.restore(str(tmp_path / "old.wav"))
    result.save(tmp_path / "new.wav")
    new, _ = sf.read(tmp_path / "new.wav", dtype="float32")
    assert np.abs(new.mean(axis=0)).max() < 0.005
    assert np.abs(new.T - result.restored.samples).max() < 2**-21
    read, _ = sf.read(tmp_path / "old.wav", dtype="float32")
    assert np.abs(result.residual.samples + result.restored.samples - read.T).max() < 1e-7


def test_arrays_and_recordings_give_what_files_give(tmp_path: Path, offset: np.ndarray) -> None:
    sf.write(tmp_path / "old.wav", offset.T, RATE, subtype="FLOAT")
    from_file = wavemend.restore(tmp_path / "old.wav").restored.samples
    from_array = wavemend.restore(offset, RATE).restored.samples
    from_recording = wavemend.restore(Recording(offset, Format(RATE, 2))).restored.samples
    assert np.array_equal(from_file, from_array)
    assert np.array_equal(from_file, from_recording)


def test_one_channel_as_a_plain_array(offset: np.ndarray) -> None:
    result = wavemend.restore(offset[0], RATE)
    assert result.restored.format == Format(RATE, 1)
    assert result.restored.samples.shape == (1, offset.shape[1])
    assert not result.restored.samples.flags.writeable


def test_the_report_accounts_for_everything(offset: np.ndarray) -> None:
    seen: list[Event] = []
    report = wavemend.restore(offset, RATE, hook=seen.append).report
    assert [step.repair for step in report.plan.steps] == ["dc"]
    assert {v.step for v in report.verdicts} == {0}
    assert report.versions["wavemend"] == wavemend.__version__
    assert set(report.seconds) == {"diagnose", "repair"}
    assert {event.stage for event in seen} == {"diagnose", "repair"}
    assert all(event.done <= event.total for event in seen)
    assert seen[-1].done == seen[-1].total == offset.shape[1]


def test_same_plan_same_bits(offset: np.ndarray) -> None:
    plan = wavemend.plan(offset, RATE)
    first = wavemend.restore(offset, RATE).restored.samples
    again = wavemend.restore(offset, RATE, plan=plan).restored.samples
    assert np.array_equal(first, again)


def test_one_repair_in_a_span(offset: np.ndarray) -> None:
    out = wavemend.repair("dc", offset, RATE, span_s=(1.0, 2.0), window_s=1.0).restored.samples
    changed = np.flatnonzero((out != offset).any(axis=0))
    assert changed[0] >= RATE
    assert changed[-1] < 2 * RATE


def test_what_cannot_be_is_said() -> None:
    sound = np.zeros((2, 1000), np.float32)
    for wrong, rate, message in [
        (sound, None, "sample_rate"),
        (np.zeros((2, 10), np.int16), RATE, "floating point"),
        (np.zeros((2, 2, 2), np.float32), RATE, "shape"),
        (np.full((1, 10), np.nan, np.float32), RATE, "NaN"),
        (np.zeros((1, 0), np.float32), RATE, "no samples"),
        (sound, 0, "sample rate"),
        (sound, 10_000_000, "sample rate"),
    ]:
        with pytest.raises(wavemend.InputError, match=message):
            wavemend.restore(wrong, rate)
    with pytest.raises(wavemend.MediaError, match="no such file"):
        wavemend.restore("nowhere.wav")
    with pytest.raises(wavemend.InputError, match="no repair"):
        wavemend.repair("undo", sound, RATE)


def test_a_plan_for_another_recording_is_refused(offset: np.ndarray) -> None:
    plan = wavemend.plan(offset, RATE)
    with pytest.raises(wavemend.PlanError, match="the plan is for"):
        wavemend.restore(offset[:, :-1], RATE, plan=plan)


def test_a_chain_of_all_repairs_keeps_length_and_place() -> None:
    format = Format(192_000, 8)
    sound = contract.music(format, 3 * format.sample_rate)
    damaged = sound.copy()
    findings = []
    for name in ("clipping", "clicks", "crackle", "dropouts", "dc", "hum", "noise"):
        damaged, truth = damages[name].simulate(damaged, format, seed=4)
        findings += [Finding(f.damage, f.region, f.severity, 1.0, f.measures) for f in truth]
    plan = make_plan(sorted(findings, key=lambda f: f.region.start), format, sound.shape[1])
    assert [step.repair for step in plan.steps] == [
        "declip", "declick", "decrackle", "fill", "dc", "dehum", "denoise",
    ]  # fmt: skip
    out = wavemend.restore(damaged, format.sample_rate, plan=plan).restored.samples
    assert out.shape == sound.shape
    for channel in range(format.channels):
        spectra = [np.fft.rfft(x[channel], 2 * x.shape[1]) for x in (sound, out)]
        assert int(np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1]))) == 0
    error_before = np.sum((damaged - sound) ** 2)
    assert np.sum((out - sound) ** 2) < error_before


def test_a_plan_goes_alone(offset: np.ndarray) -> None:
    plan = wavemend.plan(offset, RATE)
    for other in ({"strength": 0.5}, {"only": ("dc",)}):
        with pytest.raises(InputError, match="plan"):
            wavemend.restore(offset, RATE, plan=plan, **other)  # type: ignore[arg-type]
