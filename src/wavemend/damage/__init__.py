"""Kinds of damage: how each is made, and how it is found.

One file per kind, `simulate` and `detect` side by side, for they are the same
physics. A file ends with a `Damage`; other packages bring theirs through the
entry-point group `wavemend.damage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from wavemend.core.params import Options, Param, resolve
from wavemend.core.registry import Registry
from wavemend.core.types import Finding, Format, Samples
from wavemend.errors import InputError


class Detector(Protocol):
    """Looks at a recording block by block, and says at the end what it found.

    Blocks may be cut anywhere; the findings do not depend on it. Memory does
    not grow with the recording, apart from the findings themselves.
    """

    def push(self, block: Samples) -> None:
        """Take the next samples, (channels, samples); they are not kept or changed."""

    def finish(self) -> Sequence[Finding]:
        """All findings, sorted by where they start. Called once, after the last block."""


Drawn = Mapping[str, Any]
"""A damage drawn from a seed, as plain data that can be written as JSON, before it is applied."""


@dataclass(frozen=True, eq=False)
class Damage:
    """A kind of damage.

    `draw(format, samples, rng, **params)` makes all random choices and returns
    them as data, with the truth under "findings": a list of Finding. `apply(x,
    format, drawn)` then damages (channels, samples) without any randomness.
    `params` are those of `draw`. Where the truth depends on the sound, `settle(x, format,
    drawn)` completes what was drawn with it, "findings" included, before it is applied.
    `detector(format)` starts a search; None means that only the learned diagnosis looks for this kind.
    """

    name: str
    title: str
    params: Mapping[str, Param]
    draw: Callable[..., Drawn]
    apply: Callable[[Samples, Format, Drawn], Samples]
    doc: str
    detector: Callable[[Format], Detector] | None = None
    min_channels: int = 1
    settle: Callable[[Samples, Format, Drawn], Drawn] | None = None

    def simulate(
        self, samples: Samples, format: Format, seed: int, **options: Any
    ) -> tuple[Samples, tuple[Finding, ...]]:
        """Damaged samples and the truth about them; the same seed gives the same bits."""
        checked: Options = resolve(self.name, self.params, options)
        drawn = self.draw(format, samples.shape[1], np.random.default_rng(seed), **checked)
        if self.settle is not None:
            drawn = self.settle(samples, format, drawn)
        return self.apply(samples, format, drawn), tuple(drawn["findings"])

    def detect(self, samples: Samples, format: Format) -> tuple[Finding, ...]:
        """What a search through the whole array finds; InputError where the kind has no detector."""
        if self.detector is None:
            raise InputError(f"{self.name} has no detector of its own")
        detector = self.detector(format)
        detector.push(samples)
        return tuple(detector.finish())


damages: Registry[Damage] = Registry("wavemend.damage", Damage, "damage")
