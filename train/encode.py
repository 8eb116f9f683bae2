"""From histories to states: new events folded into what is carried, in bounded memory, without padding."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from eventlog.sequences import EventLog
from store.threads import wished_threads
from train.encoder import Encoder, State, event_tensors
from train.packing import pack
from train.pools import gather, joined, pooled

ROUND = 128
"""Longest run of events of one customer in one pass of the body; longer histories take several, carrying the state.
Short enough that many customers go through together: a recurrent step over few rows is mostly overhead."""
PIECE = 40_000
"""Events that are pooled at once."""


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads (0: as many as before) for a while, and NumPy with those of this process.

    A recurrent step is a small product: on a busy machine several threads wait longer for each other than one takes.
    NumPy's BLAS keeps the number that it found when it was loaded, and its last bits depend on it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        with threadpool_limits(wished_threads(), user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def length_buckets(
    lengths: np.ndarray, budget: int = 40_000, most: int = 2048, longest: int | None = None
) -> Iterator[np.ndarray]:
    """Positions of customers, similar lengths together, each bucket of at most `budget` events and `most` customers.

    A history counts for at most `longest` events: ROUND, where longer ones go through in rounds. One that is longer
    than the budget is a bucket of its own.
    """
    order = np.argsort(lengths, kind="stable")
    cost = np.cumsum(lengths[order] if longest is None else np.minimum(lengths[order], longest))
    start = 0
    while start < len(order):
        spent = cost[start - 1] if start else 0
        stop = min(max(int(np.searchsorted(cost, spent + budget, side="right")), start + 1), start + most)
        yield order[start:stop]
        start = stop


@torch.no_grad()
def hidden_states(
    encoder: Encoder,
    log: EventLog,
    customers: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Hidden states float32 [S, H] after events begin[i] .. end[i] of each customer, from `start` [S, H] or zeros."""
    hidden = np.zeros((len(customers), encoder.hidden), np.float32) if start is None else start.copy()
    device = encoder.head.mean.device
    first_rows = log.offsets[customers]
    done = begin.copy()
    while (left := np.flatnonzero(done < end)).size:
        stop = np.minimum(done[left] + ROUND, end[left])
        packed = pack(done[left], stop)
        events = event_tensors(log, encoder.scales, packed, first_rows[left]).to(device)
        last = encoder.body.last_states(events, packed, torch.from_numpy(hidden[left]).to(device))
        hidden[left] = last.float().cpu().numpy()
        done[left] = stop
    return hidden


def states(encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray) -> State:
    """States of customers (positions in the log) after events begin[i] .. end[i] alone, each at least one event.

    Callers cut a population into `length_buckets`; pools are wide, so this is not for everybody at once.
    """
    return State(*_pooled(encoder, log, customers, begin, end), hidden_states(encoder, log, customers, begin, end))


def fold(
    encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray, state: State
) -> State:
    """States after events begin[i] .. end[i] are added to `state`; those events must be later than what it holds."""
    new = _pooled(encoder, log, customers, begin, end)
    pools = joined((state.cells, state.clock, state.recent), new, np.asarray(log.time[begin]))
    return State(*pools, hidden_states(encoder, log, customers, begin, end, state.hidden))


def continued(
    encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray, hidden: np.ndarray
) -> State:
    """States after event end[i], where `hidden` [S, H] are the hidden states after begin[i]; the rest is read from each
    customer's first event on."""
    pools = _pooled(encoder, log, customers, log.offsets[customers], end)
    return State(*pools, hidden_states(encoder, log, customers, begin, end, hidden))


def _pooled(
    encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pools, clock and recent sums of events begin[i] .. end[i], read a PIECE at a time."""
    reached = np.cumsum(end - begin) // PIECE
    parts = []
    for some in np.split(np.arange(len(customers)), np.flatnonzero(np.diff(reached)) + 1):
        events = gather(log, customers[some], begin[some], end[some])
        parts.append(pooled(encoder.layout, events, len(some)))
    if len(parts) == 1:  # as a rule; pools are wide, and a copy of them is dear
        return parts[0]
    cells, clock, recent = (np.concatenate(column) for column in zip(*parts, strict=True))
    return cells, clock, recent
