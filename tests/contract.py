"""What every repair promises, as checks that a stranger can run on their own.

    from contract import check_repair
    check_repair(my_repair, my_damage)

Each check raises AssertionError with the promise that was broken. `ALL` lists
them, so that a test can be made of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import pytest
from scipy import fft

from wavemend import errors
from wavemend.core.params import Choice, Parameter
from wavemend.core.types import Finding, Format, Samples
from wavemend.damage import Damage
from wavemend.engine.stream import Stream, run
from wavemend.repairs import Repair

FORMATS = (Format(8_000, 1), Format(48_000, 2), Format(44_100, 8), Format(192_000, 1))
SECONDS = 2.0


@lru_cache(maxsize=32)
def music(format: Format, samples: int, seed: int = 1) -> Samples:
    """Plucked harmonic notes at random times, panned, over a very low floor; peak 0.5."""
    rate = format.sample_rate
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((format.channels, samples)) * 1e-5
    last = max(samples - 1, 0) / rate
    for _ in range(max(2, int(6 * samples / rate))):
        start, pitch = rng.uniform(-0.3, last), 110 * 2 ** (rng.integers(36) / 12)
        first = max(0, int(np.ceil(start * rate)))
        note = np.zeros(min(samples - first, round(4.6 * rate)))
        for k in range(1, 12):
            if k * pitch < 0.45 * rate:
                phase = rng.uniform(0, 6)
                # each partial until it has died away by 80 dB
                age = (first + np.arange(min(len(note), round(9.2 / (1 + k) * rate)))) / rate - start
                partial = np.sin(2 * np.pi * k * pitch * age + phase)
                note[: len(age)] += partial / k**1.5 * np.exp(-age * (1 + k))
        age = (first + np.arange(len(note))) / rate - start
        note *= 1 - np.exp(-age / 0.004)
        out[:, first : first + len(note)] += note * rng.uniform(0.2, 1.0, (format.channels, 1))
    out *= 0.5 / max(np.abs(out).max(), 1e-9)
    out.flags.writeable = False
    samples32 = out.astype(np.float32)
    samples32.flags.writeable = False
    return samples32


@lru_cache(maxsize=32)
def _damaged(damage: Damage, format: Format, samples: int) -> tuple[Samples, tuple[Finding, ...]]:
    damaged, truth = damage.simulate(music(format, samples), format, seed=7)
    damaged.flags.writeable = False
    return damaged, truth


def _example(repair: Repair, damage: Damage, format: Format) -> tuple[Samples, tuple[Finding, ...]]:
    """Damaged music, long enough that the repair gives something out before it is flushed."""
    second = format.sample_rate
    shortest = round(SECONDS * second)
    _, truth = _damaged(damage, format, shortest)
    # whole half seconds, so that repairs share the music
    halves = -(-2 * (repair.open(format, truth).latency + second) // second)
    return _damaged(damage, format, max(shortest, halves * second // 2))


@lru_cache(maxsize=2)
def _whole(repair: Repair, damage: Damage, format: Format) -> Samples:
    """The example through the repair in one block: what most checks compare with, made once."""
    damaged, truth = _example(repair, damage, format)
    out = run(repair.open(format, truth), damaged)
    out.flags.writeable = False
    return out


def _outputs(stream: Stream, samples: Samples, cuts: Sequence[int]) -> Iterator[Samples]:
    at = 0
    for cut in [*cuts, samples.shape[1]]:
        yield stream.push(samples[:, at:cut])
        at = cut
    yield stream.flush()


def check_length_and_place(repair: Repair, damage: Damage, format: Format) -> None:
    """As long as the input, finite, float32, aligned to the sample."""
    damaged, _ = _example(repair, damage, format)
    out = _whole(repair, damage, format)
    assert out.shape == damaged.shape, f"{repair.name}: {damaged.shape} in, {out.shape} out"
    assert out.dtype == np.float32 and np.isfinite(out).all()
    size = fft.next_fast_len(2 * out.shape[1], real=True)
    for channel in range(format.channels):
        spectrum = fft.rfft(damaged[channel], size).conj() * fft.rfft(out[channel], size)
        lag = int(np.argmax(fft.irfft(spectrum, size)))
        assert lag == 0, f"{repair.name}: channel {channel} is moved by {lag} samples"


def check_any_cut(repair: Repair, damage: Damage, format: Format) -> None:
    """Blocks cut anywhere, empty ones and single samples among them, give the same bits."""
    damaged, truth = _example(repair, damage, format)
    whole = _whole(repair, damage, format)
    rng = np.random.default_rng(3)
    total = damaged.shape[1]
    for count in (1, 40):
        cuts = sorted(rng.integers(0, total, count).tolist())
        cuts = [0, 0, 1, 2, *[c for c in cuts if c > 2], total, total]
        parts = list(_outputs(repair.open(format, truth), damaged, cuts))
        assert np.array_equal(np.concatenate(parts, axis=1), whole), f"{repair.name}: the cut is heard"


def check_latency(repair: Repair, damage: Damage, format: Format) -> None:
    """After n samples at least n - latency have come out, and never more than n."""
    damaged, truth = _example(repair, damage, format)
    stream = repair.open(format, truth)
    came, went = 0, 0
    for start in range(0, damaged.shape[1], 1000):
        block = damaged[:, start : start + 1000]
        came, went = came + stream.push(block).shape[1], went + block.shape[1]
        assert came <= went, f"{repair.name}: more came out than went in"
        assert came >= went - stream.latency, f"{repair.name}: latency is understated"


def check_past_is_fixed(repair: Repair, damage: Damage, format: Format) -> None:
    """A change of the future never changes what was already given out, nor is that written to later."""
    damaged, truth = _example(repair, damage, format)
    stream = repair.open(format, truth)
    held, total = stream.latency, damaged.shape[1]
    given, at = [], 0
    for share in (0.3, 0.8):
        cut = held + int((total - held) * share)
        given.append(stream.push(damaged[:, at:cut]))
        first, at = np.concatenate(given, axis=1), cut
        assert first.shape[1] > 0, f"{repair.name}: nothing came out"
        other = np.concatenate((damaged[:, :cut], -damaged[:, cut:]), axis=1)
        for full in (_whole(repair, damage, format), repair.open(format, truth).push(other)):
            common = min(first.shape[1], full.shape[1])
            same = np.array_equal(full[:, :common], first[:, :common])
            assert same, f"{repair.name}: the future changed the past"
    stream.push(-damaged[:, at:])
    stream.flush()
    assert np.array_equal(np.concatenate(given, axis=1), first), f"{repair.name}: wrote to what it gave out"


def check_no_finding_no_change(repair: Repair, damage: Damage, format: Format) -> None:
    """Without a finding, and with findings of other kinds, and at strength 0: the input's bits."""
    damaged, truth = _example(repair, damage, format)
    foreign = [Finding("something else", f.region, 1.0, 1.0) for f in truth]
    for stream in (
        repair.open(format, ()),
        repair.open(format, foreign),
        repair.open(format, truth, strength=0.0),
    ):
        assert np.array_equal(run(stream, damaged), damaged), f"{repair.name}: changed what has no damage"


