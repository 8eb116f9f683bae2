"""Vectors of what customers did lately: of the last days of each history alone, made by the same encoder.

A vector of a long history hardly moves when habits change. The same encoder over the last four weeks tells of new
habits after four weeks and not after ten, with more noise: good for asking who behaves like another group by now.
Whole weeks count, up to the one that a customer's own last event is in: nothing changes for who has no new events, no
weekday counts twice, and answers change once a week and not every night.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from embed.config import EmbedConfig
from embed.run import BLOCK, best_device
from eventlog.recode import recoded
from eventlog.sequences import DAY, EventLog
from store.threads import set_threads
from train.artifact import Model
from train.encode import ROUND, length_buckets, states, torch_threads
from train.forecast import rows_before

WEEK, MONDAY = 7 * DAY, 3 * DAY
"""1 January 1970 was a Thursday."""
FEWEST = 40
"""Events that are read at least, where the history has so many: fewer tell little."""

Lately = Callable[[np.ndarray, int], np.ndarray]
"""Rows int64 [q] of the population and a number of days, to their vectors float32 [q, d]."""


def lately(config: EmbedConfig, model: Model, log: EventLog) -> Lately:
    """What gives the vectors of customers of `log` from their last days.

    It raises ConflictError where the log's fields are not those that the model was trained on.
    """

    def vectors(customers: np.ndarray, days: int) -> np.ndarray:
        events = recoded(log, model.schema)
        return of_runs(config, model, events, customers, *last_days(events, customers, days))

    return vectors


def of_runs(
    config: EmbedConfig, model: Model, events: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Vectors float32 [q, d] of customers [q] from their rows `begin` to `end` [q] alone, at least one each.

    `events` are in the terms of the model's dictionaries (`eventlog.recode`).
    """
    out = np.empty((len(customers), model.width), np.float32)
    set_threads()
    with torch_threads(config.threads), best_device(model) as encoder:
        for start in range(0, len(customers), BLOCK):
            block = slice(start, start + BLOCK)
            run = only(events, customers[block], begin[block], end[block])
            for part in length_buckets(np.diff(run.offsets), config.batch_events, longest=ROUND):
                first, last = run.offsets[part], run.offsets[part + 1]
                out[start + part] = encoder.vectors(states(encoder, run, part, first, last))
    return out


def only(log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray) -> EventLog:
    """The rows `begin` to `end` [q] of some customers, as if they had no other events."""
    counts = end - begin
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], counts)
    codes, values, time = (np.asarray(column[rows]) for column in (log.codes, log.values, log.time))
    who = log.customers.gather(customers)
    return replace(log, customers=who, offsets=offsets, codes=codes, values=values, time=time)


def last_days(log: EventLog, customers: np.ndarray, days: int) -> tuple[np.ndarray, np.ndarray]:
    """From and up to which row are each customer's events of some days before the week of the last one, int64 [q] each.

    A week begins on Monday, midnight UTC. Where these are fewer than FEWEST events, earlier ones are taken as well, and
    where there are none before that week, all.
    """
    first, stop = log.offsets[customers], log.offsets[customers + 1]
    last = np.asarray(log.time[stop - 1])
    monday = last - (last + MONDAY) % WEEK
    end = rows_before(log, customers, monday)
    end = np.where(end > first, end, stop)
    begin = rows_before(log, customers, monday - days * DAY)
    return np.maximum(first, np.minimum(begin, end - FEWEST)), end
