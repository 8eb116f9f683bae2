"""Behaviour of a log that has grown, from that of the log before it: cost follows the customers with new events.

Legend: n customers, f features, q customers whose features are made anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from configs.errors import ConflictError
from eventlog.aggregates import (
    CHUNK_CELLS,
    CHUNK_EVENTS,
    TOP,
    TOP_AMOUNTS,
    Behaviour,
    Chunk,
    Feature,
    blocks,
    describe,
    room,
)
from eventlog.behaviour_layers import MOST_ABOVE, MOST_LAYERS, LayeredMatrix
from eventlog.sequences import DAY, EventLog

COPY_ROWS = 1 << 11
"""Customers copied at once: as few as stay in the processor's cache until they are hashed and written."""
SINCE_FIRST, SINCE_LAST = "first_event_days", "last_event_days"
"""The features that grow older with the log, whether a customer does anything or not."""


def refreshed(log: EventLog, previous: Behaviour, row: np.ndarray, changed: np.ndarray) -> "Refreshed":
    """The hand-made aggregates of every customer of `log`, byte for byte those of `behaviour(log)`, in pieces.

    `row` int64 [n] is each customer's row in `previous`, -1 of a new one; `changed` int64 are the rows of customers
    whose events are not what they were then. `log` is in the terms of the dictionaries that `previous` was made with
    (`eventlog.recode`). Raises ConflictError where it is not, since the features are others then.
    """
    features = describe(log, TOP, TOP_AMOUNTS)
    if features != previous.features:
        raise ConflictError(
            f"the features of log {log.key} are not those of the behaviour before it; recode the log with the "
            "dictionaries of the model first, or make all of its behaviour anew"
        )
    anew = row < 0
    anew[changed] = True
    made = np.flatnonzero(anew)
    fresh = _made(log, made, len(features))
    return Refreshed(features, log, previous, row, made, fresh)


@dataclass(frozen=True, eq=False)
class Refreshed:
    """Behaviour in pieces of rows, so that a matrix larger than memory is written once and read once."""

    features: tuple[Feature, ...]
    log: EventLog
    previous: Behaviour
    row: np.ndarray
    """int64 [n]: row in `previous`; -1 of a new customer."""
    made: np.ndarray
    """int64 [q], ascending: rows of the customers whose features were made anew."""
    fresh: np.ndarray
    """float32 [q, f]: their features."""

    @property
    def since(self) -> tuple[int, int]:
        """Columns of the days since the first and since the last event."""
        names = [feature.name for feature in self.features]
        return names.index(SINCE_FIRST), names.index(SINCE_LAST)

    @property
    def shape(self) -> tuple[int, int]:
        """Customers and features."""
        return self.log.n_customers, len(self.features)

    def pieces(self) -> Iterator[np.ndarray]:
        """The matrix from its first row on, float32 [some, f] at a time, in the same room each time."""
        begin, end, log = self.log.offsets[:-1], self.log.offsets[1:] - 1, self.log
        room = np.empty((COPY_ROWS, len(self.features)), np.float32)
        since = list(zip(self.since, (begin, end), strict=True))
        for start in range(0, log.n_customers, COPY_ROWS):
            part = slice(start, min(start + COPY_ROWS, log.n_customers))
            piece = room[: part.stop - start]
            piece[:] = self.previous.matrix[np.maximum(self.row[part], 0)]
            for column, ends in since:
                piece[:, column] = (log.end - np.asarray(log.time[ends[part]])) / DAY
            first, last = np.searchsorted(self.made, [start, part.stop])
            piece[self.made[first:last] - start] = self.fresh[first:last]
            yield piece

    def layered(self) -> "Layer | None":
        """What a layer on top of the previous behaviour holds; None where a plain matrix is to be written.

        That is where layers have become many or thick, and where the previous ones hold a customer who is gone:
        nothing is linked that holds more than the customers who are there.
        """
        below, row = self.previous.matrix, self.row
        layered = isinstance(below, LayeredMatrix)
        sizes = [len(layer) for layer in below.layers] if isinstance(below, LayeredMatrix) else [len(below)]
        above = sum(sizes[1:]) + len(self.made)
        kept = np.flatnonzero(row >= 0)
        if len(sizes) > MOST_LAYERS or above > MOST_ABOVE * sizes[0] or len(kept) < len(below):
            return None
        rows, moments = np.empty(len(row), np.int64), np.empty((len(row), 2), np.int64)
        asked = self.made if layered else np.arange(len(row))
        if isinstance(below, LayeredMatrix):
            rows[kept], moments[kept] = below.rows[row[kept]], below.moments[row[kept]]
        else:
            rows[kept] = row[kept]
        rows[self.made] = sum(sizes) + np.arange(len(self.made))
        for column, ends in enumerate((self.log.offsets[:-1], self.log.offsets[1:] - 1)):
            moments[asked, column] = self.log.time[ends[asked]]
        return Layer(len(sizes), rows, moments, self.fresh, self.log.end, self.since)

    def whole(self) -> Behaviour:
        """All of it at once, in memory."""
        return Behaviour(
            self.features,
            np.concatenate([np.empty((0, len(self.features)), np.float32), *map(np.array, self.pieces())]),
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """What a night adds to the behaviours before it; see `eventlog.behaviour_layers`."""

    number: int
    """Layers below."""
    rows: np.ndarray
    moments: np.ndarray
    fresh: np.ndarray
    """float32 [q, f]: rows of the layer itself."""
    end: int
    since: tuple[int, int]


def _made(log: EventLog, made: np.ndarray, width: int) -> np.ndarray:
    """Features float32 [q, f] of some customers, ascending rows of the log, from their whole histories."""
    out = room(len(made), width)
    for who in _parts(log, made, width):
        chunk, at = _gathered(log, who), 0
        places = np.searchsorted(made, who)
        for block in blocks(log, chunk, TOP, TOP_AMOUNTS):
            out[places, at : at + block.shape[1]] = block
            at += block.shape[1]
    return out


def _parts(log: EventLog, who: np.ndarray, width: int) -> list[np.ndarray]:
    """Customers int64 [q] in parts with a bounded number of events and of cells; one with more stands alone."""
    events = np.cumsum(log.offsets[who + 1] - log.offsets[who])
    part = np.maximum(events - 1, 0) // CHUNK_EVENTS
    part += np.arange(len(who)) // max(CHUNK_CELLS // width, 1)
    return [some for some in np.split(who, np.flatnonzero(np.diff(part)) + 1) if len(some)]


def _gathered(log: EventLog, who: np.ndarray) -> Chunk:
    """All events of some customers."""
    begin, counts = log.offsets[who], log.offsets[who + 1] - log.offsets[who]
    starts = np.cumsum(counts) - counts
    rows = np.repeat(begin - starts, counts) + np.arange(int(counts.sum()))
    columns = (np.asarray(column[rows]) for column in (log.time, log.codes, log.values))
    return Chunk(starts, counts, np.repeat(np.arange(len(who)), counts), *columns)