def check_outside_untouched(repair: Repair, damage: Damage, format: Format) -> None:
    """Outside the findings' regions and channels every sample keeps its bits; inside something changes."""
    damaged, truth = _example(repair, damage, format)
    outside = np.ones(damaged.shape, bool)
    middle = [_middle(f, damaged.shape[1]) for f in truth]
    for finding in middle:
        region = finding.region
        for channel in range(format.channels):
            if region.of_channel(channel):
                outside[channel, region.start : region.stop] = False
    out = run(repair.open(format, middle), damaged)
    assert np.array_equal(out[outside], damaged[outside]), f"{repair.name}: changed the outside"
    assert not np.array_equal(out, damaged), f"{repair.name}: did nothing about {damage.name}"


def _middle(finding: Finding, samples: int) -> Finding:
    """A finding that covers most of the recording, cut down to the middle of it."""
    region = finding.region
    if region.stop - region.start < samples // 2:
        return finding
    cut = type(region)(samples // 4, 3 * samples // 4, region.channels, region.band_hz)
    return Finding(finding.damage, cut, finding.severity, finding.confidence, finding.measures)


def check_deterministic(repair: Repair, damage: Damage, format: Format) -> None:
    """Twice the same, and the input array is not written to."""
    damaged, truth = _example(repair, damage, format)
    before = damaged.copy()
    again = run(repair.open(format, truth), damaged)
    assert np.array_equal(again, _whole(repair, damage, format)), f"{repair.name}: not the same twice"
    assert np.array_equal(before, damaged), f"{repair.name}: wrote to its input"


def check_options(repair: Repair, damage: Damage, format: Format) -> None:
    """An unknown option and a value out of range raise; every value in range is taken."""
    _, truth = _example(repair, damage, format)
    with pytest.raises(errors.InputError, match="no option"):
        repair.open(format, truth, no_such_option=1.0)
    for name, param in repair.params.items():
        with pytest.raises(errors.InputError, match=name):
            repair.open(format, truth, **{name: beyond(param)})
        for value in extremes(param):
            repair.open(format, truth, **{name: value, **read_with(repair, param)})


def read_with(repair: Repair, param: Parameter) -> dict[str, float | str]:
    """Options with which a parameter is read, where the defaults are not such."""
    options: dict[str, float | str] = dict([param.only_with] if param.only_with else [])
    if param.unless and repair.params[param.unless[0]].default == param.unless[1]:
        other, value = param.unless
        options[other] = next(one for one in extremes(repair.params[other]) if one != value)
    return options


def extremes(param: Parameter) -> tuple[float | str, ...]:
    """Values that a parameter must take: both ends of a range, or every choice."""
    return param.choices if isinstance(param, Choice) else (param.low, param.high)


def beyond(param: Parameter) -> float | str:
    """A value that a parameter must not take."""
    return "no such choice" if isinstance(param, Choice) else param.high + 1


def check_short(repair: Repair, damage: Damage, format: Format) -> None:
    """Recordings of no sample, of one, and of a few go through."""
    _, truth = _example(repair, damage, format)
    for length in (0, 1, 2, 63, 700):
        short = music(format, 4096)[:, :length]
        assert run(repair.open(format, truth), short, block=1 if length < 64 else None).shape == short.shape


def check_steady_levels(repair: Repair, damage: Damage, format: Format) -> None:
    """Silence stays finite, and near-silence and full scale do not blow up."""
    _, truth = _example(repair, damage, format)
    count = round(SECONDS * format.sample_rate)
    for level in (0.0, 1e-7, 1.0):
        given = np.clip(music(format, count) * 2 * level, -1, 1).astype(np.float32)
        out = run(repair.open(format, truth), given)
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= max(4.0 * level, 1e-6), f"{repair.name}: blew up at level {level}"


Check = Callable[[Repair, Damage, Format], None]

ALL: tuple[Check, ...] = (
    check_length_and_place,
    check_any_cut,
    check_latency,
    check_past_is_fixed,
    check_no_finding_no_change,
    check_outside_untouched,
    check_deterministic,
    check_options,
    check_short,
    check_steady_levels,
)


def check_repair(repair: Repair, damage: Damage, formats: Sequence[Format] = FORMATS) -> None:
    """All promises, in all formats."""
    for format in formats:
        for check in ALL:
            check(repair, damage, format)


def check_damage(damage: Damage, format: Format) -> None:
    """Simulation: same seed, same bits; another seed, others; input untouched; truth inside the recording."""
    clean = music(format, round(SECONDS * format.sample_rate))
    once, truth = damage.simulate(clean, format, seed=5)
    again, same = damage.simulate(clean, format, seed=5)
    other, _ = damage.simulate(clean, format, seed=6)
    assert np.array_equal(once, again) and truth == same
    assert not np.array_equal(once, clean), f"{damage.name}: simulated nothing"
    assert once.shape == clean.shape and once.dtype == np.float32 and np.isfinite(once).all()
    assert truth and all(f.damage == damage.name for f in truth)
    assert all(f.region.stop <= clean.shape[1] for f in truth)
    assert list(truth) == sorted(truth, key=lambda f: f.region.start)
    if any(param.default for param in damage.params.values()):
        assert not np.array_equal(other, clean)
    if damage.detector is None:
        with pytest.raises(errors.InputError, match="no detector"):
            damage.detect(once, format)
        return
    cut_finds = damage.detector(format)
    for start in range(0, once.shape[1], 777):
        cut_finds.push(once[:, start : start + 777])
    assert tuple(cut_finds.finish()) == damage.detect(once, format), f"{damage.name}: the cut changes it"
    for length in (0, 1, 100):
        damage.detect(clean[:, :length], format)
