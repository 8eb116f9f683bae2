"""Events by customer and time: a stable radix sort, in memory where it fits and in parts on disk where not.

Legend: e events of a block or part, c categorical fields, v numeric fields.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.config import SOURCE_FIELD
from eventlog.sequences import ABSENT, OTHER, Schema
from eventlog.spool import Block, Tally

WRITE_ROWS = 1 << 18


def stable_order(keys: np.ndarray) -> np.ndarray:
    """int64 [e]: the order that sorts non-negative int64 keys, equal ones as they stand.

    Radix sort by 16 bits at a time, since numpy's stable sort of uint16 is one; several times faster than a
    comparison sort of int64.
    """
    order = np.arange(len(keys))
    if len(keys) < 2 or bool((keys[1:] >= keys[:-1]).all()):
        return order
    for shift in range(0, int(keys.max()).bit_length(), 16):
        digit = ((keys >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digit[order] if shift else digit, kind="stable")]
    return order


@dataclass(frozen=True)
class Layout:
    """Events as packed records, so that one move takes all of an event's columns along."""

    schema: Schema

    @property
    def dtype(self) -> np.dtype[np.void]:
        """rank: place among the customers; time; codes [c]; values [v]."""
        c, v = len(self.schema.categorical), len(self.schema.numeric)
        return np.dtype([("rank", "<i4"), ("time", "<i8"), ("codes", "<u2", (c,)), ("values", "<f4", (v,))])


def records(block: Block, tally: Tally, layout: Layout) -> np.ndarray:
    """A block's events as records with the log's codes, in reading order."""
    batch = block.read()
    out = np.zeros(batch.num_rows, layout.dtype)
    out["values"] = np.nan
    customer = batch.column("customer")
    out["rank"] = _ranks(customer.dictionary, tally.customers)[customer.indices.to_numpy()]
    out["time"] = batch.column("time").to_numpy()
    source = block.table.source
    places = {field.name: place for place, field in enumerate(tally.schema.categorical)}
    for i, name in enumerate(source.categorical):
        coded = batch.column(f"c{i}")
        codes = _codes(coded.dictionary, tally.schema.categorical[places[name]].values)
        indices = coded.indices.fill_null(len(codes) - 1) if coded.indices.null_count else coded.indices
        out["codes"][:, places[name]] = codes[indices.to_numpy()]
    if SOURCE_FIELD in places and SOURCE_FIELD not in source.categorical and batch.num_rows:
        values = tally.schema.categorical[places[SOURCE_FIELD]].values
        out["codes"][:, places[SOURCE_FIELD]] = _codes(pa.array([source.name]), values)[0]
    for i, name in enumerate(source.numeric):
        out["values"][:, tally.schema.numeric.index(name)] = batch.column(f"v{i}").to_numpy()
    return out


def _ranks(ids: pa.Array, customers: pl.Series) -> np.ndarray:
    """Places among `customers` of a block's ids; ids of no kept event get any place, since nobody asks."""
    series = pl.from_arrow(ids)
    assert isinstance(series, pl.Series)
    return customers.search_sorted(series.cast(customers.dtype, strict=False)).to_numpy().astype(np.int32)


def first_times(blocks: list[Block], tally: Tally) -> np.ndarray:
    """int64 [customers]: time of each customer's first event in the blocks."""
    first = np.full(len(tally.customers), np.iinfo(np.int64).max)
    for block in blocks:
        batch = block.read()
        customer = batch.column("customer")
        ranks = _ranks(customer.dictionary, tally.customers)[customer.indices.to_numpy()]
        np.minimum.at(first, ranks, batch.column("time").to_numpy())
    return first


def _codes(values: pa.Array, dictionary: tuple[str, ...]) -> np.ndarray:
    """uint16 [values + 1]: code of each value of a block's dictionary; the last one is ABSENT, for no value."""
    found = pc.index_in(values, value_set=pa.array(dictionary, pa.string()))
    codes = np.full(len(values) + 1, ABSENT, np.uint16)
    codes[:-1] = pc.fill_null(pc.add(found, 2), OTHER).to_numpy()
    if values.null_count:
        codes[:-1][values.is_null().to_numpy(zero_copy_only=False)] = ABSENT
    return codes


def sort_events(
    blocks: list[Block], tally: Tally, folder: Path, memory: int, advance: Callable[[float], None]
) -> Iterator[np.ndarray]:
    """Every event of the log by customer and time, in batches of records.

    At equal times events stay in reading order. `memory` bytes bound what is sorted at once; `folder` takes the
    parts of a log that is larger; one customer's events are always sorted at once. `advance` counts events twice.
    """
    layout = Layout(tally.schema)
    # records, two orders, a digit, the times and a batch to write are held at once
    rows = max(memory // (layout.dtype.itemsize + 40), 1)
    parts = _split(tally.counts, rows)
    if len(parts) == 1:
        total = np.empty(int(tally.counts.sum()), layout.dtype)
        at = 0
        for block in blocks:
            piece = records(block, tally, layout)
            total[at : at + len(piece)] = piece
            at += len(piece)
            advance(len(piece))
        yield from _sorted(total, advance)
        return
    part_of = np.repeat(np.arange(len(parts)), [stop - start for start, stop in parts])
    paths = [folder / f"part-{i:06d}" for i in range(len(parts))]
    for block in blocks:
        _distribute(records(block, tally, layout), part_of, paths)
        advance(block.rows)
    for path in paths:
        yield from _sorted(np.fromfile(path, layout.dtype), advance)
        path.unlink()


def _split(counts: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """Runs of customers whose events together are at most `rows`, or of one customer who has more."""
    ends = np.cumsum(counts)
    parts, start, before = [], 0, 0
    while start < len(counts):
        stop = max(int(np.searchsorted(ends, before + rows, side="right")), start + 1)
        parts.append((start, stop))
        start, before = stop, int(ends[stop - 1])
    return parts


def _distribute(events: np.ndarray, part_of: np.ndarray, paths: list[Path]) -> None:
    """Append a block's records to the files of the parts that their customers belong to."""
    part = part_of[events["rank"]]
    order = stable_order(part)
    ends = np.cumsum(np.bincount(part, minlength=len(paths)))
    start = 0
    for path, end in zip(paths, ends.tolist(), strict=True):
        if end > start:
            with path.open("ab") as file:
                file.write(np.take(events, order[start:end]).tobytes())  # tofile hides why a write fails
        start = end


def _sorted(events: np.ndarray, advance: Callable[[float], None]) -> Iterator[np.ndarray]:
    time = events["time"].astype(np.int64)
    time -= time.min(initial=0) if not len(time) else time.min()
    if not (time % 1_000_000).any():
        time //= 1_000_000  # whole seconds need half the passes
    order = stable_order(time)
    rank = events["rank"][order].astype(np.int64)
    rank -= rank.min() if len(rank) else 0
    order = order[stable_order(rank)]
    del time, rank
    for start in range(0, len(order), WRITE_ROWS):
        yield np.take(events, order[start : start + WRITE_ROWS])
        advance(min(WRITE_ROWS, len(order) - start))
