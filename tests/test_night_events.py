"""Events of a night: who moved, who was unlike themselves; each once, in order, and the same bytes always."""

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nights as world
import numpy as np
import pytest
from nights import MOVERS, NAMES, N, publish_night

from configs.errors import InputError
from serve.lineage import Kept
from serve.moves import Comparison
from serve.night_events import event_id, write_events
from store.workspace import Workspace

MOVED = [i for i in MOVERS if i >= 20 and i % 10 != 9]
SHIFTED = (30, 101, 302)
"""Customers who are at the fuel station alone on the second night; the first of them moved, too."""
WRITTEN = world.behaviour_of


def busy(customers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As `nights.behaviour_of`, with whole numbers of events and twenty new ones for everybody on the second night."""
    rng = np.random.default_rng(1)
    labels = np.where(world.labels_of(1, customers) == 3, 3, 0)  # most are alike, so that who is not stands out
    before, chance = WRITTEN(customers, labels), rng.uniform(0, 1, (N + 100, 20))[customers]
    before[:, 0] = 100
    before[:, 1:3] = np.rint(before[:, 1:3] * 100) / 100
    if customers[0] == 0:
        return before
    fuel, wine = (before[:, i] for i in (1, 2))
    more = [(chance < fuel[:, None]).sum(axis=1), (chance > 1 - wine[:, None]).sum(axis=1)]
    shifted = np.isin(customers, SHIFTED)
    new = [np.where(shifted, 20, more[0]), np.where(shifted, 0, more[1])]
    after = before.copy()
    after[:, 0] = 120
    for i, some in enumerate(new, start=1):
        after[:, i] = (before[:, i] * 100 + some) / 120
    return after


@pytest.fixture(scope="module", params=[False, True], ids=["numbers", "text"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("events")
    with patch.object(world, "behaviour_of", busy):
        names = [publish_night(root, night, text=request.param) for night in (1, 2)]
    one, two = (Kept.load(Workspace(root), name) for name in names)
    return Comparison(one, two, (NAMES, NAMES))


def written(pair: Comparison, path: Path, **options: Any) -> list[dict[str, Any]]:
    write_events(pair, "2025-05-01", path, **options)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number(event: dict[str, Any]) -> int:
    return int(event["customer"].lstrip("c"))


def test_who_moved_is_told_with_where_how_firmly_and_why(pair: Comparison, tmp_path: Path) -> None:
    moved = [event for event in written(pair, tmp_path / "e.jsonl") if event["kind"] == "moved"]
    assert [number(event) for event in moved] == MOVED
    first = moved[0]
    assert first["from"] == {"id": 0, "name": "Few events"}
    assert first["to"] == {"id": 3, "name": "Much fuel"}
    assert 0.5 <= first["strength"] <= 0.9
    assert isinstance(first["why"], str)
    assert (first["snapshot"], first["previous"]) == (pair.later.name, pair.earlier.name)
    assert (first["as_of"], first["cause"]) == ("2025-05-01", "customer")


def test_who_was_unlike_themselves_is_told_with_figures_and_words(pair: Comparison, tmp_path: Path) -> None:
    shifted = [event for event in written(pair, tmp_path / "e.jsonl") if event["kind"] == "shifted"]
    assert [number(event) for event in shifted] == list(SHIFTED)
    by_number = {number(event): event for event in shifted}
    told = by_number[101]
    assert told["z"] >= 3.5
    assert (told["new_events"], told["events_before"]) == (20, 100)
    assert 0 <= told["distance"] <= 2
    assert told["behaviours"][0]["feature"] == "shop=FUEL"
    assert told["behaviours"][0]["after"] == 1.0
    assert told["behaviours"][0]["before"] < 0.1
    assert told["why"].startswith("more shop fuel: ")


def test_nobody_is_told_of_twice_and_the_order_is_by_customer_and_kind(pair: Comparison, tmp_path: Path) -> None:
    events = written(pair, tmp_path / "e.jsonl", shift_z=0.1)
    customers = [str(customer) for customer in pair.later.embeddings.customers]
    places = [(customers.index(event["customer"]), event["kind"]) for event in events]
    assert places == sorted(set(places))
    assert any(a[0] == b[0] for a, b in pairwise(places)), "both kinds of one customer"
    assert len({event["id"] for event in events}) == len(events)
    for event in events:
        assert event["id"] == event_id(pair.later.name, event["customer"], event["kind"])


def test_the_threshold_decides_who_is_told_of(pair: Comparison, tmp_path: Path) -> None:
    found = [
        {number(event) for event in written(pair, tmp_path / "e.jsonl", shift_z=z) if event["kind"] == "shifted"}
        for z in (1.0, 3.5, 1e6)
    ]
    assert found[0] > found[1] > found[2] == set()


def test_the_same_snapshots_give_the_same_bytes_and_the_counts_are_those_of_the_file(
    pair: Comparison, tmp_path: Path
) -> None:
    counts = [write_events(pair, "2025-05-01", tmp_path / f"{i}.jsonl") for i in (1, 2)]
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "1.jsonl").read_text().splitlines()]
    assert counts[0] == {kind: sum(line["kind"] == kind for line in lines) for kind in ("moved", "shifted")}


def test_in_small_pieces_the_bytes_are_the_same(
    pair: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(pair, tmp_path / "whole.jsonl", shift_z=1.0)
    monkeypatch.setattr("serve.night_events.PIECE", 3)
    assert written(pair, tmp_path / "pieces.jsonl", shift_z=1.0) == whole


def test_no_name_can_break_a_line(pair: Comparison, tmp_path: Path) -> None:
    odd = 'a\nb\x85c\u2028d\u2029e"f'
    write_events(replace(pair, names=(NAMES, {**NAMES, 3: odd})), "2025-05-01", tmp_path / "e.jsonl")
    lines = (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()
    moved = [event for event in map(json.loads, lines) if event["kind"] == "moved"]
    assert len(moved) == len(MOVED)
    assert moved[0]["to"]["name"] == odd


def test_who_changed_nothing_is_not_looked_at(pair: Comparison, tmp_path: Path) -> None:
    same = Comparison(pair.later, pair.later, pair.names)
    with patch("cluster.surprise.Habits.scores", lambda *_: np.zeros(0)):
        assert write_events(same, "2025-05-01", tmp_path / "e.jsonl") == {"moved": 0, "shifted": 0}
    assert (tmp_path / "e.jsonl").read_bytes() == b""


def test_snapshots_of_two_lines_tell_of_no_moves(pair: Comparison, tmp_path: Path) -> None:
    root = tmp_path / "other"
    with patch.object(world, "behaviour_of", busy):
        name = publish_night(root, 2, text=not pair.later.embeddings.customers.dtype.is_integer(), lineage="another")
    other = Comparison(pair.earlier, Kept.load(Workspace(root), name), (NAMES, NAMES))
    with pytest.raises(InputError):
        other.movers()
    counts = write_events(other, "2025-05-01", tmp_path / "e.jsonl", cause="model")
    assert counts["moved"] == 0
    assert counts["shifted"] > 0


def test_killed_while_writing_the_file_before_stays(
    pair: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e.jsonl"
    before = written(pair, path)
    rename, seen = os.replace, []

    def killed(source: Path, target: Path) -> None:
        seen.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_events(pair, "2025-05-02", path)
    monkeypatch.setattr(os, "replace", rename)
    assert seen
    assert [json.loads(line) for line in path.read_text().splitlines()] == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.jsonl"]
