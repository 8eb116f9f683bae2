"""Answers of SQL queries, whose columns may hold values of any type."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from eventlog import query
from eventlog.config import EventLogConfig
from eventlog.run import read_report, run
from eventlog.sequences import EventLog
from store.workspace import Workspace

NOW = datetime(2021, 1, 1, tzinfo=UTC)


def prepare(
    folder: Path, rows: list[tuple[Any, ...]], sql: str = "select * from e order by rowid", **more: Any
) -> EventLog:
    database = folder / "shop.db"
    database.unlink(missing_ok=True)
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("create table e (who, at, shop, amount)")
        connection.executemany("insert into e values (?, ?, ?, ?)", rows)
    connection.close()
    source = {"name": "till", "query": sql, "url": f"sqlite:///{database}", "customer": "who", "time": "at"}
    source |= {"categorical": ["shop"], "numeric": ["amount"], **more}
    return run(EventLogConfig.model_validate({"sources": [source]}), Workspace.create(folder / "ws"), now=NOW)


def test_an_answer_comes_in_batches_with_rows_counted_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "ROWS", 3)
    rows = [(i % 4, f"2020-01-{i + 1:02d}", "a", None if i < 4 else float(i)) for i in range(11)]
    rows[9] = (1, "soon", "a", 1.0)
    log = prepare(tmp_path, rows)
    report = read_report(log)
    assert (report.kept, log.n_customers, report.sources[0].files) == (10, 4, 0)
    assert report.sources[0].reasons[0].example == "query, row 10, column 'at': 'soon'"


def test_columns_of_mixed_types_are_parsed(tmp_path: Path) -> None:
    rows = [
        (1, "2020-01-01", 5, "1.5"),
        (1, "2020-01-02", "x", 2),
        (1, "2020-01-03", None, "cheap"),
        (2, "2020-01-04", 5, None),
    ]
    log = prepare(tmp_path, rows)
    assert log.schema.categorical[0].values == ("5", "x")
    assert log.values[:2, 0].tolist() == [1.5, 2.0]
    assert [reason.reason for reason in read_report(log).sources[0].reasons] == ["unparsable_number"]


def test_ids_of_two_types_are_text_and_batches_that_disagree_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[Any, ...]] = [(1, "2020-01-01", "a", 1.0), ("b", "2020-01-01", "a", 1.0)]
    assert prepare(tmp_path, rows).customers.to_list() == ["1", "b"]
    monkeypatch.setattr(query, "ROWS", 1)
    with pytest.raises(DataError, match="holds whole numbers in some files and text in others"):
        prepare(tmp_path, rows)


def test_the_same_answer_is_not_prepared_twice_and_another_one_is(tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [(1, "2020-01-01", "a", 1.0)]
    first = prepare(tmp_path, rows)
    assert prepare(tmp_path, rows, "select who, at, shop, amount from e").key == first.key
    assert prepare(tmp_path, [*rows, (1, "2020-01-02", "a", 1.0)]).key != first.key


def test_the_password_of_a_database_is_never_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        prepare(tmp_path, [], url="nosuchdb://ann:s3cret@host/db")
    assert "s3cret" not in str(error.value)
