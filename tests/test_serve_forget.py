"""Erasing customers: nothing of them stays anywhere, everybody else stays as they were, and they do not come back."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from conftest import kinfolk
from erasure_world import World, make_world
from http_service import Service, publish

from cluster.artifact import Segments
from cluster.landmarks import Ground
from configs.errors import ConflictError, InputError
from embed.artifact import Embeddings
from embed.customers import changes
from eventlog.config import EventLogConfig
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from index.request import AudienceRequest
from index.update import update_inverted
from serve.attribution import why
from serve.audiences import Asked, load_audience
from serve.editions import refresh, save
from serve.forget import allow, forget
from serve.pipeline import run_line
from serve.saved import load_saved
from serve.snapshot import Snapshot
from serve.soundness import check, damage
from store.catalogue import Catalogue
from store.erasures import Erasures, receipts
from store.objections import Objections
from store.workspace import Workspace
from train.artifact import Model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world, made once. Read only."""
    return make_world(tmp_path_factory.mktemp("erasure"))


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """A copy that a test may change."""
    root = tmp_path / "workspace"
    shutil.copytree(made.root, root, ignore=shutil.ignore_patterns("*.db-wal", "*.db-shm"))
    return World(root, made.recipe, made.ids)


def texts_of(path: Path) -> Iterator[str]:
    """All text of a packed file, decoded here and not by what is tested."""
    if path.suffix == ".parquet":
        yield pl.read_parquet(path).write_csv()
    elif path.suffix == ".arrow":
        with pa.ipc.open_file(pa.memory_map(str(path), "r")) as reader:
            table = reader.read_all()
        for name in table.schema.names:
            if not pa.types.is_fixed_size_list(table[name].type):
                yield str(table[name].to_pylist())


def holders(root: Path, *ids: str) -> list[str]:
    """Files that hold an id in their name, bytes or decoded content."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        content = path.read_bytes()
        texts = list(texts_of(path))
        if any(
            id in str(path.relative_to(root)) or id.encode() in content or any(id in t for t in texts) for id in ids
        ):
            found.append(path.relative_to(root).as_posix())
    return found


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
        held = [s.embeddings.states.places(np.array([r]))[0] for s, r in ((before, old_row), (after, new_row))]
        assert (held[0] < 0) == (held[1] < 0)
        if held[0] >= 0:
            states = before.embeddings.states.matrix[held[0]], after.embeddings.states.matrix[held[1]]
            assert np.array_equal(*states)
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


def tree(root: Path) -> dict[str, str]:
    """Hashes of all files but those of locks and the database's own."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file() and "lock" not in p.name and not p.name.startswith("catalogue.db")
    }


@pytest.mark.parametrize("count", [1, 9])
def test_no_byte_of_the_workspace_holds_the_id_and_everybody_else_is_the_same(world: World, count: int) -> None:
    gone = tuple(world.ids[3 : 3 + 5 * count : 5])
    before = snapshots(world.workspace)
    grounds = grounds_of(before)
    logs = {p.name: rows_of(EventLog.load(p)) for p in sorted(world.workspace.eventlogs.glob("[!.]*"))}
    assert len(before) == len(logs) == 2
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


def test_similar_audience_segments_why_and_verify_go_on(world: World) -> None:
    gone, other = world.ids[10], world.ids[11]
    forget(world.workspace, [gone])
    run = {"folder": world.root.parent}
    place = ("--workspace", world.root)
    refused = kinfolk("similar", gone, *place, **run)
    assert refused.returncode == 2
    assert "no customer" in refused.stderr
    found = json.loads(kinfolk("similar", other, "-k", "110", "--json", *place, **run).stdout)
    assert len(found["similar"] if isinstance(found, dict) else found) >= 100
    assert gone not in json.dumps(found)
    for words in (
        ("segments",),
        ("segments", "moves"),
        ("segments", "history", other),
        ("verify", "--all"),
        ("history",),
    ):
        done = kinfolk(*words, *place, **run)
        assert done.returncode == 0, done.stderr
        assert gone not in done.stdout
    assert why(world.workspace, Snapshot.load(world.workspace), other, 30).events
    seeds = world.root.parent / "seeds.csv"
    seeds.write_text("customer_id\n" + "\n".join(world.ids[:40]) + "\n", encoding="utf-8")
    out = world.root.parent / "out.csv"
    done = kinfolk("audience", "--seeds", seeds, "--size", "20", "--out", out, "--save", "again", *place, **run)
    assert done.returncode == 0, done.stderr
    assert holders(world.root, gone) == []
    assert load_saved(world.workspace, "again").asked.request.seeds == tuple(sorted(set(world.ids[:40]) - {gone}))


def test_the_next_run_on_the_same_files_does_not_bring_them_back(world: World) -> None:
    gone = world.ids[20]
    forget(world.workspace, [gone, "C-not-delivered-yet"])
    served, before = world.workspace.current(), tree(world.root)
    assert run_line(world.load(), world.workspace).snapshot == served
    assert tree(world.root) == before
    shutil.rmtree(world.workspace.eventlogs)
    line = run_line(world.load(), world.workspace)
    assert gone not in line.log.customers
    assert line.log.n_customers == len(world.ids) - 1
    assert holders(world.root, gone) == []


