"""Hand-made aggregates: what each customer does, in features that a marketer can read.

Legend: n customers, e events of a chunk, m customers of a chunk, f features.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from eventlog.order import stable_order
from eventlog.sequences import ABSENT, DAY, HOUR, OTHER, Column, EventLog

CHUNK_EVENTS = 1 << 21
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
AMOUNTS = {
    "sum": "total {}",
    "mean": "average {}",
    "std": "spread of {}",
    "min": "smallest {}",
    "max": "largest {}",
    "median": "typical {}",
}
TOP, TOP_AMOUNTS = 120, 24
"""Values of a field that have a share of the events, and a share of the amount."""
LARGE_BYTES = 1 << 29
"""A larger result is held in a file, not in memory."""
CHUNK_TABLE = 1 << 26
"""Customers times values of a field that are counted in a table; where there are more, they are sorted."""
CHUNK_CELLS = 1 << 24
"""Customers times features of a chunk, at most about this many."""


@dataclass(frozen=True)
class Feature:
    """One hand-made aggregate."""

    name: str
    kind: Literal["count", "time", "amount", "share"]
    field: str | None
    """The field it is made from; None of those made from times alone."""
    value: str | None
    """The field's value it is about, for shares."""
    words: str
    """What it is, for a marketer."""


@dataclass(frozen=True)
class Behaviour:
    """The features of every customer of a log."""

    features: tuple[Feature, ...]
    matrix: Column
    """float32 [n, f], finite, in the log's row order; an amount nobody has is 0. Flat, or in layers."""
    digest: str | None = None
    """What its bytes are known by, from the manifest of what was read; None where it was not read from an artifact."""
    folder: Path | None = None
    """The artifact that it was read from."""


@dataclass(frozen=True)
class Chunk:
    """The events of a run of customers."""

    starts: np.ndarray
    """int64 [m] first event of each customer within the chunk; every customer has an event."""
    counts: np.ndarray
    row: np.ndarray
    """int64 [e] customer of each event within the chunk, ascending."""
    time: np.ndarray
    codes: np.ndarray
    values: np.ndarray


def behaviour(log: EventLog, top: int = TOP, top_amounts: int = TOP_AMOUNTS) -> Behaviour:
    """Hand-made aggregates of every customer: activity, rhythm, amounts, and shares of the `top` values of each field.

    Of the first numeric field, shares of its total (of absolute amounts) by the `top_amounts` most frequent values of
    each categorical field are added. Memory beside the result is bounded, whatever the number of events.
    """
    features = describe(log, top, top_amounts)
    matrix = room(log.n_customers, len(features))
    for first, last in _chunks(log, len(features)):
        start, stop = int(log.offsets[first]), int(log.offsets[last])
        counts = np.diff(log.offsets[first : last + 1])
        chunk = Chunk(
            starts=log.offsets[first:last] - start,
            counts=counts,
            row=np.repeat(np.arange(last - first), counts),
            time=log.time[start:stop],
            codes=log.codes[start:stop],
            values=log.values[start:stop],
        )
        at = 0
        for block in blocks(log, chunk, top, top_amounts):
            matrix[first:last, at : at + block.shape[1]] = block
            at += block.shape[1]
    return Behaviour(features, matrix)


def room(n: int, f: int) -> np.ndarray:
    """An empty float32 [n, f]; a large one lies in a file that is gone when the array is."""
    if n * f * 4 <= LARGE_BYTES:
        return np.empty((n, f), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, mode="w+", shape=(n, f))


def describe(log: EventLog, top: int, top_amounts: int) -> tuple[Feature, ...]:
    """The features in the order of the matrix's columns."""
    made = [
        Feature("events", "count", None, None, "number of events"),
        Feature("active_days", "count", None, None, "number of days with an event"),
        Feature("events_per_active_day", "count", None, None, "events per active day"),
        Feature("first_event_days", "time", None, None, "days since the first event"),
        Feature("last_event_days", "time", None, None, "days since the last event"),
        Feature("gap_mean_days", "time", None, None, "average days between events"),
        Feature("gap_std_days", "time", None, None, "unevenness of the days between events"),
        Feature("visit_gap_days", "time", None, None, "average days between active days"),
    ]
    for name in log.schema.numeric:
        made += [Feature(f"{name}:{stat}", "amount", name, None, words.format(name)) for stat, words in AMOUNTS.items()]
    made += [Feature(f"weekday={day}", "share", None, day[:-1], f"share of events on {day}") for day in WEEKDAYS]
    made += [
        Feature(
            f"hour={h:02d}-{h + 3:02d}",
            "share",
            None,
            f"{h:02d}-{h + 3:02d}",
            f"share of events from {h:02d}:00 to {h + 3:02d}:00",
        )
        for h in range(0, 24, 3)
    ]
    amount = log.schema.numeric[0] if log.schema.numeric else None
    for field in log.schema.categorical:
        name = field.name
        made.append(Feature(f"{name}:distinct", "count", name, None, f"number of different {name}"))
        made += [
            Feature(f"{name}={value}", "share", name, value, f"share of events with {name} = {value}")
            for value in field.values[:top]
        ]
        made += [
            Feature(f"{amount}[{name}={value}]", "share", name, value, f"share of {amount} with {name} = {value}")
            for value in field.values[: top_amounts if amount is not None else 0]
        ]
    return tuple(made)


