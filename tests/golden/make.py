"""Writes the golden files: `python tests/golden/make.py tests/golden` from the repository's root.

Golden files are what a released version wrote; they stay, so that every later version is tested to read them. A new
format version adds a new folder beside the old one. Nothing here overwrites: that would test nothing.
"""

import json
import shutil
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import polars as pl
import yaml

import eventlog.night
import eventlog.run
from eventlog.behaviour import Behaviour, Feature, write_behaviour, write_refreshed
from eventlog.behaviour_refresh import SINCE_FIRST, SINCE_LAST, Refreshed
from eventlog.config import EventLogConfig
from eventlog.sequences import DAY, EventLog, ids_name
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from index.request import AudienceRequest
from serve.audiences import Asked, make_audience
from serve.pipeline import run_line
from serve.recipe import load_recipe
from serve.snapshot import Snapshot
from store.artifact import create
from store.catalogue import Catalogue
from store.objections import Objections
from store.segment_names import SegmentNames
from store.tables import HEAD, ErasureRow, ErasureSaltRow
from store.workspace import Workspace
from train.artifact import Model

PARTS = ("behaviour", "embeddings", "index", "segments")
KEY = "0123456789abcdef"
WORKSPACE = "workspace-v5"
"""Name of the golden workspace that today's formats would add; raised when one of them changes."""
SOURCES = ("salary", "groceries", "cash", "login")
"""Those of the bank that are read; enough for segments."""
RECIPE = """\
- name: complaints
  path: complaints.csv
  customer: customer_id
  time: timestamp
  categorical: [subject]
  numeric: [amount]
train:
  width: 16
  hidden: 16
  event_width: 8
  vocabulary: 20
  slices: 2
  slice_events: [8, 24]
  batch_customers: 32
  epochs: 2
  epoch_events: 6_000
  threads: 1
  pools:
    values: 6
    bins: 4
    cells: 64
    crossed_values: 2
    crossed_fields: 2
index:
  exact_up_to: 0
  neighbours: 5
  queries: 40
  lists: 2
segments:
  neighbours: 8
  epochs: 60
  min_customers: 8
  stability_runs: 1
  min_stability: 0.3
audience:
  least_seeds: 10
  least_size: 10
  bootstrap: 50
"""
"""Goes on from a simulated bank's sources: a source with faults, and sections that make everything small."""
COMPLAINTS = """\
customer_id,timestamp,subject,amount
{0},2025-01-03T08:00:00Z,"fees, high",12.5
{1},2025-01-04 09:30:00,Geb\u00fchren,3
{1},2025-01-05,,
{2},never,fees,1
{2},2025-01-06,fees,many
,2025-01-06,fees,2
"""
"""Lines of a CSV with ids to be filled in; some are good, some go to quarantine."""
EVENTLOG = "eventlog-v2"
"""Name of the golden event log that today's format would add: a plain log, and a night in a layer on top of it."""
BEHAVIOURS = "behaviour-v2"
"""Name of the golden behaviours that today's format would add, in layers."""
NIGHT = datetime(2025, 1, 3, tzinfo=UTC)
"""The end of the second night's day."""
SOURCES_OF_LOG = """\
prepare: {max_categories: 3}
sources:
- {name: shop, path: shop-*.csv, customer: who, time: at, event_id: id, categorical: [kind], numeric: [amount]}
- {name: calls, path: calls-*.csv, customer: who, time: at, event_id: id, categorical: [kind]}
"""
DELIVERIES = {
    "shop-1.csv": """\
who,at,id,kind,amount
anna,2025-01-01T08:00:00Z,T-1,bread,3.5
anna,2025-01-01T09:00:00Z,T-2,wine,12
ben,2025-01-01T10:00:00Z,T-3,bread,
ben,2025-01-01T10:00:00Z,T-3,bread,
ben,2025-01-02T10:00:00Z,T-4,cheese,7
""",
    "calls-1.csv": "who,at,id,kind\ncleo,2025-01-01T12:00:00Z,1,question\n",
    "shop-2.csv": """\
who,at,id,kind,amount
anna,2025-01-01T08:30:00Z,T-5,figs,2
dora,2025-01-02T11:00:00Z,T-6,bread,many
dora,2025-01-02T11:05:00Z,T-7,salt,1
ben,2025-01-01T10:00:00Z,T-3,bread,
ben,2025-01-04T10:00:00Z,T-8,wine,9
""",
}
"""What the golden log is made of; of the second day, what comes late, is there already, is bad, and is too early."""
LEFT_OUT = ("catalogue.db*", "*lock", ".lock", "logs", "staging")
"""The catalogue stands there as text; locks, training logs and staging are no artifacts."""
LIBRARY = "/* plotly.js stood here: 4.5 MB that no reader of kinfolk looks at */"


