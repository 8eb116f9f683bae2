"""Deliveries of event files night by night, for tests of the log."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

import eventlog.night
from eventlog.config import EventLogConfig
from eventlog.night import Grown, SourceGrowth
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from store.workspace import Workspace

NOW = datetime(2020, 6, 1, tzinfo=UTC)
FIRST = datetime(2020, 1, 1)
ARRAYS = ("offsets.npy", "codes.npy", "values.npy", "time.npy", "customers.parquet", "schema.json")
FIELDS = {"customer": "customer", "time": "time", "categorical": ["shop"], "numeric": ["amount"]}
TYPES: dict[str, Any] = {
    "customer": pl.String,
    "time": pl.Datetime("us"),
    "shop": pl.String,
    "amount": pl.Float64,
    "id": pl.Int64,
}


def midnight(night: int) -> datetime:
    """The end of the day of a night; night 0 is that of the first day."""
    return (FIRST + timedelta(days=night + 1)).replace(tzinfo=UTC)


def config_of(folder: Path, sources: int = 1, ids: bool = False, **more: Any) -> EventLogConfig:
    """A recipe of some sources that are delivered below `folder`."""
    event_id = {"event_id": "id"} if ids else {}
    made = [
        {"name": f"s{i}", "path": str(folder / f"s{i}" / "*.parquet"), **FIELDS, **event_id} for i in range(sources)
    ]
    return EventLogConfig.model_validate({"sources": made, **more})


def deliver(folder: Path, night: int, frames: dict[str, pl.DataFrame]) -> None:
    """Write the files of a night, one a source."""
    for source, events in frames.items():
        (folder / source).mkdir(parents=True, exist_ok=True)
        events.write_parquet(folder / source / f"{night:04d}.parquet")


def frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Events from (customer, time, shop, amount, id)."""
    return pl.DataFrame(rows, schema=TYPES, orient="row")


def base_rows(customers: int = 8) -> list[tuple[Any, ...]]:
    """Two events each, on the first day; ids from 0 on."""
    return [(str(i // 2), day(0.1 + 0.001 * i), "a", 1.0, i) for i in range(2 * customers)]


def first_log(folder: Path, config: EventLogConfig, workspace: Workspace) -> EventLog:
    """The log of the first day, with the events of `base_rows`."""
    deliver(folder, 0, {"s0": frame(base_rows())})
    return prepare(config.model_copy(update={"until": midnight(0)}), workspace, now=NOW)


def contents(log: EventLog) -> dict[str, bytes]:
    """The bytes that follow from a log's events alone."""
    return {name: (log.folder / name).read_bytes() for name in ARRAYS}


def rows_of(log: EventLog) -> pl.DataFrame:
    """A log's events in their order, values instead of codes."""
    columns: dict[str, Any] = {
        "customer": log.customers.gather(np.repeat(np.arange(log.n_customers), np.diff(log.offsets))),
        "time": pl.Series(np.asarray(log.time)).cast(pl.Datetime("us")),
    }
    codes = np.asarray(log.codes[:])
    for i, field in enumerate(log.schema.categorical):
        columns[field.name] = pl.Series([None, "(other)", *field.values]).gather(codes[:, i].astype(np.uint32))
    for i, name in enumerate(log.schema.numeric):
        columns[name] = pl.Series(np.asarray(log.values[:, i])).fill_nan(None)
    return pl.DataFrame(columns)


@st.composite
def event_frames(draw: st.DrawFn, sources: int, ids: bool) -> list[dict[str, pl.DataFrame]]:
    """Deliveries of a few nights: in time, late and ahead of time; repeats where events have ids."""
    count = draw(st.integers(2, 4))
    events = draw(
        st.lists(
            st.tuples(
                st.integers(0, count - 1),  # delivered
                st.integers(0, sources - 1),
                st.sampled_from(["1", "2", "3", "10", "x"]),
                st.integers(0, 4 * count - 1),  # quarter of a day
                st.sampled_from(["a", "b", "c", "d", "", None]),
                st.sampled_from([None, 1.0, 2.5]),
            ),
            max_size=30,
        )
    )
    # something to begin with, of every source
    events = [(0, source, "5", 0, "a", 1.0) for source in range(sources)] + events
    numbered = [(*event, number) for number, event in enumerate(events)]
    if ids:
        again = draw(st.lists(st.tuples(st.sampled_from(numbered), st.integers(0, count - 1)), max_size=8))
        numbered += [(max(event[0], night), *event[1:]) for event, night in again]
    nights = []
    for night in range(count):
        made = {}
        for source in range(sources):
            rows = [
                (who, FIRST + timedelta(hours=6 * quarter), shop, amount, number)
                for delivered, of, who, quarter, shop, amount, number in numbered
                if (delivered, of) == (night, source)
            ]
            if rows:
                made[f"s{source}"] = frame(rows)
        nights.append(made)
    return nights


def day(number: float) -> datetime:
    """So many days after the beginning of the first one."""
    return FIRST + timedelta(days=number)


def night(config: EventLogConfig, before: EventLog, workspace: Workspace, number: int = 1, **more: Any) -> Grown:
    """The log after a night."""
    return eventlog.night.run(config, before, workspace, midnight(number), now=NOW, **more)


def told(**counts: int) -> SourceGrowth:
    """What came in from the source s0; what is not named is 0."""
    nothing = dict.fromkeys(
        ("files", "repeated_files", "read", "kept", "quarantined", "duplicates", "erased", "pending"), 0
    )
    return SourceGrowth("s0", **{**nothing, **counts})
