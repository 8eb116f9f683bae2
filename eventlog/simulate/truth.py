"""What is true of the simulated customers, kept where no stage reads it: <out>/truth/, named in no recipe.

customers.parquet     customer_id, join_date, churn_date, declining, persona_start, persona_end, future_value
personas.parquet      customer_id, persona, from_date, until_date   one row a spell; until_date is exclusive
life_events.parquet   customer_id, date, event, from_persona, to_persona
"""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from configs.errors import NotFoundError, storage_errors
from eventlog.simulate.chance import Floats, Ints
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.life import NEVER, Population
from eventlog.simulate.personas import LIFE_EVENTS, NAMES
from eventlog.simulate.write import id_column, write_table


def write_truth(config: SimulateConfig, people: Population, future_value: Floats, out: Path) -> dict[str, int]:
    """Write the truth of a run of `config.days` days; returns counts of customers joined, churned and life events.

    `people` must reach the days of `future_value` [n]: what each customer spends by card in the 90 days after the end.
    """
    rows = np.arange(config.customers_by(config.days - 1), dtype=np.int64)
    folder = out / "truth"
    write_table(_customers(config, people, rows, future_value), folder / "customers.parquet")
    write_table(_personas(config, people, rows), folder / "personas.parquet")
    events = _life_events(config, people, rows)
    write_table(events, folder / "life_events.parquet")
    churned = int((people.life.churn[rows] < config.days).sum())
    return {"customers": rows.size, "churned": churned, "life_events": events.num_rows}


def _dates(config: SimulateConfig, days: Ints, until: int) -> Any:
    """Day numbers as dates, null from `until` on."""
    first = (config.start - date(1970, 1, 1)).days
    known = days < until
    return pa.array((first + np.where(known, days, 0)).astype(np.int32), mask=~known).cast(pa.date32())


def _names(codes: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16)), pa.array(NAMES))


def _customers(config: SimulateConfig, people: Population, rows: Ints, future_value: Floats) -> pa.Table:
    life, last = people.life, config.days - 1
    end = np.minimum(life.churn[rows] - 1, last)  # the last day with the bank
    spell = np.maximum((life.starts[rows] <= end[:, None]).sum(axis=1) - 1, 0)
    # whom the bank loses within the days of future value is known too: the label of a model of attrition
    horizon = config.days + 90
    return pa.table({
        "customer_id": id_column(config, people, rows),
        "join_date": _dates(config, life.join[rows], NEVER),
        "churn_date": _dates(config, life.churn[rows], horizon),
        "declining": pa.array((life.decline[rows] > 0) & (life.churn[rows] < horizon)),
        "persona_start": _names(life.personas[rows, 0]),
        "persona_end": _names(life.personas[rows, spell]),
        "future_value": pa.array(np.round(future_value[rows], 2)),
    })  # fmt: skip


def _personas(config: SimulateConfig, people: Population, rows: Ints) -> pa.Table:
    life = people.life
    starts = life.starts[rows]
    at, spell = np.nonzero(starts < config.days)
    after = np.concatenate([starts, np.full((rows.size, 1), NEVER)], axis=1)[at, spell + 1]
    until = np.minimum(after, life.churn[rows][at])
    return pa.table({
        "customer_id": id_column(config, people, rows[at]),
        "persona": _names(life.personas[rows][at, spell]),
        "from_date": _dates(config, starts[at, spell], NEVER),
        "until_date": _dates(config, until, config.days),
    })  # fmt: skip


def _life_events(config: SimulateConfig, people: Population, rows: Ints) -> pa.Table:
    life = people.life
    starts = life.starts[rows]
    at, spell = np.nonzero(starts[:, 1:] < config.days)
    what = life.events[rows][at, spell + 1].astype(np.int16)
    return pa.table({
        "customer_id": id_column(config, people, rows[at]),
        "date": _dates(config, starts[at, spell + 1], NEVER),
        "event": pa.DictionaryArray.from_arrays(pa.array(what), pa.array(LIFE_EVENTS)),
        "from_persona": _names(life.personas[rows][at, spell]),
        "to_persona": _names(life.personas[rows][at, spell + 1]),
    })  # fmt: skip


def personas_at(folder: Path, on: date) -> pl.DataFrame:
    """The true persona of everybody with the bank on a date: customer_id, persona, by customer_id.

    Raises NotFoundError where `folder` holds no truth.
    """
    path = folder / "personas.parquet"
    if not path.is_file():
        raise NotFoundError(f"{folder}: no truth of a simulated bank here; `kinfolk simulate` writes one to OUT/truth")
    with storage_errors(path):
        spells = pl.read_parquet(path, hive_partitioning=False)
    there = (pl.col("from_date") <= on) & (pl.col("until_date").is_null() | (pl.col("until_date") > on))
    return spells.filter(there).select("customer_id", "persona").sort("customer_id")
