"""What does a night cost? `python -m bench.refresh [--customers N] [--days D] [--changed SHARE]` prints one JSON line.

A simulated bank is prepared and a model trained for one short epoch, outside the clock. Some customers then lose their
latest events (and some of these a late one in the middle of their history); embeddings of that log are refreshed to the
whole log, beside embedding everybody again. `cost_ratio` is the second over the first in CPU seconds
(the median of REPEATS refreshes: a virtual machine gives out its memory slowly the first time), `largest_difference`
between the two results.
"""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import embed.refresh
import embed.run
import train.run
from bench.bank import options, prepared_bank
from bench.measure import Cost, measured
from embed.config import EmbedConfig
from eventlog.sequences import EventLog
from store.threads import set_threads
from train.config import TrainConfig

LATEST = 5
"""Events that a changed customer does not have yet."""
REPEATS = 3
LATE = 0.1
"""Share of the changed customers for whom one of them is a late one."""


def main() -> None:
    """Embed, take away, refresh, compare, print."""
    parser = options(__doc__)
    parser.add_argument("--changed", type=float, default=0.03)
    parser.add_argument("--no-compare", action="store_true", help="take the first embedding's cost; for large banks")
    given = parser.parse_args()
    set_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        log, workspace = prepared_bank(home, given.customers, given.days, given.seed)
        model = train.run.run(TrainConfig(epochs=1, epoch_events=50_000), log, workspace)
        before, changed = without_latest(log, given.changed, given.seed)
        config = EmbedConfig(threads=1)
        with tempfile.TemporaryDirectory(dir=home) as place:
            with measured() as whole:
                held = embed.run.run(config, model, before, Path(place) / "before")
            refreshings = []
            for _ in range(REPEATS):
                shutil.rmtree(Path(place) / "refreshed", ignore_errors=True)
                with measured() as cost:
                    new = embed.refresh.run(config, model, log, held, Path(place) / "refreshed")
                refreshings.append(cost)
            refreshing = sorted(refreshings, key=lambda cost: cost.cpu_s)[REPEATS // 2]
            difference = None
            if not given.no_compare:
                with measured() as whole:
                    everyone = embed.run.run(config, model, log, Path(place) / "whole")
                difference = float(np.abs(new.vectors - everyone.vectors).max())
    figures = {
        "stage": "refresh",
        "customers": log.n_customers,
        "events": log.n_events,
        "changed": changed,
        **new.manifest.figures,
        "refresh": told(refreshing),
        "refreshes_cpu_s": [round(cost.cpu_s, 2) for cost in refreshings],
        "whole": told(whole),
        "cost_ratio": round(whole.cpu_s / refreshing.cpu_s, 1),
        "largest_difference": difference,
        "peak_rss_mb": round(max(whole.peak_rss_mb, refreshing.peak_rss_mb), 1),
    }
    print(json.dumps(figures))


def told(cost: Cost) -> dict[str, float]:
    """Wall and CPU seconds."""
    return {"wall_s": round(cost.wall_s, 2), "cpu_s": round(cost.cpu_s, 2)}


def without_latest(log: EventLog, share: float, seed: int) -> tuple[EventLog, int]:
    """The log as it was before LATEST events of a share of its customers, and how many customers these are.

    Instead of the first of these, some lack an event in the middle of their history.
    """
    rng = np.random.default_rng([seed, 21])
    count = np.diff(log.offsets)
    able = np.flatnonzero(count > 3 * LATEST)
    chosen = rng.choice(able, min(int(share * log.n_customers), len(able)), replace=False)
    gone = np.zeros(log.n_events, bool)
    for back in range(1, LATEST + 1):
        gone[log.offsets[chosen + 1] - back] = True
    late = chosen[: int(LATE * len(chosen))]
    gone[log.offsets[late + 1] - LATEST] = False
    gone[(log.offsets[late] + log.offsets[late + 1]) // 2] = True
    kept = np.flatnonzero(~gone)
    lost = np.zeros(log.n_customers, np.int64)
    lost[chosen] = LATEST
    offsets = np.concatenate([[0], np.cumsum(count - lost)])
    arrays = {"codes": np.asarray(log.codes[kept]), "values": log.values[kept], "time": log.time[kept]}
    return replace(log, key=f"{log.key}-before", offsets=offsets, **arrays), len(chosen)


if __name__ == "__main__":
    main()
