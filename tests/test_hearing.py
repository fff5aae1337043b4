"""What belongs to a recording is heard, with some seconds around it, whatever the cuts into blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contract
import tiny
import wavemend
from wavemend.core.types import Format, Samples
from wavemend.engine.hearing import BEHIND_S, Ear
from wavemend.engine.masking import Masked
from wavemend.engine.model import SHIPPED, Model
from wavemend.engine.stream import run
from wavemend.errors import InputError
from wavemend.repairs import repairs

MONO = Format(48_000, 1)
HOP = 960


class Loud:
    """A listener whose log odds are high where sound is loud, and low where it is soft; and its model."""

    def __init__(self, frames_per_call: int = 1) -> None:
        changes: dict[str, Any] = {"n_fft": 1920, "hop": HOP, "synthesis": 1920, "lookahead_frames": 0}
        self.card = tiny.card(task="content", frames_per_call=frames_per_call, **changes)

    def open(self) -> Loud:
        return self

    def step(self, spectrum: Samples) -> Samples:
        power = np.square(spectrum).sum(axis=(1, 2))
        return np.where(power > 1.0, 6.0, -6.0).astype(np.float32)


def ear(ahead_s: float, call: int = 1) -> Ear:
    return Ear(Loud(call), 1, ahead_s)  # type: ignore[arg-type]


def levels(*spans: tuple[float, float]) -> Samples:
    """Noise of so many seconds at such levels, (1, samples)."""
    rng = np.random.default_rng(0)
    parts = [level * rng.standard_normal(round(s * 48_000)) for s, level in spans]
    return np.concatenate(parts)[np.newaxis].astype(np.float32)


def told(of: Ear, sound: Samples, every: int = HOP) -> list[float]:
    of.push(sound)
    of.flush()
    return [of.content(at) for at in range(0, sound.shape[1], every)]


@pytest.mark.parametrize("call", [1, 4])
def test_one_stretch_of_music_speaks_for_the_seconds_around_it(call: int) -> None:
    content = np.array(told(ear(6.0, call), levels((20, 1e-3), (6, 1.0), (20, 1e-3))))
    time = np.arange(len(content)) * HOP / 48_000
    assert (content[time < 13] == -1).all()
    assert (content[(time > 18) & (time < 28 + BEHIND_S - 1)] == 1).all()
    assert (content[time > 29 + BEHIND_S + 3] == -1).all()


def test_without_looking_ahead_nothing_is_known_in_the_beginning() -> None:
    content = told(ear(0.0), levels((6, 1e-3)))
    assert content[0] == content[40] == 0.0 and content[-1] == -1.0
    assert ear(0.0).ahead == 0


def test_of_a_short_recording_all_of_it_tells() -> None:
    content = told(ear(6.0), levels((0.9, 1.0), (1.7, 1e-3)))
    assert set(content) == {-1.0}  # though the first second alone sounds like music
    assert min(told(ear(6.0), levels((1.7, 1.0), (0.9, 1e-3)))) > 0.5


def test_silence_says_nothing() -> None:
    assert set(told(ear(2.0), np.zeros((1, 96_000), np.float32))) == {0.0}
    content = told(ear(2.0), levels((4, 1.0), (4, 0.0)))
    assert content[-1] == 1.0


@settings(max_examples=15, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 90_000), min_size=1, max_size=8),
    ahead=st.sampled_from([0.0, 0.5]),
    call=st.sampled_from([1, 4]),
)
def test_what_is_heard_does_not_hang_on_the_cuts(cuts: list[int], ahead: float, call: int) -> None:
    sound = levels((1.5, 1e-3), (1.5, 1.0), (1.5, 1e-3))
    expected = told(ear(ahead, call), sound)
    listener, at, asked, got = ear(ahead, call), 0, 0, []
    for cut in [*cuts, sound.shape[1]]:
        listener.push(sound[:, at : at + cut])
        at = min(at + cut, sound.shape[1])
        while asked <= at - listener.ahead and asked < sound.shape[1]:
            got.append(listener.content(asked))
            asked += HOP
    listener.flush()
    got += [listener.content(place) for place in range(asked, sound.shape[1], HOP)]
    assert got == expected


def contract_latency(format: Format, model: Model) -> None:
    """At no time is more held back than the stream says."""
    stream = Masked(format, model, 80.0, ear=Loud())  # type: ignore[arg-type]
    given, given_back = 0, 0
    for size in [4_411] * 100:
        given_back += stream.push(np.zeros((1, size), np.float32)).shape[1]
        given += size
        assert given - given_back <= stream.latency


@pytest.mark.parametrize("changes", [tiny.LIVE, {}], ids=["live", "ahead"])
def test_a_network_is_told_what_the_ear_hears(changes: dict[str, int], tmp_path: Path) -> None:
    model = Model.load(str(tiny.write(tmp_path, "told", told=True, fixed=None, **changes)))
    sound = levels((12, 1e-3), (12, 1.0))
    contract_latency(Format(44_100, 1), model)
    stream = Masked(MONO, model, 80.0, ear=Loud())  # type: ignore[arg-type]
    assert stream.latency < 0.03 * 48_000 or model.card.lookahead_frames
    out = run(stream, sound, block=12_345)
    assert np.array_equal(out, run(Masked(MONO, model, 80.0, ear=Loud()), sound))  # type: ignore[arg-type]
    speech, music = (run(Masked(MONO, model, 80.0, content=c), sound) for c in (-1.0, 1.0))
    early, late = slice(3 * 48_000, 5 * 48_000), slice(-48_000, None)
    assert np.allclose(out[:, early], speech[:, early], atol=1e-6)
    assert np.allclose(out[:, late], music[:, late], atol=1e-6)
    assert not np.allclose(speech[:, late], music[:, late], atol=1e-6)


def test_the_content_can_be_said(tmp_path: Path) -> None:
    network = str(tiny.write(tmp_path, "told", told=True))
    denoise, sound = repairs["denoise"], contract.music(MONO, 48_000)
    outs = {
        content: wavemend.repair("denoise", sound, 48_000, model=network, content=content).restored.samples
        for content in ("speech", "any", "music")
    }
    assert not np.array_equal(outs["speech"], outs["any"]) and not np.array_equal(outs["any"], outs["music"])
    with pytest.raises(InputError, match="content is not read with model = classic"):
        denoise.check({"model": "classic", "content": "speech"})
    deaf = str(tiny.write(tmp_path, "deaf"))
    with pytest.raises(InputError, match="cannot be told"):
        denoise.check({"model": deaf, "content": "speech"})
    with pytest.raises(InputError, match="is for 'content'"):
        denoise.check({"model": str(SHIPPED / "ear.onnx")})
