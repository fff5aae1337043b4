"""All sound to train on, decoded once: one file of 48 kHz mono that is mapped into memory.

A bank is a folder with `index.json` and the sound, 16 bit, every clip scaled so that
its peak is 0.9 of full scale; the scale is kept, and reading gives the true level back.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from wavemend.core.dsp import resample
from wavemend.core.hook import Event, Hook, silent
from wavemend.core.io import open_reader
from wavemend.core.jsonable import from_plain
from wavemend.core.types import Samples
from wavemend.errors import DeviceError, InputError, MediaError
from wavemend.training.material import SoundFile
from wavemend.training.spectra import RATE, Mono

VERSION = 1
PEAK = 0.9 * 32767
PIECE_SECONDS = 600  # longer recordings become several clips: memory stays small
FELT = 1e-6  # a peak below -120 dBFS is silence
LOST_DB = 6.0  # in the mean of channels, before one of them is taken instead

Stored = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip: samples `start` to `start + length` of the bank, times `scale`.

    `side` is "clean" or "damaged" in a pair, whose two entries are each other's `twin` (an index
    into `Bank.all`), and empty elsewhere. `level_dbfs` is the root mean square of the true level;
    above `bandwidth_hz` nothing is known of the sound. `piece` counts the parts of a long file.
    """

    path: str
    role: str
    split: str
    group: str
    bandwidth_hz: float
    level_dbfs: float
    source: str
    licence: str
    tier: str
    tags: str
    credit: str
    start: int
    length: int
    scale: float
    piece: int = 0
    side: str = ""
    twin: int = -1

    @property
    def seconds(self) -> float:
        return self.length / RATE


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not in the bank, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What one source gave under one licence: a line of a model's card."""

    name: str
    licence: str
    tier: str
    credit: str
    hours: float
    files: int


@dataclass(frozen=True, slots=True)
class Index:
    """Everything of a bank but the sound."""

    version: int
    fingerprint: str
    sound: str
    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]


