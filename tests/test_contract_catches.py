"""The contract suite itself: repairs that are broken on purpose must be caught, each by its check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import contract
from wavemend.core.types import Finding, Format, Samples
from wavemend.damage import damages
from wavemend.engine.stream import Stream
from wavemend.repairs import Repair, repairs

FORMAT = Format(48_000, 2)
SOUND = repairs["dc"]


class Wrapped:
    """A sound stream to break."""

    def __init__(self, inner: Stream) -> None:
        self.inner = inner
        self.latency = inner.latency

    def push(self, block: Samples) -> Samples:
        return self.inner.push(block)

    def flush(self) -> Samples:
        return self.inner.flush()


class Shortens(Wrapped):
    def flush(self) -> Samples:
        return self.inner.flush()[:, :-1]


class Shifts(Wrapped):
    first = True

    def push(self, block: Samples) -> Samples:
        out = self.inner.push(block)
        if self.first and out.shape[1]:
            self.first = False
            return np.concatenate((np.zeros((len(out), 5), np.float32), out), axis=1)
        return out

    def flush(self) -> Samples:
        return self.inner.flush()[:, :-5]


class HearsTheCut(Wrapped):
    def push(self, block: Samples) -> Samples:
        out = self.inner.push(block)
        return out * np.float32(0.999) if block.shape[1] < 20_000 else out


class Understates(Wrapped):
    def __init__(self, inner: Stream) -> None:
        super().__init__(inner)
        self.latency = inner.latency // 2


class TouchesOutside(Wrapped):
    def flush(self) -> Samples:
        return self.inner.flush() * np.float32(0.9999)


class TouchesAlways(Wrapped):
    def push(self, block: Samples) -> Samples:
        return self.inner.push(block) * np.float32(0.9999)


class IsRandom(Wrapped):
    def flush(self) -> Samples:
        out = self.inner.flush()
        return out + np.random.default_rng().standard_normal(out.shape).astype(np.float32) * 1e-4


class WritesToItsInput(Wrapped):
    def push(self, block: Samples) -> Samples:
        block *= np.float32(0.5)
        return self.inner.push(block)


class BlowsUp(Wrapped):
    def flush(self) -> Samples:
        return self.inner.flush() * np.float32(100.0)


class WritesToThePast(Wrapped):
    """Gives out a buffer and goes on writing into it."""

    def __init__(self, inner: Stream) -> None:
        super().__init__(inner)
        self.given: list[Samples] = []

    def push(self, block: Samples) -> Samples:
        self.given.append(self.inner.push(block))
        return self.given[-1]

    def flush(self) -> Samples:
        for given in self.given:
            np.multiply(given, 0.5, out=given)
        return self.inner.flush()


class DoesNothing(Wrapped):
    def push(self, block: Samples) -> Samples:
        self.latency = 0
        return block

    def flush(self) -> Samples:
        return np.zeros((FORMAT.channels, 0), np.float32)


class KnowsTheFuture(Wrapped):
    """Gives the past out differently if the block that completes it goes on long after."""

    def push(self, block: Samples) -> Samples:
        out = self.inner.push(block)
        return out * np.float32(0.5) if block.shape[1] >= self.latency + FORMAT.sample_rate else out


class Broken(Repair):
    """A repair whose stream is broken after the confinement that would mend it."""

    breakage: type[Wrapped]

    def open(self, format: Format, findings: Sequence[Finding], **options: Any) -> Stream:
        return self.breakage(super().open(format, findings, **options))


class SwallowsOptions(Repair):
    def check(self, options: Mapping[str, Any]) -> dict[str, float]:
        return super().check({k: v for k, v in options.items() if k in self.params})


def remade(kind: type[Repair]) -> Repair:
    fields = ("name", "title", "treats", "scope", "own_params", "build", "doc")
    return kind(**{name: getattr(SOUND, name) for name in fields})


@pytest.mark.parametrize(
    ("breakage", "check"),
    [
        (Shortens, contract.check_length_and_place),
        (Shifts, contract.check_length_and_place),
        (HearsTheCut, contract.check_any_cut),
        (Understates, contract.check_latency),
        (TouchesOutside, contract.check_outside_untouched),
        (DoesNothing, contract.check_outside_untouched),
        (IsRandom, contract.check_deterministic),
        (BlowsUp, contract.check_steady_levels),
        (KnowsTheFuture, contract.check_past_is_fixed),
        (WritesToThePast, contract.check_past_is_fixed),
        (TouchesAlways, contract.check_no_finding_no_change),
        (Shortens, contract.check_short),
    ],
    ids=lambda thing: thing.__name__,
)
def test_caught(breakage: type[Wrapped], check: contract.Check) -> None:
    broken = remade(Broken)
    object.__setattr__(broken, "breakage", breakage)
    with pytest.raises(AssertionError):
        check(broken, damages["dc"], FORMAT)


def test_a_write_to_the_input_is_caught() -> None:
    broken = remade(Broken)
    object.__setattr__(broken, "breakage", WritesToItsInput)
    with pytest.raises((AssertionError, ValueError)):  # the example is read-only
        contract.check_deterministic(broken, damages["dc"], FORMAT)


def test_swallowed_options_are_caught() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        contract.check_options(remade(SwallowsOptions), damages["dc"], FORMAT)


def test_a_sound_repair_passes() -> None:
    contract.check_repair(remade(Repair), damages["dc"], [FORMAT])
