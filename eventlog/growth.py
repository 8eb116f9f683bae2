"""A log and the events of a night put together: customers, dictionaries, runs, and histories that late events enter.

Legend: n customers of the log before, k customers with new events, m customers afterwards, r runs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from eventlog.config import SOURCE_FIELD, EventLogConfig
from eventlog.layers import Runs
from eventlog.order import Layout, first_times, stable_order
from eventlog.sequences import EventLog, Schema
from eventlog.spool import Block, Tally

HISTORY_ROWS = 1 << 19
"""Events of known histories that are read at once."""


@dataclass(frozen=True)
class Merged:
    """Customers of a log and of a night put together."""

    customers: pl.Series
    """[m] ascending."""
    place: np.ndarray
    """int64 [n]: row of each of the log's customers among all."""
    row: np.ndarray
    """int64 [k]: row of each of the night's customers among all, ascending."""
    was: np.ndarray
    """int64 [k]: row of each of the night's customers in the log before, -1 of a new one."""


def merged(before: pl.Series, night: pl.Series) -> Merged:
    """Put the customers of a log [n] and of a night [k] together; both ascending, of one type."""
    at = before.search_sorted(night).to_numpy().astype(np.int64)
    known = np.zeros(len(night), bool)
    inside = at < len(before)
    known[inside] = (before.gather(at[inside]) == night.filter(pl.Series(inside))).to_numpy()
    new = np.flatnonzero(~known)
    place = np.arange(len(before)) + np.searchsorted(at[new], np.arange(len(before)), side="right")
    row = at + np.concatenate([[0], np.cumsum(~known)])[:-1]
    order = np.empty(len(before) + len(new), np.int64)
    order[place] = np.arange(len(before))
    order[row[new]] = len(before) + np.arange(len(new))
    customers = pl.concat([before, night.gather(new)]).gather(order)
    return Merged(customers.alias("customer"), place, row, np.where(known, at, -1))


def grown_schema(before: Schema, night: Schema, most: int) -> Schema:
    """The log's schema with the night's new values after the known ones, at most `most` values a field."""
    fields = []
    for old, new in zip(before.categorical, night.categorical, strict=True):
        known = set(old.values)
        fresh = [value for value in new.values if value not in known]
        fields.append(replace(old, values=(*old.values, *fresh[: max(most - len(old.values), 0)])))
    return replace(before, categorical=tuple(fields))


