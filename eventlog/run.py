"""From sources to a prepared log: open, read and check, tally, sort, write."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import ArtifactError, DataError, storage_errors
from configs.progress import SILENT, Advance, Progress
from eventlog.artifact import write_ids, write_log
from eventlog.config import EventLogConfig
from eventlog.earlier import Earlier, Erased
from eventlog.earlier import first_reading as to_be_left_out
from eventlog.identical import IdenticalCounter
from eventlog.order import sort_events
from eventlog.report import CheckReport
from eventlog.scan import Scan, micros, same_future, scan
from eventlog.sequences import KIND, QUARANTINE, REPORT, VERSION, EventLog
from eventlog.spool import Tally, tally
from eventlog.summary import summarise
from eventlog.tables import Table, open_tables
from eventlog.watermark import FILES, Prints, first_reading
from store.artifact import ArtifactWriter, create, is_complete, key_of, read_manifest
from store.digests import sha256
from store.workspace import Workspace

SPOOL = ".spool"
"""Folder among the logs of what is needed on the way to one."""
SHARDS = ".shards"
"""Folder among the logs of what an engine keeps until a log is finished."""
Engine = Callable[[EventLogConfig, tuple[Table, ...], Prints, Path, int, Progress, Earlier | None], Scan]
"""Reads and checks every row of the sources, whose files' SHA-256 come with them; see `eventlog.scan.scan`."""


@dataclass(frozen=True)
class _Read:
    scan: Scan
    tally: Tally
    report: CheckReport


def run(
    config: EventLogConfig,
    workspace: Workspace,
    progress: Progress = SILENT,
    *,
    now: datetime | None = None,
    erased: Erased | None = None,
    engine: Engine | None = None,
) -> EventLog:
    """Prepare the log of `config`, or reuse a finished one of equal sources and settings.

    Events later than `now` (the moment of the call where left out) go to quarantine. `erased` tells of customer ids
    (Int64 or String) which were erased: their rows are dropped. `engine` reads and checks elsewhere, to the same
    bytes. Raises DataError, with nothing written, where the sources cannot be read, hold too many bad rows or no events
    at all.
    """
    moment = micros((now or datetime.now(UTC)).timestamp())
    workspace.eventlogs.mkdir(parents=True, exist_ok=True)
    with spool_folder(workspace.eventlogs) as folder:
        tables = open_tables(config, folder, progress)
        prints = fingerprints(tables, progress)
        sources_key = _sources_key(config, tables, prints)
        found = _finished(workspace, sources_key, moment)
        if found is not None:
            _drop_shards(workspace)
            return EventLog.load(found, deep=False)
        earlier = to_be_left_out(len(tables), erased)
        if engine is None:
            scanned = scan(config, tables, folder, moment, progress, earlier)
        else:
            scanned = engine(config, tables, prints, folder, moment, progress, earlier)
        read = _read(config, tables, scanned, progress)
        if read.report.faults:
            _drop_shards(workspace)
            raise DataError("\n".join(read.report.faults))
        dropped = [read.scan.erased.hexdigest()] if any(source.erased for source in read.scan.sources) else []
        key = key_of(sources_key, read.scan.future_from, *dropped)
        with create(workspace.eventlogs / key, KIND, VERSION, key) as writer:
            _write(writer, config, read, folder, progress)
            _write_watermark(writer, config, read.scan, prints)
            writer.figures.update(sources_key=sources_key)
    _drop_shards(workspace)
    return EventLog.load(workspace.eventlogs / key, deep=False)


def _drop_shards(workspace: Workspace) -> None:
    """Remove what an engine kept, of this reading or of one that was killed."""
    shutil.rmtree(workspace.eventlogs / SHARDS, ignore_errors=True)


def check(config: EventLogConfig, progress: Progress = SILENT, *, now: datetime | None = None) -> CheckReport:
    """Read everything and report what is right and wrong, writing nothing that stays.

    Raises DataError where the sources cannot be read at all; what else stands against a log is in the report.
    """
    moment = micros((now or datetime.now(UTC)).timestamp())
    with tempfile.TemporaryDirectory(prefix="kinfolk-") as name, storage_errors(name):
        folder = Path(name)
        tables = open_tables(config, folder, progress)
        read = _read(config, tables, scan(config, tables, folder, moment, progress), progress)
        if not read.report.kept:
            return read.report
        with progress.task("Comparing rows", 2 * read.report.kept) as advance:
            identical = IdenticalCounter()
            for _ in _sorted(config, read, folder, advance, identical):
                pass
        return summarise(config, read.scan, read.tally, identical.finish())


