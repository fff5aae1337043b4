"""A bank on its way to another machine: excerpts, packed into archives of limited size.

A shard is a zip file with `index.json` and one file of sound for each excerpt: FLAC,
which keeps every bit, or Ogg Opus at 96 kbit/s, which is a sixth of the size, keeps
nothing above 20 kHz and no exact waveform.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wavemend.core.encode import can_encode_opus, decode_clip, encode_clip
from wavemend.core.jsonable import from_plain
from wavemend.errors import DeviceError, InputError, MediaError
from wavemend.training.bank import Bank, Clip, Entry, Stored, read_index
from wavemend.training.material import ROLES
from wavemend.training.spectra import RATE

VERSION = 1
EXCERPT_SECONDS = 10.0
LOSSLESS = ("noise", "rir", "pair")
OPUS_BAND_HZ = 20_000.0
ENTRY_BYTES = 700  # of an excerpt's line in the index and its names in the zip, at most


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One clip in a shard; `entry.start` has no meaning there."""

    member: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Contents:
    """The index of a shard."""

    version: int
    excerpts: tuple[Excerpt, ...]


def write_shards(
    bank: Bank,
    folder: Path,
    hours: Mapping[str, float],
    *,
    seed: int = 0,
    split: str = "",
    max_mib: float = 60.0,
    lossless: Collection[str] = LOSSLESS,
) -> list[Path]:
    """Pack so many hours of each role, drawn from all clips by `seed`; the archives, in order.

    Clips are cut into excerpts of 10 s, none of which is taken twice; a pair stays together.
    Where there is less than was asked for, all of it is taken. Roles in `lossless` are FLAC,
    others Opus. Raises InputError for an unknown role and where nothing fits.
    """
    for role in hours:
        if role not in ROLES:
            raise InputError(f"the role '{role}' is not one of {', '.join(ROLES)}")
    shards = _Shards(folder, int(max_mib * 2**20))
    rng = np.random.default_rng(seed)
    drawn = [item for role in ROLES if role in hours for item in _draw(bank, role, split, hours[role], rng)]
    opus = can_encode_opus()
    for entry, start, length in (drawn[i] for i in rng.permutation(len(drawn))):
        sides = [entry, bank.twin(entry)] if entry.side else [entry]
        shards.add([_pack(bank, side, start, length, opus and side.role not in lossless) for side in sides])
    return shards.finish()


def read_shards(paths: Sequence[Path], folder: Path) -> Bank:
    """The bank of these shards, in `folder`; nothing is done where it is there already.

    Raises InputError for what is no shard, MediaError where one is damaged.
    """
    state = hashlib.sha256(f"shards {VERSION}".encode())
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: there is no such shard")
        with path.open("rb") as file:
            state.update(hashlib.file_digest(file, "sha256").digest())
    fingerprint = state.hexdigest()
    index = read_index(folder)
    if index is not None and index.fingerprint == fingerprint:
        return Bank(folder, index)
    return Bank.write(folder, fingerprint, (clip for path in paths for clip in _clips(path)), [])


def _draw(
    bank: Bank, role: str, split: str, hours: float, rng: np.random.Generator
) -> Iterator[tuple[Entry, int, int]]:
    size = round(EXCERPT_SECONDS * RATE)
    entries = [entry for entry in bank.entries(role, split) if entry.side != "damaged"]
    cuts = [(entry, start) for entry in entries for start in range(0, entry.length, size)]
    left = hours * 3600 * RATE
    for i in rng.permutation(len(cuts)):
        if left <= 0:
            return
        entry, start = cuts[i]
        length = min(size, entry.length - start)
        left -= length
        yield entry, start, length


def _pack(bank: Bank, entry: Entry, start: int, length: int, opus: bool) -> tuple[Entry, bytes, str]:
    packed = encode_clip(np.array(bank.stored(entry, start, length)), RATE, opus=opus)
    band = min(entry.bandwidth_hz, OPUS_BAND_HZ) if opus else entry.bandwidth_hz
    cut = replace(entry, bandwidth_hz=band, start=0, length=length, twin=-1, piece=start // RATE)
    return cut, packed, "opus" if opus else "flac"


class _Shards:
    """Archives that are filled one after the other."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._open: list[tuple[Excerpt, bytes]] = []
        self._size = 0
        self._done: list[Path] = []

    def add(self, packed: Sequence[tuple[Entry, bytes, str]]) -> None:
        size = sum(len(data) + ENTRY_BYTES + len(json.dumps(asdict(entry))) for entry, data, _ in packed)
        if size > self._limit:
            raise InputError(f"an excerpt of {packed[0][0].path} is larger than a shard may be")
        if self._size + size > self._limit:
            self._close()
        for entry, data, kind in packed:
            self._open.append((Excerpt(f"{len(self._open):05d}.{kind}", entry), data))
        self._size += size

    def finish(self) -> list[Path]:
        if self._open:
            self._close()
        if not self._done:
            raise InputError("the bank holds nothing of what the shards are to hold")
        return self._done

    def _close(self) -> None:
        path = self._folder / f"shard-{len(self._done):03d}.zip"
        part = path.with_suffix(".part")
        index = asdict(Contents(VERSION, tuple(excerpt for excerpt, _ in self._open)))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(part, "w") as archive:
                _store(archive, "index.json", json.dumps(index, ensure_ascii=False).encode(), packed=False)
                for excerpt, data in self._open:
                    _store(archive, excerpt.member, data, packed=True)
            part.replace(path)
        except OSError as error:
            raise DeviceError(f"{path}: cannot be written: {error.strerror or error}") from None
        self._done.append(path)
        self._open, self._size = [], 0


def _store(archive: zipfile.ZipFile, name: str, data: bytes, *, packed: bool) -> None:
    info = zipfile.ZipInfo(name)  # of 1980: the same sound makes the same archive
    info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _clips(path: Path) -> Iterator[Clip]:
    try:
        with zipfile.ZipFile(path) as archive:
            contents = from_plain(Contents, _index_of(archive, path), "index")
            for excerpt in contents.excerpts:
                yield excerpt.entry, _fitted(decode_clip(archive.read(excerpt.member)), excerpt.entry.length)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError(f"{path}: this is not a whole shard: {error}") from None
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from None


def _index_of(archive: zipfile.ZipFile, path: Path) -> Any:
    try:
        plain = json.loads(archive.read("index.json"))
    except ValueError as error:
        raise InputError(f"{path}: its index cannot be read: {error}") from None
    if not isinstance(plain, dict) or plain.get("version") != VERSION:
        raise InputError(f"{path}: this is a shard of another version")
    return plain


def _fitted(clip: Stored, length: int) -> Stored:
    """Opus may give some samples more or less than were put in."""
    return np.pad(clip, (0, max(0, length - len(clip))))[:length]
