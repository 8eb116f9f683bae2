"""The neighbour graph: each customer's nearest others by Euclidean distance, exact, from FAISS.

n customers, d dimensions, k neighbours, q queries.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.threads import use_faiss

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest others, nearest first."""

    rows: Rows
    """int32 [n, k], rows of the space that was searched; never the customer itself."""
    distances: Floats
    """float32 [n, k], Euclidean, ascending."""

    @property
    def k(self) -> int:
        """Neighbours per customer."""
        return int(self.rows.shape[1])


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS search with one thread in the thread that asks, then set it back to what it was.

    Its products of matrices come out with other last digits when several threads share one of them.
    """
    import faiss

    use_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def search(space: Floats, queries: Floats, k: int, threads: int = 1) -> Neighbours:
    """The k nearest rows of `space` [n, d] for every query [q, d]; k is cut to n.

    With several threads each takes queries of its own, so that the result is the same.
    """
    import faiss

    k = min(k, len(space))
    index = faiss.IndexFlatL2(space.shape[1])
    rows = np.empty((len(queries), k), np.int32)
    distances = np.empty((len(queries), k), np.float32)

    def some(start: int) -> None:
        part = slice(start, start + CHUNK)
        with one_thread():
            squared, found = index.search(np.ascontiguousarray(queries[part], dtype=np.float32), k)
        rows[part] = found
        # FAISS expands |a - b|² into products, so that equal vectors can come out a little below or above zero
        distances[part] = np.sqrt(np.maximum(squared, 0))

    with one_thread():
        index.add(np.ascontiguousarray(space, dtype=np.float32))
    with ThreadPoolExecutor(threads, "neighbours") as pool:
        list(pool.map(some, range(0, len(queries), CHUNK)))
    return Neighbours(rows, distances)


def graph(space: Floats, k: int, threads: int = 1) -> Neighbours:
    """The k nearest others of every row of `space` [n, d]; k is cut to n - 1."""
    k = min(k, len(space) - 1)
    found = search(space, space, k + 1, threads)
    return without_self(found, np.arange(len(space), dtype=np.int32))


def without_self(found: Neighbours, own: Rows) -> Neighbours:
    """Drop each query's own row `own` [q] from its k + 1 results; where duplicates pushed it out, the last one goes."""
    is_self = found.rows == own[:, None]
    missing = ~is_self.any(axis=1)
    is_self[missing, -1] = True
    keep = ~is_self
    shape = (len(own), found.k - 1)
    return Neighbours(found.rows[keep].reshape(shape), found.distances[keep].reshape(shape))
