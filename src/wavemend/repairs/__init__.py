"""Repairs: one file each, learned or not.

A file ends with a `Repair`; other packages bring theirs through the entry-point
group `wavemend.repairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wavemend.core.params import Options, Param, Parameter, resolve
from wavemend.core.registry import Registry
from wavemend.core.types import Finding, Format, Provenance, Region
from wavemend.engine.confine import Confined
from wavemend.engine.stream import Passthrough, Stream
from wavemend.errors import InputError

STRENGTH = Param(1.0, 0.0, 1.0, "", "how much of the repair is applied; 0 changes nothing")
FADE_MS = 20.0


@dataclass(frozen=True, eq=False)
class Repair:
    """A repair and its declaration.

    `treats` names the kinds of damage. A `local` repair replaces the samples of
    each region; a `steady` one works through a region from end to end and is faded
    in and out, as is one that undoes a curve. `build(format, findings, options)` gives the stream;
    `open` adds what holds for all: options checked, no finding no change, nothing
    outside the regions, strength.

    `fills`: a region is a gap, and what is in it means nothing. An option `longest_ms`
    says which regions are too long for the repair; the plan leaves them alone. `takes`:
    what a steady repair takes away, so that the guard can tell it from what is wanted: an
    even texture, or standing tones; over one that takes anything there is no guard.
    `min_confidence`, `min_severity`: findings that are less are left alone by the plan.
    `needs`: measures that a finding must carry. `rests_on(options)` gives what these options
    rest on besides wavemend itself, versions by name; it raises InputError where that is not there.
    `provenance`: what the samples are that the repair changed; steady ones mostly attenuate, local ones
    interpolate. `generates(format, findings, options)` gives places where they are generated all the same.
    `opt_in`: the plan takes it only where somebody asks for it by name.
    """

    name: str
    title: str
    treats: tuple[str, ...]
    scope: Literal["local", "steady"]
    own_params: Mapping[str, Parameter]
    build: Callable[[Format, Sequence[Finding], Options], Stream]
    doc: str
    fills: bool = False
    takes: Literal["texture", "tones", "distortion", "anything"] = "texture"
    min_confidence: float = 0.5
    min_severity: float = 0.0
    needs: tuple[str, ...] = ()
    rests_on: Callable[[Options], Mapping[str, str]] | None = None
    provenance: Provenance | None = None
    generates: Callable[[Format, Sequence[Finding], Options], Sequence[Region]] | None = None
    opt_in: bool = False

    @property
    def leaves(self) -> Provenance:
        """What the samples are that the repair changed, but for the places that it generates."""
        return self.provenance or ("attenuated" if self.scope == "steady" else "interpolated")

    def generated(self, format: Format, findings: Sequence[Finding], options: Options) -> list[Region]:
        """The places among these findings where all that is put in is generated."""
        treated = [finding for finding in findings if finding.damage in self.treats]
        checked = self.check(options)
        if checked["strength"] == 0.0:
            return []
        if self.leaves == "generated":
            return [finding.region for finding in treated]
        return list(self.generates(format, treated, checked)) if self.generates else []

    @property
    def params(self) -> dict[str, Parameter]:
        """All parameters by name, `strength` included."""
        return {"strength": STRENGTH, **self.own_params}

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options that are read, checked; InputError for an unknown one or a value out of range."""
        checked = resolve(self.name, self.params, options)
        self.versions(checked)
        return checked

    def versions(self, checked: Options) -> Mapping[str, str]:
        """What these options rest on besides wavemend itself: versions by name."""
        return self.rests_on(checked) if self.rests_on is not None else {}

    def open(self, format: Format, findings: Sequence[Finding], **options: Any) -> Stream:
        """A stream that repairs these findings and nothing else.

        Raises InputError for an unknown option or a value out of range. Findings
        of kinds that the repair does not treat are not looked at.
        """
        checked = self.check(options)
        treated = [finding for finding in findings if finding.damage in self.treats]
        for finding in treated:
            for measure in self.needs:
                if not isinstance(finding.measures.get(measure), float | int):
                    raise InputError(
                        f"{self.name} needs the measure '{measure}' of each finding, as a number"
                    )
        if not treated or checked["strength"] == 0.0:
            return Passthrough(format)
        # a curve is undone over stretches whose edges are no places of their own
        fades = self.scope == "steady" or self.takes == "distortion"
        fade = round(FADE_MS / 1000 * format.sample_rate) if fades else 0
        return Confined(
            self.build(format, treated, checked),
            format,
            [finding.region for finding in treated],
            fade=fade,
            strength=checked["strength"],
        )


repairs: Registry[Repair] = Registry("wavemend.repairs", Repair, "repair")