def write_snapshot(home: Path) -> Path:
    """Publish a snapshot of small parts in a workspace at `home`, and return its folder.

    The parts are of kind "example": this golden file holds the format of manifests, parts and pointer. The stages hold
    their own formats with golden files of their own.
    """
    workspace = Workspace.create(home)
    for number, name in enumerate(PARTS):
        with create(workspace.staging / KEY / name, "example", 1, KEY) as part:
            part.path("data/values.bin").write_bytes(bytes((number * 37 + i) % 256 for i in range(96)))
            part.write_json("facts.json", {"part": name, "größe": 1e-05, "none": None})
            part.parents["model"] = "fedcba9876543210"
            part.counts["customers"] = 12
            part.figures["quality"] = 0.5
    workspace.publish(
        KEY, {"model": "fedcba9876543210"}, {"customers": 12, "segments": 3}, {"recall@100": 0.991, "by_size": [1, 2.5]}
    )
    return workspace.snapshot_folder()


def write_catalogue(path: Path) -> None:
    """A catalogue with a row in every table, and nothing in it that differs between two runs but the keys."""
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now() -> datetime:
        nonlocal moment
        moment += timedelta(seconds=1)
        return moment

    with Catalogue(path, now) as catalogue:
        run = catalogue.record_run("run", recipe_hash="abc")
        catalogue.finish_run(run.id, "succeeded", eventlog_key="e", model_key="m", snapshot="s-a", figures={"auc": 0.7})
        catalogue.record_publication("s-a", actor="cli", action="publish", previous=None, run_id=run.id)
        catalogue.create_key("Anna", "marketer")
        catalogue.save_audience(
            id="a-0000000000000001",
            actor="cli",
            snapshot="s-a",
            request={"size": 500},
            seeds_sha256="0" * 64,
            size=500,
            report={"expected_recall": 0.25},
            result_sha256="1" * 64,
            members="audiences/a-0000000000000001.arrow",
        )
        Objections(catalogue).note(["17"], True, actor="Anna")
        SegmentNames(catalogue).rename("line", 3, "Drivers", actor="Anna", others={3: "Much fuel"})
        note_erasure(catalogue)


def note_erasure(catalogue: Catalogue) -> None:
    """A row of the register of erasures, with a salt that stays the same."""
    with catalogue.session(write=True) as session:
        session.add(ErasureSaltRow(id=1, salt=bytes(range(32))))
        session.add(ErasureRow(hash="2" * 64, at=catalogue.now(), actor="Anna", receipt="e-0000000000000001"))
        catalogue.append_audit(session, "Anna", "erasure", "e-0000000000000001", {"known": 1, "unknown": 0})


def write_workspace(home: Path) -> dict[str, Any]:
    """Really run the line on a small bank, make an audience, and return what every later version must read there.

    The map's page lacks the JavaScript library; all else is as a user's workspace.
    """
    bank = simulate(SimulateConfig.checked(customers=120, days=30, seed=3, id_type="string"), home / "bank")
    recipe = home / "bank" / "golden.yaml"
    every = yaml.safe_load(bank.recipe.read_text(encoding="utf-8"))["sources"]
    sources = yaml.safe_dump({"sources": [source for source in every if source["name"] in SOURCES]})
    recipe.write_text(sources + RECIPE, encoding="utf-8")
    ids = pl.read_parquet(sorted((home / "bank" / "groceries").rglob("*.parquet"))[0])["customer_id"].unique().sort()
    (home / "bank" / "complaints.csv").write_text(COMPLAINTS.format(*ids.head(3)), encoding="utf-8")
    workspace = Workspace.create(home / WORKSPACE)
    with patch("plotly.offline.get_plotlyjs", lambda: LIBRARY):
        line = run_line(load_recipe(recipe), workspace)
    snapshot = Snapshot.load(workspace)
    request = AudienceRequest(seeds=tuple(snapshot.customer(row) for row in range(0, 40, 2)), size=15)
    with Catalogue(workspace.catalogue) as catalogue:
        audience, _ = make_audience(Asked(request), snapshot, workspace, catalogue, "golden")
    return facts_of(line.log, line.model, snapshot) | {
        "audience": audience.id,
        "audience_members": audience.members()["customer_id"].to_list(),
    }


def write_eventlog(home: Path) -> dict[str, Any]:
    """Prepare a log of one day and take a night on top of it; returns what every later version must read there."""
    for name, text in DELIVERIES.items():
        if name.endswith("1.csv"):
            (home / name).write_text(text, encoding="utf-8")
    body = yaml.safe_load(SOURCES_OF_LOG)
    settings = {"sources": body["sources"], **body["prepare"]}
    config = EventLogConfig.model_validate(settings, context={"folder": home})
    workspace = Workspace.create(home / EVENTLOG)
    first = NIGHT - timedelta(days=1)
    before = eventlog.run.run(config.model_copy(update={"until": first}), workspace, now=NIGHT)
    (home / "shop-2.csv").write_text(DELIVERIES["shop-2.csv"], encoding="utf-8")
    with patch("eventlog.night.MOST_SHARE", 1e9):  # else so few events are put together at once
        night = eventlog.night.run(config, before, workspace, NIGHT, now=NIGHT)
    return {"plain": facts_of_log(before), "night": facts_of_log(night.log)}


