"""The night: what it publishes, what it refuses, what it tells."""

import json
import os
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import pytest
from conftest import kinfolk
from night_world import FIRST_DAYS, NightWorld, content, day, largest_difference

import embed.run
import serve.nightly
from configs.errors import BusyError, ConflictError, DataError, InputError, NotFoundError
from embed.config import EmbedConfig
from eventlog.sequences import EventLog
from serve.commands.night import nightly
from serve.night_facts import load_facts
from serve.night_report import Report
from serve.nightly import run_night
from serve.recipe import Recipe, load_recipe
from serve.saved import load_saved
from serve.snapshot import Snapshot
from store.catalogue import Catalogue
from store.workspace import Workspace
from train.artifact import Model

FIRST = FIRST_DAYS
"""The first day that is still to come."""


def with_gates(world: NightWorld, **limits: float) -> None:
    """Change the limits of some gates in the world's recipe."""
    text = world.recipe_file.read_text(encoding="utf-8")
    for name, limit in limits.items():
        lines = [line for line in text.splitlines() if not line.strip().startswith(f"{name}:")]
        text = "\n".join(lines) + f"\n    {name}: {limit}\n"
    world.recipe_file.write_text(text, encoding="utf-8")


def test_a_night_publishes_what_embedding_everybody_would(night: NightWorld, tmp_path: Path) -> None:
    before = Snapshot.load(night.workspace)
    report = night.night(FIRST)
    assert report.status == "published"
    assert report.previous == before.name
    now = Snapshot.load(night.workspace)
    assert now.name == report.snapshot == night.workspace.current()
    parents = now.manifest.parents
    log = EventLog.load(night.workspace.eventlogs / parents["eventlog"])
    model = Model.load(night.workspace.models / parents["model"])
    assert parents["model"] == before.manifest.parents["model"]
    assert parents["snapshot"] == before.manifest.key
    whole = embed.run.run(EmbedConfig(), model, log, tmp_path / "whole")
    assert float(np.abs(now.embeddings.vectors - whole.vectors).max()) < 1e-5
    assert report.customers is not None
    assert report.customers.now == now.n_customers == log.n_customers
    assert report.events["now"] == log.n_events == report.events["before"] + report.events["new"]
    assert report.events["new"] == sum(source.kept for source in report.sources) > 0
    assert sum(segment.now for segment in report.segments) == int((now.segments.labels >= 0).sum())
    assert all(gate.met for gate in report.gates)
    assert {gate.name for gate in report.gates} >= {"counts", "finite", "norms", "recall", "moved", "field_drift"}


def test_a_night_again_changes_nothing(night: NightWorld) -> None:
    first = night.night(FIRST)
    before = content(night.workspace.snapshots)
    report = run_night(night.recipe, night.workspace, day(FIRST))
    assert report.status == "nothing_new"
    assert report.snapshot is None
    assert report.previous == first.snapshot == night.workspace.current()
    assert content(night.workspace.snapshots) == before


