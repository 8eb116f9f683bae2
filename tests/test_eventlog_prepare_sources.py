"""Any kind of source gives the same log."""

import gzip
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_eventlog_prepare import BASKET, config_of, contents, events, prepare

from eventlog.config import EventLogConfig


def write_csv(frame: pl.DataFrame, path: Path) -> dict[str, Any]:
    frame.write_csv(path.with_suffix(".csv"))
    return {"path": str(path.with_suffix(".csv"))}


def write_gzip(frame: pl.DataFrame, path: Path) -> dict[str, Any]:
    place = path.with_suffix(".csv.gz")
    place.write_bytes(gzip.compress(frame.write_csv(separator=";").encode()))
    return {"path": str(place), "delimiter": ";"}


def write_tsv(frame: pl.DataFrame, path: Path) -> dict[str, Any]:
    frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")).write_csv(
        path.with_suffix(".tsv"), separator="\t"
    )
    return {"path": str(path.with_suffix(".tsv"))}


def write_epoch(frame: pl.DataFrame, path: Path) -> dict[str, Any]:
    frame.with_columns(pl.col("time").dt.epoch("ms")).write_parquet(path.with_suffix(".parquet"))
    return {"path": str(path.with_suffix(".parquet")), "time_unit": "ms"}


def write_zoned(frame: pl.DataFrame, path: Path) -> dict[str, Any]:
    zoned = frame.with_columns(pl.col("time").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
    zoned.with_columns(pl.col("shop").cast(pl.Categorical)).write_parquet(
        path.with_suffix(".parquet"), row_group_size=50
    )
    return {"path": str(path.with_suffix(".parquet"))}


def write_sqlite(frame: pl.DataFrame, path: Path) -> dict[str, Any]:
    with sqlite3.connect(path.with_suffix(".db")) as connection:
        connection.execute("create table e (customer integer, time text, shop text, amount real)")
        rows = frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")).rows()
        connection.executemany("insert into e values (?, ?, ?, ?)", rows)
    connection.close()
    return {"query": "select * from e order by rowid", "url": f"sqlite:///{path.with_suffix('.db')}"}


@pytest.mark.parametrize("write", [write_csv, write_gzip, write_tsv, write_epoch, write_zoned, write_sqlite])
def test_the_same_events_from_any_kind_of_source_give_the_same_log(
    tmp_path: Path, write: Callable[[pl.DataFrame, Path], dict[str, Any]]
) -> None:
    frame = events()
    frame.write_parquet(tmp_path / "plain.parquet")
    plain = prepare(tmp_path / "plain", config_of(tmp_path / "plain.parquet"))
    source = {"name": "basket", **BASKET, **write(frame, tmp_path / "other")}
    other = prepare(tmp_path / "other", EventLogConfig.model_validate({"sources": [source]}))
    assert contents(other) == contents(plain)
