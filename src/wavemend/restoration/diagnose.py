"""All detectors in one pass through the recording, the learned one among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wavemend.core.hook import Event, Hook, silent
from wavemend.core.reader import Reader
from wavemend.core.types import Finding, Format, Region
from wavemend.damage import Detector, damages
from wavemend.damage.clicks import SHORT
from wavemend.damage.coding import FRAME
from wavemend.restoration.examine import Examiner, explained, learned

HOLES, IMPULSES = ("dropouts", "silence"), ("clicks", "crackle")
HEARD_TOO = ("coding",)  # by the network, where the lattice of a coder is lost
LIKELY = 0.5
TOPS_DB = 10.0  # over the local level: tops that were cut or rounded lie lower
EDGE_MS, SHORT_MS = 0.5, 10.0  # what is found so near to a hole, and is so short, is its edge


def diagnose(
    reader: Reader, kinds: Collection[str] | None = None, hook: Hook = silent
) -> tuple[Finding, ...]:
    """What is wrong with the recording, sorted by place; only these kinds where given.

    Raises InputError for an unknown kind.
    """
    detectors = opened(list(damages) if kinds is None else kinds, reader.format, reader.lossy)
    done = 0
    for block in reader.blocks():
        for detector in detectors:
            detector.push(block)
        done += block.shape[1]
        hook(Event("diagnose", done, reader.samples))
    return settled([finding for detector in detectors for finding in detector.finish()], reader.format)


def opened(kinds: Collection[str], format: Format, lossy: bool = False) -> list[Detector]:
    """Detectors of these kinds for a recording, one for all that the network looks for.

    Of a `lossy` file it is known that it was coded; what can be heard of that is still said.
    """
    detectors: list[Detector] = [
        open_detector(format)
        for kind in (damages[name] for name in kinds)
        if (open_detector := kind.detector)
        and format.channels >= kind.min_channels
        and not (lossy and kind.name in HEARD_TOO)
    ]
    by_ear = learned([name for name in kinds if damages[name].detector is None or name in HEARD_TOO])
    if by_ear:
        detectors.append(Examiner(format, by_ear))
    return detectors


def settled(found: Sequence[Finding], format: Format) -> tuple[Finding, ...]:
    """What detectors found, each for itself, in order; without what another finding explains.

    Clicks may be the edges of holes, the corners of tops that were cut or rounded, or the larger ones of a
    passage of crackle; flat tops the ends of a curve that bent all; what sounds coded is where a coder was
    found; and noise of the surroundings what `explained` says.
    """
    holes, crackle, cut, bent = (
        [f.region for f in found if f.damage in kinds and f.confidence >= LIKELY]
        for kinds in (HOLES, ("crackle",), ("clipping", "saturation"), ("saturation",))
    )
    coded = [f.region for f in found if f.damage == "coding" and FRAME in f.measures]

    def stays(finding: Finding) -> bool:
        if finding.damage == "clipping":
            return not _is_within(finding.region, bent, format)
        if finding.damage == "coding" and FRAME not in finding.measures:
            return not _is_within(finding.region, coded, format)
        if finding.damage not in IMPULSES:
            return True
        if SHORT in finding.measures and _is_within(finding.region, crackle, format):
            return False
        return not (_is_edge(finding.region, holes, format) or _is_corner(finding, cut, format))

    kept = [finding for finding in found if stays(finding)]
    return in_order(explained(kept, LIKELY))


def _is_edge(region: Region, holes: Sequence[Region], format: Format) -> bool:
    """Whether a short place lies in a hole or right beside it, where the sound breaks off."""
    near, short = (round(ms / 1000 * format.sample_rate) for ms in (EDGE_MS, SHORT_MS))
    for hole in holes:
        touches = region.start <= hole.stop + near and hole.start - near <= region.stop
        if touches and hole.start - short <= region.start and region.stop <= hole.stop + short:
            channels = region.channels or range(format.channels)
            if any(hole.of_channel(channel) for channel in channels):
                return True
    return False


def _is_corner(finding: Finding, cut: Sequence[Region], format: Format) -> bool:
    """Whether a click lies where tops were cut or rounded and does not rise above them."""
    peak_db, region = finding.measures.get("peak_db"), finding.region
    if finding.damage != "clicks" or not isinstance(peak_db, int | float) or peak_db >= TOPS_DB:
        return False
    channels = region.channels or range(format.channels)
    return any(
        region.start < one.stop and one.start < region.stop and any(one.of_channel(c) for c in channels)
        for one in cut
    )


def _is_within(region: Region, passages: Sequence[Region], format: Format) -> bool:
    """Whether a place lies in such a passage, in all of its channels."""
    return all(
        any(p.of_channel(channel) and p.start <= region.start and region.stop <= p.stop for p in passages)
        for channel in region.channels or range(format.channels)
    )


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """By start, then by kind."""
    return tuple(sorted(findings, key=lambda f: (f.region.start, f.damage, f.region.stop)))
