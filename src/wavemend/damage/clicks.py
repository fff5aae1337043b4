"""Clicks and pops: single impulses added to the sound, as dust, scratches and digital errors leave them.

Found where the prediction error of a short autoregressive model stands out from what is
usual on *both* sides, and where changing the samples of the impulse alone makes the
error usual again. The second test is what sound fails: after a glottal pulse, a drum
or a consonant the sound goes on as their answer (the outliers "of innovation" and
"of addition" of Godsill and Rayner 1998, "Digital Audio Restoration").

What is found is taken out, and the rest is looked at again: a click beside a larger one stands
out from nothing. Where the recording crackles, crackle is taken out as well, and a damped
oscillation far above the sound needs less proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wavemend.core import crackling, impulses
from wavemend.core.blocks import Grid, Search, Window
from wavemend.core.impulses import Floats, Impulse
from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Measure, Region, Samples
from wavemend.damage import Damage, Drawn, crackle

Taken = tuple[int, Impulse]
"""A channel, and what was found in it."""

KINDS = ("tick", "pop", "glitch")
RATIO = 2.0  # of prediction error, over the largest on each side: below, nothing is looked at
MIN_BEFORE_DB, MAX_AFTER_DB, MIN_GAIN_DB = 16.0, 6.0, 20.0
LOUD_BEFORE_DB, LOUD_GAIN_DB, LOUD_PEAK_DB = 12.0, 12.0, 11.0  # for short ones far above the sound
RING_BEFORE_DB, RING_AFTER_DB, RING_GAIN_DB, RING_PEAK_DB = 8.0, 3.0, 9.0, 6.0  # sound hardly imitates these
SURE_RING_GAIN_DB = 11.0
CERTAIN_DB = 60.0  # of gain: no sound imitates this
RING_HZ, RING_MS = 150.0, 1.9  # pitches and decays on the other side are also those of drums and voices
MIN_PEAK_DB = -9.0  # over the local level: under loud low notes smaller clicks than these are heard
WIDE_PEAK_DB = 6.0  # the same for those longer than a millisecond
MAX_PER_CHUNK = 60  # more is crackle; only those that stand out most are looked at
MAX_TWINS = 20  # the same for two that hide each other
LOOKS = 3  # at most: what stood beside something larger is seen once that is taken out
CRACKLED_WINDOWS = 30  # seconds for which a recording that crackled is taken for one that does
# Where clicks were found beyond doubt, others are to be expected, and need less proof; amid crackle, which
# looks like that, they do not.
EXPECTED, EXPECTING_WINDOWS = 2, 10
EXPECTED_BEFORE_DB, EXPECTED_GAIN_DB = 12.0, 13.0
LOUD_RING_DB, LOUD_RING_GAIN_DB = 12.0, 7.0
# From sound that is like noise a prediction takes little, and less stands out from what it leaves. Where the
# sound goes on as before, so short an impulse is none of its own.
BARE_MS, BARE_AFTER_DB, BARE_RISE_DB, BARE_GAIN_DB, BARE_PER_MS = 0.6, 4.0, 4.0, 8.5, 5.0
RATIO_AMID, MIN_AMID_DB, AMID_PEAK_DB = 1.2, 6.0, 10.0  # there, once crackle is taken out
AMID_MS, AMID_DECAY_MS = 0.8, 0.17  # there: what is shorter is left to decrackle
SHORT = "short_amid_crackle"
"""The measure of clicks that `decrackle` takes better, where it is to work."""
QUIET = 1e-3  # the level that clicks are made for where there is less sound


def draw(
    format: Format,
    samples: int,
    rng: np.random.Generator,
    *,
    rate_per_s: float,
    level: float,
    tick: float,
    pop: float,
    glitch: float,
) -> Drawn:
    """Clicks at random times (a Poisson process), each in one channel or, one in four, in all."""
    weights = np.array([tick, pop, glitch])
    weights = weights / weights.sum() if weights.sum() else np.full(3, 1 / 3)
    count = max(int(rng.poisson(rate_per_s * samples / format.sample_rate)), 1 if rate_per_s else 0)
    clicks = []
    for at in sorted(rng.integers(0, max(samples, 1), count).tolist()):
        kind = KINDS[rng.choice(3, p=weights)]
        channel = None if rng.random() < 0.25 else int(rng.integers(format.channels))
        shape = _draw_shape(kind, format.sample_rate, rng)[: samples - at]
        if shape:
            sign = float(rng.choice((-1.0, 1.0)))
            clicks.append({"at": at, "channel": channel, "kind": kind, "shape": [sign * v for v in shape]})
    peak_db = 20 * float(np.log10(max(level, 1e-3)))
    findings = tuple(
        Finding(
            "clicks",
            Region(
                click["at"],
                click["at"] + len(click["shape"]),
                None if click["channel"] is None else (click["channel"],),
            ),
            severity=_severity(peak_db),
            confidence=1.0,
            measures={"peak_db": peak_db, "width_ms": 1000 * len(click["shape"]) / format.sample_rate},
        )
        for click in clicks
    )
    return {"level": level, "clicks": clicks, "findings": findings}


def _draw_shape(kind: str, rate: int, rng: np.random.Generator) -> list[float]:
    """Samples of one click, with a peak of 1."""
    if kind == "glitch":
        shape = rng.uniform(-1, 1) + rng.uniform(-0.15, 0.15, rng.integers(1, 9))
    else:
        low, high, short, long, phase = (
            (2000, 8000, 0.05, 0.3, 0.0) if kind == "tick" else (300, 1500, 0.3, 1.0, 0.3 - np.pi / 2)
        )
        decay = rng.uniform(short, long) * rate / 1000
        n = np.arange(int(np.ceil(7 * decay)))
        pitch = min(rng.uniform(low, high), 0.4 * rate)
        shape = np.exp(-n / decay) * np.cos(2 * np.pi * pitch * n / rate + phase)
    return (shape / np.abs(shape).max()).tolist()  # type: ignore[no-any-return]


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """Add the clicks, each scaled by the sound's RMS within 10 ms of it."""
    out = samples.astype(np.float64)
    reach = round(0.01 * format.sample_rate)
    clicks: Sequence[Mapping[str, Any]] = drawn["clicks"]
    for click in clicks:
        at, shape = click["at"], np.array(click["shape"])
        for channel in range(len(out)) if click["channel"] is None else (click["channel"],):
            near = samples[channel, max(at - reach, 0) : at + reach].astype(np.float64)
            scale = drawn["level"] * max(float(np.sqrt(np.mean(near**2))), QUIET)
            out[channel, at : at + len(shape)] += scale * shape
    return out.astype(np.float32)


