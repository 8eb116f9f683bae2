"""Saved audiences over HTTP and on the command line: editions, what changed and why, names, and what is kept."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from http_service import N, Service, group_of, problem, publish
from typer.testing import CliRunner

import serve.editions
from configs.errors import ConflictError
from index.request import AudienceRequest
from serve.audiences import Asked, load_audience
from serve.cli import app
from serve.editions import edition_audience, held_by, refresh
from serve.saved import define, load_saved
from serve.snapshot import Snapshot
from store.catalogue import Catalogue

SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()
URL = "/v1/saved-audiences"
BODY = {"seeds": SEEDS, "size": 120}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path / "w")
    made = Service(tmp_path / "w")
    yield made
    made.close()


def members(service: Service, audience: str) -> set[int]:
    found = service.get(f"/v1/audiences/{audience}/members")["members"]
    return {member["customer_id"] for member in found}


def newer(service: Service) -> None:
    """Publish another snapshot and have the service take it."""
    publish(service.workspace.root, seed=1)
    assert service.live.check()


def changes(service: Service, name: str, **parameters: Any) -> pl.DataFrame:
    answer = service.client.get(f"{URL}/{name}/changes", params=parameters, headers={"Accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    return pl.read_csv(io.BytesIO(answer.content))


def test_an_audience_is_saved_and_refreshed_with_a_new_snapshot(service: Service) -> None:
    saved = service.client.put(f"{URL}/spring", json=BODY)
    assert saved.status_code == 201, saved.text
    first = saved.json()["editions"][0]
    assert (first["number"], first["size"], first["entered"], first["left"]) == (1, 120, {}, {})
    plain = service.client.post("/v1/audiences", json=BODY)
    assert (plain.status_code, plain.json()["id"]) == (200, first["audience"])
    again = service.client.post(f"{URL}/spring/refresh")
    assert (again.status_code, again.json()) == (200, first)
    newer(service)
    second = service.client.post(f"{URL}/spring/refresh")
    assert second.status_code == 201
    edition = second.json()
    was, are = members(service, first["audience"]), members(service, edition["audience"])
    assert edition["entered"] == {"behaviour": len(are - was)}
    assert edition["left"] == {"behaviour": len(was - are)}
    table = changes(service, "spring")
    assert set(table.filter(change="entered")["customer_id"]) == are - was
    assert set(table.filter(change="left")["customer_id"]) == was - are
    assert changes(service, "spring", edition=1).is_empty()
    problem(service.client.get(f"{URL}/spring/changes", params={"edition": 3}), 404, "there are 1 to 2")
    listed = service.get(URL)["saved"]
    assert [(s["name"], s["last"]["number"]) for s in listed] == [("spring", 2)]


def test_a_cap_on_churn_keeps_members(service: Service) -> None:
    for name, cap in (("free", {}), ("calm", {"churn_cap": 0.05})):
        assert service.client.put(f"{URL}/{name}", json=BODY | cap).status_code == 201
    newer(service)
    free, calm = (service.client.post(f"{URL}/{name}/refresh").json() for name in ("free", "calm"))
    assert sum(free["left"].values()) > 6
    assert sum(calm["left"].values()) <= 6
    report = service.get(f"/v1/audiences/{calm['audience']}")
    assert report["kept_by_cap"] == sum(free["left"].values()) - sum(calm["left"].values())
    assert report["recall"]["value"] <= service.get(f"/v1/audiences/{free['audience']}")["recall"]["value"]


def test_who_is_held_out_stays_so(service: Service) -> None:
    first = service.client.put(f"{URL}/measured", json=BODY | {"hold_out": 0.2}).json()["editions"][0]
    newer(service)
    second = service.client.post(f"{URL}/measured/refresh").json()
    out = [
        set(pl.read_parquet(service.workspace.audiences / e["audience"] / "held_out.parquet")["customer_id"])
        for e in (first, second)
    ]
    was, are = (members(service, e["audience"]) for e in (first, second))
    assert not are & out[0]
    assert not out[1] & was
    assert out[0] & out[1]


def test_consent_and_a_new_definition_are_told_apart(service: Service) -> None:
    first = service.client.put(f"{URL}/spring", json=BODY).json()["editions"][0]
    gone = sorted(members(service, first["audience"]))[:5]
    service.client.post("/v1/objections", json={"object": gone})
    second = service.client.post(f"{URL}/spring/refresh")
    assert second.status_code == 201
    assert second.json()["left"]["consent"] == 5
    third = service.client.put(f"{URL}/spring", json=BODY | {"size": 150})
    assert third.status_code == 201
    editions = third.json()["editions"]
    assert (third.json()["definition"], len(editions)) == (2, 3)
    assert editions[2]["entered"] == {"definition": 30}
    assert editions[2]["left"] == {}
    assert service.client.put(f"{URL}/spring", json=BODY | {"size": 150}).status_code == 200
    table = changes(service, "spring", edition=2)
    assert set(table.filter(why="consent")["customer_id"]) == set(gone)
    # an objection of somebody who is no customer here changes nothing
    service.client.put("/v1/objections/stranger")
    assert service.client.post(f"{URL}/spring/refresh").status_code == 200


def test_removed_and_wrong_names(service: Service) -> None:
    service.client.put(f"{URL}/spring", json=BODY)
    audience = load_saved(service.workspace, "spring").editions[0].audience
    assert service.client.delete(f"{URL}/spring").status_code == 204
    problem(service.client.get(f"{URL}/spring"), 404, "no saved audience")
    problem(service.client.post(f"{URL}/spring/refresh"), 404, "no saved audience")
    assert len(members(service, audience)) == 120
    for name in ("Spring", "a%20b", "..%2F..", "x" * 65, "-a", ".hidden"):
        problem(service.client.put(f"{URL}/{name}", json=BODY), 422, "cannot name a saved audience")
    problem(service.client.put(f"{URL}/few", json={"seeds": SEEDS[:5], "size": 120}), 422, "25")
    assert not (service.workspace.saved / "few").exists()
    problem(service.client.put(f"{URL}/spring", json=BODY, headers=service.bearer("analyst")), 403)


def test_attributes_are_kept_with_the_definition(service: Service) -> None:
    table = "customer_id,region\n" + "\n".join(f"{row},{'north' if row % 2 else 'south'}" for row in range(N))
    files = {"seeds": ("s.csv", "customer_id\n" + "\n".join(map(str, SEEDS))), "attributes": ("a.csv", table)}
    answer = service.client.put(f"{URL}/north", files=files, data={"size": "110", "where": ["region=north"]})
    assert answer.status_code == 201, answer.text
    newer(service)
    edition = service.client.post(f"{URL}/north/refresh").json()
    assert all(row % 2 for row in members(service, edition["audience"]))


def test_the_command_line_does_the_same(service: Service, tmp_path: Path) -> None:
    run, root = CliRunner(), str(service.workspace.root)
    (tmp_path / "seeds.csv").write_text("customer_id\n" + "\n".join(map(str, SEEDS)))

    def kinfolk(*words: str) -> str:
        told = run.invoke(app, [*words, "--workspace", root])
        assert told.exit_code == 0, told.output
        return told.stdout

    kinfolk(
        *("audience", "--seeds", str(tmp_path / "seeds.csv"), "--out", str(tmp_path / "a.csv"), "--size", "120"),
        *("--save", "spring", "--churn-cap", "0.05"),
    )
    assert service.get(f"{URL}/spring")["editions"][0]["size"] == 120
    assert json.loads(kinfolk("saved", "refresh", "--json"))[0]["new"] is False
    newer(service)
    told = json.loads(kinfolk("saved", "refresh", "--json"))
    assert (told[0]["new"], told[0]["edition"]) == (True, 2)
    assert told[0]["left"] == service.get(f"{URL}/spring")["editions"][1]["left"]
    assert "spring" in kinfolk("saved", "list")
    assert "behaviour" in kinfolk("saved", "show", "spring")
    assert json.loads(kinfolk("saved", "show", "spring", "--json"))["editions"][1]["edition"] == 2
    kinfolk("saved", "export", "spring", "--out", str(tmp_path / "m.csv"), "--changes", str(tmp_path / "c.csv"))
    assert len(pl.read_csv(tmp_path / "m.csv")) == 120
    assert set(pl.read_csv(tmp_path / "c.csv")["change"]) == {"entered", "left"}
    kinfolk("saved", "remove", "spring")
    refused = run.invoke(app, ["saved", "show", "spring", "--workspace", root])
    assert refused.exit_code == 2


def test_two_refreshes_at_once_never_overwrite_an_edition(service: Service) -> None:
    workspace = service.workspace
    with Catalogue(workspace.catalogue) as catalogue:
        asked = Asked(AudienceRequest(seeds=tuple(SEEDS), size=120))
        define("spring", asked, workspace, catalogue, "test")
        snapshot, saved = Snapshot.load(workspace), load_saved(workspace, "spring")
        made = edition_audience(saved, snapshot, None, held_by(saved, workspace))
        first, _ = refresh("spring", snapshot, workspace, catalogue, "test", made)
        stored = load_audience(workspace, first.audience)
        with pytest.raises(ConflictError, match="another process"):
            serve.editions._write(saved, None, stored, snapshot, 0, None, workspace, catalogue)
        assert load_saved(workspace, "spring").editions[0].audience == first.audience


def test_nothing_of_it_names_a_customer_in_catalogue_or_log(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.client.put(f"{URL}/spring", json={"seeds": [*SEEDS, "stranger-4711"], "size": 120})
    service.client.post(f"{URL}/spring/refresh")
    changes(service, "spring")
    printed = capsys.readouterr()
    assert "4711" not in printed.out + printed.err
    assert "4711" not in repr(service.catalogue.audit_log())
    actions = {entry.action for entry in service.catalogue.audit_log()}
    assert actions >= {"saved.define", "saved.refresh", "saved.changes"}
