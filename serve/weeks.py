"""What the weeks before a Monday tell of customers: vectors of whole weeks, and who lives differently than before.

The last four whole weeks of a customer are compared with the eight before them. Two vectors of each are made by the
encoder that is served, from the events of those weeks alone, and judged by `cluster.changed`: as robust z among
customers with about as many events. Asked about is who did something in the last week and has events enough.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from threadpoolctl import threadpool_limits

from cluster.changed import Floats, Usual, Vectors, learn, scores
from cluster.lately import NEVER, WEEK
from cluster.surprise import Peers
from embed.config import EmbedConfig
from embed.customers import lots
from embed.lately import of_runs
from eventlog.recode import recoded
from eventlog.sequences import DAY, EventLog
from train.artifact import Model
from train.forecast import rows_before

LATELY, EARLIER = 28, 56
FEWEST_LATELY, FEWEST_EARLIER = 15, 20
"""Events that a customer needs in these days and in those before."""
FEWEST = 1000
"""Customers that are needed to say what is usual."""
LEARNT, AT_ONCE = 20_000, 8192
THURSDAY = 3
"""Days by which 1 January 1970 came after a Monday."""

Rows = np.ndarray
"""int64 [q]"""


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
    def at(cls, log: EventLog, customers: Rows, monday: int) -> "Marks":
        """Of the weeks before a Monday, in days since 1970 UTC."""
        days = (EARLIER + LATELY, LATELY, WEEK, 0)
        return cls(customers, *(rows_before(log, customers, (monday - back) * DAY) for back in days))

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
class WeekVectors:
    """Makes the vectors of two stretches of weeks."""

    config: EmbedConfig
    model: Model
    events: EventLog

    def __call__(self, marks: Marks) -> tuple[Vectors, Vectors]:
        """float32 [q, d] of the earlier weeks, and lately."""
        return self._of(marks.customers, marks.earlier, marks.lately), self.lately(marks)

    def lately(self, marks: Marks) -> Vectors:
        """float32 [q, d] of the last weeks alone."""
        return self._of(marks.customers, marks.lately, marks.end)

    def _of(self, customers: Rows, begin: Rows, end: Rows) -> Vectors:
        return of_runs(self.config, self.model, self.events, customers, begin, end)


@dataclass(frozen=True, eq=False)
class Judge:
    """Knows what is usual in some weeks."""

    vectors: WeekVectors
    usual: Usual
    peers: Peers
    drawn: Rows
    """int64 [l], ascending places among those who can be judged: whom it was learnt from."""
    score: Floats
    """float64 [l], theirs."""

    def z(self, marks: Marks) -> Floats:
        """float64 [q] of all who can be judged, a few thousand customers at a time."""
        score = np.zeros(len(marks.customers))
        score[self.drawn] = self.score
        others = np.setdiff1d(np.arange(len(score)), self.drawn, assume_unique=True)
        for start in range(0, len(others), AT_ONCE):
            part = others[start : start + AT_ONCE]
            with threadpool_limits(1, user_api="blas"):
                score[part] = scores(self.usual, *self.vectors(marks.of(part)))
        return self.peers.z(score, *reversed(marks.events))


def learnt(vectors: WeekVectors, monday: int) -> tuple[Marks, Judge | None]:
    """Everybody who can be judged by the weeks before a Monday, and what is usual in them; None of too few.

    It is learnt from a draw by id, which is nearly the same next week.
    """
    events = vectors.events
    marks = Marks.at(events, np.arange(events.n_customers), monday)
    marks = marks.of(np.flatnonzero(marks.enough))
    if len(marks.customers) < FEWEST:
        return marks, None
    drawn = np.sort(np.argsort(lots(events.customers.gather(marks.customers), 0), kind="stable")[:LEARNT])
    some = marks.of(drawn)
    both = vectors(some)
    with threadpool_limits(1, user_api="blas"):
        usual = learn(*both)
        if usual is None:
            return marks, None
        score = scores(usual, *both)
    return marks, Judge(vectors, usual, Peers.of(score, *reversed(some.events)), drawn, score)


def monday_of(last: int) -> int:
    """The last Monday of which all days before are in events up to `last` (microseconds since 1970), in days since."""
    days = last // DAY + 1
    return days - (days + THURSDAY) % WEEK


@dataclass(frozen=True, eq=False)
class EventWeeks:
    """Weeks of the customers of a log, as segments ask about them (`cluster.lately.Weeks`)."""

    config: EmbedConfig
    model: Model
    log: EventLog

    @cached_property
    def last(self) -> int:
        """The last Monday of which all days before are in the events; NEVER where there are none."""
        log = self.log
        return monday_of(int(np.asarray(log.time[log.offsets[1:] - 1]).max())) if log.n_events else NEVER

    @cached_property
    def vectors_of(self) -> WeekVectors:
        """Raises ConflictError where the log's fields are not those that the model was trained on."""
        return WeekVectors(self.config, self.model, recoded(self.log, self.model.schema))

    def changed(self, monday: int, least_z: float) -> tuple[Rows, np.ndarray]:
        """Who has lived differently: ascending rows int64 [m], and how unusually, robust z float32 [m], at least so."""
        marks, judge = learnt(self.vectors_of, monday)
        if judge is None:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        z = judge.z(marks)
        over = np.flatnonzero(z >= least_z)
        return marks.customers[over], z[over].astype(np.float32)

    def vectors(self, monday: int, rows: Rows) -> tuple[Rows, Vectors]:
        """Of some customers those who have events enough, as positions in `rows`, and vectors of their last weeks."""
        marks = Marks.at(self.vectors_of.events, rows, monday)
        places = np.flatnonzero(marks.events[1] >= FEWEST_LATELY)
        return places, self.vectors_of.lately(marks.of(places))
