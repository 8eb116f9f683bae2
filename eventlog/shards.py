"""Reading in shards: runs of a source's files, each read and checked to a finished artifact of its own.

A shard holds its files' good rows in blocks, event ids, and the rows that are for quarantine, each with the piece of
its file that it came in. The quarantine of the whole is cut by chunks of such pieces, so with these it gets the very
bytes that one machine gives it.

A shard is keyed by settings, files and the register of erasures, and says for which moments it holds: what lies in the
future is another thing tomorrow.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from configs.errors import ArtifactError, DataError
from eventlog.quarantine import SCHEMA, bad_rows, duplicate_rows, malformed_lines
from eventlog.read import read_chunks
from eventlog.scan import Limits, Reading, read_again, same_future
from eventlog.sequences import load_array
from eventlog.tables import Table
from eventlog.watermark import Prints
from store.artifact import ArtifactWriter, key_of, stands, verify
from store.digests import sha256
from store.ray_work import seen_by_workers
from store.shared import attempt, create_among_others

KIND, VERSION = "eventlog-shard", 1
KIND_AGAIN = "eventlog-shard-duplicates"
BYTES = 64 << 20
"""Files of a source are put together to shards until they have as many bytes; a larger one is a shard by itself."""
ABOUT, ERASED, BAD, LINES, AGAIN = "about.json", "erased.npy", "bad.arrow", "lines.arrow", "again.arrow"
TOLD = "told-{:06d}.npy"
"""Beside the shards: bool, which of a shard's kept rows are duplicates that go to quarantine."""
FRAME = SCHEMA.append(pa.field("piece", pa.int64()))
"""Rows for quarantine, and the piece of the shard that each came in."""


@dataclass(frozen=True)
class Shard:
    """Some files of a source."""

    index: int
    table: Table
    """The source with these files alone, and without the address of a database."""
    key: str


@dataclass(frozen=True)
class Shards:
    """Where the shards of all sources lie, which there are, and what rows are judged by."""

    folder: Path
    every: tuple[Shard, ...]
    limits: Limits

    @classmethod
    def of(cls, folder: Path, tables: Iterable[Table], prints: Prints, limits: Limits, settings: Any) -> "Shards":
        """Sources cut into shards; their artifacts go to `folder`.

        `settings`: JSON values of all else that a shard depends on, beside its files, whose SHA-256 are `prints`.
        """
        every: list[Shard] = []
        for table, sums in zip(tables, prints, strict=True):
            start = 0
            for stop in _cuts(table):
                files, held = table.files[start:stop], sums[start:stop]
                named = [[file.label, file.first_row, file.kind, sum] for file, sum in zip(files, held, strict=True)]
                key = key_of(KIND, VERSION, settings, limits.rows, limits.until, table.index, named)
                every.append(Shard(len(every), _alone(table, start, stop), key))
                start = stop
        return cls(folder, tuple(every), limits)

    def place(self, shard: Shard) -> Path:
        """Folder of a finished shard."""
        return self.folder / f"{shard.index:06d}"

    def finished(self, shard: Shard) -> bool:
        """Whether a shard stands, undamaged, and what it says of the future holds now."""
        return self._sound(self.place(shard), shard.key)

    def _sound(self, folder: Path, key: str) -> bool:
        try:
            manifest = verify(folder, KIND, VERSION)
        except ArtifactError:
            return False
        return (manifest.version, manifest.key) == (VERSION, key) and same_future(manifest.figures, self.limits.now)

    def place_again(self, shard: Shard) -> Path:
        """Folder of a shard's duplicates, as they go to quarantine."""
        return self.folder / f"{shard.index:06d}-again"

    def told(self, shard: Shard) -> Path:
        """File that says which they are."""
        return self.folder / TOLD.format(shard.index)

    def key_again(self, shard: Shard) -> str:
        """Key of a shard's duplicates."""
        return key_of(KIND_AGAIN, VERSION, shard.key, sha256(self.told(shard)))

    def finished_again(self, shard: Shard) -> bool:
        """Whether they are written, undamaged."""
        return stands(self.place_again(shard), KIND_AGAIN, VERSION, self.key_again(shard))

    def make(self, shard: Shard) -> None:
        """Read and check a shard's files, and let it stand, unless another worker was faster.

        Raises DataError on a damaged file, StorageError on a full disk.
        """
        attempt(self.folder, shard.index)
        place, key = self.place(shard), shard.key
        with create_among_others(place, KIND, VERSION, key, lambda folder: self._sound(folder, key)) as writer:
            _write(writer, shard.table, Reading.of(shard.table, self.limits, writer.folder))

    def make_again(self, shard: Shard) -> None:
        """Read a shard's files a second time for its duplicates."""
        attempt(self.folder, shard.index)
        told, table = np.load(self.told(shard)), shard.table
        sizes = Part.load(self.place(shard)).blocks
        with create_among_others(self.place_again(shard), KIND_AGAIN, VERSION, self.key_again(shard)) as writer:
            first = 0
            with _Frames(writer.path(AGAIN)) as again:
                for chunk, rows in read_again(table, self.limits, sizes, told):
                    pieces = (chunk.pieces(rows) if len(rows) else rows) + first
                    again.add(duplicate_rows(table.source, chunk, rows), pieces)
                    first += len(chunk.segments)


