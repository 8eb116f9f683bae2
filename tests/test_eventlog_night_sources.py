"""What a night takes of CSV files and queries: ids as the log has them, rows since the last reading."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from nightly_log import NOW, config_of, midnight, night, told

import eventlog.night
from eventlog.config import EventLogConfig
from eventlog.run import run as prepare
from store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws")


def test_ids_that_do_not_fit_the_log_are_put_aside(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "s0"
    path.mkdir()
    config = config_of(tmp_path)
    config = config.model_copy(
        update={"sources": (config.sources[0].model_copy(update={"path": str(path / "*.csv")}),)}
    )
    (path / "0.csv").write_text("customer,time,shop,amount\n1,2020-01-01,a,1\n20,2020-01-01,a,1\n")
    log = prepare(config, workspace, now=NOW)
    assert log.customers.dtype == pl.Int64
    (path / "1.csv").write_text("customer,time,shop,amount\n3,2020-01-02,a,1\n03,2020-01-02,a,1\nA,2020-01-02,a,x\n")
    grown = night(config, log, workspace)
    assert grown.sources == (told(files=1, read=3, kept=1, quarantined=2),)
    assert grown.log.customers.to_list() == [1, 3, 20]
    aside = pl.read_parquet(grown.log.quarantine)
    assert aside.select("reason", "value").rows() == [("missing_customer", "03"), ("missing_customer", "A")]
    gone = night(config, log, workspace, erased=lambda ids: (ids == 3).to_numpy())
    assert gone.sources == (told(files=1, read=3, quarantined=2, erased=1),)


def database(path: Path, rows: list[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table if not exists e (id, who, at, shop, amount)")
        connection.executemany("insert into e values (?, ?, ?, ?, ?)", rows)
    connection.close()


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("where", ["", "where at >= :since", "where at >= date(:since, '-1 day')"])
def test_a_query_gives_what_is_new(tmp_path: Path, workspace: Workspace, ids: bool, where: str) -> None:
    place = tmp_path / "shop.db"
    database(place, [(i, i % 3, f"2020-01-01 {i:02d}:00:00", "a", 1.0) for i in range(10)])
    database(place, [(10, 1, "2020-01-01 09:00:00", "a", "x"), (11, 1, "soon", "a", 1.0)])
    database(place, [(12, 2, "2020-01-02 05:00:00", "b", 2.0)])  # tomorrow's
    source = {"name": "s0", "query": f"select * from e {where}", "url": f"sqlite:///{place}", "customer": "who"}
    source |= {"time": "at", "categorical": ["shop"], "numeric": ["amount"], **({"event_id": "id"} if ids else {})}
    config = EventLogConfig.model_validate({"sources": [source]})
    log = prepare(config.model_copy(update={"until": midnight(0)}), workspace, now=NOW)
    assert (log.n_events, log.manifest.counts["quarantined"]) == (10, 2)
    database(place, [(13, 7, "2020-01-02 00:00:00", "c", 2.0), (14, 0, "2020-01-02T23:59:59", "c", 2.0)])
    database(place, [(15, 0, "2020-01-03 00:00:00", "c", 2.0), (16, 0, "2020-01-02 12:00:00", "c", "y")])
    database(place, [(17, 0, "2020-01-01 08:30:00", "late", 2.0)])
    late = ids and where != "where at >= :since"
    grown = night(config, log, workspace)
    assert grown.sources == (told(read=4 + late, kept=3 + late, quarantined=1, pending=1),)
    assert grown.late_events == int(late)
    assert grown.log.n_customers == 4
    then = night(config, grown.log, workspace, 2)
    assert then.sources == (told(read=1, kept=1),)
    assert night(config, then.log, workspace, 3).log is then.log


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("where", ["", "where at >= :since"])
def test_of_a_day_that_is_not_over_the_rest_is_taken_later(
    tmp_path: Path, workspace: Workspace, ids: bool, where: str
) -> None:
    place = tmp_path / "shop.db"
    database(place, [(i, i % 3, f"2020-01-01 {i:02d}:00:00", "a", 1.0) for i in range(10)])
    source = {"name": "s0", "query": f"select * from e {where}", "url": f"sqlite:///{place}", "customer": "who"}
    source |= {"time": "at", "categorical": ["shop"], "numeric": ["amount"], **({"event_id": "id"} if ids else {})}
    config = EventLogConfig.model_validate({"sources": [source]})
    log = prepare(config.model_copy(update={"until": midnight(0)}), workspace, now=NOW)
    database(place, [(20, 1, "2020-01-02 05:00:00", "a", 1.0)])
    noon = datetime(2020, 1, 2, 9, tzinfo=UTC)
    today = eventlog.night.run(config, log, workspace, midnight(1), now=noon)
    assert today.new_events == 1
    database(place, [(21, 1, "2020-01-02 12:00:00", "a", 1.0), (22, 2, "2020-01-02 20:00:00", "a", 1.0)])
    later = eventlog.night.run(config, today.log, workspace, midnight(1), now=noon + timedelta(days=1))
    assert later.new_events == 2
    assert later.log.key != today.log.key


def test_a_query_with_since_is_first_read_from_the_beginning(tmp_path: Path, workspace: Workspace) -> None:
    place = tmp_path / "shop.db"
    database(place, [(1, 1, "2020-01-01 05:00:00", "a", 1.0), (2, 1, "2020-01-01 06:00:00.25", "a", 1.0)])
    source = {"name": "s0", "query": "select *, :since as since from e where at >= :since", "url": f"sqlite:///{place}"}
    source |= {"customer": "who", "time": "at", "categorical": ["since"]}
    config = EventLogConfig.model_validate({"sources": [source]})
    log = prepare(config, workspace, now=NOW)
    assert (log.n_events, log.schema.categorical[0].values) == (2, ("0001-01-01",))
    database(place, [(3, 1, "2020-01-01 06:00:00.25", "a", 1.0), (4, 1, "2020-01-01 06:00:01", "a", 1.0)])
    grown = night(config, log, workspace)
    assert grown.new_events == 1, "without an event id, rows are told by their time"
    assert grown.log.schema.categorical[0].values == ("0001-01-01", "2020-01-01 06:00:00.250001")
