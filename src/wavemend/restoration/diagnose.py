"""All detectors in one pass through the recording."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wavemend.core.hook import Event, Hook, silent
from wavemend.core.reader import Reader
from wavemend.core.types import Finding
from wavemend.damage import damages


def diagnose(
    reader: Reader, kinds: Collection[str] | None = None, hook: Hook = silent
) -> tuple[Finding, ...]:
    """What is wrong with the recording, sorted by place; only these kinds where given.

    Raises InputError for an unknown kind.
    """
    names = list(damages) if kinds is None else list(kinds)
    detectors = [
        damages[name].detector(reader.format)
        for name in names
        if reader.format.channels >= damages[name].min_channels
    ]
    done = 0
    for block in reader.blocks():
        for detector in detectors:
            detector.push(block)
        done += block.shape[1]
        hook(Event("diagnose", done, reader.samples))
    found: list[Finding] = []
    for detector in detectors:
        found.extend(detector.finish())
    return in_order(found)


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """By start, then by kind."""
    return tuple(sorted(findings, key=lambda f: (f.region.start, f.damage, f.region.stop)))
