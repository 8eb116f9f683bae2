"""From histories to states: new events folded into what is carried, in bounded memory, without padding."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from eventlog.sequences import EventLog
from train.encoder import Encoder, State, event_tensors
from train.packing import pack
from train.pools import gather, joined, pooled

ROUND = 2048
"""Longest run of events of one customer in one pass of the body; longer histories take several, carrying the state."""


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads (0: as many as before) for a while.

    A recurrent step is a small product: on a busy machine several threads wait longer for each other than one takes.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def length_buckets(lengths: np.ndarray, budget: int = 40_000, most: int = 2048) -> Iterator[np.ndarray]:
    """Positions of customers, similar lengths together, each bucket of at most `budget` events and `most` customers.

    A history counts for at most ROUND events, since longer ones go through in rounds.
    """
    order = np.argsort(lengths, kind="stable")
    cost = np.cumsum(np.minimum(lengths[order], ROUND))
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
    events = gather(log, customers, begin, end)
    count = len(customers)
    return State(*pooled(encoder.layout, events, count), hidden_states(encoder, log, customers, begin, end))


def fold(
    encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray, state: State
) -> State:
    """States after events begin[i] .. end[i] are added to `state`; those events must be later than what it holds."""
    events = gather(log, customers, begin, end)
    first = events.time[np.searchsorted(events.owner, np.arange(len(customers)))]
    new = pooled(encoder.layout, events, len(customers))
    pools = joined((state.cells, state.clock, state.recent), new, first)
    return State(*pools, hidden_states(encoder, log, customers, begin, end, state.hidden))
