"""Chunks, tags and pictures: kept byte for byte, carried over, or named."""

from __future__ import annotations

import base64
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavemend.core import chunks, id3, xiph
from wavemend.core.io import FileWriter, open_reader
from wavemend.core.tags import Metadata, make_picture

NOISE = (np.random.default_rng(5).normal(0, 3_000, (1_001, 1))).astype("<i2")
PICTURE = make_picture(3, "image/png", "front cover", b"\x89PNG" + bytes(range(256)))
COMMENTS = (("TITLE", "Ländler"), ("ARTIST", "one"), ("ARTIST", "two"), ("MOOD", "quiet"), ("DATE", "1931"))

BEXT = (
    b"A shellac disc".ljust(256, b"\0")
    + b"Archive".ljust(32, b"\0")
    + b"REF-1".ljust(32, b"\0")
    + b"2020-01-0210:20:30"
    + struct.pack("<QH", 12_345, 1)
    + bytes(64 + 190)
    + b"A=ANALOGUE,M=mono,T=turntable\r\n\0"
)
INFO = b"INFO" + b"INAM" + struct.pack("<I", 5) + b"Waltz" + b"\0" + b"IENG" + struct.pack("<I", 4) + b"Ann\0"
CUE = struct.pack("<I", 1) + struct.pack("<II4sIII", 1, 500, b"data", 0, 0, 500)
RIFF_BEFORE = [(b"bext", BEXT), (b"iXML", b"<BWFXML/>x"), (b"JUNK", bytes(28)), (b"LIST", INFO)]
RIFF_AFTER = [
    (b"cue ", CUE),
    (b"LIST", b"adtl" + b"labl" + struct.pack("<II", 8, 1) + b"one\0"),
    (b"smpl", bytes(36)),
    (b"axml", b"<a/>\0"),
    (b"MD5 ", hashlib.md5(NOISE.tobytes()).digest()),
    (b"id3 ", id3.build(COMMENTS, [PICTURE])),
    (b"odd!", b"123"),
]


def riff(
    data: bytes = NOISE.tobytes(), order: str = "<", magic: bytes = b"RIFF", trailer: bytes = b""
) -> bytes:
    """A mono 16-bit WAV file with everything around it."""
    fmt = struct.pack(order + "HHIIHH", 1, 1, 48_000, 96_000, 2, 16)
    parts = [(b"fmt ", fmt), *RIFF_BEFORE, (b"data", data), *RIFF_AFTER]
    body = b"".join(id + struct.pack(order + "I", len(b)) + b + bytes(len(b) % 2) for id, b in parts)
    return magic + struct.pack(order + "I", len(body) + 4) + b"WAVE" + body + trailer


def aiff() -> bytes:
    comm = struct.pack(">hIh", 1, 1_001, 16) + struct.pack(">HQ", 16383 + 15, 48_000 << 48)
    sound = bytes(8) + NOISE.astype(">i2").tobytes()
    mark = struct.pack(">HHIB", 1, 7, 500, 3) + b"abc"
    parts = [
        (b"NAME", b"Waltz"),
        (b"COMM", comm),
        (b"ANNO", b"said once"),
        (b"SSND", sound),
        (b"MARK", mark),
        (b"ID3 ", id3.build(COMMENTS, [PICTURE])),
    ]
    body = b"".join(id + struct.pack(">I", len(b)) + b + bytes(len(b) % 2) for id, b in parts)
    return b"FORM" + struct.pack(">I", len(body) + 4) + b"AIFF" + body


def rewrite(source: Path, target: Path, *, change: bool = True, history: str = "") -> FileWriter:
    with open_reader(source) as reader, FileWriter(target, reader, history=history) as writer:
        for k, block in enumerate(reader.blocks(400)):
            changed = block.copy()
            if change and not k:
                changed[0, 7] = 0.5
            writer.write(changed)
    return writer


def bodies(path: Path) -> list[tuple[str, bytes]]:
    with path.open("rb") as file:
        layout = chunks.parse(file)
        assert layout is not None
        return [(chunk.name, chunks.read_body(file, chunk)) for chunk in layout.chunks]


