"""The report: pictures that decode, a page that is complete in itself and safe, JSON that reads back."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import music
from wavemend.core.jsonable import from_plain
from wavemend.core.measure import measure
from wavemend.core.types import (
    Finding,
    Format,
    LeftAlone,
    Plan,
    Region,
    Report,
    Samples,
    Source,
    Step,
    Verdict,
)
from wavemend.errors import DeviceError
from wavemend.restoration.page import summary
from wavemend.restoration.page_lanes import BINS, kinds_of, lanes
from wavemend.restoration.page_sound import Excerpt, matched_gains_db, tracks
from wavemend.restoration.page_words import clock, percent
from wavemend.restoration.picture import (
    ROWS,
    Spectrograms,
    axis_frequency,
    axis_position,
    before_and_after,
    colours,
    paint,
    png,
)
from wavemend.restoration.report import ReportCollector, excerpt_span, write_report

STEREO = Format(48_000, 2)
EVIL = "<script>alert('x')</script> & \"q\""


def made(format: Format, samples: int, findings: tuple[Finding, ...] | None = None) -> Report:
    found = (
        (
            Finding("hum", Region(0, samples), 0.4, 0.9),
            Finding("clicks", Region(samples // 3, samples // 3 + 9, (0,)), 0.7, 0.8),
            Finding("clicks", Region(samples // 2, samples // 2 + 9), 0.2, 0.6),
            Finding("lost", Region(samples // 2, samples // 2 + 99), 0.9, 0.95),
        )
        if findings is None
        else findings
    )
    steps = (
        (Step("declick", {"strength": 0.8}, (1, 2), EVIL), Step("dehum", {}, (0,), "hum")) if found else ()
    )
    left = (LeftAlone((3,), f"lost: no repair treats it {EVIL}"),) if found else ()
    verdicts = (
        Verdict(0, Region(1, 5), "keep", {"runs": 41.0}, ""),
        Verdict(0, Region(7, 9), "revert", {"louder_db": 14.0}, "louder by 14 dB"),
        Verdict(0, Region(17, 19), "revert", {"louder_db": 15.5}, "louder by 15.5 dB"),
        Verdict(1, Region(0, samples), "blend", {"share": 0.5}, "high band fell"),
    )
    return Report(
        Source(f"/archive/{EVIL.replace('/', '')}.wav", "WAV", "PCM_24", {"artist": EVIL, EVIL: "title"}),
        format,
        samples,
        found,
        Plan(format, samples, found, steps, left),
        verdicts if steps else (),
        {"before": {"loudness_lufs": -20.0}, "after": {"loudness_lufs": -21.5, "other": 3.0}},
        (f"picture {EVIL}",),
        {"wavemend": "0.1.0"},
        {"repair": 1.5},
    )


def collected(report: Report, before: Samples, after: Samples, block: int = 50_000) -> ReportCollector:
    collector = ReportCollector(report.format, report.samples, report.findings)
    for start in range(0, before.shape[1], block):
        collector.push(before[:, start : start + block], after[:, start : start + block])
    return collector


def sounds(format: Format, samples: int) -> tuple[Samples, Samples]:
    after = music(format, samples)
    before = after.copy()
    before[:, samples // 3 : samples // 3 + 9] += 0.4
    return before, after


class Page(HTMLParser):
    """Collects what a browser would load, show and run; fails on tags that are not closed."""

    VOID = ("meta", "img", "br", "input", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.scripts = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Such as <path/>: nothing to close."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes what was not open"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    report = made(STEREO, 3 * 48_000)
    before, after = sounds(STEREO, report.samples)
    return report, write_report(folder, report, collected(report, before, after))


def test_page_is_complete_in_itself(written: tuple[Report, Path]) -> None:
    html = written[1].read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert page.links and all(link.startswith("data:") for link in page.links)
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", html))
    assert "@import" not in html and "url(" not in html
    assert sorted(p.name for p in written[1].parent.iterdir()) == ["report.html", "report.json"]


def test_page_says_what_was_found_done_and_left(written: tuple[Report, Path]) -> None:
    text = " ".join(Page(written[1].read_text(encoding="utf-8")).text.split())
    assert "Three kinds of damage were found" in text
    assert "clicks and pops in 2 places" in text and "hum throughout" in text
    assert "lost was left alone" in text
    assert "41 kept" in text and "2 taken back" in text and "eased" in text
    assert "louder by 14 dB (2 times" in text
    assert "Loudness, integrated" in text and "−20.0" in text and "−1.5" in text
    assert "wavemend 0.1.0" in text and "strength 0.8" in text and "repair 1.50 s" in text


def test_nothing_from_the_file_becomes_markup(written: tuple[Report, Path]) -> None:
    page = Page(written[1].read_text(encoding="utf-8"))
    assert page.scripts == 2 and page.handlers == []
    # name, tag name, tag value, reason of a step, left alone, not carried over, source
    assert page.text.count("<script>alert('x')") >= 7


def test_json_reads_back(written: tuple[Report, Path]) -> None:
    report, page = written
    content = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    assert from_plain(Report, content) == report


def test_sounds_in_the_page_add_up(written: tuple[Report, Path]) -> None:
    html = written[1].read_text(encoding="utf-8")
    heard = []
    for name in ("before", "after", "removed"):
        found = re.search(f'id="sound-{name}"[^>]*src="data:audio/flac;base64,([^"]+)"', html)
        assert found
        sound, rate = soundfile.read(io.BytesIO(base64.b64decode(found[1])))
        assert rate == 48_000 and sound.shape == (3 * 48_000, 2)
        heard.append(sound)
    assert np.abs(heard[0] - heard[1] - heard[2]).max() < 4 / 32768
    assert not heard[2][:40_000].any()


def decoded(picture: bytes) -> tuple[np.ndarray, bytes]:
    """An independent reader of indexed PNG, checksums included."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    at, parts = 8, {}
    while at < len(picture):
        (size,), name = struct.unpack(">I", picture[at : at + 4]), picture[at + 4 : at + 8]
        data = picture[at + 8 : at + 8 + size]
        assert struct.unpack(">I", picture[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + data)
        parts[name], at = data, at + 12 + size
    width, height, depth, kind = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert (depth, kind) == (8, 3) and at == len(picture) and name == b"IEND"
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:], parts[b"PLTE"]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_png_decodes_to_its_pixels(rows: int, columns: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 64, (rows, columns)).astype(np.uint8)
    back, palette = decoded(png(pixels))
    assert np.array_equal(back, pixels) and palette == colours()


