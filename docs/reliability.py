"""How sure the diagnosis is, and how often it is right, drawn from the bench's figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from bench.report import Table  # noqa: E402 - found only with the path

RESULTS = ROOT / "bench" / "results.json"
SIZE, EDGE = 320, 44  # of the picture's field, and of the room around it, in pixels
TABLES = ("By clip", "By event", "Left alone", "Recorded noise noticed", "Calibration")


def tables() -> dict[str, dict[str, Any]]:
    """The tables of the bench's diagnosis by title."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))["diagnosis"]["tables"]
    return {table["title"]: table for table in found}


def page() -> str:
    """Of the documentation, in Markdown."""
    has = tables()
    shown = "\n".join(Table(**has[title]).markdown() for title in TABLES if title in has)
    return (
        "# How sure the diagnosis is\n\n"
        "Every finding states a confidence: of those that say 0.8, eight of ten should be right. The\n"
        "points show what the bench saw, the line where they should lie; a point above it was more often\n"
        "right than it said.\n\n"
        f"![confidence stated, and share that was right](reliability.svg)\n\n{shown}"
    )


def picture() -> str:
    """A reliability diagram (Niculescu-Mizil and Caruana, ICML 2005) as SVG; areas of points are counts."""
    rows: Sequence[Sequence[Any]] = tables()["Calibration"]["rows"]
    most = max(row[1] for row in rows)
    whole = SIZE + 2 * EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{whole}" height="{whole}" fill="#fff"/>',
        f'<rect x="{EDGE}" y="{EDGE}" width="{SIZE}" height="{SIZE}" fill="none" stroke="#888"/>',
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#888" stroke-dasharray="4 4"/>',
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 18}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_x(0) - 6}" y="{_y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for name, count, said, right in rows:
        radius = 4 + 10 * (count / most) ** 0.5
        parts.append(
            f'<circle cx="{_x(said)}" cy="{_y(right)}" r="{radius:.1f}" fill="#2563eb" fill-opacity="0.6">'
            f"<title>{name}: {count} findings</title></circle>"
        )
    parts.append(f'<text x="{_x(0.5)}" y="{whole - 8}" text-anchor="middle">confidence stated</text>')
    turned = f'transform="rotate(-90 12 {_y(0.5)})"'
    parts.append(f'<text x="12" y="{_y(0.5)}" text-anchor="middle" {turned}>share right</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float) -> float:
    return round(EDGE + SIZE * value, 1)


def _y(value: float) -> float:
    return round(EDGE + SIZE * (1 - value), 1)
