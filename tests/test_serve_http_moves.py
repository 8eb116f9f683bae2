"""Segments from night to night over HTTP: moves, who moved, one customer's way, names, pictures."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from http_service import Service, problem
from nights import MOVERS, NAMES, publish_night
from typer.testing import CliRunner

from serve.cli import app

MOVED = {i for i in MOVERS if i >= 20 and i % 10 != 9}
MOVES, WHO = "/v1/segments/moves", "/v1/segments/moves/customers"
PARQUET = "application/vnd.apache.parquet"


class Nights(Service):
    """A service over three nights of one line."""

    def __init__(self, root: Path) -> None:
        self.names = [publish_night(root, night) for night in (1, 2, 3)]
        super().__init__(root, key_seconds=0)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    made = Nights(tmp_path_factory.mktemp("nights"))
    yield made
    made.close()


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    made = Nights(tmp_path)
    yield made
    made.close()


def test_moves_are_those_of_the_command_line(read_only: Nights) -> None:
    one, two, _ = read_only.names
    for query, options in (
        ({}, []),
        ({"from": one}, ["--from", one]),
        ({"from": one, "to": two, "segment": 3}, ["--from", one, "--to", two, "--segment", "3"]),
    ):
        words = ["segments", "moves", "--json", "--workspace", str(read_only.workspace.root), *options]
        assert read_only.get(MOVES, "analyst", **query) == json.loads(CliRunner().invoke(app, words).output)


@pytest.mark.parametrize("accept", ["application/json", "text/csv", PARQUET])
def test_who_moved_in_the_format_asked_for_without_who_objected(nights: Nights, accept: str) -> None:
    one, two, _ = nights.names
    query, gone = {"from": one, "to": two}, sorted(MOVED)[0]
    before = nights.client.get(WHO, params=query, headers={"Accept": accept})
    nights.client.put(f"/v1/objections/{gone}")
    headers = {"Accept": accept, "If-None-Match": before.headers["etag"], **nights.bearer("marketer")}
    answer = nights.client.get(WHO, params=query, headers=headers)
    assert answer.status_code == 200
    if accept == "text/csv":
        table = pl.read_csv(io.BytesIO(answer.content))
    elif accept == PARQUET:
        table = pl.read_parquet(io.BytesIO(answer.content))
    else:
        assert {k: v for k, v in answer.json().items() if k != "customers"} == {
            **query,
            "segment": None,
            "size": len(MOVED) - 1,
        }
        table = pl.DataFrame(answer.json()["customers"])
    assert set(table["customer_id"]) == MOVED - {gone}
    assert set(table["to_name"]) == {NAMES[3]}
    assert all("fuel" in why for why in table["why"])
    entry = nights.catalogue.audit_log(1)[0]
    assert (entry.actor, entry.action, entry.details["size"]) == ("marketer", "segments.moves", len(MOVED) - 1)
    again = nights.client.get(WHO, params=query, headers={**headers, "If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_what_cannot_be_compared(nights: Nights) -> None:
    problem(nights.client.get(MOVES, params={"from": "s-nobody"}), 404, "no snapshot 's-nobody' is kept")
    problem(nights.client.get(MOVES, params={"from": "../../etc"}), 404, "no snapshot")
    problem(nights.client.get(MOVES, params={"from": nights.names[2]}), 422, "named twice")
    for path in (MOVES, WHO):
        problem(nights.client.get(path, params={"segment": 55}), 422, "segment 55 is in neither")
    problem(nights.client.get(MOVES, params={"to": nights.names[0]}), 404, "no snapshot before")
    problem(nights.client.get(WHO, headers={"Accept": "image/png"}), 406)
    publish_night(nights.workspace.root, 2, lineage="another")
    assert nights.live.check()
    found = nights.get(MOVES)
    assert (found["comparable"], found["moved"]) == (False, None)
    assert "do not belong to one line" in found["note"]
    problem(nights.client.get(WHO), 422, "do not belong to one line")


def test_a_name_is_seen_at_once_everywhere(nights: Nights) -> None:
    urls = ("/v1/segments", "/v1/segments/3", "/v1/customers/25", "/v1/customers/25/segments", MOVES)
    tags = {url: nights.client.get(url).headers["etag"] for url in urls}
    given = nights.client.put("/v1/segments/3/name", json={"name": " Motorists "}, headers=nights.bearer("marketer"))
    assert given.status_code == 200
    assert {k: v for k, v in given.json().items() if k != "at"} == {"segment": 3, "name": "Motorists", "by": "marketer"}
    for url, tag in tags.items():
        answer = nights.client.get(url, headers={"If-None-Match": tag})
        assert answer.status_code == 200  # the copy that the client has does not hold any more
        assert "Motorists" in answer.text
        assert "Much fuel" not in answer.text
        assert nights.client.get(url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    entry = nights.catalogue.audit_log(1)[0]
    assert (entry.actor, entry.action, entry.subject) == ("marketer", "segment.rename", "3")
    publish_night(nights.workspace.root, 2, text=False)  # the same one again: nothing is overwritten
    assert nights.live.check()
    assert nights.get("/v1/segments/3")["name"] == "Motorists"


def test_names_given_on_the_command_line_are_seen_too(nights: Nights) -> None:
    words = ["segments", "rename", "7", "Drinkers", "--workspace", str(nights.workspace.root)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert nights.get("/v1/segments/7")["name"] == "Drinkers"


@pytest.mark.parametrize(
    ("segment", "body", "status", "words"),
    [
        (5, {"name": "x"}, 404, "no segment 5"),
        (3, {"name": ""}, 422, "1 to 72"),
        (3, {"name": "x" * 73}, 422, "1 to 72"),
        (3, {"name": "a\u0007"}, 422, "control character"),
        (3, {"name": "MUCH wine"}, 409, "segment 7 is called"),
        (3, {"name": 3}, 422, "name"),
        (3, {"nmae": "x"}, 422, "nmae"),
        (3, {}, 422, "name"),
    ],
)
def test_names_that_are_refused(
    read_only: Nights, segment: int, body: dict[str, object], status: int, words: str
) -> None:
    problem(read_only.client.put(f"/v1/segments/{segment}/name", json=body), status, words)
    denied = read_only.client.put("/v1/segments/3/name", json={"name": "x"}, headers=read_only.bearer("analyst"))
    problem(denied, 403, "role analyst")


def test_the_way_of_a_customer(read_only: Nights) -> None:
    mover = sorted(MOVED)[0]
    way = read_only.get(f"/v1/customers/{mover}/segments", "analyst")
    assert (way["customer_id"], way["snapshot"]) == (mover, read_only.names[2])
    assert [(s["snapshot"], s["segment"], s["name"], s["there"]) for s in way["segments"]] == [
        (read_only.names[0], 0, NAMES[0], True),
        (read_only.names[1], 3, NAMES[3], True),
        (read_only.names[2], 3, NAMES[3], True),
    ]
    gone = read_only.get("/v1/customers/3/segments")["segments"]
    assert [(s["there"], s["segment"]) for s in gone] == [(True, 0), (False, None), (False, None)]
    for stranger in ("99999", "007", "x"):
        problem(read_only.client.get(f"/v1/customers/{stranger}/segments"), 404, "no customer")


def test_segments_have_their_sizes_over_time(read_only: Nights) -> None:
    found = {segment["id"]: segment for segment in read_only.get("/v1/segments")["segments"]}
    assert [(then["snapshot"], then["size"]) for then in found[7]["sizes"]] == list(
        zip(read_only.names, [180, 186, 84], strict=True)
    )
    assert (found[7]["change"], found[9]["change"]) == (-102, None)
    assert read_only.get("/v1/segments/7") == found[7]


def test_a_kept_snapshot_may_go(nights: Nights) -> None:
    assert len(nights.get("/v1/segments/7")["sizes"]) == 3
    with nights.workspace.lock():
        nights.workspace.prune(2)
    assert len(nights.get("/v1/segments/7")["sizes"]) == 2
    assert len(nights.get("/v1/customers/25/segments")["segments"]) == 2


def test_pictures_and_pages(nights: Nights) -> None:
    one = nights.names[0]
    for path, kind in (
        ("map.png", "image/png"),
        ("flow.png", "image/png"),
        ("map.html", "text/html"),
        ("flow.html", "text/html"),
    ):
        query = {"from": one} if path.startswith("flow") else {}
        answer = nights.client.get(f"/v1/segments/{path}", params=query, headers=nights.bearer("analyst"))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(kind)
        unchanged = {"If-None-Match": answer.headers["etag"]}
        assert nights.client.get(f"/v1/segments/{path}", params=query, headers=unchanged).status_code == 304
        if kind == "image/png":
            assert answer.content.startswith(b"\x89PNG")
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        else:
            assert "Much fuel" in answer.text
            assert "sandbox allow-scripts" in answer.headers["content-security-policy"]
            nights.client.put("/v1/segments/3/name", json={"name": f"Named for {path}"})
            renamed = nights.client.get(f"/v1/segments/{path}", params=query, headers=unchanged)
            assert renamed.status_code == 200
            assert f"Named for {path}" in renamed.text
            nights.client.put("/v1/segments/3/name", json={"name": "Much fuel"})
