"""What the tests of the HTTP service share: small snapshots made with the real artifact writers, and a client.

Customers fall into three groups around orthogonal directions; segments 0, 1 and 2 are these groups, and every tenth
customer is in none.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from embedded import write_embeddings
from fastapi.testclient import TestClient
from segmented import registry_of

import index.run
from cluster.artifact import SegmentProfile, write_segments
from cluster.profile import Driver
from cluster.registry import Registry
from eventlog.artifact import write_behaviour
from eventlog.behaviour import Behaviour, Feature
from index.config import AudienceConfig, IndexConfig
from serve.app import create_app
from serve.config import ServeConfig
from store.artifact import key_of
from store.catalogue import Catalogue
from store.workspace import Workspace

N, WIDTH, GROUPS = 600, 16, 3
QUICK = AudienceConfig(scorers=("centroid", "logistic"), folds=3, bootstrap=50)
FEATURES = (
    Feature("events", "count", None, None, "number of events"),
    Feature("amount:sum", "amount", "amount", None, "total amount"),
    *(Feature(f"shop={g}", "share", "shop", str(g), f"share of events with shop = {g}") for g in range(GROUPS)),
)


def group_of(n: int) -> np.ndarray:
    """The group of every customer, int32 [n]."""
    return (np.arange(n) % GROUPS).astype(np.int32)


def publish(
    root: Path, seed: int = 0, ids: pl.Series | None = None, n: int = N, config: IndexConfig | None = None
) -> str:
    """Publish a snapshot of `n` customers, 0 to n - 1 where no ids are given, and return its name."""
    workspace, customers = Workspace.create(root), pl.Series(np.arange(n)) if ids is None else ids
    n = len(customers)
    key = key_of("test snapshot", seed, customers.to_list())
    rng, folder, group = np.random.default_rng(seed), workspace.staging / key, group_of(n)
    vectors = np.eye(WIDTH, dtype=np.float32)[group] + 0.4 * rng.standard_normal((n, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = write_embeddings(folder / "embeddings", key, customers, vectors)
    index.run.run(config or IndexConfig(), embeddings, folder / "index")
    matrix = np.column_stack([rng.integers(2, 90, n), rng.gamma(2, 50, n), np.eye(GROUPS)[group]]).astype(np.float32)
    write_behaviour(Behaviour(FEATURES, matrix), key, folder / "behaviour", {})
    registry, profiles = _segments(group, customers, rng)
    write_segments(folder / "segments", key, registry, "line", profiles, {})
    figures = {"audience": QUICK.model_dump(mode="json")}
    return workspace.publish(key, {"embeddings": key}, {"customers": n}, figures)


def _segments(
    group: np.ndarray, customers: pl.Series, rng: np.random.Generator
) -> tuple[Registry, list[SegmentProfile]]:
    n = len(group)
    labels = np.where(np.arange(n) % 10 == 9, -1, group).astype(np.int32)
    strength = np.where(labels >= 0, rng.uniform(0.5, 1, n), 0).astype(np.float32)
    positions = rng.normal(size=(n, 2)).astype(np.float32)
    profiles = []
    for g in range(GROUPS):
        rows = np.flatnonzero(labels == g)
        words = f"share of events with shop = {g}"
        driver = Driver(f"shop={g}", words, "share", "shop", str(g), 1.0, 1 / GROUPS, lift=3.0, z=2.0, score=1.0)
        typical = tuple(customers[int(row)] for row in rows[:2])
        name, mean = f"Much shop {g}", float(strength[rows].mean())
        profiles.append(SegmentProfile(g, name, len(rows), len(rows) / n, 0.9, mean, (driver,), typical))
    return registry_of(labels, strength, positions), profiles


class Service:
    """A workspace with keys of all roles, and a client of its service."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.workspace = Workspace.create(root)
        self.catalogue = Catalogue(self.workspace.catalogue)
        self.keys = {role: self.catalogue.create_key(role, role)[1] for role in ("admin", "marketer", "analyst")}
        settings = {"poll_seconds": 0.05, **settings}
        self.app = create_app(self.workspace, ServeConfig(**settings), Catalogue(self.workspace.catalogue))
        self.client = TestClient(self.app, headers=self.bearer("admin"))
        self.live = self.app.state.service.live

    def bearer(self, role: str) -> dict[str, str]:
        """The headers that show the key of a role."""
        return {"Authorization": f"Bearer {self.keys[role]}"}

    def get(self, path: str, role: str = "admin", **parameters: Any) -> Any:
        """The JSON of a 200 answer."""
        answer = self.client.get(path, headers=self.bearer(role), params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        """Let go of the databases."""
        self.app.state.service.close()
        self.catalogue.close()


def problem(answer: Any, status: int, *words: str) -> dict[str, Any]:
    """The problem document that an answer must be, with these words in its detail or faults."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) - {"faults"} == {"type", "title", "status", "detail", "instance"}
    assert body["status"] == status
    assert body["type"].startswith("urn:kinfolk:problem:")
    assert body["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    text = " ".join([body["detail"], *body.get("faults", [])])
    for word in words:
        assert word in text, (word, text)
    return body


def first_audience(service: Service, seeds: list[int]) -> dict[str, Any]:
    """The report of an audience of 120, made by a marketer over HTTP."""
    url = "/v1/audiences"
    answer = service.client.post(url, json={"seeds": seeds, "size": 120}, headers=service.bearer("marketer"))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{url}/{answer.json()['id']}"
    body: dict[str, Any] = answer.json()
    return body