class ClickDetector(Search):
    """Looks through chunks of a second, with what lies around them."""

    def __init__(self, format: Format) -> None:
        self._rate, self._channels = format.sample_rate, format.channels
        frame = impulses.frame_length(format.sample_rate)
        hop = max(round(format.sample_rate / frame), 1) * frame
        self._grid = Grid(
            format.channels, hop, impulses.FRAMES_BESIDE * frame, impulses.FRAMES_BESIDE * frame
        )
        self._surfaces = crackle.Surfaces(format)
        self._crackled = 0  # windows for which what was heard of crackle is still believed
        self._sure: deque[int] = deque(maxlen=EXPECTING_WINDOWS)  # clicks without doubt, window by window
        self._found: dict[tuple[int, int], Finding] = {}

    def _conclude(self) -> Sequence[Finding]:
        kept: list[Finding] = []
        last: dict[int, Finding] = {}
        for (channel, start), finding in sorted(self._found.items(), key=lambda item: item[0]):
            before = last.get(channel)
            if before is None or start >= before.region.stop:
                last[channel] = finding
                kept.append(finding)
        return sorted(kept, key=lambda finding: (finding.region.start, finding.region.channels or ()))

    def _look(self, window: Window) -> None:
        """Look at the window as it is, then at what is left without what was found, and without crackle."""
        rest, rate = window.samples, self._rate
        self._crackled = CRACKLED_WINDOWS if self._crackles(window) else max(self._crackled - 1, 0)
        amid = self._crackled > 0
        self._sure.append(0)
        channels = list(range(self._channels))
        taken: list[Taken] = []
        for look in range(LOOKS):
            found = self._search(window, rest, channels, amid and look > 0, taken)
            if amid and look == 0:
                cleaned = channels
            else:
                cleaned, channels = [], sorted({channel for channel, _ in found})
            if not channels or look == LOOKS - 1:
                break
            rest, taken = rest.copy(), taken + found
            for channel, impulse in found:
                rest[channel, impulse.start : impulse.stop] = impulse.sound
            for channel in cleaned:
                rest[channel] = crackling.once(rest[channel].astype(np.float64), rate)

    def _crackles(self, window: Window) -> bool:
        """Whether one of the channels has what crackle is reported for."""
        return any(heard.crackles for heard in self._surfaces.hear(window))

    def _search(
        self,
        window: Window,
        samples: Samples,
        channels: Sequence[int],
        amid: bool,
        taken: Sequence[Taken],
    ) -> list[Taken]:
        """The impulses in some channels of (channels, n), apart from what is taken; findings in the chunk."""
        places = impulses.candidates(samples[channels], self._rate, RATIO_AMID if amid else RATIO)
        found: list[Taken] = []
        for index, at, ratio in sorted(places, key=lambda place: -place[2])[:MAX_PER_CHUNK]:
            sound = samples[channels[index]].astype(np.float64)
            impulse = impulses.examine(sound, at, self._rate, MIN_AMID_DB if amid else LOUD_RING_GAIN_DB)
            if impulse is None:
                continue
            if not self._likely(impulse, amid):
                continue
            if _overlaps(channels[index], impulse, taken):
                continue
            if not _overlaps(channels[index], impulse, found):
                found.append((channels[index], impulse))
            self._keep(window, at, channels[index], impulse, ratio, amid)
        if not amid:
            found += self._search_twins(window, samples, channels, [*taken, *found])
        return found

    def _search_twins(
        self, window: Window, samples: Samples, channels: Sequence[int], taken: Sequence[Taken]
    ) -> list[Taken]:
        """Impulses so near to each other that neither stands out, or is told, but where the other is gone."""
        places = impulses.candidates(samples[channels], self._rate, RATIO, but_one=True)
        near = round(impulses.CONTEXT_MS / 1000 * self._rate)
        twins = [
            (min(one[2], two[2]), one, two)
            for k, one in enumerate(places)
            for two in places[k + 1 :]
            if one[0] == two[0] and two[1] - one[1] <= near
        ]
        found: list[Taken] = []
        for ratio, one, two in sorted(twins, reverse=True)[:MAX_TWINS]:
            channel = channels[one[0]]
            both = self._twins(samples[channel].astype(np.float64), one[1], two[1])
            if any(_overlaps(channel, impulse, [*taken, *found]) for impulse in both):
                continue
            for impulse in both:
                found.append((channel, impulse))
                self._keep(window, impulse.start, channel, impulse, ratio, amid=False)
        return found

    def _twins(self, sound: Floats, first: int, second: int) -> list[Impulse]:
        """Both, each examined in (n,) without the other; none unless both are clicks."""
        for near, far in ((first, second), (second, first)):
            rough = self._examined(sound, near)
            two = self._examined(_free(sound, rough), far) if rough else None
            if two is None or not self._likely(two, amid=False):
                continue
            one = self._examined(_free(sound, two), near)
            if one is None or not self._likely(one, amid=False):
                continue
            if one.stop <= two.start or two.stop <= one.start:
                return [one, two]
        return []

    def _examined(self, sound: Floats, at: int) -> Impulse | None:
        return impulses.examine(sound, at, self._rate, LOUD_RING_GAIN_DB)

    def _keep(
        self, window: Window, at: int, channel: int, impulse: Impulse, ratio: float, amid: bool
    ) -> None:
        """Count and report one that begins at sample `at` of the window, if that is in its chunk."""
        if window.lead <= at < window.lead + window.length:
            self._sure[-1] += self.accepts(impulse, amid)
            finding = self._finding(impulse, channel, window.start - window.lead, ratio)
            self._found[channel, finding.region.start] = finding

    def accepts(self, impulse: Impulse, amid: bool) -> bool:
        """Whether an impulse is one that was added; `amid`, where a disc crackles and that is taken out."""
        gain_db, width_ms = _gain_db(impulse), 1000 * (impulse.stop - impulse.start) / self._rate
        if impulse.peak_db < MIN_PEAK_DB:
            return False
        if amid:
            return self.outlasts(impulse)
        if not impulse.ring_hz:
            return _stands(impulse, gain_db, width_ms)
        return _rings(impulse, gain_db, width_ms)

    def outlasts(self, impulse: Impulse) -> bool:
        """Whether it is longer than anything that `decrackle` takes, and stands out from crackle."""
        width_ms = 1000 * (impulse.stop - impulse.start) / self._rate
        return width_ms >= AMID_MS and _stands_amid(impulse, _gain_db(impulse), width_ms)

    def _likely(self, impulse: Impulse, amid: bool) -> bool:
        """Whether it is accepted, or likely to be one more where there are others."""
        if self.accepts(impulse, amid):
            return True
        return not amid and sum(self._sure) >= EXPECTED and self._expected(impulse)

    def _expected(self, impulse: Impulse) -> bool:
        gain_db, width_ms = _gain_db(impulse), 1000 * (impulse.stop - impulse.start) / self._rate
        if impulse.peak_db < MIN_PEAK_DB or impulse.after_db > _most_left_db(gain_db):
            return False
        if impulse.ring_hz:
            heard = impulse.ring_hz >= RING_HZ and impulse.decay_ms <= RING_MS
            loud = impulse.peak_db >= LOUD_RING_DB and impulse.after_db <= RING_AFTER_DB
            return heard and loud and gain_db >= LOUD_RING_GAIN_DB
        steady = impulse.after_db <= BARE_AFTER_DB and impulse.rise_db <= BARE_RISE_DB
        if width_ms <= BARE_MS and impulse.peak_db >= LOUD_PEAK_DB and steady:
            return gain_db >= BARE_GAIN_DB + BARE_PER_MS * width_ms
        return impulse.before_db >= EXPECTED_BEFORE_DB and gain_db >= EXPECTED_GAIN_DB + min(
            4.0 * width_ms, 20.0
        )

    def _finding(self, impulse: Impulse, channel: int, origin: int, ratio: float) -> Finding:
        gain_db = _gain_db(impulse)
        measures: dict[str, Measure] = {
            "peak_db": round(impulse.peak_db, 1),
            "width_ms": round(1000 * (impulse.stop - impulse.start) / self._rate, 3),
            "gain_db": round(gain_db, 1),
            "ratio": round(ratio, 2),
        }
        if impulse.ring_hz:
            measures |= {"ring_hz": round(impulse.ring_hz), "decay_ms": round(impulse.decay_ms, 3)}
        if self._crackled:
            measures["amid_crackle"] = 1  # declick frees the surroundings of it
            if not self.outlasts(impulse):
                measures[SHORT] = 1
        return Finding(
            "clicks",
            Region(origin + impulse.start, origin + impulse.stop, (channel,)),
            severity=_severity(impulse.peak_db),
            confidence=float(np.clip(0.5 + gain_db / 80, 0.0, 0.98)),
            measures=measures,
        )


