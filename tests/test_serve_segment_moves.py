"""Segments from night to night on the command line: moves, one customer's way, names, trend, pictures."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from nights import MOVERS, NAMES, publish_night
from typer.testing import CliRunner, Result

from serve.cli import app
from serve.lineage import Kept, lineage_up_to
from serve.segment_names import names_in_force
from store.catalogue import Catalogue
from store.workspace import Workspace

MOVED = {i for i in MOVERS if i >= 20 and i % 10 != 9}
"""Who moved from segment 0 to 3 between the nights 1 and 2, and is still there."""


class Nights:
    """A workspace of three nights of one line, and the command line on it."""

    def __init__(self, root: Path, *, text: bool = False) -> None:
        self.root = root
        self.names = [publish_night(root, night, text) for night in (1, 2, 3)]

    def run(self, *words: str | Path) -> Result:
        return CliRunner().invoke(app, ["segments", *map(str, words), "--workspace", str(self.root)])

    def told(self, *words: str | Path) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *words: str | Path) -> Any:
        return json.loads(self.told(*words, "--json"))

    def refused(self, *words: str | Path) -> str:
        result = self.run(*words)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        return result.output


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return Nights(tmp_path_factory.mktemp("nights"))


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path / "workspace")


def test_the_matrix_and_the_events_since_the_night_before(read_only: Nights) -> None:
    found = read_only.json("moves")
    assert (found["from"], found["to"]) == tuple(read_only.names[1:])
    assert (found["comparable"], found["note"]) == (True, None)
    assert [row["name"] for row in found["rows"]][-2:] == ["in no segment", "not there before"]
    assert [column["name"] for column in found["columns"]][-2:] == ["in no segment", "gone"]
    assert (found["moved"], found["new"], found["gone"]) == (102, 0, 0)
    moved = [(s["from"], s["to"], s["customers"]) for s in found["streams"] if s["from"] != s["to"]]
    assert moved == [(7, 9, 102)]
    (event,) = found["events"]
    assert event["words"] == "7 (Much wine) split: 9 (Wine at night) left it (agreement 0.90, members 99)."
    told = read_only.told("moves")
    assert event["words"] in told
    assert "102 of 620 customers moved, 0 are new, 0 gone." in told


def test_any_two_nights_can_be_compared_and_gone_and_new_are_told(read_only: Nights) -> None:
    one, two, three = read_only.names
    found = read_only.json("moves", "--from", one, "--to", two)
    assert (found["moved"], found["new"], found["gone"], found["events"]) == (len(MOVED), 40, 20, [])
    assert sum(map(sum, found["counts"])) == 640
    far = read_only.json("moves", "--from", one)
    assert far["to"] == three
    assert far["moved"] > found["moved"]
    assert [event["kind"] for event in far["events"]] == ["split"]
    mine = read_only.json("moves", "--from", one, "--segment", "0")
    assert {0} <= {s["from"] for s in mine["streams"]} | {s["to"] for s in mine["streams"]}
    assert all(0 in (s["from"], s["to"]) for s in mine["streams"])
    assert mine["events"] == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("text", [False, True])
def test_who_moved_and_why_is_written_without_who_objected(tmp_path: Path, suffix: str, text: bool) -> None:
    nights = Nights(tmp_path / "workspace", text=text)
    gone = sorted(MOVED)[0]
    ids = {f"c{i:04d}" if text else i for i in MOVED - {gone}}
    (tmp_path / "who.csv").write_text(f"customer_id\n{f'c{gone:04d}' if text else gone}\n")
    CliRunner().invoke(app, ["objections", "add", str(tmp_path / "who.csv"), "--workspace", str(nights.root)])
    out = tmp_path / f"moved{suffix}"
    told = nights.told("moves", "--from", nights.names[0], "--to", nights.names[1], "--out", out)
    assert f"{len(MOVED)} of 580 customers moved" in told  # counts are of everybody
    assert f"{len(ids)} customers who moved are in {out}." in told
    table = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert table.columns == ["customer_id", "from", "from_name", "to", "to_name", "strength", "why"]
    assert set(table["customer_id"].to_list()) == ids
    assert set(table.select("from", "from_name", "to", "to_name").rows()) == {(0, NAMES[0], 3, NAMES[3])}
    assert all(why.startswith("more shop fuel: ") for why in table["why"])
    with Catalogue(nights.root / "catalogue.db") as catalogue:
        entry = catalogue.audit_log(1)[0]
    assert (entry.action, entry.subject) == ("segments.moves", nights.names[1])
    assert dict(entry.details) == {"from": nights.names[0], "segment": None, "size": len(ids)}


def test_only_those_of_one_segment(read_only: Nights, tmp_path: Path) -> None:
    out, (one, _, _) = tmp_path / "moved.csv", read_only.names
    read_only.told("moves", "--from", one, "--segment", "9", "--out", out)
    table = pl.read_csv(out)
    assert set(table["to"]) == {9}
    assert set(table["why"]) == {"no single behaviour"}  # they do what they did: the segment split
    assert "segment 55 is in neither snapshot" in read_only.refused("moves", "--segment", "55", "--out", out)


def test_snapshots_of_two_lines_are_told_apart(nights: Nights, tmp_path: Path) -> None:
    publish_night(nights.root, 2, lineage="another")
    found = nights.json("moves")
    assert (found["comparable"], found["moved"], found["stayed"], found["events"]) == (False, None, None, [])
    assert "do not belong to one line" in found["note"]
    assert "do not belong to one line" in nights.told("moves")
    refused = nights.refused("moves", "--out", tmp_path / "x.csv")
    assert "nobody can be said to have moved" in " ".join(refused.split())
    assert not (tmp_path / "x.csv").exists()
    assert len(nights.json("history", "25")) == 1  # the others are another line
    assert all(segment["change"] is None for segment in json.loads(nights.told("--json"))["segments"])
    nights.told("flow", tmp_path / "f.png")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("moves", "--from", "s-nobody"), "no snapshot 's-nobody'"),
        (("moves", "--to", "s-nobody"), "no snapshot 's-nobody'"),
        (("moves", "--out", "x.txt"), "must end in"),
        (("moves", "--segment", "55"), "segment 55 is in neither snapshot; there are: 0, 3, 7, 9"),
        (("flow", "x.pdf"), "must end in .png or .html"),
        (("map", "x.jpg"), "must end in .png or .html"),
        (("show", "5"), "no segment 5 here; there are: 0, 3, 7, 9"),
        (("history", "99999"), "no customer '99999'"),
        (("history", "007"), "ids here are whole numbers"),
        (("rename", "5", "x"), "no segment 5"),
        (("rename", "3", " "), "1 to 72"),
        (("rename", "3", "much WINE"), "segment 7 is called 'Much wine' already"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(
    read_only: Nights, words: tuple[str, ...], expected: str
) -> None:
    assert expected in " ".join(read_only.refused(*words).split())


def test_the_first_night_has_none_before(tmp_path: Path) -> None:
    publish_night(tmp_path, 1)
    told = CliRunner().invoke(app, ["segments", "moves", "--workspace", str(tmp_path)])
    assert (told.exit_code, "no snapshot before" in told.output) == (2, True)
    name = Workspace.open(tmp_path).published()[0]
    told = CliRunner().invoke(app, ["segments", "moves", "--from", name, "--workspace", str(tmp_path)])
    assert "is named twice" in told.output


def test_the_way_of_a_customer(read_only: Nights) -> None:
    mover, early, late = sorted(MOVED)[0], 3, 605
    way = read_only.json("history", str(mover))
    assert [(s["snapshot"], s["segment"], s["name"]) for s in way] == [
        (read_only.names[0], 0, NAMES[0]),
        (read_only.names[1], 3, NAMES[3]),
        (read_only.names[2], 3, NAMES[3]),
    ]
    assert [s["published"] for s in way] == sorted(s["published"] for s in way)
    assert [s["there"] for s in read_only.json("history", str(early))] == [True, False, False]
    assert [s["there"] for s in read_only.json("history", str(late))] == [False, True, True]
    assert [s["segment"] for s in read_only.json("history", "29")] == [None] * 3
    assert "in no segment" in read_only.told("history", "29")
    assert "not there" in read_only.told("history", "3")


def test_the_trend_of_every_segment(read_only: Nights) -> None:
    listed = {segment["id"]: segment for segment in json.loads(read_only.told("--json"))["segments"]}
    assert [then["size"] for then in listed[7]["sizes"]] == [180, 186, 84]
    assert [then["snapshot"] for then in listed[7]["sizes"]] == read_only.names
    assert {id: segment["change"] for id, segment in listed.items()} == {0: 0, 3: 0, 7: -102, 9: None}
    assert len(listed[9]["sizes"]) == 1
    told = read_only.told()
    assert "-102 ██▄" in told
    shown = read_only.json("show", "9")
    assert (shown["id"], shown["name"], shown["snapshot"]) == (9, NAMES[9], read_only.names[2])
    assert [event["kind"] for event in shown["events"]] == ["split"]


def test_a_rolled_back_night_is_no_part_of_the_line(nights: Nights) -> None:
    CliRunner().invoke(app, ["rollback", nights.names[1], "--workspace", str(nights.root)])
    workspace = Workspace.open(nights.root)
    assert [kept.name for kept in lineage_up_to(workspace, Kept.load(workspace))] == nights.names[:2]
    behind = Kept.load(workspace, nights.names[2])
    assert [kept.name for kept in lineage_up_to(workspace, behind)] == nights.names


def test_a_name_holds_in_every_snapshot_and_outlives_the_next(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    for night in (1, 2):
        publish_night(root, night)
    run = ["--workspace", str(root)]
    for name in ("Drivers", "Motorists"):
        told = CliRunner().invoke(app, ["segments", "rename", "3", name, *run])
        assert f"Segment 3 is called '{name}'." in told.output
    publish_night(root, 3)
    workspace = Workspace.open(root)
    with Catalogue(workspace.catalogue) as catalogue:
        for name in workspace.published():
            assert names_in_force(Kept.load(workspace, name).segments, catalogue)[3] == "Motorists"
    for words in (["segments"], ["segments", "show", "3"], ["segments", "moves"], ["segments", "history", "25"]):
        told = CliRunner().invoke(app, [*words, *run]).output
        assert "Motorists" in told, words
        assert "Much fuel" not in told or words[-1] == "3"
    similar = CliRunner().invoke(app, ["similar", "25", "-k", "600", *run]).output
    assert "Motorists" in similar
    assert "Much fuel" not in similar
    listed = json.loads(CliRunner().invoke(app, ["segments", "names", "--json", *run]).output)
    assert [(n["name"], n["in_force"], n["made_name"], n["by"]) for n in listed] == [
        ("Drivers", False, "Much fuel", "cli"),
        ("Motorists", True, "Much fuel", "cli"),
    ]
    assert "Motorists" in CliRunner().invoke(app, ["segments", "names", *run]).output


def test_a_made_name_gives_way_to_an_equal_one_that_was_given(tmp_path: Path) -> None:
    for night in (1, 2):
        publish_night(tmp_path, night)
    # "Wine at night" is nobody's name yet; on the third night segment 9 is born and would be called so
    CliRunner().invoke(app, ["segments", "rename", "3", "WINE at night", "--workspace", str(tmp_path)])
    publish_night(tmp_path, 3)
    workspace = Workspace.open(tmp_path)
    with Catalogue(workspace.catalogue) as catalogue:
        names = names_in_force(Kept.load(workspace).segments, catalogue)
    assert (names[3], names[9]) == ("WINE at night", "Wine at night (2)")


def test_pictures_are_drawn_with_the_names_in_force(nights: Nights, tmp_path: Path) -> None:
    nights.told("map", tmp_path / "before.png")
    nights.told("rename", "3", "Motorists")
    for name in ("map.html", "flow.html"):
        nights.told(name.split(".")[0], tmp_path / name)
        page = (tmp_path / name).read_text(encoding="utf-8").split("<div id=", 1)[1]
        assert "Motorists" in page
        assert "Much fuel" not in page
    for name in ("map.png", "again.png"):
        nights.told("map", tmp_path / name)
    assert (tmp_path / "map.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert (tmp_path / "map.png").read_bytes() != (tmp_path / "before.png").read_bytes()
    nights.told("flow", tmp_path / "flow.png", "--from", nights.names[0])
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")


def test_a_really_run_workspace_without_a_line_answers_too(workspace_copy: Any, tmp_path: Path) -> None:
    root = str(workspace_copy.root)
    listed = json.loads(CliRunner().invoke(app, ["segments", "--json", "--workspace", root]).output)["segments"]
    told = CliRunner().invoke(app, ["segments", "rename", str(listed[0]["id"]), "Ours", "--workspace", root])
    assert told.exit_code == 0, told.output
    assert "Ours" in CliRunner().invoke(app, ["segments", "--workspace", root]).output
    told = CliRunner().invoke(app, ["segments", "map", str(tmp_path / "m.html"), "--workspace", root])
    assert "Ours" in (tmp_path / "m.html").read_text(encoding="utf-8")
