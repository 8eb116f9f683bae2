"""Time building, updating and searching the index: `python -m bench.search --customers 1000000` prints one JSON line.

Synthetic unit vectors of 200 overlapping groups that differ in 16 dimensions; real queries (customers of the
population, themselves left out), one at a time and in one batch; recall against exact search. The index is then
brought up to date with `--changed` of the customers replaced, a tenth as many gone and as many new.

With `--peers`, other libraries on the same vectors and queries follow, one JSON line each, tuned to `--recall`; with
`--peers PYTHON` they run in that interpreter's environment. `pip install -c constraints.txt -e '.[peers]'` gets
those that kinfolk does not need itself; one that is not installed is named as missing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.measure import measured
from bench.peers import PEERS
from bench.vectors import embeddings
from embed.artifact import Embeddings, Histories, create_embeddings
from index.config import IndexConfig
from index.run import run
from index.search import SearchIndex, rank, scan
from store.threads import set_threads


def main() -> None:
    """Build, search, compare with exact search, update, and ask the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--recall", type=float, default=0.98)
    parser.add_argument("--changed", type=float, default=0.03, help="share of the customers to update with; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="threads; those of the environment, or all cores, if left out")
    parser.add_argument("--peers", nargs="?", const=sys.executable, metavar="PYTHON", help="other libraries beside it")
    parser.add_argument("--only", nargs="+", choices=list(PEERS), default=list(PEERS), help="these peers alone")
    options = parser.parse_args()
    threads = set_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="bench-search-") as scratch:
        folder = Path(scratch)
        given = embeddings(folder / "embeddings", options.customers, options.width, options.seed)
        asked = np.random.default_rng(options.seed + 1).choice(options.customers, options.queries, replace=False)
        truth, told = kinfolk(given, asked, folder, options)
        print(json.dumps({**told, "threads": threads, "load": os.getloadavg()[0]}), flush=True)
        if options.peers:
            np.save(folder / "vectors.npy", given.vectors)
            np.save(folder / "asked.npy", asked)
            np.save(folder / "truth.npy", truth)
            for name in options.only:
                print(peer(name, folder, options.peers, options.recall, threads), flush=True)


def kinfolk(
    given: Embeddings, asked: np.ndarray, folder: Path, options: argparse.Namespace
) -> tuple[np.ndarray, dict[str, Any]]:
    """The true neighbours of the rows that ask, and the figures of kinfolk's own index."""
    k, config = options.k, IndexConfig(seed=options.seed, recall=options.recall)
    with measured() as build:
        index = run(config, given, folder / "index")
    size = sum(path.stat().st_size for path in (folder / "index").iterdir())
    seconds = []
    for row in asked:
        start = time.perf_counter()
        index.similar(np.array([row]), k)
        seconds.append(time.perf_counter() - start)
    with measured() as batch:
        found, _ = index.similar(asked, k)
    with measured() as brute:
        queries = np.ascontiguousarray(given.vectors[asked])
        truth, _ = rank(given.vectors, queries, scan(given.vectors, queries, k + 1), k, asked)
    n = options.customers
    return truth, {
        "stage": "search", "customers": n, "width": options.width, "k": k,
        "method": index.manifest.figures["method"], "nprobe": index.nprobe,
        "build_s": round(build.wall_s, 2), "build_cpu_s": round(build.cpu_s, 2),
        "customers_per_s": round(n / build.wall_s),
        "recall": round(recall(found, truth), 4), "recall_in_manifest": index.manifest.figures["recall"],
        "p50_ms": round(1000 * float(np.quantile(seconds, 0.5)), 3),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 3),
        "batch_queries_per_s": round(len(asked) / batch.wall_s),
        "exact_queries_per_s": round(len(asked) / brute.wall_s),
        "index_mb": round(size / 2**20, 1), "vectors_mb": round(given.vectors.nbytes / 2**20, 1),
        "peak_rss_mb": round(brute.peak_rss_mb, 1), **updated(index, config, folder, options),
    }  # fmt: skip


def updated(index: SearchIndex, config: IndexConfig, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of bringing the index up to date with customers who changed, left and came."""
    if index.exact or not options.changed:
        return {}
    after = changed(index.embeddings, folder / "changed", options.changed, options.seed)
    with measured() as cost:
        new = run(config, after, folder / "updated", previous=index)
    figures = new.manifest.figures
    return {
        "changed": figures.get("updated", figures.get("rebuilt")),
        "update_s": round(cost.wall_s, 2),
        "update_cpu_s": round(cost.cpu_s, 2),
        "update_recall": figures["recall"],
        "update_nprobe": [index.nprobe, new.nprobe],
        "update_visited": [index.manifest.figures["visited"], figures["visited"]],
    }


def changed(before: Embeddings, folder: Path, share: float, seed: int) -> Embeddings:
    """The embeddings of a night later; vectors of those who changed or came are of others, moved a little."""
    n, width = before.n_customers, before.width
    rng = np.random.default_rng([seed, 31])
    gone, replaced = np.split(rng.choice(n, int(1.1 * share * n), replace=False), [int(0.1 * share * n)])
    new = int(0.1 * share * n)
    kept = np.setdiff1d(np.arange(n), gone)
    ids = pl.Series(np.r_[kept, np.arange(n, n + new)])
    read = np.ones(len(ids), np.int64)
    from_rows = np.r_[kept, rng.integers(0, n, new)]
    moved = np.r_[np.isin(kept, replaced), np.ones(new, bool)]
    with create_embeddings(folder, f"{before.key}-later", ids, Histories(read, read, read), width) as draft:
        for start in range(0, len(ids), 1 << 16):
            rows = before.vectors[from_rows[start : start + (1 << 16)]]
            some = moved[start : start + (1 << 16)]
            near = rows[some] + 0.3 * width**-0.5 * rng.standard_normal((int(some.sum()), width), dtype=np.float32)
            rows[some] = near / np.linalg.norm(near, axis=1, keepdims=True)
            draft.vectors[start : start + len(rows)] = rows
    return Embeddings.load(folder, deep=False)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the true neighbours that were found."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
    return hits / truth.size


def peer(name: str, folder: Path, python: str, recall: float, threads: int) -> str:
    """The JSON line of one peer, or one that says why there is none."""
    script = Path(__file__).with_name("peers.py")
    words = [python, script, name, folder, "--recall", str(recall), "--threads", str(threads)]
    environment = {**os.environ, "LANCE_CPU_THREADS": str(threads)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        return json.dumps({"peer": name, "failed": done.stderr.strip().splitlines()[-1:]})
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
