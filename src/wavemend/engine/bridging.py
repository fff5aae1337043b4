"""Sound for a gap that is too long to be interpolated: made anew from what lies on both sides.

Two ways. By a model: partials that are on both sides go on from one to the other, and what is left of
each side goes on as a random process with the spectrum of that side (autoregressive, Hann window),
the one fading into the other. By copying: the passage nearby whose surroundings are most like those of
the gap, where they are so much like them that the music repeats itself. Both begin and end
as the process that continues each side, so there is no seam; what is modelled is given the mean
spectrum of the sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from wavemend.core import ar, partials
from wavemend.core.spectral_envelope import band_levels, frame, shaped

Floats = npt.NDArray[np.float64]

PARTIALS_S = 0.09  # of each side, in which partials are looked for
ORDER = 512  # of the processes
WHITENED = 32  # order of the models, whose errors are compared between channels
SHORTEST_S = 0.02  # of a side that can be continued
EDGE_S, COPIED_EDGE_S = 0.012, 0.003  # over which the continued side gives way
LIKE_S = 0.04  # of each side, that a passage's surroundings are compared with
NEAR_DB, GAINS = 3.0, (0.25, 4.0)  # of a passage that is copied, and of one that is only compared
ALIKE, BANDS_DB = 0.9, 2.2  # correlation from which on a passage is copied; how far bands lie apart at most


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """What was made: sound; the disagreement of all drafts in dB; how much the levels of bands change nearby
    within half of the gap's length, in dB; the share of power in partials that go on; and the passage
    that was copied, as samples from the gap's start to its own, or None.
    """

    sound: Floats
    disagreement_db: float
    restless_db: float
    steady: float
    copied: int | None


def bridge(
    before: Floats,
    after: Floats,
    gap: int,
    rate: int,
    noises: Sequence[tuple[Floats, Floats]],
    like: Bridge | None = None,
) -> Bridge:
    """Sound for `gap` samples between two sides, (n,) and (m,), either of which may be empty.

    `noises` are pairs of standard Gaussian noise, (gap,) each: a draft is made from each pair, the first
    is given, or a copied passage if there is one that fits; how far they lie apart says how sure it is.
    `like` is the bridge of another channel over the same gap: the way is the same then, and the passage.
    """
    shortest = round(SHORTEST_S * rate)
    sides = _Side.of(before, rate, shortest), _Side.of(after[::-1], rate, shortest)
    drafts, steady, edge = [], 0.0, round(EDGE_S * rate)
    for noise in noises:
        raw, steady = _modelled(*sides, gap, rate, noise)
        drafts.append(_edged(shaped(before, raw, after, rate), raw, edge))
    found = _passage(before, after, gap, rate, like.copied if like else None)
    offset = None
    if found is not None:
        repeats = found.alike >= ALIKE and found.near
        if repeats if like is None else like.copied == found.place:
            offset = found.place
            drafts.append(_edged(found.sound, drafts[0], round(COPIED_EDGE_S * rate)))
        else:
            drafts.append(_edged(shaped(before, found.sound, after, rate), drafts[0], edge))
    levels = [band_levels(draft, rate) for draft in drafts]
    apart = [np.abs(a - b).mean() for i, a in enumerate(levels) for b in levels[:i]]
    sound = drafts[0] if offset is None else drafts[-1]
    disagreement = float(np.mean(apart)) if apart else 0.0
    return Bridge(sound, disagreement, _restless(before, after, gap, rate), steady, offset)


def _restless(before: Floats, after: Floats, gap: int, rate: int) -> float:
    """Mean change in dB of the levels of bands over half a gap, but at most the half of a side."""
    changes = []
    for side in (before, after):
        if len(side) >= 3 * frame(rate):
            levels = band_levels(side, rate)
            lag = min(max(round(2 * gap / frame(rate)), 1), len(levels) // 2)
            changes.append(float(np.abs(levels[lag:] - levels[:-lag]).mean()))
    return float(np.mean(changes)) if changes else 0.0


def likeness(side: Floats, other: Floats) -> float:
    """How much alike the noise is in two channels, (n,) each: correlation of what no model foresees, ±1."""
    errors = []
    for sound in (side, other):
        model, _ = ar.process(sound, WHITENED) if len(sound) > 3 * WHITENED else (np.ones(1), 0.0)
        errors.append(np.convolve(sound, model)[: len(sound)])
    power = float(np.sqrt((errors[0] @ errors[0]) * (errors[1] @ errors[1])))
    # rounded, so that what is one and the same stays so
    return float(np.clip(np.round(errors[0] @ errors[1] / max(power, 1e-20), 4), -1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """A side that ends at the gap: its partials, and the process of what is left."""

    partials: partials.Partials
    model: Floats
    power: float

    @classmethod
    def of(cls, side: Floats, rate: int, shortest: int) -> _Side | None:
        if len(side) < shortest:
            return None
        found = partials.at_end(side[-round(PARTIALS_S * rate) :], rate)
        return cls(found, *ar.process(found.rest[len(found.rest) // 2 :], ORDER))

    def on(self, noise: Floats) -> Floats:
        """What is left of the side besides its partials, continued."""
        return ar.go_on(self.partials.rest, self.model, np.sqrt(self.power) * noise)


def _modelled(
    before: _Side | None, after: _Side | None, gap: int, rate: int, noise: tuple[Floats, Floats]
) -> tuple[Floats, float]:
    """A draft, and the share of power in partials that are on both sides."""
    if before is None and after is None:
        return np.zeros(gap), 0.0
    # within the edge of the one side nothing of the other: it may be brighter, and heard there
    edge = min(round(EDGE_S * rate), gap // 3)
    nothing = partials.Partials(np.zeros(0), np.zeros(0), np.zeros(0, np.complex128), np.zeros(0))
    tones, steady = partials.across(
        before.partials if before else nothing, after.partials if after else nothing, gap, rate, edge
    )
    share = np.clip((np.arange(gap) + 0.5 - edge) / (gap - 2 * edge), 0.0, 1.0) * np.pi / 2
    first = before.on(noise[0]) * np.cos(share) if before else 0.0
    last = after.on(noise[1])[::-1] * np.sin(share) if after else 0.0
    return tones + first + last, steady


def _edged(middle: Floats, edges: Floats, fade: int) -> Floats:
    """`middle`, but for `edges` at both ends, which fit the sides exactly."""
    gap = len(middle)
    fade = min(fade, gap // 3)
    near = np.minimum(np.arange(gap), np.arange(gap)[::-1]) + 0.5
    weight = 0.5 - 0.5 * np.cos(np.pi * np.clip(near / max(fade, 1), 0.0, 1.0))
    return np.asarray(edges + weight * (middle - edges))


@dataclass(frozen=True, slots=True, eq=False)
class _Passage:
    """Its samples, at the level of what is around the gap; its place; how much alike what is around
    both is, as a correlation; and whether it was nearly as loud, in each band.
    """

    sound: Floats
    place: int
    alike: float
    near: bool


def _passage(before: Floats, after: Floats, gap: int, rate: int, place: int | None) -> _Passage | None:
    """The passage in surroundings most like the gap's, or the one at a place."""
    width = round(LIKE_S * rate)
    if min(len(before), len(after)) < width:
        return None
    ends = before[-width:], after[:width]
    energy = float(ends[0] @ ends[0] + ends[1] @ ends[1]) + 1e-12
    best: _Passage | None = None
    for side, origin in ((before, -len(before)), (after, gap)):
        count = len(side) - gap - 2 * width + 1
        if count < 1:
            continue
        total = np.concatenate(([0.0], np.cumsum(side**2)))
        sums = total[width:] - total[:-width]
        like = signal.oaconvolve(side, ends[0][::-1], "valid")[:count]
        like = like + signal.oaconvolve(side, ends[1][::-1], "valid")[width + gap : width + gap + count]
        around = sums[:count] + sums[width + gap : width + gap + count]
        alike = like / np.sqrt(energy * np.maximum(around, 1e-12))
        at = int(np.argmax(alike))
        if place is not None and 0 <= place - origin - width < count:
            at = place - origin - width
        elif best is not None and alike[at] <= best.alike:
            continue
        piece = side[at + width : at + width + gap]
        passed = np.array([sums[at], sums[at + width + gap]])
        gains = np.sqrt(np.array([end @ end for end in ends]) / np.maximum(passed, 1e-12))
        near = bool(np.abs(20 * np.log10(gains + 1e-6)).max() <= NEAR_DB)
        theirs = side[at : at + width], side[at + width + gap : at + 2 * width + gap]
        # loud partials alone decide a correlation: a note that has become brighter is none that repeats
        near = near and all(_bands_apart(a, b, rate) <= BANDS_DB for a, b in zip(ends, theirs, strict=True))
        gains = np.clip(gains, *GAINS)
        glide = gains[0] * (gains[1] / gains[0]) ** ((np.arange(gap) + 0.5) / gap)
        best = _Passage(piece * glide, origin + at + width, float(alike[at]), near)
        if place == best.place:
            break
    return best


def _bands_apart(one: Floats, other: Floats, rate: int) -> float:
    """Mean distance in dB of the levels of bands."""
    return float(np.abs(band_levels(one, rate).mean(axis=0) - band_levels(other, rate).mean(axis=0)).mean())
