"""Query parameters that a route does not know are refused by name, on every route."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from http_service import Service, problem, publish

from serve import parameters

SEEDS = "customer_id\n" + "\n".join(str(3 * i) for i in range(60))
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("parameters")
    publish(root)
    made = Service(root)
    yield made
    made.close()


def test_every_route_refuses_what_it_does_not_know(service: Service) -> None:
    schema = service.client.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in schema.items() for method in methods]
    assert len(asked) > 35
    for method, path in asked:
        real = path.replace("{customer}", "17").replace("{segment}", "1").replace("{saved}", "spring")
        real = real.replace("{audience}", "1").replace("{night}", "n")
        body = problem(service.client.request(method, real, params={"wrong": "1", "wrnog": "2"}), 422, "query.wrong")
        assert len(body["faults"]) == 2, (method, path)
        assert all("accepted: " in fault or "takes none" in fault for fault in body["faults"])


def test_it_names_those_that_are_accepted(service: Service) -> None:
    told = "query.K: unknown parameter; accepted: k, not_segments, segment, segments"
    problem(service.client.get("/v1/customers/17/similar?K=5"), 422, told)
    problem(
        service.client.get("/v1/segments/moves?From=x"),
        422,
        "query.From: unknown parameter; accepted: from, segment, to",
    )
    problem(service.client.get("/v1/snapshot?x=1"), 422, "query.x: unknown parameter; this route takes none")
    problem(service.client.get("/livez?" + "x" * 500), 422, f"query.{'x' * 60}: unknown")
    assert service.client.get("/v1/customers/17/similar?k=5&segments=1").status_code == 200
    answer = service.client.get("/v1/customers/17/similar?K=5", headers={"Authorization": "Bearer kf_wrong"})
    problem(answer, 401)  # who has no key is told of that first


def test_options_of_an_audience_stand_in_the_query_of_a_list_alone(service: Service, tmp_path: Path) -> None:
    url = "/v1/audiences"
    assert service.client.post(f"{url}?size=120", content=SEEDS, headers=CSV).status_code == 201
    problem(service.client.post(f"{url}?sise=120", content=SEEDS, headers=CSV), 422, "query.sise: unknown", "size")
    seeds = [3 * i for i in range(60)]
    words = "query.size: belongs into the body, unless that is text/csv"
    problem(service.client.post(f"{url}?size=120", json={"seeds": seeds, "size": 130}), 422, words)


def test_every_parameter_that_a_route_declares_is_accepted(service: Service) -> None:
    """A declared one may be wrong in value, or its resource be missing, but it is never unknown."""
    schema, tried = service.client.get("/openapi.json").json()["paths"], 0
    for path, methods in schema.items():
        for method, about in methods.items():
            for parameter in about.get("parameters", ()):
                if parameter["in"] == "query":
                    real = path.replace("{", "").replace("}", "")
                    headers = CSV if method in ("post", "put") else {}
                    answer = service.client.request(method, real, params={parameter["name"]: "1"}, headers=headers)
                    assert "unknown parameter" not in answer.text, (method, path, parameter["name"])
                    tried += 1
    assert tried > 20


def test_a_route_is_walked_through_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes is the same for every request, whatever the one before was sent as."""
    url = "/v1/customers/17/similar"
    assert service.client.get(url, params={"k": 5}).status_code == 200
    monkeypatch.setattr(parameters, "_declared", lambda dependant: pytest.fail("walked through again"))
    assert service.client.get(url, params={"k": 5}).status_code == 200
    problem(service.client.get(url, params={"K": 5}), 422, "query.K: unknown parameter; accepted: k, not_segments")
    problem(service.client.get(url, params={"size": 5}, headers=CSV), 422, "query.size: unknown parameter")
