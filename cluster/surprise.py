"""How unlike themselves customers were in their new events, judged by habits: shares of events by value and by hour.

For the new events of a customer, the score is by how much likelier they are of everybody than of this customer:
sum over habits of k ln(q / p), with k new events of a habit, q its share among everybody's events and p among the
customer's own before, which counts for as much as there is of it (q is worth PRIOR events). The fields of one event go
together, so that the score is no likelihood; it is therefore judged beside the scores of other customers with about as
many new events and as long a history: robust z, (score - median) / (1.4826 median absolute deviation) (Iglewicz and
Hoaglin, "How to Detect and Handle Outliers", 1993, who take 3.5 for the threshold).

Legend: m customers, f habits.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cluster.gate import MAD_TO_SD
from cluster.names import terse_fields
from cluster.shifts import LEAST_SHARE, worded

if TYPE_CHECKING:
    from eventlog.behaviour import Behaviour, Feature

EVERYBODY = 20_000
"""Customers that everybody's habits are read from, evenly spread over the rows."""
CELLS = 1 << 21
PRIOR = 20.0
"""Events that everybody's habits are worth beside a customer's own."""
LEAST_HISTORY = 20
"""Customers with fewer events before have no habits to be unlike."""
PEERS = 50
"""Customers that a bin needs to say what is usual in it."""
RARE = 1e-9

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surprise:
    """The customers with new events and enough history, and how unlike themselves they were."""

    places: Rows
    """int64 [m], ascending: which of the customers that were asked about."""
    new: Rows
    """int64 [m]: new events."""
    history: Rows
    """int64 [m]: events before."""
    z: Floats
    """float64 [m]: beside customers alike, in robust standard deviations; 0 where there are too few of these."""


@dataclass(frozen=True)
class Unlike:
    """A habit that somebody's new events are unlike in."""

    feature: str
    """Name of the behaviour."""
    words: str
    before: float
    """Share of the events before."""
    after: float
    """Share of the new ones, or of those of the later weeks."""


class Habits:
    """Everybody's habits in an earlier snapshot, and the ones that both snapshots have."""

    def __init__(self, earlier: "Behaviour", later: "Behaviour", aside: Collection[str] = ()) -> None:
        """`aside`: fields that count for nothing."""
        places = {feature.name: i for i, feature in enumerate(earlier.features)}
        both = [
            (places[feature.name], i)
            for i, feature in enumerate(later.features)
            if feature.name in places and _is_habit(feature) and feature.field not in aside
        ]
        self.features = [later.features[i] for _, i in both]
        self._columns = (np.array([was for was, _ in both], np.int64), np.array([now for _, now in both], np.int64))
        self._events = tuple(
            next((i for i, feature in enumerate(side.features) if feature.name == "events"), -1)
            for side in (earlier, later)
        )
        self._matrices = earlier.matrix, later.matrix
        self._terse = terse_fields(later.features)
        self.everybody = self._everybody() if self.known else np.zeros(0)
        """float64 [f]: share of all events, above 0."""

    @property
    def known(self) -> bool:
        """Whether there is anything to judge by."""
        return bool(self.features) and min(self._events) >= 0

    def _everybody(self) -> Floats:
        n = len(self._matrices[0])
        rows = np.unique(np.linspace(0, n - 1, min(n, EVERYBODY)).astype(np.int64)) if n else np.zeros(0, np.int64)
        shares, events = self._read(0, rows)
        return np.asarray(np.maximum((shares * events[:, None]).sum(axis=0) / max(events.sum(), 1.0), RARE))

    def _read(self, side: int, rows: Rows) -> tuple[Floats, Floats]:
        """Shares [rows, f] and numbers of events [rows] in one of the snapshots."""
        found = np.asarray(self._matrices[side][rows], dtype=np.float64)
        return found[:, self._columns[side]], np.rint(found[:, self._events[side]])

    def new_events(self, before: Rows, after: Rows) -> tuple[Rows, Rows]:
        """int64 [rows], int64 [rows]: new events, and those before, of customers at these rows of both snapshots."""
        was, now = (
            np.concatenate([np.rint(matrix[rows[part], at]) for part in _parts(len(rows), matrix.shape[1])] or [[]])
            for matrix, rows, at in zip(self._matrices, (before, after), self._events, strict=True)
        )
        return (now - was).astype(np.int64), was.astype(np.int64)

    def parts(self, before: Rows, after: Rows) -> tuple[Floats, Floats, Floats]:
        """What each habit adds to the scores of customers [rows, f], their shares before, and among new events."""
        was, had = self._read(0, before)
        now, have = self._read(1, after)
        new = np.maximum(np.rint(now * have[:, None] - was * had[:, None]), 0.0)
        own = (was * had[:, None] + PRIOR * self.everybody) / (had + PRIOR)[:, None]
        fresh = new / np.maximum(have - had, 1.0)[:, None]
        return new * np.log(self.everybody / own), was, fresh

    def scores(self, before: Rows, after: Rows) -> Floats:
        """float64 [m]: the scores of customers."""
        width = max(self._matrices[0].shape[1], self._matrices[1].shape[1])
        found = [self.parts(before[part], after[part])[0].sum(axis=1) for part in _parts(len(before), width)]
        return np.concatenate(found) if found else np.zeros(0)

    def unlike(self, before: Rows, after: Rows, most: int = 3) -> list[tuple[Unlike, ...]]:
        """For each of m customers the habits that add most, strongest first, none of a value twice."""
        width = max(self._matrices[0].shape[1], self._matrices[1].shape[1])
        out = []
        for part in _parts(len(before), width):
            for adds, was, now in zip(*self.parts(before[part], after[part]), strict=True):
                out.append(self._told(adds, was, now, most))
        return out

    def other(self, before: Rows, after: Rows, most: int = 3) -> list[tuple[Unlike, ...]]:
        """For each of m customers the habits whose shares are most surely others than before, the surest first.

        By the z of two shares with a pooled variance; none of a difference that is too small to tell of.
        """
        was, had = self._read(0, before)
        now, have = self._read(1, after)
        pooled = (was * had[:, None] + now * have[:, None]) / np.maximum(had + have, 1)[:, None]
        chance = pooled * (1 - pooled) * (1 / np.maximum(had, 1) + 1 / np.maximum(have, 1))[:, None]
        apart = np.abs(now - was)
        sure = np.where(apart >= LEAST_SHARE, apart / np.sqrt(np.maximum(chance, RARE)), 0.0)
        return [self._told(*of_one, most, falling=True) for of_one in zip(sure, was, now, strict=True)]

    def _told(self, adds: Floats, was: Floats, now: Floats, most: int, falling: bool = False) -> tuple[Unlike, ...]:
        chosen: list[Unlike] = []
        for i in np.argsort(-adds, kind="stable")[:most].tolist():
            if adds[i] > 0 and (falling or now[i] > was[i]):
                feature = self.features[i]
                words = worded(feature, float(was[i]), float(now[i]), self._terse)
                chosen.append(Unlike(feature.name, words, round(float(was[i]), 4), round(float(now[i]), 4)))
        return tuple(chosen)