def _chunks(log: EventLog, width: int) -> Iterator[tuple[int, int]]:
    """Runs of customers with a bounded number of events and of cells; a customer with more stands alone."""
    first, most = 0, max(CHUNK_CELLS // width, 1)
    while first < log.n_customers:
        last = int(np.searchsorted(log.offsets, log.offsets[first] + CHUNK_EVENTS, side="right")) - 1
        last = min(max(last, first + 1), first + most, log.n_customers)
        yield first, last
        first = last


def blocks(log: EventLog, chunk: Chunk, top: int, top_amounts: int) -> Iterator[np.ndarray]:
    """Columns of a chunk, [m, some features] each, in the order of `describe`."""
    yield _activity(chunk, log.end)
    for i in range(len(log.schema.numeric)):
        yield _amounts(chunk, chunk.values[:, i].astype(np.float64))
    yield _shares(chunk, (chunk.time // DAY + 3) % 7, 7)  # 1970-01-01 was a Thursday
    yield _shares(chunk, chunk.time % DAY // (3 * HOUR), 8)
    amount = np.abs(np.nan_to_num(chunk.values[:, 0].astype(np.float64))) if log.schema.numeric else None
    for i, field in enumerate(log.schema.categorical):
        codes = chunk.codes[:, i].astype(np.int64)
        yield _distinct(chunk, codes, len(field.values) + 2)
        kept = min(top, len(field.values))
        yield _shares(chunk, _ranked(codes, kept), kept)
        if amount is not None:
            kept = min(top_amounts, len(field.values))
            yield _shares(chunk, _ranked(codes, kept), kept, amount)


def _activity(chunk: Chunk, end: int) -> np.ndarray:
    first, last = chunk.time[chunk.starts], chunk.time[chunk.starts + chunk.counts - 1]
    day = chunk.time // DAY
    new_day = np.ones(len(day), bool)
    new_day[1:] = day[1:] != day[:-1]
    new_day[chunk.starts] = True
    days = np.add.reduceat(new_day.astype(np.int64), chunk.starts)
    gaps = np.zeros(len(day))
    gaps[1:] = (chunk.time[1:] - chunk.time[:-1]) / DAY
    gaps[chunk.starts] = 0.0
    pairs = np.maximum(chunk.counts - 1, 1)
    mean = (last - first) / DAY / pairs
    spread = gaps - mean[chunk.row]
    spread[chunk.starts] = 0.0
    std = np.sqrt(np.add.reduceat(spread**2, chunk.starts) / pairs)
    visit_gap = (day[chunk.starts + chunk.counts - 1] - day[chunk.starts]) / np.maximum(days - 1, 1)
    columns = (chunk.counts, days, chunk.counts / days, (end - first) / DAY, (end - last) / DAY, mean, std, visit_gap)
    return np.stack(columns, axis=1)


def _amounts(chunk: Chunk, values: np.ndarray) -> np.ndarray:
    """sum, mean, std, min, max and median of a numeric field over the events that have it; 0 where none has."""
    there = ~np.isnan(values)
    number = np.add.reduceat(there.astype(np.int64), chunk.starts)
    least = np.maximum(number, 1)
    total = np.add.reduceat(np.where(there, values, 0.0), chunk.starts)
    mean = total / least
    spread = np.where(there, values - mean[chunk.row], 0.0)
    std = np.sqrt(np.add.reduceat(spread**2, chunk.starts) / least)
    low = np.minimum.reduceat(np.where(there, values, np.inf), chunk.starts)
    high = np.maximum.reduceat(np.where(there, values, -np.inf), chunk.starts)
    out = np.stack([total, mean, std, low, high, _median(chunk, values, number)], axis=1)
    out[number == 0] = 0.0
    return out


def _median(chunk: Chunk, values: np.ndarray, number: np.ndarray) -> np.ndarray:
    """float64 [m] medians; `number` values of each customer are there, the others are NaN."""
    # a float32's bits in an order that sorts like the numbers, NaN last
    bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    keys = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits) + (1 << 31)
    keys[np.isnan(values)] = (1 << 32) - 1
    order = stable_order(keys)
    order = order[stable_order(chunk.row[order])]
    lower = values[order[chunk.starts + np.maximum(number - 1, 0) // 2]]
    upper = values[order[chunk.starts + np.minimum(number // 2, chunk.counts - 1)]]
    return np.asarray((lower + upper) / 2)


def _ranked(codes: np.ndarray, kept: int) -> np.ndarray:
    """Codes as places among the `kept` most frequent values, -1 for all else."""
    return np.where((codes > OTHER) & (codes < kept + 2), codes - 2, -1)


def _shares(chunk: Chunk, places: np.ndarray, width: int, weights: np.ndarray | None = None) -> np.ndarray:
    """[m, width] share of each customer's events (or weight) at each place; -1 counts in the whole only."""
    m = len(chunk.starts)
    if not width:
        return np.zeros((m, 0))
    inside = places >= 0
    cells = chunk.row[inside] * width + places[inside]
    parts = np.bincount(cells, None if weights is None else weights[inside], minlength=m * width).reshape(m, width)
    whole = chunk.counts if weights is None else np.add.reduceat(weights, chunk.starts)
    return np.asarray(parts / np.where(whole > 0, whole, 1)[:, None])


def _distinct(chunk: Chunk, codes: np.ndarray, size: int) -> np.ndarray:
    """[m, 1] number of different values per customer; all values outside the dictionary count as one."""
    m, pairs = len(chunk.starts), chunk.row * size + codes
    if m * size <= CHUNK_TABLE:
        seen = np.zeros(m * size, bool)
        seen[pairs] = True
        table = seen.reshape(m, size)
        table[:, ABSENT] = False
        return np.asarray(table.sum(axis=1, dtype=np.int64)[:, None])
    pairs.sort()
    new = np.ones(len(pairs), bool)
    new[1:] = pairs[1:] != pairs[:-1]
    new &= pairs % size != ABSENT
    return np.asarray(np.bincount(pairs[new] // size, minlength=m)[:, None])