def _cuts(table: Table) -> Iterator[int]:
    """Where the shards of a source end among its files."""
    held = 0
    for place, file in enumerate(table.files):
        held += file.size
        if held >= BYTES or place == len(table.files) - 1:
            yield place + 1
            held = 0


def _alone(table: Table, start: int, stop: int) -> Table:
    """A source with some of its files, under paths that hold wherever a worker stands; without secrets."""
    files = tuple(replace(file, path=file.path.absolute()) for file in table.files[start:stop])
    return replace(table, files=files, source=table.source.model_copy(update={"url": None}))


def _write(writer: ArtifactWriter, table: Table, reading: Reading) -> None:
    """Read a shard's files and write what they hold."""
    for file in table.files:
        seen_by_workers(file.path)
    pieces: list[tuple[int, str]] = []
    with _Frames(writer.path(BAD)) as bad, _Frames(writer.path(LINES)) as lines:
        for chunk in read_chunks(table, reading.limits.rows):
            checked = reading.take(chunk)
            frame, rows = bad_rows(table.source, chunk, checked)
            bad.add(frame, chunk.pieces(rows) + len(pieces))
            places = np.array([line.piece for line in chunk.malformed], np.int64)
            lines.add(malformed_lines(table.source, chunk.malformed), places + len(pieces))
            kind = key_of([[field.name, str(field.type), field.nullable] for field in chunk.table.schema])
            pieces += [(len(segment.rows), kind) for segment in chunk.segments]
    if moved := [file.label for file in table.files if not file.is_as_found()]:
        raise DataError(f"{moved[0]}: changed while it was read; start again once it is whole")
    counts = reading.counts
    body = {
        "rows": counts.rows,
        "after_until": counts.after_until,
        "erased": counts.erased,
        "reasons": dict(counts.reasons),
        "files": {label: [file.rows, file.pending] for label, file in counts.files.items()},
        "blocks": [block.rows for block in reading.blocks],
        "pieces": pieces,
        "erased_lines": reading.erased_lines,
        "future_from": reading.future_from,
        "last": reading.last,
    }
    writer.write_json(ABOUT, body)
    np.save(writer.path(ERASED), np.concatenate([np.zeros(0, np.int64), *reading.erased]))
    writer.figures.update(future_from=reading.future_from, last_micros=reading.last)


@dataclass(frozen=True)
class Part:
    """A finished shard."""

    folder: Path
    rows: int
    """All of its rows, as `SourceCounts` has them."""
    after_until: int
    erased: int
    reasons: Counter[str]
    files: dict[str, tuple[int, int]]
    """Label -> rows, and rows after `until`."""
    blocks: list[int]
    """Kept rows of each block."""
    pieces: list[tuple[int, str]]
    """Rows of each piece, malformed lines left out, and what tells its columns' types."""
    erased_lines: int
    future_from: int | None
    last: int | None

    @classmethod
    def load(cls, folder: Path) -> "Part":
        """Read what a shard says of itself."""
        body = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        files = {label: (rows, pending) for label, (rows, pending) in body.pop("files").items()}
        pieces = [(rows, kind) for rows, kind in body.pop("pieces")]
        return cls(folder, reasons=Counter(body.pop("reasons")), files=files, pieces=pieces, **body)

    def erased_rows(self) -> np.ndarray:
        """int64: places of rows of erased customers among the shard's rows."""
        return load_array(self.folder / ERASED)

    def bad(self) -> list[pl.DataFrame]:
        """The rows for quarantine that came in each piece."""
        return in_pieces(self.folder / BAD, len(self.pieces))

    def lines(self) -> list[pl.DataFrame]:
        """The malformed lines that came with each piece."""
        return in_pieces(self.folder / LINES, len(self.pieces))


def in_pieces(path: Path, count: int) -> list[pl.DataFrame]:
    """A file of rows for quarantine, cut by the pieces that they came in."""
    with pa.memory_map(str(path)) as file:
        frame = pl.from_arrow(pa.ipc.open_file(file).read_all())
    assert isinstance(frame, pl.DataFrame)
    bounds = np.searchsorted(frame["piece"].to_numpy(), np.arange(count + 1)).tolist()
    return [frame[start:stop].drop("piece") for start, stop in pairwise(bounds)]


class _Frames:
    """A file of rows for quarantine that is written frame after frame."""

    def __init__(self, path: Path) -> None:
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, FRAME)

    def __enter__(self) -> "_Frames":
        return self

    def add(self, frame: pl.DataFrame, pieces: np.ndarray) -> None:
        """Write a frame of rows, ascending by the `pieces` int64 [rows] that they came in."""
        if frame.height:
            whole = frame.select(SCHEMA.names).with_columns(pl.Series("piece", pieces, dtype=pl.Int64))
            self._writer.write_table(whole.to_arrow().cast(FRAME))

    def __exit__(self, kind: type[BaseException] | None, value: object, where: TracebackType | None) -> None:
        self._writer.close()
        self._sink.close()
