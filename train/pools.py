"""Pools: exact, additive statistics of a history, and the features read off them.

Every event adds to a few cells (one for its value in each field, one for its number's bin, one for the hour, …), so
`pool + new events -> pool` is an addition, and the pool of a whole history does not depend on how it was cut. The
features are shares (square roots, Hellinger's transform) and means, both drawn towards the population's by a prior
of a few events, so that a customer with one event has sensible ones.

How much a customer does, and how lately, is a block of its own, the level: totals, how many different values, the
clock, and sums that halve in 7, 30 and 90 days (an event weighs half as much a half-life later).

Shapes: E events, N customers, P cells, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eventlog.sequences import DAY, HOUR, EventLog
from train.config import PoolConfig
from train.scales import Scales, gap_logs

CLOCK_FEATURES = 5
HALF_LIVES = (7.0, 30.0, 90.0)
"""Days in which the recent sums halve: a week's, a month's and a season's habit."""
Additions = list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]
"""Each (rows into the events, the cells that they add to, amounts or None for 1)."""


@dataclass(frozen=True)
class Block:
    """A run of cells that is normalised together."""

    kind: Literal["share", "mean"]
    start: int
    size: int
    weights: int = -1
    """Start of the cells that count what a mean's cells sum up."""


@dataclass(frozen=True)
class Events:
    """Raw columns of E events, in any order, with the customer each belongs to."""

    owner: np.ndarray
    """int64 [E], 0 .. N-1."""
    codes: np.ndarray
    """uint16 [E, C]."""
    values: np.ndarray
    """float32 [E, V], NaN where absent."""
    time: np.ndarray
    """int64 [E], microseconds UTC."""
    previous: np.ndarray
    """int64 [E], time of the customer's event before, its own time for a first event."""