class Bank:
    """Clips of known sound, quick to read from anywhere. All of it is float32, 48 kHz, mono."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder, self.index = folder, index
        self.all, self.skipped = index.entries, index.skipped
        path = folder / index.sound
        total = max(entry.start + entry.length for entry in index.entries)
        if not path.exists() or path.stat().st_size != 2 * total:
            raise InputError(f"{path}: the bank's sound is missing or cut short; build it again")
        self._sound: Stored = np.memmap(path, np.dtype("<i2"), "r")
        self._chosen = lru_cache(maxsize=64)(self._choose)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The bank in a folder; InputError where there is none."""
        index = read_index(folder)
        if index is None:
            raise InputError(f"{folder}: there is no bank in this folder")
        return cls(folder, index)

    @classmethod
    def build(
        cls, files: Sequence[SoundFile], folder: Path, *, processes: int = 1, hook: Hook = silent
    ) -> Self:
        """Decode `files` into a bank; nothing is done where the folder holds one of the same files.

        What cannot be read, or is silent, is named in `skipped`. The hook counts files (stage
        "bank"). More than one process needs a main module that can be imported.
        Raises InputError where nothing is left, or the two sides of a pair do not fit.
        """
        fingerprint = _fingerprint(files)
        index = read_index(folder)
        if index is not None and index.fingerprint == fingerprint:
            return cls(folder, index)
        skipped: list[Skipped] = []

        def clips() -> Iterator[Clip]:
            done = 0
            with _mapper(processes) as mapped:
                for file, found in zip(files, mapped(decode, files), strict=True):
                    if isinstance(found, str):
                        skipped.append(Skipped(str(file.path), found))
                    else:
                        yield from found
                    done += 1
                    hook(Event("bank", done, len(files)))

        return cls.write(folder, fingerprint, clips(), skipped)

    @classmethod
    def write(cls, folder: Path, fingerprint: str, clips: Iterable[Clip], skipped: list[Skipped]) -> Self:
        """A bank of clips, which takes the place of the one in the folder when it is complete.

        The sides of a pair come one after the other, clean first. `skipped` may grow meanwhile.
        Raises InputError without any clip, DeviceError where it cannot be written.
        """
        entries: list[Entry] = []
        at = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / "sound.part"
            with part.open("wb") as out:
                for entry, samples in clips:
                    twin = {"clean": len(entries) + 1, "damaged": len(entries) - 1}.get(entry.side, -1)
                    entries.append(replace(entry, start=at, length=len(samples), twin=twin))
                    out.write(samples.astype("<i2").tobytes())
                    at += len(samples)
            if not entries:
                part.unlink()
                why = f"; the first: {skipped[0].path}: {skipped[0].reason}" if skipped else ""
                raise InputError(f"no file could be taken into the bank{why}")
            sound = part.rename(folder / f"sound-{fingerprint[:12]}.i16")
            index = Index(VERSION, fingerprint, sound.name, tuple(entries), tuple(skipped))
            text = folder / "index.json.part"
            text.write_text(json.dumps(asdict(index), indent=0, ensure_ascii=False), encoding="utf-8")
            text.replace(folder / "index.json")
            for old in folder.glob("sound-*.i16"):
                if old != sound:
                    old.unlink()
        except OSError as error:
            raise DeviceError(f"{folder}: the bank cannot be written: {error.strerror or error}") from None
        return cls(folder, index)

    def entries(self, role: str = "", split: str = "", side: str = "") -> tuple[Entry, ...]:
        """Clips of a role, of a split, of one side of pairs; all where nothing is said."""
        return self._chosen(role, split, side)

    def _choose(self, role: str, split: str, side: str) -> tuple[Entry, ...]:
        return tuple(
            entry
            for entry in self.all
            if role in ("", entry.role) and split in ("", entry.split) and side in ("", entry.side)
        )

    def twin(self, entry: Entry) -> Entry:
        """The other side of a pair; InputError where there is none."""
        if entry.twin < 0:
            raise InputError(f"{entry.path} is not one of a pair")
        return self.all[entry.twin]

    def read(self, entry: Entry, start: int = 0, length: int | None = None) -> Mono:
        """Samples `start` to `start + length` of a clip, (length,), at the level of its file.

        InputError for what lies outside the clip.
        """
        length = entry.length - start if length is None else length
        if not 0 <= start <= start + length <= entry.length:
            raise InputError(f"{entry.path}: {start} + {length} is outside the clip's {entry.length} samples")
        return np.multiply(self.stored(entry, start, length), np.float32(entry.scale), dtype=np.float32)

    def stored(self, entry: Entry, start: int, length: int) -> Stored:
        """The same as it lies in the bank: 16 bit, not yet times `scale`."""
        return self._sound[entry.start + start : entry.start + start + length]

    def hours(self, role: str = "", split: str = "", above_hz: float = 0.0) -> float:
        """Hours of sound with at least that bandwidth; of pairs, the damaged side is not counted."""
        return sum(
            entry.seconds / 3600
            for entry in self.entries(role, split)
            if entry.side != "damaged" and entry.bandwidth_hz >= above_hz
        )

    def sources(self, split: str = "") -> tuple[Origin, ...]:
        """Where the sound comes from: sources, licences and hours, for a model's card."""
        found: dict[tuple[str, str, str, str], list[Entry]] = {}
        for entry in self.entries(split=split):
            key = entry.source, entry.licence, entry.tier, entry.credit
            found.setdefault(key, []).append(entry)
        return tuple(
            Origin(*key, sum(e.seconds for e in own) / 3600, len({e.path for e in own}))
            for key, own in sorted(found.items())
        )


Clip = tuple[Entry, Stored]


def decode(file: SoundFile) -> list[Clip] | str:
    """The clips of a file, or why there are none. Both sides of a pair in turn, clean first."""
    try:
        if file.clean is None:
            heard = ((i, mono) for i, mono in enumerate(_pieces(file.path)) if _heard(mono))
            return [_clip(file, mono, i, "") for i, mono in heard] or "silent"
        clips = []
        for i, (clean, damaged) in enumerate(_pair_pieces(file.clean, file.path)):
            if _heard(clean) and _heard(damaged):
                clips += [_clip(file, clean, i, "clean"), _clip(file, damaged, i, "damaged")]
        return clips or "silent"
    except (MediaError, DeviceError) as error:
        return str(error).removeprefix(f"{file.path}: ")


def _pieces(path: Path) -> Iterator[Mono]:
    for sound, rate in _blocks(path):
        yield resample((mixdown(sound) @ sound)[np.newaxis], rate, RATE)[0]


