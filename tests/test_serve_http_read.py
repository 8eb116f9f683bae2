"""Reading over HTTP: the snapshot, customers, similar customers, segments and their members."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest
from http_service import GROUPS, WIDTH, N, Service, group_of, problem, publish

from serve.snapshot import Snapshot


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("workspace")
    publish(root)
    made = Service(root)
    yield made
    made.close()


@pytest.fixture(scope="module")
def snapshot(service: Service) -> Snapshot:
    return Snapshot.load(service.workspace)


def test_the_snapshot_tells_what_is_served(service: Service, snapshot: Snapshot) -> None:
    answer = service.get("/v1/snapshot")
    assert answer["name"] == snapshot.name == service.workspace.current()
    assert (answer["customers"], answer["customer_type"], answer["width"]) == (N, "integer", WIDTH)
    assert (answer["segments"], answer["unassigned_share"], answer["index_recall"]) == (GROUPS, 0.1, 1.0)
    assert answer["parts"]["index"]["figures"]["method"] == "exact"


def test_a_customer_has_segment_place_and_behaviour(service: Service, snapshot: Snapshot) -> None:
    answer = service.get("/v1/customers/17")
    assert answer["customer_id"] == 17
    assert answer["segment"]["id"] == 2
    assert answer["segment"]["strength"] == pytest.approx(float(snapshot.segments.strength[17]))
    assert answer["position"] == pytest.approx(snapshot.segments.positions[17].tolist())
    assert [measure["name"] for measure in answer["behaviour"]] == ["events", "amount:sum"]
    assert answer["behaviour"][0]["value"] == snapshot.behaviour.matrix[17, 0]
    assert answer["vector"] is None
    assert service.get("/v1/customers/19")["segment"] is None


def test_all_behaviour_and_the_vector_come_when_asked_for(service: Service, snapshot: Snapshot) -> None:
    answer = service.get("/v1/customers/17", include=["vector", "behaviour"])
    assert answer["vector"] == pytest.approx(snapshot.embeddings.vectors[17].tolist())
    assert [measure["value"] for measure in answer["behaviour"]] == snapshot.behaviour.matrix[17].tolist()
    problem(service.client.get("/v1/customers/17?include=secrets"), 422, "include", "'vector' or 'behaviour'")


@pytest.mark.parametrize("id", ["600", "017", "+17", "%2017", "1_7", "-0", "-1", "17.0", "x", "9" * 30, "1" * 5000])
def test_only_the_plain_form_of_an_id_finds_a_customer(service: Service, id: str) -> None:
    problem(service.client.get(f"/v1/customers/{id}"), 404, "no customer")
    problem(service.client.get(f"/v1/customers/{id}/similar"), 404, "no customer")


def test_similar_customers_are_the_nearest_by_brute_force(service: Service, snapshot: Snapshot) -> None:
    answer = service.get("/v1/customers/17/similar", k=20)
    similarity = snapshot.embeddings.vectors @ snapshot.embeddings.vectors[17]
    similarity[17] = -np.inf
    best = np.argsort(-similarity, kind="stable")[:20]
    assert [found["customer_id"] for found in answer["similar"]] == best.tolist()
    assert [found["similarity"] for found in answer["similar"]] == pytest.approx(similarity[best].tolist(), abs=1e-6)
    for found in answer["similar"]:
        label = int(snapshot.segments.labels[found["customer_id"]])
        assert found["segment"] == (None if label < 0 else label)
    assert len(service.get("/v1/customers/17/similar")["similar"]) == 10


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("segments=1", {1}),
        ("segment=1", {1}),
        ("segments=1,-1", {1, -1}),
        ("segments=0&segments=2", {0, 2}),
        ("not_segments=0, 2", {1, -1}),
        ("segments=0,1&not_segments=2", {0, 1}),
        ("not_segments=-1", {0, 1, 2}),
        ("segments=", {0, 1, 2, -1}),
    ],
)
def test_similar_customers_of_some_segments(service: Service, snapshot: Snapshot, query: str, labels: set[int]) -> None:
    answer = service.client.get(f"/v1/customers/17/similar?k=1000&{query}")
    found = [neighbour["customer_id"] for neighbour in answer.json()["similar"]]
    assert set(found) == set(np.flatnonzero(np.isin(snapshot.segments.labels, list(labels))).tolist()) - {17}
    similarity = snapshot.embeddings.vectors[found] @ snapshot.embeddings.vectors[17]
    assert (np.diff(similarity) <= 1e-6).all(), "the most similar first"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("segments=7", "segment 7 is not in this snapshot: there are 0, 1, 2 (-1: in no segment)"),
        ("segment=7", "segment 7 is not"),
        ("not_segments=-2", "segment -2 is not"),
        ("segments=1,2&not_segments=2", "segment 2 is both in segments and in not_segments"),
        ("segments=gold", "query.segments"),
    ],
)
def test_segments_that_cannot_be_asked_for(service: Service, query: str, words: str) -> None:
    problem(service.client.get(f"/v1/customers/17/similar?{query}"), 422, words)


@pytest.mark.parametrize("k", ["0", "-1", "1001", "ten", "1.5", ""])
def test_how_many_similar_is_checked(service: Service, k: str) -> None:
    body = problem(service.client.get(f"/v1/customers/17/similar?k={k}"), 422, "query.k")
    assert len(body["faults"]) == 1


def test_segments_are_listed_with_what_sets_them_apart(service: Service, snapshot: Snapshot) -> None:
    answer = service.get("/v1/segments", role="analyst")
    assert [segment["id"] for segment in answer["segments"]] == [profile.id for profile in snapshot.segments.profiles]
    assert answer["unassigned"] + sum(segment["size"] for segment in answer["segments"]) == N == answer["customers"]
    one = service.get("/v1/segments/1", role="analyst")
    assert one == next(segment for segment in answer["segments"] if segment["id"] == 1)
    assert (one["name"], one["standing"], one["drivers"][0]["lift"]) == ("Much shop 1", "firm", 3.0)
    problem(service.client.get("/v1/segments/9"), 404, "no segment 9")
    problem(service.client.get("/v1/segments/-1"), 404, "no segment -1")
    problem(service.client.get("/v1/segments/one"), 422, "path.segment")


@pytest.mark.parametrize("limit", [1, 7, 90, 180, 10_000])
def test_pages_give_every_member_once(service: Service, snapshot: Snapshot, limit: int) -> None:
    members, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = service.get("/v1/segments/2/members", limit=limit, **({"cursor": cursor} if cursor else {}))
        members += page["members"]
        cursor, pages = page["next_cursor"], pages + 1
        assert len(page["members"]) <= limit
    expected = np.flatnonzero(snapshot.segments.labels == 2)
    assert [member["customer_id"] for member in members] == expected.tolist()
    assert [member["strength"] for member in members] == pytest.approx(snapshot.segments.strength[expected].tolist())
    assert page["size"] == len(expected)
    assert pages == -(-len(expected) // limit)


@pytest.mark.parametrize(
    "cursor", ["", "x", "AAAA", "WzIsIjE3Il0", "Wyd9", "é", "W10", "WzIsMWUzMDBd", "WzIsOTk5OTk5OTk5OTk5OTk5OTk5OTldW"]
)
def test_a_cursor_that_is_not_ours_is_refused(service: Service, cursor: str) -> None:
    problem(service.client.get("/v1/segments/2/members", params={"cursor": cursor}), 422, "cursor")


def test_a_cursor_of_another_segment_is_refused(service: Service) -> None:
    cursor = service.get("/v1/segments/1/members", limit=5)["next_cursor"]
    problem(service.client.get("/v1/segments/2/members", params={"cursor": cursor}), 422, "segment 1, not 2")


@pytest.mark.parametrize("limit", ["0", "10001", "many"])
def test_page_sizes_are_checked(service: Service, limit: str) -> None:
    problem(service.client.get(f"/v1/segments/2/members?limit={limit}"), 422, "limit")


def test_ids_of_any_text_are_found_by_their_encoded_form(tmp_path: Path) -> None:
    odd = [
        "a/b",
        "a/b/similar",
        "similar",
        "ä ö",
        "100%",
        "%2F",
        "a?b#c",
        "007",
        "-",
        "日本",
        "'\"<>",
        "a+b",
        " x ",
        "12",
    ]
    ids = pl.Series(sorted([*odd, *(f"c{i:04d}" for i in range(300))]))
    publish(tmp_path, ids=ids)
    service = Service(tmp_path)
    for id in odd:
        assert service.get(f"/v1/customers/{quote(id, safe='')}")["customer_id"] == id
        similar = service.get(f"/v1/customers/{quote(id, safe='')}/similar")
        assert similar["customer_id"] == id
        assert id not in [found["customer_id"] for found in similar["similar"]]
    for unknown in ("7", "0012", "x", "a"):
        problem(service.client.get(f"/v1/customers/{unknown}"), 404, f"'{unknown}'")
    problem(service.client.get("/v1/customers/%ff%fe"), 422, "UTF-8")
    cursor, seen = None, 0
    for _ in range(50):
        page = service.get("/v1/segments/0/members", limit=9, **({"cursor": cursor} if cursor else {}))
        seen, cursor = seen + len(page["members"]), page["next_cursor"]
        if cursor is None:
            break
    assert seen == page["size"]
    service.close()


def test_pages_go_on_by_id_when_another_snapshot_is_published(tmp_path: Path) -> None:
    first = pl.Series(np.arange(0, N))
    publish(tmp_path, ids=first)
    service = Service(tmp_path)
    page = service.get("/v1/segments/0/members", limit=50)
    last = page["members"][-1]["customer_id"]
    kept = pl.Series(np.setdiff1d(np.arange(0, N), [last]))
    publish(tmp_path, seed=1, ids=kept)
    assert service.live.check()
    page = service.get("/v1/segments/0/members", limit=10_000, cursor=page["next_cursor"])
    rows = np.flatnonzero((group_of(N - 1) == 0) & (np.arange(N - 1) % 10 != 9))
    expected = kept.gather(rows).filter(kept.gather(rows) > last)
    assert [member["customer_id"] for member in page["members"]] == expected.to_list()
    service.close()


def test_a_copy_that_is_still_valid_is_not_sent_again(service: Service) -> None:
    for path in (
        "/v1/customers/17",
        "/v1/customers/17/similar",
        "/v1/segments",
        "/v1/segments/1/members",
        "/v1/snapshot",
    ):
        answer = service.client.get(path)
        assert answer.headers["kinfolk-snapshot"] == service.workspace.current()
        assert answer.headers["cache-control"] == "private, no-cache"
        again = service.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]
        assert service.client.get(path, headers={"If-None-Match": '"older"'}).status_code == 200
    problem(service.client.get("/v1/customers/x", headers={"If-None-Match": "*"}), 404)
