"""Bringing the inverted file of an earlier snapshot up to date: cost follows the customers who changed.

Cells and code book stay those of the last build. Codes of customers whose vectors did not change are
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
from index.build import PIECE, cells, method, searched_exactly
from index.config import IndexConfig
from index.lists import Lists
from index.search import SearchIndex

LEAST_KEPT = 0.5
"""Share of the customers whose vectors must not have changed; with fewer, learning the cells anew costs little more."""


def usable(previous: SearchIndex | None, embeddings: Embeddings, config: IndexConfig) -> SearchIndex | None:
    """`previous` where its cells may serve these embeddings, else None.

    None where either searches exactly, where vectors have another width or ids another type, where the codes are the
    8-bit ones of earlier versions, or where `config` asks for other cells than those of the last build.
    """
    if previous is None or previous.inverted is None or searched_exactly(embeddings.n_customers, config):
        return None
    before = previous.embeddings
    if (before.width, before.customers.dtype) != (embeddings.width, embeddings.customers.dtype):
        return None
    if previous.manifest.figures["method"] != method(previous.inverted.nlist, before.width):
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

    Memory: the codes once more. The same inputs and number of threads give the same bytes.
    """
    updated: Any = faiss.clone_index(inverted)
    lists = Lists(updated)
    for cell in range(updated.nlist):
        rows = found.moved[lists.ids(cell)]
        kept = rows >= 0
        lists.refill(cell, rows[kept], lists.codes(cell)[kept])
    updated.ntotal = found.kept
    for start in range(0, len(found.fresh), PIECE):
        rows = found.fresh[start : start + PIECE]
        updated.add_with_ids(np.ascontiguousarray(embeddings.vectors[rows]), rows)
        advance(len(rows))
    for cell in range(updated.nlist):
        rows = lists.ids(cell)
        if (np.diff(rows) < 0).any():
            order = np.argsort(rows)
            lists.refill(cell, rows[order], lists.codes(cell)[order])
    return updated
