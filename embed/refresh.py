"""Embeddings of a log that has grown, from those of the log before it: cost follows the new events.

A customer without new events keeps its vector. One with later events alone has them folded into the carried state. One
whose history changed otherwise (a late event, an event that is gone, one at the very time of the last known) is
replayed from the start, as is a new customer and one whose history was too short for a state to be kept. The result
equals embedding everyone again within 1e-5. Logs only grow: an event that was exchanged for another one at the same
place goes unnoticed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import ConflictError
from configs.progress import SILENT, Advance, Progress
from embed.arrow import copy_rows
from embed.artifact import KIND, VERSION, Draft, Embeddings, Histories
from embed.config import EmbedConfig
from embed.run import best_device, draft, embed_whole, put
from embed.state import KEPT_FROM, from_rows, stored_clock
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.artifact import key_of, stands
from store.threads import set_threads
from train.artifact import Model
from train.encode import ROUND, fold, length_buckets, torch_threads

CLOCKS = 1 << 14
"""States whose clocks are read at once."""


@dataclass(frozen=True)
class Changes:
    """Which customers of a log changed since embeddings were made; positions in the log."""

    row: np.ndarray
    """int64 [n]: the customer's row in those embeddings, -1 for a new one."""
    known: np.ndarray
    """int64 [n]: events that its state holds."""
    same: np.ndarray
    """int64: customers without a change."""
    later: np.ndarray
    """int64: customers with later events alone, and a state to fold them into."""
    replay: np.ndarray
    """int64: customers whose history is to be read from the start."""


def run(
    config: EmbedConfig, model: Model, log: EventLog, previous: Embeddings, folder: Path, progress: Progress = SILENT
) -> Embeddings:
    """Embed every customer of `log`, with `previous` embeddings of the same model where they still hold.

    Customers that are no longer in the log are left out. Raises ConflictError where `previous` is of another model or
    the log has other fields than the model, StorageError on a full disk.
    """
    key = key_of(KIND, VERSION, model.key, log.key, "refresh", previous.key)
    if stands(folder, KIND, VERSION, key):
        return Embeddings.load(folder, deep=False)
    if previous.manifest.parents.get("model") != model.key:
        raise ConflictError(
            f"{previous.folder}: vectors of model {previous.manifest.parents.get('model')}, not of {model.key}; "
            "embed everyone with this model first"
        )
    log = recoded(log, model.schema)
    set_threads()
    changes = changes_since(previous, log)
    with draft(folder, key, log, model) as made, torch_threads(config.threads):
        _copy(changes, previous, made)
        read = np.diff(log.offsets)
        work = int((read - changes.known)[changes.later].sum() + read[changes.replay].sum())
        with progress.task("Refreshing", work) as advance:
            _fold(config, model, log, changes, previous, made, advance)
            embed_whole(config, model, log, changes.replay, made, advance)
        made.figures.update(unchanged=len(changes.same), folded=len(changes.later), replayed=len(changes.replay))
        made.parents.update(eventlog=log.key, model=model.key, previous=previous.key)
    return Embeddings.load(folder, deep=False)


def changes_since(previous: Embeddings, log: EventLog) -> Changes:
    """Tell what became of each customer of the log since `previous`."""
    row = previous.rows_of(log.customers)
    was = previous.histories or _told_by_states(previous)
    known, first, last = (np.where(row >= 0, column[row], 0) for column in (was.events, was.first, was.last))
    begin, end = log.offsets[:-1], log.offsets[1:]
    count = end - begin
    inside = (row >= 0) & (known > 0) & (known <= count)
    inside &= np.asarray(log.time[begin]) == first
    at_last = np.asarray(log.time[np.where(inside, begin + known - 1, begin)])
    inside &= at_last == last
    grown = inside & (count > known)
    after = np.asarray(log.time[np.where(grown, begin + known, begin)])
    carried = previous.states.places(row) >= 0
    later = grown & (after > last) & carried  # as many up to the last known one as the state holds: none came late
    same = inside & (count == known) & (carried | (count < KEPT_FROM))
    places = [np.flatnonzero(mask) for mask in (same, later, ~same & ~later)]
    return Changes(row, known, *places)


def _told_by_states(previous: Embeddings) -> Histories:
    """Histories from the clocks of the states, which were kept for everybody in format 1."""
    parts = [
        stored_clock(previous.states.matrix[start : start + CLOCKS]) for start in range(0, previous.n_customers, CLOCKS)
    ]
    clock = np.concatenate(parts).astype(np.int64)
    return Histories(clock[:, 0], clock[:, 2], clock[:, 3])


def _copy(changes: Changes, previous: Embeddings, made: Draft) -> None:
    """Fill the rows of customers without a change."""
    copy_rows(made.vectors, changes.same, previous.vectors, changes.row[changes.same])
    places = made.states.places(changes.same)
    kept = changes.same[places >= 0]
    held = previous.states.places(changes.row[kept])
    copy_rows(made.states.matrix, places[places >= 0], previous.states.matrix, held)


def _fold(
    config: EmbedConfig,
    model: Model,
    log: EventLog,
    changes: Changes,
    previous: Embeddings,
    made: Draft,
    advance: Advance,
) -> None:
    """Fill the rows of customers with later events alone."""
    since, until = (log.offsets[:-1] + changes.known)[changes.later], log.offsets[1:][changes.later]
    with best_device(model) as encoder:
        for part in length_buckets(until - since, config.batch_events, longest=ROUND):
            who = changes.later[part]
            held = previous.states.matrix[previous.states.places(changes.row[who])]
            put(made, who, encoder, fold(encoder, log, who, since[part], until[part], from_rows(held, encoder)))
            advance(int((until - since)[part].sum()))
