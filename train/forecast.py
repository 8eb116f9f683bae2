"""Forecasts: dimensions of the vector that tell what is expected of a customer in the next weeks.

The log itself knows what came next. At several earlier times (forecast origins; rolling origin, Tashman 2000) the
features are read from the events before, and what the customer did within the horizon after is what they should have
told. A ridge regression of the second on the first, each compared within an origin alone so that seasons cancel,
gives directions of the feature space; at the end of the log they say what has not happened yet. No label is seen.

Shapes: n customers, F pool features, Z inputs, Y outcomes, K forecasts.
"""

from collections.abc import Iterator

import numpy as np
import torch

from eventlog.sequences import DAY, EventLog
from train.encode import length_buckets
from train.encoder import Encoder
from train.head import ASIDE, principal
from train.pools import HALF_LIVES, gather, joined, pooled, share_out, signed_log

HORIZONS = HALF_LIVES
"""Days ahead that can be told; of those that fit thrice into the log, the longest two are."""
ORIGINS = 6
"""Times that a horizon is told from."""
APART = 30.0
"""Most days between two origins."""
VALUES = 20
"""Most frequent values of each categorical field whose counts are told."""
MOST_VALUES = 200
FEWEST = 50
"""With fewer customers before the earlier origins, nothing is told."""
RIDGE = 0.02
"""Of the number of rows; RIDGE_LEAST is added."""
RIDGE_LEAST = 50.0


def horizons(first: int, reference: int) -> list[float]:
    """Days ahead that a log from `first` to `reference` (microseconds) can be asked about."""
    return [days for days in HORIZONS if 3 * days * DAY <= reference - first][-2:]


def origins(first: int, reference: int, horizon: float) -> list[int]:
    """Up to ORIGINS times, the last a horizon before the log's end, none in the log's first quarter."""
    earliest = first + max(horizon * DAY, (reference - first) / 4)
    latest = reference - horizon * DAY
    apart = min(APART * DAY, max((latest - earliest) / (ORIGINS - 1), DAY))
    times = [int(latest - i * apart) for i in range(ORIGINS)]
    return [time for time in times if time >= earliest]


def fit_forecasts(
    encoder: Encoder, log: EventLog, customers: np.ndarray, directions: np.ndarray, now: np.ndarray, count: int
) -> np.ndarray:
    """Mixture float64 [Z, count] of inputs that tells what the coming weeks are expected to bring; 0 where nothing can.

    Inputs are the standardised, weighed pool features in some `directions` [F, Z]; `now` [n, Z] are those of
    `customers` (positions in the log) at its end.
    """
    first, reference = int(log.time[log.offsets[:-1]].min()), log.end
    ahead = horizons(first, reference)
    times = {days: origins(first, reference, days) for days in ahead}
    known = dict(inputs_at(encoder, log, customers, sorted({t for of in times.values() for t in of}), directions))
    slopes = []
    for days in ahead:
        inputs, outcomes = [], []
        for origin in times[days]:
            seen, at = known[origin]
            if len(seen) < FEWEST:
                continue
            began = rows_before(log, customers[seen], origin)
            ended = rows_before(log, customers[seen], origin + int(days * DAY))
            came = outcomes_of(encoder, log, customers[seen], began, ended)
            inputs.append(at - at.mean(0))
            outcomes.append(came - came.mean(0))
        if inputs:
            slopes.append(ridge(np.concatenate(inputs), np.concatenate(outcomes)))
    return mixture(slopes, now, 2 + len(encoder.layout.totals), count)


def rows_before(log: EventLog, customers: np.ndarray, time: int | np.ndarray) -> np.ndarray:
    """For each customer (position in the log) the row after the last event before a time, or its own; int64 [n]."""
    begin, end = log.offsets[customers], log.offsets[customers + 1]
    low, high = begin.copy(), end.copy()
    while (open_ := low < high).any():  # bisection, all customers at once
        middle = (low + high) // 2
        before = np.asarray(log.time[np.minimum(middle, log.n_events - 1)]) < time
        low, high = np.where(open_ & before, middle + 1, low), np.where(open_ & ~before, middle, high)
    rows: np.ndarray = low
    return rows


