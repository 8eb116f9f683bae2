"""The whole line on a simulated bank, stage by stage: `python -m bench.line [--customers N] [--days D] [--base small]`.

Prints one JSON line: seconds of every stage, events per second over the whole line, peak memory, sizes.
"""

import argparse
import json
import tempfile
from pathlib import Path

import bench.bank
from bench.measure import measured
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from serve.pipeline import PublishedLine, run_line
from serve.recipe import load_recipe
from store.artifact import write_atomic
from store.threads import set_threads
from store.workspace import Workspace


def bank_line(home: Path, customers: int, days: int, seed: int, base: str) -> tuple[PublishedLine, Workspace, Path]:
    """Simulate a bank at `home`/bank (or use the one there) and run the line on it; returns the truth's folder too."""
    summary = simulate(SimulateConfig.checked(customers=customers, days=days, seed=seed), home / "bank")
    recipe = home / "bank" / f"{base}.yaml"
    write_atomic(recipe, f"base: {base}\nseed: {seed}\n" + summary.recipe.read_text(encoding="utf-8"))
    workspace = Workspace.create(home / "workspace")
    return run_line(load_recipe(recipe), workspace), workspace, home / "bank" / "truth"


def options(description: str | None) -> argparse.ArgumentParser:
    """What both benchmarks of the line can be told."""
    parser = bench.bank.options(description)
    parser.set_defaults(customers=2000)
    parser.add_argument("--base", default="default", help="default, small or large")
    return parser


def main() -> None:
    """Run the line and print its figures."""
    given = options(__doc__).parse_args()
    threads = set_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        with measured() as cost:
            line, workspace, _ = bank_line(home, given.customers, given.days, given.seed, given.base)
        size = sum(int(file["size"]) for file in workspace.manifest(line.snapshot).files.values())
        total = sum(line.seconds.values())
    figures = {
        "stage": "line",
        "customers": line.log.n_customers,
        "events": line.log.n_events,
        "width": line.model.width,
        "threads": threads,
        "seconds": {stage: round(took, 2) for stage, took in line.seconds.items()},
        "wall_s": round(total, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "events_per_s": round(line.log.n_events / total),
        "snapshot_mb": round(size / 1e6, 2),
        "peak_rss_mb": round(cost.peak_rss_mb, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
