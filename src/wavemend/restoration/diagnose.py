"""All detectors in one pass through the recording, the learned one among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wavemend.core.hook import Event, Hook, silent
from wavemend.core.reader import Reader
from wavemend.core.types import Finding
from wavemend.damage import Detector, damages
from wavemend.restoration.examine import Examiner, learned


def diagnose(
    reader: Reader, kinds: Collection[str] | None = None, hook: Hook = silent
) -> tuple[Finding, ...]:
    """What is wrong with the recording, sorted by place; only these kinds where given.

    Raises InputError for an unknown kind.
    """
    names = list(damages) if kinds is None else list(kinds)
    detectors: list[Detector] = [
        open_detector(reader.format)
        for kind in (damages[name] for name in names)
        if (open_detector := kind.detector) and reader.format.channels >= kind.min_channels
    ]
    unaided = learned([name for name in names if damages[name].detector is None])
    if unaided:
        detectors.append(Examiner(reader.format, unaided))
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
