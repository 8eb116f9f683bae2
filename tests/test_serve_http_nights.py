"""Nights over HTTP: the list, one of them, its page; no customer id in any, and what there is not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from http_service import Service, problem, publish
from night_world import written_night

from serve.night_report import Gate, Report


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path)
    service = Service(tmp_path)
    yield service
    service.close()


def test_nights_are_listed_newest_first_and_told_one_by_one(service: Service) -> None:
    headers = service.bearer("analyst")
    assert service.client.get("/v1/nights", headers=headers).json() == {"nights": []}
    first = written_night(service.workspace, "2025-02-01", "s-one")
    gate = Gate("moved", "who moved", 0.4, 0.1, "most")
    held = replace(first, as_of="2025-02-02", snapshot="s-two", status="held", reason="Held.", gates=(gate,))
    written_night(service.workspace, "2025-02-02", "s-two", held)
    nights = service.client.get("/v1/nights", headers=headers).json()["nights"]
    assert [(night["name"], night["status"]) for night in nights] == [
        ("2025-02-02-s-two", "held"),
        ("2025-02-01-s-one", "published"),
    ]
    assert len(service.client.get("/v1/nights?limit=1", headers=headers).json()["nights"]) == 1
    answer = service.client.get("/v1/nights/2025-02-02-s-two", headers=headers)
    assert answer.json()["gates"][0]["passed"] is False
    again = service.client.get(
        "/v1/nights/2025-02-02-s-two", headers={**headers, "If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    page = service.client.get("/v1/nights/2025-02-02-s-two/page.html", headers=headers)
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["2025-02-03-s-one", "..", "current", "2025-02-01-s-..%2f..", "x" * 300])
def test_a_night_that_there_is_not_is_404(service: Service, name: str) -> None:
    for path in (f"/v1/nights/{name}", f"/v1/nights/{name}/page.html"):
        assert service.client.get(path, headers=service.bearer("admin")).status_code == 404


def test_a_report_that_is_half_written_is_left_out(service: Service) -> None:
    report: Report = written_night(service.workspace, "2025-02-01", "s-one")
    folder = service.workspace.nights / "2025-02-02-s-two"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report.to_json())[:100], encoding="utf-8")
    nights = service.client.get("/v1/nights", headers=service.bearer("marketer")).json()["nights"]
    assert [night["snapshot"] for night in nights] == ["s-one"]
    problem(service.client.get("/v1/nights/2025-02-02-s-two", headers=service.bearer("marketer")), 404, "/v1/nights")
