"""What becomes of segments hangs on the days that passed, and not on how often there were nights."""

import json
from pathlib import Path

import pytest
from conftest import kinfolk
from night_world import FIRST_DAYS as FIRST
from night_world import NightWorld, content, day

from cluster.artifact import day_along_line
from configs.errors import InputError
from serve.nightly import days_of, run_night

EVERY = 3
NIGHTS = 5


@pytest.fixture
def late(night: NightWorld) -> NightWorld:
    """Five days that nobody took, and looks for new segments every three."""
    text = night.recipe_file.read_text(encoding="utf-8")
    assert text.count("shadow_every: 1\n") == 1
    night.recipe_file.write_text(text.replace("shadow_every: 1\n", f"shadow_every: {EVERY}\n"), encoding="utf-8")
    night.arrive(*range(FIRST, FIRST + NIGHTS))
    return night


def looked(world: NightWorld) -> list[bool]:
    """Of every snapshot, oldest first, whether new segments were looked for in it."""
    found = []
    for name in world.workspace.trail():
        figures = json.loads((world.root / "snapshots" / name / "segments" / "manifest.json").read_text())["figures"]
        found.append(bool(figures.get("shadow")))
    return found


def test_a_night_for_many_days_stops_where_looks_are_due(late: NightWorld, tmp_path: Path) -> None:
    every_night = late.copy(tmp_path / "other")
    assert days_of(late.recipe, late.workspace, day(FIRST + 4)) == [day(FIRST + 2), day(FIRST + 4)]
    assert days_of(late.recipe, late.workspace, day(FIRST + 1)) == [day(FIRST + 1)]
    ran = kinfolk(
        "nightly", late.recipe_file, "--as-of", str(day(FIRST + 4)), "--workspace", late.root, "--json",
        folder=late.folder,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["as_of"], told["status"]) == (str(day(FIRST + 4)), "published")
    assert [one["as_of"] for one in told["nights"]] == [str(day(FIRST + 2)), str(day(FIRST + 4))]
    for number in range(FIRST, FIRST + NIGHTS):
        run_night(every_night.recipe, every_night.workspace, day(number))
    assert looked(late) == [False, True, False]
    assert looked(every_night) == [False, False, False, True, False, False]
    ends = [world.workspace.snapshot_folder() / "segments" for world in (late, every_night)]
    assert [day_along_line(end) for end in ends] == [1 + NIGHTS, 1 + NIGHTS]


def test_accepting_is_for_the_night_that_was_held(late: NightWorld) -> None:
    text = late.recipe_file.read_text(encoding="utf-8")
    late.recipe_file.write_text(text.replace("field_drift: 100", "field_drift: 0.000001"), encoding="utf-8")
    asked = ("nightly", late.recipe_file, "--as-of", str(day(FIRST + 4)), "--workspace", late.root, "--json")
    for accept, days in (((), [2]), (("--accept", "field_drift"), [2, 4])):
        ran = kinfolk(*asked, *accept, folder=late.folder)
        assert ran.returncode == 3, ran.stderr
        told = json.loads(ran.stdout)
        assert [one["as_of"] for one in told.get("nights", [told])] == [str(day(FIRST + number)) for number in days]
    ran = kinfolk(*asked, "--accept", "field_drift", folder=late.folder)
    assert ran.returncode == 0, ran.stderr
    assert "nights" not in json.loads(ran.stdout)


def test_nothing_is_asked_of_days_to_come_or_gone(late: NightWorld) -> None:
    before = content(late.root / "snapshots")
    with pytest.raises(InputError, match="still to come"):
        days_of(late.recipe, late.workspace, day(FIRST + 100_000))
    assert days_of(late.recipe, late.workspace, day(0)) == [day(0)]
    assert content(late.root / "snapshots") == before