def surprise(habits: Habits, before: Rows, after: Rows) -> Surprise:
    """How unlike themselves customers were, who stand at these rows of the earlier and of the later snapshot."""
    nobody = np.zeros(0, np.int64)
    if not habits.known:
        return Surprise(nobody, nobody, nobody, np.zeros(0))
    new, history = habits.new_events(before, after)
    places = np.flatnonzero((new > 0) & (history >= LEAST_HISTORY))
    new, history = new[places], history[places]
    return Surprise(places, new, history, usual(habits.scores(before[places], after[places]), new, history))


def usual(scores: Floats, new: Rows, history: Rows) -> Floats:
    """float64 [m]: robust z of scores among customers with about as many new events and as long a history.

    Where these are too few, among all with about as many new events; where these are, too, nobody is unusual.
    """
    return Peers.of(scores, new, history).z(scores, new, history)


@dataclass(frozen=True, eq=False)
class Peers:
    """What scores are usual, by numbers of new events and lengths of history."""

    bins: tuple[Rows, Rows]
    """int64, ascending: bins with PEERS customers or more, by new events alone, and by both."""
    middles: tuple[Floats, Floats]
    spreads: tuple[Floats, Floats]
    """Of the scores in each bin."""

    @classmethod
    def of(cls, scores: Floats, new: Rows, history: Rows) -> "Peers":
        """From the scores of m customers."""
        found = [_bins_of(scores, bins) for bins in _binned(new, history)]
        bins, middles, spreads = zip(*found, strict=True)
        return cls(bins, middles, spreads)

    def z(self, scores: Floats, new: Rows, history: Rows) -> Floats:
        """float64 [m]: robust z of the scores of customers, the same or others; 0 in bins that are not known."""
        out = np.zeros(len(scores))
        sides = zip(_binned(new, history), self.bins, self.middles, self.spreads, strict=True)
        for mine, bins, middles, spreads in sides:  # the finer one has the last word
            at = np.minimum(np.searchsorted(bins, mine), max(len(bins) - 1, 0))
            known = np.flatnonzero(bins[at] == mine) if len(bins) else np.zeros(0, np.int64)
            apart, spread = scores[known] - middles[at[known]], spreads[at[known]]
            out[known] = np.divide(apart, spread, out=np.zeros(len(known)), where=spread > 0)
        return out


def _binned(new: Rows, history: Rows) -> tuple[Rows, Rows]:
    coarse = np.floor(2 * np.log2(np.maximum(new, 1))).astype(np.int64)
    return coarse, coarse * 64 + np.floor(np.log2(np.maximum(history, 1))).astype(np.int64)


def _bins_of(scores: Floats, bins: Rows) -> tuple[Rows, Floats, Floats]:
    """The bins with enough customers, middle and spread of the scores in each."""
    order = np.argsort(bins, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(bins[order])) + 1)
    found = [(int(bins[rows[0]]), *_robust(scores[rows])) for rows in groups if len(rows) >= PEERS]
    columns = zip(*found, strict=True) if found else ((), (), ())
    numbers, middles, spreads = (np.array(column) for column in columns)
    return numbers.astype(np.int64), middles.astype(np.float64), spreads.astype(np.float64)


def _robust(scores: Floats) -> tuple[float, float]:
    """Median and robust standard deviation; 0 where all are alike."""
    middle = float(np.median(scores))
    spread = MAD_TO_SD * float(np.median(np.abs(scores - middle)))
    # where more than half are alike to a hair, all that is left is the plain spread
    return middle, spread if spread > 0 else float(scores.std())


def _is_habit(feature: "Feature") -> bool:
    """Shares of events; not of an amount, and not by weekday, of which a night has one."""
    return feature.kind == "share" and "[" not in feature.name and not feature.name.startswith("weekday=")


def _parts(m: int, width: int) -> Iterator[slice]:
    """Runs of customers, so many at once that memory stays bounded."""
    step = max(CELLS // max(width, 1), 1)
    for start in range(0, m, step):
        yield slice(start, min(start + step, m))