def facts_of_log(log: EventLog) -> dict[str, Any]:
    """All that is read out of a small log, as JSON values."""
    values = np.asarray(log.values[:], np.float64)
    return {
        "key": log.key,
        "layers": list(log.layers),
        "customers": log.customers.to_list(),
        "schema": log.schema.to_json(),
        "offsets": log.offsets.tolist(),
        "codes": np.asarray(log.codes[:]).tolist(),
        "values": [[v if np.isfinite(v) else None for v in row] for row in values.tolist()],
        "time": np.asarray(log.time[:]).tolist(),
        "event_ids": [np.load(log.folder / ids_name(source)).tolist() for source in range(2)],
        "quarantine_reasons": sorted(pl.read_parquet(log.quarantine)["reason"].to_list()),
        "counts": dict(log.manifest.counts),
    }


def facts_of(log: EventLog, model: Model, snapshot: Snapshot) -> dict[str, Any]:
    """What is read out of a workspace, as JSON values: a little of every array."""
    rows, similarity = snapshot.index.similar(np.arange(3), 5)
    codes = zip(log.schema.categorical, log.codes[0], strict=True)
    words = [field.values[code - 2] if code > 1 else None for field, code in codes]
    return {
        "events": log.n_events,
        "fields": [*(field.name for field in log.schema.categorical), *log.schema.numeric],
        "first_event": [int(log.time[0]), words, [float(v) if np.isfinite(v) else None for v in log.values[0]]],
        "quarantine_reasons": sorted(pl.read_parquet(log.quarantine)["reason"].to_list()),
        "epochs": len(model.metrics),
        "snapshot": snapshot.name,
        "customers": snapshot.n_customers,
        "first_customers": snapshot.embeddings.customers.head(3).to_list(),
        "features": [feature.words for feature in snapshot.behaviour.features[:20]],
        "first_behaviour": snapshot.behaviour.matrix[0, :20].tolist(),
        "similar": [[snapshot.customer(int(row)) for row in found] for found in rows],
        "similarity": similarity.tolist(),
        "segments": [
            [profile.id, profile.name, profile.size, [driver.words for driver in profile.drivers]]
            for profile in snapshot.segments.profiles
        ],
        "segment_of": snapshot.segments.labels.tolist(),
        "first_position": snapshot.segments.positions[0].tolist(),
    }


def write_behaviours(home: Path) -> dict[str, Any]:
    """Behaviours of a few customers, and a night's layer on top; returns what every later version must read there."""
    features = tuple(Feature(name, "count", None, None, name) for name in ("events", SINCE_FIRST, SINCE_LAST))
    matrix = np.array([[3, 9, 1], [1, 4, 4], [2, 8, 2]], np.float32)
    bottom = write_behaviour(Behaviour(features, matrix), KEY, home / "bottom", {})
    moments = np.array([[0, 8], [5, 5], [1, 10], [10, 10]]) * DAY
    log = SimpleNamespace(
        n_customers=4, end=10 * DAY, offsets=np.arange(0, 9, 2), time=moments.ravel(), key="night", schema=None
    )
    fresh = np.array([[4, 9, 0], [1, 0, 0]], np.float32)
    night: Any = Refreshed(features, cast(EventLog, log), bottom, np.array([0, 1, 2, -1]), np.array([2, 3]), fresh)
    with patch("eventlog.behaviour_refresh.MOST_ABOVE", 1e9):  # else so few rows are put together at once
        made = write_refreshed(night, KEY, home / BEHAVIOURS, {"eventlog": KEY})
    return {"features": [feature.name for feature in features], "matrix": np.asarray(made.matrix).tolist()}


def dump(catalogue: Path, out: Path) -> None:
    """Write a SQLite catalogue as text."""
    opened = sqlite3.connect(catalogue)
    out.write_text("\n".join(opened.iterdump()) + "\n", encoding="utf-8")
    opened.close()


def main(folder: Path) -> None:
    """Write what `folder` does not hold yet."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        if not (folder / "snapshot-v1").exists():
            shutil.copytree(write_snapshot(home), folder / "snapshot-v1")
        if not (folder / f"catalogue-{HEAD}.sql").exists():
            write_catalogue(home / "catalogue.db")
            dump(home / "catalogue.db", folder / f"catalogue-{HEAD}.sql")
        if not (folder / EVENTLOG).exists():
            facts = write_eventlog(home)
            shutil.copytree(home / EVENTLOG / "eventlog", folder / EVENTLOG, ignore=shutil.ignore_patterns(".*"))
            (folder / f"{EVENTLOG}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        if not (folder / BEHAVIOURS).exists():
            facts = write_behaviours(home)
            shutil.copytree(home / BEHAVIOURS, folder / BEHAVIOURS)
            (folder / f"{BEHAVIOURS}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        if not (folder / WORKSPACE).exists():
            facts = write_workspace(home)
            dump(home / WORKSPACE / "catalogue.db", home / WORKSPACE / "catalogue.sql")
            shutil.copytree(home / WORKSPACE, folder / WORKSPACE, ignore=shutil.ignore_patterns(*LEFT_OUT))
            (folder / f"{WORKSPACE}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
