"""Small event logs for tests of training and embedding, prepared by the real stage."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

import eventlog.run
from eventlog.config import EventLogConfig
from eventlog.sequences import EventLog
from store.workspace import Workspace
from train.config import TrainConfig

TINY = {
    "width": 32,
    "hidden": 16,
    "event_width": 16,
    "slices": 2,
    "slice_events": [4, 20],
    "batch_customers": 32,
    "epochs": 2,
    "epoch_events": 6000,
    "head_customers": 500,
    "threads": 1,
    "pools": {"values": 8, "bins": 4, "crossed_values": 4, "crossed_fields": 10},
}


def tiny(**changes: object) -> TrainConfig:
    """A quick training; real, only poor."""
    return TrainConfig.model_validate(TINY | changes)


def events(customers: int = 120, seed: int = 0) -> pl.DataFrame:
    """Events of two kinds of customers: even ids prefer first values and small amounts, odd ids last and large."""
    rng = np.random.default_rng(seed)
    lengths = np.maximum(rng.geometric(1 / 25, customers), 1)
    lengths[0], lengths[1] = 1, 300
    owner = np.repeat(np.arange(customers), lengths)
    odd = owner % 2
    count = len(owner)
    kind = (rng.zipf(1.7, count) - 1) % 9
    kind = np.where(odd, 8 - kind, kind)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    seconds = rng.integers(0, 90 * 86400, count)
    return (
        pl.DataFrame(
            {
                "customer_id": owner,
                "timestamp": [start + timedelta(seconds=int(s)) for s in seconds],
                "kind": [None if c == 5 else f"kind-{c}" for c in kind],
                "noise": rng.integers(0, 6, count).astype(str),
                "amount": np.where(kind == 7, np.nan, np.round(rng.lognormal(2 + odd, 1, count), 2)),
            }
        )
        .with_columns(pl.col("amount").fill_nan(None))
        .sort("timestamp")
    )


def prepared(frame: pl.DataFrame, root: Path) -> tuple[EventLog, Workspace]:
    """The log that the event stage makes of a frame, and the workspace that holds it."""
    root.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(root / "events.parquet")
    source = {
        "name": "shop",
        "path": str(root / "events.parquet"),
        "customer": "customer_id",
        "time": "timestamp",
        "categorical": ["kind", "noise"],
        "numeric": ["amount"],
    }
    config = EventLogConfig.model_validate({"sources": [source]}, context={"folder": root})
    workspace = Workspace.create(root / "workspace")
    return eventlog.run.run(config, workspace), workspace
