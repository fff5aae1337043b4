"""Scenes: the same index gives the same bits, levels are as drawn, clean is clean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from wavemend.errors import InputError
from wavemend.training import codec, events, rooms, sounds, spectra, targets
from wavemend.training.scenes import Example, Scenes, Settings, draw, render
from wavemend.training.stock import shelf, tonality

RATE = 48_000


@dataclass(frozen=True)
class FakeClip:
    role: str
    split: str
    group: str
    source: str
    length: int
    bandwidth_hz: float = 24_000.0
    level_dbfs: float = -20.0
    tags: str = ""
    side: str = ""
    twin: int = -1


class FakeBank:
    """Tones for speech and music, noise for noise, each with its own pitch or seed."""

    def __init__(self, clips: Sequence[FakeClip]) -> None:
        self.all = tuple(clips)

    def entries(self, role: str = "", split: str = "", side: str = "") -> tuple[FakeClip, ...]:
        return tuple(
            c for c in self.all if role in ("", c.role) and split in ("", c.split) and side in ("", c.side)
        )

    def twin(self, entry: FakeClip) -> FakeClip:
        return self.all[entry.twin]

    def read(self, entry: FakeClip, start: int = 0, length: int | None = None) -> np.ndarray:
        count = entry.length - start if length is None else length
        assert 0 <= start <= start + count <= entry.length
        which = self.all.index(entry)
        rng = np.random.default_rng(which)
        if entry.role == "noise":
            return 0.1 * rng.standard_normal(entry.length).astype(np.float32)[start : start + count]
        if entry.role == "rir":
            return np.eye(1, entry.length, dtype=np.float32)[0, start : start + count]
        time = np.arange(start, start + count) / RATE
        return (0.14 * np.sin(2 * np.pi * (200 + 37 * which) * time)).astype(np.float32)


def bank(pairs: bool = False) -> FakeBank:
    clips = [
        FakeClip(
            "speech", "train", f"voice{i % 3}", f"set{i % 2}", 20_000 + 9000 * i, 8000.0 + 4000 * (i % 3)
        )
        for i in range(8)
    ]
    clips += [FakeClip("music", "train", f"piece{i}", "tracks", 400_000, 16_000.0) for i in range(3)]
    clips += [FakeClip("music", "train", "piano", "notes", 30_000 + i, 5000.0, tags="note") for i in range(4)]
    clips += [
        FakeClip("noise", "train", f"n{i}", "noises", 30_000 + 60_000 * i, tags="vinyl") for i in range(4)
    ]
    clips += [FakeClip("rir", "train", "hall", "halls", 9000)]
    if pairs:
        at = len(clips)
        clips += [FakeClip("pair", "train", "p", "pairs", 50_000, 9000.0, side="clean", twin=at + 1)]
        clips += [FakeClip("pair", "train", "p", "pairs", 50_000, 9000.0, side="damaged", twin=at)]
    return FakeBank(clips)


BANK = bank()
SHORT = Settings(seconds=1.0)
indices = st.integers(0, 2**40)


def noise_of(example: Example) -> np.ndarray:
    return example.mixture.astype(np.float64) - example.target


@limits(max_examples=25, deadline=None)
@given(indices, st.integers(0, 2**31))
def test_an_example_is_a_function_of_seed_and_index(index: int, seed: int) -> None:
    scenes = Scenes(BANK, SHORT, seed)
    first, again = scenes[index], Scenes(BANK, SHORT, seed)[index]
    from_text = render(BANK, json.loads(json.dumps(scenes.drawn(index))))
    for other in (again, from_text):
        np.testing.assert_array_equal(first.mixture, other.mixture)
        np.testing.assert_array_equal(first.target, other.target)
        np.testing.assert_array_equal(first.silent, other.silent)
        assert (first.band_hz, first.kind) == (other.band_hz, other.kind)


@limits(max_examples=40, deadline=None)
@given(indices)
def test_shapes_ranges_and_silence(index: int) -> None:
    example = Scenes(BANK, SHORT, 3)[index]
    for sound in (example.mixture, example.target):
        assert sound.shape == (RATE,)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 1
    assert 1000 < example.band_hz <= 24_000
    assert example.silent.shape == (100,)
    assert example.silent.dtype == np.bool_
    assert not example.target.reshape(100, 480)[example.silent].any()


@limits(max_examples=25, deadline=None)
@given(indices)
def test_clean_means_equal(index: int) -> None:
    example = Scenes(BANK, Settings(seconds=1.0, clean=1.0, targets={"speech": 1.0, "music": 1.0}), 5)[index]
    np.testing.assert_array_equal(example.mixture, example.target)
    assert np.abs(example.target).max() > 0
    assert example.kind.endswith("/clean")


@limits(max_examples=25, deadline=None)
@given(indices, st.sampled_from(["speech", "music"]))
def test_the_signal_to_noise_ratio_is_as_drawn(index: int, wanted: str) -> None:
    plain = Settings(
        seconds=1.0, clean=0.0, codec=0.0, rounding=0.0, targets={wanted: 1.0}, peak_dbfs=(-6.0, -6.0, -6.0)
    )
    scenes = Scenes(BANK, plain, 7)
    drawn, example = scenes.drawn(index), scenes[index]
    level = targets.active_level(example.target)
    noise = np.sqrt(np.mean(noise_of(example) ** 2))
    assert 20 * np.log10(level / noise) == pytest.approx(drawn["snr_db"], abs=0.1)
    peak = max(np.abs(example.mixture).max(), np.abs(example.target).max())
    assert 20 * np.log10(peak) == pytest.approx(-6.0, abs=0.01)


def test_pairs_come_as_they_are() -> None:
    example = Scenes(bank(pairs=True), Settings(seconds=1.0, targets={"pair": 1.0}, rounding=0.0), 1)[4]
    assert example.kind == "pair"
    assert example.band_hz == 9000
    assert np.abs(noise_of(example)).max() > 0.01


def test_what_is_told_of_the_content_is_true() -> None:
    told: dict[str, set[float]] = {}
    scenes = Scenes(BANK, Settings(seconds=0.5, clean=0.0), 3)
    for index in range(300):
        drawn = scenes.drawn(index)
        stolen = any(noise["kind"] == "music" for noise in drawn["noises"])
        told.setdefault("under music" if stolen else drawn["target"], set()).add(drawn["content"])
    assert told["music"] == told["both"] == {0.0, 1.0}
    assert told["speech"] == {-1.0, 0.0, 1.0} and told["under music"] == {-1.0}
    known = Settings(seconds=0.5, untold=0.0, music_possible=0.0, targets={"speech": 1.0})
    assert {Scenes(BANK, known, 3).drawn(index)["content"] for index in range(30)} == {-1.0}


def test_music_may_be_what_is_unwanted() -> None:
    alone = Settings(seconds=1.0, clean=0.0, targets={"speech": 1.0}, speech_noises={"music": 1.0})
    example = Scenes(BANK, alone, 2)[0]
    assert example.kind == "speech/music" and example.content == -1.0
    assert np.abs(noise_of(example)).max() > 0.001


def test_silence_has_noise_and_no_target() -> None:
    example = Scenes(BANK, Settings(seconds=1.0, targets={"silence": 1.0}), 1)[0]
    assert not example.target.any()
    assert example.silent.all()
    assert example.mixture.any()


def test_a_file_that_is_narrow_is_not_known_above() -> None:
    narrow = FakeBank([FakeClip("speech", "train", "a", "b", 200_000, 7000.0), *BANK.entries("noise")])
    plain = Settings(seconds=1.0, targets={"speech": 1.0}, limit=0.0, speed=0.0)
    assert Scenes(narrow, plain, 1)[0].band_hz == 7000
    steep = {"low_hz": 0.0, "high_hz": 4000.0, "octaves": 0.1}
    assert spectra.truth_hz(7000.0, steep) == 24_000
    assert spectra.truth_hz(7000.0, {**steep, "high_hz": 8000.0}) == 7000
    assert spectra.truth_hz(7000.0, None) == 7000


def test_a_bank_without_noise_or_music_still_gives_examples() -> None:
    only = FakeBank(BANK.entries("speech"))
    kinds = {Scenes(only, SHORT, 1)[index].kind.split("/")[0] for index in range(30)}
    assert kinds <= {"speech", "silence"}
    with pytest.raises(InputError, match="no clips"):
        draw(FakeBank([]), SHORT, np.random.default_rng(0))


@pytest.mark.parametrize("kind", sorted(sounds.KINDS))
def test_made_noises_are_finite_and_of_their_length(kind: str) -> None:
    draw_one, render_one = sounds.KINDS[kind]
    for seed in range(12):
        drawn = json.loads(json.dumps(draw_one(np.random.default_rng(seed))))
        sound = render_one(drawn, 48_000)
        assert sound.shape == (48_000,)
        assert sound.dtype == np.float32
        assert 1e-6 < sounds.rms(sound) < 1e4
        np.testing.assert_array_equal(sound, render_one(drawn, 48_000))


def test_hiss_has_the_spectrum_that_was_drawn() -> None:
    curve = -3.0 * np.log2(spectra.GRID_HZ / 1000)
    power = np.abs(np.fft.rfft(sounds.gaussian(77, 1 << 19, curve))) ** 2
    hz = np.fft.rfftfreq(1 << 19, 1 / RATE)
    bands = [power[(hz > f) & (hz < 1.2 * f)].mean() for f in (500, 1000, 8000)]
    assert 10 * np.log10(bands[0] / bands[1]) == pytest.approx(3, abs=0.3)
    assert 10 * np.log10(bands[1] / bands[2]) == pytest.approx(9, abs=0.4)


def test_no_source_crowds_out_the_others() -> None:
    long = FakeClip("speech", "train", "a", "long", 9_000_000, 8000.0)
    wide = FakeClip("speech", "train", "b", "wide", 1_000_000, 16_000.0)
    own = shelf(FakeBank([long, wide]), "speech", "train")
    rng = np.random.default_rng(0)
    share = np.mean([own.group(rng) == (0,) for _ in range(4000)])
    assert share == pytest.approx(3 / 5, abs=0.03)


def test_tones_are_told_from_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(RATE).astype(np.float32)
    tones = sum(np.sin(2 * np.pi * f * np.arange(RATE) / RATE) for f in (500, 1000, 1500)).astype(np.float32)
    assert tonality(noise) < 0.05
    assert tonality(0.05 * noise + tones) > 0.8
    assert tonality(np.concatenate((noise, np.zeros(2 * RATE, np.float32)))) < 0.05


def test_speed_moves_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(60_000) / RATE).astype(np.float32)
    played = spectra.back(spectra.spectrum(tone, 50_000), 50_000)
    peak = np.argmax(np.abs(np.fft.rfft(played))) * RATE / 50_000
    assert peak == pytest.approx(1200, abs=1)
    assert np.sqrt(2) * sounds.rms(played) == pytest.approx(1, abs=0.01)


def test_rooms_decay_as_drawn() -> None:
    for seed in range(5):
        drawn = rooms.draw(np.random.default_rng(seed)) | {"tilt": 1.0, "low": 1.0, "early_share": 0.01}
        energy = np.cumsum(rooms.response(drawn)[:0:-1].astype(np.float64) ** 2)[::-1]
        decay_db = 10 * np.log10(energy / energy[0])
        start, stop = np.searchsorted(-decay_db, (5, 25))
        assert 3 * (stop - start) / RATE == pytest.approx(drawn["rt60_s"], rel=0.15)
        assert 10 * np.log10(1 / energy[0]) == pytest.approx(drawn["drr_db"], abs=0.5)


def test_codec_keeps_what_is_loud_and_cuts_the_top() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    low = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    drawn = codec.draw(rng) | {"top_hz": 12_000.0, "nmr_db": -25.0}
    coded = codec.apply(low, drawn)
    assert coded.shape == low.shape
    assert np.sum(low**2) > 40 * np.sum((coded - low) ** 2)
    high = codec.apply((0.2 * np.sin(2 * np.pi * 15_000 * time)).astype(np.float32), drawn)
    assert np.abs(high[2048:-2048]).max() < 1e-3


def test_settings_name_what_is_wrong() -> None:
    assert Settings.of({}) == Settings()
    assert Settings.of({"seconds": 2, "targets": {"music": 1}}).targets == {"music": 1.0}
    for table, what in (
        ({"secnods": 2}, "did you mean 'seconds'"),
        ({"targets": {"muzic": 1}}, "did you mean 'music'"),
        ({"targets": {"music": 0}}, "all zero"),
        ({"clean": 2}, "from 0 to 1"),
        ({"clean": True}, "from 0 to 1"),
        ({"speech_snr_db": [3, 2, 1]}, "must rise"),
        ({"music_noises": 3}, "table of weights"),
    ):
        with pytest.raises(InputError, match=what):
            Settings.of(table)


@limits(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(events.KINDS)), st.integers(0, 2**31), st.integers(40_000, 90_000))
def test_made_events_are_functions_of_what_was_drawn(kind: str, seed: int, samples: int) -> None:
    draw_one, render_one = events.KINDS[kind]
    drawn = draw_one(np.random.default_rng(seed))
    sound = render_one(json.loads(json.dumps(drawn)), samples)
    assert sound.shape == (samples,)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    np.testing.assert_array_equal(sound, render_one(drawn, samples))
    other = render_one(draw_one(np.random.default_rng(seed + 1)), samples)
    assert not np.array_equal(sound, other)


def test_calls_have_pauses_and_a_pitch_that_was_drawn() -> None:
    rng = np.random.default_rng(4)
    drawn = events.draw_calls(rng) | {"f0_hz": 400.0, "breath_db": -60.0, "rough": 0.0, "tremble": 0.0}
    drawn |= {"glide": [0.0] * 4, "start_s": 0.25, "from": [], "to": None, "tilt": 0.5}
    still = {"s": 0.4, "pause_s": 0.3, "octaves": 0.0, "bend": [0.0] * 3, "db": 0.0}
    sound = events.voiced(drawn | {"calls": [still] * 4}, RATE).astype(np.float64)
    assert np.abs(sound[: RATE // 4 - 480]).max() < 1e-5 * np.abs(sound).max()  # before the first call
    assert np.abs(sound[int(0.67 * RATE) : int(0.93 * RATE)]).max() < 1e-5 * np.abs(sound).max()
    call = sound[RATE // 4 : int(0.65 * RATE)]
    power = np.abs(np.fft.rfft(call * np.hanning(len(call)))) ** 2
    hz = np.fft.rfftfreq(len(call), 1 / RATE)
    near = np.abs(hz / 400 - np.round(hz / 400)) < 0.05
    assert power[near].sum() > 0.99 * power.sum()


def test_recorded_events_are_those_that_are_called_so() -> None:
    clips = [
        FakeClip("noise", "train", f"n{i}", "noises", 20_000, tags=tag)
        for i, tag in enumerate(("ambience", "event"))
    ]
    held = FakeBank([*BANK.all, *clips])
    told = Settings(seconds=1.0, speech_noises={"event": 1.0}, targets={"speech": 1.0}, clean=0.0)
    for index in range(20):
        drawn = Scenes(held, told, 5).drawn(index)
        noise_clips = held.entries("noise", "train")
        used = {noise_clips[one["clip"]].tags for noise in drawn["noises"] for one in noise["line"]}
        assert used == {"event"}


def test_a_low_sample_rate_holds_nothing_above_its_half() -> None:
    told = Settings(seconds=1.0, narrow=1.0, codec=0.0, rounding=0.0, targets={"speech": 1.0}, clean=0.0)
    scenes = Scenes(BANK, told, 6)
    rates = set()
    for index in range(12):
        drawn, example = scenes.drawn(index), scenes[index]
        rates.add(drawn["rate_hz"])
        for sound in (example.mixture, example.target):
            power = np.abs(np.fft.rfft(sound.astype(np.float64))) ** 2
            assert power[int(drawn["rate_hz"] / 2 * 1.01) :].sum() < 1e-6 * max(power.sum(), 1e-9)
    assert rates <= {8000, 11_025, 16_000, 22_050, 24_000, 32_000}
    assert len(rates) > 1