@pytest.mark.parametrize("trailer", [b"", b"TAG" + bytes(125)])
@pytest.mark.parametrize("kind", ["RIFF", "RIFX", "AIFF"])
def test_every_chunk_stays_in_its_place(kind: str, trailer: bytes, tmp_path: Path) -> None:
    source, target = tmp_path / "a.wav", tmp_path / ("b.aiff" if kind == "AIFF" else "b.wav")
    content = {
        "RIFF": riff,
        "RIFX": lambda: riff(NOISE.astype(">i2").tobytes(), ">", b"RIFX"),
        "AIFF": aiff,
    }[kind]() + trailer
    source.write_bytes(content)
    assert rewrite(source, target, change=False, history="not to be seen").not_carried == ()
    assert target.read_bytes() == content

    rewrite(source, target)
    after = target.read_bytes()
    differs = [k for k in range(len(content)) if content[k] != after[k]]
    data = content.index(NOISE.astype("<i2" if kind == "RIFF" else ">i2").tobytes())
    checksum = content.find(b"MD5 ") + 8
    assert len(after) == len(content)
    assert all(k in (data + 14, data + 15) or (kind != "AIFF" and 0 <= k - checksum < 16) for k in differs)


def test_a_checksum_of_the_samples_stays_true(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff())
    rewrite(tmp_path / "a.wav", tmp_path / "b.wav")
    raw = (tmp_path / "b.wav").read_bytes()
    samples = soundfile.read(tmp_path / "b.wav", dtype="int16")[0].astype("<i2").tobytes()
    assert samples != NOISE.tobytes() and hashlib.md5(samples).digest() in raw


