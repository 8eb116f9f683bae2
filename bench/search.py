"""Time building and searching the index: `python -m bench.search --customers 1000000 --width 256` prints one JSON line.

Synthetic unit vectors of 200 overlapping groups that differ in 16 dimensions; real queries (customers of the
population, themselves left out), one at a time and in one batch; recall against exact search.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.measure import measured
from bench.vectors import embeddings
from index.config import IndexConfig
from index.run import run
from index.search import rank, scan


def main() -> None:
    """Build, search, compare with exact search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-search-") as folder:
        given = embeddings(Path(folder) / "embeddings", options.customers, options.width, options.seed)
        with measured() as build:
            index = run(IndexConfig(seed=options.seed), given, Path(folder) / "index")
        size = sum(path.stat().st_size for path in (Path(folder) / "index").iterdir())
        rows = np.random.default_rng(options.seed + 1).choice(options.customers, options.queries, replace=False)
        seconds = []
        for row in rows:
            start = time.perf_counter()
            index.similar(np.array([row]), options.k)
            seconds.append(time.perf_counter() - start)
        with measured() as batch:
            found, _ = index.similar(rows, options.k)
        with measured() as brute:
            queries = np.ascontiguousarray(given.vectors[rows])
            truth, _ = rank(given.vectors, queries, scan(given.vectors, queries, options.k + 1), options.k, rows)
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
    print(json.dumps({
        "stage": "search", "customers": options.customers, "width": options.width, "k": options.k,
        "method": index.manifest.figures["method"], "nprobe": index.nprobe,
        "build_s": round(build.wall_s, 2), "customers_per_s": round(options.customers / build.wall_s),
        "recall": round(hits / truth.size, 4), "recall_in_manifest": index.manifest.figures["recall"],
        "p50_ms": round(1000 * float(np.quantile(seconds, 0.5)), 3),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 3),
        "batch_queries_per_s": round(len(rows) / batch.wall_s), "exact_queries_per_s": round(len(rows) / brute.wall_s),
        "index_mb": round(size / 2**20, 1), "peak_rss_mb": round(brute.peak_rss_mb, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
