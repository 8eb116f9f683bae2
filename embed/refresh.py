"""Embeddings of a log that has grown, from those of the log before it: cost follows the new events.

A customer without new events keeps its vector. One with later events alone has them folded into the carried state; of
a short history the hidden state alone is carried, which is what costs most to make again, and the rest is counted anew.
One whose history changed otherwise (a late event, an event that is gone, one at the very time of the last known) is
replayed from the start, as is a new customer. The result equals embedding everyone again within 1e-5. Logs only grow:
an event that was exchanged for another one at the same place goes unnoticed.

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
from embed.artifact import KIND, VERSION, Draft, Embeddings, Histories, check_values
from embed.config import EmbedConfig
from embed.run import best_device, draft, put, whole
from embed.state import KEPT_FROM, from_rows, stored_clock
from eventlog.recode import recoded
from eventlog.sequences import EventLog
from store.artifact import key_of, stands
from store.threads import set_threads
from train.artifact import Model
from train.encode import ROUND, continued, fold, length_buckets, torch_threads
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
    short: np.ndarray
    """int64: customers with later events alone, and a hidden state to go on from."""
    replay: np.ndarray
    """int64: customers whose history is to be replayed from the start."""

    @property
    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of whom every event is read."""
        return self.short, self.replay


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
    unknown = np.zeros(log.n_customers, bool)  # format 2 carried no hidden states; they come as histories change
    unknown[changes.same] = previous.hidden.places(changes.row[changes.same]) < 0
    with draft(folder, key, log, model, unknown) as made, torch_threads(config.threads):
        read = np.diff(log.offsets)
        work = int((read - changes.known)[changes.later].sum() + sum(read[some].sum() for some in changes.whole))
        with progress.task("Refreshing", work) as advance, best_device(model) as encoder:
            _Night(config, encoder, log, changes, previous, made, advance).fill()
        folded = len(changes.later) + len(changes.short)
        made.figures.update(unchanged=len(changes.same), folded=folded, replayed=len(changes.replay))
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
    later = grown & (after > last)  # as many up to the last known one as were read: none came late
    short = later & (previous.hidden.places(row) >= 0)
    later &= carried
    same = inside & (count == known) & (carried | (count < KEPT_FROM))
    places = [np.flatnonzero(mask) for mask in (same, later, short, ~same & ~later & ~short)]
    return Changes(row, known, *places)


def _told_by_states(previous: Embeddings) -> Histories:
    """Histories from the clocks of the states, which were kept for everybody in format 1."""
    parts = [
        stored_clock(previous.states.matrix[start : start + CLOCKS]) for start in range(0, previous.n_customers, CLOCKS)
    ]
    clock = np.concatenate(parts).astype(np.int64)
    return Histories(clock[:, 0], clock[:, 2], clock[:, 3])


@dataclass(frozen=True, eq=False)
class _Night:
    """The work of one refreshing."""

    config: EmbedConfig
    encoder: Encoder
    log: EventLog
    changes: Changes
    previous: Embeddings
    made: Draft
    advance: Advance

    def fill(self) -> None:
        """Fill every row, those of customers without a change from `previous`, in one pass from first to last."""
        made, previous, row = self.made, self.previous, self.changes.row
        anew, begin = np.sort(np.concatenate([self.changes.later, *self.changes.whole])), 0
        with (
            in_order(made.vectors) as vectors,
            in_order(made.states.matrix) as states,
            in_order(made.hidden.matrix) as hidden,
        ):
            for start in range(0, max(len(anew), 1), GROUP):
                some = anew[start : start + GROUP]
                end = int(anew[start + GROUP]) if start + GROUP < len(anew) else self.log.n_customers
                fresh = self.anew(some)
                check_values(fresh.vectors, fresh.states, fresh.hidden)
                rows = row[begin:end].copy()
                rows[some - begin] = previous.n_customers + np.arange(len(some))
                vectors(rows, previous.vectors, fresh.vectors)
                for put, now, was, new in (
                    (states, made.states, previous.states, fresh.states),
                    (hidden, made.hidden, previous.hidden, fresh.hidden),
                ):
                    first, last = np.searchsorted(now.rows, (begin, end))
                    held = was.places(row[now.rows[first:last]])
                    held[now.places(some[new.rows]) - first] = len(was.rows) + np.arange(len(new.rows))
                    put(held, was.matrix, new.matrix)
                begin = end
        made.checked = True

    def anew(self, some: np.ndarray) -> Draft:
        """Vectors and states, in memory, of some customers that changed; its rows are places in `some`, ascending."""
        made = self.made
        carried = made.states.room_for(some), made.hidden.room_for(some)
        fresh = Draft(np.empty((len(some), made.vectors.shape[1]), np.float32), *carried, {}, {})
        later, short, replay = (
            np.intersect1d(some, every, assume_unique=True) for every in (self.changes.later, *self.changes.whole)
        )
        replayed = whole(self.config, self.encoder, self.log, replay, self.advance)
        for who, state in chain(self.folded(later), self.continued(short), replayed):
            put(fresh, np.searchsorted(some, who), self.encoder, state)
        return fresh

    def folded(self, later: np.ndarray) -> Iterator[tuple[np.ndarray, State]]:
        """Some customers with later events alone, and their states with these folded in, batch by batch."""
        since, until = self.new(later)
        for part in length_buckets(until - since, self.config.batch_events, longest=ROUND):
            who = later[part]
            states = self.previous.states
            held = from_rows(states.matrix[states.places(self.changes.row[who])], self.encoder)
            yield who, fold(self.encoder, self.log, who, since[part], until[part], held)
            self.advance(int((until - since)[part].sum()))

    def continued(self, short: np.ndarray) -> Iterator[tuple[np.ndarray, State]]:
        """The same of those whose hidden states alone were kept: everything else is counted from the start."""
        since, until = self.new(short)
        begin = self.log.offsets[short]
        for part in length_buckets(until - begin, self.config.batch_events, longest=ROUND):
            who = short[part]
            hidden = self.previous.hidden
            held = hidden.matrix[hidden.places(self.changes.row[who])]
            yield who, continued(self.encoder, self.log, who, since[part], until[part], held)
            self.advance(int((until - begin)[part].sum()))

    def new(self, customers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From and up to which row of the log are the events of some customers that are not known yet."""
        return (self.log.offsets[:-1] + self.changes.known)[customers], self.log.offsets[1:][customers]
