"""Who objected or was erased is known in every form of the id: "007" noted before 7 was a customer, "c7   " of a
database that fills ids up with spaces."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from http_service import N, Service, first_audience, group_of, problem, publish
from nights import MOVERS, publish_night
from receiver import receiving
from typer.testing import CliRunner

from eventlog.config import EventLogConfig
from eventlog.run import run as prepare
from serve.cli import app
from serve.forget import forget
from serve.objections import objecting
from serve.webhook import deliver
from serve.webhook_config import WebhookConfig
from store.erasures import Erasures
from store.objections import Objections
from store.workspace import Workspace

SPACES = "%20%20%20"
SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def early(root: Path) -> Iterator[Service]:
    """A service that is there before the first snapshot."""
    Workspace.create(root)
    made = Service(root)
    yield made
    made.close()


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def test_an_objection_noted_before_the_first_snapshot_holds_in_every_list(early: Service, root: Path) -> None:
    one, two, third = MOVERS[7:10]
    early.client.post("/v1/objections", json={"object": [f"0{one}", f"+{two}", "stranger"]})
    publish_night(root, 1)
    publish_night(root, 2)
    early.live.open()
    movers = [c["customer_id"] for c in early.get("/v1/segments/moves/customers", "marketer")["customers"]]
    assert third in movers
    assert not {one, two} & set(movers)
    segment = early.get(f"/v1/customers/{one}")["segment"]["id"]
    run("segments", "members", str(segment), str(root / "m.csv"), "--workspace", str(root))
    listed = pl.read_csv(root / "m.csv")["customer_id"].to_list()
    assert listed
    assert not {one, two} & set(listed)


def test_it_is_withdrawn_in_any_form(early: Service, root: Path) -> None:
    early.client.post("/v1/objections", json={"object": ["033", "+36"]})
    publish(root)
    early.live.open()
    url = "/v1/objections/33"
    said = early.get(url)
    assert (said["customer_id"], said["objects"]) == ("33", True)
    assert early.client.post("/v1/objections", json={"object": [33]}).json()["objected"] == 0, "known already"
    assert early.client.delete(url).json()["objects"] is False
    assert early.get("/v1/objections") == {"standing": 1}
    assert early.client.post("/v1/objections", json={"withdraw": [36]}).json()["standing"] == 0
    assert early.client.put(url).json()["objects"] is True
    assert early.get("/v1/objections/033")["objects"] is True


def test_who_objects_in_one_form_and_withdrew_in_another_objects(early: Service, root: Path) -> None:
    early.client.post("/v1/objections", json={"object": ["33", "033", " 34 ", "-036"]})
    early.client.post("/v1/objections", json={"withdraw": ["33"]})
    assert early.get("/v1/objections/34")["customer_id"] == "34"
    publish(root)
    early.live.open()
    assert early.get("/v1/objections/33")["objects"] is True
    assert early.get("/v1/objections/-36")["objects"] is True
    near = {found["customer_id"] for found in early.get("/v1/customers/1/similar", k=N)["similar"]}
    assert not {33, 34} & near
    assert len(near) == N - 3


def test_a_webhook_leaves_them_out(early: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFOLK_WEBHOOK_SECRET", "s" * 32)
    early.client.post("/v1/objections", json={"object": ["033"]})
    events = tmp_path / "events.jsonl"
    lines = [json.dumps({"id": f"e{id}", "customer": id, "kind": "moved"}) for id in ("33", "34")]
    events.write_text("\n".join(lines) + "\n", encoding="utf-8")
    who = objecting(Objections(early.catalogue))
    with receiving() as receiver:
        found = deliver(events, WebhookConfig(url=receiver.url), tmp_path / "state.json", objected=who)
    assert (found.left_out, receiver.taken) == (1, ["e34"])


def test_ids_that_are_filled_up_with_spaces_can_object_and_be_erased(early: Service, root: Path) -> None:
    publish(root, ids=pl.Series([f"c{number:04d}   " for number in range(N)]))
    early.live.open()
    url = "/v1/customers/c0020%20%20%20/similar"
    near = early.get(url, k=2)["similar"][0]["customer_id"]
    assert near.endswith("   ")
    assert early.client.put(f"/v1/objections/{near.replace(' ', '%20')}").json()["customer_id"] == near
    assert near not in [found["customer_id"] for found in early.get(url, k=5)["similar"]]
    assert early.get("/v1/objections/" + near.replace(" ", "%20"))["objects"] is True
    (root.parent / "who.csv").write_text("customer_id\nc0041   \n", encoding="utf-8")
    run("objections", "add", str(root.parent / "who.csv"), "--workspace", str(root))
    early.app.state.service.objected.forget()
    members = early.get("/v1/segments/2/members", limit=1000)["members"]
    assert "c0041   " not in [member["customer_id"] for member in members]
    receipt = forget(early.workspace, [near, "c0050"])
    assert (receipt["known"], receipt["unknown"], receipt["search"]["found"]) == (2, 0, [])
    early.live.open()
    problem(early.client.get(f"/v1/customers/{near.replace(' ', '%20')}"), 404)


def test_an_objection_without_the_spaces_that_a_database_adds_holds(early: Service, root: Path) -> None:
    early.client.post("/v1/objections", json={"object": ["c0020", "c0021   ", " c0022"]})
    publish(root, ids=pl.Series([f"c{number:04d}   " for number in range(N)]))
    early.live.open()
    url = "/v1/objections/c0020%20%20%20"
    assert early.get(url)["objects"] is True
    everybody = f"/v1/customers/c0001{SPACES}/similar"
    near = {found["customer_id"] for found in early.get(everybody, k=N)["similar"]}
    assert len(near) == N - 4
    assert not {"c0020   ", "c0021   ", "c0022   "} & near
    assert objecting(Objections(early.catalogue)).are("c0022   ")
    assert early.client.put(url).json()["objects"] is True
    assert early.get("/v1/objections") == {"standing": 3}, "known already"
    assert early.client.delete(url).json()["objects"] is False
    assert early.get("/v1/objections") == {"standing": 2}
    assert "c0020   " in {found["customer_id"] for found in early.get(everybody, k=N)["similar"]}


def test_a_database_that_stops_to_fill_ids_up_changes_nothing(early: Service, root: Path) -> None:
    publish(root, ids=pl.Series([f"c{number:04d}   " for number in range(N)]))
    early.live.open()
    early.client.put("/v1/objections/c0020%20%20%20")
    publish(root, ids=pl.Series([f"c{number:04d}" for number in range(N)]))
    early.live.open()
    near = {found["customer_id"] for found in early.get("/v1/customers/c0001/similar", k=N)["similar"]}
    assert len(near) == N - 2
    assert "c0020" not in near
    assert early.client.delete("/v1/objections/c0020").json()["objects"] is False
    assert early.get("/v1/objections") == {"standing": 0}


def test_who_comes_later_with_spaces_around_has_objected(early: Service, root: Path) -> None:
    publish(root, ids=pl.Series([f"c{number:04d}   " for number in range(N - 1)]))
    early.live.open()
    late = f"c{N - 1:04d}"
    early.client.post("/v1/objections", json={"object": [late + "   "]})
    publish(root, ids=pl.Series([f"c{number:04d}   " for number in range(N)]))
    early.live.open()
    near = early.get(f"/v1/customers/c0001{SPACES}/similar", k=N)["similar"]
    assert len(near) == N - 2
    assert late + "   " not in {found["customer_id"] for found in near}
    assert early.get("/v1/objections") == {"standing": 1}
    receipt = forget(early.workspace, [late])
    assert (receipt["known"], receipt["unknown"], receipt["search"]["found"]) == (1, 0, [])
    erased = Erasures(early.catalogue).mask(pl.Series([late, late + "  ", "c0001"]))
    assert erased.tolist() == [True, True, False]
    assert early.get("/v1/objections") == {"standing": 0}
    assert late.encode() not in early.workspace.catalogue.read_bytes()


def test_an_erasure_finds_other_forms_in_lists_and_in_the_register(early: Service, root: Path) -> None:
    early.client.post("/v1/objections", json={"object": ["0012345300"]})
    ids = np.arange(N) + 12345000
    publish(root, ids=pl.Series(ids))
    early.live.open()
    seeds = [f"00{ids[at]}" for at in SEEDS]
    table = "customer_id,region\n" + "".join(f"00{id},north\n" for id in ids)
    files = {"seeds": ("s.csv", "customer_id\n" + "\n".join(seeds)), "attributes": ("a.csv", table)}
    given = {"size": "120", "where": ["region=north"]}
    assert early.client.put("/v1/saved-audiences/spring", files=files, data=given).status_code == 201
    receipt = forget(early.workspace, [seeds[0].lstrip("0"), "12345300"])
    assert receipt["search"]["found"] == []
    definition = root / "saved" / "spring" / "definitions" / "0001"
    left = json.loads((definition / "request.json").read_text(encoding="utf-8"))["seeds"]
    assert seeds[0] not in left
    assert len(left) == len(seeds) - 1
    assert seeds[0] not in pl.read_parquet(definition / "attributes.parquet")["customer_id"].to_list()
    assert early.get("/v1/objections") == {"standing": 0}


def test_an_erasure_takes_spaces_for_an_id_where_two_customers_differ_by_them(early: Service, root: Path) -> None:
    publish(root, ids=pl.Series(sorted(["c7", "c7  ", *(f"x{number}" for number in range(80))])))
    early.live.open()
    forget(early.workspace, ["c7  "])
    early.live.open()
    assert early.get("/v1/customers/c7")["customer_id"] == "c7"


def test_an_erasure_takes_one_text_for_another_nowhere(early: Service, root: Path) -> None:
    early.client.post("/v1/objections", json={"object": ["007"]})
    publish(root, ids=pl.Series(sorted(["007", "7", *(f"x{number}" for number in range(80))])))
    early.live.open()
    problem(early.client.delete("/v1/objections/7"), 404, "said nothing")
    assert early.get("/v1/objections") == {"standing": 1}
    forget(early.workspace, ["7"])
    assert early.get("/v1/objections") == {"standing": 1}
    early.live.open()
    assert early.get("/v1/customers/007")["customer_id"] == "007"


def test_who_objected_is_named_nowhere_and_nobody_to_who_may_not_read_lists(early: Service, root: Path) -> None:
    publish(root)
    early.live.open()
    report = first_audience(early, [*SEEDS, 10**9])
    shown, url = int(report["prototypes"][0]), f"/v1/audiences/{report['id']}"
    assert early.get(url, "marketer")["prototypes"] == report["prototypes"]
    analysts = early.get(url, "analyst")
    assert (analysts["prototypes"], analysts["seeds"]["unmatched"], analysts["seeds"]["unmatched_ids"]) == ([], 1, [])
    assert early.get("/v1/segments/0", "analyst")["typical"] == []
    typical = early.get("/v1/segments/0", "marketer")["typical"]
    before = early.client.get("/v1/segments/0", headers=early.bearer("marketer")).headers["etag"]
    early.client.post("/v1/objections", json={"object": [shown, typical[0]]})
    again = early.client.get("/v1/segments/0", headers={**early.bearer("marketer"), "If-None-Match": before})
    assert again.status_code == 200
    assert again.json()["typical"] == typical[1:]
    listed = early.get("/v1/segments", "marketer")["segments"]
    assert typical[0] not in [customer for segment in listed for customer in segment["typical"]]
    etag = early.client.get(url, headers=early.bearer("marketer")).headers["etag"]
    asked = {**early.bearer("marketer"), "If-None-Match": etag}
    assert early.client.get(url, headers=asked).status_code == 304
    other = int(report["prototypes"][1])
    early.client.post("/v1/objections", json={"object": [other], "withdraw": [shown]})
    again = early.client.get(url, headers=asked)
    assert again.status_code == 200, "as many prototypes, and others"
    assert str(shown) in again.json()["prototypes"]
    assert str(other) not in again.json()["prototypes"]
    told = json.loads(run("segments", "show", "0", "--json", "--workspace", str(root)))
    assert told["typical"] == typical[1:]


def test_a_condition_that_names_a_customer_is_blanked(early: Service, root: Path) -> None:
    ids = [f"C10037{number:05d}" for number in range(N)]
    publish(root, ids=pl.Series(ids))
    early.live.open()
    table = "customer_id,crm\n" + "".join(f"{id},{id}\n" for id in ids)
    files = {"seeds": ("s.csv", "customer_id\n" + "\n".join(ids[at] for at in SEEDS)), "attributes": ("m.csv", table)}
    made = early.client.post("/v1/audiences", files=files, data={"size": "120", "where": [f"crm!={ids[5]}|{ids[6]}"]})
    assert made.status_code == 201
    assert forget(early.workspace, [ids[5]])["search"]["found"] == []
    assert early.get(f"/v1/audiences/{made.json()['id']}")["request"]["where"] == [f"crm!=(erased)|{ids[6]}"]
    assert ids[5].encode() not in early.workspace.catalogue.read_bytes()


def test_a_line_that_cannot_be_taken_apart_is_told_by_its_place(tmp_path: Path) -> None:
    lines = [f"{12345600 + number},2020-01-01,x" for number in range(100)]
    (tmp_path / "e.csv").write_text("\n".join(["customer,time,shop", *lines, "12345678,2020-01-01,x,oops"]) + "\n")
    source = {
        "name": "s",
        "path": str(tmp_path / "e.csv"),
        "customer": "customer",
        "time": "time",
        "categorical": ["shop"],
    }
    workspace = Workspace.create(tmp_path / "w")
    log = prepare(EventLogConfig.model_validate({"sources": [source]}), workspace)
    report = (log.folder / "report.json").read_text(encoding="utf-8")
    assert "12345678" not in report
    assert "e.csv, row 101" in report