def _pair_pieces(clean: Path, damaged: Path) -> Iterator[tuple[Mono, Mono]]:
    pairs = zip(_blocks(clean), _blocks(damaged), strict=False)
    for (one, rate), (two, other) in pairs:
        if one.shape != two.shape or rate != other:
            raise InputError(f"{clean} and {damaged} differ in length, rate or number of channels")
        weights = mixdown(one)
        mono = resample(np.stack([weights @ one, weights @ two]), rate, RATE)
        yield mono[0], mono[1]


def _blocks(path: Path) -> Iterator[tuple[Samples, int]]:
    with open_reader(path) as reader:
        rate = reader.format.sample_rate
        step = PIECE_SECONDS * rate
        for start in range(0, reader.samples, step):
            yield reader.read(start, min(start + step, reader.samples)), rate


def mixdown(samples: Samples) -> Mono:
    """Weights (channels,) that make one channel: the mean, or the loudest where the mean cancels out."""
    channels = samples.shape[0]
    weights = np.full(channels, 1 / channels, np.float32)
    power = np.einsum("cn,cn->c", samples, samples, dtype=np.float64)
    mean = weights @ samples
    if np.dot(mean, mean) < 10 ** (-LOST_DB / 10) * power.mean():
        weights[:] = 0
        weights[int(power.argmax())] = 1
    return weights


def _heard(mono: Mono) -> bool:
    return bool(np.abs(mono).max(initial=0) > FELT)


def _clip(file: SoundFile, mono: Mono, piece: int, side: str) -> Clip:
    peak = float(np.abs(mono).max())
    limit = RATE / 2 if file.sample_rate is None else min(RATE, file.sample_rate) / 2
    band = measure_bandwidth(mono) if file.bandwidth_hz is None else file.bandwidth_hz
    entry = Entry(
        str(file.clean if side == "clean" else file.path),
        file.role,
        file.split,
        file.group,
        min(band, limit),
        float(10 * np.log10(np.mean(np.square(mono, dtype=np.float64)))),
        file.source,
        file.licence,
        file.tier,
        file.tags,
        file.credit,
        start=0,
        length=len(mono),
        scale=peak / PEAK,
        piece=piece,
        side=side,
    )
    return entry, np.rint(mono * np.float32(PEAK / peak)).astype(np.int16)


def measure_bandwidth(mono: Mono) -> float:
    """Where sound at 48 kHz ends, in Hz.

    There the power spectrum of the louder half of the frames, smoothed over 200 Hz,
    last lies above its peak - 75 dB. At most 400 frames, spread over the clip, are looked at.
    """
    size = 4096
    mono = np.pad(mono, (0, max(0, size - len(mono))))
    starts = np.unique(np.linspace(0, len(mono) - size, 400).astype(int))
    frames = mono[starts[:, np.newaxis] + np.arange(size)]
    energy = np.square(frames).sum(axis=1)
    loud = frames[energy >= np.median(energy)]
    spectrum = np.mean(np.abs(np.fft.rfft(loud * np.hanning(size), axis=1)) ** 2, axis=0)
    width = round(200 * size / RATE)
    smooth = np.convolve(spectrum, np.full(width, 1 / width), "same")
    return float(np.flatnonzero(smooth >= smooth.max() * 10**-7.5)[-1] * RATE / size)


def _fingerprint(files: Sequence[SoundFile]) -> str:
    """The same for the same list of the same files, as far as size and time of change tell."""
    state = hashlib.sha256(f"bank {VERSION}".encode())
    for file in files:
        state.update(repr(file).encode())
        for path in (file.path, file.clean):
            if path is not None and path.exists():
                info = path.stat()
                state.update(f"{info.st_size} {info.st_mtime_ns}".encode())
    return state.hexdigest()


def read_index(folder: Path) -> Index | None:
    """The index in a folder; None where there is none of this version, InputError if it is damaged."""
    path = folder / "index.json"
    if not path.exists():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the bank's index cannot be read: {error}") from None
    if not isinstance(plain, dict) or plain.get("version") != VERSION:
        return None
    return from_plain(Index, plain, "index")


@contextmanager
def _mapper(processes: int) -> Iterator[type[map] | partial]:  # type: ignore[type-arg]
    """`map`, in this process or in several."""
    if processes <= 1:
        yield map
        return
    # spawned: a fork of a process with threads may hang
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=8)