def test_colours_grow_evenly_lighter() -> None:
    rgb = np.frombuffer(colours(), np.uint8).reshape(-1, 3) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert (steps > 0).all() and steps.max() < 3 * np.median(steps)


@pytest.mark.parametrize("format", [Format(8_000, 1), Format(44_100, 2), Format(192_000, 1)])
def test_a_tone_stands_where_the_axis_says(format: Format) -> None:
    pitch = 0.11 * format.sample_rate
    time = np.arange(2 * format.sample_rate) / format.sample_rate
    after = np.zeros((format.channels, len(time)), np.float32)
    before = after.copy()
    before[-1] = 0.5 * np.sin(2 * np.pi * pitch * time)
    pictures = Spectrograms(format, len(time))
    pictures.push(before, after)
    levels = pictures.finish()
    middle = levels[:, :, levels.shape[2] // 2]
    assert abs(np.argmax(middle[0]) / ROWS - axis_position(pitch, format.sample_rate / 2)) < 2 / ROWS
    assert -16 < middle[0].max() < -5
    assert np.array_equal(levels[2], levels[0]) and levels[1].max() < -150


@given(st.floats(0, 24_000))
def test_axis_inverts(frequency: float) -> None:
    assert axis_frequency(axis_position(frequency, 24_000), 24_000) == pytest.approx(frequency, abs=1e-6)


@given(st.lists(st.integers(0, 90_001), max_size=5), st.sampled_from([40, 1600]))
@settings(max_examples=10, deadline=None)
def test_spectrograms_do_not_depend_on_the_cut(cuts: list[int], columns: int) -> None:
    before, after = sounds(STEREO, 90_001)
    whole, cut = (Spectrograms(STEREO, 90_001, columns) for _ in range(2))
    whole.push(before, after)
    for start, stop in pairwise([0, *sorted(cuts), 90_001]):
        cut.push(before[:, start:stop], after[:, start:stop])
    levels = whole.finish()
    assert np.array_equal(levels, cut.finish())
    assert levels.shape[1] == ROWS and levels.shape[2] <= columns


@pytest.mark.parametrize("seconds", [2, 40])
def test_a_click_is_seen_at_its_time(seconds: int) -> None:
    format = Format(8_000, 1)
    before = np.zeros((1, seconds * 8_000), np.float32)
    before[0, round(0.75 * seconds * 8_000)] = 1.0
    pictures = Spectrograms(format, before.shape[1], columns=100)
    pictures.push(before, np.zeros_like(before))
    column = pictures.finish()[2].mean(axis=0)
    assert abs(np.argmax(column) / len(column) - 0.75) < 0.03
    assert paint(column[np.newaxis], float(column.max())).max() == 63


def test_before_and_after_in_one_picture() -> None:
    before, after = sounds(STEREO, 48_000)
    pixels, palette = decoded(before_and_after(before, after, STEREO, width=600))
    assert pixels.shape == (2 * ROWS, 600) and palette.endswith(b"\xff\xff\xff")
    assert (pixels[:, 296:304] == 64).all() and pixels[:, :296].max() < 64


def test_excerpt_is_the_whole_when_short_and_the_worst_when_long() -> None:
    format = Format(8_000, 1)
    minute = 60 * 8_000
    assert excerpt_span((), format, 30 * 8_000) == (0, 30 * 8_000)
    clicks = [Finding("clicks", Region(k, k + 5), 0.5, 0.9) for k in range(400_000, 440_000, 500)]
    hum = Finding("hum", Region(0, minute), 0.9, 0.9)
    start, stop = excerpt_span([hum, *clicks], format, minute)
    assert stop - start == 160_000 and start <= 400_000 and stop >= 440_000
    long = Finding("hum", Region(0, 10 * minute), 0.9, 0.9)
    assert excerpt_span((long,), format, 10 * minute)[0] > 4 * minute


@pytest.mark.parametrize("format", [Format(11_025, 1), Format(96_000, 6), Format(192_000, 8)])
def test_tracks_fit_a_browser(format: Format) -> None:
    before, after = sounds(format, format.sample_rate)
    heard, as_played = tracks(Excerpt(before * 3, after * 3, format, 0.0))
    assert as_played.channels <= 2 and as_played.sample_rate <= 50_000
    assert max(np.abs(sound).max() for sound in heard) <= 1.0
    assert np.abs(heard[0] - heard[1] - heard[2]).max() < 1e-5


def test_matched_gains_make_before_and_after_equally_loud() -> None:
    after = music(STEREO, 96_000)
    before = (after * np.float32(2)).clip(-1, 1)
    parts = [before, after, before - after]
    gains = matched_gains_db(parts, STEREO)
    loud = [measure(s, STEREO)["loudness_lufs"] + gain for s, gain in zip(parts, gains, strict=True)]
    assert loud[0] == pytest.approx(loud[1], abs=0.1) and max(gains[:2]) == 0.0
    assert matched_gains_db([after, after, after * 0], STEREO) == [0.0, 0.0, 0.0]


def test_thousands_of_findings_stay_a_small_page(tmp_path: Path) -> None:
    format, samples = Format(8_000, 1), 8_000 * 100
    many = tuple(Finding("clicks", Region(k, k + 4), 0.5, 0.8) for k in range(0, samples - 4, 80))
    report = replace(
        made(format, samples, ()), findings=many, plan=Plan(format, samples, many, (), ()), source=Source()
    )
    silence = np.zeros((1, samples), np.float32)
    page = write_report(tmp_path, report, collected(report, silence, silence)).read_text(encoding="utf-8")
    assert page.count("<rect") <= BINS and len(page) < 300_000
    assert "10\u202f000 places" in page and "bit for bit" in page


def test_a_finding_from_end_to_end_is_one_bar() -> None:
    report = made(STEREO, 48_000)
    drawn = lanes(report, kinds_of(report), np.zeros(10), "")
    assert drawn.count("<rect") == 4
    assert f'width="{BINS}"' in drawn


def test_clean_recording_is_called_clean(tmp_path: Path) -> None:
    report = replace(made(STEREO, 20_000, ()), not_carried=())
    sound = music(STEREO, 20_000)
    text = Page(
        write_report(tmp_path, report, collected(report, sound, sound)).read_text(encoding="utf-8")
    ).text
    assert "No damage was found" in text and "every tag of the file were kept" in text


@pytest.mark.parametrize("samples", [1, 500])
def test_a_few_samples_give_a_page(tmp_path: Path, samples: int) -> None:
    report = made(Format(48_000, 1), samples, (Finding("dc", Region(0, samples), 0.1, 0.9),))
    sound = np.full((1, samples), 0.25, np.float32)
    report = replace(report, plan=Plan(report.format, samples, report.findings, (), ()), verdicts=())
    Page(write_report(tmp_path, report, collected(report, sound, sound * 0)).read_text(encoding="utf-8"))


def test_a_step_taken_back_as_a_whole_repaired_nothing() -> None:
    report = made(STEREO, 48_000)
    reverted = replace(report, verdicts=(Verdict(1, Region(0, 48_000), "revert", {}, "too much"),))
    assert [any(kind.repaired) for kind in kinds_of(report)] == [True, True, False]
    assert [any(kind.repaired) for kind in kinds_of(reverted)] == [False, True, False]


def test_what_was_repaired_in_part_is_not_called_repaired() -> None:
    report = made(STEREO, 48_000)
    steps = (replace(report.plan.steps[0], findings=(1,)),)
    partly = replace(report, plan=replace(report.plan, steps=steps), verdicts=())
    text = summary(partly, kinds_of(partly), 9)
    assert "One was repaired, clicks and pops only in part; mains hum and lost were left alone." in text


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    report = made(STEREO, 5_000, ())
    sound = np.zeros((2, 5_000), np.float32)
    with pytest.raises(DeviceError):
        write_report(tmp_path / "file" / "report", report, collected(report, sound, sound))


@given(st.floats(0, 1))
def test_percent_never_claims_all_or_nothing_wrongly(share: float) -> None:
    text = percent(share)
    assert (text == "0 %") == (share == 0.0) and (text == "100 %") == (share == 1.0)


def test_clock() -> None:
    assert [clock(t) for t in (0, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]
    assert clock(59.97, tenths=True) == "1:00.0"
