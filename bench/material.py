"""What is measured on: clips of a corpus, chosen by hash, or pieces that are synthesised here.

A corpus is a folder with a `manifest.csv` whose columns include path, role (speech,
music, noise, benchmark), source, split, seconds and sample_rate.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from bench import synth
from wavemend.core.types import Format

Array = npt.NDArray[np.float32]
MIN_LEVEL = 10 ** (-50 / 20)
LOSSLESS = ("wav", "flac", "aiff", "")  # kinds of file, as a manifest names them; "" where it does not


@dataclass(frozen=True, eq=False)
class Clip:
    """Sound to measure on, (channels, samples), and where it comes from; `bits` is its grid, 0 for none.

    `reach_hz` is where its sound ends, as the corpus says; 0 where nobody does. `coded` says that its file
    is of a lossy format.
    """

    name: str
    role: str
    samples: Array
    format: Format
    bits: int = 0
    reach_hz: float = 0.0
    coded: bool = False

    @property
    def seconds(self) -> float:
        return self.samples.shape[1] / self.format.sample_rate

    def mono(self) -> Clip:
        """Its first channel."""
        return replace(self, samples=self.samples[:1], format=Format(self.format.sample_rate, 1))

    def quantised(self, bits: int) -> Clip:
        """The same on the grid of so many bits, as a file of that depth would give it."""
        scale = 2.0 ** (bits - 1)
        stepped = np.clip(np.round(self.samples.astype(np.float64) * scale), -scale, scale - 1) / scale
        return replace(self, samples=stepped.astype(np.float32), bits=bits)


class Material:
    """Clips by role. With `root` from its manifest, without one synthesised."""

    def __init__(self, root: Path | None, split: str = "test") -> None:
        self.root, self.split = root, split
        self._rows: list[dict[str, str]] = []
        if root:
            with open(root / "manifest.csv", newline="", encoding="utf-8") as file:
                self._rows = list(csv.DictReader(file))

    @property
    def described(self) -> str:
        return (
            f"a corpus of recordings, split {self.split}"
            if self.root
            else "pieces synthesised by the bench itself"
        )

    def clips(
        self,
        role: str,
        count: int,
        seconds: float,
        shortest: float = 3.0,
        reach_hz: float = 0.0,
        uncoded: bool = False,
    ) -> list[Clip]:
        """`count` clips of at most so many seconds, always the same ones, from many sources.

        Of a corpus, those alone whose sound reaches `reach_hz`, and if `uncoded`, whose file is lossless.
        """
        if not self.root:
            made = synth.pieces(role, count, seconds)
            return [Clip(name, role, x.astype(np.float32), Format(rate, len(x))) for name, x, rate in made]
        found: list[Clip] = []
        for row in self._in_turn(role, shortest):
            if len(found) == count:
                break
            if reach_hz and float(row["bandwidth_hz"] or 0) < reach_hz:
                continue
            if uncoded and _is_coded(row):
                continue
            clip = self._read(row, seconds)
            if clip:
                found.append(clip)
        return found

    def benchmark(self, source: str, count: int = 100) -> list[Clip]:
        """Whole files of a published test set; empty without a corpus."""
        rows = sorted((r for r in self._rows if r["source"] == source), key=lambda r: r["path"])
        return [clip for row in rows[:count] if (clip := self._read(row, 60.0))]

    def _in_turn(self, role: str, shortest: float) -> Iterator[dict[str, str]]:
        """Rows of this role and split, one source after the other, each in the order of its hashes."""
        by_source: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in self._rows:
            long_enough = float(row["seconds"] or 0) >= shortest
            if row["role"] == role and row["split"] == self.split and long_enough:
                by_source[row["source"]].append(row)
        queues = [sorted(rows, key=lambda r: _hash(r["path"])) for _, rows in sorted(by_source.items())]
        for turn in range(max(map(len, queues), default=0)):
            for queue in queues:
                if turn < len(queue):
                    yield queue[turn]

    def _read(self, row: dict[str, str], seconds: float) -> Clip | None:
        """An excerpt at a place given by the path's hash; None where it is all but silent or unreadable."""
        assert self.root
        path = self.root / row["path"]
        try:
            with soundfile.SoundFile(path) as file:
                rate, want = file.samplerate, min(round(seconds * file.samplerate), file.frames)
                start = _hash(row["path"]) % max(file.frames - want, 1)
                file.seek(start)
                samples = file.read(want, dtype="float32", always_2d=True).T
        except soundfile.LibsndfileError:
            return None
        if not samples.size or np.sqrt(np.mean(samples.astype(np.float64) ** 2)) < MIN_LEVEL:
            return None
        name = f"{row['path']} @{start / rate:.1f}s"
        format = Format(rate, min(len(samples), 2))
        reach_hz = float(row.get("bandwidth_hz") or 0)
        sound = np.ascontiguousarray(samples[:2])
        return Clip(name, row["role"], sound, format, reach_hz=reach_hz, coded=_is_coded(row))


def _is_coded(row: dict[str, str]) -> bool:
    return row.get("format", "").split("/")[0].lower() not in LOSSLESS


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def seed_of(*parts: object) -> int:
    """A seed that depends on these parts and nothing else."""
    return _hash("/".join(map(str, parts))) % 2**31
