"""What a user has to train on, as a list of files: from a manifest, or from a folder."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wavemend.core.io import open_reader
from wavemend.errors import InputError, WavemendError

ROLES = ("speech", "music", "noise", "rir", "pair")
NOT_FOR_TRAINING = ("benchmark", "soundfont")
SPLITS = ("train", "valid", "test")
VALID_SHARE = 0.1
SUFFIXES = {
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd"),
    *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".mkv", ".mov"),
}


@dataclass(frozen=True, slots=True)
class SoundFile:
    """One file, or one pair: then `path` is the damaged recording and `clean` the other.

    `bandwidth_hz` is where the sound really ends; None: not measured yet. Files of one `group`
    (speaker, album, place) belong to one split. `tier` is any mark by which a user sorts
    licences; `credit` is whom to name. Texts that nobody gave are empty.
    """

    path: Path
    role: str
    sample_rate: int | None = None
    seconds: float | None = None
    bandwidth_hz: float | None = None
    group: str = ""
    split: str = ""
    source: str = ""
    licence: str = ""
    tier: str = ""
    tags: str = ""
    credit: str = ""
    clean: Path | None = None


def read_material(
    data: Path | Sequence[Path],
    *,
    tiers: Collection[str] = (),
    sources: Collection[str] = (),
    exclude_sources: Collection[str] = (),
    roles: Collection[str] = (),
    splits: Collection[str] = (),
) -> list[SoundFile]:
    """The files of manifests (.csv) and folders; every filter that is not empty narrows them.

    A manifest has the columns path (relative to it) and role, and may have those of `SoundFile`.
    In a folder, `clean/` and `damaged/` hold pairs of equal names, folders named after a role
    hold that role, and everything else is music. Files without a split get one by the hash
    of their group, a tenth of them `valid`, and every role with two groups or more has both.
    Benchmarks and the split `test` are never given.

    Raises InputError for what does not exist, does not fit together, or is empty.
    """
    paths = [data] if isinstance(data, Path) else list(data)
    files = [file for path in paths for file in _read(path)]
    files = [file for file in _with_splits(files) if file.split != "test"]
    wanted = [
        file
        for file in files
        if (not tiers or file.tier in tiers)
        and (not sources or file.source in sources)
        and file.source not in exclude_sources
        and (not roles or file.role in roles)
        and (not splits or file.split in splits)
    ]
    if not wanted:
        where = ", ".join(map(str, paths)) or "an empty list"
        raise InputError(f"{where}: no files to train on" + (" are left by the filters" if files else ""))
    for file in wanted:
        if file.clean is not None:
            _check_pair(file.clean, file.path)
    return wanted


def _read(path: Path) -> Iterable[SoundFile]:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such manifest or folder")
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: training data is a manifest (.csv) or a folder")
    return _read_manifest(path)


def _read_manifest(path: Path) -> Iterator[SoundFile]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = table.fieldnames or []
            for name in ("path", "role"):
                if name not in columns:
                    raise InputError(f"{path}: the manifest lacks the column '{name}'")
            for row in table:
                where = f"{path}, line {table.line_num}"
                if None in row:
                    raise InputError(f"{where}: there are more fields than columns")
                found = _of_row(path.parent, {key: (row[key] or "").strip() for key in columns}, where)
                if found is not None:
                    yield found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {error}") from None


def _of_row(base: Path, row: dict[str, str], where: str) -> SoundFile | None:
    role, split = row["role"], row.get("split", "")
    if role in NOT_FOR_TRAINING:
        return None
    if role not in ROLES:
        raise InputError(f"{where}: the role '{role}' is not one of {', '.join(ROLES)}")
    if split and split not in SPLITS:
        raise InputError(f"{where}: the split '{split}' is not one of {', '.join(SPLITS)}")
    if not row["path"]:
        raise InputError(f"{where}: the path is empty")
    if (role == "pair") != bool(row.get("clean")):
        raise InputError(f"{where}: a pair, and nothing else, has a path in the column 'clean'")
    rate = _number(row, "sample_rate", where)
    return SoundFile(
        base / row["path"],
        role,
        None if rate is None else int(rate),
        _number(row, "seconds", where),
        _number(row, "bandwidth_hz", where),
        row.get("group") or _group_of(role, Path(row["path"])),
        split,
        row.get("source", ""),
        row.get("licence", ""),
        row.get("tier", ""),
        row.get("tags", ""),
        row.get("credit", ""),
        base / row["clean"] if role == "pair" else None,
    )


def _number(row: dict[str, str], name: str, where: str) -> float | None:
    if not row.get(name):
        return None
    try:
        number = float(row[name])
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise InputError(f"{where}: {name} is '{row[name]}', which is no such number")
    return number or None


def _read_folder(folder: Path) -> Iterator[SoundFile]:
    clean, damaged = folder / "clean", folder / "damaged"
    if clean.is_dir() != damaged.is_dir():
        raise InputError(f"{folder}: pairs need both folders, clean and damaged")
    if clean.is_dir():
        yield from _read_pairs(clean, damaged)
    found = [path for path in _sounds(folder) if path.parts[0] not in ("clean", "damaged")]
    places = []
    for path in found:
        named = len(path.parts) > 1 and path.parts[0] in ROLES[:-1]
        places.append((path.parts[0] if named else "music", Path(*path.parts[named:])))
    for role in ROLES:
        own = [place for place in places if place[0] == role]
        single = len({_group_of(*place) for place in own}) == 1
        for path, place in zip(found, places, strict=True):
            if place[0] == role:
                # all in one folder: then the files themselves are the unit
                group = f"{role}/{place[1].with_suffix('').as_posix()}" if single else _group_of(*place)
                yield SoundFile(folder / path, role, group=group, source=folder.name)


def _sounds(folder: Path) -> list[Path]:
    """Sound files below a folder, relative to it, in order; hidden ones are left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") for part in path.parts) and (folder / path).is_file()
    )