class Layout:
    """Which cell means what, for a log's fields and a configuration."""

    def __init__(self, scales: Scales, config: PoolConfig) -> None:
        self.scales, self.config = scales, config
        self.blocks: list[Block] = []
        self.groups: list[int] = []
        self.own: list[bool] = []
        self.cells = 0
        fields, numbers = len(scales.vocabulary), len(scales.edges)
        when, there = fields + numbers, fields + numbers + 1
        most = share_out(scales.vocabulary, config.cells, config.values + 2)
        kept = [min(size, most) for size in scales.vocabulary]
        self.kept = kept
        self.fields = [self._share(size, f) for f, size in enumerate(kept)]
        self.bins = [self._share(len(edges) + 1, fields + v) for v, edges in enumerate(scales.edges)]
        self.hour, self.weekday, self.month_day = (self._share(size, when) for size in (24, 7, 31))
        self.gap = self._share(len(scales.gap_edges) + 1, when)
        self.category_there = [self._share(2, there) for _ in kept]
        self.number_there = [self._share(2, there) for _ in scales.edges]
        self.moments = [self._mean(2, self._plain(1), fields + v) for v in range(numbers)]
        self.totals = [self._plain(1) for _ in scales.edges]
        small = [f for f, size in enumerate(kept) if size <= config.crossed_fields]
        parts = share_out([kept[f] for f in small], config.cells // 8, config.crossed_fields)
        small = [f for f in small if kept[f] <= parts]
        self.day_parts = {f: self._share(kept[f] * 6, f, own=False) for f in small}
        self.weekends = {f: self._share(kept[f] * 2, f, own=False) for f in small}
        self.crossed = {}
        most = share_out([kept[f] for f, _ in scales.together], config.cells // 2, config.crossed_values)
        for f, v in scales.together:
            crossed = min(kept[f], most)
            if crossed:
                counts = self._plain(crossed)
                self.crossed[f, v] = (self._mean(crossed, counts, f, own=False), counts, crossed)
        self.recent = len(HALF_LIVES) * (1 + numbers)
        self.level = fields + numbers + 2
        level = numbers + fields + CLOCK_FEATURES + self.recent
        self.feature_groups = np.array([*self.groups, *[self.level] * level])
        """int64 [F]: the field that each pool feature tells of. Times, presences and the level are fields too."""
        self.feature_own = np.array([*self.own, *[True] * level])
        """bool [F]: whether the feature tells of its field alone, and is not crossed with another."""

    def _plain(self, size: int) -> int:
        start = self.cells
        self.cells += size
        return start

    def _share(self, size: int, group: int, own: bool = True) -> int:
        return self._block("share", size, group, own)

    def _mean(self, size: int, weights: int, group: int, own: bool = True) -> int:
        return self._block("mean", size, group, own, weights)

    def _block(self, kind: Literal["share", "mean"], size: int, group: int, own: bool, weights: int = -1) -> int:
        start = self._plain(size)
        self.blocks.append(Block(kind, start, size, weights))
        self.groups += [group] * size
        self.own += [own] * size
        return start


def share_out(sizes: Sequence[int], budget: int, most: int) -> int:
    """The largest cap, at most `most`, under which the capped sizes add up to no more than `budget`."""
    for cap in range(most, 0, -1):
        if sum(min(size, cap) for size in sizes) <= budget:
            return cap
    return 0


def additions(layout: Layout, events: Events) -> Additions:
    """What E events add."""
    scales = layout.scales
    every = np.arange(len(events.time))
    logs = scales.numbers(events.values)
    z = scales.standardised(logs)
    hour = events.time // HOUR % 24
    day = events.time // DAY
    weekday = (day + 3) % 7
    month_day = (
        day.astype("datetime64[D]") - day.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]")
    ).astype(np.int64)
    gaps = gap_logs(events.time, events.previous)
    out: Additions = [
        (every, layout.hour + hour, None),
        (every, layout.weekday + weekday, None),
        (every, layout.month_day + month_day, None),
        (every, layout.gap + np.searchsorted(np.asarray(scales.gap_edges), gaps), None),
    ]
    for v in range(len(scales.edges)):
        out += _of_number(layout, v, events.values[:, v], logs[:, v], z[:, v])
    for f, size in enumerate(layout.kept):
        code = events.codes[:, f].astype(np.int64)
        code = np.where(code >= size, 1, code)
        out.append((every, layout.category_there[f] + (code > 0), None))
        here = np.flatnonzero(code > 0)
        code = code[here]
        out.append((here, layout.fields[f] + code, None))
        if f in layout.day_parts:
            out.append((here, layout.day_parts[f] + code * 6 + hour[here] // 4, None))
            out.append((here, layout.weekends[f] + code * 2 + (weekday[here] >= 5), None))
        for v in range(len(scales.edges)):
            if (f, v) in layout.crossed:
                start, counts, crossed = layout.crossed[f, v]
                inside = (code < crossed) & np.isfinite(logs[here, v])
                rows = here[inside]
                out.append((rows, counts + code[inside], None))
                out.append((rows, start + code[inside], z[rows, v]))
    return out


def _of_number(layout: Layout, v: int, values: np.ndarray, logs: np.ndarray, z: np.ndarray) -> Additions:
    """What numeric field `v` adds: presence, bin, count, sums and total of its raw, logged and standardised [E]."""
    there = np.isfinite(logs)
    here = np.flatnonzero(there)
    number = z[here].astype(np.float64)
    bins = layout.bins[v] + np.searchsorted(np.asarray(layout.scales.edges[v]), logs[here])
    moments = layout.moments[v]
    return [
        (np.arange(len(there)), layout.number_there[v] + there, None),
        (here, bins, None),
        (here, np.full(len(here), moments - 1), None),
        (here, np.full(len(here), moments), number),
        (here, np.full(len(here), moments + 1), number**2),
        (here, np.full(len(here), layout.totals[v]), values[here] / layout.scales.units[v]),
    ]


def pool(layout: Layout, events: Events, customers: int) -> np.ndarray:
    """Cells float64 [N, P] that the events add up to."""
    base = events.owner * layout.cells
    parts = additions(layout, events)
    where = np.concatenate([base[rows] + cells for rows, cells, _ in parts])
    amounts = np.concatenate([np.ones(len(rows)) if add is None else add for rows, _, add in parts])
    return np.bincount(where, amounts, minlength=customers * layout.cells).reshape(customers, layout.cells)


def population(layout: Layout, cells: np.ndarray) -> np.ndarray:
    """The prior [P]: shares within share blocks, means within mean blocks, over all customers of `cells` [N, P]."""
    total = cells.sum(0)
    prior = np.zeros(layout.cells)
    for block in layout.blocks:
        inside = slice(block.start, block.start + block.size)
        if block.kind == "share":
            prior[inside] = total[inside] / max(total[inside].sum(), 1e-9)
        else:
            weight = total[block.weights : block.weights + (block.size if _own_weights(layout, block) else 1)]
            prior[inside] = total[inside] / np.maximum(weight, 1e-9)
    return prior


def _own_weights(layout: Layout, block: Block) -> bool:
    """Whether each cell of a mean block has a counting cell of its own (crossed means), or all share one (moments)."""
    return block.start - block.weights == block.size


def features(layout: Layout, cells: np.ndarray, prior: np.ndarray, strength: float) -> np.ndarray:
    """Features float32 [N, F] of cells [N, P]: root shares and means, mixed with `strength` events of the prior."""
    columns = []
    for block in layout.blocks:
        inside = slice(block.start, block.start + block.size)
        amounts = cells[:, inside]
        if block.kind == "share":
            total = amounts.sum(1, keepdims=True)
            columns.append(np.sqrt((amounts + strength * prior[inside]) / (total + strength)))
            continue
        own = _own_weights(layout, block)
        weight = cells[:, block.weights : block.weights + (block.size if own else 1)]
        mean = (amounts + strength * prior[inside]) / (weight + strength)
        if not own:  # mean and mean square: the second becomes a deviation
            mean = np.stack([mean[:, 0], np.sqrt(np.maximum(mean[:, 1] - mean[:, 0] ** 2, 0))], axis=1)
        columns.append(mean)
    columns.append(signed_log(cells[:, layout.totals]))
    for start, size in zip(layout.fields, layout.kept, strict=True):
        columns.append(np.log1p((cells[:, start : start + size] > 0).sum(1, keepdims=True)))
    return np.concatenate(columns, axis=1).astype(np.float32)


def signed_log(amounts: np.ndarray) -> np.ndarray:
    """Sign times log(1 + size) of amounts, of any shape."""
    logs: np.ndarray = np.copysign(np.log1p(np.abs(amounts)), amounts)
    return logs


def clock_features(clock: np.ndarray, reference: int) -> np.ndarray:
    """Features float32 [N, 5] of the clock [N, 4] (events, active days, first and last time in microseconds)."""
    events, days = clock[:, 0], clock[:, 1]
    span = (clock[:, 3] - clock[:, 2]) / DAY
    silent = np.maximum(reference - clock[:, 3], 0) / DAY
    return np.stack(
        [np.log1p(events), np.log1p(days), np.log(events / np.maximum(days, 1)), np.log1p(span), np.log1p(silent)],
        axis=1,
    ).astype(np.float32)


def gather(log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray) -> Events:
    """Events begin[i] .. end[i] (rows of the log) of each customer, owners numbered by position in `customers`."""
    lengths = end - begin
    owner = np.repeat(np.arange(len(customers)), lengths)
    rows = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(begin, lengths)
    time = np.asarray(log.time[rows])
    first = rows == log.offsets[customers][owner]
    previous = np.where(first, time, np.asarray(log.time[np.maximum(rows - 1, 0)]))
    return Events(owner, np.asarray(log.codes[rows]), np.asarray(log.values[rows]), time, previous)


def clock(events: Events, customers: int) -> np.ndarray:
    """Clock float64 [N, 4]: events, active days, first and last time. Events of a customer must stand in time order."""
    count = np.bincount(events.owner, minlength=customers)
    last = np.cumsum(count) - 1
    day = events.time // DAY
    new_day = np.ones(len(day), bool)
    new_day[1:] = (day[1:] != day[:-1]) | (events.owner[1:] != events.owner[:-1])
    days = np.bincount(events.owner, new_day, minlength=customers)
    return np.stack([count, days, events.time[last - count + 1], events.time[last]], axis=1).astype(np.float64)


def recent(layout: Layout, events: Events, customers: int, last: np.ndarray) -> np.ndarray:
    """Recent sums float64 [N, R]: per half-life, events and totals of each number, as they weigh at `last` [N].

    An event weighs half as much a half-life later, so `recent_at` moves the sums on and new events add to them.
    """
    age = (last[events.owner] - events.time) / DAY
    amounts = np.nan_to_num(events.values.astype(np.float64)) / np.asarray(layout.scales.units)
    columns = []
    for half_life in HALF_LIVES:
        weight = 0.5 ** (age / half_life)
        columns.append(np.bincount(events.owner, weight, minlength=customers))
        columns += [np.bincount(events.owner, weight * amount, minlength=customers) for amount in amounts.T]
    return np.stack(columns, axis=1)


def recent_at(sums: np.ndarray, since: np.ndarray, until: np.ndarray | int) -> np.ndarray:
    """Recent sums [N, R] as they weighed at the times `since` [N], weighed for `until` (one time, or [N])."""
    days = np.maximum(until - since, 0) / DAY
    each = sums.shape[1] // len(HALF_LIVES)
    faded: np.ndarray = sums * 0.5 ** (days[:, None] / np.repeat(HALF_LIVES, each))
    return faded


def pooled(layout: Layout, events: Events, customers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pools [N, P], clock [N, 4] and recent sums [N, R] of events."""
    times = clock(events, customers)
    return pool(layout, events, customers), times, recent(layout, events, customers, times[:, 3])


def joined(
    before: tuple[np.ndarray, np.ndarray, np.ndarray], new: tuple[np.ndarray, np.ndarray, np.ndarray], first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pools, clock and recent sums of earlier and of new events together; the first new ones are at `first` [N].

    Where `before` is of no events at all, its clock is all 0.
    """
    (cells, was, lately), (added, now, recently) = before, new
    same_day = (was[:, 0] > 0) & (first // DAY == was[:, 3] // DAY)
    begun = np.where(was[:, 0] > 0, was[:, 2], now[:, 2])
    times = np.stack([was[:, 0] + now[:, 0], was[:, 1] + now[:, 1] - same_day, begun, now[:, 3]], axis=1)
    return cells + added, times, recently + recent_at(lately, was[:, 3], now[:, 3])
