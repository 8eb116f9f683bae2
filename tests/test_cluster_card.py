"""Profile cards: the figures that they show, the same bytes every time, nothing over anything else, no customer."""

import re
import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cluster.card import Card, density_of, draw_card, rows_of
from cluster.card_page import write_card
from cluster.definition import Condition, Definition
from cluster.profile import Driver

DRIVERS = (
    Driver("amount[kind=salary]", "share of amount with kind = salary", "share", "kind", "salary",
           0.487, 0.338, 1.44, 0.59, 1.0),
    Driver("kind=grant", "share of events with kind = grant", "share", "kind", "grant",
           0.00007, 0.035, 0.002, -0.31, 1.0),
    Driver("events", "number of events", "count", None, None, 1234.0, 4936.0, 0.25, -170.4, 1.0),
    Driver("noise:mean", "average noise", "amount", "noise", None, -0.5, 0.25, None, -2.0, 1.0),
    Driver("chain:distinct", "number of different chain", "count", "chain", None, 0.0, 0.0, None, 0.0, 1.0),
)  # fmt: skip


def card(**changes: Any) -> Card:
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(2_000, 2)).astype(np.float32)
    conditions = (
        Condition("events", "number of events", False, 1500, "at most 1,500 events"),
        Condition("kind=<grant>", "", True, 0.1, "at least 10 % of events with kind <grant>"),
    )
    whole = Card(
        name="A lot of <salary> & $rent$, rarely active",
        size=1_200,
        share=0.236,
        stability=0.8,
        definition=Definition(conditions, 0.814, 0.8, "as above"),
        drivers=DRIVERS,
        typical=("customer-4711", 815),
        trend=(("2026-01-01", 900), ("2026-02-01", 1_000), ("2026-03-01", 1_200)),
        positions=positions,
        members=positions[:, 0] > 1,
        colour="#009e73",
    )
    return replace(whole, **changes)


LONG = "extraordinarily long words about nothing in particular " * 5
CASES = {
    "whole": {},
    "no map": {"positions": None, "members": None},
    "no trend": {"trend": ()},
    "one snapshot": {"trend": (("now", 5),)},
    "bare": {"positions": None, "members": None, "trend": (), "definition": None, "drivers": ()},
    "long": {
        "name": LONG,
        "definition": Definition(tuple(Condition("x", "", True, 1, LONG) for _ in range(4)), 0.5, 0.5, ""),
        "drivers": tuple(replace(DRIVERS[0], value=LONG, words=f"share of events with {LONG}") for _ in range(12)),
        "trend": tuple((LONG, 1_000_000 + i) for i in range(60)),
    },
    "gone": {"size": 0, "share": 0.0, "members": np.zeros(2_000, bool), "trend": (("a", 0), ("b", 0))},
}  # fmt: skip


def test_rows_show_segment_beside_everybody() -> None:
    rows = rows_of(card())
    assert [(r.label, r.segment, r.everybody, r.lift, r.z) for r in rows] == [
        ("Share of amount with kind salary", "48.7 %", "33.8 %", "×1.4", "+0.6"),
        ("Share of events with kind grant", "under 0.1 %", "3.5 %", "under ×0.01", "−0.3"),
        ("Number of events", "1,230", "4,940", "×0.25", "−170"),
        ("Average noise", "-0.5", "0.25", "–", "−2.0"),
        ("Number of different chains", "0", "0", "–", "0.0"),
    ]
    assert [r.lengths for r in rows[2:]] == [(0.25, 1.0), (1.0, 0.5), (0.0, 0.0)]


def test_the_density_is_of_everybody_and_of_members() -> None:
    found = density_of(card(), (40, 30))
    assert found is not None
    everybody, mine = found
    assert everybody.shape == mine.shape == (30, 40)
    assert everybody.max() == mine.max() == 1.0
    # members are those on the right
    assert mine[:, :20].sum() == 0
    assert everybody[:, :20].sum() > 0
    assert density_of(card(members=None), (40, 30)) is None


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_picture_is_the_same_every_time_and_no_text_is_over_another(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **kwargs: Any) -> None:
        sheets.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_card(tmp_path / "a.png", card(**CASES[case]))
    draw_card(tmp_path / "b.png", card(**CASES[case], typical=()))
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes(), "it differs, or typical customers are on the picture"
    assert struct.unpack(">II", data[16:24]) == (1600, 1200)
    assert b"Matplotlib" not in data
    boxes = [(t.get_text(), t.get_window_extent()) for t in sheets[0].findobj(Text) if t.get_text().strip()]
    assert len(boxes) > 3
    for i, (text, box) in enumerate(boxes):
        assert box.x0 >= 0, text
        assert box.x1 <= 1600, text
        assert box.y0 >= 0, text
        assert box.y1 <= 1200, text
        for other, there in boxes[:i]:
            across = min(box.x1, there.x1) - max(box.x0, there.x0)
            along = min(box.y1, there.y1) - max(box.y0, there.y0)
            assert across <= 0 or along <= 1, (text, other)


@pytest.mark.parametrize("case", CASES)
def test_a_page_is_whole_by_itself_and_names_no_customer(case: str, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_card(tmp_path / name, card(**CASES[case]))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "4711" not in page
    assert "815<" not in page
    assert "<script" not in page
    assert re.search(r"(src|href)=|url\(|https?:", page) is None
    # everything is escaped and closed: it can be read as XML but for the tags of HTML that are never closed
    body = page.split("<body>")[1].split("</body>")[0].replace("<br>", "<br/>").replace("<hr>", "<hr/>")
    tree = ElementTree.fromstring(f"<body>{body}</body>")
    assert (tree.findtext("h1") or "") == card(**CASES[case]).name


def test_a_page_tells_all_and_typical_customers_only_when_asked(tmp_path: Path) -> None:
    write_card(tmp_path / "card.html", card(), typical=True)
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    for text in (
        "1,200 customers, 23.6 % of all · stability 0.80, stable",
        "<li>At most 1,500 events</li>",
        "<li>At least 10 % of events with kind &lt;grant&gt;</li>",
        "Of the customers whom this fits, 81 % are members; it fits 80 % of the members.",
        "Share of amount with kind salary",
        "48.7 %",
        "<li>customer-4711</li><li>815</li>",
        "2026-02-01: 1,000",
    ):
        assert text in page
    write_card(tmp_path / "card.html", card(definition=None, drivers=()))
    bare = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "No rule of few conditions" in bare
    assert "No behaviour differs clearly" in bare
