"""Does the stability of a segment predict truth? `python -m bench.segments_truth --yardstick DIR`.

Truth: worlds with known groups, of rising hardness. No segment is held back (min_stability 0), and each one's
stability stands beside its best Jaccard with a true group. Prints a line per world, then (of each level, and of all)
the correlations and how true the segments of each band of stability are.

Without --yardstick: populations without any group, with the default settings; a line each. There must be one segment or
none, and a sentence that says so.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from bench.worlds import GROUPLESS, world_of
from cluster.config import SegmentsConfig
from cluster.fit import Fit, fit
from cluster.stability import best_jaccard
from store.threads import set_threads

HARD = (1.0, 1.3, 1.6, 1.9, 2.2)
BANDS = (("below .6", 0.0), (".6 to .75", 0.6), (".75 to .85", 0.75), ("above .85", 0.85))
FOUND, WELL = 0.5, 0.75
"""A segment whose best Jaccard with a true group is at least this is that group, and is it well."""


def main() -> None:
    """Read the options, print the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yardstick", type=Path, help="folder with worlds.py; without it, populations without groups")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--hard", type=float, nargs="+", default=list(HARD))
    parser.add_argument("--stability-runs", type=int, default=SegmentsConfig().stability_runs)
    given = parser.parse_args()
    set_threads(1)
    lines = truth(given) if given.yardstick else groupless(given)
    for line in lines:
        print(json.dumps(line), flush=True)


def groupless(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is found where there is nothing to find."""
    for name, make in GROUPLESS.items():
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            vectors = make(given.customers, np.random.default_rng([seed, 31]))
            found = fit(vectors, SegmentsConfig(stability_runs=given.stability_runs))
            yield {
                "stage": "groupless", "population": name, "customers": given.customers, "seed": seed,
                "segments": len(found.stability), "right": len(found.stability) < 2 and bool(found.message),
                "stability": [round(s, 3) for s in found.stability],
                "shares": [round(float((found.labels == s).mean()), 4) for s in range(len(found.stability))],
                "message": found.message,
            }  # fmt: skip


def truth(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Stability beside truth, per world and over all."""
    seen: list[tuple[float, float]] = []
    for hard in given.hard:
        of_level: list[tuple[float, float]] = []
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            world = world_of(given.yardstick, given.customers, seed, hard)
            found = fit(world.X, SegmentsConfig(min_stability=0, stability_runs=given.stability_runs))
            pairs = beside(found, world.y)
            of_level += pairs
            yield {
                "stage": "segments_truth", "customers": given.customers, "hard": hard, "seed": seed,
                "segments": len(pairs), "stability": [round(s, 3) for s, _ in pairs],
                "jaccard": [round(j, 3) for _, j in pairs],
            }  # fmt: skip
        seen += of_level
        yield {"stage": "segments_truth", "hard": hard, "worlds": given.seeds, **summary(of_level)}
    yield {"stage": "segments_truth", "worlds": len(given.hard) * given.seeds, **summary(seen)}


def beside(found: Fit, true: np.ndarray) -> list[tuple[float, float]]:
    """Of every segment: its stability, and its best Jaccard with a true group of `true` int [n], -1 for background."""
    return [
        (stability, best_jaccard(found.labels == segment, true.astype(np.int32)))
        for segment, stability in enumerate(found.stability)
    ]


def summary(seen: list[tuple[float, float]]) -> dict[str, Any]:
    """Correlations over (stability, Jaccard) of all segments, and how true the segments of each band are."""
    stability, jaccard = (np.array(column) for column in zip(*seen, strict=True))
    bands: dict[str, dict[str, float]] = {}
    for at, (name, low) in enumerate(BANDS):
        high = BANDS[at + 1][1] if at + 1 < len(BANDS) else np.inf
        of_band = jaccard[(stability >= low) & (stability < high)]
        bands[name] = {"segments": len(of_band)}
        if len(of_band):
            bands[name] |= {
                "mean": round(float(of_band.mean()), 3), "median": round(float(np.median(of_band)), 3),
                "true": round(float((of_band >= FOUND).mean()), 3), "well": round(float((of_band >= WELL).mean()), 3),
            }  # fmt: skip
    return {
        "segments": len(seen), "spearman": round(float(spearmanr(stability, jaccard).statistic), 3),
        "pearson": round(float(pearsonr(stability, jaccard).statistic), 3), "bands": bands,
    }  # fmt: skip


if __name__ == "__main__":
    main()
