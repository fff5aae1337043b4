"""Material, bank and shards: what goes in comes out, split as it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.dsp import resample
from wavemend.core.encode import can_encode_opus, decode_clip, encode_clip
from wavemend.core.hook import Event
from wavemend.errors import InputError, MediaError
from wavemend.training.bank import Bank, measure_bandwidth, mixdown
from wavemend.training.material import VALID_SHARE, SoundFile, read_material
from wavemend.training.shards import read_shards, write_shards
from wavemend.training.spectra import RATE

STEP = 1 / 32767


def noise(seconds: float, seed: int = 0, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * rate)) * level).astype(np.float32)


def save(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate, subtype=subtype)
    return path


def manifest(folder: Path, text: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


# ---- material


def test_manifest_takes_all_columns_and_ignores_strange_ones(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "path,role,split,seconds,sample_rate,bandwidth_hz,group,source,licence,tier,tags,credit,mood\n"
        "a/b.wav,speech,valid,1.5,44100,16000,anna,shelf,CC0,A,wide,Anna,good\n",
    )
    assert read_material(path) == [
        SoundFile(
            tmp_path / "a/b.wav",
            "speech",
            44100,
            1.5,
            16000.0,
            "anna",
            "valid",
            "shelf",
            "CC0",
            "A",
            "wide",
            "Anna",
        )
    ]


def test_benchmarks_and_tests_are_never_given(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,role,split\na.wav,benchmark,train\nb.wav,music,test\nc.wav,music,train\n")
    for options in ({}, {"splits": {"train", "test"}}, {"roles": {"benchmark", "music"}}):
        assert [file.path.name for file in read_material(path, **options)] == ["c.wav"]
    with pytest.raises(InputError, match="left by the filters"):
        read_material(path, splits={"test"})


def test_filters_narrow_and_manifests_join(tmp_path: Path) -> None:
    rows = "path,role,source,tier\nx.wav,music,s1,A\ny.wav,noise,s2,A\nz.wav,music,s3,B\n"
    paths = [manifest(tmp_path, rows), save(tmp_path / "more" / "w.wav", noise(0.01)).parent]
    names = lambda **options: "".join(file.path.stem for file in read_material(paths, **options))  # noqa: E731
    assert names() == "xyzw"
    assert names(tiers={"A"}) == "xy"
    assert names(sources={"s1", "more"}) == "xw"
    assert names(exclude_sources={"s1"}) == "yzw"
    assert names(roles={"noise"}) == "y"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,role\nx,music\n", "lacks the column 'path'"),
        ("path,role\nx,songs\n", "line 2: the role 'songs'"),
        ("path,role,split\nx,music,dev\n", "line 2: the split 'dev'"),
        ("path,role,seconds\nx,music,long\n", "seconds is 'long'"),
        ("path,role,seconds\nx,music,nan\n", "seconds is 'nan'"),
        ("path,role\n,music\n", "line 2: the path is empty"),
        ("path,role\nx,music,more\n", "more fields than columns"),
        ("path,role\nx,pair\n", "column 'clean'"),
        ("path,role\n", "no files to train on"),
    ],
)
def test_bad_manifests_are_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        read_material(manifest(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_what_is_no_material(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        read_material(tmp_path / "nothing")
    with pytest.raises(InputError, match="no files"):
        read_material(tmp_path)
    with pytest.raises(InputError, match="manifest"):
        read_material(save(tmp_path / "a.wav", noise(0.01)))
    (tmp_path / "b.csv").write_bytes(b"path,role\n\xff\xfe,music\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_material(tmp_path / "b.csv")


def test_folder_by_roles(tmp_path: Path) -> None:
    for name in (
        "speech/anna/1.wav",
        "noise/fan.wav",
        "rir/hall.WAV",
        "songs/x.flac",
        "loose.wav",
        ".hid.wav",
    ):
        save(tmp_path / name, noise(0.01), subtype="PCM_16")
    (tmp_path / "notes.txt").write_text("nothing")
    found = {
        file.path.relative_to(tmp_path).as_posix(): (file.role, file.group)
        for file in read_material(tmp_path)
    }
    assert found == {
        "speech/anna/1.wav": ("speech", "speech/anna/1"),
        "noise/fan.wav": ("noise", "noise/fan"),
        "rir/hall.WAV": ("rir", "rir/hall"),
        "songs/x.flac": ("music", "music/songs"),
        "loose.wav": ("music", "music/loose"),
    }


def pair(folder: Path, name: str, one: np.ndarray, two: np.ndarray, rate: int = RATE) -> None:
    save(folder / "clean" / f"{name}.wav", one)
    save(folder / "damaged" / f"{name}.wav", two, rate)


def test_pairs_of_a_folder(tmp_path: Path) -> None:
    for name in ("a", "deep/b", "deep/c"):
        pair(tmp_path, name, noise(0.1), noise(0.1, 1))
    save(tmp_path / "noise" / "n.wav", noise(0.1))
    files = read_material(tmp_path)
    assert [file.role for file in files] == ["pair"] * 3 + ["noise"]
    assert all(file.clean and file.clean.name == file.path.name for file in files[:3])
    assert {file.split for file in files[:3]} == {"train", "valid"}
    assert files[1].split == files[2].split, "one folder is one group"


@pytest.mark.parametrize(
    ("one", "two", "rate", "told"),
    [
        (noise(0.1), noise(0.2), RATE, "numbers of samples: 4800 and 9600"),
        (noise(0.1), noise(0.1), 44100, "sample rates: 48000 and 44100"),
        (noise(0.1), noise(0.2).reshape(2, -1), RATE, "numbers of channels: 1 and 2"),
    ],
)
def test_pairs_that_do_not_fit(
    tmp_path: Path, one: np.ndarray, two: np.ndarray, rate: int, told: str
) -> None:
    pair(tmp_path, "x", one, two, rate)
    with pytest.raises(InputError, match=told) as caught:
        read_material(tmp_path)
    assert "clean/x.wav" in str(caught.value) and "damaged/x.wav" in str(caught.value)


def test_pairs_without_a_twin(tmp_path: Path) -> None:
    pair(tmp_path, "x", noise(0.1), noise(0.1))
    lone = save(tmp_path / "clean" / "y.wav", noise(0.1))
    with pytest.raises(InputError, match=r"y\.wav: its twin is missing"):
        read_material(tmp_path)
    lone.unlink()
    save(tmp_path / "clean" / "x.flac", noise(0.1), subtype="PCM_16")
    with pytest.raises(InputError, match="another file of that name"):
        read_material(tmp_path)
    for path in (tmp_path / "damaged").iterdir():
        path.unlink()
    (tmp_path / "damaged").rmdir()
    with pytest.raises(InputError, match="both folders"):
        read_material(tmp_path)


ROW = st.tuples(
    st.sampled_from(["speech", "music", "noise"]),
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.sampled_from(["", "", "", "train", "valid"]),
)


@given(st.lists(ROW, min_size=1, max_size=30), st.sampled_from([0.0, VALID_SHARE, 1.0]))
@settings(max_examples=60, deadline=None)
def test_drawn_splits_keep_groups_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], share: float
) -> None:
    # of a group, a user gives one split or none
    told: dict[str, str] = {}
    for _, group, split in rows:
        told.setdefault(group, split)
    lines = [f"{i}.wav,{role},{role}-{group},{told[group]}" for i, (role, group, _) in enumerate(rows)]
    path = manifest(tmp_path_factory.mktemp("m"), "path,role,group,split\n" + "\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("wavemend.training.material.VALID_SHARE", share)
        files = read_material(path)
        assert read_material(path) == files
    splits: dict[str, set[str]] = {}
    for file in files:
        splits.setdefault(file.group, set()).add(file.split)
        if told[file.group[-1]]:
            assert file.split == told[file.group[-1]]
    assert all(len(found) == 1 for found in splits.values())
    for role in {file.role for file in files}:
        own = [file for file in files if file.role == role]
        free = {file.group for file in own if not told[file.group[-1]]}
        if free and len({file.group for file in own}) > 1:
            assert {file.split for file in own} == {"train", "valid"}


def test_about_a_tenth_is_held_back(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,role\n" + "".join(f"{i}.wav,music\n" for i in range(1000)))
    assert 70 < sum(file.split == "valid" for file in read_material(path)) < 130


# ---- bank


def build(tmp_path: Path, **files: np.ndarray) -> Bank:
    for name, samples in files.items():
        save(tmp_path / "in" / f"{name}.wav", samples)
    return Bank.build(read_material(tmp_path / "in"), tmp_path / "bank")


@given(st.floats(1e-4, 30.0), st.integers(0, 4000), st.integers(1, 800))
@settings(max_examples=25, deadline=None)
def test_excerpts_are_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, peak: float, start: int, length: int
) -> None:
    sound = noise(0.1)
    sound *= np.float32(peak) / np.abs(sound).max()
    bank = build(tmp_path_factory.mktemp("b"), a=sound)
    (entry,) = bank.entries("music")
    found = bank.read(entry, start, length)
    assert found.dtype == np.float32 and found.shape == (length,)
    assert np.abs(found - sound[start : start + length]).max() <= 0.6 * STEP * peak / 0.9
    assert entry.level_dbfs == pytest.approx(10 * np.log10(np.mean(sound.astype(float) ** 2)), abs=1e-3)
    assert np.abs(bank.stored(entry, 0, entry.length)).max() == round(0.9 * 32767)


def test_read_refuses_what_lies_outside(tmp_path: Path) -> None:
    bank = build(tmp_path, a=noise(0.1), b=noise(0.1, 1))
    entry = bank.all[0]
    assert bank.read(entry).shape == (4800,)
    for start, length in ((-1, 10), (0, 4801), (4700, 101), (10, -1)):
        with pytest.raises(InputError, match="outside"):
            bank.read(entry, start, length)


def test_channels_become_one(tmp_path: Path) -> None:
    left, right = noise(0.2, 1), noise(0.2, 2, 0.2)
    assert np.allclose(mixdown(np.stack([left, right])), [0.5, 0.5])
    assert np.allclose(mixdown(np.stack([left, -left * 1.1])), [0, 1]), "out of phase: the louder one"
    bank = build(tmp_path, both=np.stack([left, right]))
    assert np.abs(bank.read(bank.all[0]) - (left + right) / 2).max() < STEP


def test_another_rate_keeps_time_and_band(tmp_path: Path) -> None:
    rate = 16_000
    t = np.arange(rate) / rate
    tone = (0.3 * np.sin(2 * np.pi * 1000 * t) + noise(1, rate=rate, level=0.01)).astype(np.float32)
    save(tmp_path / "in" / "a.wav", tone, rate)
    bank = Bank.build(read_material(tmp_path / "in"), tmp_path / "bank")
    (entry,) = bank.all
    assert entry.length == RATE and 7000 < entry.bandwidth_hz <= 8000
    wanted = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    inner = slice(RATE // 4, -RATE // 4)
    assert np.corrcoef(bank.read(entry)[inner], wanted[inner])[0, 1] > 0.998


@given(st.integers(1, 3000), st.sampled_from([8000, 11025, 44100, 48000, 96000]), st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_resampled_length(samples: int, rate: int, channels: int) -> None:
    sound = np.ones((channels, samples), np.float32)
    assert resample(sound, rate, RATE).shape == (channels, round(samples * RATE / rate))


@pytest.mark.parametrize("edge", [3000, 8000, 15000])
def test_bandwidth_is_where_the_sound_ends(edge: int) -> None:
    spectrum = np.fft.rfft(noise(2))
    spectrum[round(edge * 2) :] = 0
    assert measure_bandwidth(np.fft.irfft(spectrum).astype(np.float32)) == pytest.approx(edge, abs=250)


def test_a_given_bandwidth_is_kept_below_what_the_rate_holds(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", noise(0.1, rate=16000), 16000)
    path = manifest(
        tmp_path, "path,role,bandwidth_hz,sample_rate\na.wav,music,5000,16000\na.wav,noise,20000,16000\n"
    )
    bank = Bank.build(read_material(path), tmp_path / "bank")
    assert [entry.bandwidth_hz for entry in bank.all] == [5000, 8000]


def test_unreadable_and_silent_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.wav").write_bytes(b"this is not sound")
    events: list[Event] = []
    save(tmp_path / "in" / "good.wav", noise(0.1))
    save(tmp_path / "in" / "hush.wav", np.zeros(100, np.float32))
    files = read_material(tmp_path / "in")
    bank = Bank.build(files, tmp_path / "bank", hook=events.append)
    assert [Path(entry.path).stem for entry in bank.all] == ["good"]
    assert [(Path(file.path).stem, file.reason == "silent") for file in bank.skipped] == [
        ("bad", False),
        ("hush", True),
    ]
    assert events[-1] == Event("bank", 3, 3)
    with pytest.raises(InputError, match=r"no file .*bad\.wav"):
        Bank.build([file for file in files if file.path.stem != "good"], tmp_path / "none")
    with pytest.raises(InputError, match="no bank"):
        Bank.open(tmp_path / "none")


def test_the_same_files_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(tmp_path, a=noise(0.1), b=noise(0.1, 1))
    with monkeypatch.context() as patched:
        patched.setattr("wavemend.training.bank.decode", lambda file: pytest.fail("decoded again"))
        assert build_again(tmp_path).index == first.index
    save(tmp_path / "in" / "c.wav", noise(0.1, 2))
    assert len(build_again(tmp_path).all) == 3
    assert len(list((tmp_path / "bank").iterdir())) == 2, "nothing old and nothing half done lies about"
    assert first.read(first.all[0]).shape == (4800,), "who has the old one open can go on"


def build_again(tmp_path: Path) -> Bank:
    return Bank.build(read_material(tmp_path / "in"), tmp_path / "bank")


def test_two_processes_make_the_same_bank(tmp_path: Path) -> None:
    one = build(tmp_path, a=noise(0.1), b=noise(0.2, 1), c=noise(0.1, 2))
    two = Bank.build(read_material(tmp_path / "in"), tmp_path / "two", processes=2)
    assert two.index == one.index
    assert (tmp_path / "two" / two.index.sound).read_bytes() == (
        tmp_path / "bank" / one.index.sound
    ).read_bytes()


def test_pairs_are_linked_and_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemend.training.bank.PIECE_SECONDS", 1)
    clean = np.stack([noise(1.5, 1), noise(1.5, 2) * 0.01])
    clean[1] -= clean[0]  # the mean cancels out on the clean side only
    pair(tmp_path, "a", clean, clean + 0.2)
    bank = Bank.build(read_material(tmp_path), tmp_path / "bank")
    assert [(entry.side, entry.piece, entry.length) for entry in bank.all] == [
        ("clean", 0, 48000),
        ("damaged", 0, 48000),
        ("clean", 1, 24000),
        ("damaged", 1, 24000),
    ]
    for entry in bank.entries("pair", side="damaged"):
        twin = bank.twin(entry)
        assert twin.side == "clean" and bank.twin(twin) == entry
        assert np.allclose(bank.read(entry) - bank.read(twin), 0.2, atol=2 * STEP)
        assert np.std(bank.read(twin)) > 0.05, "not the mean, in which the clean side cancels out"
    assert bank.hours() == pytest.approx(1.5 / 3600)
    assert bank.entries(side="clean")[0].path.endswith("clean/a.wav")


def test_a_bank_tells_where_it_comes_from(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / f"{name}.wav", noise(0.5))
    rows = "a.wav,music,s,CC0,train\nb.wav,noise,s,CC0,valid\nc.wav,music,t,MIT,train\n"
    path = manifest(tmp_path, "path,role,source,licence,split\n" + rows)
    bank = Bank.build(read_material(path), tmp_path / "bank")
    assert [(o.name, o.licence, o.files) for o in bank.sources()] == [("s", "CC0", 2), ("t", "MIT", 1)]
    assert [o.files for o in bank.sources("train")] == [1, 1]
    assert sum(origin.hours for origin in bank.sources()) == pytest.approx(bank.hours())
    assert bank.hours("noise", "train") == 0 and bank.hours("music", "train", above_hz=47_000) == 0


def test_damaged_banks_are_refused(tmp_path: Path) -> None:
    bank = build(tmp_path, a=noise(0.1))
    sound = tmp_path / "bank" / bank.index.sound
    sound.write_bytes(sound.read_bytes()[:-2])
    with pytest.raises(InputError, match="cut short"):
        Bank.open(tmp_path / "bank")
    (tmp_path / "bank" / "index.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Bank.open(tmp_path / "bank")


# ---- shards


def mixed_bank(tmp_path: Path) -> Bank:
    for name, seconds, seed in (
        ("music/a", 2.5, 1),
        ("music/b", 1.2, 2),
        ("noise/c", 1.5, 3),
        ("speech/d", 0.7, 4),
    ):
        save(tmp_path / "in" / f"{name}.wav", noise(seconds, seed))
    pair(tmp_path / "in", "p", noise(1.3, 5), noise(1.3, 6))
    return Bank.build(read_material(tmp_path / "in"), tmp_path / "bank")


@pytest.fixture
def short_excerpts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemend.training.shards.EXCERPT_SECONDS", 1.0)


ALL = {"music": 1.0, "noise": 1.0, "speech": 1.0, "pair": 1.0}


@pytest.mark.usefixtures("short_excerpts")
def test_lossless_shards_hold_every_sample(tmp_path: Path) -> None:
    bank = mixed_bank(tmp_path)
    paths = write_shards(bank, tmp_path / "out", ALL, lossless=ALL, max_mib=0.25)
    assert len(paths) > 2 and all(path.stat().st_size <= 2**18 for path in paths)
    found = read_shards(paths, tmp_path / "far")
    assert found.hours() == pytest.approx(bank.hours())
    for entry in found.all:
        (origin,) = (e for e in bank.all if e.path == entry.path)
        whole = bank.read(origin)[entry.piece * RATE :][: entry.length]
        assert np.array_equal(found.read(entry), whole)
        assert (entry.split, entry.group, entry.side) == (origin.split, origin.group, origin.side)
        if entry.side:
            assert found.twin(found.twin(entry)) == entry and found.twin(entry).piece == entry.piece


@pytest.mark.usefixtures("short_excerpts")
def test_a_seed_decides_what_is_packed(tmp_path: Path) -> None:
    bank = mixed_bank(tmp_path)
    hours = {"music": 2.0 / 3600}
    packs = [
        write_shards(bank, tmp_path / str(i), hours, seed=seed, lossless=ALL)
        for i, seed in enumerate((3, 3, 4))
    ]
    blobs = [b"".join(path.read_bytes() for path in paths) for paths in packs]
    assert blobs[0] == blobs[1] != blobs[2]
    assert 2.0 <= read_shards(packs[0], tmp_path / "far").hours("music") * 3600 < 3.0


@pytest.mark.skipif(not can_encode_opus(), reason="libsndfile without Opus")
@pytest.mark.usefixtures("short_excerpts")
def test_opus_where_the_waveform_is_not_the_lesson(tmp_path: Path) -> None:
    bank = mixed_bank(tmp_path)
    found = read_shards(write_shards(bank, tmp_path / "out", ALL), tmp_path / "far")
    for entry in found.all:
        (origin,) = (e for e in bank.all if e.path == entry.path)
        start = entry.piece * RATE
        same = np.array_equal(found.read(entry), bank.read(origin, start, entry.length))
        assert same == (entry.role in ("noise", "pair"))
        if not same:
            assert entry.bandwidth_hz <= 20_000
            level = 10 * np.log10(np.mean(found.read(entry) ** 2) / np.mean(bank.read(origin) ** 2))
            assert abs(level) < 1.5


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_flac_clips_come_back(values: list[int]) -> None:
    clip = np.array(values, np.int16)
    assert np.array_equal(decode_clip(encode_clip(clip, RATE, opus=False)), clip)


@pytest.mark.usefixtures("short_excerpts")
def test_bad_shards_and_orders(tmp_path: Path) -> None:
    bank = mixed_bank(tmp_path)
    with pytest.raises(InputError, match="role 'songs'"):
        write_shards(bank, tmp_path, {"songs": 1.0})
    with pytest.raises(InputError, match="nothing"):
        write_shards(bank, tmp_path, {"rir": 1.0})
    with pytest.raises(InputError, match="larger than a shard"):
        write_shards(bank, tmp_path / "o", ALL, max_mib=0.01)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a whole shard"):
        read_shards([tmp_path / "x.zip"], tmp_path / "far")
    with pytest.raises(InputError, match="no such shard"):
        read_shards([tmp_path / "y.zip"], tmp_path / "far")
    with pytest.raises(MediaError, match="cannot be decoded"):
        decode_clip(b"no sound")
