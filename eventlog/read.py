"""Rows of a source in chunks of bounded size, each knowing which file and row its rows come from."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog.columns import is_text
from eventlog.files import SourceFile
from eventlog.tables import Table, open_csv, unreadable

P = TypeVar("P")


@dataclass(frozen=True)
class Segment:
    """A run of a chunk's rows that stand one after the other in one file."""

    file: SourceFile
    rows: np.ndarray
    """int64 [rows] row numbers in the file; the first data row is 1."""


@dataclass(frozen=True)
class MalformedLine:
    """A line of a CSV file that has not as many columns as the header."""

    file: SourceFile
    row: int
    text: str
    piece: int = 0
    """Place of the piece that it came with among the pieces of its chunk; each of these is one segment."""


@dataclass
class Chunk:
    """Some rows of a source."""

    table: pa.Table
    segments: list[Segment]
    malformed: list[MalformedLine] = field(default_factory=list)
    bytes: float = 0.0
    """Share of the files' bytes that the rows make up; for progress only."""

    def pieces(self, rows: np.ndarray) -> np.ndarray:
        """int64: which of the chunk's segments some of its rows (indices, ascending) stand in."""
        starts = np.cumsum([0, *(len(segment.rows) for segment in self.segments)])
        return np.searchsorted(starts, rows, side="right") - 1

    def places(self, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
        """File labels and row numbers of some of the chunk's rows (indices, ascending)."""
        segment_of = self.pieces(rows)
        numbers = np.concatenate([s.rows for s in self.segments])[rows] if len(rows) else np.zeros(0, np.int64)
        labels = [segment.file.label for segment in self.segments]
        return [labels[i] for i in segment_of.tolist()], numbers


def read_chunks(table: Table, rows: int) -> Iterator[Chunk]:
    """Read a source in chunks of about `rows` rows, small files put together. Raises DataError on a damaged file."""
    for some in grouped(_pieces(table, rows), rows, lambda piece: (piece.table.num_rows, piece.table.schema)):
        yield _joined(some)


def grouped(pieces: Iterable[P], rows: int, about: Callable[[P], tuple[int, Hashable]]) -> Iterator[list[P]]:
    """Pieces of a source as they are put together to chunks of at most `rows`, or of one piece that has more.

    `about` says how many rows a piece has, and of which types.
    """
    waiting: list[P] = []
    held, kind = 0, None
    for piece in pieces:
        count, this = about(piece)
        if waiting and (held + count > rows or this != kind):
            yield waiting
            waiting, held = [], 0
        if not waiting:
            kind = this
        waiting.append(piece)
        held += count
    if waiting:
        yield waiting


def _joined(pieces: list[Chunk]) -> Chunk:
    return Chunk(
        pa.concat_tables([piece.table for piece in pieces]),
        [segment for piece in pieces for segment in piece.segments],
        [replace(line, piece=place) for place, piece in enumerate(pieces) for line in piece.malformed],
        sum(piece.bytes for piece in pieces),
    )


def _pieces(table: Table, rows: int) -> Iterator[Chunk]:
    for file in table.files:
        try:
            yield from _parquet(table, file, rows) if file.kind == "parquet" else _csv(table, file)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(table.source, file, error) from None


def _parquet(table: Table, file: SourceFile, rows: int) -> Iterator[Chunk]:
    schema = pq.read_schema(file.path)
    # text columns with repeating values stay dictionary coded from the file to the spool: four times faster
    repeating = {table.source.customer, *table.source.categorical.values()}
    coded = [name for name in repeating if is_text(schema.field(name).type)]
    reader = pq.ParquetFile(file.path, read_dictionary=coded, pre_buffer=False)
    size, total, done = file.size, max(reader.metadata.num_rows, 1), 0
    for batch in reader.iter_batches(batch_size=rows, columns=list(table.columns)):
        numbers = np.arange(done + 1, done + batch.num_rows + 1) + file.first_row
        done += batch.num_rows
        piece = pa.Table.from_batches([batch]).select(list(table.columns))
        yield Chunk(piece, [Segment(file, numbers)], bytes=size * batch.num_rows / total)


def _csv(table: Table, file: SourceFile) -> Iterator[Chunk]:
    malformed: list[MalformedLine] = []

    def note(row: Any) -> str:
        malformed.append(MalformedLine(file, row.number - 1, row.text[:1000]))  # the header is line 1
        return "skip"

    after, told = 1, 0
    with open_csv(table.source, file.path, table.columns, invalid_row_handler=note) as reader:
        for batch in reader:
            # the parser runs ahead, so malformed lines of later batches may be known already
            numbers = _numbers(after, batch.num_rows, [line.row for line in malformed if line.row >= after])
            after = int(numbers[-1]) + 1 if len(numbers) else after
            fresh, told = malformed[told:], len(malformed)
            yield Chunk(pa.Table.from_batches([batch]), [Segment(file, numbers)], fresh, float(batch.nbytes))
    if len(malformed) > told:
        empty = pa.table({name: pa.array([], pa.string()) for name in table.columns})
        yield Chunk(empty, [Segment(file, np.zeros(0, np.int64))], malformed[told:])


def _numbers(first: int, count: int, malformed: list[int]) -> np.ndarray:
    """Numbers of `count` good rows from row `first` on, leaving out the malformed ones."""
    numbers = np.arange(first, first + count + len(malformed))
    return numbers[~np.isin(numbers, malformed)][:count]
