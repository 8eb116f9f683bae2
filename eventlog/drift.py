"""How far new events are from those that a model was trained on, field by field: the population stability index.

With the shares p of a field's bins before and q now, PSI = sum of (q - p) ln(q / p) (Siddiqi, "Credit Risk
Scorecards", 2006; it is Kullback and Leibler's symmetric divergence). Below 0.1 is commonly read as no change, above
0.25 as a large one. Where nothing changed, PSI comes out near (B - 1)(1/n + 1/m) for B bins of m events before and n
now (Yurdakul, "Statistical Properties of Population Stability Index", 2018); that much is subtracted. Events of one
customer are alike, so that chance alone moves PSI somewhat further than independent events would.

Half an event is added to each bin that has one before or now, so that a value that appears or goes counts for much,
but never for infinity; bins that both lack are no bins.

Legend: e events, c categorical fields, v numeric fields, b bins.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from eventlog.sequences import ABSENT, DAY, HOUR, OTHER, EventLog

VERSION = 1
BLOCK, MOST_EVENTS = 8192, 1 << 21
"""A sketch is of all events of a log, or of blocks of so many evenly spread over it, about MOST_EVENTS in all."""
TOP_VALUES, DECILES = 20, 10
MOST_BINS = 12
"""Bins that a field's drift tells, those that moved most."""
FEWEST_CARRIED = 100
"""With fewer new events that carry a field, nothing is said about values unseen."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = tuple(f"{hour:02d}:00" for hour in range(24))
HOUR_FIELD, WEEKDAY_FIELD = "hour of day", "weekday"

Kind = Literal["categorical", "numeric", "time"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FieldDrift:
    """How far a field's new events are from those that the model was trained on."""

    field: str
    kind: Kind
    psi: float
    """Population stability index over the field's bins, less what chance alone is expected to give; 0 at least."""
    absent: float
    """Share of new events without a value."""
    absent_before: float
    unseen: float | None
    """Of the new events that have a value, the share whose value the model has never seen, beyond the share of rare
    values that its dictionary left out in training. None of numeric fields, of times, and of too few events to say."""
    bins: tuple[tuple[str, float, float], ...] = ()
    """Bin in words, its share before, its share now; the bins that moved most first, at most twelve."""


@dataclass(frozen=True)
class FieldSketch:
    """What a field looked like: its bins, and how many events each had."""

    name: str
    kind: Kind
    words: tuple[str, ...]
    """[b] of each bin; the first is "absent" but for times."""
    counts: tuple[int, ...]
    """[b]"""
    column: int
    """Of `codes` or `values`; of times 0 for the hour and 1 for the weekday."""
    top: tuple[int, ...] = ()
    """Categorical: the codes that have a bin of their own, after those of absent, unknown and other values."""
    edges: tuple[float, ...] = ()
    """Numeric: a value x is in the bin after as many edges as are less than x."""


@dataclass(frozen=True)
class Sketch:
    """What the events of a log looked like, in a few kilobytes; holds no customer."""

    events: int
    """Events that were looked at."""
    fields: tuple[FieldSketch, ...]

    def to_json(self) -> dict[str, Any]:
        """The sketch as JSON values."""
        return {"version": VERSION, "events": self.events, "fields": [asdict(field) for field in self.fields]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """The sketch from what `to_json` gave. Raises ValueError for one of a later version."""
        if body["version"] != VERSION:
            raise ValueError(f"a sketch of version {body['version']}; this kinfolk reads version {VERSION}")
        lists = ("words", "counts", "top", "edges")
        fields = [{**item, **{name: tuple(item[name]) for name in lists}} for item in body["fields"]]
        return cls(int(body["events"]), tuple(FieldSketch(**item) for item in fields))


def sketch(log: EventLog) -> Sketch:
    """What the events of a log look like, in the terms of its dictionaries; memory is bounded, whatever its size."""
    codes, values, time = _some(log)
    fields = [_categorical(field.name, i, codes[:, i], field.values) for i, field in enumerate(log.schema.categorical)]
    fields += [_numeric(name, i, values[:, i]) for i, name in enumerate(log.schema.numeric)]
    fields += [FieldSketch(HOUR_FIELD, "time", HOURS, (), 0), FieldSketch(WEEKDAY_FIELD, "time", WEEKDAYS, (), 1)]
    counted = []
    for field in fields:
        counts = tuple(_counts(field, codes, values, time).tolist())
        counted.append(FieldSketch(**{**vars(field), "counts": counts}))
    return Sketch(len(time), tuple(counted))


def drift(
    before: Sketch, codes: npt.NDArray[np.uint16], values: npt.NDArray[np.float32], time: Ints
) -> tuple[FieldDrift, ...]:
    """How far the events `codes` [e, c], `values` [e, v] and `time` [e] are from those of a sketch, by falling PSI.

    Codes are in the terms of the sketch's dictionaries. No events at all have drifted nowhere.
    """
    if not len(time):
        return ()
    found = [_drift(field, _counts(field, codes, values, time)) for field in before.fields]
    return tuple(sorted(found, key=lambda one: (-one.psi, one.field, one.kind)))


def psi(before: Ints, now: Ints) -> tuple[float, Floats]:
    """PSI of two histograms [b] of one field, less its expectation under no change, and what each bin adds, [b]."""
    m, n = before.sum(), now.sum()
    if not m or not n:
        return 0.0, np.zeros(len(before))
    used = (before > 0) | (now > 0)
    half = 0.5 * int(used.sum())
    p, q = (before[used] + 0.5) / (m + half), (now[used] + 0.5) / (n + half)
    parts = np.zeros(len(before))
    parts[used] = (q - p) * np.log(q / p)
    by_chance = (int(used.sum()) - 1) * (1 / n + 1 / m)
    return max(float(parts.sum() - by_chance), 0.0), parts


def _some(log: EventLog) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], Ints]:
    """Events of a log, all of them or evenly spread blocks."""
    starts = np.arange(0, max(log.n_events, 1), BLOCK)
    most = MOST_EVENTS // BLOCK
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]
    parts = [slice(start, start + BLOCK) for start in starts.tolist()]
    codes, values, time = (
        np.concatenate([np.asarray(array[part]) for part in parts]) for array in (log.codes, log.values, log.time)
    )
    return codes, values, time


