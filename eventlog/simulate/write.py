"""Events as date-partitioned Parquet whose bytes depend on nothing but the events, and the recipe that reads them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from eventlog.sequences import DAY
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.days import today
from eventlog.simulate.life import Population
from eventlog.simulate.sources import SOURCES, Coded, Events, events_of


def partition(out: Path, source: str, config: SimulateConfig, day: int) -> Path:
    """Where a day's events of one source go."""
    return out / source / f"date={config.date_of(day).isoformat()}" / "part.parquet"


def write_day(config: SimulateConfig, people: Population, day: int, out: Path) -> dict[str, int]:
    """Write every source's file of one day, each appearing whole; returns source -> events."""
    state = today(config, people, day)
    counts = {}
    for number, source in enumerate(SOURCES):
        events = events_of(state, source, noise=config.noise)
        table = _table(events, config, people, day, number)
        write_table(table, partition(out, source, config, day))
        counts[source] = table.num_rows
    return counts


def id_column(config: SimulateConfig, people: Population, rows: NDArray[np.int64]) -> pa.Array:
    """The ids of customers as the events carry them: int64 or string."""
    return people.text_ids.take(pa.array(rows)) if config.id_type == "string" else pa.array(people.traits.id[rows])


def _table(events: Events, config: SimulateConfig, people: Population, day: int, number: int) -> pa.Table:
    """A day's events by time; ids of events are unique over all days and sources and rise with time in a file."""
    start = (config.date_of(day) - type(config.start)(1970, 1, 1)).days * DAY
    time = np.minimum((events.seconds * 1e6).astype(np.int64), DAY - 1)
    order = np.argsort(time, kind="stable")
    k, who = order.size, events.customer[order]
    columns: dict[str, Any] = {
        "event_id": pa.array((np.int64(day) << 36) | (np.int64(number) << 32) | np.arange(k, dtype=np.int64)),
        "customer_id": id_column(config, people, who),
        "timestamp": pa.array(start + time[order]).cast(pa.timestamp("us", tz="UTC")),
    }
    for name, column in events.columns.items():
        if isinstance(column, Coded):
            codes = pa.array(column.codes[order].astype(np.int16))
            columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(column.names))
        else:
            columns[name] = pa.array(column[order])
    return pa.table(columns)


def write_table(table: pa.Table, path: Path) -> None:
    """Write one Parquet file in one step: beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)]
    try:
        _write(table, beside, texts)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _write(table: pa.Table, path: Path, texts: list[str]) -> None:
    # without the Arrow schema, dictionary columns read back as plain strings everywhere
    pq.write_table(
        table, path, compression="zstd", compression_level=1, use_dictionary=texts, store_schema=False, version="2.6"
    )


def recipe(config: SimulateConfig, people: Population) -> str:
    """YAML text of a recipe over every source, paths relative to the folder that it lies in. Truth is not in it."""
    state = today(config, people, 0)
    sources = []
    for source in SOURCES:
        columns = events_of(state, source, noise=config.noise).columns
        sources.append({
            "name": source,
            "path": f"{source}/date=*/part.parquet",
            "customer": "customer_id",
            "time": "timestamp",
            "event_id": "event_id",
            "categorical": [name for name, column in columns.items() if isinstance(column, Coded)],
            "numeric": [name for name, column in columns.items() if not isinstance(column, Coded)],
        })  # fmt: skip
    head = "# A simulated bank; run it with: kinfolk run recipe.yaml --workspace workspace\n"
    return head + yaml.safe_dump({"sources": sources}, sort_keys=False, default_flow_style=None, width=120)
