"""Checked events on disk in reading order, in blocks, before it is known which customers and values there are.

A block keeps customers and categories as indices into its own small dictionaries, so that a source is read once;
the tally over all blocks then says which customers and values there are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from configs.errors import DataError
from eventlog.check import Checked
from eventlog.config import SOURCE_FIELD, EventLogConfig
from eventlog.sequences import CategoricalField, Schema
from eventlog.tables import CustomerType, Table

INTEGER_TEXT = r"^(0|-?[1-9][0-9]{0,17})$"
"""Text that is a whole number written the one usual way, so that 007 stays text."""


@dataclass
class Block:
    """Kept events of one chunk."""

    path: Path
    table: Table
    rows: int
    dropped: np.ndarray | None = None
    """bool [rows]: rows found to be duplicates later."""

    def read(self) -> pa.RecordBatch:
        """The block's columns, mapped from disk: customer, time, c0.., v0.. in the order of the source's fields."""
        with pa.memory_map(str(self.path)) as file:
            batch = pa.ipc.open_file(file).get_batch(0)
        return batch if self.dropped is None else batch.filter(pa.array(~self.dropped))


def write_block(path: Path, table: Table, checked: Checked) -> tuple[Block, np.ndarray]:
    """Write the kept rows of a chunk; also returns their indices into the chunk."""
    kept = np.flatnonzero(checked.reasons == 0)
    everything = len(kept) == len(checked.reasons)
    arrays = {"customer": checked.customer, "time": pa.array(checked.time)}
    arrays |= {f"c{i}": array for i, array in enumerate(checked.categorical)}
    arrays |= {f"v{i}": pa.array(array) for i, array in enumerate(checked.numeric)}
    batch = pa.RecordBatch.from_pydict(arrays)
    if not everything:
        batch = batch.take(pa.array(kept))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return Block(path, table, len(kept)), kept


class Counter:
    """Counts values over blocks in memory of the order of the distinct values."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []
        self._size = self._settled = 0

    def add(self, coded: pa.DictionaryArray) -> None:
        """Count a block's values; missing ones are left out."""
        indices = coded.indices if coded.indices.null_count == 0 else coded.indices.drop_null()
        counts = np.bincount(indices.to_numpy(), minlength=len(coded.dictionary))
        values = pl.from_arrow(coded.dictionary)
        assert isinstance(values, pl.Series)
        part = pl.DataFrame({"value": values, "count": counts}).filter(
            (pl.col("count") > 0) & pl.col("value").is_not_null()
        )
        self._parts.append(part)
        self._size += part.height
        if self._size > 2 * self._settled + 1_000_000:
            self._settle()

    def _settle(self) -> None:
        self._parts = [pl.concat(self._parts).group_by("value").agg(pl.col("count").sum())]
        self._size = self._settled = self._parts[0].height

    def frame(self) -> pl.DataFrame:
        """Every value once with its count, in no order."""
        if not self._parts:
            return pl.DataFrame({"value": pl.Series([], dtype=pl.String), "count": pl.Series([], dtype=pl.Int64)})
        self._settle()
        return self._parts[0]


@dataclass(frozen=True)
class Tally:
    """What there is in the whole log."""

    schema: Schema
    customers: pl.Series
    """[n] ascending ids."""
    counts: np.ndarray
    """int64 [n] events per customer."""
    distinct: dict[str, int]
    """Values per categorical field, also those that the dictionary has no room for."""


def tally(config: EventLogConfig, blocks: list[Block], customer_type: CustomerType | None = None) -> Tally:
    """Count customers and values. Raises DataError where customers are numbers here and text there.

    With a `customer_type`, ids are read as that; all of them can be.
    """
    fields = config.categorical_fields()
    counters = {field: Counter() for field in fields}
    by_source: dict[int, Counter] = {}
    for block in blocks:
        batch = block.read()
        by_source.setdefault(block.table.index, Counter()).add(batch.column("customer"))
        for i, field in enumerate(block.table.source.categorical):
            counters[field].add(batch.column(f"c{i}"))
        if SOURCE_FIELD in counters and batch.num_rows and len(config.sources) > 1:
            name = pa.array([block.table.source.name])
            counters[SOURCE_FIELD].add(pa.DictionaryArray.from_arrays(np.zeros(batch.num_rows, np.int32), name))
    tables = {block.table.index: block.table for block in blocks}
    found = [(tables[index], counter.frame()) for index, counter in by_source.items()]
    kind = _kind(found) if customer_type is None else pl.Int64 if customer_type == "integer" else pl.String
    frames = [frame.with_columns(pl.col("value").cast(kind)) for _, frame in found]
    empty = pl.DataFrame({"value": pl.Series([], dtype=kind), "count": pl.Series([], dtype=pl.Int64)})
    customers = pl.concat([empty, *frames]).group_by("value").agg(pl.col("count").sum()).sort("value")
    categorical, distinct = [], {}
    for field in fields:
        ranked = counters[field].frame().sort(["count", "value"], descending=[True, False])
        distinct[field] = ranked.height
        categorical.append(CategoricalField(field, tuple(ranked["value"].head(config.max_categories).to_list())))
    schema = Schema("integer" if kind == pl.Int64 else "string", tuple(categorical), config.numeric_fields())
    return Tally(schema, customers["value"].alias("customer"), customers["count"].cast(pl.Int64).to_numpy(), distinct)


def _kind(found: list[tuple[Table, pl.DataFrame]]) -> type[pl.DataType]:
    """The type of all customers' ids; those of CSV sources are read as the other sources' type."""
    typed = {table.customer_type for table, _ in found if table.customer_type}
    text = [
        (table, frame, pl.col("value").str.contains(INTEGER_TEXT)) for table, frame in found if not table.customer_type
    ]
    odd = [(table, frame.filter(~whole_number)) for table, frame, whole_number in text]
    odd = [(table, frame) for table, frame in odd if frame.height]
    if "integer" in typed and odd:
        other = next(table.source.name for table, _ in found if table.customer_type == "integer")
        table = odd[0][0]
        raise DataError(
            f"customer ids are whole numbers in source {other!r} and text in source "
            f"{table.source.name!r}, column {table.source.customer!r}; give them one type in all sources"
        )
    return pl.String if "string" in typed or odd else pl.Int64