def _group_of(role: str, path: Path) -> str:
    return f"{role}/{path.parts[0] if len(path.parts) > 1 else path.stem}"


def _read_pairs(clean: Path, damaged: Path) -> Iterator[SoundFile]:
    """Pairs by relative path without suffix."""
    one, two = _by_name(clean), _by_name(damaged)
    for name in sorted(one.keys() ^ two.keys()):
        path, folder = (one[name], damaged) if name in one else (two[name], clean)
        raise InputError(f"{path}: its twin is missing in {folder}")
    single = len({_group_of("pair", Path(name)) for name in one}) == 1
    for name, path in one.items():
        group = f"pair/{name}" if single else _group_of("pair", Path(name))
        yield SoundFile(two[name], "pair", group=group, source=clean.parent.name, clean=path)


def _by_name(folder: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in _sounds(folder):
        name = path.with_suffix("").as_posix()
        if name in named:
            raise InputError(f"{folder / path}: there is another file of that name, {named[name].name}")
        named[name] = folder / path
    return named


def _check_pair(clean: Path, damaged: Path) -> None:
    try:
        with open_reader(clean) as one, open_reader(damaged) as two:
            for what, a, b in (
                ("sample rates", one.format.sample_rate, two.format.sample_rate),
                ("numbers of channels", one.format.channels, two.format.channels),
                ("numbers of samples", one.samples, two.samples),
            ):
                if a != b:
                    raise InputError(f"{clean} and {damaged} differ in their {what}: {a} and {b}")
    except InputError:
        raise
    except WavemendError as error:
        raise InputError(str(error)) from None


def _place(group: str) -> float:
    """Where a group lies between 0 and 1, the same on every machine."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:6], "big") / 2**48


def _with_splits(files: Sequence[SoundFile]) -> list[SoundFile]:
    """Splits for those that have none; a group stays together, and given splits stay as they are."""
    given = {file.group: file.split for file in files if file.split}
    drawn = {
        file.group: "valid" if _place(file.group) < VALID_SHARE else "train"
        for file in files
        if file.group not in given
    }
    for role in ROLES:
        groups = sorted({file.group for file in files if file.role == role}, key=_place)
        free = [group for group in groups if group in drawn]
        have = {(given | drawn)[group] for group in groups}
        if len(groups) < 2 or not free:
            continue
        if "valid" not in have:
            drawn[free[0]] = "valid"
        elif "train" not in have:
            drawn[free[-1]] = "train"
    found = given | drawn
    return [file if file.split else replace(file, split=found[file.group]) for file in files]
