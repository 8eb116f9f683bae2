"""After an erasure everything goes on: commands, audiences, runs, the service; and what the command tells."""

import importlib
import json
import shutil
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import kinfolk
from erasure_world import World, holders, tree
from http_service import Service

from configs.errors import ConflictError
from index.audience import Audience
from index.request import AudienceRequest
from serve.attribution import why
from serve.audiences import Asked, build, load_audience, make_audience
from serve.editions import refresh, save
from serve.forget import allow, forget
from serve.pipeline import run_line
from serve.saved import load_saved
from serve.snapshot import Snapshot
from store.catalogue import Catalogue
from store.erasures import Erasures, receipts
from store.objections import Objections

pytestmark = pytest.mark.slow


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
    old = Snapshot.load(world.workspace)
    asked = Asked(AudienceRequest(seeds=world.ids[:60:3], size=60, include_seeds=True))
    gone = world.ids[3], world.ids[6]
    forget(world.workspace, gone)
    with Catalogue(world.workspace.catalogue) as catalogue:
        stored, _ = make_audience(asked, old, world.workspace, catalogue, "test")
    assert not stored.members()["customer_id"].is_in(list(gone)).any()
    assert holders(world.root, *gone) == []


def test_who_is_erased_while_an_audience_is_made_is_not_in_its_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(AudienceRequest(seeds=(*world.ids[:60:3], "NOBODY-0000007"), size=30, hold_out=0.2))
    gone: list[str] = []

    def slow(*given: Any) -> Audience:
        audience = build(*given)
        gone.extend((audience.report.prototypes[0], "NOBODY-0000007", str(audience.member_table()["customer_id"][0])))
        forget(world.workspace, gone)
        return audience

    monkeypatch.setattr("serve.audiences.build", slow)
    with Catalogue(world.workspace.catalogue) as catalogue:
        stored, _ = make_audience(asked, Snapshot.load(world.workspace), world.workspace, catalogue, "test")
    assert stored.report["seeds"]["unmatched_ids"] == []
    assert stored.report["size"] == len(stored.members()) + len(stored.held_out())
    assert holders(world.root, *gone) == []


@pytest.mark.parametrize("moment", ["serve.saved.writing", "serve.editions.store_audience", "serve.editions.writing"])
def test_who_is_erased_while_an_audience_is_saved_is_in_no_definition_and_no_edition(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    saved = load_saved(world.workspace, "spring")
    request = saved.asked.request.model_copy(update={"seeds": world.ids[1:60:3], "size": 30})
    place, name = moment.rsplit(".", 1)
    whole, gone = getattr(importlib.import_module(place), name), list[str]()

    def after_an_erasure(*given: Any) -> Any:
        if not gone:
            members = load_audience(world.workspace, saved.editions[-1].audience).members()["customer_id"]
            gone.extend((world.ids[1], *members[:12].to_list()))
            forget(world.workspace, gone)
        return whole(*given)

    monkeypatch.setattr(moment, after_an_erasure)
    with Catalogue(world.workspace.catalogue) as catalogue:
        now, new = save("spring", Asked(request), Snapshot.load(world.workspace), world.workspace, catalogue, "test")
    assert new
    edition = now.editions[-1]
    stored = load_audience(world.workspace, edition.audience)
    assert edition.size == stored.report["size"] == len(stored.members()) + len(stored.held_out())
    assert holders(world.root, *gone) == []


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
