"""What does an erasure cost? `python -m bench.forget [--customers N] [--days D] [--erased K]` prints one JSON line.

A bank is simulated and a line run over it with one short epoch of training, outside the clock; then K customers are
erased from log, snapshot and all the rest, with the checks and the closing search that belong to it.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from bench.bank import options
from bench.measure import measured
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from serve.erasure_search import search
from serve.forget import forget
from serve.pipeline import run_line
from serve.recipe import load_recipe
from serve.snapshot import Snapshot
from store.erasures import Named
from store.threads import set_threads
from store.workspace import Workspace


def main() -> None:
    """Make, erase, print."""
    parser = options(__doc__)
    parser.add_argument("--erased", type=int, default=10)
    given = parser.parse_args()
    set_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        workspace = Workspace.create(home / "workspace")
        if workspace.current() is None:
            _made(home, workspace, given.customers, given.days, given.seed)
        snapshot = Snapshot.load(workspace, deep=False)
        rows = np.random.default_rng(given.seed).choice(snapshot.n_customers, given.erased, replace=False)
        ids = [snapshot.customer(int(row)) for row in np.sort(rows)]
        size = sum(path.stat().st_size for path in workspace.root.rglob("*") if path.is_file())
        with measured() as cost:
            receipt = forget(workspace, ids)
        with measured() as searching:
            search(workspace, Named(frozenset(map(str, ids))))
    figures = {
        "stage": "forget",
        "customers": snapshot.n_customers,
        "events": snapshot.manifest.counts["events"],
        "workspace_mb": round(size / 1e6, 1),
        "erased": receipt["known"],
        "artifacts": len(receipt["removed"]),
        "left": len(receipt["search"]["found"]),
        "wall_s": round(cost.wall_s, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "of_it_search_s": round(searching.wall_s, 2),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
    }
    print(json.dumps(figures))


def _made(home: Path, workspace: Workspace, customers: int, days: int, seed: int) -> None:
    """A workspace with everything that a line makes."""
    summary = simulate(SimulateConfig.checked(customers=customers, days=days, seed=seed), home / "bank")
    recipe = load_recipe(summary.recipe)
    quick = recipe.train.model_copy(update={"epochs": 1, "epoch_events": 50_000})
    run_line(recipe.model_copy(update={"train": quick}), workspace)


if __name__ == "__main__":
    main()
