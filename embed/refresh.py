"""Embeddings of a log that has grown, from those of the log before it: cost follows the new events.

A customer without new events keeps its vector. One with later events alone has them folded into the carried state. One
whose history changed otherwise (a late event, an event that is gone, one at the very time of the last known) is
replayed from the start, as is a new customer and one whose history was too short for a state to be kept. The result
equals embedding everyone again within 1e-5. Logs only grow: an event that was exchanged for another one at the same
place goes unnoticed.

What changed is worked out first, some thousand customers at a time; then all rows up to the last of them are written in
order, each once, and hashed on the way. Written where they belong one by one, rows of 1 KB would make the disk's cache
take and fill every page of 4 KB twice, and the file would be read again to be sealed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from configs.errors import ConflictError
from configs.progress import SILENT, Advance, Progress
from embed.arrow import in_order
from embed.artifact import KIND, VERSION, Draft, Embeddings, Histories, States, check_values
from embed.config import EmbedConfig
from embed.run import best_device, draft, put, whole
from embed.state import KEPT_FROM, from_rows, stored_clock
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.artifact import key_of, stands
from store.threads import set_threads
from train.artifact import Model
from train.encode import ROUND, fold, length_buckets, torch_threads
from train.encoder import Encoder, State

CLOCKS = 1 << 14
"""States whose clocks are read at once."""
GROUP = 1 << 13
"""Changed customers whose vectors and states are held in memory at once."""


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
        read = np.diff(log.offsets)
        work = int((read - changes.known)[changes.later].sum() + read[changes.replay].sum())
        with progress.task("Refreshing", work) as advance:
            _fill(config, model, log, changes, previous, made, advance)
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


def _fill(
    config: EmbedConfig,
    model: Model,
    log: EventLog,
    changes: Changes,
    previous: Embeddings,
    made: Draft,
    advance: Advance,
) -> None:
    """Fill every row, those of customers without a change from `previous`, in one pass from the first to the last."""
    anew, begin = np.sort(np.concatenate([changes.later, changes.replay])), 0
    with best_device(model) as encoder, in_order(made.vectors) as vectors, in_order(made.states.matrix) as states:
        for start in range(0, max(len(anew), 1), GROUP):
            some = anew[start : start + GROUP]
            end = int(anew[start + GROUP]) if start + GROUP < len(anew) else log.n_customers
            fresh = _anew(config, encoder, log, changes, previous, some, made, advance)
            check_values(fresh.vectors, fresh.states.matrix)
            rows = changes.row[begin:end].copy()
            rows[some - begin] = previous.n_customers + np.arange(len(some))
            vectors(rows, previous.vectors, fresh.vectors)
            first, last = np.searchsorted(made.states.rows, (begin, end))
            held = previous.states.places(changes.row[made.states.rows[first:last]])
            new = made.states.places(some[fresh.states.rows]) - first
            held[new] = len(previous.states.rows) + np.arange(len(new))
            states(held, previous.states.matrix, fresh.states.matrix)
            begin = end
    made.checked = True


def _anew(
    config: EmbedConfig,
    encoder: Encoder,
    log: EventLog,
    changes: Changes,
    previous: Embeddings,
    some: np.ndarray,
    made: Draft,
    advance: Advance,
) -> Draft:
    """Vectors and states, in memory, of some customers that changed; its rows are places in `some`, which ascends."""
    kept = np.flatnonzero(made.states.places(some) >= 0)
    states = States(kept, np.empty((len(kept), made.states.matrix.shape[1]), np.float32))
    fresh = Draft(np.empty((len(some), made.vectors.shape[1]), np.float32), states, {}, {})
    later, replay = (np.intersect1d(some, every, assume_unique=True) for every in (changes.later, changes.replay))
    folded = _folded(config, encoder, log, changes, previous, later, advance)
    for who, state in chain(folded, whole(config, encoder, log, replay, advance)):
        put(fresh, np.searchsorted(some, who), encoder, state)
    return fresh


def _folded(
    config: EmbedConfig,
    encoder: Encoder,
    log: EventLog,
    changes: Changes,
    previous: Embeddings,
    later: np.ndarray,
    advance: Advance,
) -> Iterator[tuple[np.ndarray, State]]:
    """Some customers with later events alone, and their states with these folded in, batch by batch."""
    since, until = (log.offsets[:-1] + changes.known)[later], log.offsets[1:][later]
    for part in length_buckets(until - since, config.batch_events, longest=ROUND):
        who = later[part]
        held = previous.states.matrix[previous.states.places(changes.row[who])]
        yield who, fold(encoder, log, who, since[part], until[part], from_rows(held, encoder))
        advance(int((until - since)[part].sum()))