def inputs_at(
    encoder: Encoder, log: EventLog, customers: np.ndarray, times: list[int], directions: np.ndarray
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """For each of some ascending times: which of the customers had events before it, and their inputs [., Z] then.

    Pools are carried from one time to the next, so that every event is read once.
    """
    begin = log.offsets[customers]
    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {time: [] for time in times}
    for part in length_buckets(log.offsets[customers + 1] - begin):
        read = begin[part]
        pools = tuple(np.zeros((len(part), w)) for w in (encoder.layout.cells, 4, encoder.layout.recent))
        for time in times:
            stop = rows_before(log, customers[part], time)
            new = np.flatnonzero(stop > read)
            if new.size:
                events = gather(log, customers[part[new]], read[new], stop[new])
                at_first = events.time[np.searchsorted(events.owner, np.arange(new.size))]
                before = pools[0][new], pools[1][new], pools[2][new]
                for whole, grown in zip(
                    pools, joined(before, pooled(encoder.layout, events, new.size), at_first), strict=True
                ):
                    whole[new] = grown
            read = stop
            seen = np.flatnonzero(stop > begin[part])
            if seen.size:
                features = encoder.features_of_pools(pools[0][seen], pools[1][seen], pools[2][seen], time)
                found[time].append((part[seen], weighed(encoder, features) @ directions))
    for time, parts in found.items():
        who = np.concatenate([seen for seen, _ in parts]) if parts else np.zeros(0, np.int64)
        order = np.argsort(who)
        rows = np.concatenate([rows for _, rows in parts])[order] if parts else np.zeros((0, directions.shape[1]))
        yield time, (who[order], rows)


def weighed(encoder: Encoder, features: np.ndarray) -> np.ndarray:
    """Standardised, weighed pool features [n, F], as the head reads them."""
    head = encoder.head
    out: np.ndarray = head.standardised(torch.from_numpy(features).to(head.mean.device)).cpu().numpy()
    return out


def outcomes_of(
    encoder: Encoder, log: EventLog, customers: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """What events begin[i] .. end[i] of each customer come to, float32 [n, Y]: logs of their count, whether there are
    any, signed logs of each number's total, and logs of how many there are of each frequent value."""
    scales, count = encoder.scales, len(customers)
    most = share_out(scales.vocabulary, MOST_VALUES, VALUES + 2)
    kept = [min(size, most) for size in scales.vocabulary]
    out = np.zeros((count, 2 + len(scales.units) + sum(kept)), np.float32)
    for part in length_buckets(end - begin):
        events = gather(log, customers[part], begin[part], end[part])
        lengths = end[part] - begin[part]
        out[part, 0], out[part, 1] = np.log1p(lengths), lengths > 0
        amounts = np.nan_to_num(events.values.astype(np.float64)) / np.asarray(scales.units)
        for v, amount in enumerate(amounts.T):
            out[part, 2 + v] = signed_log(np.bincount(events.owner, amount, minlength=len(part)))
        start = 2 + len(scales.units)
        for f, size in enumerate(kept):
            code = events.codes[:, f].astype(np.int64)
            inside = (code > 1) & (code < size)
            where = events.owner[inside] * size + code[inside]
            counts = np.bincount(where, minlength=len(part) * size).reshape(len(part), size)
            out[part, start : start + size] = np.log1p(counts)
            start += size
    return out


def ridge(inputs: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Slopes float64 [Z, Y] of outcomes, each divided by its deviation, on inputs, both centred (ridge regression)."""
    x, y = inputs.astype(np.float64), outcomes.astype(np.float64)
    spread, scale = np.maximum(x.std(0), 1e-6), np.maximum(y.std(0), 1e-3)
    x /= spread
    penalty = RIDGE * len(x) + RIDGE_LEAST
    slope: np.ndarray = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y / scale))
    slope /= spread[:, None]
    return slope


def mixture(slopes: list[np.ndarray], now: np.ndarray, plain: int, count: int) -> np.ndarray:
    """Mixture [Z, count] of inputs `now` [n, Z] from each horizon's slopes [Z, Y].

    The first `plain` outcomes (how much) get a dimension each, horizon by horizon in turn; the principal directions of
    all other expectations get the dimensions that are left. All vary alike, and together have a length of ASIDE.
    """
    out = np.zeros((now.shape[1], count))
    if not slopes:
        return out
    turns = [slope[:, i] for i in range(plain) for slope in slopes]
    own = np.stack(turns[:count], axis=1)
    rest = np.concatenate([np.stack(turns, axis=1)[:, count:], *[slope[:, plain:] for slope in slopes]], axis=1)
    centred = now.astype(np.float64) - now.mean(0)
    if own.shape[1] < count and rest.shape[1]:
        own = np.concatenate([own, rest @ principal(centred @ rest, count - own.shape[1])[0]], axis=1)
    spread = (centred @ own).std(0)
    alive = spread > 1e-9
    out[:, : own.shape[1]][:, alive] = own[:, alive] / spread[alive] * (ASIDE / np.sqrt(count))
    return out
