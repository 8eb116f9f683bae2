"""What the command line tells of segments: definitions, groups, strength, cards, what happened last."""

import json
import math
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from nights import CONDITION, DEFINITION, NAMES, publish_night
from typer.testing import CliRunner, Result

from cluster.events import SegmentEvent
from cluster.groups import about
from cluster.palette import colour_of
from configs.errors import InputError
from serve.cli import app
from serve.lineage import Kept, lineage_up_to
from serve.segment_facts import Told
from serve.segment_groups import companions
from serve.segment_members import core, members
from serve.segment_names import naming_of
from store.catalogue import Catalogue
from store.segment_names import SegmentNames
from store.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden"
EARLY = ("workspace-v1", "workspace-v2", "workspace-v3")
"""Golden workspaces whose segments are of the first format."""


class Nights:
    """A workspace of three nights of one line, and the command line on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = [publish_night(root, night) for night in (1, 2, 3)]

    def run(self, *words: str | Path) -> Result:
        return CliRunner().invoke(app, ["segments", *map(str, words), "--workspace", str(self.root)])

    def told(self, *words: str | Path) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *words: str | Path) -> Any:
        return json.loads(self.told(*words, "--json"))


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    return Nights(tmp_path_factory.mktemp("nights"))


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path / "workspace")


@pytest.fixture(params=EARLY)
def early(request: pytest.FixtureRequest, tmp_path: Path) -> Nights:
    """A workspace of an earlier version, whose segments have neither identities nor definitions."""
    root = tmp_path / "workspace"
    shutil.copytree(GOLDEN / request.param, root)
    opened = sqlite3.connect(root / "catalogue.db")
    opened.executescript((root / "catalogue.sql").read_text(encoding="utf-8"))
    opened.close()
    workspace = Nights.__new__(Nights)
    workspace.root, workspace.names = root, Workspace.create(root).published()
    return workspace


def objecting(nights: Nights, customer: int, path: Path) -> None:
    path.write_text(f"customer_id\n{customer}\n")
    result = CliRunner().invoke(app, ["objections", "add", str(path), "--workspace", str(nights.root)])
    assert result.exit_code == 0, result.output


def test_a_definition_is_told_with_how_well_it_fits(read_only: Nights) -> None:
    told = read_only.told("show", "3")
    assert DEFINITION.text in told
    assert "(precision 93 %, recall 87 % on customers it was not sought on)" in told
    assert "No rule of few conditions says who is in it." in read_only.told("show", "0")
    shown = read_only.json("show", "3")["definition"]
    assert (shown["text"], shown["precision"], shown["recall"]) == (DEFINITION.text, 0.934, 0.871)
    assert [(one["text"], one["threshold"]) for one in shown["conditions"]] == [(CONDITION.text, 0.3)]
    assert DEFINITION.text not in read_only.told()  # the list stays a list


def test_parts_birth_stability_and_past_are_shown(read_only: Nights) -> None:
    told = read_only.told("show", "3")
    for words in (
        "Often early",
        "0.91 firm",
        "0.70 tentative",
        "born in generation  1",
        "stability           0.90 firm",
    ):
        assert words in told, words
    parts = read_only.json("show", "3")["parts"]
    assert [(part["number"], part["standing"]) for part in parts] == [(1, "firm"), (2, "tentative")]
    born = read_only.json("show", "9")
    assert (born["born"], born["parts"], [event["kind"] for event in born["events"]]) == (3, [], ["split"])
    assert "born in generation  3" in read_only.told("show", "9")


def test_what_happened_last_is_said_in_words_and_with_evidence_as_json(read_only: Nights) -> None:
    assert "Segment 7 (Much wine) split: 9 (Wine at night) left it.\n" in read_only.told()
    found = read_only.json()
    (event,) = found["events"]
    assert (event["kind"], event["segment"], event["others"], found["generation"]) == ("split", 7, [9], 3)
    assert event["evidence"] == {"members": 99.0, "agreement": 0.9}
    # the night before, nothing had happened
    assert read_only.json("--snapshot", read_only.names[1])["events"] == []
    assert "split" not in read_only.told("--snapshot", read_only.names[1])


def test_a_segment_that_is_gone_is_told_by_its_last_name(nights: Nights) -> None:
    workspace = Workspace.open(nights.root)
    lineage = lineage_up_to(workspace, Kept.load(workspace))
    events = (SegmentEvent("died", 7, (), 3, {}), SegmentEvent("merged", 3, (0,), 3, {}))
    profiles = tuple(p for p in lineage[-1].segments.profiles if p.id not in (3, 7))
    last = replace(lineage[-1], segments=replace(lineage[-1].segments, profiles=profiles, events=events))
    nights.told("rename", "7", "Drinkers")
    with Catalogue(workspace.catalogue) as catalogue:
        told = Told([*lineage[:-1], last], naming_of(last.segments, SegmentNames(catalogue)))
    assert [event["words"] for event in told.listing()["events"]] == [
        "7 (Drinkers) died.",
        "3 (Much fuel) merged into 0 (Few events).",
    ]


def test_few_groups_hold_all_segments(read_only: Nights) -> None:
    found = read_only.json("--about", "2")
    groups = found["groups"]
    assert len(groups) == 2
    assert sorted(segment for group in groups for segment in group["segments"]) == [0, 3, 7, 9]
    assert [group["size"] for group in groups] == sorted((group["size"] for group in groups), reverse=True)
    assert sum(group["size"] for group in groups) == found["customers"] - found["unassigned"]
    single = next(group for group in groups if len(group["segments"]) == 1)
    assert (single["segments"], single["name"]) == ([9], NAMES[9])
    assert all(group["drivers"] for group in groups)
    told = read_only.told("--about", "2")
    assert all(name in told for name in [*NAMES.values(), groups[0]["name"]])
    assert [len(read_only.json("--about", str(n))["groups"]) for n in (1, 3, 4, 50)] == [1, 3, 4, 4]
    assert read_only.json()["groups"] is None


def test_groups_of_many_customers_are_named_from_a_sample_and_counted_in_full(
    read_only: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept.load(Workspace.open(read_only.root))
    whole = about(kept.segments, kept.behaviour, 2, NAMES)
    monkeypatch.setattr("cluster.groups.SAMPLED", 300)
    sampled = about(kept.segments, kept.behaviour, 2, NAMES)
    assert [(g.id, g.name, g.segments, g.size, g.share) for g in sampled] == [
        (g.id, g.name, g.segments, g.size, g.share) for g in whole
    ]
    assert sampled == about(kept.segments, kept.behaviour, 2, NAMES)
    assert sampled[0].drivers != whole[0].drivers
    assert sampled[1].drivers == kept.segments.profile(9).drivers  # type: ignore[union-attr]


def test_each_of_fewer_groups_is_a_union_of_more(read_only: Nights) -> None:
    segments = Kept.load(Workspace.open(read_only.root)).segments
    for number in (1, 2, 3):
        fewer, more = companions(segments, number), companions(segments, number + 1)
        assert all(set(more[segment]) <= set(fewer[segment]) for segment in fewer)
    listed = {segment["id"]: segment["group"] for segment in read_only.json("--about", "2")["segments"]}
    assert listed == {0: [0, 3, 7], 3: [0, 3, 7], 7: [0, 3, 7], 9: [9]}
    assert read_only.json("show", "7")["group"] == [7]  # of about seven groups


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_core_of_a_segment_is_written_without_who_objected(nights: Nights, tmp_path: Path, suffix: str) -> None:
    kept = Kept.load(Workspace.open(nights.root))
    labels, strength = kept.segments.labels, kept.segments.strength
    ids = kept.embeddings.customers.to_numpy()
    everybody, firm = ids[labels == 3], ids[(labels == 3) & (strength >= np.float32(0.7))]
    assert 0 < len(firm) < len(everybody)
    objecting(nights, int(firm[0]), tmp_path / "who.csv")
    out = tmp_path / f"core{suffix}"
    assert f"{len(firm) - 1} customers of segment 3 are in {out}." in nights.told(
        "members", "3", out, "--least-strength", "0.7"
    )
    table = pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)
    assert table.columns == ["customer_id", "strength", "second", "second_strength", "part"]
    assert table["customer_id"].to_list() == firm[1:].tolist()
    assert math.isclose(float(table["strength"].min()), 0.7, abs_tol=1e-6)  # type: ignore[arg-type]
    assert set(table["second"]) == {7}
    assert set(table["part"]) == {0, 1, 2}
    with Catalogue(nights.root / "catalogue.db") as catalogue:
        entry = catalogue.audit_log(1)[0]
    assert (entry.actor, entry.action, entry.subject) == ("cli", "segments.members", nights.names[2])
    assert dict(entry.details) == {"segment": 3, "least_strength": 0.7, "size": len(firm) - 1}
    nights.told("members", "3", out)
    assert len(pl.read_csv(out) if suffix == ".csv" else pl.read_parquet(out)) == len(everybody) - 1


@pytest.mark.parametrize("least", [-0.1, 1.1, math.nan])
def test_a_least_strength_that_cannot_be_is_refused(read_only: Nights, least: float) -> None:
    segments = Kept.load(Workspace.open(read_only.root)).segments
    with pytest.raises(InputError, match="accepted is 0"):
        core(segments, np.arange(5), least)


def test_everybodys_next_best_and_part_are_exported(read_only: Nights, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    result = CliRunner().invoke(app, ["export", "segments", str(out), "--workspace", str(read_only.root)])
    assert result.exit_code == 0, result.output
    table, kept = pl.read_parquet(out), Kept.load(Workspace.open(read_only.root))
    assert table.columns == ["customer_id", "segment", "strength", "second", "second_strength", "part"]
    for name, column in (
        ("segment", kept.segments.labels),
        ("second", kept.segments.members.second),
        ("second_strength", kept.segments.members.second_strength),
        ("part", kept.segments.members.part),
    ):
        assert table[name].to_numpy().tolist() == column.tolist()
    found = members(kept, 3)
    assert found.equals(table.filter(segment=3).select(found.columns))


def test_a_card_has_the_name_in_force_the_colour_and_the_trend(nights: Nights, tmp_path: Path) -> None:
    nights.told("rename", "3", "Motorists")
    page, picture = tmp_path / "card.html", tmp_path / "card.png"
    assert f"The card of segment 3 (Motorists) is in {page}." in nights.told("card", "3", page)
    text = page.read_text(encoding="utf-8")
    sizes = [then["size"] for then in nights.json("show", "3")["sizes"]]
    assert len(sizes) == 3
    for words in ("Motorists", CONDITION.text[1:], "93 % are members", colour_of(3), *(f": {size}<" for size in sizes)):
        assert words in text, words
    assert NAMES[3] not in text
    assert "Typical customers" not in text
    nights.told("card", "3", picture)
    nights.told("card", "3", tmp_path / "again.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.read_bytes() == (tmp_path / "again.png").read_bytes()


def test_a_card_names_typical_customers_only_when_asked_and_none_who_objected(nights: Nights, tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    (typical,) = nights.json("show", "3")["typical"]
    nights.told("card", "3", page, "--typical")
    assert f"<h2>Typical customers</h2>\n<ul><li>{typical}</li></ul>" in page.read_text(encoding="utf-8")
    with Catalogue(nights.root / "catalogue.db") as catalogue:
        entry = catalogue.audit_log(1)[0]
        assert (entry.action, dict(entry.details)) == ("segments.card", {"segment": 3, "size": 1})
        objecting(nights, typical, tmp_path / "who.csv")
        nights.told("card", "3", page, "--typical")
        assert catalogue.audit_log(1)[0].action != "segments.card"  # nobody was named
    assert "Typical customers" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--about", "0"), "at least 1 is possible"),
        (("card", "5", "x.png"), "no segment 5 here; there are: 0, 3, 7, 9"),
        (("card", "3", "x.pdf"), "must end in .png or .html"),
        (("card", "3", "x.png", "--typical"), "--typical needs a page (.html)"),
        (("members", "5", "x.csv"), "no segment 5 here"),
        (("members", "3", "x.txt"), "must end in"),
        (("members", "3", "x.csv", "--least-strength", "1.5"), "accepted is 0 (everybody) to 1"),
        (("members", "3", "x.csv", "--least-strength", "nan"), "accepted is 0 (everybody) to 1"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(
    read_only: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = read_only.run(*words)
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert expected in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


def test_snapshots_of_earlier_versions_answer_too(early: Nights, tmp_path: Path) -> None:
    found = early.json()
    first = found["segments"][0]
    assert all(segment["name"] in early.told() for segment in found["segments"])
    assert (found["events"], first["definition"], first["parts"], first["group"]) == ([], None, [], None)
    id = str(first["id"])
    assert "Not told: it was found before segments had definitions." in early.told("show", id)
    assert early.json("show", id)["size"] == first["size"]
    refused = early.run("--about", "1")
    assert refused.exit_code == 2
    assert "found by an earlier version of kinfolk" in " ".join(refused.output.split())
    assert len(early.json("--about", "50")["groups"]) == len(found["segments"])
    out = tmp_path / "members.csv"
    early.told("members", id, out)
    table = pl.read_csv(out)
    assert (len(table), set(table["second"]), set(table["part"])) == (first["size"], {-1}, {0})
    early.told("card", id, tmp_path / "card.html")
    assert first["name"].split(",")[0] in (tmp_path / "card.html").read_text(encoding="utf-8")
