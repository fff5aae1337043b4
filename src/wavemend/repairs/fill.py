"""Fill holes of up to a second from the sound on both sides.

Use when: samples are missing, muted or held: a lost packet, a worn spot, a torn tape.
Not for:  holes longer than a second, and words: what is put into a long hole was never said.
Method:   up to 60 ms autoregressive models of what lies on both sides, and the samples that leave them the
          smallest prediction error (Janssen, Veldhuis and Vries 1986). Three sizes are tried, for notes and
          for quick speech, and one by least squares, for steady tones; how well each one fills holes made
          for a trial in the sound before and after decides how much it counts. Amid other holes only
          the last is used, of all that is left between them.
          Longer holes are generated: partials go on from one side to the other (McAulay and Quatieri
          1986), what is left goes on as a random process with the spectrum of each side, and the
          magnitudes are brought near to the mean of both sides (Griffin and Lim 1984). Where the music
          repeats itself, the passage whose surroundings are most alike is copied instead. Several drafts
          are made from `seed`; where they lie apart, or the hole is longer than 150 ms and the sound
          nearby changes within such a time, as speech does, the report calls it a guess. A hole longer
          than `longest_ms` is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wavemend.core import ar
from wavemend.core.blocks import Window
from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format, Region, Remark, merge_spans
from wavemend.engine.bridging import Bridge, bridge, likeness
from wavemend.engine.gaps import Gaps
from wavemend.engine.stream import Stream
from wavemend.repairs import Repair

Floats = npt.NDArray[np.float64]


SIZES = (1.0, 0.36, 0.125)  # of models and of the sound that they are fitted to, as shares of the largest
SHARP, SHARP_ORDER = 0.36, 0.3  # the same, of the sound and of the model by least squares
ROUNDS, TRIAL_ROUNDS = 3, 2
TRIAL_AWAY_MS = 4.0  # between the hole and the trials beside it
SHARPNESS = 4  # how much less a size counts that filled the trials worse
WORST = 2.0  # error of a trial over its energy, at most
SURE = 1e-8
SMALLEST_ORDER = 128  # by least squares: between this and the most, as many as the hole has samples
LONG_MS = 60.0  # from here on a hole is generated, not interpolated
WIDE_S = 2.5  # of sound on each side that a passage may be copied from
GUESS_DB = 2.0  # how far drafts lie apart
LATER_MS, RESTLESS_DB = 150.0, 5.0  # longer, it is a guess where the sound nearby changes so much
FEWEST = 3  # known samples for each number in the smallest model


class HoleFiller(Gaps):
    """Interpolates or generates one hole at a time."""

    def __init__(self, format: Format, findings: Sequence[Finding], options: Options) -> None:
        per_ms = format.sample_rate / 1000
        self._order, self._reach = int(options["order"]), round(options["context_ms"] * per_ms)
        self._away = round(TRIAL_AWAY_MS * per_ms)
        self._seed, self._drafts = int(options["seed"]), int(options["drafts"])
        self._wide, self._later = round(WIDE_S * format.sample_rate), round(LATER_MS * per_ms)
        self._made: dict[tuple[int, int], tuple[int, Bridge]] = {}  # the first channel that has the hole
        self._said: list[Remark] = []
        regions = [finding.region for finding in findings]
        self._short = longest = round(min(LONG_MS, options["longest_ms"]) * per_ms)
        lengths = [r.stop - r.start for r in long_holes(format, findings, options)]
        wide = 0
        if lengths:
            longest = max(lengths)
            wide = longest + self._wide
        super().__init__(format, regions, longest, self._reach, wide)

    @property
    def remarks(self) -> list[Remark]:
        """What there is to say of each hole that was generated, all channels together."""
        together: dict[tuple[int, int], Remark] = {}
        for remark in self._said:
            key = remark.region.start, remark.region.stop
            first = together.setdefault(key, remark)
            if first is not remark:
                channels = (first.region.channels or ()) + (remark.region.channels or ())
                surest, other = sorted((first, remark), key=lambda r: r.measures["disagreement_db"])
                region = Region(*key, channels)
                together[key] = replace(other, region=region, guess=surest.guess or other.guess)
        return [together[key] for key in sorted(together)]

    def new(
        self, window: Window, channel: int, start: int, stop: int, spans: Sequence[tuple[int, int]]
    ) -> Floats | None:
        if stop - start <= self._short or (channel, start) in self._across or stop - start > self._longest:
            return super().new(window, channel, start, stop, spans)
        origin = window.start - window.lead
        sound = window.samples[channel].astype(np.float64)
        first = max([b for _, b in spans if b <= start], default=0)
        last = min([a for a, _ in spans if a >= stop], default=origin + len(sound))
        near = slice(max(first, start - self._wide, origin) - origin, start - origin)
        beyond = slice(stop - origin, max(min(last, stop + self._wide) - origin, stop - origin))
        before, after = sound[near], sound[beyond]
        gap = min(stop, origin + len(sound)) - start
        self._made = {key: made for key, made in self._made.items() if key[1] > origin}
        leader, like = self._made.get((start, stop), (channel, None))
        noises = np.random.default_rng([self._seed, start]).standard_normal((self._drafts, 2, gap))
        if leader != channel:
            other = window.samples[leader].astype(np.float64)
            alike = (
                likeness(before, other[near]) if len(before) > len(after) else likeness(after, other[beyond])
            )
            own = np.random.default_rng([self._seed, start, channel]).standard_normal(noises.shape)
            noises = alike * noises + np.sqrt(1 - alike**2) * own
        made = bridge(before, after, gap, self.format.sample_rate, [(a, b) for a, b in noises], like)
        self._made.setdefault((start, stop), (channel, made))
        self._said.append(self._remark(Region(start, start + gap, (channel,)), made))
        limit = 2 * float(np.abs(np.concatenate((before, after))).max(initial=0.0))
        return np.clip(made.sound, -limit, limit)

    def _remark(self, region: Region, made: Bridge) -> Remark:
        later = region.stop - region.start > self._later
        guess = made.disagreement_db > GUESS_DB or (later and made.restless_db > RESTLESS_DB)
        how = "copied from nearby" if made.copied is not None else "made from the sound on both sides"
        why = "; it could as well have gone another way" if guess else ""
        measures = {
            "disagreement_db": round(made.disagreement_db, 2),
            "restless_db": round(made.restless_db, 2),
            "steady": round(made.steady, 3),
        }
        if made.copied is not None:
            measures["copied_from_s"] = round((region.start + made.copied) / self.format.sample_rate, 3)
        return Remark(0, region, guess, measures, how + why)

    def replace(self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]]) -> Floats:
        # only what reaches up to the hole without another one is used
        low = max([high for _, high in others if high <= start], default=0)
        high = min([low for low, _ in others if low >= stop], default=len(piece))
        near, a, b = piece[low:high], start - low, stop - low
        if others and len(near) - (b - a) < FEWEST * self._order * SIZES[-1]:
            filled = self._least_squares(piece, start, stop, others, low, high)
        else:
            filled = self._weighed(near, a, b)
        limit = 2 * float(np.max(np.abs(np.delete(piece, slice(start, stop))), initial=0.0))
        return np.clip(filled, -limit, limit)

    def _weighed(self, sound: Floats, start: int, stop: int) -> Floats:
        """What models of all sizes put in, weighed by how they did in the trials."""
        filled = np.array(self._candidates(sound, start, stop, ROUNDS))
        length = stop - start
        whole = sound.copy()
        whole[start:stop] = filled.mean(axis=0)
        errors = np.zeros(len(filled))
        for at in (start - self._away - length, stop + self._away):
            if at < length or at + 2 * length > len(sound):
                continue
            truth = sound[at : at + length]
            energy = float(truth @ truth) + 1e-12
            for k, trial in enumerate(self._candidates(whole, at, at + length, TRIAL_ROUNDS)):
                error = trial - truth
                errors[k] += min(float(error @ error) / energy, WORST)
        weights = (errors + SURE) ** -SHARPNESS
        return np.asarray(weights @ filled / weights.sum())

    def _candidates(self, sound: Floats, start: int, stop: int, rounds: int) -> list[Floats]:
        """One filling by each size of model, and one by least squares."""
        made = []
        for size in SIZES:
            near, a, b = self._around(sound, start, stop, size)
            order = max(round(self._order * size), 1)
            made.append(ar.interpolate(near, a, b, order, rounds))
        near, a, b = self._around(sound, start, stop, SHARP)
        made.append(self._least_squares(near, a, b, [], 0, len(near)))
        return made

    def _around(self, sound: Floats, start: int, stop: int, size: float) -> tuple[Floats, int, int]:
        reach = round(self._reach * size)
        first = max(start - reach, 0)
        return sound[first : stop + reach], start - first, stop - first

    def _least_squares(
        self, piece: Floats, start: int, stop: int, others: Sequence[tuple[int, int]], low: int, high: int
    ) -> Floats:
        """By one model of all stretches between the holes: sharp for steady tones, however many holes."""
        known = ar.between(len(piece), [(start, stop), *others])
        most = round(self._order * SHARP_ORDER)
        order = ar.affordable(min(most, max(stop - start, SMALLEST_ORDER)), [b - a for a, b in known])
        a = ar.covariance([piece[a:b] for a, b in known], order)
        missing = np.zeros(high - low, np.bool_)
        missing[start - low : stop - low] = True
        return ar.fill(piece[low:high], missing, a)[start - low : stop - low]


def long_holes(format: Format, findings: Sequence[Finding], options: Options) -> list[Region]:
    """The holes that are generated, channel by channel, as what touches becomes one."""
    per_ms = format.sample_rate / 1000
    shortest, longest = (
        round(min(LONG_MS, options["longest_ms"]) * per_ms),
        round(options["longest_ms"] * per_ms),
    )
    found = []
    for channel in range(format.channels):
        own = [f.region for f in findings if f.region.of_channel(channel)]
        for start, stop in merge_spans([(r.start, r.stop) for r in own]):
            if shortest < stop - start <= longest:
                found.append(Region(start, stop, (channel,)))
    return found


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    return HoleFiller(format, findings, options)


REPAIR = Repair(
    name="fill",
    title="Fill holes",
    treats=("dropouts", "silence"),
    scope="local",
    own_params={
        "order": Param(
            2560,
            16,
            6000,
            "",
            "numbers in the largest model of the sound; more resolve more tones",
            whole=True,
        ),
        "context_ms": Param(250.0, 5.0, 800.0, "ms", "sound on each side that the largest is fitted to"),
        "longest_ms": Param(1000.0, 1.0, 1000.0, "ms", "the longest hole that is filled"),
        "seed": Param(
            0, 0, 99_999, "", "another one, another guess; the same one, the same bits", whole=True
        ),
        "drafts": Param(
            3, 2, 8, "", "for a long hole, that are compared to say how sure the first of them is", whole=True
        ),
    },
    fills=True,
    generates=long_holes,
    build=build,
    doc=__doc__,
)
