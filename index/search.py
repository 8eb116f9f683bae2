"""The k customers most like this one: exact up to some 200,000 customers, an inverted file with 4-bit codes beyond.

Similarity is the inner product of unit vectors, their cosine. FAISS finds candidates; the answer's similarities are
taken from the vectors themselves, so that a customer's answer depends neither on who else is asked for in the same
call nor on the codes, and equal similarities are ordered by row.

FAISS keeps a pool of OpenMP threads that does not survive a fork: a forked child hangs in its first search. Never
fork after searching (multiprocessing's "spawn" and subprocesses are fine); a search in a forked child raises, with an
index that it loaded itself too.

Sources: Johnson, Douze, Jégou, "Billion-scale similarity search with GPUs", 2017; the FAISS library.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from configs.errors import ArtifactError, InputError
from embed.artifact import Embeddings
from store.artifact import Manifest
from store.threads import use_faiss

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CLOSE = 8
"""Candidates fetched beyond k in an exact scan: float32 sums may swap neighbours that are equal in the last digit."""
BLAS_FROM = 20
"""Queries from which an exact scan multiplies matrices; FAISS 1.15 waits for 128,000, and takes six times as long."""
RERANKED_AT_ONCE = 1 << 22
"""Numbers gathered at once when similarities are taken from the vectors."""


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """Answers searches over one snapshot's vectors. Safe to use from several threads, never after a fork."""

    embeddings: Embeddings
    manifest: Manifest
    inverted: Any | None = None
    """The FAISS inverted file; None where every search is exact."""
    nprobe: int = 0
    """Cells visited per query, tuned at build time for `neighbours`."""
    spare: float = 1.0
    """Candidates fetched from the inverted file per neighbour; the exact vectors choose among them."""
    neighbours: int = 100
    exact_up_to: int = 200_000

    @property
    def exact(self) -> bool:
        """Whether every search is exact."""
        return self.inverted is None

    def similar(self, rows: Rows, k: int, allowed: Mask | None = None) -> tuple[Rows, Floats]:
        """The k customers most like each of `rows`, themselves left out; see `search`."""
        rows = np.asarray(rows, dtype=np.int64)
        return self.search(np.asarray(self.embeddings.vectors[rows]), k, allowed, without=rows)

    def search(
        self, queries: Floats, k: int, allowed: Mask | None = None, *, without: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The k most similar customers of each query: rows int64 [q, k], similarity float32 [q, k], falling.

        `queries` [q, d] are unit vectors. `allowed` bool [n] keeps the search to some customers. `without` int64 [q]
        names for each query a row to leave out (its own; -1: none). Where fewer than k exist, the last rows
        are -1 and their similarity -inf. Ties are in order of rows; who of more than `CLOSE` customers tied at the last
        place is given is FAISS's choice, the same for the same call.

        Raises InputError where k is below 1 or above the population, the queries' width is not the vectors', a query
        is not finite, or the mask does not fit the population.
        """
        queries, selected = self._checked(queries, k, allowed, without)
        if len(queries) == 0 or selected == 0:
            return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        fetched = min(k + CLOSE + (without is not None), selected)
        nprobe = self._cells(k, selected)
        if nprobe is None:
            found = scan(self.embeddings.vectors, queries, fetched, allowed)
        else:
            found = self._probe(queries, fetched, allowed, nprobe)
        return rank(self.embeddings.vectors, queries, found, k, without)

    def _checked(self, queries: Floats, k: int, allowed: Mask | None, without: Rows | None) -> tuple[Floats, int]:
        n, width = self.embeddings.n_customers, self.embeddings.width
        use_faiss()
        if not 1 <= k <= n:
            raise InputError(f"k is {k}: ask for 1 to {n} similar customers, there are {n}")
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != width:
            raise InputError(f"queries have shape {queries.shape}: vectors of this snapshot are {width} wide")
        if not bool(np.isfinite(queries).all()):
            raise InputError("queries hold a value that is not finite")
        if without is not None and without.shape != (len(queries),):
            raise InputError(f"`without` has shape {without.shape}: one row per query is accepted, {len(queries)}")
        if allowed is None:
            return queries, n
        if allowed.dtype != np.bool_ or allowed.shape != (n,):
            raise InputError(f"the mask is {allowed.dtype} {allowed.shape}: one boolean per customer, {n}, is accepted")
        return queries, int(np.count_nonzero(allowed))

    def _cells(self, k: int, selected: int) -> int | None:
        """Cells to visit, None for an exact scan: more cells for a larger k or a filter that lets few rows pass."""
        if self.inverted is None or selected <= self.exact_up_to:
            return None
        wider = max(1.0, k / self.neighbours) * self.embeddings.n_customers / selected
        cells = int(np.ceil(self.nprobe * wider))
        return None if cells > self.inverted.nlist // 2 and wider > 1.0 else min(cells, self.inverted.nlist)

    def _probe(self, queries: Floats, k: int, allowed: Mask | None, nprobe: int) -> Rows:
        assert self.inverted is not None
        selector, _bits = selector_of(allowed)
        parameters = probing(nprobe, selector)
        candidates = min(candidates_for(k, self.spare, self.neighbours), self.embeddings.n_customers)
        _, found = self.inverted.search(queries, candidates, params=parameters)
        # cells may run out of allowed rows although there are more elsewhere
        short = np.flatnonzero((found >= 0).sum(axis=1) < k)
        if len(short):
            found[short] = -1
            found[short, :k] = scan(self.embeddings.vectors, queries[short], k, allowed)
        return np.asarray(found, dtype=np.int64)


def candidates_for(k: int, spare: float, neighbours: int) -> int:
    """Candidates to fetch for k neighbours: `spare` each at `neighbours` and above, more each for a smaller k.

    The codes blur the ranks among the first few as much as those around the hundredth: on vectors of banks 100
    neighbours asked for 4 candidates each, 30 for 6, 10 for 10 and 1 for 40 to find 99 of 100.
    """
    return math.ceil(spare * math.sqrt(k * max(k, neighbours)))


def selector_of(allowed: Mask | None) -> tuple[Any, Any]:
    """FAISS's selector of a mask, and the bits that must outlive it."""
    if allowed is None:
        return None, None
    bits = np.packbits(allowed, bitorder="little")
    return faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bits)), bits