def _free(sound: Floats, impulse: Impulse) -> Floats:
    """(n,) without it."""
    out = sound.copy()
    out[impulse.start : impulse.stop] = impulse.sound
    return out


def _overlaps(channel: int, impulse: Impulse, taken: Sequence[Taken]) -> bool:
    return any(
        channel == other and impulse.start < one.stop and one.start < impulse.stop for other, one in taken
    )


def _gain_db(impulse: Impulse) -> float:
    return impulse.before_db - max(impulse.after_db, 0.0)


def _stands(impulse: Impulse, gain_db: float, width_ms: float) -> bool:
    """Whether unknown samples explain enough: the more may change, the more of any error they explain."""
    if impulse.after_db > _most_left_db(gain_db):
        return False
    if width_ms > 1.0 and impulse.peak_db < WIDE_PEAK_DB and gain_db < CERTAIN_DB:
        return False
    if impulse.before_db >= MIN_BEFORE_DB and gain_db >= MIN_GAIN_DB + min(4.0 * width_ms, 20.0):
        return True
    if impulse.peak_db < LOUD_PEAK_DB:
        return False
    return impulse.before_db >= LOUD_BEFORE_DB and gain_db >= LOUD_GAIN_DB + min(12.0 * width_ms, 22.0)


def _rings(impulse: Impulse, gain_db: float, width_ms: float) -> bool:
    """Whether it is a damped oscillation: these have four numbers only, however long they are."""
    if impulse.decay_ms > RING_MS or impulse.after_db > _most_left_db(gain_db):
        return False
    if impulse.ring_hz < RING_HZ:
        return gain_db >= CERTAIN_DB
    if gain_db >= SURE_RING_GAIN_DB + width_ms:
        return True
    loud = impulse.peak_db >= RING_PEAK_DB and impulse.before_db >= RING_BEFORE_DB
    return loud and impulse.after_db <= RING_AFTER_DB and gain_db >= RING_GAIN_DB


