"""The rules that a row must keep, applied to a chunk at once; a row that breaks several gets the first reason."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from eventlog.columns import LARGEST, category_text, encode, identity, missing, nulls, numbers_of, times_of, whole
from eventlog.config import Source
from eventlog.read import Chunk

REASONS = {
    "missing_customer": "the customer is missing or is no usable id",
    "missing_time": "the time is missing",
    "unparsable_time": "the time is no timestamp, date or ISO 8601 text",
    "future_time": "the time lies in the future",
    "unparsable_number": "an amount is no number",
    "not_a_number": "an amount is NaN",
    "infinite": "an amount is infinite or too large for 32 bits",
    "duplicate": "an earlier row has the same event id",
    "malformed_line": "the line has more or fewer columns than the header",
}
"""Reason -> what it means, in the order in which the rules are tried; 0 is a row that keeps them all."""
CODE = {reason: code for code, reason in enumerate(REASONS, start=1)}
AFTER_UNTIL = 255
"""Not a fault: the row lies after the recipe's `until` and is not read."""
READ_BEFORE = 254
"""Not a fault: an earlier night read the row."""
ERASED = 253
"""Not a fault: the row is of a customer who was erased."""


@dataclass(frozen=True)
class Checked:
    """A chunk's columns in the log's types, and what is wrong with each row."""

    reasons: np.ndarray
    """uint8 [rows]: 0 kept; AFTER_UNTIL, READ_BEFORE and ERASED not judged; else a code of REASONS."""
    blamed: dict[int, np.ndarray]
    """Code of a reason about numbers -> int64 [rows with it], which numeric column is to blame."""
    customer: pa.DictionaryArray
    time: np.ndarray
    categorical: tuple[pa.DictionaryArray, ...]
    numeric: tuple[np.ndarray, ...]


Spare = Callable[[Chunk, pa.DictionaryArray, np.ndarray, np.ndarray], np.ndarray]
"""A chunk, its customers, times and where there is no time -> uint8 [rows] codes of rows that are not to be judged."""


def check_chunk(source: Source, chunk: Chunk, now: int, until: int | None, spare: Spare | None = None) -> Checked:
    """Apply every rule that one row alone can break; `now` and `until` in microseconds since 1970 UTC."""
    table = chunk.table
    reasons = np.zeros(table.num_rows, np.uint8)
    customer = encode(whole(table[source.customer]), identity)
    column = whole(table[source.time])
    time, no_time = times_of(column, source.time_unit)
    time_missing = missing(column)
    if until is not None:
        reasons[(time >= until) & ~no_time & ~time_missing] = AFTER_UNTIL
    if spare is not None:
        np.copyto(reasons, spare(chunk, customer, time, no_time | time_missing), where=reasons == 0)
    _blame(reasons, nulls(customer), "missing_customer")
    _blame(reasons, time_missing, "missing_time")
    _blame(reasons, no_time, "unparsable_time")
    _blame(reasons, time > now, "future_time")
    numeric, blamed = _check_numbers(source, table, reasons)
    categorical = tuple(encode(whole(table[name]), category_text) for name in source.categorical.values())
    return Checked(reasons, blamed, customer, time, categorical, numeric)


def _blame(reasons: np.ndarray, wrong: np.ndarray, reason: str) -> None:
    if wrong.any():
        reasons[wrong & (reasons == 0)] = CODE[reason]


def _check_numbers(
    source: Source, table: pa.Table, reasons: np.ndarray
) -> tuple[tuple[np.ndarray, ...], dict[int, np.ndarray]]:
    """The numeric columns as float32, NaN where absent; rows with unusable numbers get their reason."""
    columns = []
    wrong: dict[str, list[np.ndarray]] = {"unparsable_number": [], "not_a_number": [], "infinite": []}
    nothing = np.zeros(len(reasons), bool)
    for name in source.numeric.values():
        array = whole(table[name])
        values, unparsable = numbers_of(array)
        with np.errstate(over="ignore"):
            columns.append(values.astype(np.float32))
        suspect = not np.isfinite(columns[-1]).all()
        wrong["unparsable_number"].append(unparsable)
        wrong["not_a_number"].append(np.isnan(values) & ~missing(array) & ~unparsable if suspect else nothing)
        wrong["infinite"].append(np.abs(values) > LARGEST if suspect else nothing)
    blamed = {}
    for reason, masks in wrong.items():
        rows = np.logical_or.reduce(masks) & (reasons == 0) if masks else nothing
        if rows.any():
            reasons[rows] = CODE[reason]
            blamed[CODE[reason]] = np.argmax(np.stack([mask[rows] for mask in masks]), axis=0)
    return tuple(columns), blamed