def probing(nprobe: int, selector: Any = None) -> Any:
    """FAISS's parameters of one search; given per call, so that searches of several threads do not meet."""
    parameters: Any = faiss.SearchParametersIVF
    return parameters(nprobe=nprobe, sel=selector)


def scan(vectors: Floats, queries: Floats, k: int, allowed: Mask | None = None) -> Rows:
    """Rows int64 [q, k] of the largest inner products, -1 where fewer are allowed; straight over the memory map."""
    selector, _bits = selector_of(allowed)
    similarity = np.empty((len(queries), k), dtype=np.float32)
    rows = np.empty((len(queries), k), dtype=np.int64)
    with _blas() if len(queries) >= BLAS_FROM else nullcontext():
        faiss.knn_inner_product(
            faiss.swig_ptr(queries),
            faiss.swig_ptr(vectors),
            vectors.shape[1],
            len(queries),
            len(vectors),
            k,
            faiss.swig_ptr(similarity),
            faiss.swig_ptr(rows),
            selector,
        )
    return rows


@contextmanager
def _blas() -> Iterator[None]:
    """Have FAISS multiply matrices, in scans of several queries alone: elsewhere it would change what is built."""
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = BLAS_FROM
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def rank(vectors: Floats, queries: Floats, found: Rows, k: int, without: Rows | None) -> tuple[Rows, Floats]:
    """The k best of the candidates `found` [q, c] by their own vectors; ties by row, -1 and -inf at the end."""
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
    kept = min(k, found.shape[1])
    at_once = max(1, RERANKED_AT_ONCE // (found.shape[1] * vectors.shape[1]))
    for start in range(0, len(queries), at_once):
        part = slice(start, start + at_once)
        left_out = None if without is None else without[part]
        candidates, gathered = _closest(vectors, queries[part], found[part], k + CLOSE + 1, left_out)
        # in float64 the order of summation does not show after rounding to float32
        exact = np.einsum("qcd,qd->qc", gathered.astype(np.float64), queries[part].astype(np.float64)).astype(
            np.float32
        )
        exact[candidates < 0] = -np.inf
        order = np.lexsort((candidates, -exact), axis=1)[:, :kept]
        similarity[part, :kept] = np.take_along_axis(exact, order, axis=1)
        rows[part, :kept] = np.take_along_axis(candidates, order, axis=1)
    return rows, similarity


def _closest(vectors: Floats, queries: Floats, found: Rows, count: int, without: Rows | None) -> tuple[Rows, Floats]:
    """The `count` candidates of each query closest to it in float32, -1 for none; their vectors [q, count, d]."""
    candidates = found if without is None else np.where(found == without[:, None], -1, found)
    gathered = vectors[np.maximum(candidates, 0)]
    if found.shape[1] <= count:
        return candidates, gathered
    rough = np.matmul(gathered, queries[:, :, None])[:, :, 0]
    rough[candidates < 0] = -np.inf
    best = np.argpartition(-rough, count - 1, axis=1)[:, :count]
    each = np.arange(len(queries))[:, None]
    return candidates[each, best], gathered[each, best]


def fitting(manifest: Manifest, embeddings: Embeddings, folder: Path) -> None:
    """Refuse an index that was built over other embeddings. Raises ArtifactError."""
    built = (manifest.parents.get("embeddings"), manifest.counts.get("customers"), manifest.counts.get("width"))
    given = (embeddings.key, embeddings.n_customers, embeddings.width)
    if built != given:
        raise ArtifactError(
            f"{folder}: built over embeddings (key, customers, width) {built}, but these are {given}; rebuild the index"
        )
