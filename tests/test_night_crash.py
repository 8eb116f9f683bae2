"""A night killed anywhere leaves what was served, and started again ends with the bytes of one never disturbed."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import forked
import pytest
from night_world import FIRST_DAYS, NightWorld, content, day

from configs.errors import ArtifactError, DataError, StorageError
from serve.nightly import run_night
from store.workspace import Workspace

KILLS = 5
"""In `python -m bench.night_kill` 200."""


def words(world: NightWorld) -> list[str]:
    as_of = day(FIRST_DAYS)
    return ["nightly", str(world.recipe_file), "--as-of", str(as_of), "--workspace", str(world.root)]


def started(world: NightWorld, **how: Any) -> forked.Command:
    return forked.start(*words(world), folder=world.folder, **how)


def published(world: NightWorld) -> dict[str, bytes]:
    """Every byte that the night published: the snapshot and its log."""
    workspace = world.workspace
    manifest = workspace.manifest()
    folders = (workspace.snapshot_folder(), workspace.eventlogs / manifest.parents["eventlog"])
    return {f"{folder.name}/{name}": data for folder in folders for name, data in content(folder).items()}


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(night: NightWorld, tmp_path: Path) -> None:
    night.arrive(FIRST_DAYS)
    undisturbed = night.copy(tmp_path / "undisturbed")
    forked.start("--version", folder=tmp_path).ended()  # from here on nothing is imported any more
    begun = time.monotonic()
    calm = started(undisturbed)
    assert calm.ended() == 0, calm.err
    took = time.monotonic() - begun
    before, rng = night.workspace.current(), random.Random(11)
    killed = 0
    for number in range(KILLS):  # one in each fifth of the night
        killed += started(night).ended((number + rng.random()) / KILLS * took) == -signal.SIGKILL
        served = night.workspace.current()
        assert served in (before, undisturbed.workspace.current())
        night.workspace.verify_snapshot(served)
    assert killed  # on a machine where every night was through before, nothing would be tested
    last = started(night)
    assert last.ended() == 0, last.err
    assert night.workspace.current() == undisturbed.workspace.current()
    assert published(night) == published(undisturbed)
    assert list(night.workspace.staging.iterdir()) == []


@pytest.mark.slow
def test_killed_after_the_pointer_moved_the_next_ones_bring_it_to_its_end(night: NightWorld, tmp_path: Path) -> None:
    night.arrive(FIRST_DAYS)
    undisturbed = night.copy(tmp_path / "undisturbed")
    calm = run_night(undisturbed.recipe, undisturbed.workspace, day(FIRST_DAYS))
    for step in ("finished", "write_events", "refreshed_audiences", "prune", "write_report"):
        dying = started(night, before=forked.die_after_publishing, given=(step,))
        assert dying.ended() == -signal.SIGKILL, dying.err
        assert night.workspace.current() == calm.snapshot
    report = run_night(night.recipe, night.workspace, day(FIRST_DAYS))
    assert (report.status, report.snapshot) == ("published", calm.snapshot)
    folder = f"{report.as_of}-{report.snapshot}"
    for name in ("events.jsonl", "page.html", "report.json"):
        assert (night.root / "nights" / folder / name).exists()
    told = [(world.root / "nights" / folder / "events.jsonl").read_bytes() for world in (night, undisturbed)]
    assert told[0] == told[1]
    assert run_night(night.recipe, night.workspace, day(FIRST_DAYS)).status == "nothing_new"


def test_an_event_file_that_is_cut_off_is_refused_and_nothing_changes(night: NightWorld) -> None:
    as_of = night.arrive(FIRST_DAYS)
    path = next((night.folder / "bank" / "card").glob(f"date={as_of}/part.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    before = content(night.workspace.snapshots), sorted(os.listdir(night.workspace.eventlogs))
    with pytest.raises(DataError, match=r"card.*part\.parquet"):
        run_night(night.recipe, night.workspace, as_of)
    assert (content(night.workspace.snapshots), sorted(os.listdir(night.workspace.eventlogs))) == before
    path.write_bytes(whole)
    assert run_night(night.recipe, night.workspace, as_of).status == "published"


def test_a_flipped_bit_in_what_a_night_goes_on_from_is_refused(night: NightWorld) -> None:
    as_of, rng = night.arrive(FIRST_DAYS), random.Random(3)
    folder = night.workspace.snapshot_folder()
    before = night.workspace.current()
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    for path in [*paths, *rng.choices(paths, k=20)]:
        raw = bytearray(path.read_bytes())
        place, bit = rng.randrange(len(raw)), rng.randrange(8)
        raw[place] ^= 1 << bit
        path.write_bytes(raw)
        with pytest.raises(ArtifactError):
            run_night(night.recipe, night.workspace, as_of)
        raw[place] ^= 1 << bit
        path.write_bytes(raw)
    assert night.workspace.current() == before
    assert run_night(night.recipe, night.workspace, as_of).status == "published"


def test_a_disk_that_fills_up_leaves_what_was_served(night: NightWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    as_of = night.arrive(FIRST_DAYS)
    before = night.workspace.current()

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "posix_fallocate", full)
        with pytest.raises(StorageError, match="the disk is full"):
            run_night(night.recipe, night.workspace, as_of)
    assert night.workspace.current() == before
    night.workspace.verify_snapshot()
    assert run_night(night.recipe, night.workspace, as_of).status == "published"


def test_a_workspace_that_cannot_be_written_is_told(night: NightWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    as_of = night.arrive(FIRST_DAYS)
    opened = os.open

    def read_only(path: object, flags: int, *rest: int, **options: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system", str(path))
        return opened(path, flags, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(StorageError, match="the disk is read-only"):
        run_night(night.recipe, Workspace.open(night.root), as_of)
