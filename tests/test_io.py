"""Files in and out: nothing changed stays bit for bit, changes land where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemend.core import containers
from wavemend.core.io import ArrayReader, FileWriter, default_output, open_reader
from wavemend.core.pcm import SUBTYPES, Encoding, decode, dither, encode, merge, to_float
from wavemend.core.types import Format
from wavemend.errors import InputError

KINDS = [
    (container, ending, subtype)
    for container, ending in (
        ("WAV", ".wav"),
        ("WAVEX", ".wav"),
        ("RF64", ".rf64"),
        ("W64", ".w64"),
        ("AIFF", ".aiff"),
        ("CAF", ".caf"),
        ("FLAC", ".flac"),
    )
    for subtype in soundfile.available_subtypes(container)
    if subtype in SUBTYPES
]
FAST = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def make(path: Path, container: str, subtype: str, channels: int, length: int, rate: int = 44_100) -> Any:
    """A file of noise that fills all bits; its values as libsndfile reads them."""
    rng = np.random.default_rng(length * 8 + channels)
    if subtype in ("FLOAT", "DOUBLE"):
        soundfile.write(path, rng.standard_normal((length, channels)), rate, subtype, format=container)
    else:
        values = rng.integers(-(2**31), 2**31, (length, channels)).astype(np.int32)
        soundfile.write(path, values, rate, subtype, format=container)
    return values_of(path, subtype)


def values_of(path: Path, subtype: str) -> Any:
    dtype = "float64" if subtype in ("FLOAT", "DOUBLE") else "int32"
    return soundfile.read(path, dtype=dtype, always_2d=True)[0].T


def rewrite(source: Path, target: Path, size: int, at: Sequence[int] = (), **options: Any) -> FileWriter:
    """Copy through the reader and the writer, with a value of 0.25 at some places of channel 0."""
    with open_reader(source) as reader, FileWriter(target, reader, **options) as writer:
        start = 0
        for block in reader.blocks(size):
            changed = block.copy()
            for place in at:
                if start <= place < start + block.shape[1]:
                    changed[0, place - start] = 0.25
            writer.write(changed)
            start += block.shape[1]
    return writer


@pytest.mark.parametrize(("container", "ending", "subtype"), KINDS)
@FAST
@given(channels=st.integers(1, 8), length=st.integers(1, 700), size=st.integers(1, 300))
def test_round_trip(
    container: str, ending: str, subtype: str, channels: int, length: int, size: int, tmp_path: Path
) -> None:
    source, target = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    before = make(source, container, subtype, channels, length)
    rewrite(source, target, size)
    assert target.read_bytes() == source.read_bytes()

    place = length // 2
    writer = rewrite(source, target, size, at=[place])
    after = values_of(target, subtype)
    differs = before != after
    differs[0, place] = False
    assert after.shape == before.shape and not differs.any()
    assert writer.changed == (to_float_of(before)[0, place] != 0.25)
    if subtype in ("FLOAT", "DOUBLE"):
        assert after[0, place] == pytest.approx(0.25, abs=0.0 if subtype == "FLOAT" else 5e-7)
    else:  # one and a half steps, and what float32 cannot tell of 32 bits
        assert abs(after[0, place] - 2.0**29) <= 1.5 * 2.0 ** (32 - SUBTYPES[subtype].bits) + 64
    assert soundfile.info(target).subtype == subtype
    assert soundfile.info(target).samplerate == 44_100
    assert sorted(tmp_path.iterdir()) == [source, target]


def to_float_of(values: Any) -> Any:
    return to_float(np.ascontiguousarray(values))


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000, 192_000])
def test_blocks_are_the_samples(rate: int, tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    values = make(source, "WAV", "PCM_24", 2, 5_000, rate)
    with open_reader(source) as reader:
        assert (reader.format.sample_rate, reader.format.channels, reader.samples) == (rate, 2, 5_000)
        first = np.concatenate(list(reader.blocks(999)), axis=1)
        again = np.concatenate(list(reader.blocks(5_000)), axis=1)
        assert np.array_equal(first, values / 2.0**31) and np.array_equal(first, again)
        assert np.array_equal(reader.native(4_000, 4_100), values[:, 4_000:4_100])
        assert np.array_equal(reader.native(10, 20), values[:, 10:20])
        assert np.array_equal(reader.read(10, 20), first[:, 10:20])
        with pytest.raises(InputError, match="not within"):
            reader.native(0, 5_001)


@pytest.mark.parametrize("ending", [".flac", ".ogg", ".opus", ".mp3"])
def test_going_back_gives_the_same(ending: str, tmp_path: Path) -> None:
    source = tmp_path / f"a{ending}"
    rng = np.random.default_rng(1)
    with FileWriter(source, reader := ArrayReader(rng.normal(0, 0.1, (2, 60_000)), 48_000)) as writer:
        for block in reader.blocks():
            writer.write(block)
    with open_reader(source) as reader:
        whole = np.concatenate(list(reader.blocks()), axis=1)
        cut = np.concatenate(list(reader.blocks(777)), axis=1)
        assert reader.samples == whole.shape[1] and np.array_equal(whole, cut)
        for start in (50_000, 20_000, 20_100, 0):
            assert np.array_equal(reader.read(start, start + 100), whole[:, start : start + 100])
        assert reader.lossy == (ending != ".flac")


@pytest.mark.parametrize(
    "encoding", [*SUBTYPES.values(), Encoding("int", 24, True), Encoding("float", 64, True)]
)
@FAST
@given(data=st.binary(min_size=48, max_size=48))
def test_decode_and_encode_are_inverse(encoding: Encoding, data: bytes) -> None:
    data = (
        np.nan_to_num(np.frombuffer(data, f">f{encoding.width}")).tobytes()
        if encoding.kind == "float"
        else data
    )
    assert encode(decode(data, encoding, 2), encoding) == data


@FAST
@given(
    subtype=st.sampled_from(["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    cuts=st.lists(st.integers(0, 500), max_size=5),
    seed=st.integers(0, 99),
)
def test_cuts_do_not_matter_to_the_bits(subtype: str, cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    encoding = SUBTYPES[subtype]
    native = decode(encode(np.zeros((2, 500), encoding.native), encoding), encoding, 2)
    native = native + (rng.normal(0, 0.1, (2, 500)) * (2**31 if native.dtype == np.int32 else 1)).astype(
        native.dtype
    )
    restored = to_float(native) * np.where(rng.random((2, 500)) < 0.5, 1, np.float32(0.9)).astype(np.float32)
    whole = merge(native, restored, encoding, 7, encoding)
    edges = sorted({0, 500, *cuts})
    parts = [merge(native[:, a:b], restored[:, a:b], encoding, 7 + a, encoding) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([part[0] for part in parts], axis=1), whole[0])
    assert sum(part[1] for part in parts) == whole[1]


def test_dither_is_triangular_and_white() -> None:
    noise = np.array([dither(2**32 - 50_000, channel, np.arange(100_000)) for channel in range(2)])
    assert np.abs(noise).max() < 1.0
    assert np.allclose(noise.var(axis=1), 1 / 6, rtol=0.02) and np.allclose(noise.mean(axis=1), 0, atol=0.005)
    assert np.mean(np.abs(noise) < 0.5) == pytest.approx(0.75, abs=0.01)
    for lag in (1, 2, 3, 64):
        assert abs(np.corrcoef(noise[0, lag:], noise[0, :-lag])[0, 1]) < 0.02
    assert abs(np.corrcoef(noise)[0, 1]) < 0.02


def test_error_of_a_changed_sample_does_not_depend_on_it() -> None:
    """What dither is for: the mean of what is written is what was wanted."""
    encoding = SUBTYPES["PCM_16"]
    wanted = np.float32((1000 + 0.3) / 2**15)
    native = np.full((1, 40_000), 3 << 16, np.int32)
    written = merge(native, np.full((1, 40_000), wanted), encoding, 0, encoding)[0] / 2**16
    assert written.mean() == pytest.approx(1000.3, abs=0.02)
    assert set(np.unique(written)) <= {999, 1000, 1001, 1002}


def test_clipped_values_are_counted() -> None:
    encoding = SUBTYPES["PCM_16"]
    native = np.zeros((2, 4), np.int32)
    restored = np.array([[1.5, 0, -1.5, 0.5], [0, 0, 0, -1.0]], np.float32)
    out, changed, clipped = merge(native, restored, encoding, 0, encoding)
    assert (changed, clipped) == (4, 2)
    assert out[0, 0] == 32767 << 16 and out[0, 2] == -(2**31)


def test_silence_of_a_float_source_stays_silent(tmp_path: Path) -> None:
    samples = np.zeros((1, 1_000), np.float32)
    samples[0, 500:] = np.random.default_rng(0).normal(0, 0.1, 500)
    reader = ArrayReader(samples, 48_000)
    with FileWriter(tmp_path / "a.flac", reader) as writer:
        writer.write(samples)
    written = soundfile.read(tmp_path / "a.flac", dtype="float32")[0]
    assert not written[:500].any() and np.abs(written - samples[0]).max() < 2 / 2**23
    assert writer.changed == 0 and "24 bits" in writer.not_carried[0]


def test_valid_bits_are_respected(tmp_path: Path) -> None:
    """20 bits in 24: what is changed has 20 bits too, and the header says so still."""
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    make(source, "WAVEX", "PCM_24", 3, 400)
    raw = bytearray(source.read_bytes())
    raw[38:40] = (20).to_bytes(2, "little")
    data = raw.index(b"data") + 8
    for k in range(data, len(raw), 3):
        raw[k] &= 0xF0
    source.write_bytes(raw)
    writer = rewrite(source, target, 100, at=range(400))
    assert writer.target.encoding.valid == 20
    after = target.read_bytes()
    assert after[:data] == bytes(raw[:data]) and not any(byte & 0x0F for byte in after[data::3])


@pytest.mark.parametrize("ending", [".wav", ".rf64", ".w64", ".aiff", ".caf", ".flac"])
@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_24"), ("FLAC", "PCM_24")]
)
def test_other_containers_hold_the_same(ending: str, container: str, subtype: str, tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / f"b{ending}"
    before = make(source, container, subtype, 3, 1_001)
    writer = rewrite(source, target, 300)
    assert np.array_equal(values_of(target, subtype), before)
    with open_reader(target) as reader:
        assert np.array_equal(reader.native(0, 1_001), before)
        assert reader.source.subtype == subtype
    assert writer.not_carried == ()


def test_fewer_bits_are_asked_for_and_said(tmp_path: Path) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    before = make(source, "WAV", "PCM_24", 2, 500)
    writer = rewrite(source, target, 100, subtype="PCM_16")
    assert soundfile.info(target).subtype == "PCM_16"
    assert np.abs(values_of(target, "PCM_16") - before.astype(np.int64)).max() <= 1.5 * 2**16
    assert "24-bit samples" in writer.not_carried[0]
    with pytest.raises(InputError, match="did you mean 'PCM_16'"):
        rewrite(source, target, 100, subtype="PCM16")


def test_array_and_residual(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    reader = ArrayReader(rng.normal(0, 0.2, (2, 3_000)).astype(np.float32), 96_000)
    with FileWriter(tmp_path / "a.wav", reader) as writer:
        writer.write(reader.array)
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0].T, reader.array)
    make(tmp_path / "b.wav", "WAV", "PCM_16", 2, 3_000, 96_000)
    with open_reader(tmp_path / "b.wav") as source:
        removed = (reader.array * np.float32(0.01)).astype(np.float32)
        with FileWriter(tmp_path / "c.wav", source, residual=True) as writer:
            writer.write(removed)
    assert np.array_equal(soundfile.read(tmp_path / "c.wav", dtype="float32")[0].T, removed)


def test_default_names(tmp_path: Path) -> None:
    make(tmp_path / "old.WAV", "WAV", "PCM_16", 1, 10)
    with open_reader(tmp_path / "old.WAV") as reader:
        assert default_output("x/old.WAV", reader) == Path("x/old.restored.WAV")
        assert default_output("x/old.au", reader) == Path("x/old.restored.flac")
        reader.encoding = SUBTYPES["PCM_32"]
        assert default_output("x/old.au", reader) == Path("x/old.restored.wav")
        reader.lossy = True
        assert default_output("x/old.mp3", reader) == Path("x/old.restored.flac")


def test_a_wav_that_grows_beyond_four_gigabytes_becomes_rf64(tmp_path: Path) -> None:
    """Sparse: only the header and the last samples are there."""
    length = 2**32 // 6 + 1_000
    encoding = SUBTYPES["PCM_24"]
    for container, ending in (("WAV", ".wav"), ("W64", ".w64"), ("CAF", ".caf")):
        path = tmp_path / f"big{ending}"
        outline = containers.finished(containers.fresh(container, Format(48_000, 2), length, encoding))
        with path.open("w+b") as file:
            containers.write_head(outline, file, None)
            file.seek(outline.data_bytes - 6, 1)
            file.write(b"\x01\x02\x03\x04\x05\x06")
            containers.write_tail(outline, file, None)
        assert soundfile.info(path).frames == length
        with open_reader(path) as reader:
            assert reader.samples == length
            assert reader.source.container == {"WAV": "RF64"}.get(container, container)
            last = reader.native(length - 2, length)
            assert last[0, 0] == 0 and last[0, 1] == 0x030201 << 8
        path.unlink()
    with pytest.raises(InputError, match="4 GiB"):
        containers.finished(containers.fresh("AIFF", Format(48_000, 2), length, encoding))


def test_bits_below_the_valid_ones_stay_where_nothing_changed() -> None:
    """A header may be wrong about how many bits count: what is there is kept all the same."""
    encoding = Encoding("int", 24, valid=20)
    native = (np.arange(-500, 500, dtype=np.int32)[np.newaxis] << 8) + 256
    restored = to_float(native).copy()
    restored[0, 10] = 0.25
    out, changed, _ = merge(native, restored, encoding, 0, encoding)
    assert changed == 1 and np.flatnonzero(out != native).tolist() == [10]
    assert out[0, 10] % 2**12 == 0
