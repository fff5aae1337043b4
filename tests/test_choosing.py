"""Who is heard when: a network for speech, another for music; and gains from a network that weighs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contract
import tiny
from wavemend.core.noise import BANDS_HZ
from wavemend.core.types import Format, Samples
from wavemend.damage import damages
from wavemend.engine.choosing import Chosen
from wavemend.engine.masking import Course
from wavemend.engine.model import Model, weighed
from wavemend.engine.stream import Passthrough, run
from wavemend.engine.wiener import Wiener
from wavemend.errors import InputError
from wavemend.repairs import Repair, denoise, repairs

MONO = Format(48_000, 1)
DENOISE, NOISE = repairs["denoise"], damages["noise"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def weigher(folder: Path) -> Model:
    return Model.load(str(tiny.weigher(folder)))


class Late:
    """Holds back so many samples, and changes their sign."""

    def __init__(self, latency: int) -> None:
        self.latency, self._held = latency, np.zeros((1, 0), np.float32)

    def push(self, block: Samples) -> Samples:
        whole = np.concatenate((self._held, block), axis=1)
        ready = max(whole.shape[1] - self.latency, 0)
        self._held = whole[:, ready:]
        return -whole[:, :ready]

    def flush(self) -> Samples:
        return -self._held


@settings(max_examples=30, deadline=None)
@given(late=st.integers(0, 900), block=st.integers(1, 700), turn=st.integers(0, 2000))
def test_each_sample_is_of_the_stream_that_is_asked_for(late: int, block: int, turn: int) -> None:
    sound = np.random.default_rng(0).standard_normal((1, 2000)).astype(np.float32)
    asked: list[tuple[int, int]] = []

    def share(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return (np.arange(start, stop) >= turn).astype(np.float32)

    stream = Chosen(MONO, Passthrough(MONO), Late(late), share)
    assert stream.latency == late
    out = run(stream, sound, block)
    assert np.array_equal(out[:, :turn], -sound[:, :turn]) and np.array_equal(out[:, turn:], sound[:, turn:])
    assert [a for a, _ in asked[1:]] == [b for _, b in asked[:-1]] and asked[-1][1] == 2000


def test_between_the_two_there_is_a_mixture() -> None:
    sound = np.ones((1, 100), np.float32)
    stream = Chosen(MONO, Passthrough(MONO), Late(0), lambda a, b: np.full(b - a, 0.75, np.float32))
    assert run(stream, sound) == pytest.approx(0.5 * sound)


@settings(max_examples=40, deadline=None)
@given(
    told=st.lists(st.floats(-1, 1), min_size=3, max_size=12),
    cuts=st.lists(st.integers(0, 4000), max_size=5),
)
def test_the_course_holds_what_was_told_and_goes_straight_between(told: list[float], cuts: list[int]) -> None:
    call, late = 300, 450
    course = Course(lambda sample: told[sample // call], late, call, scale=1.0)
    for place in range(len(told)):
        assert course(place * call) == told[place]
    end = len(told) * call - late
    edges = sorted({0, max(end, 0), *(min(cut, max(end, 0)) for cut in cuts)})
    parts = [course.plain(a, b) for a, b in pairwise(edges)]
    shares = np.concatenate([np.zeros(0), *parts])
    assert len(shares) == max(end, 0)
    for place, value in enumerate(told):
        at = (place + 1) * call - late  # where the call's own stretch ends
        if 0 <= at < len(shares):
            assert shares[at] == pytest.approx(1 - min(max(value, 0), 1), abs=1e-6)
    steps = np.abs(np.diff(shares))
    assert not len(steps) or steps.max() <= 1 / call + 1e-6


def test_stretches_of_any_size_are_weighed(weigher: Model) -> None:
    over = np.random.default_rng(0).exponential(3.0, (7, 13)).astype(np.float32)
    np.testing.assert_allclose(weighed(weigher, over), over / (over + 1), rtol=1e-6)
    with pytest.raises(InputError, match="no gains of finite numbers"):
        weighed(weigher, np.full((2, 4), np.nan, np.float32))


def hissing(level: float) -> tuple[Samples, np.ndarray]:
    """A second and a half of a tone in white noise of this level, and the noise's floors."""
    time = np.arange(72_000) / 48_000
    noise = np.random.default_rng(1).standard_normal(len(time)) * level
    floors = np.full((1, len(BANDS_HZ)), 20 * np.log10(level) - 10 * np.log10(24_000))
    return (0.3 * np.sin(2 * np.pi * 1000 * time) + noise)[np.newaxis].astype(np.float32), floors


