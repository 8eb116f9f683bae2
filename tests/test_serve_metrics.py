"""What Prometheus reads at /metrics."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_service import N, Service, problem, publish
from prometheus_client.parser import text_string_to_metric_families

from index.config import IndexConfig


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("workspace")
    publish(root)
    made = Service(root)
    yield made
    made.close()


def test_metrics_count_requests_and_tell_the_snapshot(service: Service) -> None:
    def figures() -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for family in text_string_to_metric_families(service.client.get("/metrics").text):
            for s in family.samples:
                found[s.name, s.labels.get("route", s.labels.get("snapshot", ""))] += s.value  # type: ignore[assignment]
        return found

    before = figures()
    route = "/v1/customers/{customer}"
    for _ in range(3):
        service.client.get("/v1/customers/17", headers=service.bearer("admin"))
    after = figures()
    assert after["kinfolk_requests_total", route] - before["kinfolk_requests_total", route] == 3
    assert after["kinfolk_request_seconds_count", route] - before["kinfolk_request_seconds_count", route] == 3
    assert after["kinfolk_snapshot_info", service.workspace.current() or ""] == 1
    assert after["kinfolk_customers", ""] == N
    assert after["kinfolk_index_recall", ""] == 1.0
    assert (after["kinfolk_index_nprobe", ""], after["kinfolk_index_updates", ""]) == (0, 0)
    assert after["kinfolk_index_customers", ""] == N
    assert after["kinfolk_snapshot_swaps_total", ""] == 0
    assert after["kinfolk_snapshot_fault", ""] == 0
    assert 0 <= after["kinfolk_snapshot_age_seconds", ""] < 600
    assert "17" not in re.sub(r"\d+\.\d+|e[+-]\d+", "", service.client.get("/metrics").text)


def test_metrics_can_be_put_behind_a_key(tmp_path: Path) -> None:
    publish(tmp_path)
    service = Service(tmp_path, metrics="key")
    assert service.client.get("/metrics", headers=service.bearer("analyst")).status_code == 200
    problem(service.client.get("/metrics", headers={"Authorization": ""}), 401)
    service.close()


def test_metrics_tell_the_recall_of_the_served_inverted_file(tmp_path: Path) -> None:
    inverted = IndexConfig(exact_up_to=0, queries=64, lists=10, neighbours=20)
    publish(tmp_path, config=inverted)
    service = Service(tmp_path)
    told = service.live.snapshot.index.manifest.figures
    assert told["nprobe"] > 0

    def figures() -> dict[str, float]:
        families = text_string_to_metric_families(service.client.get("/metrics").text)
        return {family.name: family.samples[0].value for family in families if "_index_" in family.name}

    expected = {"recall": told["recall"], "nprobe": told["nprobe"], "customers": N, "updates": 0}
    assert figures() == {f"kinfolk_index_{name}": value for name, value in expected.items()}
    publish(tmp_path, seed=1)
    assert service.live.check()
    assert figures()["kinfolk_index_nprobe"] == 0, "it is of the snapshot that is served now"
    service.close()
