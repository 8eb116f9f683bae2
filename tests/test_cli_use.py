"""The words that scripts rely on, over a workspace that was really made."""

import csv
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from configs.errors import StorageError
from serve.cli import app
from serve.snapshot import Snapshot
from store.catalogue import Catalogue


def kinfolk(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def seeds_file(path: Path, ids: list[object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["customer_id"], *([i] for i in ids)])
    return path


@pytest.fixture(scope="module")
def customers(small_workspace) -> list[int]:
    return Snapshot.load(small_workspace.workspace).embeddings.customers.to_list()


def test_export_embeddings(workspace_copy, tmp_path: Path) -> None:
    out = tmp_path / "embeddings.parquet"
    kinfolk("export", "embeddings", out, "--workspace", workspace_copy.root)
    table = pl.read_parquet(out)
    snapshot = Snapshot.load(workspace_copy.workspace)
    assert table.schema == {"customer_id": pl.Int64, "vector": pl.List(pl.Float32)}
    assert table["customer_id"].to_list() == snapshot.embeddings.customers.to_list()
    assert np.array_equal(np.array(table["vector"].to_list(), np.float32), snapshot.embeddings.vectors)
    assert {path.name for path in tmp_path.iterdir()} == {"workspace", "embeddings.parquet"}


def test_export_segments(workspace_copy, tmp_path: Path) -> None:
    out = tmp_path / "segments.parquet"
    kinfolk("export", "segments", out, "--workspace", workspace_copy.root)
    table = pl.read_parquet(out)
    snapshot = Snapshot.load(workspace_copy.workspace)
    assert table.columns == ["customer_id", "segment", "strength", "second", "second_strength", "part"]
    assert table["customer_id"].to_list() == snapshot.embeddings.customers.to_list()
    assert np.array_equal(table["segment"].to_numpy(), snapshot.segments.labels)
    assert table["strength"].is_between(0, 1).all()


@pytest.mark.parametrize(
    "words",
    [("export", "embeddings"), ("export", "segments"), ("segments", "members", "0")],
    ids=["embeddings", "segments", "members"],
)
def test_nothing_is_taken_out_that_cannot_be_audited(workspace_copy, tmp_path: Path, words, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("the catalogue's disk is full")

    monkeypatch.setattr(Catalogue, "audit", full)
    out = tmp_path / "out.parquet"
    done = CliRunner().invoke(app, [*words, str(out), "--workspace", str(workspace_copy.root)])
    assert done.exit_code == 2
    assert "disk is full" in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"workspace"}


def test_audience(workspace_copy, customers: list[int], tmp_path: Path) -> None:
    seeds = seeds_file(tmp_path / "seeds.csv", [*customers[:40], customers[0], 5])
    out, scores = tmp_path / "audience.csv", tmp_path / "scores.csv"
    words = ["audience", "--seeds", seeds, "--size", 120, "--out", out, "--all-scores", scores]
    told = kinfolk(*words, "--workspace", workspace_copy.root)
    for word in ("40 matched, 1 unknown (5), 1 duplicates", "expected recall", "expected lift", "centroid"):
        assert word in told
    members, everybody = pl.read_csv(out), pl.read_csv(scores)
    assert members.columns == ["customer_id", "score", "rank", "reasons"]
    assert members["rank"].to_list() == list(range(1, 121))
    assert members["score"].is_sorted(descending=True)
    assert not set(members["customer_id"]) & set(customers[:40])
    assert everybody.columns == ["customer_id", "score"]
    assert everybody["customer_id"].to_list() == customers
    # the same again, as JSON, and by Parquet
    again = json.loads(
        kinfolk(*words[:5], "--out", tmp_path / "a.parquet", "--workspace", workspace_copy.root, "--json")
    )
    assert (again["size"], again["seeds"]["unmatched"], again["seeds"]["unmatched_ids"]) == (120, 1, ["5"])
    assert again["id"] in {path.name for path in workspace_copy.workspace.audiences.iterdir()}
    kinds = [r["kind"] for r in json.loads(kinfolk("verify", "--all", "--workspace", workspace_copy.root, "--json"))]
    assert kinds == ["eventlog", "model", "snapshot", "audience"]
    assert pl.read_parquet(tmp_path / "a.parquet")["customer_id"].to_list() == members["customer_id"].to_list()


def test_similar(small_workspace, customers: list[int]) -> None:
    found = json.loads(kinfolk("similar", customers[3], "--k", 4, "--workspace", small_workspace.root, "--json"))
    vectors = np.asarray(Snapshot.load(small_workspace.workspace).embeddings.vectors, np.float64)
    likeness = vectors @ vectors[3]
    likeness[3] = -2
    best = np.argsort(-likeness, kind="stable")[:4]
    assert [f["customer_id"] for f in found] == [customers[i] for i in best]
    labels = Snapshot.load(small_workspace.workspace).segments.labels[best]
    assert [f["segment"] for f in found] == [None if label < 0 else label for label in labels]
    assert str(customers[best[0]]) in kinfolk("similar", customers[3], "--workspace", small_workspace.root)
    everybody = Snapshot.load(small_workspace.workspace).segments.labels
    where = ("--k", len(customers), "--workspace", small_workspace.root, "--json")
    for option, inside in (("--segments", everybody == -1), ("--not-segments", everybody != -1)):
        found = json.loads(kinfolk("similar", customers[3], option, "-1", *where))
        expected = {customers[i] for i in np.flatnonzero(inside)} - {customers[3]}
        assert {neighbour["customer_id"] for neighbour in found} == expected


def test_segments(small_workspace) -> None:
    profiles = json.loads(kinfolk("segments", "--workspace", small_workspace.root, "--json"))["segments"]
    assert [profile["size"] for profile in profiles] == sorted((p["size"] for p in profiles), reverse=True)
    told = kinfolk("segments", "--workspace", small_workspace.root)
    assert all(profile["name"] in told for profile in profiles)
    assert "in no segment" in told


def test_history_rollback_and_verify(workspace_copy) -> None:
    where = ("--workspace", workspace_copy.root)
    [entry] = json.loads(kinfolk("history", *where, "--json"))
    assert entry["action"] == "publish"
    assert entry["served"]
    assert entry["snapshot"] in kinfolk("history", *where)
    result = CliRunner().invoke(app, ["rollback", *map(str, where)])
    assert result.exit_code == 2  # nothing was served before
    results = json.loads(kinfolk("verify", *where, "--json"))
    assert [r["kind"] for r in results] == ["snapshot", "model", "eventlog"]
    assert {r["state"] for r in results} == {"sound"}
    assert len(json.loads(kinfolk("verify", "--all", *where, "--json"))) == 3


def test_the_audit_log_is_told_newest_first_and_by_action(workspace_copy) -> None:
    where = ("--workspace", workspace_copy.root)
    kinfolk("keys", "create", "--role", "marketer", "--name", "Ada", *where)
    entries = json.loads(kinfolk("audit", *where, "--json"))
    assert [entry["action"] for entry in entries] == ["key.create", "publish"]
    assert entries[0]["details"] == {"name": "Ada", "role": "marketer"}
    assert [entry["id"] for entry in json.loads(kinfolk("audit", "--action", "publish", *where, "--json"))] == [1]
    assert "key.create" in kinfolk("audit", *where)
    assert "Nothing is noted" in kinfolk("audit", "--action", "none", *where)


def test_keys(workspace_copy) -> None:
    where = ("--workspace", workspace_copy.root)
    assert "no keys" in kinfolk("keys", "list", *where)
    made = json.loads(kinfolk("keys", "create", "--role", "marketer", "--name", "Ada", *where, "--json"))
    [key] = json.loads(kinfolk("keys", "list", *where, "--json"))
    assert (key["id"], key["name"], key["role"], key["revoked"]) == (made["id"], "Ada", "marketer", None)
    assert made["key"] not in kinfolk("keys", "list", *where)
    assert "is revoked" in kinfolk("keys", "revoke", made["id"], *where)
    [key] = json.loads(kinfolk("keys", "list", *where, "--json"))
    assert key["revoked"]
    assert CliRunner().invoke(app, ["keys", "create", "--role", "king", *map(str, where)]).exit_code == 2


def test_data_check_and_prepare(small_workspace, tmp_path: Path) -> None:
    report = json.loads(kinfolk("data", "check", small_workspace.recipe, "--json"))
    assert report["usable"]
    assert report["read"] == report["kept"] + report["quarantined"]
    told = kinfolk("data", "check", small_workspace.recipe)
    assert "groceries" in told
    made = json.loads(kinfolk("data", "prepare", small_workspace.recipe, "--workspace", tmp_path / "ws", "--json"))
    assert made["kept"] == report["kept"]
    assert (Path(made["folder"]) / "manifest.json").exists()


def test_evaluate(small_workspace, customers: list[int], tmp_path: Path) -> None:
    truth = pl.read_parquet(small_workspace.folder / "truth" / "customers.parquet")
    labels = tmp_path / "labels.csv"
    truth.select("customer_id", old=pl.col("persona_end") == "retiree").write_csv(labels)
    picture = tmp_path / "picture.png"
    where = ("--workspace", small_workspace.root)
    found = json.loads(kinfolk("evaluate", "--labels", labels, "--picture", picture, *where, "--json"))
    assert {(r["label"], r["input"]) for r in found["results"]} == {
        ("old", "embedding"),
        ("old", "aggregates"),
        ("old", "both"),
    }
    assert all(0 <= r["score"]["low"] <= r["score"]["value"] <= r["score"]["high"] <= 1 for r in found["results"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_simulate_takes_the_simulators_settings_and_tells_no_truth_of_a_day_alone(tmp_path: Path) -> None:
    shape = ("--customers", "30", "--joins", "0", "--attrition", "0", "--life-events", "0", "--id-type", "string")
    made = (*shape, "--no-noise", "--activity", "0.5", "--out", tmp_path / "bank")
    assert "30 customers over 1 day are in" in kinfolk("simulate", *made, "--days", "1")
    cards = pl.read_parquet(tmp_path / "bank" / "card" / "*" / "part.parquet", hive_partitioning=False)
    assert cards.schema["customer_id"] == pl.String
    assert "noise" not in cards.columns
    told = kinfolk("simulate", *made, "--day", "3")
    assert "Day 3 of 30 customers is in" in told
    assert "truth" not in told


def test_why(small_workspace, customers: list[int]) -> None:
    who = customers[7]
    told = kinfolk("why", who, "--workspace", small_workspace.root)
    for word in ("of the vector", "habit", "event", "1 - cosine"):
        assert word in told
    answer = json.loads(kinfolk("why", who, "--days", 60, "--workspace", small_workspace.root, "--json"))
    assert sum(share["share"] for share in answer["fields"]) == pytest.approx(1)
    assert answer["events"]
    moved = [event["moved"] for event in answer["events"]]
    assert moved == sorted(moved, reverse=True)
    assert all(event["fields"] for event in answer["events"])
    result = CliRunner().invoke(app, ["why", "no-such-customer", "--workspace", str(small_workspace.root)])
    assert result.exit_code == 2
    assert "no customer" in result.stderr
