"""The page of a night: everything of the report is on it, nothing from elsewhere, and no text can break out of it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from night_reports import EMPTY, FLOWS, GATES, HELD, PUBLISHED, REPORTS, RETRAINED

from serve.night_page import page, write_page
from serve.night_pictures import MOST_FLOWS, flow_picture
from serve.night_report import Flow, Report, SegmentThen, SourceIn

VOID = {"meta", "br", "img", "path", "rect", "hr"}


class Read(HTMLParser):
    """A strict reader: every element is closed, in order; gathers texts, attributes and tags."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_page_is_whole_small_and_needs_nothing_from_anywhere(report: Report) -> None:
    text = page(report)
    read = Read(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(text) < 60_000
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(read.tags)
    assert not re.search(r"(?i)https?:|//[a-z]|url\(|@import|javascript:|data:", text)
    assert not [name for name, _ in read.attributes if name in ("src", "href", "srcset") or name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in read.attributes
    assert report.as_of in read.words
    assert report.reason in read.words


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_pictures_are_sound_svg(report: Report) -> None:
    for svg in re.findall(r"<svg.*?</svg>", page(report), re.DOTALL):
        root = ElementTree.fromstring(svg)
        assert root.get("aria-label") or root.get("aria-hidden")


@pytest.mark.parametrize("report", [PUBLISHED, HELD, RETRAINED], ids=["published", "held", "retrained"])
def test_every_gate_stands_on_it_with_figure_limit_and_verdict(report: Report) -> None:
    rows = re.findall(r"<tr[^>]*>(?:(?!</tr>).)*</tr>", page(report))
    for gate in report.gates:
        (row,) = [row for row in rows if f"<b>{gate.name}</b>" in row]
        cells = [Read(cell).words for cell in re.findall(r"<td>.*?</td>", row)]
        assert gate.words in cells[0]
        assert cells[2].startswith("≥" if gate.bound == "least" else "≤")
        wanted = "not measured" if gate.figure is None else "passed" if gate.met else "FAILED"
        assert ("accepted" if gate.accepted and not gate.met else wanted) in cells[3]


def test_the_verdict_is_said_in_words_and_never_by_colour_alone() -> None:
    assert "Published s-0a1b2c3d4e5f6071 is served." in Read(page(PUBLISHED)).words
    assert "Held: the snapshot before stays served" in Read(page(HELD)).words
    assert "Nothing new" in Read(page(EMPTY)).words
    assert "Gates: all 10 passed" in Read(page(PUBLISHED)).words
    assert "Gates: 2 of 10 failed; 1 beyond the limit was accepted" in Read(page(HELD)).words
    assert Read(page(HELD)).words.count("✗ FAILED") == 2


def test_what_came_in_what_happened_and_what_it_cost_is_all_there() -> None:
    words = Read(page(PUBLISHED)).words
    for told in (
        "card 3 0 90,021 89,900 101 20 0 1,204",
        "events now 210,242,798",
        "known, with new events 27,004",
        "moved to another segment 12,338",
        "suddenly unlike themselves 871",
        "14 (Nights out) left it",
        "Wine & cheese segment 7 140,122 141,010 +888",
        "Nights out segment 14 0 4,210 new",
        "Cash only segment 5 2,900 0 gone",
        "new customers → Often food, mornings 3,120",
        "3 more between 2 other pairs.",
        "merchant absent 28.0% → 31.0%, unseen 8.1%",
        "limit of 1",
        "merchant: the bins that moved most",
        "0.1% → 8.1%",
        "weekday not judged",
        "4 more fields drifted less.",
        "in all 104 s",
        "peak memory 5,210 MB",
        "answered 503, 5 times",
        "s-1111111111111111, s-2222222222222222",
    ):
        assert told in words, told
    assert "weekday: the bins" not in words


def test_a_retraining_tells_the_models_doing_from_the_customers() -> None:
    words = Read(page(RETRAINED)).words
    assert "Retraining on events up to 2025-05-02" in words
    assert "what is different is the new model's doing" in words
    assert "neighbours kept 0.712" in words
    assert "106 min 52 s" in words
    assert "13.9 GB" in words
    assert "the model before m-11223344" in words


def test_a_night_without_anything_says_so_and_leaves_empty_sections_out() -> None:
    read = Read(page(EMPTY))
    assert "table" not in read.tags
    assert "Segments" not in read.words
    assert "none made" in read.words


def test_no_text_of_a_report_can_break_out_of_the_page() -> None:
    evil = "</style><script>alert('x')</script>\"'&<img src=x onerror=y>"
    gate = replace(GATES[0], name=evil, words=evil)
    hurt = replace(
        PUBLISHED,
        as_of=evil,
        reason=evil,
        snapshot=evil,
        previous=evil,
        model=evil,
        previous_model=evil + "2",
        gates=(gate,),
        sources=(SourceIn(evil, 1, 0, 0, 0, 0, 0, 0, 0),),
        segments=(SegmentThen(3, evil, 1, 2),),
        flows=(Flow(3, -1, 5),),
        drift=(replace(PUBLISHED.drift[1], field=evil, bins=((evil, 0.1, 0.9),)),),
        happened=(evil,),
        warnings=(evil,),
        pruned=(evil,),
        vectors={evil: 1.0},
        model_change={evil: 1.0},
        timings={evil: 1.0},
        alerts={},
    )
    read = Read(page(hurt))
    assert read.tags.count("style") == 1
    assert not {"script", "img"} & set(read.tags)
    assert read.words.count("alert('x')") >= 14


def test_a_figure_that_is_not_finite_or_a_limit_far_away_does_not_spoil_it() -> None:
    far = replace(PUBLISHED, gates=(replace(GATES[6], limit=1000.0), replace(GATES[2], figure=float("nan"))))
    words = Read(page(far)).words
    assert "limit of" not in words
    assert "nan" in words
    assert "✗ FAILED" in words
    nobody = replace(PUBLISHED, segments=(SegmentThen(0, "x", 0, 0),), flows=(), timings={"total": 0.0}, drift=())
    assert "gone" in Read(page(nobody)).words


def test_streams_leave_and_enter_bars_within_their_bounds() -> None:
    picture = flow_picture(FLOWS, str, str)
    shown = sorted(FLOWS, key=lambda flow: -flow.customers)[:MOST_FLOWS]
    svg = ElementTree.fromstring(re.findall(r"<svg.*</svg>", picture)[0])
    ribbons = [node.get("d") or "" for node in svg.iter("path")]
    assert len(ribbons) == len(shown)
    height = float(svg.get("viewBox", "").split()[3])
    bars = [(float(n.get("x", "")), float(n.get("y", "")), float(n.get("height", ""))) for n in svg.iter("rect")]
    for ribbon in ribbons:
        numbers = [float(number) for number in re.findall(r"[\d.]+", ribbon)]
        start, end = numbers[1], numbers[7]
        assert any(x == 0 and y - 0.2 <= start <= y + high + 0.2 for x, y, high in bars)
        assert any(x > 0 and y - 0.2 <= end <= y + high + 0.2 for x, y, high in bars)
    for _, y, high in bars:
        assert y >= 0
        assert y + high <= height + 0.2
    left = sum(high for x, _, high in bars if x == 0)
    assert left == pytest.approx(sum(high for x, _, high in bars if x > 0), abs=0.7)


def test_it_is_written_whole_and_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_page(PUBLISHED, tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes() == page(PUBLISHED).encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]
