"""Files damaged at random: read, or refused with an error of ours; never anything else."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from test_tags import COMMENTS, PICTURE, aiff, flac, riff
from wavemend.core import id3
from wavemend.core.io import FileWriter, open_reader
from wavemend.errors import WavemendError

KINDS = {
    "wav": ("WAV", "PCM_24"),
    "extensible": ("WAVEX", "FLOAT"),
    "adpcm": ("WAV", "IMA_ADPCM"),
    "ulaw": ("WAV", "ULAW"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "DOUBLE"),
    "caf": ("CAF", "PCM_32"),
    "alac": ("CAF", "ALAC_16"),
    "au": ("AU", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
OURS = ("riff with chunks", "aiff with chunks", "flac with blocks", "mp3 with id3", "m4a", "mkv")


@lru_cache
def seed_file(kind: str, folder: Path) -> bytes:
    if kind == "riff with chunks":
        return riff()
    if kind == "aiff with chunks":
        return aiff()
    if kind == "flac with blocks":
        flac(folder / "seed.flac")
        return (folder / "seed.flac").read_bytes()
    if kind == "mp3 with id3":
        return id3.build(COMMENTS, [PICTURE]) + seed_file("mp3", folder)
    if kind in ("m4a", "mkv"):
        return _video(kind)
    container, subtype = KINDS[kind]
    file = io.BytesIO()
    samples = np.random.default_rng(1).normal(0, 0.1, (3_000, 2))
    soundfile.write(file, samples, 48_000, subtype, format=container)
    return file.getvalue()


def _video(kind: str) -> bytes:
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format={"m4a": "mp4", "mkv": "matroska"}[kind]) as container:
        stream = container.add_stream({"m4a": "aac", "mkv": "pcm_s16le"}[kind], rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 3_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([8, 16, 32]), st.integers(0, 2**32 - 1), st.booleans()),
    max_size=4,
)


@pytest.mark.parametrize("kind", [*KINDS, *OURS])
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edits=EDITS, keep=st.none() | st.floats(0, 1), tail=st.binary(max_size=20))
def test_damaged_files(
    kind: str, folder: Path, edits: list[tuple[float, int, int, bool]], keep: float | None, tail: bytes
) -> None:
    raw = bytearray(seed_file(kind, folder))
    for where, bits, value, early in edits:
        # headers are short: half of the damage goes there
        at = int(where * min(len(raw) - 1, 120 if early else len(raw)))
        raw[at : at + bits // 8] = (value & (2**bits - 1)).to_bytes(bits // 8, "little")
    if keep is not None:
        raw = raw[: int(keep * len(raw))]
    path = folder / "damaged"
    path.write_bytes(bytes(raw) + tail)
    before = set(folder.iterdir())
    target = folder / "out.wav"
    try:
        with open_reader(path) as reader:
            if reader.samples > 10**6:
                for _ in zip(reader.blocks(), range(3), strict=False):
                    pass
                return
            with FileWriter(target, reader, history="x") as writer:
                total = 0
                for block in reader.blocks(1_000):
                    total += block.shape[1]
                    writer.write(block * np.float32(0.5))
                assert total == reader.samples
    except WavemendError as error:
        assert "\n" not in str(error)
        assert set(folder.iterdir()) == before
    else:
        with open_reader(target) as again:
            assert again.samples == total
            assert again.format == reader.format
        target.unlink()
