"""Events that cannot be used: one clear sentence each, and nothing written."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from configs.errors import DataError
from eventlog.config import EventLogConfig
from eventlog.report import CheckReport, field_rows, reason_rows, source_rows
from eventlog.run import check, read_report, run
from store.workspace import Workspace

NOW = datetime(2020, 6, 1, tzinfo=UTC)
GOOD: dict[str, list[Any]] = {
    "customer": [1, 2, 3, 4],
    "time": [datetime(2020, 1, d) for d in (1, 2, 3, 4)],
    "shop": ["a", "b", "a", None],
    "amount": [1.0, 2.0, None, 4.0],
}
BASKET = {"customer": "customer", "time": "time", "categorical": ["shop"], "numeric": ["amount"]}


def source(path: Path | str, name: str = "basket", **more: Any) -> dict[str, Any]:
    return {"name": name, "path": str(path), **BASKET, **more}


def refusal(folder: Path, *sources: dict[str, Any], **more: Any) -> str:
    """The message with which the sources are refused, by checking or by preparing; nothing stays written."""
    config = EventLogConfig.model_validate({"sources": list(sources), **more})
    workspace = Workspace.create(folder / "ws")
    with pytest.raises(DataError) as error:
        run(config, workspace, now=NOW)
    assert list(workspace.eventlogs.iterdir()) == []
    assert findings(config) == str(error.value), "checking and preparing say the same"
    assert (error.value.exit_code, error.value.status) == (2, 422)
    return str(error.value)


def findings(config: EventLogConfig) -> str:
    """What a check finds against the events, in its report or as an error."""
    try:
        report = check(config, now=NOW)
    except DataError as error:
        return str(error)
    assert report.usable == (not report.faults)
    return "\n".join(report.faults)


def parquet(folder: Path, name: str = "e.parquet", **columns: Any) -> Path:
    pl.DataFrame({**GOOD, **columns}).write_parquet(folder / name)
    return folder / name


def test_a_missing_column_is_named_with_its_likely_spelling(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    text = refusal(tmp_path, source(path, categorical=["shopp"], numeric=["colour"]))
    assert f"source 'basket': {path}: no column 'shopp', named as categorical; did you mean 'shop'?" in text
    assert "no column 'colour', named as numeric; it has customer, time, shop, amount" in text


def test_a_column_missing_from_many_files_is_told_once(tmp_path: Path) -> None:
    for i in range(3):
        parquet(tmp_path, f"e{i}.parquet")
    text = refusal(tmp_path, source(tmp_path / "*.parquet", event_id="receipt"))
    assert text.count("no column 'receipt', named as event id") == 1
    assert "e0.parquet (and 2 more files)" in text


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"amount": ["1", "2", "3", "4"]}, "column 'amount', named as numeric, holds text; accepted: numbers"),
        ({"amount": [[1.0]] * 4}, "named as numeric, holds lists; accepted: numbers"),
        (
            {"time": [1.5, 2.5, 3.5, 4.5]},
            "column 'time', named as time, holds numbers with a fraction; accepted: timestamps, dates or ISO 8601",
        ),
        ({"time": [1, 2, 3, 4]}, "or whole numbers since 1970 with `time_unit: s`, ms, us or ns"),
        (
            {"time": ["soon", "later", "never", "now"]},
            "holds text such as 'soon'; accepted: timestamps, dates or ISO 8601 text",
        ),
        ({"time": ["1577836800"] * 4}, "or whole numbers with `time_unit`"),
        (
            {"customer": [True, False, True, False]},
            "named as customer, holds true/false; accepted: whole numbers or text",
        ),
        ({"shop": [["a"]] * 4}, "named as categorical, holds lists; accepted: text, whole numbers"),
    ],
)
def test_a_wrong_type_says_what_is_accepted(tmp_path: Path, columns: dict[str, Any], wanted: str) -> None:
    text = refusal(tmp_path, source(parquet(tmp_path, **columns)))
    assert wanted in text
    assert "\n" not in text


def test_text_in_a_numeric_column_of_a_csv_is_seen_at_once(tmp_path: Path) -> None:
    pl.DataFrame({**GOOD, "amount": ["cheap", "dear", "cheap", None]}).write_csv(tmp_path / "e.csv")
    assert "holds text such as 'cheap'; accepted: numbers" in refusal(tmp_path, source(tmp_path / "e.csv"))


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "there is no such file (accepted: a Parquet or CSV file, or a glob)" in refusal(
        tmp_path, source(tmp_path / "no.csv")
    )
    assert "there is no such file" in refusal(tmp_path, source(tmp_path / "no*.csv"))
    (tmp_path / "log.csv").mkdir()
    assert "is a folder; name its files" in refusal(tmp_path, source(tmp_path / "log.csv"))


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "flipped"])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, damage: str) -> None:
    path = parquet(tmp_path)
    good = path.read_bytes()
    at = 40
    bytes_of = {
        "truncated": good[: len(good) // 2],
        "text": b"customer,time\n1,2020-01-01\n",
        "empty": b"",
        "flipped": good[:at] + bytes(255 - byte for byte in good[at : at + 60]) + good[at + 60 :],
    }
    path.write_bytes(bytes_of[damage])
    text = refusal(tmp_path, source(path))
    assert f"source 'basket': {path}: cannot be read, it is no complete Parquet file" in text
    assert "\n" not in text


def test_a_damaged_csv_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes(b"")
    assert "it is no complete CSV file in UTF-8 with one header line" in refusal(tmp_path, source(path))
    path.write_bytes(b"customer,time,shop,amount\n1,2020-01-01,caf\xe9,1\n")
    assert f"{path}: cannot be read" in refusal(tmp_path, source(path))
    (tmp_path / "e.csv.gz").write_bytes(b"no gzip at all")
    assert "e.csv.gz: cannot be read" in refusal(tmp_path, source(tmp_path / "e.csv.gz"))


def test_queries_that_cannot_be_run(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    query = {"name": "q", **BASKET, "query": "select * from nowhere", "url": f"sqlite:///{database}"}
    assert f"source 'q': there is no database file {database}" in refusal(tmp_path, query)
    assert not database.exists()
    sqlite3.connect(database).execute("create table e (x)").connection.close()
    assert "source 'q': the query cannot be run: no such table: nowhere" in refusal(tmp_path, query)
    assert "the query cannot be run" in refusal(tmp_path, {**query, "url": "nosuchdb://host/db"})
    assert "source 'q': query: no column 'customer'" in refusal(tmp_path, {**query, "query": "select * from e"})


def test_an_empty_log(tmp_path: Path) -> None:
    pl.DataFrame(GOOD).clear().write_parquet(tmp_path / "e.parquet")
    wanted = "the event log is empty: there are no rows (sources: basket); at least one event is needed"
    assert refusal(tmp_path, source(tmp_path / "e.parquet")) == wanted
    (tmp_path / "e.csv").write_text("customer,time,shop,amount\n")
    assert refusal(tmp_path, source(tmp_path / "e.csv")) == wanted
    late = refusal(tmp_path, source(parquet(tmp_path)), until="2019-01-01")
    assert "there are no rows before `until`, 4 after it" in late


def test_an_empty_source_beside_a_full_one_is_a_note(tmp_path: Path) -> None:
    pl.DataFrame(GOOD).clear().write_parquet(tmp_path / "none.parquet")
    sources = [source(parquet(tmp_path)), source(tmp_path / "none.parquet", "calls")]
    log = run(EventLogConfig.model_validate({"sources": sources}), Workspace.create(tmp_path / "ws"), now=NOW)
    assert log.n_events == 4
    assert "source 'calls' holds no usable event" in read_report(log).notes


def test_customers_that_are_numbers_here_and_text_there(tmp_path: Path) -> None:
    numbers, words = parquet(tmp_path), parquet(tmp_path, "w.parquet", customer=["1", "2", "3", "4"])
    text = refusal(tmp_path, source(numbers), source(words, "calls"))
    assert "customer ids are whole numbers in source 'basket', column 'customer', and text in source 'calls'" in text
    pl.DataFrame({**GOOD, "customer": ["1", "2", "007", "4"]}).write_csv(tmp_path / "w.csv")
    text = refusal(tmp_path, source(numbers), source(tmp_path / "w.csv", "calls"))
    assert "whole numbers in source 'basket' and text in source 'calls', column 'customer'" in text
    parquet(tmp_path, "w2.parquet", customer=[1, 2, 3, 4])
    assert "whole numbers in some files and text in others" in refusal(tmp_path, source(tmp_path / "w*.parquet"))


def test_the_faults_of_all_sources_come_at_once(tmp_path: Path) -> None:
    text = refusal(
        tmp_path,
        source(parquet(tmp_path), "a", time="tme"),
        source(tmp_path / "no.parquet", "b"),
        source(parquet(tmp_path, "c.parquet", amount=["x"] * 4), "c"),
        {"name": "d", **BASKET, "query": "select 1", "url": f"sqlite:///{tmp_path}/no.db"},
    )
    assert [line.split(":")[0] for line in text.splitlines()] == [f"source '{name}'" for name in "abcd"]


def test_more_bad_rows_than_accepted(tmp_path: Path) -> None:
    path = parquet(tmp_path, amount=[float("nan"), float("nan"), float("inf"), 1.0])
    text = refusal(tmp_path, source(path))
    assert (
        "source 'basket': 3 of 4 rows break the contract, more than the accepted share of 50% (`max_bad_share`)" in text
    )
    assert "the commonest reason, 2 times: an amount is NaN, first at e.parquet, row 1, column 'amount': 'nan'" in text
    config = EventLogConfig.model_validate({"sources": [source(path)], "max_bad_share": 0.75})
    assert run(config, Workspace.create(tmp_path / "ws"), now=NOW).n_events == 1


def test_every_reason_is_kept_with_place_and_value(tmp_path: Path) -> None:
    lines = ["customer,time,shop,amount,id", *[f"{i},2020-01-01,a,1,{i}" for i in range(1, 10)]]
    bad = {
        "missing_customer": (",2020-01-01,a,1,20", "customer", None),
        "missing_time": ("1,,a,1,21", "time", None),
        "unparsable_time": ("1,2020-02-30,a,1,22", "time", "2020-02-30"),
        "future_time": ("1,2020-06-02,a,1,23", "time", "2020-06-02"),
        "unparsable_number": ('1,2020-01-01,a,"1,5",24', "amount", "1,5"),
        "not_a_number": ("1,2020-01-01,a,NaN,25", "amount", "NaN"),
        "infinite": ("1,2020-01-01,a,1e39,26", "amount", "1e39"),
        "duplicate": ("1,2020-01-01,b,2,3", "id", "3"),
        "malformed_line": ("1,2020-01-01", None, "1,2020-01-01"),
    }
    (tmp_path / "e.csv").write_text("\n".join([*lines, *(text for text, _, _ in bad.values())]) + "\n")
    config = EventLogConfig.model_validate({"sources": [source(tmp_path / "e.csv", event_id="id")]})
    log = run(config, Workspace.create(tmp_path / "ws"), now=NOW)
    kept = {row["reason"]: row for row in pl.read_parquet(log.quarantine).to_dicts()}
    assert list(bad) == sorted(kept, key=lambda reason: kept[reason]["row"])
    for number, (reason, (_, column, value)) in enumerate(bad.items(), start=10):
        row = kept[reason]
        assert (row["source"], row["file"], row["row"]) == ("basket", "e.csv", number)
        assert (row["column"], row["value"]) == (column, value)
    assert json.loads(kept["duplicate"]["event"]) == {
        "customer": "1", "time": "2020-01-01", "id": "3", "shop": "b", "amount": "2",
    }  # fmt: skip
    report = read_report(log)
    assert (report.read, report.kept, report.quarantined) == (18, 9, 9)
    assert report.future_from == "2020-06-02T00:00:00+00:00"
    assert CheckReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert [row["rows"] for row in reason_rows(report)] == ["1"] * 9
    assert source_rows(report)[0]["quarantined"] == "9"
    assert field_rows(report)[1] == {"field": "amount", "kind": "numeric", "values": "", "absent": "0.0%"}


@pytest.mark.parametrize("together", [1, 200, 1 << 24])
@pytest.mark.parametrize("kind", ["integer", "text"])
def test_duplicates_are_found_across_files_and_blocks(
    tmp_path: Path, kind: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.scan.BLOCK_ROWS", 7)
    monkeypatch.setattr("eventlog.duplicates.GROUP_BYTES", together)
    ids = pl.int_range(0, 100, eager=True) % 60
    frame = pl.DataFrame(
        {
            "customer": ids,
            "time": [datetime(2020, 1, 1)] * 100,
            "id": ids if kind == "integer" else "r" + ids.cast(pl.String),
        }
    )
    frame = frame.with_columns(id=pl.when(pl.col("customer") < 58).then("id"))
    for i in range(4):
        frame[i * 25 : i * 25 + 25].write_parquet(tmp_path / f"{i}.parquet")
    config = EventLogConfig.model_validate(
        {"sources": [source(tmp_path / "*.parquet", event_id="id", categorical=[], numeric=[])]}
    )
    log = run(config, Workspace.create(tmp_path / "ws"), now=NOW)
    aside = pl.read_parquet(log.quarantine)
    assert (log.n_events, aside.height) == (60, 40)
    assert set(zip(aside["file"], aside["row"], strict=True)) == {
        (f"{i // 25}.parquet", i % 25 + 1) for i in range(60, 100)
    }
    assert log.n_customers == 60


def test_one_event_customers_and_repeated_rows_are_kept_and_noted(tmp_path: Path) -> None:
    frame = pl.DataFrame(GOOD)
    pl.concat([frame, frame[:2], frame[:1]]).write_parquet(tmp_path / "e.parquet")
    report = check(EventLogConfig.model_validate({"sources": [source(tmp_path / "e.parquet")]}), now=NOW)
    assert (report.kept, report.identical_rows, report.one_event_customers) == (7, 3, 2)
    assert any(note.startswith("2 of 4 customers have one event only") for note in report.notes)
    assert any(note.startswith("3 events say exactly the same as another one") for note in report.notes)
