"""Who may know whom: the import rules of the house, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wavemend"
MODULES = sorted(SOURCE.rglob("*.py"))

MAY_KNOW = {
    "errors": set(),
    "core": {"errors"},
    "damage": {"errors", "core"},
    "engine": {"errors", "core"},
    "repairs": {"errors", "core", "engine"},
    "restoration": {"errors", "core", "engine", "damage", "repairs"},
    "training": {"errors", "core", "damage"},
    "shell": {"errors", "core", "damage", "repairs", "restoration"},
    "cli": {"errors", "core", "damage", "engine", "repairs", "restoration", "shell", "training"},
}
"""Each room may import from itself and from these, and the version from the package."""

ENTERS_AT = {
    "soundfile": {"core/io_sndfile.py", "core/encode.py"},
    "soxr": {"core/dsp.py"},
    "av": {"core/video.py"},
    "pyloudnorm": set(),
    "rich": {"shell/progress.py"},
    "click": {"cli.py", "shell/kinds.py"},
    "onnxruntime": {"engine/model.py", "training/export.py"},
}
"""Each third-party library has one door; numpy and scipy are everywhere."""

ENTER_IN = {"torch": "training", "onnx": "training"}
"""Libraries that only one room may use."""


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def room(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows(path: Path) -> None:
    here = room(path.relative_to(SOURCE).parts)
    if here == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "wavemend" or parts[1] == "__version__":
            continue
        assert parts[1] == here or parts[1] in MAY_KNOW[here], f"{here} may not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_doors(path: Path) -> None:
    here = path.relative_to(SOURCE).as_posix()
    for name in imports(path):
        library = name.split(".")[0]
        if library in ENTERS_AT:
            assert here in ENTERS_AT[library], f"{library} does not enter at {here}"
        if library in ENTER_IN:
            assert room(Path(here).parts) == ENTER_IN[library], f"{library} lives in another room"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420
