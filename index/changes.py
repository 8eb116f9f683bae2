"""Who entered and who left a saved audience between two editions, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from embed.artifact import Embeddings

REASONS = {
    "behaviour": "their own events changed",
    "model": "the model was trained anew; they have no new events",
    "behaviour and model": "they have new events, and the model was trained anew",
    "definition": "the definition of the audience was changed",
    "consent": "they objected to marketing profiling, or withdrew that",
    "customers": "they are new among the customers, or gone",
    "others": "they did not change, but others made or took their place",
    "unknown": "the snapshot before is not kept any more",
}
"""Why a member may enter or leave."""


@dataclass(frozen=True, eq=False)
class Before:
    """What is known of the edition before."""

    members: pl.Series
    """Ids of its members, those held out included."""
    embeddings: Embeddings | None
    """None where its snapshot is not kept any more."""
    objected: Sequence[str]
    """Ids, as text, of who objected then."""


@dataclass(frozen=True, eq=False)
class Now:
    """What is known of the new edition."""

    members: pl.Series
    embeddings: Embeddings
    objected: Sequence[str]
    by_definition_before: pl.Series | None
    """Ids of who would be members by the definition before; None where it is the same."""


def changes(before: Before, now: Now) -> pl.DataFrame:
    """customer_id, change (entered or left), why (a key of REASONS), those who entered first, each by id."""
    ids = now.embeddings.customers.dtype
    was, are = before.members.cast(ids), now.members.cast(ids)
    new, gone = are.filter(~are.is_in(was.implode())), was.filter(~was.is_in(are.implode()))
    tables = []
    for change, some in (("entered", new), ("left", gone)):
        changed = some.sort().rename("customer_id")
        why = _why(changed, change == "entered", before, now)
        tables.append(pl.DataFrame([changed, pl.Series("change", [change] * len(changed), dtype=pl.String), why]))
    return pl.concat(tables)


def _why(changed: pl.Series, entered: bool, before: Before, now: Now) -> pl.Series:
    why = np.full(len(changed), "others", dtype=object)
    if len(changed):
        why[:] = _of_vectors(changed, before, now)
        if now.by_definition_before is not None:
            inside = changed.is_in(now.by_definition_before.cast(changed.dtype).implode()).to_numpy()
            why[~inside if entered else inside] = "definition"
        objected = before.objected if entered else now.objected
        why[changed.cast(pl.String).is_in(pl.Series(objected, dtype=pl.String).implode()).to_numpy()] = "consent"
        there = before.embeddings if entered else now.embeddings
        if there is not None:
            why[there.rows_of(changed) < 0] = "customers"
    return pl.Series("why", why.tolist(), dtype=pl.String)


def _of_vectors(changed: pl.Series, before: Before, now: Now) -> np.ndarray:
    """Whether a customer's own events, or the model, or neither changed what is known of them."""
    old, new = before.embeddings, now.embeddings
    if old is None:
        return np.full(len(changed), "unknown", dtype=object)
    rows = old.rows_of(changed), new.rows_of(changed)
    both = (rows[0] >= 0) & (rows[1] >= 0)
    at = rows[0][both], rows[1][both]
    if old.manifest.parents.get("model") == new.manifest.parents.get("model"):
        moved = np.abs(old.vectors[at[0]] - new.vectors[at[1]]).max(axis=1, initial=0.0) > SAME
        told = np.where(moved, "behaviour", "others")
    elif old.histories is None or new.histories is None:
        told = np.full(len(at[0]), "behaviour and model")
    else:
        a, b = old.histories, new.histories
        grown = (a.events[at[0]] != b.events[at[1]]) | (a.last[at[0]] != b.last[at[1]])
        told = np.where(grown, "behaviour and model", "model")
    why = np.full(len(changed), "others", dtype=object)
    why[both] = told
    return why


SAME = 1e-5
"""Largest difference between two vectors of one history: embedding anew and folding in agree to this."""
