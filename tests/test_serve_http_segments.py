"""What the service tells of segments: definitions, groups, strength and next best, cards, what happened last."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_service import Service, problem
from nights import CONDITION, DEFINITION, NAMES, PARTS, publish_night
from typer.testing import CliRunner

from serve.cli import app
from serve.segment_groups import Groups
from serve.snapshot import Snapshot


class Nights(Service):
    """A service over three nights of one line."""

    def __init__(self, root: Path) -> None:
        self.names = [publish_night(root, night) for night in (1, 2, 3)]
        super().__init__(root, key_seconds=0)

    def cli(self, *words: str) -> Any:
        """What the command line tells as JSON."""
        result = CliRunner().invoke(app, ["segments", *words, "--json", "--workspace", str(self.workspace.root)])
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


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


@pytest.fixture(scope="module")
def snapshot(read_only: Nights) -> Snapshot:
    return Snapshot.load(read_only.workspace)


def without_times(told: Any) -> Any:
    """JSON without the moments of publication, which the service writes with a Z."""
    if isinstance(told, dict):
        return {name: without_times(value) for name, value in told.items() if name not in ("published", "names")}
    return [without_times(value) for value in told] if isinstance(told, list) else told


def test_the_service_and_the_command_line_tell_the_same(read_only: Nights) -> None:
    assert without_times(read_only.get("/v1/segments", "marketer")) == without_times(read_only.cli())
    assert without_times(read_only.get("/v1/segments", about=2)) == without_times(read_only.cli("--about", "2"))
    for segment in NAMES:
        shown = without_times(read_only.cli("show", str(segment)))
        assert shown.pop("made_name") == NAMES[segment]
        assert without_times(read_only.get(f"/v1/segments/{segment}")) == shown


def test_a_segment_has_its_definition_parts_and_birth(read_only: Nights) -> None:
    found = read_only.get("/v1/segments/3", "analyst")
    assert found["definition"] == {
        "text": DEFINITION.text,
        "precision": 0.934,
        "recall": 0.871,
        "conditions": [
            {
                "feature": CONDITION.feature,
                "words": CONDITION.words,
                "at_least": True,
                "threshold": 0.3,
                "text": CONDITION.text,
            }
        ],
    }
    assert [part["name"] for part in found["parts"]] == [part.name for part in PARTS]
    assert found["born"] == 1
    other = read_only.get("/v1/segments/9")
    assert (other["definition"], other["parts"], other["born"]) == (None, [], 3)


def test_what_happened_last_has_words_and_evidence(read_only: Nights) -> None:
    found = read_only.get("/v1/segments")
    (event,) = found["events"]
    assert found["generation"] == event["generation"] == 3
    assert event["words"].startswith("7 (Much wine) split: 9 (Wine at night) left it")
    assert event["evidence"] == {"members": 99.0, "agreement": 0.9}
    assert [read_only.get(f"/v1/segments/{id}")["events"] for id in (7, 9, 3)] == [[event], [event], []]


def test_few_groups_are_asked_for_by_number(nights: Nights) -> None:
    assert nights.get("/v1/segments")["groups"] is None
    before = nights.client.get("/v1/segments", params={"about": 3})
    groups = before.json()["groups"]
    assert sorted(segment for group in groups for segment in group["segments"]) == [0, 3, 7, 9]
    assert len(groups) == 3
    assert {group["name"] for group in groups} > {NAMES[7], NAMES[9]}
    nights.client.put("/v1/segments/9/name", json={"name": "Night owls"})
    after = nights.client.get("/v1/segments", params={"about": 3}, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert {group["name"] for group in after.json()["groups"]} > {NAMES[7], "Night owls"}
    assert len(nights.get("/v1/segments", about=10_000)["groups"]) == 4
    for number in (0, -3):
        problem(nights.client.get("/v1/segments", params={"about": number}), 422, "at least 1 is possible")
    problem(nights.client.get("/v1/segments?about=few"), 422, "about")


def test_groups_are_made_once_for_a_snapshot_a_number_and_its_names(
    read_only: Nights, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    import serve.segment_groups

    made: list[int] = []
    make = serve.segment_groups.in_groups

    def counted(segments: Any, behaviour: Any, number: int, names: Any) -> Any:
        made.append(number)
        return make(segments, behaviour, number, names)

    monkeypatch.setattr(serve.segment_groups, "in_groups", counted)
    groups, naming = Groups(), read_only.app.state.service.named.of(snapshot)
    for number in (2, 2, 3, 40, 4, 2):
        groups.of(snapshot, number, naming)
    groups.of(snapshot, 2, naming._replace(version=naming.version + 1))
    assert made == [2, 3, 4, 2]


def test_a_customer_has_strength_part_and_the_next_best_segment(read_only: Nights, snapshot: Snapshot) -> None:
    known = snapshot.segments.members
    for part, name in ((1, PARTS[0].name), (0, None)):
        row = int(np.flatnonzero((known.labels == 3) & (known.part == part))[0])
        found = read_only.get(f"/v1/customers/{snapshot.customer(row)}", "analyst")
        assert found["segment"] == {
            "id": 3,
            "name": NAMES[3],
            "strength": pytest.approx(float(known.strength[row])),
            "part": part or None,
            "part_name": name,
        }
        assert found["next_best"] == {"id": 7, "name": NAMES[7], "strength": pytest.approx(0.1)}
    outside = read_only.get("/v1/customers/29")  # in no segment, and nearest to segment 0
    assert outside["segment"] is None
    assert outside["next_best"] == {"id": 0, "name": NAMES[0], "strength": pytest.approx(0.3)}


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("least", [0.0, 0.7, 0.9])
def test_pages_of_the_core_give_each_of_its_members_once(
    read_only: Nights, snapshot: Snapshot, limit: int, least: float
) -> None:
    known, members, cursor, pages = snapshot.segments.members, [], None, 0
    while pages == 0 or cursor:
        query: dict[str, Any] = {"limit": limit, "least_strength": least, **({"cursor": cursor} if cursor else {})}
        page = read_only.get("/v1/segments/3/members", "marketer", **query)
        members, cursor, pages = [*members, *page["members"]], page["next_cursor"], pages + 1
    rows = np.flatnonzero((known.labels == 3) & (known.strength >= np.float32(least)))
    assert len(rows) > 7
    assert [member["customer_id"] for member in members] == [snapshot.customer(row) for row in rows.tolist()]
    assert [member["part"] for member in members] == [part or None for part in known.part[rows].tolist()]
    assert [member["strength"] for member in members] == pytest.approx(known.strength[rows].tolist())
    assert page["size"] == len(rows)


@pytest.mark.parametrize("least", ["-0.1", "1.01", "nan", "much"])
def test_a_least_strength_is_from_0_to_1(read_only: Nights, least: str) -> None:
    path = "/v1/segments/3/members"
    problem(read_only.client.get(path, params={"least_strength": least}), 422, "least", "strength")


def test_cards_have_the_name_in_force_and_no_customer(nights: Nights) -> None:
    page = nights.client.get("/v1/segments/3/card.html", headers=nights.bearer("analyst"))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "sandbox" in policy.split("; ")
    assert CONDITION.text[1:] in page.text
    assert "<script" not in page.text
    assert "Typical customers" not in page.text
    picture = nights.client.get("/v1/segments/3/card.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    for path, answer in (("card.html", page), ("card.png", picture)):
        copy = {"If-None-Match": answer.headers["etag"]}
        assert nights.client.get(f"/v1/segments/3/{path}", headers=copy).status_code == 304
        assert nights.client.get(f"/v1/segments/7/{path}", headers=copy).status_code == 200
    nights.client.put("/v1/segments/3/name", json={"name": "Motorists"})
    again = nights.client.get("/v1/segments/3/card.html", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 200
    assert "Motorists" in again.text
    assert NAMES[3] not in again.text
    problem(nights.client.get("/v1/segments/5/card.png"), 404, "no segment 5")
    problem(nights.client.get("/v1/segments/x/card.html"), 422, "segment")