def test_the_gains_are_those_of_power_over_the_noise(weigher: Model) -> None:
    """In bins of noise alone half the amplitude is left at over = 1, where the tone is all of it."""
    sound, floors = hissing(0.01)
    out = run(Wiener(MONO, floors, 1920, 60.0, model=weigher), sound)[0, 9600:-9600].astype(float)
    given = sound[0, 9600:-9600].astype(float)
    spectra = [np.abs(np.fft.rfft(x * np.hanning(len(x)))) for x in (given, out)]
    tone = spectra[0].argmax()
    assert spectra[1][tone] / spectra[0][tone] > 0.99
    far = slice(len(spectra[0]) // 3, len(spectra[0]) // 2)
    left = np.sqrt(np.mean(spectra[1][far] ** 2) / np.mean(spectra[0][far] ** 2))
    # E[x (x / (x + 1))²] / E[x] for the power x of noise, exponential with mean 1, is 0.40; frames overlap
    assert 0.4 < left < 0.7


def test_what_is_taken_away_has_a_floor(weigher: Model) -> None:
    _, floors = hissing(0.001)
    quiet = (np.random.default_rng(2).standard_normal((1, 48_000)) * 1e-7).astype(np.float32)
    out = run(Wiener(MONO, floors, 1920, 12.0, model=weigher), quiet)
    assert np.sqrt(np.mean(out**2)) / np.sqrt(np.mean(quiet**2)) == pytest.approx(10 ** (-12 / 20), rel=0.02)


@pytest.fixture
def with_grain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Repair:
    """`denoise` with a small told network, and a small one that weighs in the place of ours."""
    told = tiny.write(folder, "told", told=True)
    grain = tiny.weigher(folder, "grain")
    load = Model.load

    def loaded(name: str) -> Model:
        return load(str(grain)) if name == denoise.GRAIN else load(name)

    monkeypatch.setattr(denoise.Model, "load", staticmethod(loaded))
    monkeypatch.setattr(denoise, "models", lambda: (denoise.EAR, denoise.GRAIN))
    monkeypatch.setattr(denoise, "BEST", str(told))
    model = replace(DENOISE.own_params["model"], default=str(told))
    return replace(DENOISE, own_params={**DENOISE.own_params, "model": model})


@pytest.mark.parametrize("check", contract.ALL, ids=lambda check: check.__name__)
@pytest.mark.parametrize("format", contract.FORMATS, ids=lambda f: f"{f.sample_rate}x{f.channels}")
def test_contract(check: contract.Check, format: Format, with_grain: Repair) -> None:
    check(with_grain, NOISE, format)


def test_a_network_of_ones_own_does_all_itself(folder: Path) -> None:
    own = str(tiny.write(folder, "own", told=True))
    options = DENOISE.check({"model": own, "content": "music"})
    assert type(DENOISE.build(MONO, (), options)).__name__ == "Masked"


@pytest.mark.parametrize(
    ("content", "kinds"),
    [("speech", "Masked"), ("any", "Wiener"), ("music", "Wiener"), ("auto", "Chosen")],
)
def test_who_is_asked_for_what(content: str, kinds: str, with_grain: Repair) -> None:
    options = with_grain.check({"content": content})
    assert type(with_grain.build(MONO, (), options)).__name__ == kinds
    rests = with_grain.versions(options)
    assert ("model grain" in rests) == (kinds != "Masked")
    assert ("model ear" in rests) == (content == "auto")
