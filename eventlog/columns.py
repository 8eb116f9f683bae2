"""Columns of a source brought to the few types that the sequence store knows, without a Python loop over rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Years 1 to 9999 in microseconds since 1970."""
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}
"""Microseconds per unit; nanoseconds are divided by 1000 instead."""
LARGEST = float(np.finfo(np.float32).max)
ISO_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M%#z",
)


def plain(kind: pa.DataType) -> pa.DataType:
    """A type without its dictionary or run-length coding."""
    return kind.value_type if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text."""
    kind = plain(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, its dictionaries unified."""
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def flat(array: pa.Array) -> pa.Array:
    """An array without its dictionary coding."""
    return array if array.type == plain(array.type) else array.cast(plain(array.type))


def nulls(array: pa.Array) -> np.ndarray:
    """bool [rows]: where a value is missing."""
    if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
        array = flat(array)
    return np.zeros(len(array), bool) if array.null_count == 0 else array.is_null().to_numpy(zero_copy_only=False)


def missing(array: pa.Array) -> np.ndarray:
    """bool [rows]: where there is no value, an empty text being none."""
    absent = nulls(array)
    if is_text(array.type):
        empty = pc.equal(flat(array), "").fill_null(False)
        absent = absent | empty.to_numpy(zero_copy_only=False)
    return absent


def encode(array: pa.Array, values_as: Callable[[pa.Array], pa.Array]) -> pa.DictionaryArray:
    """An array as int32 indices into a dictionary whose values went through `values_as`; missing stays missing."""
    coded = array if pa.types.is_dictionary(array.type) else flat(array).dictionary_encode()
    values = values_as(coded.dictionary)
    return pa.DictionaryArray.from_arrays(coded.indices.cast(pa.int32()), values)


def category_text(values: pa.Array) -> pa.Array:
    """Category values as text: 3, 3.0 and "3" are one value; an empty text and NaN are no value."""
    kind = values.type
    if pa.types.is_floating(kind):
        numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        round_ones = np.abs(numbers) < 2**53
        round_ones &= np.where(round_ones, numbers, 0.5) % 1 == 0
        as_whole = pa.array(np.where(round_ones, numbers, 0).astype(np.int64)).cast(pa.string())
        values = pc.if_else(pa.array(round_ones), as_whole, values.cast(pa.string()))
        return pc.if_else(pa.array(np.isnan(numbers)), pa.scalar(None, pa.string()), values)
    text = values.cast(pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text) if is_text(kind) else text


def identity(values: pa.Array) -> pa.Array:
    """Customer ids as int64 or text; what is neither (empty, not whole, beyond int64) is missing."""
    kind = values.type
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return values.cast(pa.int64())
    if pa.types.is_floating(kind) or kind == pa.uint64():
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        limit = 2.0**53 if pa.types.is_floating(kind) else 2.0**63
        usable = (np.abs(numbers) < limit) & (np.floor(numbers) == numbers)
        kept = pc.if_else(pa.array(usable), values, pa.scalar(None, kind))
        return kept.cast(pa.int64())
    text = values.cast(pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def numbers_of(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """float64 [rows], NaN where missing or no number, and bool [rows]: text that is not a number."""
    array = flat(array)
    if is_text(array.type):
        text: Any = pl.from_arrow(array)
        parsed = text.cast(pl.Float64, strict=False)
        unparsable = parsed.is_null() & text.is_not_null() & (text != "")
        return parsed.to_numpy(), unparsable.to_numpy()
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values, np.zeros(len(values), bool)


def times_of(array: pa.Array, unit: str | None) -> tuple[np.ndarray, np.ndarray]:
    """int64 [rows] microseconds since 1970 UTC (0 where there is none), and bool [rows]: not a time."""
    array = flat(array)
    if is_text(array.type) and unit is None:
        return _times_of_text(pl.from_arrow(array))
    if is_text(array.type):
        text: Any = pl.from_arrow(array)
        parsed = text.cast(pl.Int64, strict=False)
        no_number = (parsed.is_null() & text.is_not_null()).to_numpy()
        return _scaled(parsed.fill_null(0).to_numpy(), unit or "us", no_number)
    if pa.types.is_date(array.type):
        array, unit = array.cast(pa.timestamp("s")), None
    if pa.types.is_timestamp(array.type):
        unit = array.type.unit
    empty = np.zeros(len(array), bool)
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.int64), empty
    if array.type == pa.uint64():
        array = array.cast(pa.int64(), safe=False)
    counts = array.cast(pa.int64())
    return _scaled((counts.fill_null(0) if counts.null_count else counts).to_numpy(), unit or "us", empty)


def _scaled(counts: np.ndarray, unit: str, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of `unit` as microseconds; beyond the years 1 to 9999 they are no time."""
    factor = UNITS[unit]
    if unit != "ns":
        outside = (counts < FIRST_TIME // factor) | (counts > LAST_TIME // factor)
        if outside.any():
            counts, bad = np.where(outside, 0, counts), bad | outside
    micros = counts // 1000 if unit == "ns" else counts if factor == 1 else counts * factor
    return micros, bad


def _times_of_text(text: Any) -> tuple[np.ndarray, np.ndarray]:
    """ISO 8601 text: a date, or a date and time with T or blank between, seconds and zone optional."""
    found = text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False).to_physical()
    bad = np.zeros(len(text), bool)
    rest = (found.is_null() & text.is_not_null() & (text != "")).arg_true()
    times = found.fill_null(0).to_numpy()
    if len(rest):
        left = text.gather(rest).str.strip_chars().str.replace("T", " ", literal=True).str.replace(r"[zZ]$", "+00:00")
        read = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(left))
        for pattern in ISO_FORMATS:
            parsed = left.str.to_datetime(pattern, time_unit="us", strict=False).to_physical()
            read = read.zip_with(read.is_not_null(), parsed)
            if not read.null_count():
                break
        times, places = times.copy(), rest.to_numpy()
        times[places], bad[places] = read.fill_null(0).to_numpy(), read.is_null().to_numpy()
    return times, bad