def _categorical(name: str, column: int, codes: npt.NDArray[np.uint16], values: tuple[str, ...]) -> FieldSketch:
    """The bins of a categorical field: absent, unknown, other values, and the most frequent ones."""
    often = np.bincount(codes, minlength=len(values) + 2)[2:]
    top = sorted(np.argsort(-often, kind="stable")[:TOP_VALUES].tolist())
    words = ("absent", "unknown to the model", "other values", *(values[i] for i in top))
    return FieldSketch(name, "categorical", words, (), column, top=tuple(i + 2 for i in top))


def _numeric(name: str, column: int, values: npt.NDArray[np.float32]) -> FieldSketch:
    """The bins of a numeric field: absent, deciles, and what is less or more than ever before."""
    there = values[np.isfinite(values)]
    if not len(there):
        return FieldSketch(name, "numeric", ("absent", "any value"), (), column)
    inner = np.quantile(there, np.arange(1, DECILES) / DECILES, method="lower")
    # a value is in the bin after all edges below it, so that the least one needs an edge just below
    lowest, highest = there.min(), there.max()
    steps = [np.nextafter(lowest, np.float32(-np.inf)), *np.unique([*inner, highest])]
    edges = [float(edge) for edge in steps]
    told = [f"{lowest:.4g}", *(f"{edge:.4g}" for edge in edges[1:])]
    between = [f"{low} to {high}" if low != high else low for low, high in pairwise(told)]
    words = ("absent", f"below {told[0]}", *between, f"above {told[-1]}")
    return FieldSketch(name, "numeric", words, (), column, edges=tuple(edges))


def _counts(field: FieldSketch, codes: npt.NDArray[np.uint16], values: npt.NDArray[np.float32], time: Ints) -> Ints:
    """int64 [b]: how many events are in each bin of a field."""
    return np.bincount(_bins(field, codes, values, time), minlength=len(field.words))


def _bins(field: FieldSketch, codes: npt.NDArray[np.uint16], values: npt.NDArray[np.float32], time: Ints) -> Ints:
    """int64 [e]: the bin of each event."""
    if field.kind == "time":
        days = (time // DAY + 3) % 7  # 1970-01-01 was a Thursday
        return np.asarray(days if field.column else time % DAY // HOUR)
    if field.kind == "numeric":
        mine = values[:, field.column]
        places = 1 + np.searchsorted(np.asarray(field.edges, np.float32), mine)
        return np.where(np.isnan(mine), 0, places).astype(np.int64)
    own = codes[:, field.column]
    places = np.full(max(int(own.max(initial=0)), *field.top, OTHER) + 1, 2, np.int64)
    places[ABSENT], places[OTHER] = 0, 1
    places[list(field.top)] = 3 + np.arange(len(field.top))
    return np.asarray(places[own])


def _drift(field: FieldSketch, now: Ints) -> FieldDrift:
    before = np.asarray(field.counts, np.int64)
    value, parts = psi(before, now)
    was, is_now = before / max(before.sum(), 1), now / max(now.sum(), 1)
    order = [i for i in np.argsort(-parts, kind="stable").tolist() if before[i] or now[i]]
    bins = tuple((field.words[i], _rounded(was[i]), _rounded(is_now[i])) for i in order[:MOST_BINS])
    absent = (0.0, 0.0) if field.kind == "time" else (_rounded(is_now[0]), _rounded(was[0]))
    return FieldDrift(field.name, field.kind, _rounded(value), *absent, _unseen(field, before, now), bins)


def _unseen(field: FieldSketch, before: Ints, now: Ints) -> float | None:
    """The share of values unknown, among the events that carry the field, beyond what training had of them."""
    carried = int(now[1:].sum())
    if field.kind != "categorical" or carried < FEWEST_CARRIED:
        return None
    rare = before[1] / max(int(before[1:].sum()), 1)
    return _rounded(max(float(now[1] / carried - rare), 0.0))


def _rounded(value: float) -> float:
    return round(float(value), 6)
