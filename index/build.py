"""Building the inverted file: cells and codes learnt on a sample, vectors added in pieces, tuned on real queries.

Codes are 4 bits for every two numbers of a vector, half a byte for 8 bytes: FAISS looks their similarities up in SIMD
registers, 32 customers at a time, and the vectors themselves choose among the candidates.

Source: André, Kermarrec, Le Scouarnec, "Quicker ADC", 2019, as FAISS has it.
"""

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from configs.progress import Advance
from index.config import IndexConfig
from index.search import Floats, Rows, probing, rank, scan

PIECE = 1 << 16
"""Vectors added at once, so that memory stays bounded by the codes."""
LEAST = 16
"""Fewest customers that the 16 codes of a code book are learnt on; with fewer every search is exact."""
CODED = 16 * 39
"""Customers that the codes are learnt on at least, as FAISS asks, where there are as many."""
WIDE = 128
"""Width from which a code stands for two numbers; narrower vectors have fewer codes whose errors could cancel."""
SPARES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Candidates per neighbour that are tried, the fewest first."""
CODES_MAY_LOSE = 0.5
"""Share of the recall that may be missing which goes to the codes; the rest goes to the cells not visited."""
SPARE_QUERIES = 64
"""Queries that choose the number of candidates; each visits every cell."""
UPDATE_QUERIES, FEWEST_QUERIES = 4, 64
"""After an update one in so many of the queries asks, and at least so many."""


def build_inverted(vectors: Floats, config: IndexConfig, advance: Advance) -> Any:
    """An inverted file with 4-bit codes over `vectors` [n, d] by inner product; `advance` counts vectors added.

    The same vectors, seed and number of threads give the same bytes.
    """
    n, width = vectors.shape
    lists = cells(n, config)
    inverted: Any = faiss.index_factory(width, method(lists, width), faiss.METRIC_INNER_PRODUCT)
    inverted.cp.seed = config.seed + 1
    inverted.cp.max_points_per_centroid = config.training_rows_per_list + 1
    inverted.pq.cp.min_points_per_centroid = 1  # what few customers lose is found out by tuning, and made good
    sample = drawn(n, min(n, max(lists * config.training_rows_per_list, CODED)), config.seed)
    inverted.train(np.ascontiguousarray(vectors[sample]))
    for start in range(0, n, PIECE):
        piece = np.ascontiguousarray(vectors[start : start + PIECE])
        inverted.add(piece)
        advance(len(piece))
    return inverted


def searched_exactly(n: int, config: IndexConfig) -> bool:
    """Whether n customers need no inverted file, or are too few to learn its codes."""
    return n <= max(config.exact_up_to, LEAST - 1)


def method(lists: int, width: int) -> str:
    """FAISS's name of the index: cells, and 4-bit codes, each of two numbers of a wide vector or one of a narrow."""
    return f"IVF{lists},PQ{width // 2 if width >= WIDE and width % 2 == 0 else width}x4fs"


def cells(n: int, config: IndexConfig) -> int:
    """How many cells n customers are given."""
    return min(config.lists or max(1, round(2 * n**0.5)), max(1, n // config.training_rows_per_list))


def tune(inverted: Any, vectors: Floats, config: IndexConfig, updates: int = 0) -> dict[str, Any]:
    """The fewest candidates and the least nprobe that reach the wanted recall, as figures for the manifest.

    Candidates are enough where a search of all cells misses no more than the codes may.
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
    spare = _spare(halves[0], config)
    low, high = 0, 1
    while high < inverted.nlist and halves[0].recall(high, spare) < config.recall:
        low, high = high, min(2 * high, inverted.nlist)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if halves[0].recall(middle, spare) >= config.recall else (middle, high)
    while high < inverted.nlist and halves[-1].recall(high, spare) < config.recall:
        high = min(inverted.nlist, high + max(1, high // 8))
    return {
        "method": method(inverted.nlist, vectors.shape[1]),
        "lists": int(inverted.nlist),
        "nprobe": int(high),
        "spare": spare,
        "visited": visited(inverted, halves[-1].queries, high),
        "recall": round(halves[-1].recall(high, spare), 4),
        "recall_queries": len(halves[-1].queries),
    }


def _spare(truth: "_Truth", config: IndexConfig) -> int:
    """The fewest candidates per neighbour with which the codes lose no more than they may."""
    wanted = 1 - CODES_MAY_LOSE * (1 - config.recall)
    everywhere = truth.inverted.nlist
    enough = (spare for spare in SPARES if truth.recall(everywhere, spare, SPARE_QUERIES) >= wanted)
    return next(enough, SPARES[-1])


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

    def recall(self, nprobe: int, spare: int, queries: int | None = None) -> float:
        """Share of the true k neighbours found in `nprobe` cells among `spare` candidates each, for the first queries.

        All queries are asked where `queries` is None.
        """
        asked, rows, truth = self.queries[:queries], self.rows[:queries], self.truth[:queries]
        candidates = min((self.k + 1) * spare, len(self.vectors))
        _, found = self.inverted.search(asked, candidates, params=probing(nprobe))
        answer, _ = rank(self.vectors, asked, found, self.k, rows)
        hits = [len(np.intersect1d(a[a >= 0], t)) for a, t in zip(answer, truth, strict=True)]
        return float(sum(hits)) / truth.size


def drawn(n: int, count: int, seed: int) -> Rows:
    """`count` of n rows, drawn without replacement, ascending (a memory map is read in order)."""
    picked: npt.NDArray[np.int64] = np.random.default_rng([seed, n]).choice(n, count, replace=False)
    return np.sort(picked)
