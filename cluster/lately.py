"""Who has lived differently for some weeks, and which segment these weeks are like.

A vector of a whole history moves slowly, so a customer whose habits changed would stay in the old segment for months.
So once a week the events of the last weeks are asked whether a customer lives differently (`Weeks`). Who does is placed
by these weeks alone (`cluster.likely`), now and in the weeks to come, until the whole history has caught up. The weeks
of everybody else say little of their own and much of chance: they are not asked.

What is known goes along from one generation to the next: each Monday is asked about once, also when several have passed
since, so that it does not matter how many nights there were.

c landmarks, m customers who changed, d wide vectors. Mondays are days since 1970.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np

from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.likely import Likely
from cluster.neighbours import Floats

WEEK = 7
KEPT = 8 * WEEK
"""Days for which a customer is placed by the last weeks, after these were last found to be other than before."""
LEAST = 0.6
"""How likely a segment must be by the last weeks for a customer to go there."""
NEVER = 0
"""No Monday; 1 January 1970 was a Thursday."""


class Weeks(Protocol):
    """What the weeks before a Monday tell of customers, by rows of the population."""

    @property
    def last(self) -> int:
        """The last Monday of which all days before are in the events; NEVER where there is none."""

    def changed(self, monday: int, least_z: float) -> tuple[Ints, Floats]:
        """Who has lived differently: ascending rows int64 [m], and how unusually, robust z float32 [m], at least so."""

    def vectors(self, monday: int, rows: Ints) -> tuple[Ints, Floats]:
        """Of some customers those who have events enough, as positions in `rows`, and vectors of their last weeks."""


@dataclass(frozen=True, eq=False)
class Changed:
    """Customers who have lived differently lately."""

    monday: int
    """The last Monday that was asked about."""
    rows: Ints
    """int64 [m], ascending rows of the population."""
    first: Labels
    """int32 [m], the Monday on which they were found to, and on every one since, up to `last`."""
    last: Labels
    """int32 [m]"""
    z: Floats
    """float32 [m], how unusual it was on that last one."""
    segment: Labels
    """int32 [m], id of the segment that their last weeks are like; -1 where none is likely enough."""
    strength: Floats
    """float32 [m], how likely it is."""

    @classmethod
    def nobody(cls, monday: int = NEVER) -> "Changed":
        """Nobody so far."""
        none, nought = np.empty(0, np.int32), np.empty(0, np.float32)
        return cls(monday, np.empty(0, np.int64), none, none, nought, none, nought)

    def at(self, places: Ints) -> "Changed":
        """Some of them."""
        names = [field.name for field in fields(self)][1:]
        return replace(self, **{name: getattr(self, name)[places] for name in names})

    def now(self, here: Ints) -> "Changed":
        """The same under the rows of now; `here` [p] has the row of now of each earlier one, -1 for those gone."""
        rows = here[self.rows]
        moved = replace(self, rows=rows).at(np.flatnonzero(rows >= 0))
        return moved.at(np.argsort(moved.rows, kind="stable"))

    def into(self, segments: dict[int, int]) -> "Changed":
        """The same after segments ended; `segments` has the heir of each, -1 for none."""
        segment = np.array([segments.get(known, known) for known in self.segment.tolist()], np.int32)
        return replace(self, segment=segment, strength=np.where(segment >= 0, self.strength, 0).astype(np.float32))

    def told(self, since: int) -> "Changed":
        """Who was found on the last Monday asked about, and before the ones after `since` not: who is news."""
        return self.at(np.flatnonzero((self.last == self.monday) & (self.first > since)))


def mondays(before: int, last: int) -> Iterator[int]:
    """Those after `before` up to `last` that still matter."""
    if last != NEVER:
        # asked for the first time: the Monday before tells who is known already
        yield from range(max(before + WEEK, last - KEPT) if before != NEVER else last - WEEK, last + 1, WEEK)


def brought_up(before: Changed, weeks: Weeks, config: SegmentsConfig, likely: Likely | None) -> Changed:
    """Ask about the Mondays since `before`. Its rows are those of now, and its answers of the last Monday stay where no
    other one has passed."""
    out = before
    for monday in mondays(before.monday, weeks.last):
        out = _found(out, monday, *weeks.changed(monday, config.change_z))
    return out if out.monday == before.monday else answered(out, weeks, likely)


def _found(before: Changed, monday: int, rows: Ints, z: Floats) -> Changed:
    """Who is known to have changed, after one more Monday."""
    known, place = np.isin(rows, before.rows), np.searchsorted(before.rows, rows)
    goes_on = known.copy()
    goes_on[known] = before.last[place[known]] == monday - WEEK
    first = np.full(len(rows), monday, np.int32)
    first[goes_on] = before.first[place[goes_on]]
    stays = before.at(np.flatnonzero(~np.isin(before.rows, rows) & (before.last > monday - KEPT)))
    every = np.concatenate([stays.rows, rows])
    order, m = np.argsort(every, kind="stable"), len(rows)
    return Changed(
        monday,
        every[order],
        np.concatenate([stays.first, first])[order],
        np.concatenate([stays.last, np.full(m, monday, np.int32)])[order],
        np.concatenate([stays.z, z.astype(np.float32)])[order],
        np.full(len(every), -1, np.int32),
        np.zeros(len(every), np.float32),
    )


def answered(changed: Changed, weeks: Weeks, likely: Likely | None) -> Changed:
    """The same with the segment that the weeks before their Monday are like."""
    segment, strength = np.full(len(changed.rows), -1, np.int32), np.zeros(len(changed.rows), np.float32)
    if likely is not None and len(changed.rows):
        places, vectors = weeks.vectors(changed.monday, changed.rows)
        ids, chance = likely.most(vectors)
        sure = chance >= LEAST
        segment[places[sure]], strength[places[sure]] = ids[sure], chance[sure]
    return replace(changed, segment=segment, strength=strength)


def likely_of(weeks: Weeks | None, rows: Ints, labels: Labels, monday: int) -> Likely | None:
    """What tells segments by the weeks before a Monday, learnt from landmarks: their rows [c] and segments [c]."""
    if weeks is None or monday == NEVER:
        return None
    places, vectors = weeks.vectors(monday, rows)
    return Likely.of(vectors, labels[places])
