"""Sources opened: their files found, queries fetched, columns and types checked before any row is read."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from configs.errors import DataError
from configs.progress import Progress
from eventlog.columns import flat, is_text, missing, numbers_of, plain, times_of, whole
from eventlog.config import EventLogConfig, Source
from eventlog.files import SourceFile, find_files
from eventlog.query import fetch
from eventlog.remote import fetch_files, is_remote

SAMPLE = 1000
"""Rows of a text column that are looked at to tell a wrong column from a few bad values."""
CustomerType = Literal["integer", "string"]


@dataclass(frozen=True)
class Table:
    """A source that is ready to be read."""

    source: Source
    index: int
    """Place in the recipe."""
    files: tuple[SourceFile, ...]
    untyped: bool
    """Whether values come as text whatever they mean (CSV) or with loose types (SQL), and are parsed."""
    customer_type: CustomerType | None
    """None where the ids themselves decide, as in CSV."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        source = self.source
        roles = (source.customer, source.time, *([source.event_id] if source.event_id else []))
        return tuple(dict.fromkeys((*roles, *source.categorical.values(), *source.numeric.values())))


def open_tables(config: EventLogConfig, folder: Path, progress: Progress) -> tuple[Table, ...]:
    """Open all sources; answers of queries and remote files are kept in `folder`.

    Raises DataError with the faults of all sources.
    """

    def find(source: Source, index: int) -> list[SourceFile]:
        if source.path is not None and is_remote(source.path):
            return fetch_files(source, folder / f"remote-{index}", progress)
        if source.path is not None:
            return find_files(source)
        return fetch(source, folder / f"query-{index}", progress)

    return open_found(config, find)


def open_found(config: EventLogConfig, find: Callable[[Source, int], list[SourceFile]]) -> tuple[Table, ...]:
    """Open the files that `find` gives for each source; for no files, an empty table.

    Raises DataError with the faults of all sources.
    """
    faults: list[str] = []
    tables = []
    for index, source in enumerate(config.sources):
        try:
            files = find(source, index)
            tables.append(_open(source, index, files, faults) if files else Table(source, index, (), False, None))
        except DataError as error:
            faults.append(str(error))
    kinds = {table.customer_type: table.source for table in reversed(tables) if table.customer_type}
    if len(kinds) > 1:
        number, text = kinds["integer"], kinds["string"]
        faults.append(
            f"customer ids are whole numbers in source {number.name!r}, column {number.customer!r}, and text in source "
            f"{text.name!r}, column {text.customer!r}; give them one type in all sources"
        )
    if faults:
        raise DataError("\n".join(faults))
    return tuple(tables)


def _open(source: Source, index: int, files: list[SourceFile], faults: list[str]) -> Table:
    """Check the columns of every file of a source; the same fault in many files is told once."""
    untyped = source.query is not None or files[0].kind == "csv"
    found: dict[str, list[SourceFile]] = {}
    customer_kinds: set[CustomerType | None] = set()
    for file in files:
        schema = read_schema(source, file)
        for fault in _schema_faults(source, schema, untyped):
            found.setdefault(fault, []).append(file)
        if source.customer in schema and file.kind == "parquet":
            kind = plain(schema[source.customer])
            customer_kinds.add(None if pa.types.is_null(kind) else "string" if is_text(kind) else "integer")
    customer_kinds -= {None}
    if len(customer_kinds) > 1:
        found["column " + repr(source.customer) + " holds whole numbers in some files and text in others"] = [files[0]]
    if not found:
        for fault in _sample_faults(source, files[0], untyped):
            found.setdefault(fault, []).append(files[0])
    for fault, places in found.items():
        more = f" (and {len(places) - 1} more files)" if len(places) > 1 else ""
        where = "query" if source.query is not None else f"{places[0].path}{more}"
        faults.append(f"source {source.name!r}: {where}: {fault}")
    customer_type = next(iter(customer_kinds), None)
    return Table(source, index, tuple(files), untyped, customer_type)


def read_schema(source: Source, file: SourceFile) -> Mapping[str, pa.DataType]:
    """Column names and types of a file. Raises DataError where the file cannot be read."""
    try:
        if file.kind == "parquet":
            schema = pq.read_schema(file.path)
        else:
            with open_csv(source, file.path, invalid_row_handler=_skip) as reader:
                # what Arrow takes the first values for does not bind: a CSV file holds text
                schema = pa.schema([(name, pa.string()) for name in reader.schema.names])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(source, file, error) from None
    return dict(zip(schema.names, schema.types, strict=True))


def _skip(row: Any) -> str:
    """Malformed lines are for the reading to put aside, not for a first look."""
    return "skip"


def unreadable(source: Source, file: SourceFile, error: Exception) -> DataError:
    """The error for a file that is truncated, damaged or not what its name says."""
    what = {"parquet": "a complete Parquet file", "csv": "a complete CSV file in UTF-8 with one header line"}[file.kind]
    reason = " ".join(str(error).split())[:200]
    return DataError(f"source {source.name!r}: {file.path}: cannot be read, it is no {what[2:]} ({reason})")


