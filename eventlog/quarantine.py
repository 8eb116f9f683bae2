"""Rows that broke the contract, kept beside the log with the reason: one Parquet file over all sources."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog.check import CODE, REASONS, Checked
from eventlog.columns import flat, whole
from eventlog.config import Source
from eventlog.read import Chunk, MalformedLine

COLUMNS = ("source", "file", "row", "reason", "column", "value", "event")
"""`row` counts the file's data rows from 1; `value` is the one to blame, `event` the read columns as JSON."""
SCHEMA = pa.schema([(name, pa.int64() if name == "row" else pa.string()) for name in COLUMNS])
NOTHING = pl.DataFrame(schema={name: pl.Int64 if name == "row" else pl.String for name in COLUMNS})
NUMBER_REASONS = tuple(CODE[reason] for reason in ("unparsable_number", "not_a_number", "infinite"))


class Quarantine:
    """Writes rows as they are found; the file is there, if empty, even where every row is good."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self.examples: dict[tuple[str, str], str] = {}
        """(source, reason) -> where the first such row is and what it holds."""

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def add(self, source: Source, chunk: Chunk, checked: Checked) -> None:
        """Keep the rows of a chunk that got a reason, and its malformed lines."""
        self.append(bad_rows(source, chunk, checked)[0])
        self.append(malformed_lines(source, chunk.malformed))

    def append(self, frame: pl.DataFrame) -> None:
        """Keep the rows of a frame of `COLUMNS`, together."""
        if not frame.height:
            return
        self._writer.write_table(frame.select(SCHEMA.names).to_arrow().cast(SCHEMA))
        for source, reason, file, row, column, value in (
            frame.unique("reason", keep="first", maintain_order=True)
            .select("source", "reason", "file", "row", "column", "value")
            .iter_rows()
        ):
            # a line that cannot be taken apart may name its customer: the quarantine alone has it
            where = f"{file}, row {row}" + (f", column {column!r}: {value!r}" if column else "")
            self.examples.setdefault((source, reason), where)


def bad_rows(source: Source, chunk: Chunk, checked: Checked) -> tuple[pl.DataFrame, np.ndarray]:
    """The rows of a chunk that got a reason, and int64: their indices into the chunk, ascending."""
    rows = np.flatnonzero((checked.reasons > 0) & (checked.reasons <= len(REASONS)))
    codes = checked.reasons[rows]
    numeric = list(source.numeric.values())
    blamed = np.empty(len(rows), object)
    for code in np.unique(codes).tolist():
        here = codes == code
        if code in NUMBER_REASONS:
            blamed[here] = np.array(numeric, object)[checked.blamed[code]]
        else:
            blamed[here] = _column_of(source, code)
    return _frame(source, chunk, rows, codes, blamed), rows


def duplicate_rows(source: Source, chunk: Chunk, rows: np.ndarray) -> pl.DataFrame:
    """Rows (indices into the chunk, ascending) whose event id an earlier row has."""
    codes = np.full(len(rows), CODE["duplicate"], np.uint8)
    return _frame(source, chunk, rows, codes, np.full(len(rows), source.event_id, object))


def _frame(source: Source, chunk: Chunk, rows: np.ndarray, codes: np.ndarray, blamed: np.ndarray) -> pl.DataFrame:
    if not len(rows):
        return NOTHING
    files, numbers = chunk.places(rows)
    taken = chunk.table.take(pa.array(rows))
    texts = pl.DataFrame({name: as_text(whole(taken[name])) for name in taken.column_names})
    reasons = np.array(["", *REASONS], object)[codes]
    value = pl.Series("value", [None], dtype=pl.String).new_from_index(0, len(rows))
    for column in set(blamed.tolist()):
        value = value.zip_with(pl.Series(blamed != column), texts[column])
    return pl.DataFrame(
        {"source": [source.name] * len(rows), "file": files, "row": numbers, "reason": reasons, "column": blamed},
        schema_overrides={"reason": pl.String, "column": pl.String},
    ).with_columns(value.alias("value"), texts.to_struct("event").struct.json_encode())


def malformed_lines(source: Source, lines: list[MalformedLine]) -> pl.DataFrame:
    """Lines of CSV files that have not as many columns as the header."""
    if not lines:
        return NOTHING
    return pl.DataFrame(
        {
            "source": [source.name] * len(lines),
            "file": [line.file.label for line in lines],
            "row": [line.row for line in lines],
            "reason": ["malformed_line"] * len(lines),
            "column": pl.Series([None] * len(lines), dtype=pl.String),
            "value": [line.text for line in lines],
            "event": pl.Series([None] * len(lines), dtype=pl.String),
        }
    )


def _column_of(source: Source, code: int) -> str:
    return source.customer if code == CODE["missing_customer"] else source.time


def as_text(array: pa.Array) -> pl.Series:
    """A column as people read it."""
    array = flat(array)
    if pa.types.is_timestamp(array.type) and array.type.tz:
        # the zone's rules are not needed to tell the moment
        array = array.cast(pa.timestamp(array.type.unit, "UTC")).cast(pa.timestamp(array.type.unit))
    text = pl.from_arrow(array.cast(pa.string(), safe=False))
    assert isinstance(text, pl.Series)
    return text
