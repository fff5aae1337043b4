"""Bad files and bad machines: one clear line, no output, nothing left, the input untouched."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from wavemend.core import io_sndfile, writer
from wavemend.core.io import ArrayReader, FileWriter, open_reader
from wavemend.core.types import Format
from wavemend.errors import DeviceError, InputError, MediaError, WavemendError

NOISE = np.random.default_rng(0).normal(0, 0.1, (4_000, 2)).astype(np.float32)


def wave(
    samples: bytes = bytes(4_000),
    *,
    rate: int = 48_000,
    channels: int = 2,
    declared: int | None = None,
    riff: int | None = None,
    tag: int = 1,
    bits: int = 16,
    more: bytes = b"",
) -> bytes:
    """A WAV file made by hand."""
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame & 0xFFFFFFFF, frame, bits)
    size = len(samples) if declared is None else declared
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + samples + more
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def encoded(container: str, subtype: str | None = None) -> bytes:
    import io

    file = io.BytesIO()
    soundfile.write(file, NOISE, 48_000, subtype, format=container)
    return file.getvalue()


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "text": (lambda: b"This is not sound at all.\n" * 20, "cannot be read as sound"),
    "only a magic": (lambda: b"RIFF", "cannot be read as sound"),
    "cut in the header": (lambda: wave()[:30], "'fmt ' chunk"),
    "no samples chunk": (lambda: wave()[:36], "no samples"),
    "cut samples": (lambda: wave()[:-100], "cut short: its header promises 4000 bytes of samples, 3900"),
    "no samples": (lambda: wave(b""), "holds no samples"),
    "no channels": (lambda: wave(channels=0), "no channels"),
    "a thousand channels": (lambda: wave(channels=1_000), "1000 channels are not supported"),
    "rate 0": (lambda: wave(rate=0), "a sample rate of 0 Hz"),
    "rate 10 MHz": (lambda: wave(rate=10_000_000), "a sample rate of 10000000 Hz"),
    "64-bit integers": (lambda: wave(bits=64), "the header is damaged"),
    "8-bit float": (lambda: wave(bits=8, tag=3), "the header is damaged"),
    "codec that is not there": (lambda: wave(tag=0x7777), "cannot be read as sound"),
    "FLAC head alone": (lambda: encoded("FLAC")[:60], "cut short|cannot be read|damaged"),
    "half a FLAC": (lambda: encoded("FLAC")[:9_000], "cut short|cannot be read|damaged"),
    "half an AIFF": (lambda: encoded("AIFF", "PCM_24")[:9_000], "cut short"),
    "half a W64": (lambda: encoded("W64", "PCM_24")[:9_000], "cut short"),
    "half a CAF": (lambda: encoded("CAF", "PCM_24")[:9_000], "cut short"),
    "half an RF64": (lambda: encoded("RF64", "PCM_24")[:9_000], "cut short"),
    "Ogg head alone": (lambda: encoded("OGG", "VORBIS")[:100], "cannot be read as sound"),
    "no MP4": (lambda: b"\0\0\0\x20ftypM4A " + bytes(500), "cannot be read as sound"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.wav"
    content, message = BAD[name]
    path.write_bytes(content())
    with pytest.raises(MediaError, match=message) as caught, open_reader(path) as reader:
        for _ in reader.blocks():
            pass
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        open_reader(tmp_path / "none.wav")
    with pytest.raises(MediaError, match="folder"):
        open_reader(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(MediaError, match="not a regular file"):
            open_reader(tmp_path / "pipe")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found_while_reading(value: float, tmp_path: Path) -> None:
    samples = NOISE.copy()
    samples[3_000, 1] = value
    soundfile.write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    with open_reader(tmp_path / "a.wav") as reader:
        blocks = reader.blocks(1_000)
        assert len([next(blocks) for _ in range(3)]) == 3
        with pytest.raises(MediaError, match=r"NaN or infinities \(channel 1, at 0\.06 s\)"):
            next(blocks)


def test_a_double_beyond_float32_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, 1e300, 0.0]), 48_000, "DOUBLE")
    with open_reader(tmp_path / "a.wav") as reader, pytest.raises(MediaError, match="infinities"):
        next(reader.blocks())


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("riff", [0, 0xFFFFFFFF, 36])
def test_streams_without_a_size_are_read_to_the_end(declared: int, riff: int, tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    samples = (NOISE * 32767).astype("<i2")
    path.write_bytes(wave(samples.tobytes() + b"\x01", declared=declared, riff=riff))
    with open_reader(path) as reader:
        assert np.array_equal(reader.native(0, reader.samples) >> 16, samples.T)
        with FileWriter(tmp_path / "out.wav", reader) as out:
            out.write(next(reader.blocks()) * np.float32(0.5))
    found = soundfile.info(tmp_path / "out.wav")
    assert (found.frames, found.subtype) == (4_000, "PCM_16")


def test_an_empty_data_chunk_before_others_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wave(b"", more=b"LIST" + struct.pack("<I", 12) + b"INFO" + bytes(8)))
    with pytest.raises(MediaError, match="no samples"):
        open_reader(path)


def test_flac_and_mp3_without_a_length(tmp_path: Path) -> None:
    """As encoders that write to a pipe leave them."""
    rng = np.random.default_rng(1)
    samples = np.cumsum(rng.normal(0, 0.01, 150_000)).astype(np.float32) % 0.5
    flac = tmp_path / "a.flac"
    soundfile.write(flac, samples, 44_100, "PCM_16")
    raw = bytearray(flac.read_bytes())
    raw[21], raw[22:26] = raw[21] & 0xF0, bytes(4)
    (tmp_path / "b.flac").write_bytes(raw)
    with open_reader(flac) as told, open_reader(tmp_path / "b.flac") as untold:
        assert untold.samples == told.samples == 150_000
        assert np.array_equal(untold.native(0, 150_000), told.native(0, 150_000))

    soundfile.write(tmp_path / "a.mp3", samples, 44_100, "MPEG_LAYER_III", format="MP3")
    raw = bytearray((tmp_path / "a.mp3").read_bytes())
    at = raw.index(b"Xing") if b"Xing" in raw else raw.index(b"Info")
    raw[at : at + 4] = bytes(4)
    (tmp_path / "b.mp3").write_bytes(raw)
    with open_reader(tmp_path / "b.mp3") as reader:
        assert reader.samples == sum(block.shape[1] for block in reader.blocks())
        assert 150_000 <= reader.samples < 155_000


def test_a_cut_mp3_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.tile(NOISE, (20, 1)), 48_000, "MPEG_LAYER_III", format="MP3")
    raw = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(raw[:6_000] + bytes(3_000) + raw[9_000:])
    with pytest.raises(MediaError, match=r"cut short|cannot be read"), open_reader(path) as reader:
        list(reader.blocks())
    assert capfd.readouterr() == ("", "")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wave())
    with open_reader(path) as reader:
        path.write_bytes(wave(bytes(8_000)))
        with pytest.raises(MediaError, match="changed while it was read"):
            next(reader.blocks())


def source(folder: Path, name: str = "in.wav") -> Path:
    path = folder / name
    soundfile.write(path, NOISE, 48_000, "PCM_24", format="WAV")
    return path


def halve(path: Path, target: Path, *, interrupt: bool = False) -> None:
    """The file at half its level."""
    with open_reader(path) as reader, FileWriter(target, reader) as out:
        for block in reader.blocks(500):
            out.write(block * np.float32(0.5))
            if interrupt:
                raise KeyboardInterrupt


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    path = source(tmp_path)
    before = path.read_bytes()
    (tmp_path / "link.wav").symlink_to(path)
    os.link(path, tmp_path / "hard.wav")
    (tmp_path / "sub").symlink_to(tmp_path)
    names = [path, tmp_path / "link.wav", tmp_path / "hard.wav", tmp_path / "sub" / "in.wav"]
    with open_reader(path) as reader:
        for name in names:
            for residual in (False, True):
                with pytest.raises(InputError, match="replace the input"):
                    FileWriter(name, reader, residual=residual)
    with open_reader(tmp_path / "link.wav") as reader, pytest.raises(InputError, match="replace the input"):
        FileWriter(path, reader)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 4


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    path = source(tmp_path)
    (tmp_path / "folder.wav").mkdir()
    targets = {
        "a.xyz": "known are .wav",
        "a": "known are .wav",
        "folder.wav": "this is a folder",
        "none/a.wav": "there is no folder",
        "in.wav/a.wav": "there is no folder",
        "x" * 300 + ".wav": "too long",
    }
    with open_reader(path) as reader:
        for name, message in targets.items():
            with pytest.raises(InputError, match=message):
                FileWriter(tmp_path / name, reader)
    nine = ArrayReader(np.zeros((9, 10), np.float32), 48_000)
    with pytest.raises(MediaError, match="FLAC cannot hold 9 channels"):
        FileWriter(tmp_path / "a.flac", nine)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_existing_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    path, target = source(tmp_path), tmp_path / "out.wav"
    target.write_bytes(b"something else")
    with pytest.raises(KeyboardInterrupt):
        halve(path, target, interrupt=True)
    assert target.read_bytes() == b"something else" and len(list(tmp_path.iterdir())) == 2
    with open_reader(path) as reader, FileWriter(target, reader) as out:
        for block in reader.blocks():
            out.write(block)
    assert target.read_bytes() == path.read_bytes() and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ending", [".wav", ".aiff", ".flac", ".ogg", ".mp3"])
def test_wrong_lengths_and_shapes_leave_nothing(ending: str, tmp_path: Path) -> None:
    path = source(tmp_path)
    target = tmp_path / f"out{ending}"
    wrong: list[tuple[Any, str]] = [
        (NOISE.T[:, :100], "100 of the recording's 4000 samples were written"),
        (np.zeros((2, 4_001), np.float32), "more samples than"),
        (np.zeros((1, 4_000), np.float32), "2 channels"),
        (np.zeros((2, 4_000)), "float32"),
        (np.full((2, 4_000), np.nan, np.float32), "NaN"),
    ]
    with open_reader(path) as reader:
        for block, message in wrong:
            with pytest.raises(InputError, match=message), FileWriter(target, reader) as out:
                out.write(block)
            assert list(tmp_path.iterdir()) == [path]
            with pytest.raises(InputError, match="closed"):
                out.write(block)


class Full:
    """A disk that is full after some bytes, or refuses to be written to."""

    def __init__(self, file: Any, room: int, error: int) -> None:
        self._file, self._room, self._error = file, room, error

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(self._error, os.strerror(self._error))
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.ENOSPC, "no space left"), (errno.EROFS, "no permission"), (errno.EIO, "error")],
)
@pytest.mark.parametrize("room", [0, 50, 700])
@pytest.mark.parametrize("ending", [".wav", ".w64", ".flac", ".mp3"])
def test_a_full_disk(
    ending: str, room: int, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(tmp_path)
    create = writer._create
    monkeypatch.setattr(writer, "_create", lambda path: Full(create(path), room, code))
    with pytest.raises(DeviceError, match=message):
        halve(path, tmp_path / f"o{ending}")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".flac", ".ogg"])
def test_an_encoder_on_a_full_disk(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    careful = io_sndfile._Careful
    full = lambda file: careful(Full(file, 3_000, errno.ENOSPC))  # noqa: E731
    monkeypatch.setattr(io_sndfile, "_Careful", full)
    path = source(tmp_path)
    with pytest.raises(DeviceError, match="no space left"):
        halve(path, tmp_path / f"o{ending}")
    assert list(tmp_path.iterdir()) == [path]


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = source(tmp_path)

    def refuse(*args: Any, **options: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch, open_reader(path) as reader:
        patch.setattr(os, "open", refuse)
        with pytest.raises(DeviceError, match="no permission to write"):
            FileWriter(tmp_path / "out.wav", reader)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DeviceError, match="no permission to read"):
        open_reader(path)
    assert list(tmp_path.iterdir()) == [path]


def test_renaming_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = source(tmp_path)

    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "replace", refuse)
    with (
        pytest.raises(DeviceError, match="no permission"),
        open_reader(path) as reader,
        FileWriter(tmp_path / "o.wav", reader) as out,
    ):
        out.write(next(reader.blocks()))
    assert list(tmp_path.iterdir()) == [path]


def test_without_pyav_the_way_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DeviceError, match=r'pip install "wavemend\[video\]"'):
        open_reader(path)


def test_arrays_that_are_no_sound() -> None:
    for array, rate in (
        (np.zeros((2, 0), np.float32), 48_000),
        (np.zeros((2, 9), np.int16), 48_000),
        (np.full((1, 9), np.nan, np.float32), 48_000),
        (np.zeros((1, 9), np.float32), 0),
        (np.zeros((1, 2, 9), np.float32), 48_000),
    ):
        with pytest.raises(InputError):
            ArrayReader(array, rate)
    with pytest.raises(WavemendError):
        next(ArrayReader(np.zeros((1, 9), np.float32), 48_000).blocks(0))
    assert Format(48_000, 2).channels == 2