def _sorted(
    config: EventLogConfig, read: _Read, folder: Path, advance: Advance, identical: IdenticalCounter
) -> Iterator[np.ndarray]:
    """The sorted events, counted for repeats as they pass."""
    for batch in sort_events(read.scan.blocks, read.tally, folder, config.memory_mb << 20, advance):
        identical.see(batch)
        yield batch


def _read(config: EventLogConfig, tables: tuple[Table, ...], found: Scan, progress: Progress) -> _Read:
    refuse_moved(tables)
    with progress.task("Counting customers and values", None):
        counted = tally(config, found.blocks)
    return _Read(found, counted, summarise(config, found, counted, 0))


def refuse_moved(tables: tuple[Table, ...]) -> None:
    """Raise DataError where a file is no longer what it was when it was found."""
    moved = [file for table in tables for file in table.files if not file.is_as_found()]
    if moved:
        raise DataError(f"{moved[0].path}: changed while it was read; start again once nobody writes to it")


def _write(writer: ArtifactWriter, config: EventLogConfig, read: _Read, folder: Path, progress: Progress) -> None:
    with progress.task("Sorting events", 2 * read.report.kept) as advance:
        identical = IdenticalCounter()
        write_log(writer, read.tally, _sorted(config, read, folder, advance, identical))
    report = summarise(config, read.scan, read.tally, identical.finish())
    writer.write_json(REPORT, report.to_json())
    shutil.copyfile(read.scan.quarantine, writer.path(QUARANTINE))
    writer.counts.update(
        customers=report.customers, events=report.kept, read=report.read, quarantined=report.quarantined
    )
    writer.counts.update(after_until=report.after_until, one_event_customers=report.one_event_customers)
    writer.figures.update(first=report.first, last=report.last)
    writer.figures.update(future_from=read.scan.future_from, last_micros=_last(read.scan))


def _write_watermark(writer: ArtifactWriter, config: EventLogConfig, found: Scan, prints: Prints) -> None:
    """What was read, so that a night reads what is new."""
    until = None if config.until is None else micros(config.until.timestamp())
    writer.write_json(FILES, first_reading(found, prints, until).to_json())
    write_ids(writer, found)


def _last(found: Scan) -> int:
    return max(source.last for source in found.sources if source.last is not None)


def fingerprints(tables: tuple[Table, ...], progress: Progress) -> Prints:
    """SHA-256 of every source's files."""
    files = [file for table in tables for file in table.files]
    with progress.task("Fingerprinting sources", sum(file.size for file in files)) as advance:
        prints: list[tuple[str, ...]] = []
        for table in tables:
            sums = []
            for file in table.files:
                sums.append(sha256(file.path))
                advance(file.size)
            prints.append(tuple(sums))
    return tuple(prints)


def settings_of(config: EventLogConfig) -> dict[str, Any]:
    """What of the settings the bytes of a log depend on, wherever its sources stand."""
    return config.model_dump(mode="json", exclude={"memory_mb": True, "sources": {"__all__": {"path", "url", "query"}}})


def _sources_key(config: EventLogConfig, tables: tuple[Table, ...], prints: Prints) -> str:
    """Key of the settings and of every source's bytes, wherever the files stand."""
    labelled = [
        [[file.label, checksum] for file, checksum in zip(table.files, sums, strict=True)]
        for table, sums in zip(tables, prints, strict=True)
    ]
    return key_of(KIND, VERSION, settings_of(config), labelled)


def _finished(workspace: Workspace, sources_key: str, now: int) -> Path | None:
    """A finished log of the same sources and settings for which the same events lie in the future, if there is one."""
    for folder in sorted(workspace.eventlogs.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            figures = read_manifest(folder).figures
        except ArtifactError:
            continue
        fits = figures.get("sources_key") == sources_key and same_future(figures, now)
        if fits and is_complete(folder, KIND, VERSION):
            return folder
    return None


@contextmanager
def spool_folder(eventlogs: Path) -> Iterator[Path]:
    """A folder for what is needed on the way; what a killed run left is swept first."""
    folder = eventlogs / SPOOL
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def read_report(log: EventLog) -> CheckReport:
    """The report that was written when the log was prepared."""
    return CheckReport.from_json(json.loads((log.folder / REPORT).read_text(encoding="utf-8")))
