"""Building the inverted file: cells learnt on a sample, vectors added in pieces, nprobe tuned on real queries."""

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from configs.progress import Advance
from index.config import IndexConfig
from index.search import SPARE, Floats, Rows, probing, rank, scan

PIECE = 1 << 16
"""Vectors added at once, so that memory stays bounded by the codes."""
UPDATE_QUERIES, FEWEST_QUERIES = 4, 64
"""After an update one in so many of the queries asks, and at least so many."""


def build_inverted(vectors: Floats, config: IndexConfig, advance: Advance) -> Any:
    """An `IVF,SQ8` index over `vectors` [n, d] by inner product; `advance` counts vectors added.

    The same vectors, seed and number of threads give the same bytes.
    """
    n, width = vectors.shape
    lists = cells(n, config)
    inverted: Any = faiss.index_factory(width, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    inverted.cp.seed = config.seed + 1
    inverted.cp.max_points_per_centroid = config.training_rows_per_list + 1
    sample = drawn(n, min(n, lists * config.training_rows_per_list), config.seed)
    inverted.train(np.ascontiguousarray(vectors[sample]))
    for start in range(0, n, PIECE):
        piece = np.ascontiguousarray(vectors[start : start + PIECE])
        inverted.add(piece)
        advance(len(piece))
    return inverted


def cells(n: int, config: IndexConfig) -> int:
    """How many cells n customers are given."""
    return min(config.lists or max(1, round(2 * n**0.5)), max(1, n // config.training_rows_per_list))


def tune(inverted: Any, vectors: Floats, config: IndexConfig, updates: int = 0) -> dict[str, Any]:
    """The least nprobe that reaches the wanted recall, as figures for the manifest.

    Half of the queries (customers of the population, themselves left out) tunes; the recall reported is that of the
    other half, which had no say, and nprobe grows until that one is reached too. Other customers ask after each of the
    index's `updates`.
    """
    n = len(vectors)
    k = min(config.neighbours, n - 1)
    # an update is a small change of what was measured in full: fewer queries tell whether it went wrong
    count = (
        config.queries if not updates else max(config.queries // UPDATE_QUERIES, min(config.queries, FEWEST_QUERIES))
    )
    queries = drawn(n, min(count, n), config.seed + 1 + updates)
    queries = np.random.default_rng(config.seed).permutation(queries)
    halves = [_Truth(inverted, vectors, half, k) for half in np.array_split(queries, 2) if len(half)]
    low, high = 0, 1
    while high < inverted.nlist and halves[0].recall(high) < config.recall:
        low, high = high, min(2 * high, inverted.nlist)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if halves[0].recall(middle) >= config.recall else (middle, high)
    while high < inverted.nlist and halves[-1].recall(high) < config.recall:
        high = min(inverted.nlist, high + max(1, high // 8))
    return {
        "method": f"IVF{inverted.nlist},SQ8",
        "lists": int(inverted.nlist),
        "nprobe": int(high),
        "visited": visited(inverted, halves[-1].queries, high),
        "recall": round(halves[-1].recall(high), 4),
        "recall_queries": len(halves[-1].queries),
    }


def visited(inverted: Any, queries: Floats, nprobe: int) -> int:
    """Vectors that a search reads on the mean, which is what it costs."""
    sizes = np.array([inverted.invlists.list_size(cell) for cell in range(inverted.nlist)])
    _, probed = inverted.quantizer.search(queries, nprobe)
    return round(float(sizes[probed].sum(axis=1).mean()))


class _Truth:
    """Queries with their true neighbours."""

    def __init__(self, inverted: Any, vectors: Floats, rows: Rows, k: int) -> None:
        self.inverted, self.vectors, self.rows, self.k = inverted, vectors, rows, k
        self.queries = np.ascontiguousarray(vectors[rows])
        self.truth, _ = rank(vectors, self.queries, scan(vectors, self.queries, k + 1), k, rows)

    def recall(self, nprobe: int) -> float:
        """Share of the true k neighbours found when `nprobe` cells are visited."""
        candidates = min(int((self.k + 1) * SPARE) + 1, len(self.vectors))
        _, found = self.inverted.search(self.queries, candidates, params=probing(nprobe))
        answer, _ = rank(self.vectors, self.queries, found, self.k, self.rows)
        hits = [len(np.intersect1d(a[a >= 0], t)) for a, t in zip(answer, self.truth, strict=True)]
        return float(sum(hits)) / self.truth.size


def drawn(n: int, count: int, seed: int) -> Rows:
    """`count` of n rows, drawn without replacement, ascending (a memory map is read in order)."""
    picked: npt.NDArray[np.int64] = np.random.default_rng([seed, n]).choice(n, count, replace=False)
    return np.sort(picked)
