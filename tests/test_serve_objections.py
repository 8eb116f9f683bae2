"""Objections to marketing profiling, over HTTP and on the command line: who objects is in no list that goes out."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from http_service import N, Service, group_of, problem, publish
from typer.testing import CliRunner

from serve.cli import app

SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()
AUDIENCES = "/v1/audiences"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path)
    made = Service(tmp_path)
    yield made
    made.close()


def members(service: Service, audience: str, accept: str = "application/vnd.apache.parquet") -> set[int]:
    answer = service.client.get(f"{AUDIENCES}/{audience}/members", headers={"Accept": accept})
    assert answer.status_code == 200
    return set(pl.read_parquet(io.BytesIO(answer.content))["customer_id"].to_list())


def test_one_customer_objects_and_withdraws(service: Service) -> None:
    url, marketer = "/v1/objections/17", service.bearer("marketer")
    problem(service.client.get(url, headers=marketer), 404, "said nothing")
    said = service.client.put(url, headers=marketer).json()
    assert (said["customer_id"], said["objects"], said["by"]) == ("17", True, "marketer")
    assert service.client.put(url, headers=marketer).json() == said
    assert service.get("/v1/objections", "marketer") == {"standing": 1}
    assert service.client.delete(url, headers=marketer).json()["objects"] is False
    assert service.get("/v1/objections") == {"standing": 0}
    for method in ("get", "put", "delete"):
        problem(getattr(service.client, method)(url, headers=service.bearer("analyst")), 403, "role")


def test_many_at_once_and_in_any_form_of_their_ids(service: Service) -> None:
    noted = service.client.post("/v1/objections", json={"object": [5, "006", " 7 ", "stranger"]}).json()
    assert noted == {"objected": 4, "withdrawn": 0, "standing": 4}
    noted = service.client.post("/v1/objections", json={"object": [8], "withdraw": ["6", "9"]}).json()
    assert noted == {"objected": 1, "withdrawn": 1, "standing": 4}
    problem(service.client.post("/v1/objections", json={"object": [1], "withdraw": ["01"]}), 422, "both")
    problem(service.client.post("/v1/objections", json={"objects": [1]}), 422, "objects")
    problem(service.client.post("/v1/objections", json={"object": [1.5]}), 422)
    assert service.get("/v1/objections") == {"standing": 4}


def test_who_objects_is_in_no_answer_that_a_marketer_gets(service: Service) -> None:
    near = [found["customer_id"] for found in service.get("/v1/customers/17/similar", k=5)["similar"]]
    before = service.client.get("/v1/customers/17/similar", params={"k": 5})
    service.client.put(f"/v1/objections/{near[0]}")
    unchanged = {"If-None-Match": before.headers["etag"]}
    after = service.client.get("/v1/customers/17/similar", params={"k": 5}, headers=unchanged)
    assert after.status_code == 200  # the copy that the client has does not hold any more
    assert near[0] not in [found["customer_id"] for found in after.json()["similar"]]
    assert [found["customer_id"] for found in after.json()["similar"]][:4] == near[1:]
    segment = service.get(f"/v1/customers/{near[0]}")["segment"]
    if segment is not None:
        page = service.get(f"/v1/segments/{segment['id']}/members")
        assert near[0] not in [member["customer_id"] for member in page["members"]]
        assert page["size"] == len(page["members"])


def test_an_audience_is_made_without_them_and_another_one_once_they_withdraw(service: Service) -> None:
    first = service.client.post(AUDIENCES, json={"seeds": SEEDS, "size": 120}).json()
    listed = members(service, first["id"])
    gone = [*sorted(listed)[:10], SEEDS[0]]
    service.client.post("/v1/objections", json={"object": gone})
    second = service.client.post(AUDIENCES, json={"seeds": SEEDS, "size": 120})
    assert second.status_code == 201
    report = second.json()
    assert report["id"] != first["id"]
    assert (report["objected"], report["seeds"]["objected"], report["seeds"]["matched"]) == (11, 1, 59)
    assert not members(service, report["id"]) & set(gone)
    service.client.post("/v1/objections", json={"withdraw": gone})
    again = service.client.post(AUDIENCES, json={"seeds": SEEDS, "size": 120})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])


def test_an_audience_made_before_is_given_out_without_who_objected_since(service: Service) -> None:
    made = service.client.post(AUDIENCES, json={"seeds": SEEDS, "size": 120}).json()
    path = f"{AUDIENCES}/{made['id']}/members"
    formats = ("application/vnd.apache.parquet", "application/vnd.apache.arrow.stream", "text/csv", "application/json")
    tags = {accept: service.client.get(path, headers={"Accept": accept}).headers["etag"] for accept in formats}
    gone = min(members(service, made["id"]))
    service.client.put(f"/v1/objections/{gone}")
    for accept, tag in tags.items():
        answer = service.client.get(path, headers={"Accept": accept, "If-None-Match": tag})
        assert answer.status_code == 200
        if accept == "text/csv":
            table = pl.read_csv(io.BytesIO(answer.content))
        elif accept == "application/json":
            table = pl.DataFrame(answer.json()["members"])
            assert answer.json()["size"] == 119
        else:
            read = pl.read_parquet if "parquet" in accept else pl.read_ipc_stream
            table = read(io.BytesIO(answer.content))
        assert len(table) == 119
        assert gone not in table["customer_id"].to_list()
    service.client.delete(f"/v1/objections/{gone}")
    assert len(members(service, made["id"])) == 120


def test_conditions_on_attributes_over_http(service: Service) -> None:
    table = "customer_id,region\n" + "\n".join(f"{row},{'north' if row % 2 else 'south'}" for row in range(N))
    seeds = "customer_id\n" + "\n".join(map(str, SEEDS))
    files = {"seeds": ("s.csv", seeds), "attributes": ("a.csv", table)}
    answer = service.client.post(AUDIENCES, files=files, data={"size": "110", "where": ["region=north"]})
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert report["outside_attributes"] == N // 2
    assert report["request"]["where"] == ["region=north"]
    assert len(report["request"]["attributes_sha256"]) == 64
    assert all(row % 2 for row in members(service, report["id"]))
    refused = service.client.post(AUDIENCES, json={"seeds": SEEDS, "size": 110, "where": ["region=north"]})
    problem(refused, 422, "where: needs the file of attributes")


def test_the_command_line_keeps_the_same_register(service: Service, tmp_path: Path) -> None:
    run, root = CliRunner(), str(tmp_path)
    (tmp_path / "who.csv").write_text("customer_id\n5\n006\n6\nstranger\n")
    told = run.invoke(app, ["objections", "add", str(tmp_path / "who.csv"), "--workspace", root, "--json"])
    assert told.exit_code == 0, told.output
    assert '"new": 3' in told.stdout
    assert service.get("/v1/objections") == {"standing": 3}
    (tmp_path / "back.csv").write_text("customer_id\n5\n")
    run.invoke(app, ["objections", "withdraw", str(tmp_path / "back.csv"), "--workspace", root])
    out = tmp_path / "now.csv"
    told = run.invoke(app, ["objections", "list", "--out", str(out), "--workspace", root])
    assert "2 customers object" in told.stdout
    assert pl.read_csv(out, schema_overrides={"customer_id": pl.String})["customer_id"].to_list() == ["6", "stranger"]


def test_no_customer_id_is_logged_or_audited(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.client.put("/v1/objections/stranger-4711")
    service.client.delete("/v1/objections/stranger-4711")
    printed = capsys.readouterr()
    assert "4711" not in printed.out + printed.err
    assert "4711" not in repr(service.catalogue.audit_log())
