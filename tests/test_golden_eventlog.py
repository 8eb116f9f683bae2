"""Event logs of earlier versions are still read, and a night still goes on from them."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import eventlog.night
from eventlog.compact import compact
from eventlog.config import EventLogConfig
from eventlog.sequences import EventLog, ids_name
from eventlog.watermark import read_watermark
from store.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("eventlog-v*.json"))


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Workspace, dict[str, Any]]:
    """A copy of each golden event log, and what was read there when it was made."""
    shutil.copytree(GOLDEN / request.param, tmp_path / "ws" / "eventlog")
    facts = json.loads((GOLDEN / f"{request.param}.json").read_text(encoding="utf-8"))
    return Workspace.create(tmp_path / "ws"), facts


@pytest.mark.parametrize("which", ["plain", "night"])
def test_the_log_is_what_it_was(golden: tuple[Workspace, dict[str, Any]], which: str) -> None:
    workspace, facts = golden[0], golden[1][which]
    log = EventLog.load(workspace.eventlogs / facts["key"])
    assert (log.key, list(log.layers), log.layered) == (facts["key"], facts["layers"], which == "night")
    assert log.customers.to_list() == facts["customers"]
    assert log.schema.to_json() == facts["schema"]
    assert dict(log.manifest.counts) == facts["counts"]
    for name in ("offsets", "codes", "time"):
        np.testing.assert_array_equal(getattr(log, name)[:], facts[name])
    np.testing.assert_array_equal(log.values[:], np.array(facts["values"], np.float32))
    assert [np.load(log.folder / ids_name(i)).tolist() for i in range(2)] == facts["event_ids"]
    assert sorted(pl.read_parquet(log.quarantine)["reason"].to_list()) == facts["quarantine_reasons"]
    plain = compact(log, workspace.eventlogs / "plain", "plain")
    assert (plain.n_events, plain.n_customers) == (log.n_events, log.n_customers)


def test_a_night_goes_on_from_it(golden: tuple[Workspace, dict[str, Any]], tmp_path: Path) -> None:
    workspace, facts = golden[0], golden[1]["night"]
    log = EventLog.load(workspace.eventlogs / facts["key"])
    found = read_watermark(log.folder)
    assert found is not None
    files = [file for source in found.sources for file in source.files]
    assert [(file.label, file.rows, file.pending) for file in files] == [
        ("shop-1.csv", 5, 0), ("shop-2.csv", 5, 1), ("calls-1.csv", 1, 0),
    ]  # fmt: skip
    # ids that were seen long ago, as text and as numbers
    (tmp_path / "shop-3.csv").write_text("who,at,id,kind,amount\nanna,2025-01-01,T-1,x,1\nemil,2025-01-03,T-9,x,1\n")
    (tmp_path / "calls-3.csv").write_text("who,at,id,kind\ncleo,2025-01-01T12:00:00Z,1,other\n")
    places = {source.name: str(tmp_path / f"{source.name}-*.csv") for source in found.sources}
    sources = [{"name": source.name, "path": places[source.name], **source.meaning} for source in found.sources]
    config = EventLogConfig.model_validate({"sources": sources})
    until = datetime(2025, 2, 1, tzinfo=UTC)
    grown = eventlog.night.run(config, log, workspace, until, now=until)
    assert [(source.kept, source.duplicates) for source in grown.sources] == [(1, 1), (0, 1)]
    assert grown.new_customers == 1


def test_there_is_one() -> None:
    assert NAMES
