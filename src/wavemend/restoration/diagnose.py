"""All detectors in one pass through the recording, the learned one among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wavemend.core.hook import Event, Hook, silent
from wavemend.core.reader import Reader
from wavemend.core.types import Finding, Format
from wavemend.damage import Detector, damages
from wavemend.restoration.examine import Examiner, learned


def diagnose(
    reader: Reader, kinds: Collection[str] | None = None, hook: Hook = silent
) -> tuple[Finding, ...]:
    """What is wrong with the recording, sorted by place; only these kinds where given.

    Raises InputError for an unknown kind.
    """
    detectors = opened(list(damages) if kinds is None else kinds, reader.format)
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


def opened(kinds: Collection[str], format: Format) -> list[Detector]:
    """Detectors of these kinds for a recording, one for all that the network alone looks for."""
    detectors: list[Detector] = [
        open_detector(format)
        for kind in (damages[name] for name in kinds)
        if (open_detector := kind.detector) and format.channels >= kind.min_channels
    ]
    unaided = learned([name for name in kinds if damages[name].detector is None])
    if unaided:
        detectors.append(Examiner(format, unaided))
    return detectors


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """By start, then by kind."""
    return tuple(sorted(findings, key=lambda f: (f.region.start, f.damage, f.region.stop)))
