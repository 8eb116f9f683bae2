"""Where the customers of one snapshot are in another: how many in each pair of segments, and who moved.

Legend: n customers of the earlier snapshot, p of the later one, m who moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from cluster.clusters import Labels
from configs.errors import InputError

NONE, ABSENT = -1, -2
"""In no segment; not there at all: a new customer, or one who is gone."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Paired:
    """The customers of two snapshots who are the same."""

    before: Rows
    """int64 [both], ascending: rows of the earlier snapshot."""
    after: Rows
    """int64 [both], ascending: their rows in the later one."""


def pair(earlier: pl.Series, later: pl.Series) -> Paired:
    """Find the same customers among ids [n] and [p], each ascending and unique.

    Raises InputError where ids are whole numbers in one and text in the other.
    """
    if earlier.dtype != later.dtype:
        raise InputError("customers' ids are whole numbers in one snapshot and text in the other; nobody can be found")
    left = pl.DataFrame({"id": earlier}).with_row_index("before")
    right = pl.DataFrame({"id": later}).with_row_index("after")
    both = left.join(right, on="id", how="inner", maintain_order="left")
    return Paired(both["before"].to_numpy().astype(np.int64), both["after"].to_numpy().astype(np.int64))


@dataclass(frozen=True, eq=False)
class Matrix:
    """How many customers went from where to where."""

    before: tuple[int, ...]
    """Ids of the earlier snapshot's segments in its order, then NONE and ABSENT: the rows."""
    after: tuple[int, ...]
    """The same of the later one: the columns."""
    counts: Rows
    """int64 [rows, columns]"""

    def count(self, source: int, target: int) -> int:
        """How many went from one segment to another; 0 for segments that there are not."""
        if source not in self.before or target not in self.after:
            return 0
        return int(self.counts[self.before.index(source), self.after.index(target)])

    @property
    def stayed(self) -> int:
        """Customers in the same segment, or in none, in both."""
        return sum(self.count(id, id) for id in self.before)

    @property
    def moved(self) -> int:
        """Customers who are in both snapshots and in different segments, none counting as one."""
        return int(self.counts[:-1, :-1].sum()) - self.stayed


def matrix(
    paired: Paired, before: Labels, after: Labels, segments_before: Sequence[int], segments_after: Sequence[int]
) -> Matrix:
    """Count the customers between the labels `before` [n] and `after` [p]; the segments are told by their ids."""
    rows, columns = (*segments_before, NONE, ABSENT), (*segments_after, NONE, ABSENT)
    was, now = _places(before, rows), _places(after, columns)
    counts = np.bincount(was[paired.before] * len(columns) + now[paired.after], minlength=len(rows) * len(columns))
    counts = counts.reshape(len(rows), len(columns)).astype(np.int64)
    stays, known = np.zeros(len(was), bool), np.zeros(len(now), bool)
    stays[paired.before], known[paired.after] = True, True
    counts[:, -1] += np.bincount(was[~stays], minlength=len(rows))
    counts[-1, :] += np.bincount(now[~known], minlength=len(columns))
    return Matrix(rows, columns, counts)


def _places(labels: Labels, ids: Sequence[int]) -> Rows:
    """int64 [n]: the place of each label in `ids`; a label that is not there counts as NONE."""
    order = np.argsort(ids, kind="stable")
    ascending = np.asarray(ids)[order]
    at = np.minimum(np.searchsorted(ascending, labels), len(ids) - 1)
    return np.where(ascending[at] == labels, order[at], ids.index(NONE)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Moved:
    """The customers who are in both snapshots and in different segments, by id."""

    before: Rows
    """int64 [m]: their rows in the earlier snapshot."""
    after: Rows
    """int64 [m]: their rows in the later one."""
    source: Labels
    """int32 [m]: the segment that they were in, NONE for none."""
    target: Labels
    """int32 [m]: the one that they are in."""

    def of(self, segment: int) -> "Moved":
        """Those of them who left or entered one segment."""
        mine = (self.source == segment) | (self.target == segment)
        return Moved(self.before[mine], self.after[mine], self.source[mine], self.target[mine])


def moved(paired: Paired, before: Labels, after: Labels) -> Moved:
    """Who moved, given the labels `before` [n] and `after` [p], whose ids must mean the same."""
    was, now = before[paired.before], after[paired.after]
    changed = was != now
    return Moved(paired.before[changed], paired.after[changed], was[changed], now[changed])


def movers(
    who: Moved,
    customers: pl.Series,
    strength: npt.NDArray[np.floating],
    names: tuple[Mapping[int, str], Mapping[int, str]],
    why: Sequence[str],
) -> pl.DataFrame:
    """A row for each of m customers: customer_id, from, from_name, to, to_name, strength, why.

    `customers` [p] and `strength` [p] are the later snapshot's; `names` of the segments before and after. A segment -1
    is none, and its name is empty.
    """
    source, target = pl.Series("from", who.source, pl.Int32), pl.Series("to", who.target, pl.Int32)
    columns = [
        customers.gather(pl.Series(who.after, dtype=pl.UInt32)).alias("customer_id"),
        source,
        _named(source, names[0]).alias("from_name"),
        target,
        _named(target, names[1]).alias("to_name"),
        pl.Series("strength", strength[who.after], pl.Float32),
        pl.Series("why", why, pl.String),
    ]
    return pl.DataFrame(columns)


def _named(segments: pl.Series, names: Mapping[int, str]) -> pl.Series:
    return segments.replace_strict({NONE: "", **names}, default="", return_dtype=pl.String)
