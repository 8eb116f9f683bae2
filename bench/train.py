"""Time training: `python -m bench.train [--customers N] [--days D] [--epochs E]` prints one JSON line.

A simulated bank is prepared first, outside the clock. Events are those read in slices, each time one is read.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

import train.run
from bench.bank import options, prepared_bank
from bench.measure import measured
from store.threads import set_threads
from train.config import TrainConfig


def main() -> None:
    """Train and print what it cost."""
    parser = options(__doc__)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    threads = set_threads(given.threads)
    config = TrainConfig(epochs=given.epochs, patience=given.epochs, threads=threads, seed=given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        log, workspace = prepared_bank(given.home or Path(scratch), given.customers, given.days, given.seed)
        with measured() as cost:
            model = train.run.run(config, log, workspace)
        metrics = model.metrics
        per_slice = float(np.minimum(np.diff(log.offsets), sum(config.slice_events) / 2).mean())
    read = config.epoch_events * len(metrics)
    figures = {
        "stage": "train",
        "customers": log.n_customers,
        "events": log.n_events,
        "events_read": read,
        "mean_slice": round(per_slice, 1),
        "parameters": model.manifest.counts["parameters"],
        "width": model.width,
        "threads": threads,
        "validation_loss": metrics[-1]["validation_loss"],
        "wall_s": round(cost.wall_s, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "events_per_s": round(read / cost.wall_s),
        "events_per_cpu_s": round(read / cost.cpu_s),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
