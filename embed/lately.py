"""Vectors of a part of each history alone, such as the last four weeks, made by the same encoder.

A vector of a long history hardly moves when habits change. The same encoder over the last four weeks tells of new
habits after four weeks and not after ten, with more noise.
"""

from dataclasses import replace

import numpy as np

from embed.config import EmbedConfig
from embed.run import BLOCK, best_device
from eventlog.sequences import EventLog
from store.threads import set_threads
from train.artifact import Model
from train.encode import ROUND, length_buckets, states, torch_threads


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
