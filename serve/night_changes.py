"""Who is news: customers who have lived differently for four weeks, and were not known to a week ago.

Segments ask once a week (`cluster.lately`), and carry who was found. A night that has asked about a Monday tells of
whoever was found then and not before, with the habits that changed.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from cluster.lately import Changed
from cluster.surprise import Habits, Unlike
from embed.lately import only
from eventlog.behaviour import behaviour
from eventlog.sequences import EventLog
from serve.moves import Comparison
from serve.weeks import AT_ONCE, Marks, Rows, monday_of


@dataclass(frozen=True, eq=False)
class Changes:
    """m customers who have lived differently, by row of the log."""

    monday: int
    """The day after the last of the four weeks, in days since 1970."""
    rows: Rows
    z: np.ndarray
    """Beside customers with about as many events, in robust standard deviations."""
    events: tuple[Rows, Rows]
    """In the eight weeks before, and in the last four."""
    behaviours: list[tuple[Unlike, ...]]
    """Habits that are most surely others than before, the surest first."""


def news(comparison: Comparison) -> Changed | None:
    """Who was found in weeks that ended since the earlier snapshot; None where none has, or nobody asks."""
    earlier = comparison.earlier
    lately, histories = comparison.later.segments.changed(), earlier.embeddings.histories
    since = earlier.segments.changed().monday
    if histories is not None and len(histories.last):
        since = max(since, monday_of(int(histories.last.max())))
    return lately.told(since) if lately.monday > since else None


def described(found: Changed, log: EventLog, aside: Collection[str] = ()) -> Changes:
    """The same with what changed in their habits. Fields `aside` are no habits."""
    marks = Marks.at(log, found.rows, found.monday)
    return Changes(found.monday, found.rows, found.z, marks.events, _habits(log, marks, aside))


def _habits(events: EventLog, marks: Marks, aside: Collection[str]) -> list[tuple[Unlike, ...]]:
    out: list[tuple[Unlike, ...]] = []
    for start in range(0, len(marks.customers), AT_ONCE):
        part = marks.of(np.arange(start, min(start + AT_ONCE, len(marks.customers))))
        both = [
            behaviour(only(events, part.customers, first, last))
            for first, last in ((part.earlier, part.lately), (part.lately, part.end))
        ]
        rows = np.arange(len(part.customers))
        out += Habits(both[0], both[1], aside).other(rows, rows)
    return out
