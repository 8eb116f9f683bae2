"""One reading of all sources: rows checked, the bad ones put aside, the good ones spooled in reading order."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from configs.progress import Advance, Progress
from eventlog.check import AFTER_UNTIL, CODE, ERASED, READ_BEFORE, Checked, check_chunk
from eventlog.config import EventLogConfig
from eventlog.duplicates import EventIds
from eventlog.earlier import Earlier, drop_old_faults
from eventlog.quarantine import Quarantine
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
    until = None if config.until is None else micros(config.until.timestamp())
    # a block is held as arrays several times over, beside what the sort will take
    limits = _Limits(min(BLOCK_ROWS, max(config.memory_mb * 1024, 64)), now, until, earlier)
    path = folder / "quarantine.parquet"
    quarantine = Quarantine(path)
    result = Scan([], [], path, quarantine.examples)
    try:
        for table in tables:
            with progress.task(f"Reading {table.source.name}", sum(file.size for file in table.files)) as advance:
                _scan_table(table, limits, folder, result, quarantine, advance)
    finally:
        quarantine.close()
    return result


@dataclass(frozen=True)
class _Limits:
    rows: int
    """Rows of a block."""
    now: int
    until: int | None
    earlier: Earlier | None

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


def _scan_table(
    table: Table, limits: _Limits, folder: Path, result: Scan, quarantine: Quarantine, advance: Advance
) -> None:
    counts = SourceCounts(table)
    result.sources.append(counts)
    counts.ids = ids = _event_ids(table, folder)
    start, rows = len(result.blocks), 0
    for chunk in read_chunks(table, limits.rows):
        checked = limits.judge(table, chunk)
        _count_files(counts, chunk, checked)
        if limits.earlier is not None:
            chunk.malformed, erased = limits.earlier.lines(table, chunk.malformed)
            counts.erased += erased
            counts.rows += erased
            result.erased.update(b"%d," % erased if erased else b"")
        _count(counts, checked, len(chunk.malformed))
        _note(result, checked, rows, limits.until)
        rows += len(checked.reasons)
        quarantine.add(table.source, chunk, checked)
        block, kept = write_block(folder / f"block-{len(result.blocks):06d}.arrow", table, checked)
        result.blocks.append(block)
        if ids is not None:
            ids.add(chunk, kept)
        advance(chunk.bytes)
    if ids is not None:
        _drop_repeated(ids, result.blocks[start:], counts, quarantine, limits)
    for block in result.blocks[start:]:
        _describe(counts, block)


def micros(seconds: float) -> int:
    """Seconds since 1970 as microseconds."""
    return round(seconds * 1_000_000)


def _event_ids(table: Table, folder: Path) -> EventIds | None:
    if table.source.event_id is None:
        return None
    place = folder / f"ids-{table.index}"
    place.mkdir()
    return EventIds(table, place)


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


def _note(result: Scan, checked: Checked, rows: int, until: int | None) -> None:
    """Note the earliest time in the future, and which rows are of erased customers; `rows` came before the chunk."""
    later = checked.reasons == CODE["future_time"]
    if until is not None:  # a night leaves rows before its end that are later than now
        later |= (checked.reasons == AFTER_UNTIL) & (checked.time < until)
    future = checked.time[later]
    if len(future):
        earliest = int(future.min())
        result.future_from = earliest if result.future_from is None else min(result.future_from, earliest)
    erased = np.flatnonzero(checked.reasons == ERASED)
    if len(erased):
        result.erased.update(f"{result.sources[-1].table.index}:".encode() + (rows + erased).tobytes())


def _drop_repeated(
    ids: EventIds, blocks: list[Block], counts: SourceCounts, quarantine: Quarantine, limits: _Limits
) -> None:
    """Take rows out whose event id was there before; they are read a second time for the quarantine."""
    again, before = ids.repeated(() if limits.earlier is None else limits.earlier.ids[ids.table.index])
    since = None if limits.earlier is None else limits.earlier.since[ids.table.index]
    dropped, known = np.zeros(ids.rows, bool), np.zeros(ids.rows, bool)
    dropped[again] = dropped[before] = True
    if since is not None and len(before):  # rows of a query that an earlier night read are no duplicates of themselves
        time = np.concatenate([block.read().column("time").to_numpy() for block in blocks])
        known[before] = time[before] < since
    if not dropped.any():
        return
    counts.reasons["duplicate"] = int((dropped & ~known).sum())
    counts.rows -= int(known.sum())
    start = 0
    for block, chunk in zip(blocks, read_chunks(ids.table, limits.rows), strict=True):
        here, told = dropped[start : start + block.rows], ~known[start : start + block.rows]
        start += block.rows
        if here.any():
            kept = np.flatnonzero(limits.judge(ids.table, chunk).reasons == 0)
            quarantine.add_duplicates(ids.table.source, chunk, kept[here & told])
            block.dropped = here
            block.rows -= int(here.sum())


def _describe(counts: SourceCounts, block: Block) -> None:
    """Times and values present of a block's kept rows."""
    batch = block.read()
    if not batch.num_rows:
        return
    time = batch.column("time").to_numpy()
    first, last = int(time.min()), int(time.max())
    counts.first = first if counts.first is None else min(counts.first, first)
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