def test_peaks_stay_true(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.4, 0.4, (1_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    rewrite(tmp_path / "a.wav", tmp_path / "b.wav")
    body = dict(bodies(tmp_path / "b.wav"))["PEAK"]
    after = soundfile.read(tmp_path / "b.wav", dtype="float32")[0]
    where = np.abs(after).argmax(axis=0)
    assert struct.unpack_from("<fIfI", body, 8) == (0.5, 7, np.abs(after[:, 1]).max(), where[1])


def test_history_is_one_more_line_and_nothing_else(tmp_path: Path) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    source.write_bytes(riff())
    rewrite(source, target, history="declick, dehum")
    before, after = bodies(source), bodies(target)
    assert [name for name, _ in before] == [name for name, _ in after]
    for (name, old), (_, new) in zip(before, after, strict=True):
        if name == "bext":
            line = b"A=PCM,F=48000,W=16,M=mono,T=wavemend 0.1.0 declick + dehum\r\n"
            assert new.rstrip(b"\0") == old.rstrip(b"\0") + line and len(new) % 2 == 0
        elif name != "MD5 ":
            assert new == old
    assert soundfile.info(target).frames == 1_001
    (riff_size,) = struct.unpack_from("<I", target.read_bytes(), 4)
    assert riff_size + 8 == target.stat().st_size


@pytest.mark.parametrize("ending", [".rf64", ".w64"])
def test_all_chunks_go_from_wav_to_its_large_relatives_and_back(ending: str, tmp_path: Path) -> None:
    first, large, back = tmp_path / "a.wav", tmp_path / f"b{ending}", tmp_path / "c.wav"
    first.write_bytes(riff())
    assert rewrite(first, large, change=False).not_carried == ()
    with open_reader(large) as reader:
        assert np.array_equal(reader.native(0, 1_001)[0] >> 16, NOISE[:, 0])
        assert reader.source.tags["DESCRIPTION"] == "A shellac disc"
    rewrite(large, back, change=False)
    ours = [pair for pair in bodies(large) if pair[0] != "ds64"]
    assert ours == bodies(first)
    assert [pair for pair in bodies(back) if pair[0] != "ds64"] == bodies(first)
    assert soundfile.info(large).frames == soundfile.info(back).frames == 1_001


def test_w64_chunks_without_a_name_are_named(tmp_path: Path) -> None:
    source, target = tmp_path / "a.w64", tmp_path / "b.wav"
    soundfile.write(source, NOISE, 48_000, "PCM_16", format="W64")
    raw, guid = source.read_bytes(), bytes(range(128, 144))
    source.write_bytes(raw[:80] + guid + struct.pack("<Q", 24 + 8) + bytes(8) + raw[80:])
    assert rewrite(source, tmp_path / "c.w64").not_carried == ()
    assert guid in (tmp_path / "c.w64").read_bytes()
    assert rewrite(source, target).not_carried == (f"the chunk {guid.hex()}: WAV has no such names",)
    assert soundfile.info(target).frames == 1_001


def test_what_flac_has_no_place_for_is_named(tmp_path: Path) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.flac"
    source.write_bytes(riff())
    writer = rewrite(source, target, history="declick")
    assert set(writer.not_carried) == {
        f"{what}: FLAC has no place for it"
        for what in (
            "iXML data",
            "cue points",
            "labels of cue points",
            "sampler loops",
            "axml data",
            "checksum of the samples",
            "chunk 'odd!'",
        )
    }
    with open_reader(target) as reader:
        tags = reader.source.tags
        assert (tags["ENGINEER"], tags["ORIGINATOR"], tags["TIME REFERENCE"]) == ("Ann", "Archive", "12345")
        assert tags["CODING HISTORY"].splitlines()[1].startswith("A=PCM,F=48000,W=16,M=mono,T=wavemend")
        assert tags["ARTIST"] == "one; two" and reader.metadata.pictures == (PICTURE,)


def flac(path: Path) -> list[xiph.Block]:
    """A FLAC file with all kinds of metadata; its blocks."""
    soundfile.write(path, NOISE, 48_000, "PCM_16", format="FLAC")
    with path.open("rb") as file:
        made, start = xiph.read_blocks(file)
        file.seek(start)
        frames = file.read()
    more = [
        xiph.Block(xiph.APPLICATION, b"riff1234"),
        xiph.Block(xiph.SEEKTABLE, bytes(18)),
        xiph.Block(xiph.COMMENT, xiph.build_comments(COMMENTS, "somebody 1.0")),
        xiph.Block(xiph.PICTURE, PICTURE),
        xiph.Block(xiph.PADDING, bytes(100)),
    ]
    with path.open("wb") as file:
        xiph.write_blocks(file, made[0], more)
        file.write(frames)
    return more


def test_flac_blocks_stay(tmp_path: Path) -> None:
    source, target = tmp_path / "a.flac", tmp_path / "b.flac"
    more = flac(source)
    assert soundfile.read(source, dtype="int16")[0].tobytes() == NOISE.tobytes()
    assert rewrite(source, target).not_carried == ()
    with target.open("rb") as file:
        after, _ = xiph.read_blocks(file)
    assert after[1:] == [block for block in more if block.kind != xiph.SEEKTABLE]
    assert np.flatnonzero(soundfile.read(target, dtype="int16")[0] != NOISE[:, 0]).tolist() == [7]
    with open_reader(target) as reader:
        assert reader.metadata.comments == COMMENTS and reader.source.tags["TITLE"] == "Ländler"


@pytest.mark.parametrize("ending", [".wav", ".aiff", ".w64", ".mp3"])
def test_flac_tags_go_where_there_is_a_place(ending: str, tmp_path: Path) -> None:
    source, target = tmp_path / "a.flac", tmp_path / f"b{ending}"
    flac(source)
    writer = rewrite(source, target)
    lossy = ("the exact samples: MP3 is lossy",) if ending == ".mp3" else ()
    container = writer.target.container
    assert writer.not_carried == (*lossy, f"application data 'riff': {container} has no place for it")
    with open_reader(target) as reader:
        assert {pair for pair in COMMENTS if pair[0] != "ARTIST"} <= set(reader.metadata.comments)
        assert {("ARTIST", "one"), ("ARTIST", "two")} <= set(reader.metadata.comments)
        assert reader.metadata.pictures == (PICTURE,)


def test_ogg_tags_and_what_they_cannot_hold(tmp_path: Path) -> None:
    source, target = tmp_path / "a.flac", tmp_path / "b.ogg"
    flac(source)
    writer = rewrite(source, target)
    nowhere = "OGG has no place for it"
    assert {f"tag MOOD: {nowhere}", f"pictures: {nowhere}"} <= set(writer.not_carried)
    with open_reader(target) as reader:
        assert reader.source.tags["TITLE"] == "Ländler" and reader.source.tags["DATE"] == "1931"
        back = rewrite(target, tmp_path / "c.flac")
        assert back.target.encoding.bits == 24
    with open_reader(tmp_path / "c.flac") as reader:
        assert reader.source.tags["TITLE"] == "Ländler"


def test_mp3_tags_become_comments(tmp_path: Path) -> None:
    source = tmp_path / "a.mp3"
    soundfile.write(source, NOISE, 48_000, "MPEG_LAYER_III", format="MP3")
    sound = source.read_bytes()
    source.write_bytes(id3.build(COMMENTS, [PICTURE]) + sound)
    with open_reader(source) as reader:
        assert reader.lossy and reader.metadata == Metadata(COMMENTS, (PICTURE,))
    rewrite(source, tmp_path / "b.flac")
    with open_reader(tmp_path / "b.flac") as reader:
        assert reader.metadata == Metadata(COMMENTS, (PICTURE,)) and reader.source.subtype == "PCM_24"
    old = (
        b"TAG"
        + b"Title".ljust(30)
        + b"Artist".ljust(30, b"\0")
        + bytes(30)
        + b"1931"
        + bytes(29)
        + b"\x04\x08"
    )
    source.write_bytes(sound + old)
    with open_reader(source) as reader:
        said = reader.source.tags
        assert (said["TITLE"], said["ARTIST"], said["DATE"], said["TRACKNUMBER"]) == (
            "Title",
            "Artist",
            "1931",
            "4",
        )


def frame(name: bytes, body: bytes, head: str = "four") -> bytes:
    if len(name) == 3:
        return name + len(body).to_bytes(3) + body
    return name + struct.pack(">I", len(body)) + b"\0\0" + body


def test_old_id3_versions() -> None:
    three = (
        frame(b"TIT2", b"\x01" + "Ländler".encode("utf-16"))
        + frame(b"COMM", b"\x00eng\0said")
        + frame(b"TXXX", b"\x00mood\0quiet")
        + frame(b"APIC", b"\x00image/png\0\x03front cover\0" + b"\x89PNG" + bytes(range(256)))
        + frame(b"PRIV", b"x")
        + bytes(50)
    )
    tag = b"ID3\x03\0\0" + bytes(len(three) >> s & 127 for s in (21, 14, 7, 0)) + three
    comments = (("TITLE", "Ländler"), ("COMMENT", "said"), ("MOOD", "quiet"))
    assert id3.parse(tag) == Metadata(comments, (PICTURE,), ("ID3 frame PRIV",))
    two = frame(b"TT2", b"\0Old") + frame(b"PIC", b"\0PNG\x03front cover\0" + b"\x89PNG" + bytes(range(256)))
    tag = b"ID3\x02\0\0" + bytes(len(two) >> s & 127 for s in (21, 14, 7, 0)) + two
    assert id3.parse(tag) == Metadata((("TITLE", "Old"),), (PICTURE,))


def test_pictures_in_ogg_are_found(tmp_path: Path) -> None:
    text = base64.b64encode(PICTURE).decode()
    packet = b"OpusTags" + xiph.build_comments([("TITLE", "x"), ("METADATA_BLOCK_PICTURE", text)], "v")
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    pages = b""
    for number, (segments, body) in enumerate(((b"\x08", b"OpusHead"), (lacing, packet))):
        pages += b"OggS\0\0" + bytes(8) + b"abcd" + struct.pack("<II", number, 0) + bytes([len(segments)])
        pages += segments + body
    (tmp_path / "a").write_bytes(pages)
    with (tmp_path / "a").open("rb") as file:
        assert xiph.read_ogg(file) == Metadata((("TITLE", "x"),), (PICTURE,))


def test_a_channel_mask_survives_flac(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile(NOISE, (1, 4)), 48_000, "PCM_16", format="WAVEX")
    raw = bytearray((tmp_path / "a.wav").read_bytes())
    raw[40:44] = struct.pack("<I", 0x107)
    (tmp_path / "a.wav").write_bytes(raw)
    rewrite(tmp_path / "a.wav", tmp_path / "b.flac")
    with open_reader(tmp_path / "b.flac") as reader:
        assert reader.source.tags["WAVEFORMATEXTENSIBLE_CHANNEL_MASK"] == "0x0107"
    rewrite(tmp_path / "a.wav", tmp_path / "c.w64")
    assert bodies(tmp_path / "c.w64")[0] == ("fmt ", bytes(raw[20:60]))
