"""What a customer's vector is made of: which fields, which habits, and which recent events moved it most.

Until it is normalised, the head is linear, so a vector is exactly the sum of what each feature adds to it. A feature's
share is what it adds along the vector itself; shares of all features add up to 1. An event's weight is told by leaving
it out and encoding the history again (leave-one-out, Cook 1977).

Shapes: F features, D vector width.
"""

from dataclasses import dataclass

import numpy as np
import torch

from eventlog.sequences import DAY, EventLog
from train.artifact import Model
from train.encode import fold, states
from train.encoder import Encoder, State
from train.names import SEQUENCE, Name, feature_names


@dataclass(frozen=True)
class Share:
    """What a field or a habit adds to a vector."""

    name: str
    share: float
    """Of the whole vector, which has 1; below 0 where it pulls the other way."""


@dataclass(frozen=True)
class Habit(Share):
    """What one feature adds."""

    field: str
    more: bool
    """Whether the customer has more of it than is usual."""


@dataclass(frozen=True)
class EventShare:
    """What one event adds."""

    row: int
    """Of the event log."""
    time: int
    """Microseconds since 1970 UTC."""
    moved: float
    """1 - cosine between the vectors with and without it."""


@dataclass(frozen=True)
class Attribution:
    """Why a vector is what it is, and what moved it lately."""

    fields: list[Share]
    """What each field adds, largest first; they add up to 1."""
    habits: list[Habit]
    """The features that add most."""
    since: int
    """Start of what counts as lately, microseconds since 1970 UTC."""
    moved: float | None
    """1 - cosine between the vector before `since` and now; None for a customer who was not there before."""
    moved_fields: list[Share]
    """What each field adds to the difference, largest first; they add up to 1. Empty where nothing moved."""
    events: list[EventShare]
    """The latest events from `since` on, those that moved the vector most first."""


def attribute(
    model: Model, log: EventLog, customer: int, *, days: float = 30, habits: int = 10, events: int = 50
) -> Attribution:
    """Tell what the vector of a customer (a position in the log, in the model's terms) is made of.

    `days` before the customer's own last event count as lately; of these at most the last `events` are judged.
    """
    encoder = model.encoder
    begin, end = int(log.offsets[customer]), int(log.offsets[customer + 1])
    since = int(log.time[end - 1]) - int(days * DAY)
    first = begin + int(np.searchsorted(log.time[begin:end], since, side="right"))
    features, now = contributions(encoder, _state(encoder, log, customer, begin, end))
    names = [*feature_names(encoder.layout, model.schema), *[Name(SEQUENCE, SEQUENCE)] * encoder.hidden]
    along = now @ now.sum(0)
    strongest = np.argsort(-along[: encoder.pool_features], kind="stable")[:habits]
    told = [Habit(names[i].words, float(along[i]), names[i].field, bool(features[i] > 0)) for i in strongest]
    moved, moved_fields = None, []
    if first > begin:
        _, then = contributions(encoder, _state(encoder, log, customer, begin, first))
        moved = float(1 - then.sum(0) @ now.sum(0))
        step = now - then
        whole = step.sum(0)
        if whole @ whole > 1e-9:
            moved_fields = _by_field(names, step @ whole / (whole @ whole))
    return Attribution(
        _by_field(names, along),
        told,
        since,
        moved,
        moved_fields,
        _events(encoder, log, customer, max(first, end - events)),
    )


def contributions(encoder: Encoder, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Weighed features float64 [F] of one customer's state, and what each adds to the vector, [F, D]; the sum is it."""
    head = encoder.head
    features = head.standardised(torch.from_numpy(encoder.features_of(state)))[0].numpy().astype(np.float64)
    parts = features[:, None] * head.projection.numpy()
    parts[:, : head.behaviour] /= max(float(np.linalg.norm(parts[:, : head.behaviour].sum(0))), 1e-6)
    parts /= max(float(np.linalg.norm(parts.sum(0))), 1e-6)
    return features, parts


def _by_field(names: list[Name], shares: np.ndarray) -> list[Share]:
    total: dict[str, float] = {}
    for name, share in zip(names, shares, strict=True):
        total[name.field] = total.get(name.field, 0.0) + float(share)
    return sorted((Share(field, share) for field, share in total.items()), key=lambda share: -share.share)


def _state(encoder: Encoder, log: EventLog, customer: int, begin: int, end: int) -> State:
    return states(encoder, log, np.array([customer]), np.array([begin]), np.array([end]))


def _events(encoder: Encoder, log: EventLog, customer: int, first: int) -> list[EventShare]:
    """Each event from row `first` on left out in turn; gaps of the events after it are not counted anew."""
    begin, end = int(log.offsets[customer]), int(log.offsets[customer + 1])
    if end - begin < 2:
        return []
    rows = np.arange(first, end)
    left = np.empty((len(rows), encoder.width), np.float32)
    if rows[0] == begin:
        left[0] = encoder.vectors(_state(encoder, log, customer, begin + 1, end))[0]
    later = rows[rows > begin]
    if later.size:
        who, stop = np.full(later.size, customer), np.full(later.size, end)
        without = states(encoder, log, who, np.full(later.size, begin), later)
        left[rows > begin] = encoder.vectors(without)  # right for the last event, after which nothing comes
        inner = later[later + 1 < end]
        if inner.size:
            kept = State(*(column[: inner.size] for column in vars(without).values()))
            folded = fold(encoder, log, who[: inner.size], inner + 1, stop[: inner.size], kept)
            left[(rows > begin) & (rows + 1 < end)] = encoder.vectors(folded)
    moved = 1 - left @ encoder.vectors(_state(encoder, log, customer, begin, end))[0]
    times = np.asarray(log.time[rows])
    order = np.argsort(-moved, kind="stable")
    return [EventShare(int(rows[i]), int(times[i]), float(moved[i])) for i in order]