def test_a_changed_recipe_reads_all_files_anew_and_leaves_them_out(world: World) -> None:
    gone = world.ids[20]
    forget(world.workspace, [gone])
    recipe = world.load()
    line = run_line(recipe.model_copy(update={"until": None, "seed": 5}), world.workspace)
    again = run_line(
        recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update={"max_categories": 50})}), world.workspace
    )
    assert gone not in line.log.customers
    assert again.log.key != line.log.key
    assert again.log.n_customers == len(world.ids) - 1
    assert holders(world.root, gone) == []


def test_whoever_is_allowed_again_comes_back_with_the_next_reading(world: World) -> None:
    gone = world.ids[20]
    forget(world.workspace, [gone])
    assert allow(world.workspace, [gone, "nobody-at-all"]) == 1
    assert allow(world.workspace, [gone]) == 0
    shutil.rmtree(world.workspace.eventlogs)
    assert gone in run_line(world.load(), world.workspace).log.customers
    with Catalogue(world.workspace.catalogue) as catalogue:
        actions = [entry.action for entry in catalogue.audit_log()]
        assert "erasure.allow" in actions
        assert gone not in str(catalogue.audit_log())


def test_audiences_shrink_and_saved_ones_stay_valid(world: World) -> None:
    workspace = world.workspace
    saved = load_saved(workspace, "spring")
    assert len(saved.editions) == 2
    members = {
        e.audience: load_audience(workspace, e.audience).members()["customer_id"].to_list() for e in saved.editions
    }
    smallest = min(
        (load_audience(workspace, p.name) for p in workspace.audiences.glob("a-*")), key=lambda a: a.report["size"]
    )
    # below the least size of ten, a seed, a member, and somebody held out
    gone = (*smallest.members()["customer_id"].to_list()[:6], saved.asked.request.seeds[0], *smallest.held_out()[:1])
    before = smallest.members()
    forget(workspace, gone)
    after = load_audience(workspace, smallest.id)
    assert after.members().equals(before.filter(~pl.col("customer_id").is_in(list(gone))))
    assert after.report["size"] == len(after.members()) + len(after.held_out()) < 10
    assert after.report["held_out"] == len(after.held_out())
    now = load_saved(workspace, "spring")
    assert now.asked.request.seeds == tuple(s for s in saved.asked.request.seeds if s not in gone)
    assert now.asked.attributes is not None
    assert not now.asked.attributes["customer_id"].is_in(list(gone)).any()
    for edition in now.editions:
        left = [id for id in members[edition.audience] if id not in gone]
        held = load_audience(workspace, edition.audience)
        assert held.members()["customer_id"].to_list() == left
        assert edition.size == held.report["size"]
        assert not edition.changes()["customer_id"].is_in(list(gone)).any()
        assert sum(edition.entered.values()) == len(edition.changes().filter(change="entered"))
    with Catalogue(workspace.catalogue) as catalogue:
        record = catalogue.audience(smallest.id)
        assert record.size == after.report["size"]
        assert record.result_sha256 == after.manifest.files["members.parquet"]["sha256"]
        assert not refresh("spring", Snapshot.load(workspace), workspace, catalogue, "test")[1]
        Objections(catalogue).note([world.ids[30]], True, actor="test")
        edition, new = refresh("spring", Snapshot.load(workspace), workspace, catalogue, "test")
        assert new
        assert edition.number == 3
        # whoever asks with the old list brings nobody back
        again = save("spring", saved.asked, Snapshot.load(workspace), workspace, catalogue, "test")[0]
        assert again.asked.request == now.asked.request
        assert again.definition == now.definition
    assert holders(world.root, *gone) == []


def test_an_audience_of_before_that_is_kept_after_holds_nobody_erased(world: World) -> None:
    """A service may hold the old snapshot, and be at work on an audience, while somebody is erased."""
    from serve.audiences import make_audience

    old = Snapshot.load(world.workspace)
    asked = Asked(AudienceRequest(seeds=world.ids[:60:3], size=60, include_seeds=True))
    gone = world.ids[3], world.ids[6]
    forget(world.workspace, gone)
    with Catalogue(world.workspace.catalogue) as catalogue:
        stored, _ = make_audience(asked, old, world.workspace, catalogue, "test")
    assert not stored.members()["customer_id"].is_in(list(gone)).any()
    assert holders(world.root, *gone) == []


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


