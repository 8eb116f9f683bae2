"""Who may do what; errors of one shape; headers, log, metrics; what serving must not load; what is documented."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from http_service import N, Service, group_of, problem, publish
from night_world import written_night
from prometheus_client.parser import text_string_to_metric_families

from serve.auth import RIGHTS
from serve.snapshot import Snapshot
from store.records import ROLES

SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()
KEPT_BY_SOME = [
    ("GET", "/v1/objections"),
    ("POST", "/v1/objections"),
    ("GET", "/v1/objections/{customer}"),
    ("PUT", "/v1/objections/{customer}"),
    ("DELETE", "/v1/objections/{customer}"),
    ("POST", "/v1/audiences/{audience}/effect"),
    ("PUT", "/v1/saved-audiences/{saved}"),
    ("POST", "/v1/saved-audiences/{saved}/refresh"),
    ("GET", "/v1/saved-audiences/{saved}/changes"),
    ("DELETE", "/v1/saved-audiences/{saved}"),
    ("GET", "/v1/segments/moves/customers"),
    ("PUT", "/v1/segments/{segment}/name"),
]
"""What keeps the register of objections, saved audiences and names of segments, and the list of who moved."""
NAME = "/v1/segments/{segment}/name"
SAVED = "/v1/saved-audiences/{saved}"
NIGHT = "2025-02-01-s-one"
OPEN = {"/livez", "/readyz", "/metrics"}
DOCS = Path(__file__).parents[1] / "docs" / "http.md"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("workspace")
    for seed in (1, 0):  # two of one line, so that there is something to compare
        publish(root, seed, lineage="line")
    made = Service(root)
    for method in ("put", "delete"):  # customer 17 has said something, and objects no more
        getattr(made.client, method)("/v1/objections/17")
    written_night(made.workspace, NIGHT[:10], NIGHT[11:])
    yield made
    made.close()


@pytest.fixture(scope="module")
def audience(service: Service) -> str:
    made: str = service.client.post("/v1/audiences", json={"seeds": SEEDS, "size": 120}).json()["id"]
    return made


def routes(service: Service) -> list[tuple[str, str]]:
    """Method and path of every route, as /openapi.json tells them."""
    paths = service.app.openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def call(service: Service, method: str, path: str, audience: str, headers: dict[str, str]) -> Any:
    filled = path.format(customer="17", segment="1", audience=audience, saved="spring", night=NIGHT)
    asked = {"seeds": SEEDS, "size": 120}
    bodies: dict[str, Any] = {"/v1/audiences": asked, "/v1/objections": {"withdraw": [18]}, SAVED: asked}
    bodies[NAME] = {"name": "Ours"}
    body = json.dumps(bodies[path]) if method in ("POST", "PUT") and path in bodies else None
    service.client.headers.clear()
    return service.client.request(method, filled, content=body, headers={**headers, "Content-Type": "application/json"})


def test_every_route_that_was_asked_for_is_there(service: Service) -> None:
    assert set(routes(service)) == {
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/v1/snapshot"),
        ("GET", "/v1/customers/{customer}"),
        ("GET", "/v1/customers/{customer}/similar"),
        ("GET", "/v1/segments"),
        ("GET", "/v1/segments/{segment}"),
        ("GET", "/v1/segments/{segment}/members"),
        ("GET", "/v1/segments/moves"),
        *(
            ("GET", f"/v1/segments/{name}.{form}")
            for name in ("map", "flow", "{segment}/card")
            for form in ("png", "html")
        ),
        ("GET", "/v1/customers/{customer}/segments"),
        ("POST", "/v1/audiences"),
        ("GET", "/v1/audiences"),
        ("GET", "/v1/audiences/{audience}"),
        ("GET", "/v1/audiences/{audience}/members"),
        ("GET", "/v1/saved-audiences"),
        ("GET", "/v1/saved-audiences/{saved}"),
        ("GET", "/v1/nights"),
        ("GET", "/v1/nights/{night}"),
        ("GET", "/v1/nights/{night}/page.html"),
        *KEPT_BY_SOME,
    }


def test_without_a_known_key_every_route_answers_401(service: Service, audience: str) -> None:
    key, secret = service.catalogue.create_key("leaver", "admin")
    service.catalogue.revoke_key(key.id)
    wrong = service.keys["admin"][:-1] + ("a" if service.keys["admin"][-1] != "a" else "b")
    strangers = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {service.keys['admin']}"},
        {"Authorization": service.keys["admin"]},
        *({"Authorization": f"Bearer {text}"} for text in ("kf_", "kf_x_y", wrong, secret, "k" * 5000, "é".encode())),
        {"X-API-Key": wrong},
    ]
    for method, path in routes(service):
        for headers in strangers:
            answer = call(service, method, path, audience, headers)  # type: ignore[arg-type]
            if path in OPEN:
                assert answer.status_code == 200
                continue
            problem(answer, 401, "key")
            assert answer.headers["www-authenticate"].startswith('Bearer realm="kinfolk"')
            assert "kinfolk-snapshot" not in answer.headers


def test_each_role_may_do_what_is_documented_and_no_more(service: Service, audience: str) -> None:
    for_some = {
        ("POST", "/v1/audiences"): {"marketer", "admin"},
        ("GET", "/v1/audiences/{audience}/members"): {"marketer", "admin"},
        ("GET", "/v1/segments/{segment}/members"): {"marketer", "admin"},
        ("GET", "/v1/customers/{customer}?include=vector"): {"analyst", "admin"},
        **{key: {"marketer", "admin"} for key in KEPT_BY_SOME},
    }
    assert set(RIGHTS) == set(ROLES)
    for method, path in [*routes(service), ("GET", "/v1/customers/{customer}?include=vector")]:
        for role in ROLES:
            for headers in (service.bearer(role), {"X-API-Key": service.keys[role]}):
                if path.startswith(SAVED):  # which every admin's round removes
                    call(service, "PUT", SAVED, audience, service.bearer("admin"))
                answer = call(service, method, path, audience, headers)
                if role in for_some.get((method, path), set(ROLES)):
                    # this audience has no hold-out: past the key, and no further
                    good = (422,) if path.endswith("/effect") else (200, 201, 204)
                    assert answer.status_code in good, (method, path, role, answer.text)
                else:
                    problem(answer, 403, f"role {role}", " or ".join(sorted(for_some[method, path])))


def test_a_revoked_key_dies_when_the_ring_forgets_it(tmp_path: Path) -> None:
    publish(tmp_path)
    service = Service(tmp_path, key_seconds=0)
    key, secret = service.catalogue.create_key("leaver", "analyst")
    headers = {"Authorization": f"Bearer {secret}"}
    assert service.client.get("/v1/snapshot", headers=headers).status_code == 200
    service.catalogue.revoke_key(key.id)
    problem(service.client.get("/v1/snapshot", headers=headers), 401, "revoked")
    service.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/customers/", 404),
        ("GET", "/v1/segments/", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/customers/17/friends", 404),
        ("GET", "//v1/snapshot", 404),
        ("POST", "/v1/snapshot", 405),
        ("DELETE", "/v1/audiences", 405),
        ("HEAD", "/livez", 405),
        ("BREW", "/livez", 405),
        ("PUT", "/v1/customers/17", 405),
    ],
)
def test_the_frameworks_own_errors_have_the_one_shape_too(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = service.client.request(method, "http://testserver" + path, headers=service.bearer("admin"))
    if method == "HEAD":
        assert answer.status_code == status
    else:
        problem(answer, status)
    if status == 405:
        assert answer.headers["allow"]


def test_a_crash_tells_the_client_nothing_and_the_log_where(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("secret words about customer 17 in /srv/data")

    monkeypatch.setattr(Snapshot, "row", crash)
    with structlog.testing.capture_logs() as lines:
        answer = service.client.get("/v1/customers/17", headers=service.bearer("admin"))
    body = problem(answer, 500, "log")
    assert not re.search(r"secret|srv|Runtime|\.py", json.dumps(body))
    crashed = next(line for line in lines if line["event"] == "request crashed")
    assert crashed["request"] == answer.headers["x-request-id"]
    assert isinstance(crashed["exc_info"], RuntimeError)


def test_a_full_disk_is_507_without_paths(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret")

    monkeypatch.setattr("store.artifact.seal", full)
    answer = service.client.post("/v1/audiences", json={"seeds": SEEDS, "size": 177}, headers=service.bearer("admin"))
    assert "srv" not in json.dumps(problem(answer, 507, "disk"))
    left = [path.name for path in (service.workspace.root / "audiences").iterdir()]
    assert not [name for name in left if name.endswith(".part")]


def test_every_answer_has_its_headers_and_no_cors(service: Service) -> None:
    for path in ("/livez", "/v1/snapshot", "/nothing", "/v1/customers/x"):
        answer = service.client.get(path, headers={**service.bearer("admin"), "Origin": "https://example.com"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["kinfolk-snapshot"] == service.workspace.current()
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers
    assert service.client.get("/livez").headers["cache-control"] == "no-store"


def test_the_log_has_templates_and_no_customer_query_or_key(service: Service, audience: str) -> None:
    with structlog.testing.capture_logs() as lines:
        headers = {**service.bearer("marketer"), "Accept": "text/csv"}
        service.client.get("/v1/customers/588/similar?k=13&segment=2", headers=headers)
        service.client.get("/v1/customers/424242", headers=headers)
        service.client.get(f"/v1/audiences/{audience}/members", headers=headers)
        service.client.get("/v1/customers/588?nonsense=77177", headers={"X-API-Key": "kf_wrong_55955"})
        service.client.post("/v1/audiences", json={"seeds": ["71717"], "size": 500}, headers=headers)
        service.client.get("/unknown/63636", headers=headers)
        service.client.get("/livez")
    seen = [(line["method"], line["route"], line["status"], line["key"]) for line in lines]
    assert seen == [
        ("GET", "/v1/customers/{customer}/similar", 200, "marketer"),
        ("GET", "/v1/customers/{customer}", 404, "marketer"),
        ("GET", "/v1/audiences/{audience}/members", 200, "marketer"),
        ("GET", "/v1/customers/{customer}", 401, None),
        ("POST", "/v1/audiences", 422, "marketer"),
        ("GET", "(none)", 404, None),
    ]
    text = json.dumps([{**line, "ms": 0, "bytes": 0, "request": ""} for line in lines])
    assert not re.search(r"588|424242|77177|55955|71717|63636|kf_", text)


def test_before_the_first_publication_it_is_alive_but_not_ready(tmp_path: Path) -> None:
    service = Service(tmp_path)
    assert service.get("/livez") == {"status": "alive"}
    for path in ("/readyz", "/v1/snapshot", "/v1/customers/1", "/v1/segments"):
        answer = service.client.get(path)
        problem(answer, 503, "no snapshot is published yet")
        assert answer.headers["retry-after"]
    assert "kinfolk_snapshot_fault 0.0" in service.client.get("/metrics").text
    publish(tmp_path)
    assert service.live.check()
    assert service.get("/readyz")["status"] == "ready"
    assert service.get("/v1/customers/1")["customer_id"] == 1
    service.close()


def test_serving_loads_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, serve.server; print([m for m in ('torch', 'pytorch_lightning', 'lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_making_an_audience_loads_no_torch(tmp_path: Path) -> None:
    publish(tmp_path)
    code = f"""
