"""Numbers, times and lists as the report's page writes them."""

from __future__ import annotations

from collections.abc import Iterable

from wavemend.core.types import Finding

NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
THIN_SPACE = "\u202f"


def number(count: int) -> str:
    """A count with its thousands apart."""
    return f"{count:,}".replace(",", THIN_SPACE)


def in_words(count: int) -> str:
    """Small counts as words."""
    return NUMBERS[count] if count < len(NUMBERS) else number(count)


def counted(count: int, what: str) -> str:
    """A count and its noun, in the plural where it takes one."""
    return f"{number(count)} {what}" if count == 1 else f"{number(count)} {what}s"


def figure(value: float | None, digits: int) -> str:
    """A number with a true minus; empty where there is none."""
    return "" if value is None else f"{value:,.{digits}f}".replace("-", "−").replace(",", THIN_SPACE)


def change(delta: float, digits: int) -> str:
    """A difference with its sign; "same" where it rounds to nothing."""
    text = f"{delta:+,.{digits}f}"
    nothing = not any(digit in text for digit in "123456789")
    return "same" if nothing else text.replace("-", "−").replace(",", THIN_SPACE)


def percent(share: float) -> str:
    """A share in percent that is never rounded to all or nothing when it is not."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    for digits in range(4):
        shown = round(100 * share, digits)
        if 0.0 < shown < 100.0 and abs(shown - 100 * share) <= 10 * min(share, 1 - share):
            return f"{shown:.{digits}f} %"
    return "less than 0.001 %" if share < 0.5 else "more than 99.999 %"


def listed(parts: Iterable[str]) -> str:
    """One, two and three."""
    given = list(parts)
    return given[0] if len(given) == 1 else f"{', '.join(given[:-1])} and {given[-1]}"


def hertz(frequency_hz: float) -> str:
    """A frequency: 300 Hz, 1 kHz, 22.05 kHz."""
    return f"{frequency_hz:.0f} Hz" if frequency_hz < 1000 else f"{frequency_hz / 1000:.4g} kHz"


def clock(seconds: float, tenths: bool = False) -> str:
    """A time: 0:04, 12:30, 1:02:03."""
    whole = round(10 * seconds) if tenths else 10 * round(seconds)
    minutes, rest = divmod(whole, 600)
    hours, minutes = divmod(minutes, 60)
    last = f"{rest // 10:02d}" + (f".{rest % 10}" if tenths else "")
    return f"{hours}:{minutes:02d}:{last}" if hours else f"{minutes}:{last}"


def channel_words(findings: Iterable[Finding], channels: int) -> str:
    """The channels that the findings lie in, counted from 1."""
    every = set(range(channels))
    heard: set[int] = set()
    for finding in findings:
        heard |= every if finding.region.channels is None else set(finding.region.channels)
    if heard >= every:
        return "all channels" if channels > 1 else "mono"
    if channels == 2:
        return "left channel" if 0 in heard else "right channel"
    return ("channel " if len(heard) == 1 else "channels ") + listed(str(c + 1) for c in sorted(heard))