@pytest.mark.slow
def test_the_report_is_written_with_its_page_and_told_on_the_command_line(night: NightWorld) -> None:
    as_of = night.arrive(FIRST)
    ran = kinfolk(
        "nightly", night.recipe_file, "--as-of", as_of, "--workspace", night.root, "--json", folder=night.folder
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    folder = night.root / "nights" / f"{as_of}-{told['snapshot']}"
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == told
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert all(f"{gate['name']}" in page for gate in told["gates"])
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(events) == sum(told["alerts"].values())
    assert len({event["id"] for event in events}) == len(events)
    listed = kinfolk("nights", "--workspace", night.root, "--json", folder=night.folder)
    assert [night_told["snapshot"] for night_told in json.loads(listed.stdout)] == [told["snapshot"]]


@pytest.mark.slow
def test_a_failed_gate_holds_the_snapshot_and_accepting_it_publishes(night: NightWorld) -> None:
    with_gates(night, volume=0.2)
    for number in range(FIRST, FIRST + 3):
        assert night.night(number).status == "published"
    with_gates(night, unassigned=0.0, field_drift=1e-6)
    before = night.workspace.current()
    as_of = night.arrive(FIRST + 3)
    words = ["nightly", night.recipe_file, "--as-of", as_of, "--workspace", night.root]
    ran = kinfolk(*words, "--json", folder=night.folder)
    assert ran.returncode == 3, ran.stderr
    assert len([line for line in ran.stderr.splitlines() if line.startswith("Error: ")]) == 1
    told = json.loads(ran.stdout)
    assert told["status"] == "held"
    assert [gate["name"] for gate in told["gates"] if not gate["passed"]] == ["field_drift", "unassigned"]
    assert night.workspace.current() == before
    held = Snapshot.load(night.workspace, told["snapshot"])  # to be looked at
    sealed = content(held.folder)
    some = kinfolk(*words, "--accept", "unassigned", folder=night.folder)
    assert some.returncode == 3
    assert night.workspace.current() == before
    ran = kinfolk(*words, "--accept", "unassigned", "--accept", "field_drift", folder=night.folder)
    assert ran.returncode == 0, ran.stderr
    assert night.workspace.current() == held.name
    assert content(held.folder) == sealed
    with Catalogue(night.workspace.catalogue) as catalogue:
        entries = {entry.action: entry for entry in catalogue.audit_log()}
    assert set(entries["night.accept"].details["gates"]) == {"unassigned", "field_drift"}
    assert set(entries["night.held"].details["gates"]) == {"unassigned", "field_drift"}


@pytest.mark.slow
def test_the_usual_volume_guards_against_half_a_delivery(night: NightWorld) -> None:
    with_gates(night, volume=0.5)
    for number in range(FIRST, FIRST + 3):
        assert night.night(number).status == "published"
    for path in (night.folder / "later").glob(f"*/date={day(FIRST + 3)}"):
        if path.parent.name not in ("call", "branch"):
            path.rename(night.folder / f"lost-{path.parent.name}")
    report = night.night(FIRST + 3)
    assert report.status == "held"
    assert [gate.name for gate in report.gates if not gate.passed] == ["volume"]


def test_what_was_held_is_taken_with_the_next_night(night: NightWorld) -> None:
    with_gates(night, unassigned=0.0)
    assert night.night(FIRST).status == "held"
    with_gates(night, unassigned=1.0)
    report = night.night(FIRST + 1)
    assert report.status == "published"
    facts = load_facts(night.workspace.snapshot_folder())
    assert facts is not None
    assert sum(source.files for source in facts.sources) > 10  # both days' files


@pytest.mark.slow
def test_several_nights_equal_one_over_all_their_days(night: NightWorld, tmp_path: Path) -> None:
    numbers = range(FIRST, FIRST + 5)
    other = night.copy(tmp_path / "other")
    for number in numbers:
        assert night.night(number).status == "published"
    assert other.night(*numbers).status == "published"
    one, many = Snapshot.load(other.workspace), Snapshot.load(night.workspace)
    assert one.manifest.counts == many.manifest.counts
    assert largest_difference(one, many) < 1e-5
    assert np.array_equal(one.behaviour.matrix, many.behaviour.matrix)
    assert one.segments.lineage == many.segments.lineage


@pytest.mark.slow
def test_catching_up_makes_one_night_a_day(night: NightWorld) -> None:
    night.arrive(*range(FIRST, FIRST + 3))
    first, last = day(FIRST), day(FIRST + 2)
    ran = kinfolk(
        *["nightly", night.recipe_file, "--from", first, "--to", last, "--workspace", night.root, "--json"],
        folder=night.folder,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["status"] == "published"
    assert [one["as_of"] for one in told["nights"]] == [str(day(FIRST + i)) for i in range(3)]
    assert all(one["sources"] and one["events"]["new"] for one in told["nights"])
    assert [one["previous"] for one in told["nights"][1:]] == [one["snapshot"] for one in told["nights"][:-1]]


def test_nights_that_went_well_are_told_although_a_later_one_fails(
    night: NightWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ran(recipe: Recipe, workspace: Workspace, as_of: date, *rest: object, **others: object) -> Report:
        if as_of == day(FIRST + 1):
            raise DataError("the second day is not readable")
        return Report("night", "published", str(as_of), "It is served.", "s-a", "s-b", "m", "m")

    monkeypatch.setattr(serve.nightly, "run_night", ran)
    first, last = (datetime.combine(day(FIRST + i), time()) for i in (0, 2))
    with pytest.raises(DataError):
        nightly(night.recipe_file, None, first, last, None, str(night.root), True)
    told = json.loads(capsys.readouterr().out)
    assert [one["as_of"] for one in told["nights"]] == [str(day(FIRST))]


def test_days_that_cannot_be_meant_are_refused(night: NightWorld) -> None:
    before = night.workspace.current()
    with pytest.raises(ConflictError, match="later than the day asked for"):
        run_night(night.recipe, night.workspace, day(FIRST - 2))
    clock = datetime(2025, 1, 5, tzinfo=UTC)  # set back
    with pytest.raises(InputError, match=r"by this machine.s clock .* still to come"):
        run_night(night.recipe, night.workspace, night.arrive(FIRST), now=clock)
    for words, fault in (
        (("--from", "2025-02-03", "--to", "2025-02-01"), "name the earlier day first"),
        (("--from", "2025-02-03"), "belong together"),
        (("--as-of", "2025-02-03", "--to", "2025-02-03"), "give one or the other"),
        (("--as-of", "2025-02-03", "--accept", "norms"), "a snapshot that fails this is wrong"),
        (("--as-of", "9999-12-31"), "still to come"),
        (("--from", "2025-02-03", "--to", "2025-02-04", "--accept", "volume"), "--accept is for one night"),
    ):
        ran = kinfolk("nightly", night.recipe_file, *words, "--workspace", night.root, folder=night.folder)
        assert ran.returncode == 2
        assert fault in ran.stderr
    assert night.workspace.current() == before


def test_without_a_snapshot_there_is_no_night(night: NightWorld, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="kinfolk run"):
        run_night(night.recipe, Workspace.create(tmp_path / "empty"), day(FIRST))


def test_a_second_night_beside_the_first_is_refused_with_its_process(night: NightWorld) -> None:
    as_of = night.arrive(FIRST)
    with night.workspace.lock():
        ran = kinfolk("nightly", night.recipe_file, "--as-of", as_of, "--workspace", night.root, folder=night.folder)
        with pytest.raises(BusyError):
            run_night(night.recipe, night.workspace, as_of)

    assert ran.returncode == 75
    assert f"process {os.getpid()}" in ran.stderr


@pytest.mark.slow
def test_old_snapshots_go_and_those_that_are_needed_stay(night: NightWorld) -> None:
    text = night.recipe_file.read_text(encoding="utf-8").replace("night:\n", "night:\n  keep: 2\n")
    night.recipe_file.write_text(text, encoding="utf-8")
    names = [night.workspace.current(), *(night.night(number).snapshot for number in range(FIRST, FIRST + 3))]
    assert night.workspace.published() == sorted(name for name in names[-2:] if name)
    logs = {path.name for path in night.workspace.eventlogs.iterdir() if not path.name.startswith(".")}
    snapshot = Snapshot.load(night.workspace)
    log = EventLog.load(night.workspace.eventlogs / snapshot.manifest.parents["eventlog"])
    assert set(log.layers) <= logs
    with Catalogue(night.workspace.catalogue) as catalogue:
        assert "prune" in {entry.action for entry in catalogue.audit_log()}


def test_the_nights_recipe_is_no_part_of_a_snapshots_key(night: NightWorld) -> None:
    with_gates(night, unassigned=0.0)
    held = night.night(FIRST)
    assert held.status == "held"
    with_gates(night, unassigned=1.0)
    report = run_night(load_recipe(night.recipe_file), night.workspace, day(FIRST))
    assert (report.status, report.snapshot) == ("published", held.snapshot)


@pytest.mark.slow
def test_saved_audiences_are_refreshed_and_keep_their_snapshot(night: NightWorld) -> None:
    text = night.recipe_file.read_text(encoding="utf-8").replace("night:\n", "night:\n  keep: 2\n")
    night.recipe_file.write_text(text, encoding="utf-8")
    seeds = night.folder / "seeds.csv"
    ids = Snapshot.load(night.workspace).embeddings.customers[:40].to_list()
    seeds.write_text("customer_id\n" + "\n".join(map(str, ids)) + "\n", encoding="utf-8")
    words = ["--size", "100", "--save", "spring", "--workspace", night.root]
    made = kinfolk("audience", "--seeds", seeds, *words, "--out", "out.csv", folder=night.folder)
    assert made.returncode == 0, made.stderr
    report = night.night(FIRST)
    assert not report.warnings
    editions = load_saved(night.workspace, "spring").editions
    assert [edition.snapshot for edition in editions] == [report.previous, report.snapshot]
    # an audience that cannot be refreshed any more is a warning, and its last snapshot stays
    broken = night.root / "saved" / "spring" / "definitions" / "0001" / "request.json"
    broken.write_text("{}", encoding="utf-8")
    reports = [night.night(number) for number in range(FIRST + 1, FIRST + 4)]
    assert all("spring" in warning for one in reports for warning in one.warnings)
    assert all(one.status == "published" for one in reports)
