"""Erasing customers: nothing of them stays anywhere, everybody else stays as they were, and they do not come back."""

import hashlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import polars as pl
import pytest
from conftest import kinfolk
from erasure_world import World, holders, small, tree

from cluster.artifact import Segments
from cluster.landmarks import Ground
from configs.errors import InputError
from embed.artifact import Embeddings
from embed.customers import changes
from eventlog.sequences import EventLog
from index.update import update_inverted
from serve.forget import allow, forget
from serve.pipeline import run_line
from serve.snapshot import Snapshot
from serve.soundness import check, damage
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.workspace import Workspace
from train.artifact import Model

pytestmark = pytest.mark.slow


def snapshots(workspace: Workspace) -> dict[str, Snapshot]:
    return {name: Snapshot.load(workspace, name) for name in workspace.published()}


def without(snapshot: Snapshot, gone: tuple[str, ...]) -> np.ndarray:
    """Rows of everybody else."""
    return np.flatnonzero(~snapshot.embeddings.customers.is_in(list(gone)).to_numpy())


def grounds_of(snapshots: dict[str, Snapshot]) -> dict[str, Ground | None]:
    """The landmarks, which are read when they are asked for."""
    return {name: None if (r := s.segments.registry()) is None else r.ground for name, s in snapshots.items()}


def same_but_for(before: Snapshot, then: Ground | None, after: Snapshot, gone: tuple[str, ...]) -> None:
    """Everybody else's vectors, states, behaviours and segments are bit for bit what they were."""
    rows = without(before, gone)
    assert after.embeddings.customers.to_list() == before.embeddings.customers.gather(rows).to_list()
    assert np.array_equal(after.embeddings.vectors, before.embeddings.vectors[rows])
    for name in ("events", "first", "last"):
        old, new = (getattr(s.embeddings.histories, name) for s in (before, after))
        assert np.array_equal(new, old[rows])
    for old_row, new_row in zip(rows.tolist(), range(len(rows)), strict=True):
        for name in ("states", "hidden"):
            was, now = (getattr(s.embeddings, name) for s in (before, after))
            held = was.places(np.array([old_row]))[0], now.places(np.array([new_row]))[0]
            assert (held[0] < 0) == (held[1] < 0)
            assert held[0] < 0 or np.array_equal(was.matrix[held[0]], now.matrix[held[1]])
    assert np.array_equal(after.behaviour.matrix, before.behaviour.matrix[rows])
    for name, column in vars(before.segments.members).items():
        assert np.array_equal(getattr(after.segments.members, name), column[rows]), name
    assert then is not None
    after_all = after.segments.registry()
    assert after_all is not None
    assert after_all.ground is not None
    grounds = then, after_all.ground
    ids = [
        [str(s.embeddings.customers[int(row)]) for row in ground.landmarks.rows]
        for s, ground in zip((before, after), grounds, strict=True)
    ]
    stay = [i for i, id in enumerate(ids[0]) if id not in gone]
    assert ids[1] == [ids[0][i] for i in stay]
    for name in ("points", "reaches"):
        old, new = (getattr(ground.landmarks, name) for ground in grounds)
        assert np.array_equal(new, old[stay])
    for name in ("labels", "part", "flat"):
        assert np.array_equal(getattr(grounds[1], name), getattr(grounds[0], name)[stay])


def names(snapshot: Snapshot, rows: np.ndarray) -> set[str]:
    """The customers in some rows."""
    return {str(snapshot.embeddings.customers[row]) for row in rows.tolist()}


@pytest.mark.parametrize("count", [1, 9])
def test_no_byte_of_the_workspace_holds_the_id_and_everybody_else_is_the_same(world: World, count: int) -> None:
    gone = tuple(world.ids[3 : 3 + 5 * count : 5])
    before = snapshots(world.workspace)
    grounds = grounds_of(before)
    logs = {p.name: rows_of(EventLog.load(p)) for p in sorted(world.workspace.eventlogs.glob("[!.]*"))}
    assert len(before) == len(logs) == 2
    lately = {name: names(found, found.segments.changed().rows) for name, found in before.items()}
    assert count == 1 or any(set(gone) & some for some in lately.values())
    held = holders(world.root, *gone)
    for place in ("eventlog", "models", "snapshots", "audiences", "saved", "nights", "staging", "catalogue.db"):
        assert any(place in file for file in held), place
    receipt = forget(world.workspace, gone)
    assert holders(world.root, *gone) == []
    assert receipt["search"]["found"] == []
    assert (receipt["known"], receipt["unknown"]) == (count, 0)
    after = snapshots(world.workspace)
    assert list(after) == list(before)
    for name in before:
        same_but_for(before[name], grounds[name], after[name], gone)
        assert names(after[name], after[name].segments.changed().rows) == lately[name] - set(gone)
        assert after[name].manifest.key == before[name].manifest.key
        assert after[name].published == before[name].published
        assert after[name].manifest.figures["erased"] == count
        assert after[name].manifest.parents == before[name].manifest.parents
    for key, rows in logs.items():
        log = EventLog.load(world.workspace.eventlogs / key)
        assert log.key == key
        left = rows.filter(~pl.col("customer").is_in(list(gone)))
        now = rows_of(log)
        assert now.drop("subject").equals(left.drop("subject"))
        assert now["subject"].to_list() == left["subject"].to_list()
    damage(check(world.workspace, every=True))


