"""Who has lived differently for four weeks: the last four whole weeks of customers beside the eight before them.

Asked once a week, by the first night that has all days of a week, of customers who did something in it and have events
enough on both sides; whoever was as different a week ago has been told of, and is left out. Two vectors of each are
made by the encoder that is served, from the events of those weeks alone, and judged by `cluster.changed`: as robust z
among customers with about as many events. Nothing is carried from week to week.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from cluster.changed import Floats, Usual, Vectors, learn, scores
from cluster.surprise import Habits, Peers, Unlike
from embed.artifact import Embeddings
from embed.config import EmbedConfig
from embed.customers import lots
from embed.lately import of_runs, only
from eventlog.behaviour import behaviour
from eventlog.recode import recoded
from eventlog.sequences import DAY, SECOND, EventLog
from train.artifact import Model
from train.forecast import rows_before

LATELY, EARLIER, WEEK = 28, 56, 7
FEWEST_LATELY, FEWEST_EARLIER = 15, 20
"""Events that a customer needs in these days and in those before."""
FEWEST = 1000
"""Customers that are needed to say what is usual."""
LEARNT, AT_ONCE = 20_000, 8192

Rows = np.ndarray
"""int64 [q]"""


@dataclass(frozen=True, eq=False)
class Changes:
    """m customers who have lived differently, by row of the log."""

    rows: Rows
    z: Floats
    """Beside customers with about as many events, in robust standard deviations."""
    events: tuple[Rows, Rows]
    """In the eight weeks before, and in the last four."""
    behaviours: list[tuple[Unlike, ...]]
    """Habits that are most surely others than before, the surest first."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Where the weeks of customers begin and end: rows of the log, int64 [q] each."""

    customers: Rows
    earlier: Rows
    lately: Rows
    week: Rows
    """The last of the four."""
    end: Rows

    @classmethod
    def at(cls, log: EventLog, customers: Rows, end: int) -> "Marks":
        """Of the weeks before `end`, microseconds since 1970 UTC."""
        days = (EARLIER + LATELY, LATELY, WEEK, 0)
        return cls(customers, *(rows_before(log, customers, end - back * DAY) for back in days))

    @property
    def events(self) -> tuple[Rows, Rows]:
        """How many in the earlier weeks and lately."""
        return self.lately - self.earlier, self.end - self.lately

    @property
    def enough(self) -> np.ndarray:
        """bool [q]: who has enough to be judged by, some of it in the last week."""
        before, now = self.events
        return (before >= FEWEST_EARLIER) & (now >= FEWEST_LATELY) & (self.end > self.week)

    def of(self, places: np.ndarray) -> "Marks":
        """Some of the customers."""
        return Marks(*(getattr(self, name)[places] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Weeks:
    """What is told of the weeks before a Monday."""

    monday: date
    changes: Changes


def week_ended(before: date, as_of: date) -> date | None:
    """The last Monday of which all days before are in the events up to `as_of` and were not in those up to `before`."""
    mondays = [end - timedelta(days=end.weekday()) for end in (day + timedelta(days=1) for day in (before, as_of))]
    return mondays[1] if mondays[1] > mondays[0] else None


def last_day(embeddings: Embeddings) -> date:
    """The day of the last event that vectors were made of; of vectors that do not tell it, the first of all days."""
    if embeddings.histories is None:
        return date.min
    return datetime.fromtimestamp(int(embeddings.histories.last.max()) / SECOND, UTC).date()


def changes(
    config: EmbedConfig, model: Model, log: EventLog, monday: date, least_z: float, aside: Collection[str] = ()
) -> Changes:
    """Who has lived differently in the weeks up to `monday`, from `least_z` on. Fields `aside` are no habits.

    Raises ConflictError where the log's fields are not those that the model was trained on.
    """
    events = recoded(log, model.schema)
    end = int(datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp()) * SECOND
    vectors = WeekVectors(config, model, events)
    marks, judge = learnt(vectors, end)
    if judge is None:
        nobody = np.zeros(0, np.int64)
        return Changes(nobody, np.zeros(0), (nobody, nobody), [])
    z = judge.z(marks)
    over = np.flatnonzero(z >= least_z)
    if len(over):
        # what was told a week ago is asked again instead of remembered: nothing is carried, nothing has to be erased
        week_ago = Marks.at(events, marks.customers[over], end - WEEK * DAY)
        known = np.flatnonzero(week_ago.enough)
        before = learnt(vectors, end - WEEK * DAY)[1]
        told = known[before.z(week_ago.of(known)) >= least_z] if before is not None else known[:0]
        over = np.delete(over, told)
    found = marks.of(over)
    return Changes(found.customers, z[over], found.events, _habits(events, found, aside))


@dataclass(frozen=True, eq=False)
class WeekVectors:
    """Makes the vectors of two stretches of weeks."""

    config: EmbedConfig
    model: Model
    events: EventLog

    def __call__(self, marks: Marks) -> tuple[Vectors, Vectors]:
        """float32 [q, d] of the earlier weeks, and lately."""
        of = partial(of_runs, self.config, self.model, self.events, marks.customers)
        return of(marks.earlier, marks.lately), of(marks.lately, marks.end)


@dataclass(frozen=True, eq=False)
class _Judge:
    """Knows what is usual in some weeks."""

    vectors: WeekVectors
    usual: Usual
    peers: Peers

    def z(self, marks: Marks) -> Floats:
        """float64 [q], a few thousand customers at a time."""
        out = np.zeros(len(marks.customers))
        for start in range(0, len(out), AT_ONCE):
            part = np.arange(start, min(start + AT_ONCE, len(out)))
            some = marks.of(part)
            with threadpool_limits(1, user_api="blas"):
                score = scores(self.usual, *self.vectors(some))
            out[part] = self.peers.z(score, *reversed(some.events))
        return out


def learnt(vectors: WeekVectors, end: int) -> tuple[Marks, _Judge | None]:
    """Everybody who can be judged by the weeks before `end`, and what is usual in them; None where these are too few.

    It is learnt from a draw by id, which is nearly the same next week.
    """
    events = vectors.events
    marks = Marks.at(events, np.arange(events.n_customers), end)
    marks = marks.of(np.flatnonzero(marks.enough))
    if len(marks.customers) < FEWEST:
        return marks, None
    drawn = np.argsort(lots(events.customers.gather(marks.customers), 0), kind="stable")[:LEARNT]
    some = marks.of(np.sort(drawn))
    both = vectors(some)
    with threadpool_limits(1, user_api="blas"):
        usual = learn(*both)
        if usual is None:
            return marks, None
        score = scores(usual, *both)
    return marks, _Judge(vectors, usual, Peers.of(score, *reversed(some.events)))


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
