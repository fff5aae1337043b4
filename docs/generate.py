"""Make the pages that come from the declarations, one per repair, for all damage and for the commands, and
the one that comes from the bench, on the diagnosis.

python docs/generate.py            write them
python docs/generate.py --check    exit with 1 where a page on disk differs
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click
import reliability

from wavemend.cli import cli
from wavemend.core.params import Parameter, about, defaults
from wavemend.core.types import Format
from wavemend.damage import damages
from wavemend.repairs import repairs

DOCS = Path(__file__).parent
WIDTH = 90
NOTE = "<!-- made by docs/generate.py; change the declaration, not this page -->\n"


def table(params: Mapping[str, Parameter]) -> str:
    """The parameters as a Markdown table."""
    rows = ["| parameter | default | range | unit | |", "|---|---|---|---|---|"]
    rows += [
        f"| `{name}` | {defaults(p)} | {p.range.replace('|', 'or')} | {p.unit or '-'} | {about(p)} |"
        for name, p in params.items()
    ]
    return "\n".join(rows) if params else "No parameters."


def body(doc: str) -> str:
    """A module docstring as Markdown: paragraphs stay, aligned blocks become code."""
    paragraphs = doc.strip().split("\n\n")
    return "\n\n".join(f"```\n{p}\n```" if "\n  " in p or ":  " in p else p for p in paragraphs)


def pages() -> dict[Path, str]:
    """All generated pages by path."""
    made: dict[Path, str] = {}
    for repair in repairs.values():
        treats = ", ".join(f"[{kind}](../damage.md#{kind})" for kind in repair.treats)
        made[DOCS / "repairs" / f"{repair.name}.md"] = (
            f"{NOTE}\n# {repair.name}: {repair.title}\n\nTreats: {treats}. "
            f"{'Replaces places' if repair.scope == 'local' else 'Works from end to end of a region'}.\n\n"
            f"{body(repair.doc)}\n\n    wavemend repair {repair.name} INPUT -o OUT\n\n"
            f"{table(repair.params)}\n"
        )
    sections = [
        f"## {d.name}\n\n{d.title}\n\n{body(d.doc)}\n\n"
        f"To simulate it: `wavemend damage {d.name} INPUT -o OUT`\n\n"
        f"{table(d.params)}\n"
        for d in damages.values()
    ]
    made[DOCS / "damage.md"] = f"{NOTE}\n# Kinds of damage\n\n" + "\n".join(sections)
    made[DOCS / "diagnosis.md"] = f"{NOTE}\n{reliability.page()}"
    made[DOCS / "reliability.svg"] = reliability.picture()
    made[DOCS / "commands.md"] = f"{NOTE}\n# Commands\n\n" + "\n".join(helps())
    return made


def helps() -> list[str]:
    """The help of each command as the command line prints it."""
    context = click.Context(cli, info_name="wavemend", terminal_width=WIDTH)
    texts = [f"```\n{cli.get_help(context)}\n```\n"]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
        texts.append(f"## {name}\n\n```\n{command.get_help(inner)}\n```\n")
    return texts


def main() -> int:
    """Write or check; the exit status."""
    stale = [p for p, text in pages().items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    known = set(pages())
    orphans = [p for p in (DOCS / "repairs").glob("*.md") if p not in known]
    if "--check" in sys.argv[1:]:
        for path in [*stale, *orphans]:
            click.echo(f"{path.relative_to(DOCS.parent)} is out of date; run make docs")
        return 1 if stale or orphans else 0
    for path in orphans:
        path.unlink()
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages()[path], encoding="utf-8")
    (DOCS / "before-after.png").write_bytes(picture())
    return 0


def picture() -> bytes:
    """The demo piece, aged and restored, as spectrograms side by side."""
    sys.path.insert(0, str(DOCS.parent / "examples"))
    from make_piece import age, make_piece

    from wavemend.restoration.api import restore
    from wavemend.restoration.picture import before_and_after

    aged, _ = age(make_piece())
    rate = 48_000
    return before_and_after(aged, restore(aged, rate).restored.samples, Format(rate, 2))


if __name__ == "__main__":
    sys.exit(main())
