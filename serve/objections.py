"""Objections to marketing profiling, in terms of a snapshot's customers."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from serve.snapshot import Snapshot
from store.objections import Objections

Mask = npt.NDArray[np.bool_]


def as_noted(customers: Sequence[int | str], snapshot: Snapshot | None) -> list[str]:
    """Ids as the register keeps them: those that the snapshot knows as it writes them ("007" is 7 where ids are
    numbers), others as they are, without space around.
    """
    ids = [str(customer).strip() for customer in customers]
    if snapshot is None or not ids:
        return ids
    rows = snapshot.embeddings.rows_of(pl.Series(ids, dtype=pl.String)).tolist()
    return [id if row < 0 else str(snapshot.customer(row)) for id, row in zip(ids, rows, strict=True)]


def objected_in(snapshot: Snapshot, objections: Objections) -> Mask | None:
    """bool [n]: which customers of a snapshot object; None where nobody does."""
    customers = [objection.customer for objection in objections.standing()]
    if not customers:
        return None
    rows = snapshot.embeddings.rows_of(pl.Series(customers, dtype=pl.String))
    mask = np.zeros(snapshot.n_customers, dtype=bool)
    mask[rows[rows >= 0]] = True
    return mask if mask.any() else None


class Standing(NamedTuple):
    """Who objects, as of a version of the register."""

    mask: Mask | None
    """bool [n]: which customers of the snapshot object; None where nobody does."""
    version: int

    @property
    def tags(self) -> tuple[str, ...]:
        """What an answer's ETag says besides the snapshot."""
        return () if self.mask is None else (f"o{self.version}",)


class Objected:
    """Who objects, remembered for a moment: a similarity search must not read the whole register each time."""

    def __init__(self, objections: Objections, seconds: float) -> None:
        self._objections, self._seconds = objections, seconds
        self._lock = threading.Lock()
        self._known: tuple[str, float, Standing] | None = None  # snapshot, when it was read, what it was

    def forget(self) -> None:
        """Read the register anew the next time: it was changed here."""
        with self._lock:
            self._known = None

    def of(self, snapshot: Snapshot) -> Standing:
        """Who of a snapshot's customers objects, at most `seconds` old."""
        with self._lock:
            known = self._known
        now = time.monotonic()
        if known is not None and known[0] == snapshot.state and now - known[1] < self._seconds:
            return known[2]
        version = self._objections.version()
        if known is not None and (known[0], known[2].version) == (snapshot.state, version):
            standing = known[2]
        else:
            standing = Standing(objected_in(snapshot, self._objections), version)
        with self._lock:
            self._known = snapshot.state, now, standing
        return standing


def still_exported(members: pl.DataFrame, objections: Objections) -> pl.DataFrame:
    """A list of members without those who have objected since it was made."""
    customers = [objection.customer for objection in objections.standing()]
    return members.filter(~pl.col("customer_id").cast(pl.String).is_in(customers)) if customers else members


def still_entering(changes: pl.DataFrame, objections: Objections) -> pl.DataFrame:
    """A list of changes without those who entered and objected since; who left is told, to be taken out elsewhere."""
    return pl.concat([still_exported(changes.filter(change="entered"), objections), changes.filter(change="left")])