@dataclass
class Growth:
    """The layer of a night: of each of its customers one run, in the order of the customers."""

    before: EventLog
    tally: Tally
    """The night's customers and counts, with the log's grown schema."""
    merged: Merged
    last: np.ndarray
    """int64 [k]: time of the customer's last event before, the least int64 of a new one."""
    late: np.ndarray
    """bool [k]: whether new events go before known ones, so that the whole history is written anew."""
    source_rank: np.ndarray
    """int64 [codes]: place in the recipe of the source that a code of the field `source` means; empty without it."""
    late_events: int = field(default=0)
    """New events before their customer's last known one; counted while `records` pass."""

    @classmethod
    def of(cls, config: EventLogConfig, before: EventLog, tally: Tally, blocks: list[Block]) -> "Growth":
        """Find out which customers the night's events belong to, and which of them come late."""
        together = merged(before.customers, tally.customers)
        schema = grown_schema(before.schema, tally.schema, config.max_categories)
        known = together.was >= 0
        last = np.full(len(known), np.iinfo(np.int64).min)
        last[known] = np.asarray(before.time[before.offsets[together.was[known] + 1] - 1])
        first = first_times(blocks, tally)
        rank = _source_rank(config, schema)
        # at equal times events go by source, so that one may belong before those that are there
        late = known & ((first <= last) if len(rank) else (first < last))
        return cls(before, replace(tally, schema=schema), together, last, late, rank)

    @property
    def counts(self) -> np.ndarray:
        """int64 [k]: events of each customer's run."""
        counts = self.tally.counts.copy()
        was = self.merged.was[self.late]
        counts[self.late] += self.before.offsets[was + 1] - self.before.offsets[was]
        return counts

    def runs(self, layer: int) -> Runs:
        """Where everybody's events lie once the night's are `layer`."""
        before, place, row = self.before.runs(), self.merged.place, self.merged.row
        rewritten = np.zeros(len(place), bool)
        rewritten[self.merged.was[self.late]] = True
        number = np.diff(before.offsets)
        kept = np.zeros(len(self.merged.customers), np.int64)
        kept[place] = np.where(rewritten, 0, number)
        each = kept.copy()
        each[row] += 1
        offsets = np.concatenate([[0], np.cumsum(each)])
        out = Runs(
            offsets, np.empty(offsets[-1], np.uint16), np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
        )
        owner = np.repeat(np.arange(len(place)), number)
        stay = np.flatnonzero(~rewritten[owner])
        target = offsets[place[owner[stay]]] + stay - before.offsets[owner[stay]]
        counts = self.counts
        new = offsets[row + 1] - 1
        for ours, theirs, added in (
            (out.layer, before.layer, layer),
            (out.start, before.start, np.cumsum(counts) - counts),
            (out.count, before.count, counts),
        ):
            ours[target] = np.asarray(theirs)[stay]
            ours[new] = added
        return out

    def all_counts(self) -> np.ndarray:
        """int64 [m]: events of every customer afterwards."""
        counts = np.zeros(len(self.merged.customers), np.int64)
        counts[self.merged.place] = np.diff(self.before.offsets)
        counts[self.merged.row] += self.tally.counts
        return counts

    def records(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The layer's events, from the night's `batches` of records that come sorted by customer and time."""
        for batch in _whole_customers(batches):
            self.late_events += int(np.count_nonzero(batch["time"] < self.last[batch["rank"]]))
            ranks = np.unique(batch["rank"])
            yield from self._with_histories(batch, ranks)

    def _with_histories(self, batch: np.ndarray, ranks: np.ndarray) -> Iterator[np.ndarray]:
        """A batch's events with the whole histories of those that come late, some customers at a time."""
        was = np.where(self.late[ranks], self.merged.was[ranks], 0)
        lengths = np.where(self.late[ranks], self.before.offsets[was + 1] - self.before.offsets[was], 0)
        if not lengths.any():
            yield batch
            return
        part = np.cumsum(lengths) // HISTORY_ROWS
        for some in np.split(ranks, np.flatnonzero(np.diff(part)) + 1):
            begin, end = np.searchsorted(batch["rank"], [some[0], some[-1] + 1])
            late = some[self.late[some]]
            if not len(late):
                yield batch[begin:end]
                continue
            yield self._ordered(np.concatenate([self._history(late), batch[begin:end]]))

    def _history(self, late: np.ndarray) -> np.ndarray:
        """All events of some of the night's customers that the log knows, as records."""
        was = self.merged.was[late]
        begin, number = self.before.offsets[was], self.before.offsets[was + 1] - self.before.offsets[was]
        rows = np.repeat(begin - (np.cumsum(number) - number), number) + np.arange(int(number.sum()))
        out = np.empty(len(rows), Layout(self.tally.schema).dtype)
        out["rank"] = np.repeat(late, number)
        for name in ("time", "codes", "values"):
            out[name] = getattr(self.before, name)[rows]
        return out

    def _ordered(self, events: np.ndarray) -> np.ndarray:
        """Events by customer, time and source; those that are equal in all of these as they stand."""
        order = np.arange(len(events))
        if len(self.source_rank):
            place = [field.name for field in self.tally.schema.categorical].index(SOURCE_FIELD)
            order = stable_order(self.source_rank[events["codes"][:, place]])
        time = events["time"][order].astype(np.int64)
        order = order[stable_order(time - time.min())]
        order = order[stable_order(events["rank"][order].astype(np.int64))]
        return np.asarray(np.take(events, order))


def _source_rank(config: EventLogConfig, schema: Schema) -> np.ndarray:
    if len(config.sources) < 2:
        return np.zeros(0, np.int64)
    values = next(field.values for field in schema.categorical if field.name == SOURCE_FIELD)
    names = [source.name for source in config.sources]
    rank = np.full(2 + len(values), len(names), np.int64)
    # an erasure may have blanked a name that a customer's id stood in
    rank[2:] = [names.index(value) if value in names else len(names) for value in values]
    return rank


def _whole_customers(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same records, cut so that no customer's are in two batches."""
    held: list[np.ndarray] = []
    for batch in batches:
        if not len(batch):
            continue
        if held and held[-1]["rank"][-1] != batch["rank"][0]:
            yield np.concatenate(held)
            held = []
        cut = int(np.searchsorted(batch["rank"], batch["rank"][-1]))
        if cut:
            yield np.concatenate([*held, batch[:cut]])
            held = []
        held.append(batch[cut:])
    if held:
        yield np.concatenate(held)