import sys
from pathlib import Path
from serve.audiences import Asked, make_audience
from serve.snapshot import Snapshot
from store.catalogue import Catalogue
from store.workspace import Workspace
from index.request import AudienceRequest
w = Workspace.open(Path({str(tmp_path)!r}))
asked = Asked(AudienceRequest(seeds=tuple({SEEDS}), size=120))
made = make_audience(asked, Snapshot.load(w), w, Catalogue(w.catalogue), "me")
print(made[1], [m for m in ("torch", "pytorch_lightning") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "True []", done.stderr


def test_openapi_describes_answers_problems_and_keys(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            assert "Problem" in json.dumps(operation["responses"]["default"]), path
            assert ("security" in operation) == (path not in OPEN), (method, path)
            assert "422" not in operation["responses"], path
    create = document["paths"]["/v1/audiences"]["post"]
    assert set(create["requestBody"]["content"]) == {"application/json", "multipart/form-data", "text/csv"}
    assert create["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("AudienceAnswer")
    members = document["paths"]["/v1/audiences/{audience}/members"]["get"]["responses"]["200"]["content"]
    assert {"application/json", "text/csv", "application/vnd.apache.parquet"} <= set(members)


def test_every_route_setting_metric_and_problem_is_documented(service: Service) -> None:
    import serve.problems
    from configs import errors
    from serve.config import ServeConfig

    text = DOCS.read_text(encoding="utf-8")
    for method, path in routes(service):
        assert f"`{method} {path}`" in text, path
    for name in ServeConfig.model_fields:
        assert f"`{name}`" in text, name
    for family in text_string_to_metric_families(service.client.get("/metrics").text):
        # the client library adds when each counter began
        assert f"`{family.name}" in text or family.name.endswith("_created"), family.name
    kinds = [*vars(errors).values(), *vars(serve.problems).values()]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, errors.KinfolkError):
            assert f"| {kind.status} |" in text, kind