def rows_of(log: EventLog) -> pl.DataFrame:
    """A log's events in their order, values instead of codes."""
    columns: dict[str, Any] = {
        "customer": log.customers.gather(np.repeat(np.arange(log.n_customers), np.diff(log.offsets))),
        "time": pl.Series(np.asarray(log.time)),
    }
    for i, field in enumerate(log.schema.categorical):
        columns[field.name] = pl.Series([None, "(other)", *field.values]).gather(log.codes[:, i].astype(np.uint32))
    for i, name in enumerate(log.schema.numeric):
        columns[name] = pl.Series(np.asarray(log.values[:, i])).fill_nan(None)
    return pl.DataFrame(columns)


def test_values_that_only_they_had_are_blanked_in_dictionaries_of_logs_models_and_behaviours(world: World) -> None:
    log = EventLog.load(world.workspace.eventlogs / Snapshot.load(world.workspace).manifest.parents["eventlog"])
    subjects = next(field.values for field in log.schema.categorical if field.name == "subject")
    named = f"letter of {world.ids[7]}"
    assert named in subjects
    secret = next(s for s in rows_of(log).filter(customer=world.ids[7])["subject"] if s and s.startswith("secret"))
    receipt = forget(world.workspace, [world.ids[7]])
    now = EventLog.load(log.folder)
    fields = next(field.values for field in now.schema.categorical if field.name == "subject")
    assert len(fields) == len(subjects)
    changed = {a: b for a, b in zip(subjects, fields, strict=True) if a != b}
    assert set(changed) >= {named, secret}
    assert all(receipt["receipt"] in b for b in changed.values())
    assert holders(world.root, f'"{secret}"') == []
    model = Model.load(world.workspace.models / Snapshot.load(world.workspace).manifest.parents["model"])
    assert model.schema == now.schema


def test_a_typical_customer_and_a_landmark_give_way(world: World) -> None:
    before = Snapshot.load(world.workspace)
    profile = before.segments.profiles[0]
    gone = str(profile.typical[0])
    receipt = forget(world.workspace, [gone])
    after = Snapshot.load(world.workspace).segments
    now = after.profile(profile.id)
    assert now is not None
    assert gone not in now.typical
    assert len(now.typical) == len(profile.typical)
    assert set(profile.typical[1:]) <= set(now.typical) | {gone}
    assert now.size == profile.size - 1
    told = next(one for one in receipt["removed"] if one["artifact"] == f"snapshots/{before.name}")
    assert told["typical customers"] == 1
    assert told["landmarks"] == 1


def test_the_last_customers_of_a_segment_are_erased_and_the_next_generation_buries_it(world: World) -> None:
    before = Snapshot.load(world.workspace)
    profile = min(before.segments.profiles, key=lambda p: p.size)
    gone = [str(before.customer(int(row))) for row in before.members(profile.id)]
    assert 0 < len(gone) < 60
    forget(world.workspace, gone)
    after = Snapshot.load(world.workspace)
    assert after.segments.profile(profile.id) is None
    assert len(after.segments.profiles) == len(before.segments.profiles) - 1
    assert profile.id in after.segments.registry().ids  # type: ignore[union-attr]
    again = kinfolk("segments", "--workspace", world.root, folder=world.root.parent)
    assert again.returncode == 0, again.stderr
    recipe = world.load()
    longer = recipe.model_copy(update={"segments": recipe.segments.model_copy(update={"drivers": 3})})
    run_line(longer, world.workspace)
    events = Snapshot.load(world.workspace).segments.events
    assert [event.kind for event in events if event.segment == profile.id] == ["died"]


def test_somebody_who_has_left_before_is_no_landmark_any_more(world: World) -> None:
    """Their landmark says only -1 where they are gone; an earlier snapshot tells whose it was."""
    gone = world.ids[33]
    served = world.workspace.snapshot_folder()
    later = served.with_name("s-later")
    shutil.copytree(served, later)
    forget_in(world, gone, later)  # as after a reading of other files
    before = landmarks_of(later)
    assert (before == -1).sum() == 1
    receipt = forget(world.workspace, [gone])
    assert len(landmarks_of(later)) == len(before) - 1
    assert (landmarks_of(later) >= 0).all()
    told = next(one for one in receipt["removed"] if one["artifact"] == "snapshots/s-later")
    assert (told["vectors"], told["landmarks"]) == (0, 1)
    damage(check(world.workspace, every=True))


def landmarks_of(folder: Path) -> np.ndarray:
    """Rows of the landmarks of a snapshot."""
    registry = Segments.load(folder / "segments").registry()
    assert registry is not None
    assert registry.ground is not None
    return registry.ground.landmarks.rows


