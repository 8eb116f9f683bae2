"""One reading of all sources: rows checked, the bad ones put aside, the good ones spooled in reading order."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from configs.progress import Advance, Progress
from eventlog.check import AFTER_UNTIL, CODE, ERASED, READ_BEFORE, Checked, check_chunk
from eventlog.config import EventLogConfig
from eventlog.duplicates import EventIds
from eventlog.earlier import Earlier, drop_old_faults
from eventlog.quarantine import Quarantine, duplicate_rows
from eventlog.read import Chunk, read_chunks
from eventlog.spool import Block, write_block
from eventlog.tables import Table

BLOCK_ROWS = 1 << 19


@dataclass
class FileCounts:
    """What the reading of one file found."""

    rows: int = 0
    """All of its data rows."""
    pending: int = 0
    """Rows after `until`, or in the future."""


@dataclass
class SourceCounts:
    """What the reading of one source found."""

    table: Table
    rows: int = 0
    """All rows of the source but those that an earlier night read, also those after `until`."""
    after_until: int = 0
    erased: int = 0
    """Rows of customers who were erased."""
    reasons: Counter[str] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    present: Counter[str] = field(default_factory=Counter)
    """Field -> kept rows that have a value."""
    files: dict[str, FileCounts] = field(default_factory=dict)
    """By label."""
    ids: EventIds | None = None
    """Where the source has event ids."""

    @property
    def read(self) -> int:
        """Rows that were read and judged."""
        return self.rows - self.after_until - self.erased

    @property
    def quarantined(self) -> int:
        """Rows put aside."""
        return sum(self.reasons.values())

    @property
    def kept(self) -> int:
        """Rows that are events of the log."""
        return self.read - self.quarantined


@dataclass
class Scan:
    """All sources, read once."""

    sources: list[SourceCounts]
    blocks: list[Block]
    quarantine: Path
    examples: dict[tuple[str, str], str]
    future_from: int | None = None
    """Time of the earliest event that lies in the future."""
    erased: Any = field(default_factory=hashlib.sha256)
    """Hash of which rows are of erased customers."""


@dataclass(frozen=True)
class Limits:
    """What rows are judged by, and how many at once."""

    rows: int
    """Rows of a block."""
    now: int
    until: int | None
    earlier: Earlier | None

    @classmethod
    def of(cls, config: EventLogConfig, now: int, earlier: Earlier | None) -> "Limits":
        """Those of a reading at `now`, microseconds since 1970."""
        until = None if config.until is None else micros(config.until.timestamp())
        # a block is held as arrays several times over, beside what the sort will take
        return cls(min(BLOCK_ROWS, max(config.memory_mb * 1024, 64)), now, until, earlier)

    def judge(self, table: Table, chunk: Chunk) -> Checked:
        """What is wrong with each row of a chunk."""
        if self.earlier is None:
            return check_chunk(table.source, chunk, self.now, self.until)
        until = self.until
        if until is not None and self.earlier.leaves_future:
            until = min(until, self.now + 1)
        checked = check_chunk(table.source, chunk, self.now, until, self.earlier.spare)
        since = self.earlier.since[table.index]
        if since is not None:
            drop_old_faults(checked, since)
        return checked


@dataclass
class Reading:
    """The reading of a source, or of some of its files, chunk by chunk; blocks and event ids go to `folder`."""

    table: Table
    limits: Limits
    folder: Path
    counts: SourceCounts
    blocks: list[Block] = field(default_factory=list)
    rows: int = 0
    """Rows that were taken, malformed lines left out."""
    future_from: int | None = None
    last: int | None = None
    """Time of the last row that was kept, duplicates included."""
    erased: list[np.ndarray] = field(default_factory=list)
    """Places of rows of erased customers, int64, one array a chunk."""
    erased_lines: int = 0
    """Malformed lines of erased customers."""

    @classmethod
    def of(cls, table: Table, limits: Limits, folder: Path) -> "Reading":
        """Nothing read yet."""
        counts = SourceCounts(table)
        if table.source.event_id is not None:
            place = folder / f"ids-{table.index}"
            place.mkdir()
            counts.ids = EventIds(table, place)
        return cls(table, limits, folder, counts)

    def take(self, chunk: Chunk) -> Checked:
        """Check, count and spool the next chunk; malformed lines of erased customers are taken out of it."""
        checked = self.limits.judge(self.table, chunk)
        _count_files(self.counts, chunk, checked)
        if self.limits.earlier is not None:
            chunk.malformed, erased = self.limits.earlier.lines(self.table, chunk.malformed)
            self.counts.erased += erased
            self.counts.rows += erased
            self.erased_lines += erased
        _count(self.counts, checked, len(chunk.malformed))
        self._note(checked)
        self.rows += len(checked.reasons)
        name = f"block-{self.table.index}-{len(self.blocks):06d}.arrow"
        block, kept = write_block(self.folder / name, self.table, checked)
        self.blocks.append(block)
        if self.counts.ids is not None:
            self.counts.ids.add(chunk, kept)
        return checked

    def _note(self, checked: Checked) -> None:
        """Note times, and which rows are of erased customers."""
        later = checked.reasons == CODE["future_time"]
        if self.limits.until is not None:  # a night leaves rows before its end that are later than now
            later |= (checked.reasons == AFTER_UNTIL) & (checked.time < self.limits.until)
        future, kept = checked.time[later], checked.time[checked.reasons == 0]
        if len(future):
            self.future_from = least(self.future_from, int(future.min()))
        if len(kept):
            self.last = int(kept.max()) if self.last is None else max(self.last, int(kept.max()))
        erased = np.flatnonzero(checked.reasons == ERASED)
        if len(erased):
            self.erased.append(self.rows + erased)

    def finish(self, result: Scan, tell: Callable[[np.ndarray], None]) -> None:
        """Add what was read to a scan, once its bad rows are in quarantine.

        `tell` puts duplicates there too, bool [kept rows].
        """
        if self.erased or self.erased_lines:
            places = np.concatenate([np.zeros(0, np.int64), *self.erased])
            result.erased.update(f"{self.table.index}:{self.erased_lines}:{len(places)}:".encode() + places.tobytes())
        if self.future_from is not None:
            result.future_from = least(result.future_from, self.future_from)
        if self.counts.ids is not None:
            self._drop_repeated(self.counts.ids, tell)
        for block in self.blocks:
            _describe(self.counts, block)
        result.sources.append(self.counts)
        result.blocks.extend(self.blocks)

    def _drop_repeated(self, ids: EventIds, tell: Callable[[np.ndarray], None]) -> None:
        """Take rows out whose event id was there before."""
        earlier, counts = self.limits.earlier, self.counts
        again, before = ids.repeated(() if earlier is None else earlier.ids[self.table.index])
        since = None if earlier is None else earlier.since[self.table.index]
        dropped, known = np.zeros(ids.rows, bool), np.zeros(ids.rows, bool)
        dropped[again] = dropped[before] = True
        if since is not None and len(before):  # rows of a query that an earlier night read do not repeat themselves
            time = np.concatenate([block.read().column("time").to_numpy() for block in self.blocks])
            known[before] = time[before] < since
        if not dropped.any():
            return
        counts.reasons["duplicate"] = int((dropped & ~known).sum())
        counts.rows -= int(known.sum())
        tell(dropped & ~known)
        start = 0
        for block in self.blocks:
            here = dropped[start : start + block.rows]
            start += block.rows
            if here.any():
                block.dropped = here
                block.rows -= int(here.sum())


def scan(
    config: EventLogConfig,
    tables: tuple[Table, ...],
    folder: Path,
    now: int,
    progress: Progress,
    earlier: Earlier | None = None,
) -> Scan:
    """Read and check every row; blocks and quarantine are written to `folder`. `now` in microseconds since 1970.

    `earlier` is what a night knows from those before it.

    Raises DataError where a file turns out to be damaged.
    """
    limits = Limits.of(config, now, earlier)
    with quarantined(folder) as (result, quarantine):
        for table in tables:
            with progress.task(f"Reading {table.source.name}", sum(file.size for file in table.files)) as advance:
                _scan_table(table, limits, folder, result, quarantine, advance)
    return result


@contextmanager
def quarantined(folder: Path) -> Iterator[tuple[Scan, Quarantine]]:
    """A scan of nothing yet, and the quarantine beside it, finished in the end."""
    path = folder / "quarantine.parquet"
    quarantine = Quarantine(path)
    try:
        yield Scan([], [], path, quarantine.examples), quarantine
    finally:
        quarantine.close()


def _scan_table(
    table: Table, limits: Limits, folder: Path, result: Scan, quarantine: Quarantine, advance: Advance
) -> None:
    reading = Reading.of(table, limits, folder)
    for chunk in read_chunks(table, limits.rows):
        quarantine.add(table.source, chunk, reading.take(chunk))
        advance(chunk.bytes)

    def tell(told: np.ndarray) -> None:
        sizes = [block.rows for block in reading.blocks]
        for chunk, rows in read_again(table, limits, sizes, told):
            quarantine.append(duplicate_rows(table.source, chunk, rows))

    reading.finish(result, tell)


def read_again(
    table: Table, limits: Limits, sizes: Sequence[int], told: np.ndarray
) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Read a source a second time: every chunk, and indices into it of the kept rows that are `told` bool [kept rows].

    `sizes` are the kept rows of each chunk.
    """
    start = 0
    for size, chunk in zip(sizes, read_chunks(table, limits.rows), strict=True):
        here = told[start : start + size]
        start += size
        some = here.any()
        yield chunk, np.flatnonzero(limits.judge(table, chunk).reasons == 0)[here] if some else np.zeros(0, np.int64)


