"""Objections to marketing profiling, in terms of a snapshot's customers."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from serve.snapshot import Snapshot
from store.erasures import Named, whole_number
from store.objections import Objections
from store.records import Objection

Mask = npt.NDArray[np.bool_]


def as_noted(customers: Sequence[int | str], snapshot: Snapshot | None) -> list[str]:
    """Ids as the register keeps them: those that the snapshot knows as it writes them ("007" is 7 where ids are
    numbers, also of a customer who is yet to come), others as they are, without space around.
    """
    given = list(map(str, customers))
    ids = [id.strip() for id in given]
    if snapshot is None or not ids:
        return ids
    if snapshot.customer_type == "integer":
        return [id if (number := whole_number(id)) is None else str(number) for id in ids]
    rows = snapshot.embeddings.rows_of(pl.Series(given, dtype=pl.String)).tolist()
    return [id if row < 0 else str(snapshot.customer(row)) for id, row in zip(ids, rows, strict=True)]


def in_register(noted: Sequence[str], objections: Objections, snapshot: Snapshot | None) -> list[str]:
    """Ids as `as_noted` gives them, and after each its other forms in the register: "007" noted before 7 was known,
    "c7" before "c7  " was.
    """
    if snapshot is None:
        return list(noted)
    forms: dict[int | str, list[str]] = {}
    for form in objections.unusual():
        forms.setdefault(_meant(form, snapshot), []).append(form)
    found: list[str] = []
    for id in noted:
        meant = _meant(id, snapshot)
        found += dict.fromkeys((id, str(meant), *forms.get(meant, ())))
    return found


def _meant(id: str, snapshot: Snapshot) -> int | str:
    """What all forms of one customer's id have in common."""
    number = whole_number(id) if snapshot.customer_type == "integer" else None
    return id.strip() if number is None else number


def note(noted: Sequence[str], objects: bool, objections: Objections, snapshot: Snapshot | None, *, actor: str) -> int:
    """Note what customers, as `as_noted` gives them, say now; for how many that is new. Audited, without the ids."""
    every = in_register(noted, objections, snapshot)
    if not objects:
        return objections.note(every, False, actor=actor)
    if snapshot is None:
        return objections.note(noted, True, actor=actor)
    others = set(every) - set(noted)
    standing = {_meant(one.customer, snapshot) for one in objections.standing() if one.customer in others}
    return objections.note([id for id in noted if _meant(id, snapshot) not in standing], True, actor=actor)


def said(customer: str, objections: Objections, snapshot: Snapshot | None) -> Objection | None:
    """What a customer, in any form of the id, last said; None where they said nothing."""
    noted = as_noted([customer], snapshot)
    found = [last for form in in_register(noted, objections, snapshot) if (last := objections.of(form))]
    return max(found, key=lambda last: (last.objects, last.at), default=None)


def objected_in(snapshot: Snapshot, objections: Objections) -> Mask | None:
    """bool [n]: which customers of a snapshot object; None where nobody does."""
    who = objecting(objections)
    mask = who.among(snapshot.embeddings.customers) if who.texts else None
    return None if mask is None or not mask.any() else mask


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
    who = objecting(objections)
    return members.filter(pl.Series(~who.among(members["customer_id"]))) if who.texts else members


def objecting(objections: Objections) -> Named:
    """Who objects, by their ids in any form."""
    return Named(frozenset(objection.customer.strip() for objection in objections.standing()), bare=True)


def still_entering(changes: pl.DataFrame, objections: Objections) -> pl.DataFrame:
    """A list of changes without those who entered and objected since; who left is told, to be taken out elsewhere."""
    return pl.concat([still_exported(changes.filter(change="entered"), objections), changes.filter(change="left")])
