"""Bringing the inverted file of an earlier snapshot up to date: cost follows the customers who changed.

Cells and the scale of the 8-bit codes stay those of the last build. Codes of customers whose vectors did not change are
kept under their new rows; those of customers who changed or left are dropped; changed and new ones are added. Every
cell is in order of rows, so that the result is that of adding all vectors to the same cells, however many updates
came before. What it costs to search it is judged against the last build (`limit`), so that drift adds up.
"""

import math
from typing import Any

import faiss
import numpy as np

from configs.progress import Advance
from embed.artifact import Embeddings
from embed.customers import Changes
from index.build import PIECE, cells
from index.config import IndexConfig
from index.search import Rows, SearchIndex

LEAST_KEPT = 0.5
"""Share of the customers whose vectors must not have changed; with fewer, learning the cells anew costs little more."""


def usable(previous: SearchIndex | None, embeddings: Embeddings, config: IndexConfig) -> SearchIndex | None:
    """`previous` where its cells may serve these embeddings, else None.

    None where either searches exactly, where vectors have another width or ids another type, or where `config` asks
    for other cells than those of the last build.
    """
    if previous is None or previous.inverted is None or embeddings.n_customers <= config.exact_up_to:
        return None
    before = previous.embeddings
    if (before.width, before.customers.dtype) != (embeddings.width, embeddings.customers.dtype):
        return None
    return previous if previous.inverted.nlist == cells(built(previous)["customers"], config) else None


def built(index: SearchIndex) -> dict[str, int]:
    """Customers, nprobe and vectors visited of the last build that an index comes from: its own, or an earlier one."""
    figures, customers = index.manifest.figures, index.manifest.counts["customers"]
    if "built" in figures:
        return dict(figures["built"])
    # indexes of kinfolk before updates do not tell; cells of equal sizes would be visited so
    visited = figures.get("visited", figures["nprobe"] * customers // figures["lists"])
    return {"customers": customers, "nprobe": figures["nprobe"], "visited": visited}


def limit(previous: SearchIndex, config: IndexConfig) -> int:
    """The most vectors that a search may visit before the cells are to be learnt anew."""
    return math.ceil(config.update_until * built(previous)["visited"])


def update_inverted(inverted: Any, found: Changes, embeddings: Embeddings, advance: Advance) -> Any:
    """A copy of `inverted` brought up to date with `embeddings`; `advance` counts vectors added.

    Memory: the codes once more, n x d bytes. The same inputs and number of threads give the same bytes.
    """
    updated: Any = faiss.clone_index(inverted)
    lists = updated.invlists
    for cell in range(updated.nlist):
        rows = found.moved[_ids(lists, cell)]
        _refill(lists, cell, rows, np.flatnonzero(rows >= 0))
    updated.ntotal = found.kept
    for start in range(0, len(found.fresh), PIECE):
        rows = found.fresh[start : start + PIECE]
        updated.add_with_ids(np.ascontiguousarray(embeddings.vectors[rows]), rows)
        advance(len(rows))
    for cell in range(updated.nlist):
        rows = _ids(lists, cell)
        if (np.diff(rows) < 0).any():
            _refill(lists, cell, rows, np.argsort(rows))
    return updated


def _refill(lists: Any, cell: int, rows: Rows, order: Rows) -> None:
    """Let a cell hold the entries at `order` alone, in that order, under the ids `rows` [size]."""
    codes = _codes(lists, cell)
    chosen = codes[order]
    codes[: len(order)] = chosen
    _ids(lists, cell, copied=False)[: len(order)] = rows[order]
    lists.resize(cell, len(order))


def _ids(lists: Any, cell: int, *, copied: bool = True) -> Rows:
    """int64 [size]: the ids of a cell; where not copied, FAISS's own memory until the cell is resized."""
    size = lists.list_size(cell)
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    own: Rows = faiss.rev_swig_ptr(lists.get_ids(cell), size)
    return own.copy() if copied else own


def _codes(lists: Any, cell: int) -> Any:
    """uint8 [size, code size]: the codes of a cell in FAISS's own memory."""
    size = lists.list_size(cell)
    if size == 0:
        return np.zeros((0, lists.code_size), dtype=np.uint8)
    return faiss.rev_swig_ptr(lists.get_codes(cell), size * lists.code_size).reshape(size, lists.code_size)
