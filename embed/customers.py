"""Customers of one snapshot beside those of another, and draws that depend on their ids alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from embed.artifact import VECTORS, Embeddings, Rows

PIECE = 4096
"""Vectors compared at once: as few as stay in the processor's cache, and as need no fresh memory every time."""

_last: dict[tuple[str, ...], "Changes"] = {}
"""SHA-256 of the two files of ids and vectors -> what came of comparing them."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What became of the customers of m earlier embeddings in n new ones."""

    was: Rows
    """int64 [n]: the earlier row of each customer; -1 for new ones."""
    moved: Rows
    """int64 [m]: the new row of each whose vector did not change; -1 for those that changed or are gone."""
    fresh: Rows
    """int64, ascending: new rows of the customers whose vector changed, and of those who were not there."""
    kept: int
    replaced: int
    added: int
    removed: int

    def counts(self) -> dict[str, int]:
        """Customers kept, replaced, added and removed, for the manifest."""
        return {"kept": self.kept, "replaced": self.replaced, "added": self.added, "removed": self.removed}


def changes(before: Embeddings, after: Embeddings) -> Changes:
    """Compare two embeddings, vector by vector, in pieces of bounded memory; vectors of another width all changed.

    The last answer is kept, for a night asks several times. Its arrays are read-only.
    """
    files = before.manifest.files.get(VECTORS), after.manifest.files.get(VECTORS)
    key = tuple(file["sha256"] for file in files if file)
    if len(key) == 2 and (found := _last.get(key)):
        return found
    found = _compared(before, after)
    for array in (found.was, found.moved, found.fresh):
        array.setflags(write=False)
    if len(key) == 2:
        _last.clear()
        _last[key] = found
    return found


def _compared(before: Embeddings, after: Embeddings) -> Changes:
    n, was = after.n_customers, before.rows_of(after.customers)
    same = np.zeros(n, dtype=bool)
    for start in range(0, n if before.width == after.width else 0, PIECE):
        rows = start + np.flatnonzero(was[start : start + PIECE] >= 0)
        same[rows] = (before.vectors[was[rows]] == after.vectors[rows]).all(axis=1)
    moved = np.full(before.n_customers, -1, dtype=np.int64)
    moved[was[same]] = np.flatnonzero(same)
    kept, known = int(same.sum()), int((was >= 0).sum())
    return Changes(was, moved, np.flatnonzero(~same), kept, known - kept, n - known, before.n_customers - known)


def lots(customers: pl.Series, seed: int) -> npt.NDArray[np.uint64]:
    """uint64 [n]: a pseudo-random number for every customer, by id and seed alone.

    Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): the mixing of SplitMix64.
    """
    ids = customers.to_numpy().view(np.uint64) if customers.dtype == pl.Int64 else customers.hash(0).to_numpy()
    return mixed(ids, seed)


def mixed(ids: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """The lots of customers known by whole numbers, uint64 [n]."""
    out = ids + np.uint64((0x9E3779B97F4A7C15 * (seed + 1)) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        out = (out ^ (out >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(out ^ (out >> np.uint64(31)))
