"""Are thirty nights one? `python -m bench.night_equal [--customers 3000 --days 60 --nights 30]` prints one JSON line.

A simulated bank is taken through `kinfolk run` for its first days. The days after them are taken once by a night each,
and once, from the same snapshot, by one night for all. Told are the largest difference between the two's vectors, and
to embedding everybody anew; whether counts are equal; and the share of customers who are in the same segment.
"""

import argparse
import json
import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import embed.run
from bench.night import kinfolk
from bench.night_kill import SECTIONS
from embed.config import EmbedConfig
from eventlog.sequences import EventLog
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from serve.snapshot import Snapshot
from store.workspace import Workspace
from train.artifact import Model

START = date(2025, 1, 1)


def main() -> None:
    """Simulate, run, have nights twice over, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shadow-layouts", type=int, default=1, help="layouts of a look, the best of which is kept")
    parser.add_argument("--shadow-every", type=int, default=7, help="nights between two looks for new segments")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-night-equal-") as scratch:
        print(json.dumps(compared(Path(scratch), given)))


def compared(home: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Figures of both ways."""
    days = given.days + given.nights
    simulate(SimulateConfig.checked(customers=given.customers, days=days, seed=given.seed), home / "bank")
    recipe = home / "bank" / "bench.yaml"
    sections = f"{SECTIONS}segments:\n  shadow_every: {given.shadow_every}\n  shadow_layouts: {given.shadow_layouts}\n"
    recipe.write_text((home / "bank" / "recipe.yaml").read_text(encoding="utf-8") + sections, encoding="utf-8")
    first = START + timedelta(days=given.days)
    last = first + timedelta(days=given.nights - 1)
    many, one = home / "many", home / "one"
    kinfolk(given, "run", recipe, "--as-of", str(first - timedelta(days=1)), "--workspace", many)
    shutil.copytree(many, one)
    nights = kinfolk(given, "nightly", recipe, "--from", str(first), "--to", str(last), "--workspace", many)["nights"]
    kinfolk(given, "nightly", recipe, "--as-of", str(last), "--workspace", one)
    by_night, at_once = (Snapshot.load(Workspace.open(root)) for root in (many, one))
    same = bool((by_night.embeddings.customers == at_once.embeddings.customers).all())
    return {
        "stage": "night_equal",
        "customers": by_night.n_customers,
        "events": by_night.manifest.counts["events"],
        "nights": len(nights),
        "shadow_every": given.shadow_every,
        "shadow_layouts": given.shadow_layouts,
        "statuses": sorted({night["status"] for night in nights}),
        "same_customers": same,
        "same_counts": by_night.manifest.counts == at_once.manifest.counts,
        "largest_difference": difference(by_night.embeddings.vectors, at_once.embeddings.vectors),
        "largest_difference_to_anew": difference(by_night.embeddings.vectors, anew(many, home / "anew")),
        "same_behaviour": bool(np.array_equal(by_night.behaviour.matrix, at_once.behaviour.matrix)),
        "same_segment": round(float(np.mean(by_night.segments.labels == at_once.segments.labels)), 5),
        "gates": {gate["name"]: most(nights, gate["name"]) for gate in nights[0]["gates"]},
        "segments": [len(snapshot.segments.profiles) for snapshot in (by_night, at_once)],
        "happened": [event for night in nights for event in night["happened"]],
    }


def most(nights: list[dict[str, Any]], name: str) -> list[float]:
    """The least and the largest figure of a gate over the nights."""
    figures = [gate["figure"] for night in nights for gate in night["gates"] if gate["name"] == name]
    there = [figure for figure in figures if figure is not None]
    return [round(min(there), 4), round(max(there), 4)] if there else []


def anew(root: Path, folder: Path) -> np.ndarray:
    """Vectors of everybody, embedded from the start."""
    workspace = Workspace.open(root)
    parents = workspace.manifest().parents
    log = EventLog.load(workspace.eventlogs / parents["eventlog"])
    model = Model.load(workspace.models / parents["model"])
    return np.asarray(embed.run.run(EmbedConfig(), model, log, folder).vectors)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest between two matrices."""
    return float(np.abs(one - other).max())


if __name__ == "__main__":
    main()