def same_future(figures: Mapping[str, Any], now: int) -> bool:
    """Whether the same rows lie in the future as when something was made whose manifest has these figures."""
    future = figures.get("future_from")
    return (figures.get("last_micros") or 0) <= now and (future is None or now < future)


def least(one: int | None, other: int) -> int:
    """The lesser of two numbers, the first of which may be missing."""
    return other if one is None else min(one, other)


def micros(seconds: float) -> int:
    """Seconds since 1970 as microseconds."""
    return round(seconds * 1_000_000)


def _count(counts: SourceCounts, checked: Checked, malformed: int) -> None:
    found = np.bincount(checked.reasons, minlength=AFTER_UNTIL + 1)
    counts.rows += len(checked.reasons) - int(found[READ_BEFORE]) + malformed
    counts.after_until += int(found[AFTER_UNTIL])
    counts.erased += int(found[ERASED])
    for reason, code in CODE.items():
        if found[code]:
            counts.reasons[reason] += int(found[code])
    if malformed:
        counts.reasons["malformed_line"] += malformed


def _count_files(counts: SourceCounts, chunk: Chunk, checked: Checked) -> None:
    start = 0
    for segment in chunk.segments:
        end = start + len(segment.rows)
        here = counts.files.setdefault(segment.file.label, FileCounts())
        here.rows += end - start
        # what lies in the future is put aside, and read again once its time has come
        left = np.isin(checked.reasons[start:end], (AFTER_UNTIL, CODE["future_time"]))
        here.pending += int(np.count_nonzero(left))
        start = end
    for line in chunk.malformed:
        counts.files.setdefault(line.file.label, FileCounts()).rows += 1


def _describe(counts: SourceCounts, block: Block) -> None:
    """Times and values present of a block's kept rows."""
    batch = block.read()
    if not batch.num_rows:
        return
    time = batch.column("time").to_numpy()
    first, last = int(time.min()), int(time.max())
    counts.first = least(counts.first, first)
    counts.last = last if counts.last is None else max(counts.last, last)
    source = block.table.source
    for i, name in enumerate(source.categorical):
        coded = batch.column(f"c{i}")
        absent = coded.null_count
        if coded.dictionary.null_count:
            absent = coded.cast(coded.type.value_type).null_count
        counts.present[name] += batch.num_rows - absent
    for i, name in enumerate(source.numeric):
        counts.present[name] += int(np.count_nonzero(~np.isnan(batch.column(f"v{i}").to_numpy())))