def forget_in(world: World, gone: str, folder: Path) -> None:
    """Let a customer be gone from a snapshot, their landmark staying behind as it does."""
    from cluster.erase import erase_segments
    from embed.erase import erase_embeddings
    from eventlog.erase import erase_behaviour
    from index.erase import erase_index
    from store.artifact import read_manifest
    from store.erasures import Named
    from store.reseal import reseal

    room = world.root.parent / "changed"
    old = Embeddings.load(folder / "embeddings")
    keep = old.customers.to_numpy() != gone
    erase_embeddings(folder / "embeddings", room / "embeddings", keep)
    new = Embeddings.load(room / "embeddings")
    erase_index(folder / "index", room / "index", old, new, keep)
    erase_behaviour(folder / "behaviour", room / "behaviour", keep, {})
    erase_segments(folder / "segments", room / "segments", keep, new, {}, Named(frozenset([gone])))
    reseal(room, read_manifest(folder), 1, read_manifest(folder).counts)
    shutil.rmtree(folder)
    room.rename(folder)


def test_everybody_at_once_is_refused_and_nothing_changes(world: World) -> None:
    before = tree(world.root)
    with pytest.raises(InputError, match=r"nobody would be left .* delete the workspace"):
        forget(world.workspace, world.ids)
    assert tree(world.root) == before
    with pytest.raises(InputError, match="whom to forget"):
        forget(world.workspace, [" "])


def test_the_register_holds_no_id_and_another_salt_everywhere(world: World, tmp_path: Path) -> None:
    forget(world.workspace, [world.ids[8]])
    with sqlite3.connect(world.root / "catalogue.db") as database:
        rows = list(database.execute("SELECT hash FROM erasures"))
        (salt,) = list(database.execute("SELECT salt FROM erasure_salt"))
    assert len(rows) == 1
    assert rows[0][0] != hashlib.sha256(world.ids[8].encode()).hexdigest()
    with Catalogue(tmp_path / "other.db") as other:
        assert Erasures(other).salt() != salt[0]
        assert Erasures(other).hashes([world.ids[8]]) != [rows[0][0]]


def test_whole_numbers_are_found_however_they_are_written(tmp_path: Path) -> None:
    workspace = small(tmp_path / "w", pl.Series(range(60)))
    typical = Snapshot.load(workspace).segments.profiles[1].typical[0]
    assert typical == 1
    receipt = forget(workspace, ["007", " +1", "99"])
    assert (receipt["asked"], receipt["known"], receipt["unknown"]) == (3, 2, 1)
    assert receipt["search"] == {**receipt["search"], "found": [], "unread": []}
    left = Snapshot.load(workspace)
    assert left.embeddings.customers.to_list() == [id for id in range(60) if id not in (1, 7)]
    assert 1 not in left.segments.profiles[1].typical
    (log,) = (EventLog.load(path) for path in workspace.eventlogs.glob("[!.]*"))
    assert not {"shop 1", "shop 7"} & set(log.schema.categorical[0].values)
    assert "shop 17" in log.schema.categorical[0].values
    with Catalogue(workspace.catalogue) as catalogue:
        assert Erasures(catalogue).mask(pl.Series([1, 7, 8, 99])).tolist() == [True, True, False, True]
        assert Erasures(catalogue).mask(pl.Series(["1", "7", "8"])).tolist() == [True, True, False]
        assert Erasures(catalogue).hold(["007", 8, "1 "]) == [True, False, True]
    assert allow(workspace, ["07"]) == 1


def test_an_id_that_begins_another_one_is_not_taken_for_it(tmp_path: Path) -> None:
    ids = ["customer-1", "customer-10", *(f"customer-2{n}" for n in range(40))]
    workspace = small(tmp_path / "w", pl.Series(sorted(ids)))
    receipt = forget(workspace, ["customer-1"])
    assert receipt["search"]["found"] == []
    assert "customer-10" in Snapshot.load(workspace).embeddings.customers
    (log,) = (EventLog.load(path) for path in workspace.eventlogs.glob("[!.]*"))
    assert "shop customer-10" in log.schema.categorical[0].values


def test_an_erased_index_is_that_of_an_update_without_them(world: World, tmp_path: Path) -> None:
    before = Snapshot.load(world.workspace)
    gone = world.ids[5:60:7]
    keep = ~before.embeddings.customers.is_in(list(gone)).to_numpy()
    held = before.index.inverted
    forget(world.workspace, gone)
    after = Snapshot.load(world.workspace)
    updated = update_inverted(held, changes(before.embeddings, after.embeddings), after.embeddings, lambda n: None)
    faiss.write_index(updated, str(tmp_path / "updated.faiss"))
    assert (after.folder / "index" / "index.faiss").read_bytes() == (tmp_path / "updated.faiss").read_bytes()
    assert after.index.nprobe == before.index.nprobe
    rows, similarity = after.index.similar(np.arange(20), 5)
    old_rows = np.flatnonzero(keep)
    allowed = keep.copy()
    wanted, exact = before.index.similar(old_rows[:20], 5, allowed)
    assert np.array_equal(old_rows[rows], wanted)
    assert np.array_equal(similarity, exact)
