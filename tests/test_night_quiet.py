"""A night without events: it is told as such, and the next night's events are not taken for those of two days."""

import json
from pathlib import Path

import pytest
from conftest import kinfolk
from night_world import FIRST_DAYS, NightWorld, content, day

from serve.night_facts import Facts, load_facts
from serve.night_files import quiet_until, read_reports
from serve.nightly import run_night
from serve.schemas import NightAnswer


def facts_of(world: NightWorld) -> Facts:
    facts = load_facts(world.workspace.snapshot_folder())
    assert facts is not None
    return facts


@pytest.mark.slow
def test_a_quiet_night_is_told_and_is_no_day_that_is_missing(night: NightWorld, tmp_path: Path) -> None:
    first = night.night(FIRST_DAYS)
    without = night.copy(tmp_path / "without")
    snapshots = content(night.workspace.snapshots)
    quiet = run_night(night.recipe, night.workspace, day(FIRST_DAYS + 1))
    assert (quiet.status, quiet.snapshot, quiet.as_of) == ("nothing_new", None, str(day(FIRST_DAYS + 1)))
    assert content(night.workspace.snapshots) == snapshots
    listed = kinfolk("nights", "--workspace", night.root, "--json", folder=night.folder)
    assert [one["status"] for one in json.loads(listed.stdout)] == ["nothing_new", "published"]
    told = kinfolk("nights", "--workspace", night.root, folder=night.folder)
    assert "nothing_new" in told.stdout, told.stderr
    (found, _) = read_reports(night.workspace, 9)
    assert "No new events up to the end of" in found.page.read_text(encoding="utf-8")
    assert NightAnswer.model_validate({"name": found.folder.name, **found.body}).snapshot is None
    assert quiet_until(night.workspace, str(first.snapshot)) == quiet.as_of
    # the next one's events are of one day; without the quiet night they would be spread over two
    for world in (night, without):
        assert world.night(FIRST_DAYS + 2).status == "published"
    assert facts_of(night).volumes[-1] == 2 * facts_of(without).volumes[-1] > 0
    assert night.workspace.current() != without.workspace.current(), "other facts are another snapshot"
    assert quiet_until(night.workspace, str(night.workspace.current())) is None


def test_the_same_night_again_leaves_the_report_of_the_first(night: NightWorld) -> None:
    night.night(FIRST_DAYS)
    before = content(night.workspace.nights)
    assert run_night(night.recipe, night.workspace, day(FIRST_DAYS)).status == "nothing_new"
    assert content(night.workspace.nights) == before