def _most_left_db(gain_db: float) -> float:
    """Error over the usual that may be left; more where the sound is so regular that all else went."""
    return max(MAX_AFTER_DB, gain_db / 7)


def _stands_amid(impulse: Impulse, gain_db: float, width_ms: float) -> bool:
    """The same for a disc that crackles: pops are to be expected there, and what is short is decrackle's."""
    if impulse.peak_db < AMID_PEAK_DB:
        return False
    if not impulse.ring_hz:
        return _stands(impulse, gain_db, width_ms)
    if impulse.ring_hz < RING_HZ or not AMID_DECAY_MS < impulse.decay_ms <= RING_MS:
        return False
    if gain_db >= MIN_AMID_DB and impulse.after_db <= RING_AFTER_DB:
        return True
    return _rings(impulse, gain_db, width_ms)


def _severity(peak_db: float) -> float:
    return float(np.clip((peak_db + 6) / 50, 0.02, 1.0))


DAMAGE = Damage(
    name="clicks",
    title="Clicks and pops",
    params={
        "rate_per_s": Param(2.0, 0.0, 50.0, "1/s", "clicks a second, on average"),
        "level": Param(5.0, 0.0, 100.0, "", "a click's peak over the sound's RMS within 10 ms"),
        "tick": Param(1.0, 0.0, 1.0, "", "share of ticks: 2-8 kHz, decaying within 0.3 ms"),
        "pop": Param(1.0, 0.0, 1.0, "", "share of pops: 300-1500 Hz, decaying within 1 ms"),
        "glitch": Param(1.0, 0.0, 1.0, "", "share of glitches: one to eight wrong samples"),
    },
    draw=draw,
    apply=apply,
    detector=ClickDetector,
    doc=__doc__,
)
