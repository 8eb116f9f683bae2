"""Behaviour of a log that has grown, from that of the log before it: cost follows the customers with new events.

Legend: n customers, f features, q customers whose features are made anew.
"""

import numpy as np

from configs.errors import ConflictError
from eventlog.aggregates import CHUNK_CELLS, CHUNK_EVENTS, TOP, TOP_AMOUNTS, Behaviour, Chunk, blocks, describe, room
from eventlog.sequences import DAY, EventLog

COPY_ROWS = 1 << 14
SINCE_FIRST, SINCE_LAST = "first_event_days", "last_event_days"
"""The features that grow older with the log, whether a customer does anything or not."""


def refreshed(log: EventLog, previous: Behaviour, row: np.ndarray, changed: np.ndarray) -> Behaviour:
    """The hand-made aggregates of every customer of `log`, byte for byte those of `behaviour(log)`.

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
    matrix = room(log.n_customers, len(features))
    anew = row < 0
    anew[changed] = True
    kept, made = np.flatnonzero(~anew), np.flatnonzero(anew)
    for start in range(0, len(kept), COPY_ROWS):
        part = kept[start : start + COPY_ROWS]
        matrix[part] = previous.matrix[row[part]]
    names = [feature.name for feature in features]
    for name, ends in ((SINCE_FIRST, log.offsets[:-1]), (SINCE_LAST, log.offsets[1:] - 1)):
        matrix[:, names.index(name)] = (log.end - np.asarray(log.time[ends])) / DAY
    for who in _parts(log, made, len(features)):
        chunk, at = _gathered(log, who), 0
        for block in blocks(log, chunk, TOP, TOP_AMOUNTS):
            matrix[who, at : at + block.shape[1]] = block
            at += block.shape[1]
    return Behaviour(features, matrix)


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
