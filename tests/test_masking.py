"""Networks on recordings: right to the sample, the same for any cut, and harmless where the mask is 1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import contract
import tiny
from wavemend.core.types import Format, Samples
from wavemend.damage import damages
from wavemend.engine.masking import Masked
from wavemend.engine.model import Model
from wavemend.engine.stream import run
from wavemend.repairs import Repair, repairs

DENOISE, NOISE = repairs["denoise"], damages["noise"]
MONO, STEREO = Format(48_000, 1), Format(48_000, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model.load(str(tiny.write(folder)))


def noisy(format: Format, seconds: float = 1.0) -> Samples:
    rng = np.random.default_rng(4)
    clean = contract.music(format, round(seconds * format.sample_rate))
    return (clean + 0.02 * rng.standard_normal(clean.shape)).astype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"frames_per_call": 1, "lookahead_frames": 0},
        {"frames_per_call": 3, "lookahead_frames": 7},
        {"n_fft": 1024, "hop": 256, "synthesis": 1024, "frames_per_call": 4, "lookahead_frames": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [48_000, 12_345, 700, 1])
def test_the_stream_is_the_network_over_the_whole(changes: dict[str, int], length: int, folder: Path) -> None:
    path = tiny.write(folder, "shape", **changes)
    mono = noisy(MONO)[:, :length]
    out = run(Masked(MONO, Model.load(str(path)), 80.0), mono, block=1111)
    expected = tiny.reference(mono, tiny.card(**changes), least=1e-4)
    assert out.shape == mono.shape
    assert np.abs(out - expected).max() < 2e-6
    assert length == 1 or np.abs(out - mono).max() > 1e-3


def test_channels_share_the_mask_of_their_mean_power(model: Model) -> None:
    stereo = noisy(STEREO)
    out = run(Masked(STEREO, model, 80.0), stereo)
    assert np.abs(out - tiny.reference(stereo, model.card, least=1e-4)).max() < 2e-6
    turned = np.stack([stereo[0], -stereo[0]])  # the sum is silent, the mask is not
    assert np.array_equal(*(run(Masked(STEREO, model, 80.0), turned) * np.array([[1], [-1]], np.float32)))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 96_000, 192_000])
def test_at_any_rate_the_difference_is_that_at_its_own(rate: int, model: Model) -> None:
    """One sound, sampled at both rates: what changes is the same, to -100 dB, up to 90 % of the band."""
    rng = np.random.default_rng(2)
    tones = [(hz, 0.004 * rng.uniform(0.2, 1), rng.uniform(0, 6)) for hz in rng.uniform(80, 3200, 60)]
    changed = []
    for r in (rate, 48_000):
        time = np.arange(r) / r
        tone = sum(a * np.sin(2 * np.pi * hz * time + phase) for hz, a, phase in tones)
        given = (tone * np.sin(np.pi * time) ** 2)[np.newaxis].astype(np.float32)
        difference = run(Masked(Format(r, 1), model, 24.0), given) - given
        changed.append(np.fft.rfft(difference[0].astype(np.float64)) / r)
    band = slice(0, round(0.45 * min(rate, 48_000)))
    error = np.sum(np.abs(changed[0][band] - changed[1][band]) ** 2)
    assert 10 * np.log10(error / np.sum(np.abs(changed[1]) ** 2)) < -100
    assert np.abs(changed[1]).max() > 1e-4


def test_above_the_networks_band_nothing_is_touched(model: Model) -> None:
    time = np.arange(96_000) / 96_000
    high = (0.1 * np.sin(2 * np.pi * 30_000 * time) * np.sin(np.pi * time) ** 2)[np.newaxis].astype(
        np.float32
    )
    assert np.abs(run(Masked(Format(96_000, 1), model, 24.0), high) - high).max() < 1e-6


@pytest.mark.parametrize("format", contract.FORMATS, ids=lambda f: f"{f.sample_rate}x{f.channels}")
def test_a_mask_of_one_keeps_every_bit(format: Format, folder: Path) -> None:
    model = Model.load(str(tiny.write(folder, "open", fixed=1.0)))
    given = noisy(format)
    given[:, ::7] = -0.0
    assert run(Masked(format, model, 24.0), given).tobytes() == given.tobytes()


@pytest.mark.parametrize("floor_db", [0.0, 12.0, 24.0, 60.0])
def test_what_is_shut_is_lowered_to_the_floor(floor_db: float, folder: Path) -> None:
    model = Model.load(str(tiny.write(folder, "shut", fixed=0.0)))
    given = noisy(MONO)
    out = run(Masked(MONO, model, floor_db), given)
    assert out == pytest.approx(given * 10 ** (-floor_db / 20), abs=1e-6)


def test_a_mask_above_one_is_no_gain(folder: Path) -> None:
    model = Model.load(str(tiny.write(folder, "loud", fixed=3.0)))
    given = noisy(MONO)
    assert run(Masked(MONO, model, 24.0), given) == pytest.approx(given, abs=1e-6)


def test_live_holds_back_twenty_milliseconds(folder: Path) -> None:
    model = Model.load(str(tiny.write(folder, "live", **tiny.LIVE)))
    stream = Masked(MONO, model, 24.0)
    assert stream.latency == 960 == round(model.card.latency_ms * 48)
    given = noisy(MONO)
    came = 0
    for at in range(0, 48_000, 480):
        came += stream.push(given[:, at : at + 480]).shape[1]
        assert came == max(0, at + 480 - 480)  # of whole calls, 480 are still to be overlapped
    assert Masked(Format(44_100, 2), model, 24.0).latency < 0.03 * 44_100


def with_model(path: Path) -> Repair:
    """The repair with this network for its default."""
    return replace(
        DENOISE,
        own_params={**DENOISE.own_params, "model": replace(DENOISE.own_params["model"], default=str(path))},
    )


@pytest.fixture(scope="module")
def told(folder: Path) -> Repair:
    """One whose network the ear tells what belongs to the recording."""
    return with_model(tiny.write(folder, "told", told=True))


@pytest.mark.parametrize("check", contract.ALL, ids=lambda check: check.__name__)
@pytest.mark.parametrize("format", contract.FORMATS, ids=lambda f: f"{f.sample_rate}x{f.channels}")
def test_contract(check: contract.Check, format: Format, told: Repair) -> None:
    check(told, NOISE, format)
