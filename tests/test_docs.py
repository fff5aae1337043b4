"""Documents that cannot lie: pages equal their declarations, and what is named exists."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import wavemend
from wavemend.damage import damages
from wavemend.repairs import repairs

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not link.startswith(("http:", "https:", "mailto:")):
            assert (path.parent / link).exists(), f"{path.name} names {link}, which is not there"


def test_the_readme_shows_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text


@pytest.mark.parametrize("name", list(repairs))
def test_each_repair_says_when_to_use_it_and_where_it_comes_from(name: str) -> None:
    assert "Use when:" in repairs[name].doc
    assert "Not for:" in repairs[name].doc
    assert "Method:" in repairs[name].doc or "Reference:" in repairs[name].doc


@pytest.mark.parametrize("name", list(damages))
def test_each_damage_is_explained(name: str) -> None:
    assert len(damages[name].doc.split()) > 15


def test_public_names_are_about_twenty_and_none_is_hidden_by_a_module() -> None:
    for path in (ROOT / "src" / "wavemend").rglob("*.py"):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
    for name in wavemend.__all__:
        assert not isinstance(getattr(wavemend, name), ModuleType), name
    assert len(wavemend.__all__) <= 30


def test_the_version_is_one() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{wavemend.__version__}"' in pyproject
    assert f"## {wavemend.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
