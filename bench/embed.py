"""Time embedding everyone: `python -m bench.embed [--customers N] [--days D]` prints one JSON line.

A simulated bank is prepared and a model trained for one short epoch first, outside the clock.
"""

import json
import tempfile
from pathlib import Path

import embed.run
import train.run
from bench.bank import options, prepared_bank
from bench.measure import measured
from embed.config import EmbedConfig
from store.threads import set_threads
from train.config import TrainConfig


def main() -> None:
    """Embed and print what it cost."""
    given = options(__doc__).parse_args()
    threads = set_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        log, workspace = prepared_bank(home, given.customers, given.days, given.seed)
        model = train.run.run(TrainConfig(epochs=1, epoch_events=50_000, threads=threads), log, workspace)
        with tempfile.TemporaryDirectory(dir=home) as place, measured() as cost:
            embeddings = embed.run.run(EmbedConfig(threads=threads), model, log, Path(place) / "embeddings")
            size = sum(int(file["size"]) for file in embeddings.manifest.files.values())
    figures = {
        "stage": "embed",
        "customers": log.n_customers,
        "events": log.n_events,
        "width": model.width,
        "state_width": embeddings.manifest.counts["state_width"],
        "threads": threads,
        "wall_s": round(cost.wall_s, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "events_per_s": round(log.n_events / cost.wall_s),
        "events_per_cpu_s": round(log.n_events / cost.cpu_s),
        "customers_per_s": round(log.n_customers / cost.wall_s),
        "mb": round(size / 1e6, 1),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
