"""What released versions really made is still read, and still means the same."""

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from http_service import Service

import embed.refresh
import embed.run
import eventlog.run
from embed.config import EmbedConfig
from eventlog.sequences import EventLog
from serve.audiences import load_audience
from serve.snapshot import Snapshot
from serve.soundness import check
from store.workspace import Workspace
from train.artifact import Model

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """A copy of a golden workspace, and what was read there when it was made."""

    workspace: Workspace
    facts: dict[str, Any]
    snapshot: Snapshot
    log: EventLog
    model: Model


@pytest.fixture(scope="module", params=sorted(path.stem for path in GOLDEN.glob("workspace-v*.json")))
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Every golden workspace in turn, opened by today's readers, which check every byte."""
    root = tmp_path_factory.mktemp("golden") / "workspace"
    shutil.copytree(GOLDEN / request.param, root)
    opened = sqlite3.connect(root / "catalogue.db")
    opened.executescript((root / "catalogue.sql").read_text(encoding="utf-8"))
    opened.close()
    workspace = Workspace.create(root)
    snapshot = Snapshot.load(workspace)
    parents = snapshot.manifest.parents
    log = EventLog.load(workspace.eventlogs / parents["eventlog"])
    model = Model.load(workspace.models / parents["model"])
    facts = json.loads((GOLDEN / f"{request.param}.json").read_text(encoding="utf-8"))
    return Golden(workspace, facts, snapshot, log, model)


def test_every_artifact_is_sound(golden: Golden) -> None:
    results = check(golden.workspace, every=True)
    assert [result["kind"] for result in results] == ["eventlog", "model", "snapshot", "audience"]
    assert {result["state"] for result in results} == {"sound"}


def test_the_log(golden: Golden) -> None:
    log, facts = golden.log, golden.facts
    assert (log.n_events, log.n_customers) == (facts["events"], facts["customers"])
    assert [*(field.name for field in log.schema.categorical), *log.schema.numeric] == facts["fields"]
    time, words, numbers = facts["first_event"]
    assert int(log.time[0]) == time
    fields = log.schema.categorical
    values = [field.values[code - 2] if code > 1 else None for field, code in zip(fields, log.codes[0], strict=True)]
    assert values == words
    np.testing.assert_array_equal(log.values[0], np.array(numbers, np.float32))
    report = eventlog.run.read_report(log)
    assert report.read == report.kept + report.quarantined
    quarantine = pl.read_parquet(log.quarantine)
    assert sorted(quarantine["reason"].to_list()) == facts["quarantine_reasons"]


def test_the_model_still_gives_the_golden_vectors(golden: Golden, tmp_path: Path) -> None:
    assert len(golden.model.metrics) == golden.facts["epochs"]
    again = embed.run.run(EmbedConfig(threads=1), golden.model, golden.log, tmp_path / "embeddings")
    stored = golden.snapshot.embeddings
    assert again.customers.to_list() == stored.customers.to_list()
    np.testing.assert_allclose(again.vectors, stored.vectors, rtol=0, atol=1e-4)
    there = stored.states.places(again.states.rows)
    assert (there >= 0).all()
    np.testing.assert_allclose(again.states.matrix, stored.states.matrix[there], rtol=1e-4, atol=1e-4)


def test_the_embeddings_can_be_refreshed(golden: Golden, tmp_path: Path) -> None:
    stored = golden.snapshot.embeddings
    found = embed.refresh.run(EmbedConfig(threads=1), golden.model, golden.log, stored, tmp_path / "embeddings")
    assert found.manifest.figures == {"unchanged": golden.facts["customers"], "folded": 0, "replayed": 0}
    np.testing.assert_array_equal(found.vectors, stored.vectors)
    assert found.histories is not None
    np.testing.assert_array_equal(found.histories.events, np.diff(golden.log.offsets))


def test_the_snapshot(golden: Golden) -> None:
    snapshot, facts = golden.snapshot, golden.facts
    assert (snapshot.name, snapshot.n_customers) == (facts["snapshot"], facts["customers"])
    assert snapshot.embeddings.customers.head(3).to_list() == facts["first_customers"]
    assert [feature.words for feature in snapshot.behaviour.features[:20]] == facts["features"]
    np.testing.assert_allclose(snapshot.behaviour.matrix[0, :20], facts["first_behaviour"], rtol=1e-6)
    rows, similarity = snapshot.index.similar(np.arange(3), 5)
    assert [[snapshot.customer(int(row)) for row in found] for found in rows] == facts["similar"]
    np.testing.assert_allclose(similarity, facts["similarity"], atol=1e-5)


def test_the_segments(golden: Golden) -> None:
    segments, facts = golden.snapshot.segments, golden.facts
    found = [[p.id, p.name, p.size, [driver.words for driver in p.drivers]] for p in segments.profiles]
    assert found == facts["segments"]
    assert len(found) >= 2
    assert segments.labels.tolist() == facts["segment_of"]
    np.testing.assert_allclose(segments.positions[0], facts["first_position"], rtol=1e-6)
    assert segments.picture.read_bytes().startswith(b"\x89PNG")
    assert facts["segments"][0][1] in segments.page.read_text(encoding="utf-8")


def test_the_audience(golden: Golden) -> None:
    audience = load_audience(golden.workspace, golden.facts["audience"])
    assert audience.members()["customer_id"].to_list() == golden.facts["audience_members"]
    assert audience.report["size"] == len(golden.facts["audience_members"])


def test_it_is_served(golden: Golden) -> None:
    service, facts = Service(golden.workspace.root), golden.facts
    try:
        assert service.get("/v1/snapshot")["name"] == facts["snapshot"]
        assert [s["name"] for s in service.get("/v1/segments")["segments"]] == [s[1] for s in facts["segments"]]
        first = facts["first_customers"][0]
        found = service.get(f"/v1/customers/{first}/similar", k=5)
        assert facts["similar"][0] == [customer["customer_id"] for customer in found["similar"]]
        assert service.get(f"/v1/customers/{first}")["segment"]["id"] == facts["segment_of"][0]
        assert service.get(f"/v1/audiences/{facts['audience']}")["size"] == len(facts["audience_members"])
        members = service.get(f"/v1/audiences/{facts['audience']}/members")["members"]
        assert [member["customer_id"] for member in members] == facts["audience_members"]
    finally:
        service.close()
