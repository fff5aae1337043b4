"""Sound of video files and M4A, where PyAV is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavemend.core.io import FileWriter, default_output, open_reader
from wavemend.errors import MediaError

av = pytest.importorskip("av")

RATE, LENGTH = 44_100, 50_000


def encode(path: Path, codec: str, values: Any, format: str, layout: str = "stereo", **tags: str) -> None:
    """Planar values (channels, samples) in frames of 1024 through one of FFmpeg's encoders."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=RATE)
        stream.layout = layout
        stream.bit_rate = 128_000
        if codec in ("alac", "flac"):
            stream.codec_context.format = av.AudioFormat(format if codec == "alac" else format.rstrip("p"))
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=RATE)
        for start in range(0, values.shape[1], 1024):
            part = np.ascontiguousarray(values[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(part, format=format, layout=layout)
            frame.sample_rate, frame.pts = RATE, start
            for fitting in resampler.resample(frame):
                container.mux(stream.encode(fitting))
        container.mux(stream.encode(None))


def noise(dtype: str) -> Any:
    rng = np.random.default_rng(4)
    if dtype == "s16p":
        return rng.integers(-(2**15), 2**15, (2, LENGTH)).astype(np.int16)
    if dtype == "s32p":
        return rng.integers(-(2**23), 2**23, (2, LENGTH)).astype(np.int32) << 8
    return rng.normal(0, 0.1, (2, LENGTH)).astype(np.float32)


@pytest.mark.parametrize(
    ("ending", "codec", "form", "subtype", "shift"),
    [
        (".m4a", "alac", "s16p", "PCM_16", 16),
        (".m4a", "alac", "s32p", "PCM_24", 0),
        (".mkv", "flac", "s16p", "PCM_16", 16),
        (".mov", "pcm_s24le", "s32p", "PCM_24", 0),
        (".mkv", "pcm_s16le", "s16p", "PCM_16", 16),
    ],
)
def test_lossless_tracks_are_exact(
    ending: str, codec: str, form: str, subtype: str, shift: int, tmp_path: Path
) -> None:
    path, values = tmp_path / f"a{ending}", noise(form)
    encode(path, codec, values, form, title="Waltz")
    with open_reader(path) as reader:
        assert (reader.samples, reader.source.subtype, reader.lossy) == (LENGTH, subtype, False)
        assert np.array_equal(reader.native(0, LENGTH), values.astype(np.int32) << shift)
        assert np.array_equal(reader.native(100, 200), values[:, 100:200].astype(np.int32) << shift)
        assert reader.source.tags["TITLE"] == "Waltz"
        target = default_output(path, reader)
        assert target.name == "a.restored.flac"
        with FileWriter(target, reader) as writer:
            for block in reader.blocks(7_777):
                writer.write(block)
    with open_reader(target) as again:
        assert np.array_equal(again.native(0, LENGTH), values.astype(np.int32) << shift)
        assert again.source.tags["TITLE"] == "Waltz"


def test_floating_point_tracks_stay_exact(tmp_path: Path) -> None:
    values = noise("fltp")
    encode(tmp_path / "a.mkv", "pcm_f32le", values, "fltp")
    with open_reader(tmp_path / "a.mkv") as reader:
        assert reader.source.subtype == "FLOAT" and np.array_equal(reader.read(0, LENGTH), values)


@pytest.mark.parametrize(("ending", "codec"), [(".m4a", "aac"), (".aac", "aac"), (".wma", "wmav2")])
def test_lossy_tracks_are_as_long_as_they_say(ending: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    encode(path, codec, noise("fltp"), "fltp")
    with open_reader(path) as reader:
        whole = np.concatenate(list(reader.blocks(5_000)), axis=1)
        assert reader.lossy and reader.samples == whole.shape[1]
        assert abs(reader.samples - LENGTH) < 6_000
        assert np.array_equal(reader.read(30_000, 30_100), whole[:, 30_000:30_100])
        assert np.array_equal(reader.read(0, 100), whole[:, :100])


def test_video_without_sound_and_cut_files(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "silent.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="has no sound"):
        open_reader(tmp_path / "silent.mkv")
    encode(tmp_path / "a.mov", "pcm_s16le", noise("s16p"), "s16p")
    raw = (tmp_path / "a.mov").read_bytes()
    (tmp_path / "a.mov").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(MediaError, match=r"cannot be read as sound|cut short"):
        open_reader(tmp_path / "a.mov")
