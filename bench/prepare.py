"""Time the preparing of a log: `python -m bench.prepare --events 20000000` prints one JSON line.

The events are synthetic basket lines in Parquet, in no order of customer or time, which is the hardest case to sort.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from bench.measure import measured
from eventlog.behaviour import behaviour
from eventlog.config import EventLogConfig
from eventlog.run import run
from store.workspace import Workspace

FILE_ROWS = 1_000_000
YEAR = 365 * 86_400


def write_events(folder: Path, events: int, seed: int) -> int:
    """Write the events as Parquet files; returns their bytes."""
    random = np.random.default_rng(seed)
    customers = max(events // 200, 1)
    words = {"department": 30, "product_category": 300, "brand": 3}
    for number, start in enumerate(range(0, events, FILE_ROWS)):
        n = min(FILE_ROWS, events - start)
        columns = {
            "customer_id": random.integers(1, customers + 1, n),
            "timestamp": np.datetime64("2017-01-01T00:00:00.000000") + random.integers(0, YEAR, n) * 1_000_000,
            "store_id": random.integers(1, 500, n),
            **{name: pl.Series(random.zipf(1.3, n) % size).cast(pl.String) for name, size in words.items()},
            "sales_value": np.round(random.lognormal(1, 1, n), 2),
            "quantity": random.integers(1, 5, n),
            "retail_disc": np.where(random.random(n) < 0.5, 0.0, np.round(random.random(n), 2)),
        }
        pl.DataFrame(columns).write_parquet(folder / f"events-{number:04d}.parquet")
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    """Write events into a temporary folder, prepare them, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--memory-mb", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-behaviour", action="store_true", help="leave the hand-made aggregates out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepare-") as name:
        folder = Path(name) / "source"
        folder.mkdir()
        source_bytes = write_events(folder, options.events, options.seed)
        source = {
            "name": "basket",
            "path": str(folder / "*.parquet"),
            "categorical": ["department", "product_category", "brand", "store_id"],
            "numeric": ["sales_value", "quantity", "retail_disc"],
        }
        config = EventLogConfig.model_validate({"sources": [source], "memory_mb": options.memory_mb})
        workspace = Workspace.create(Path(name) / "workspace")
        with measured() as prepare:
            log = run(config, workspace)
        with measured() as again:
            run(config, workspace)
        line = {
            "stage": "prepare", "events": log.n_events, "customers": log.n_customers, "memory_mb": options.memory_mb,
            "wall_s": round(prepare.wall_s, 2), "cpu_s": round(prepare.cpu_s, 2),
            "events_per_s": round(log.n_events / prepare.wall_s),
            "events_per_cpu_s": round(log.n_events / prepare.cpu_s),
            "peak_rss_mb": round(prepare.peak_rss_mb), "reuse_s": round(again.wall_s, 2),
            "source_mb": round(source_bytes / 2**20, 1),
            "log_mb": round(sum(path.stat().st_size for path in log.folder.iterdir()) / 2**20, 1),
        }  # fmt: skip
        if not options.no_behaviour:
            with measured() as aggregates:
                made = behaviour(log)
            line |= {
                "behaviour_s": round(aggregates.wall_s, 2), "behaviour_features": made.matrix.shape[1],
                "behaviour_events_per_s": round(log.n_events / aggregates.wall_s),
                "behaviour_peak_rss_mb": round(aggregates.peak_rss_mb),
            }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    main()
