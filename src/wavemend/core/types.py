"""The frozen types that everything speaks. All but the samples can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from wavemend.errors import InputError

Samples = npt.NDArray[np.float32]
"""Sound, always (channels, samples); full scale is ±1."""

Measure = float | tuple[float, ...]

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class Format:
    """What a stream of samples is: rate in Hz, number of channels."""

    sample_rate: int
    channels: int

    def __post_init__(self) -> None:
        if not MIN_RATE_HZ <= self.sample_rate <= MAX_RATE_HZ:
            raise InputError(
                f"a sample rate of {self.sample_rate} Hz is not supported; "
                f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are"
            )
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise InputError(f"{self.channels} channels are not supported; 1 to {MAX_CHANNELS} are")


@dataclass(frozen=True, slots=True)
class Region:
    """A half-open stretch of samples, in some channels (None: all), in some band (None: all)."""

    start: int
    stop: int
    channels: tuple[int, ...] | None = None
    band_hz: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InputError(f"a region from {self.start} to {self.stop} is not one")
        if self.channels is not None and (not self.channels or min(self.channels) < 0):
            raise InputError(f"channels {self.channels} are not channels; count from 0")
        if self.band_hz is not None and not 0 <= self.band_hz[0] <= self.band_hz[1]:
            raise InputError(f"a band from {self.band_hz[0]:g} to {self.band_hz[1]:g} Hz is not one")

    def of_channel(self, channel: int) -> bool:
        """Whether the region lies in this channel."""
        return self.channels is None or channel in self.channels


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage at one place.

    `severity` goes from 0 (just measurable) to 1 (destroys the sound) and can be
    compared between kinds; the physical numbers are in `measures`. `confidence`
    is the probability that the damage is really there.
    """

    damage: str
    region: Region
    severity: float
    confidence: float
    measures: Mapping[str, Measure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("severity", "confidence"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"a {name} of {getattr(self, name)} is outside 0 to 1")


@dataclass(frozen=True, slots=True)
class Step:
    """One repair in a plan; `findings` are indices into the plan's findings."""

    repair: str
    options: Mapping[str, float | str]
    findings: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Findings that the plan does not touch, and why."""

    findings: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done, in order. Printing it is the dry run; it can be edited and run again.

    `samples` is the length of the recording that it was made for.
    """

    format: Format
    samples: int
    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    left_alone: tuple[LeftAlone, ...] = ()


Action = Literal["keep", "blend", "revert"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard made of one step (an index into the plan's steps) in one region."""

    step: int
    region: Region
    action: Action
    measures: Mapping[str, float]
    reason: str


Provenance = Literal["attenuated", "interpolated", "generated"]
PROVENANCES: tuple[Provenance, ...] = ("attenuated", "interpolated", "generated")
"""What became of a sample that was not kept; where steps differ, the later of these counts."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one step (an index into the plan's steps) changed the sound, and what it put there.

    `runs` are half-open stretches of samples, sorted; None for channels means all. Unchanged samples
    between two changed ones count as changed where they are at most `joined`. `values` is the exact
    number of sample values that changed. What lies in no run of any trace was kept bit for bit.
    """

    step: int
    provenance: Provenance
    channels: tuple[int, ...] | None
    runs: tuple[tuple[int, int], ...]
    joined: int
    values: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What a step says of a place that it generated; `guess` where nobody can know what was there."""

    step: int
    region: Region
    guess: bool
    measures: Mapping[str, float]
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where a recording comes from. `path` is empty for arrays."""

    path: str = ""
    container: str = ""
    subtype: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Sound and where it comes from; `samples` is read-only, float32, (channels, samples)."""

    samples: Samples
    format: Format
    source: Source = Source()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, planned and done; the samples apart."""

    source: Source
    format: Format
    samples: int
    findings: tuple[Finding, ...]
    plan: Plan
    verdicts: tuple[Verdict, ...]
    measures: Mapping[str, Mapping[str, float]]
    not_carried: tuple[str, ...]
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    provenance: tuple[Trace, ...] = ()
    remarks: tuple[Remark, ...] = ()


def as_samples(array: npt.ArrayLike) -> Samples:
    """An array as samples: (channels, samples) or (samples,) in, float32 (channels, samples) out.

    Raises InputError for other shapes, for integers (whose full scale is unknown)
    and for NaN or infinities. A float32 array is not copied.
    """
    given = np.asarray(array)
    if given.dtype.kind != "f":
        raise InputError(f"samples must be floating point with full scale ±1, not {given.dtype}")
    if given.ndim == 1:
        given = given[np.newaxis]
    if given.ndim != 2:
        raise InputError(f"samples must be (channels, samples), not of shape {given.shape}")
    if given.shape[0] > MAX_CHANNELS:
        raise InputError(f"{given.shape[0]} channels are not supported; samples are (channels, samples)")
    samples = np.asarray(given, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise InputError("the samples hold NaN or infinities")
    return samples


def merge_spans(spans: Sequence[tuple[int, int]], gap: int = 0) -> list[tuple[int, int]]:
    """Half-open spans, sorted, with those joined that lie at most `gap` samples apart."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The half-open spans where a 1-D mask is true."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
