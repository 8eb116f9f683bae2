"""What does a night cost? `python -m bench.night --customers 1000000 --days 14 --share 0.03` prints one JSON line.

A simulated bank of so many days is taken through `kinfolk run` (a model of one short epoch; what it costs is told
apart), which embeds everybody and finds index and segments for the first time. Then nights: each takes one more day of
the bank, of which only the events of a share of the customers arrive. Nights and run are processes of their own, so
that peak memory is theirs alone. `ratio` is the wall time of everything but the training in the run over that of the
night. With `--home`, bank and workspace are kept, and further nights go on from there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from embed.customers import mixed
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate

START = date(2025, 1, 1)
APART = ("total", "peak_mb", "peak_mapped_mb")
SHORT = """\
train:
  epochs: 1
  epoch_events: 50_000
  threads: {threads}
embed:
  threads: {threads}
segments:
  threads: {threads}
night:
  keep: 2
  gates:
    volume: 0
    field_drift: 1000
    vector_drift: 2
    moved: 1
"""
"""A short training, and gates that measure and let everything pass: what is timed is a whole night."""


def main() -> None:
    """Simulate, run, have nights, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--share", type=float, default=0.03, help="share of the customers whose events arrive")
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shadow-every", type=int, default=1, help="nights between two looks for new segments")
    parser.add_argument("--home", type=Path, help="keep bank and workspace here, and go on from them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-night-") as scratch:
        print(json.dumps(measured(given.home or Path(scratch), given)))


def measured(home: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Figures of a run and of nights after it."""
    bank, root = home / "bank", home / "workspace"
    first = home / "run.json"
    if not first.exists():
        simulate(SimulateConfig.checked(customers=given.customers, days=given.days, seed=given.seed), bank)
        first.write_text(json.dumps(kinfolk(given, "run", recipe(bank, given), "--workspace", root)))
    recipe(bank, given)
    whole = json.loads(first.read_text())
    nights = []
    for _ in range(given.nights):
        day = arrive(bank, home / "arrived", given)
        nights.append(kinfolk(given, "nightly", bank / "bench.yaml", "--as-of", str(day), "--workspace", root))
    seconds = whole["seconds"]
    everything = sum(took for stage, took in seconds.items() if stage != "train")
    night = median(report["timings"]["total"] for report in nights)
    typical = min(nights, key=lambda report: abs(report["timings"]["total"] - night))
    return {
        "stage": "night",
        "customers": typical["customers"]["now"],
        "events": typical["events"]["now"],
        "new_events": typical["events"]["new"],
        "changed": typical["customers"]["changed"],
        "statuses": [report["status"] for report in nights],
        "night_s": [report["timings"]["total"] for report in nights],
        "process_s": [report["process_s"] for report in nights],
        "stages_s": {name: took for name, took in typical["timings"].items() if name not in APART},
        "peak_mb": max(report["timings"]["peak_mb"] for report in nights),
        "peak_mapped_mb": max(report["timings"]["peak_mapped_mb"] for report in nights),
        "whole_s": round(everything, 1),
        "whole_stages_s": seconds,
        "ratio": round(everything / night, 1),
    }


def recipe(bank: Path, given: argparse.Namespace) -> Path:
    """The bank's recipe with a short training."""
    path = bank / "bench.yaml"
    sections = SHORT.format(threads=given.threads).replace(
        "segments:\n", f"segments:\n  shadow_every: {given.shadow_every}\n"
    )
    path.write_text((bank / "recipe.yaml").read_text(encoding="utf-8") + sections, encoding="utf-8")
    return path


def arrive(bank: Path, days: Path, given: argparse.Namespace) -> date:
    """Let the bank's next day arrive, of the share of its customers that lots draw for that day; returns the day."""
    there = sorted({path.name.removeprefix("date=") for path in bank.glob("*/date=*")})
    day = date.fromisoformat(there[-1]) + timedelta(days=1)
    number = (day - START).days
    if days.exists():
        shutil.rmtree(days)
    simulate(SimulateConfig.checked(customers=given.customers, days=number + 1, seed=given.seed, day=number), days)
    for path in sorted(days.glob(f"*/date={day}/part.parquet")):
        events = pl.read_parquet(path)
        lots = mixed(events["customer_id"].to_numpy().astype(np.uint64), number)
        place = bank / path.relative_to(days)
        place.parent.mkdir(parents=True)
        events.filter(pl.Series(lots < np.uint64(given.share * 2**64))).write_parquet(place)
    return day


def kinfolk(given: argparse.Namespace, *words: str | Path) -> dict[str, Any]:
    """What a command says of itself, and the wall seconds of its process as `process_s`."""
    environment = os.environ | {"KINFOLK_THREADS": str(given.threads)}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", *map(str, words), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"process_s": round(time.perf_counter() - begun, 1)}


if __name__ == "__main__":
    main()
