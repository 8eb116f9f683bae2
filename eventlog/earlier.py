"""What is known from earlier nights: rows that were read before, the type of customer ids, customers who were erased.

Legend: e rows of a chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from eventlog.check import CODE, ERASED, READ_BEFORE, REASONS, Checked
from eventlog.columns import flat, nulls
from eventlog.read import Chunk, MalformedLine
from eventlog.spool import INTEGER_TEXT
from eventlog.tables import CustomerType, Table

NEVER = np.iinfo(np.int64).min
"""Moment up to which a file was read that is new."""
Erased = Callable[[pl.Series], np.ndarray]
"""Ids of customers, Int64 or String as in the log -> bool, which of them were erased and are taken no more."""


@dataclass(frozen=True)
class Earlier:
    """What a night knows from those before it."""

    customer_type: CustomerType | None
    """Type of the ids in the log, which does not change any more; None on a first reading, which settles it."""
    ids: tuple[tuple[np.ndarray, ...], ...]
    """Per source of the recipe, sorted event ids uint64 [., 2], one array a layer."""
    since: tuple[int | None, ...]
    """Per source: the moment up to which it was read where its rows are told by event id; None otherwise."""
    erased: Erased | None
    leaves_future: bool = False
    """Whether rows later than now are left for a later night, as those after the night's day are."""

    def spare(self, chunk: Chunk, customer: pa.DictionaryArray, time: np.ndarray, no_time: np.ndarray) -> np.ndarray:
        """uint8 [e]: rows that are not judged by the rules (READ_BEFORE, ERASED), and ids that do not fit the log."""
        codes = np.zeros(len(time), np.uint8)
        since = [NEVER if segment.file.since is None else segment.file.since for segment in chunk.segments]
        per_row = np.repeat(np.array(since, np.int64), [len(segment.rows) for segment in chunk.segments])
        codes[(per_row > NEVER) & ((time < per_row) | no_time)] = READ_BEFORE
        ids, fits = self._ids(customer.dictionary)
        absent = nulls(customer)
        place = customer.indices.fill_null(0).to_numpy() if customer.indices.null_count else customer.indices.to_numpy()
        if not fits.all():
            codes[(codes == 0) & ~absent & ~fits[place]] = CODE["missing_customer"]
        gone = self._gone(ids)
        if gone.any():
            codes[(codes == 0) & ~absent & gone[place]] = ERASED
        return codes

    def _gone(self, ids: pl.Series) -> np.ndarray:
        """bool [ids]: which customers were erased; a missing id is nobody's."""
        gone, there = np.zeros(len(ids), bool), ids.is_not_null().to_numpy()
        if self.erased is not None and there.any():
            gone[there] = self.erased(ids.drop_nulls())
        return gone

    def _ids(self, dictionary: pa.Array) -> tuple[pl.Series, np.ndarray]:
        """A chunk's own customers as ids of the log, and bool: which of them can be one."""
        series = pl.from_arrow(flat(dictionary))
        assert isinstance(series, pl.Series)
        if self.customer_type == "string" or (self.customer_type is None and series.dtype == pl.String):
            # on a first reading text that is to become numbers is written as these are
            return series.cast(pl.String), np.ones(len(series), bool)
        if series.dtype == pl.String:
            fits = series.str.contains(INTEGER_TEXT).fill_null(True).to_numpy()
            return series.cast(pl.Int64, strict=False), fits
        return series.cast(pl.Int64), np.ones(len(series), bool)

    def lines(self, table: Table, lines: list[MalformedLine]) -> tuple[list[MalformedLine], int]:
        """Malformed lines of files that are new, and how many of them hold the id of an erased customer."""
        new = [line for line in lines if line.file.since is None]
        if self.erased is None or not new:
            return new, 0
        kept = [line for line in new if not self._names_erased(line.text, table.source.delimiter or ",\t")]
        return kept, len(new) - len(kept)

    def _names_erased(self, text: str, delimiters: str) -> bool:
        for delimiter in delimiters:
            text = text.replace(delimiter, "\n")
        cells = [cell.strip().strip("\"'") for cell in text.splitlines()]
        ids, fits = self._ids(pa.array(cells, pa.string()))
        return bool((self._gone(ids) & fits).any())


def first_reading(sources: int, erased: Erased | None) -> Earlier | None:
    """What is known on a first reading of so many sources: at most who was erased."""
    return None if erased is None else Earlier(None, ((),) * sources, (None,) * sources, erased)


def drop_old_faults(checked: Checked, since: int) -> None:
    """Spare rows that break the contract and lie before `since`, or nowhere in time: they were put aside back then."""
    nowhere = np.isin(checked.reasons, [CODE["missing_time"], CODE["unparsable_time"]])
    fault = (checked.reasons > 0) & (checked.reasons <= len(REASONS))
    old = fault & ((checked.time < since) | nowhere)
    for code, columns in checked.blamed.items():
        checked.blamed[code] = columns[~old[checked.reasons == code]]
    checked.reasons[old] = READ_BEFORE