def test_unknown_ids_are_registered_and_told(world: World) -> None:
    first = forget(world.workspace, ["C-nobody-knows-me"])
    assert (first["known"], first["unknown"]) == (0, 1)
    assert [one["artifact"] for one in first["removed"]] == ["leftovers of killed runs"]
    again = forget(world.workspace, ["C-nobody-knows-me"])
    assert again["removed"] == []
    with Catalogue(world.workspace.catalogue) as catalogue:
        mask = Erasures(catalogue).mask(pl.Series(["C-nobody-knows-me", world.ids[0], "C-nobody-knows-me"]))
        assert mask.tolist() == [True, False, True]
        assert Erasures(catalogue).mask(pl.Series([1, 2])).tolist() == [False, False]
        entries = [entry for entry in catalogue.audit_log() if entry.action == "erasure"]
        assert [entry.details for entry in entries] == [{"known": 0, "unknown": 1}] * 2
    assert [one["receipt"] for one in receipts(world.root)] == [first["receipt"], again["receipt"]]
    assert receipts(world.root)[0]["search"]["found"] == []


def test_objections_go_from_the_bytes_of_the_catalogue(world: World) -> None:
    gone = world.ids[3]
    assert gone.encode() in (world.root / "catalogue.db").read_bytes()
    receipt = forget(world.workspace, [gone])
    assert {"artifact": "register of objections", "objections": 1} in receipt["removed"]
    for path in world.root.glob("catalogue.db*"):
        assert gone.encode() not in path.read_bytes()
    with Catalogue(world.workspace.catalogue) as catalogue:
        assert [o.customer for o in Objections(catalogue).standing()] == [world.ids[50]]


def test_the_command_takes_ids_and_lists_and_prints_a_receipt_without_them(world: World) -> None:
    some = world.root.parent / "some.csv"
    some.write_text(f"customer_id\n{world.ids[60]}\n{world.ids[61]}\n", encoding="utf-8")
    done = kinfolk("forget", world.ids[62], "--from", some, "--workspace", world.root, folder=world.root.parent)
    assert done.returncode == 0, done.stderr
    assert "3 customers erased; 0 ids were unknown" in done.stdout
    assert "nothing left" in done.stdout
    assert not any(id in done.stdout + done.stderr for id in world.ids[60:63])
    listed = json.loads(kinfolk("erasures", "--json", "--workspace", world.root, folder=world.root.parent).stdout)
    assert [one["known"] for one in listed] == [3]
    assert len(listed[0]["hashes"]) == 3
    told = kinfolk("forget", "--allow", world.ids[62], "--workspace", world.root, folder=world.root.parent)
    assert "1 of 1 customers were in the register" in told.stdout
    empty = kinfolk("forget", "--workspace", world.root, folder=world.root.parent)
    assert empty.returncode == 2
    assert "whom to forget" in empty.stderr


def test_a_file_that_is_not_kinfolks_is_found_and_told(world: World) -> None:
    (world.root / "notes.txt").write_text(f"call {world.ids[5]}\n", encoding="utf-8")
    done = kinfolk("forget", world.ids[5], "--workspace", world.root, folder=world.root.parent)
    assert done.returncode == 2
    assert "notes.txt" in done.stderr
    assert world.ids[5] not in done.stderr
    assert receipts(world.root)[0]["search"]["found"] == ["notes.txt"]


def test_a_workspace_in_use_is_refused(world: World) -> None:
    with world.workspace.lock(), pytest.raises(ConflictError, match="in use by another job"):
        forget(world.workspace, [world.ids[0]])


def test_a_running_service_drops_them_within_its_poll(world: World) -> None:
    gone, other = world.ids[12], world.ids[13]
    service = Service(world.root)
    try:
        first = service.live.snapshot
        assert first is not None
        mapped = np.asarray(first.embeddings.vectors)
        answer = service.client.get(f"/v1/customers/{gone}")
        assert answer.status_code == 200, answer.text
        known = service.client.get(f"/v1/customers/{other}")
        service.get(f"/v1/customers/{other}/similar", k=50)
        forget(world.workspace, [gone])
        assert service.live.check()
        assert not service.live.check()
        assert service.client.get(f"/v1/customers/{gone}").status_code == 404
        assert gone not in json.dumps(service.get(f"/v1/customers/{other}/similar", k=100))
        assert service.get("/v1/snapshot")["customers"] == len(world.ids) - 1
        changed = service.client.get(f"/v1/customers/{other}", headers={"If-None-Match": known.headers["etag"]})
        assert changed.status_code == 200
        assert service.live.swaps == 1
        assert len(mapped) == len(world.ids)
        assert float(mapped.sum()) == float(np.asarray(first.embeddings.vectors).sum())  # old maps stay readable
    finally:
        service.close()


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


def small(root: Path, ids: pl.Series) -> Workspace:
    """A served snapshot of some customers with a log, and nothing else."""
    publish(root, ids=ids)
    events = root.parent / "events.csv"
    lines = [f"{id},2020-01-0{n + 1},shop {id}" for id in ids for n in range(2)]
    events.write_text("\n".join(["customer_id,time,shop", *lines]) + "\n", encoding="utf-8")
    source = {"name": "s", "path": str(events), "customer": "customer_id", "time": "time", "categorical": ["shop"]}
    workspace = Workspace.create(root)
    prepare(EventLogConfig.model_validate({"sources": [source]}), workspace)
    return workspace


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