def open_csv(
    source: Source, path: Path, columns: Iterable[str] = (), invalid_row_handler: Callable[[Any], str] | None = None
) -> pacsv.CSVStreamingReader:
    """Open a CSV file for reading in blocks; every named column is text, empty means missing."""
    tab = ".tsv" in "".join(path.suffixes).lower()
    delimiter = source.delimiter or ("\t" if tab else ",")
    wanted = list(columns)
    convert = pacsv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()),
        include_columns=wanted,
        null_values=[""],
        strings_can_be_null=True,
    )
    # one thread: only then does a malformed line come with its number
    reading = pacsv.ReadOptions(use_threads=False, block_size=1 << 23)
    parsing = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=invalid_row_handler)
    return pacsv.open_csv(path, read_options=reading, parse_options=parsing, convert_options=convert)


def _schema_faults(source: Source, schema: Mapping[str, pa.DataType], untyped: bool) -> Iterator[str]:
    """What is wrong with the columns of one file."""
    rules = {
        "customer": ([source.customer], _customer_fault),
        "time": ([source.time], lambda kind: _time_fault(kind, source.time_unit, untyped)),
        "event id": ([source.event_id] if source.event_id else [], _event_id_fault),
        "categorical": (list(source.categorical.values()), _category_fault),
        "numeric": (list(source.numeric.values()), lambda kind: None if untyped else _number_fault(kind)),
    }
    for role, (columns, rule) in rules.items():
        for column in columns:
            if column not in schema:
                near = difflib.get_close_matches(column, list(schema), n=3)
                hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {_some(schema)}"
                yield f"no column {column!r}, named as {role}; {hint}"
            elif (fault := rule(plain(schema[column]))) and not (untyped and is_text(schema[column])):
                yield f"column {column!r}, named as {role}, holds {_type_words(schema[column])}; {fault}"


def _type_words(kind: pa.DataType) -> str:
    """A type as people call it."""
    kind = plain(kind)
    words = {
        "text": is_text,
        "true/false": pa.types.is_boolean,
        "lists": pa.types.is_nested,
        "bytes": pa.types.is_binary,
    }
    words |= {"whole numbers": pa.types.is_integer, "numbers with a fraction": pa.types.is_floating}
    words |= {"timestamps": pa.types.is_timestamp, "dates": pa.types.is_date}
    return next((word for word, test in words.items() if test(kind)), str(kind))


def _some(schema: Mapping[str, object]) -> str:
    names = list(schema)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "no columns"


def _customer_fault(kind: pa.DataType) -> str | None:
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    return None if numbers or is_text(kind) else "accepted: whole numbers or text"


def _time_fault(kind: pa.DataType, unit: str | None, untyped: bool) -> str | None:
    if pa.types.is_integer(kind):
        if unit is not None:
            return None
        return (
            "accepted: timestamps, dates, ISO 8601 text, or whole numbers since 1970 with `time_unit: s`, ms, us or ns"
        )
    fits = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind) or is_text(kind)
    return None if fits else "accepted: timestamps, dates or ISO 8601 text"


def _event_id_fault(kind: pa.DataType) -> str | None:
    fits = pa.types.is_integer(kind) or is_text(kind) or pa.types.is_null(kind)
    return None if fits else "accepted: whole numbers or text"


def _category_fault(kind: pa.DataType) -> str | None:
    tests = (
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_floating,
        pa.types.is_date,
        pa.types.is_null,
        is_text,
    )
    return None if any(test(kind) for test in tests) else "accepted: text, whole numbers, true/false or dates"


def _number_fault(kind: pa.DataType) -> str | None:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return None if any(test(kind) for test in tests) else "accepted: numbers"


def _sample_faults(source: Source, file: SourceFile, untyped: bool) -> Iterator[str]:
    """Text columns of the first rows in which not one value is what the column should hold."""
    sample = _sample(source, file)
    if source.time in sample.column_names and is_text(sample[source.time].type):
        array = flat(whole(sample[source.time]))
        _, bad = times_of(array, source.time_unit)
        if (found := _hopeless(array, bad)) is not None:
            accepted = "whole numbers" if source.time_unit else "timestamps, dates or ISO 8601 text"
            hint = "" if source.time_unit or not found.isdigit() else ", or whole numbers with `time_unit`"
            yield f"column {source.time!r}, named as time, holds text such as {found!r}; accepted: {accepted}{hint}"
    for column in source.numeric.values():
        if untyped and is_text(sample[column].type):
            array = flat(whole(sample[column]))
            _, bad = numbers_of(array)
            if (found := _hopeless(array, bad)) is not None:
                yield f"column {column!r}, named as numeric, holds text such as {found!r}; accepted: numbers"


def _hopeless(array: pa.Array, bad: object) -> str | None:
    """A bad value where all values that are there are bad (at least three), else None."""
    present = ~missing(array)
    wrong = np.asarray(bad)
    if present.sum() < 3 or not wrong[present].all():
        return None
    return str(array[int(np.flatnonzero(wrong)[0])].as_py())[:50]


def _sample(source: Source, file: SourceFile) -> pa.Table:
    """The first rows of a file, the columns that need parsing only."""
    columns = list(dict.fromkeys((source.time, *source.numeric.values())))
    try:
        if file.kind == "parquet":
            batches = pq.ParquetFile(file.path).iter_batches(batch_size=SAMPLE, columns=columns)
            batch = next(batches, None)
            return pa.Table.from_batches([batch]) if batch else pq.read_schema(file.path).empty_table()
        with open_csv(source, file.path, columns, invalid_row_handler=_skip) as reader:
            batch = next(iter(reader), None)
            return pa.Table.from_batches([batch]).slice(0, SAMPLE) if batch else reader.schema.empty_table()
    except (pa.ArrowException, OSError) as error:
        raise unreadable(source, file, error) from None
