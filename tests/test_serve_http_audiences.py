"""Audiences over HTTP: asked for in three forms, found again, downloaded in three formats, and refused in many ways."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from http_service import QUICK, N, Service, first_audience, group_of, problem, publish

import serve.audiences
from index.audience import build_audience
from index.request import AudienceRequest
from serve.audience_files import AudienceFiles, make_audience
from serve.audiences import Asked
from serve.snapshot import Snapshot

SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()
CSV = "customer_id\n" + "\n".join(map(str, SEEDS)) + "\n"
URL = "/v1/audiences"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("workspace")
    publish(root)
    made = Service(root, max_body_mb=0.5)
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(service: Service) -> dict[str, Any]:
    return first_audience(service, SEEDS)


def test_the_answer_is_the_report_that_the_index_gives(service: Service, made: dict[str, Any]) -> None:
    snapshot = Snapshot.load(service.workspace)
    request = AudienceRequest(seeds=tuple(map(str, SEEDS)), size=120)
    audience = build_audience(request, snapshot.embeddings, snapshot.behaviour, QUICK)
    report = audience.report
    counts = {"given": 60, "duplicates": 0, "matched": 60, "unmatched": 0, "unmatched_ids": [], "objected": 0}
    assert made["seeds"] == counts
    for name in ("recall", "lift", "auroc"):
        expected = getattr(report, name)
        assert made[name] == {"value": expected.value, "low": expected.low, "high": expected.high}
    assert [scorer["name"] for scorer in made["scorers"]] == ["centroid", "logistic"]
    assert len(made["curve"]) == len(report.curve)
    assert [driver["feature"] for driver in made["audience_drivers"]] == [d.feature for d in report.audience_drivers]
    assert made["lift"]["value"] > 1.5
    assert (made["snapshot"], made["created_by"], made["size"]) == (snapshot.name, "marketer", 120)
    members = service.get(made["members"])["members"]
    assert members == audience.member_table().to_dicts()
    assert not {member["customer_id"] for member in members} & set(SEEDS)


def test_the_same_request_in_any_form_and_order_is_the_same_audience(service: Service, made: dict[str, Any]) -> None:
    post = service.client.post
    forms = [
        post(URL, json={"seeds": [str(seed) for seed in reversed(SEEDS)], "size": 120}),
        post(URL, files={"seeds": ("mine.csv", CSV)}, data={"size": "120", "include_seeds": "false"}),
        post(URL, content=CSV, params={"size": 120}, headers={"Content-Type": "text/csv; charset=utf-8"}),
        post(URL, content="name;customer_id\r\n" + "".join(f"x;{s}\r\n" for s in SEEDS), params={"size": 120},
             headers={"Content-Type": "text/csv"}),
        post(URL, content=b"\xef\xbb\xbf" + CSV.encode(), params={"size": 120}, headers={"Content-Type": "text/csv"}),
    ]  # fmt: skip
    for answer in forms:
        assert (answer.status_code, answer.json()) == (200, made), answer.text
    assert service.get(f"{URL}/{made['id']}", role="marketer") == made
    other = post(URL, json={"seeds": SEEDS, "size": 121})
    assert other.status_code == 201
    assert other.json()["id"] != made["id"]
    assert len(service.get(other.json()["members"])["members"]) == 121


def test_options_are_kept_and_used(service: Service) -> None:
    suppress = np.flatnonzero(group_of(N) == 1)[60:90].tolist()
    body = {"seeds": SEEDS, "size": 150, "include_seeds": True, "suppress": [*suppress, 99999], "seed": 3}
    answer = service.client.post(URL, json=body).json()
    asked = {"size": 150, "include_seeds": True, "suppress": 31, "seed": 3}
    assert answer["request"] == asked | {"nested": [], "segments": [], "not_segments": [], "where": [], "hold_out": 0.0}
    assert (answer["suppressed"], answer["suppress_unmatched"]) == (30, 1)
    members = {member["customer_id"] for member in service.get(answer["members"])["members"]}
    assert members & set(SEEDS)
    assert not members & set(suppress)
    files = {"seeds": ("s.csv", CSV), "suppress": ("n.csv", "customer_id\n" + "\n".join(map(str, [*suppress, 99999])))}
    again = service.client.post(URL, files=files, data={"size": "150", "include_seeds": "true", "seed": "3"})
    assert (again.status_code, again.json()) == (200, answer)


def test_members_come_in_the_format_asked_for(service: Service, made: dict[str, Any]) -> None:
    def members(accept: str | None) -> Any:
        headers = {**service.bearer("marketer"), "Accept": accept} if accept is not None else service.bearer("marketer")
        return service.client.get(made["members"], headers=headers)

    table = pl.DataFrame(members("application/json").json()["members"])
    assert (table.columns, len(table)) == (["customer_id", "score", "rank", "reasons"], 120)
    arrow = members("application/vnd.apache.arrow.stream")
    assert arrow.headers["content-disposition"] == f'attachment; filename="{made["id"]}.arrow"'
    assert pl.read_ipc_stream(io.BytesIO(arrow.content)).equals(
        pl.read_parquet(io.BytesIO(members("application/x-parquet").content))
    )
    for accept in ("text/csv", "text/*", "application/xml, text/csv;q=0.5", "application/json;q=0.1,TEXT/CSV"):
        answer = members(accept)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="{made["id"]}.csv"'
        assert pl.read_csv(io.BytesIO(answer.content))["customer_id"].equals(table["customer_id"])
    for accept in ("application/vnd.apache.parquet", "application/x-parquet"):
        answer = members(accept)
        assert answer.headers["content-type"] == accept
        parquet = pl.read_parquet(io.BytesIO(answer.content))
        assert parquet["customer_id"].equals(table["customer_id"])
        assert parquet["customer_id"].dtype == pl.Int64
    for accept in (None, "*/*", "", "application/*;q=0.2", "text/csv;q=0, */*"):
        assert members(accept).headers["content-type"].startswith("application/json"), accept
    for accept in ("text/html", "application/xml;q=0.9", "text/csv;q=0", "*/*;q=0", "text/csv;q=x"):
        problem(members(accept), 406, "application/json, text/csv, application/vnd.apache.parquet")
    tags = {members(accept).headers["etag"] for accept in ("application/json", "text/csv", "application/x-parquet")}
    assert len(tags) == 3
    assert members("text/csv").headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ["not valid JSON"]),
        (b"{", ["not valid JSON"]),
        (b'{"size": 100, "size": 200, "seeds": []}', ["a key is given twice"]),
        (b"\xff\xfe{}", ["body"]),
        (b"[1, 2]", ["not an object"]),
        (b"[" * 100_000, ["nested too deeply"]),
        (b'{"seeds": %s, "size": 1}' % (b"9" * 5000), ["not valid JSON"]),
        (b"{}", ["seeds: missing"]),
        ({"seeds": SEEDS}, ["Exactly one of size, share and precision"]),
        ({"seeds": SEEDS, "size": 120, "hold_out": 0.6}, ["hold_out: "]),
        ({"seeds": SEEDS, "size": 120, "nested": ["x"]}, ["nested"]),
        ({"seeds": SEEDS, "size": 120, "segments": [99]}, ["segment 99 is not in this snapshot"]),
        ({"seeds": SEEDS, "size": 120, "sice": 3}, ["sice: unknown key"]),
        ({"seeds": SEEDS, "size": "many"}, ["size: "]),
        ({"seeds": SEEDS, "size": 1.5}, ["size: "]),
        ({"seeds": "17", "size": 120}, ["seeds: not a list"]),
        ({"seeds": [*SEEDS, None], "size": 120}, ["seeds[60]", "null"]),
        ({"seeds": [True, 7.0, {}], "size": 120}, ["seeds[0]", "a boolean", "seeds[1]", "a fraction", "an object"]),
        ({"seeds": SEEDS, "size": 120, "suppress": [[]]}, ["suppress[0]", "a list"]),
        ({"seeds": SEEDS, "size": 99}, ["an audience of 99", "the least is 100"]),
        ({"seeds": SEEDS, "size": -5}, ["an audience of -5"]),
        ({"seeds": SEEDS, "size": 541}, ["541", "540 customers are eligible"]),
        ({"seeds": SEEDS, "size": 10**30}, ["10000000"]),
        ({"seeds": [], "size": 120}, ["the seed list is empty"]),
        ({"seeds": SEEDS[:24], "size": 120}, ["24 of 24 seeds are known", "at least 25"]),
        ({"seeds": SEEDS[:24] * 5, "size": 120}, ["24 of 120 seeds are known", "96 duplicates"]),
        ({"seeds": [f"x{i}" for i in range(99)], "size": 120}, ["0 of 99 seeds", "99 unknown", "are 'x0', 'x1'"]),
        ({"seeds": list(range(N)), "size": 120, "include_seeds": True}, ["all 600 customers are seeds"]),
        ({"seeds": SEEDS, "size": 120, "seed": -1}, ["seed: "]),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_with_the_reason(service: Service, body: Any, words: list[str]) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    before = sorted((service.workspace.root / "audiences").glob("*"))
    answer = service.client.post(URL, content=content, headers={"Content-Type": "application/json"})
    problem(answer, 422, *words)
    assert sorted((service.workspace.root / "audiences").glob("*")) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["seeds: the file is empty"]),
        (b"customer\n1\n2\n", ["no column customer_id among customer"]),
        (b"customer_id,customer_id\n1,2\n", ["several columns customer_id"]),
        (b"customer_id\n", ["column customer_id holds no ids"]),
        (CSV.encode("utf-16"), ["encoded as UTF-16", "UTF-8"]),
        ("customer_id\nMüller\n".encode("latin-1"), ["line 2, column 2", "not UTF-8"]),
        (b'customer_id\n"1\n2\n', ["line", "not valid CSV"]),
        (b"customer_id\n1\x00\n", ["line 2", "zero byte"]),
        (b"customer_id\nmissing-1\nmissing-2\n", ["0 of 2 seeds", "'missing-1', 'missing-2'"]),
    ],
)
def test_a_seed_file_that_cannot_be_used_is_refused(service: Service, content: bytes, words: list[str]) -> None:
    answer = service.client.post(URL, content=content, params={"size": 120}, headers={"Content-Type": "text/csv"})
    problem(answer, 422, *words)
    problem(service.client.post(URL, files={"seeds": ("s.csv", content)}, data={"size": "120"}), 422, *words)


def test_forms_are_checked(service: Service) -> None:
    def post(files: Any, data: Any) -> Any:
        return service.client.post(URL, files=files, data=data)

    seeds = {"seeds": ("s.csv", CSV)}
    problem(post(seeds, {}), 422, "Exactly one of size, share and precision says so; none is given")
    problem(post(seeds, {"size": "120", "colour": "red"}), 422, "colour: unknown key")
    problem(post(seeds, {"size": ["120", "130"]}), 422, "size: given twice")
    problem(post({**seeds, "more": ("m.csv", CSV)}, {"size": "120"}), 422, "more: not a file")
    problem(post({"suppress": ("s.csv", CSV)}, {"size": "120"}), 422, "seeds: missing")
    problem(post([("seeds", ("s.csv", CSV)), ("seeds", ("t.csv", CSV))], {"size": "120"}), 422, "once each")
    problem(post(seeds, {"size": "120", "suppress": "17"}), 422, "suppress: send the customers as a CSV file")
    broken = service.client.post(URL, content=b"--x\r\nno", headers={"Content-Type": "multipart/form-data; boundary=y"})
    problem(broken, 400)
    problem(service.client.post(URL, content=b"x", headers={"Content-Type": "multipart/form-data"}), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
def test_bodies_of_other_types_are_refused(service: Service, kind: str) -> None:
    answer = service.client.post(URL, content=b"seeds=1", headers={"Content-Type": kind})
    problem(answer, 415, "application/json, multipart/form-data, text/csv")


def test_a_body_over_the_limit_is_refused_announced_or_not(service: Service) -> None:
    large = b"customer_id\n" + b"1234567890\n" * 60_000
    kind = {"Content-Type": "text/csv"}
    problem(service.client.post(URL, content=large, headers=kind), 413, "over 0.5 MiB")
    pieces = (large[start : start + 1000] for start in range(0, len(large), 1000))
    problem(service.client.post(URL, content=pieces, headers=kind), 413, "over 0.5 MiB")
    problem(service.client.post(URL, files={"seeds": ("s.csv", large)}, data={"size": "120"}), 413, "over 0.5 MiB")


def test_unknown_seeds_are_counted_and_some_are_named(service: Service) -> None:
    unknown = [f"unknown-{i:03d}" for i in range(150)]
    answer = service.client.post(URL, json={"seeds": [*SEEDS, *SEEDS[:5], *unknown], "size": 120}).json()
    assert answer["seeds"]["unmatched_ids"] == unknown[:100]
    counts = {name: answer["seeds"][name] for name in ("given", "duplicates", "matched", "unmatched")}
    assert counts == {"given": 215, "duplicates": 5, "matched": 60, "unmatched": 150}


def test_the_catalogue_gets_options_and_hashes_but_no_customer(service: Service, made: dict[str, Any]) -> None:
    record = service.catalogue.audience(made["id"])
    stored = serve.audiences.load_audience(service.workspace, made["id"])
    assert record.result_sha256 == stored.manifest.files["members.parquet"]["sha256"]
    assert record.members == f"audiences/{made['id']}/members.parquet"
    assert record.request == made["request"]
    assert record.snapshot == service.workspace.current()
    service.client.get(made["members"], headers={**service.bearer("marketer"), "Accept": "text/csv"})
    entry = service.catalogue.audit_log(1)[0]
    assert (entry.actor, entry.action, entry.subject) == ("marketer", "audience.members", made["id"])
    assert entry.details == {"format": "csv", "size": 120}
    assert "unknown-0" not in json.dumps([[dict(r.report), dict(r.request)] for r in service.catalogue.audiences()])


def test_an_audience_from_the_command_line_is_found_over_http(service: Service, tmp_path: Path) -> None:
    request = AudienceRequest(seeds=tuple(SEEDS), size=133)
    audience = make_audience(service.workspace, Asked(request), AudienceFiles(tmp_path / "audience.csv")).audience
    listed = service.get(URL)["audiences"][0]
    assert (listed["created_by"], listed["size"]) == ("cli", 133)
    assert service.get(f"{URL}/{listed['id']}/members")["members"] == audience.member_table().to_dicts()
    again = service.client.post(URL, json={"seeds": SEEDS, "size": 133})
    assert (again.status_code, again.json()["id"]) == (200, listed["id"])


def test_audiences_are_listed_newest_first_a_page_at_a_time(service: Service, made: dict[str, Any]) -> None:
    everything = service.get(URL, role="analyst", limit=500)
    assert everything["next_cursor"] is None
    ids = [audience["id"] for audience in everything["audiences"]]
    assert made["id"] in ids
    assert ids == [record.id for record in service.catalogue.audiences()]
    paged, cursor = [], None
    while len(paged) == 0 or cursor:
        page = service.get(URL, limit=2, **({"cursor": cursor} if cursor else {}))
        paged += [audience["id"] for audience in page["audiences"]]
        cursor = page["next_cursor"]
    assert paged == ids
    problem(service.client.get(f"{URL}?cursor=zzz"), 422, "cursor")
    problem(service.client.get(f"{URL}?cursor=WyJhLTAwMDAwMDAwMDAwMDAwMDAiXQ"), 422, "cursor")


def test_an_audience_noted_without_its_figures_is_listed_too(service: Service) -> None:
    """As versions did that kept less."""
    facts = {"snapshot": "s-old", "request": {}, "seeds_sha256": "0" * 64, "result_sha256": "0" * 64, "members": "gone"}
    service.catalogue.save_audience(id="a-00000000000000ff", actor="cli", size=100, report={}, **facts)
    listed = {audience["id"]: audience for audience in service.get(URL, limit=500)["audiences"]}
    old = listed["a-00000000000000ff"]
    assert (old["size"], old["recall"], old["lift"], old["warnings"]) == (100, None, None, None)


@pytest.mark.parametrize("id", ["a-0000000000000000", "x", "..", "%2e%2e%2f%2e%2e", "a-0000000000000000%00", ".lock"])
def test_an_audience_that_is_not_there(service: Service, id: str) -> None:
    for path in (f"{URL}/{id}", f"{URL}/{id}/members"):
        assert service.client.get(path).status_code == 404


def test_formulas_in_ids_do_not_run_in_a_spreadsheet(tmp_path: Path) -> None:
    ids = pl.Series(sorted([f"=cmd|{i}" for i in range(100)] + [f"c{i:03d}" for i in range(200)]))
    publish(tmp_path, ids=ids)
    service = Service(tmp_path)
    seeds = [id for id in ids.to_list() if id.startswith("c")][:40]
    made = service.client.post(URL, json={"seeds": seeds, "size": 260}).json()
    accepted = {"Accept": "text/csv"}
    lines = service.client.get(made["members"], headers=accepted).text.splitlines()
    dangerous = [line for line in lines if "cmd" in line]
    assert len(dangerous) == 100
    assert all(line.startswith("'=") for line in dangerous)
    assert {m["customer_id"] for m in service.get(made["members"])["members"]} >= set(ids.to_list()[:100])
    service.close()


def test_a_damaged_audience_is_not_given_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(tmp_path)
    service = Service(tmp_path)
    made = service.client.post(URL, json={"seeds": SEEDS, "size": 120}).json()
    path = tmp_path / "audiences" / made["id"] / "members.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    body = problem(service.client.get(made["members"]), 500)
    assert "parquet" not in json.dumps(body)
    assert "members.parquet" in capsys.readouterr().out
    again = service.client.post(URL, json={"seeds": SEEDS, "size": 120})
    assert again.status_code == 201
    assert len(service.get(made["members"])["members"]) == 120
    service.close()


def test_the_service_answers_while_audiences_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path)
    service = Service(tmp_path, audience_workers=1, audience_queue=1)
    go, running = threading.Event(), threading.Event()
    build = serve.audiences.build_audience

    def slow(*given: Any, **more: Any) -> Any:
        running.set()
        assert go.wait(20)
        return build(*given, **more)

    monkeypatch.setattr(serve.audiences, "build_audience", slow)
    answers: list[Any] = []

    def ask(size: int) -> None:
        answers.append(service.client.post(URL, json={"seeds": SEEDS, "size": size}).status_code)

    threads = [threading.Thread(target=ask, args=(size,)) for size in (120, 130)]
    with service.client:
        for thread in threads:
            thread.start()
        assert running.wait(20)
        deadline = time.monotonic() + 20
        while service.app.state.service._queued < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert service.get("/livez") == {"status": "alive"}
        assert service.get("/v1/customers/17")["customer_id"] == 17
        full = service.client.post(URL, json={"seeds": SEEDS, "size": 140})
        problem(full, 503, "too many audiences")
        assert full.headers["retry-after"] == "60"
        go.set()
        for thread in threads:
            thread.join(30)
    assert answers == [201, 201]
    service.catalogue.close()
