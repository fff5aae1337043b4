"""The guard: what is good passes, what smooths too much is held back, what blows up is reverted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

import contract
from wavemend.core.types import Format, Samples
from wavemend.engine.stream import run
from wavemend.repairs import Repair, repairs
from wavemend.restoration.guard import Guarded, guarded
from wavemend.restoration.judge_local import LocalJudge
from wavemend.restoration.judge_steady import SteadyJudge

FORMAT = Format(48_000, 2)
SECONDS = 6


class Known:
    """A stream that gives back samples made beforehand, with a latency."""

    def __init__(self, wet: Samples, latency: int) -> None:
        self._wet, self.latency = wet, latency
        self._went = self._came = 0

    def push(self, block: Samples) -> Samples:
        self._went += block.shape[1]
        stop = max(self._went - self.latency, self._came)
        out, self._came = self._wet[:, self._came : stop], stop
        return out

    def flush(self) -> Samples:
        return self._wet[:, self._came :]


def guard_steady(dry: Samples, wet: Samples, repair: Repair | None = None) -> tuple[Samples, Guarded]:
    judge = SteadyJudge(0, repair or repairs["dc"], FORMAT)
    stream = Guarded(Known(wet, 3000), judge, FORMAT)
    return run(stream, dry, block=5000), stream


def guard_local(dry: Samples, wet: Samples) -> tuple[Samples, Guarded]:
    stream = Guarded(Known(wet, 3000), LocalJudge(0, FORMAT), FORMAT)
    return run(stream, dry, block=5000), stream


@pytest.fixture
def clean() -> Samples:
    return contract.music(FORMAT, SECONDS * FORMAT.sample_rate)


def noise(level: float) -> Samples:
    rng = np.random.default_rng(0)
    return (level * rng.standard_normal((2, SECONDS * FORMAT.sample_rate))).astype(np.float32)


def test_removing_noise_is_kept(clean: Samples) -> None:
    out, stream = guard_steady(clean + noise(0.003), clean)
    assert np.array_equal(out, clean)
    assert {v.action for v in stream.verdicts} == {"keep"}


def test_a_low_pass_is_held_back(clean: Samples) -> None:
    dry = clean + noise(0.0003)
    dull = signal.sosfiltfilt(signal.butter(6, 2000, fs=48_000, output="sos"), dry).astype(np.float32)
    out, stream = guard_steady(dry, dull)
    held = sum(v.region.stop - v.region.start for v in stream.verdicts if v.action != "keep")
    assert held >= 4 * FORMAT.sample_rate

    def high(x: Samples) -> float:
        return float(np.sum(signal.sosfilt(signal.butter(6, 4000, "high", fs=48_000, output="sos"), x) ** 2))

    assert 10 * np.log10(high(out) / high(dry)) > -3.0
    assert 10 * np.log10(high(dull) / high(dry)) < -20.0


@pytest.mark.parametrize("name", ["denoise", "dehum", "dc"])
def test_turning_down_is_reverted(clean: Samples, name: str) -> None:
    dry = clean + noise(0.0003)
    out, stream = guard_steady(dry, 0.25 * dry, repairs[name])
    assert any(v.action != "keep" for v in stream.verdicts)
    assert np.sqrt(np.mean(out**2) / np.mean(dry**2)) > 0.7


def test_what_changes_nothing_gets_no_verdict(clean: Samples) -> None:
    out, stream = guard_steady(clean, clean.copy())
    assert np.array_equal(out, clean)
    assert stream.verdicts == []


def test_a_good_local_repair_is_kept_and_a_bad_one_reverted(clean: Samples) -> None:
    dry = clean.copy()
    dry[0, 50_000:50_010] += 0.4
    wet = clean.copy()
    wet[1, 150_000:150_020] += 3.0  # a blow-up, where nothing was wrong
    out, stream = guard_local(dry, wet)
    assert np.array_equal(out, clean)
    actions = {v.action: v for v in stream.verdicts}
    assert actions["keep"].measures["runs"] == 1
    assert actions["revert"].region.channels == (1,)
    assert actions["revert"].region.start == 150_000


@pytest.mark.parametrize("place", [47_990, 48_000, 95_995])
def test_runs_across_window_edges_are_judged_once_and_whole(clean: Samples, place: int) -> None:
    wet = clean.copy()
    wet[0, place : place + 20] -= 5.0
    out, stream = guard_local(clean, wet)
    assert np.array_equal(out, clean)
    assert [v.action for v in stream.verdicts] == ["revert"]


def test_any_cut_gives_the_same(clean: Samples) -> None:
    dry = clean + noise(0.001)
    wet = 0.4 * dry
    results = []
    for block in (1_000, 48_000, dry.shape[1]):
        stream = Guarded(Known(wet, 3000), SteadyJudge(0, repairs["dc"], FORMAT), FORMAT)
        results.append((run(stream, dry, block=block), stream.verdicts))
    assert all(np.array_equal(results[0][0], other[0]) for other in results[1:])
    assert all(results[0][1] == other[1] for other in results[1:])


def test_no_guard_stands_over_what_may_take_anything() -> None:
    stream = Known(np.zeros((1, 100), np.float32), 0)
    assert guarded(stream, 0, repairs["voice"], FORMAT) is stream
    assert isinstance(guarded(stream, 0, repairs["denoise"], FORMAT), Guarded)
