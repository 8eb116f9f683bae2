"""What has arrived since a log was made: files that are new or were read in part, and rows of queries."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from configs.errors import ConflictError, DataError
from configs.progress import Advance, Progress
from eventlog.checksums import Checksums
from eventlog.config import EventLogConfig, Source
from eventlog.files import SourceFile, find_files
from eventlog.query import fetch
from eventlog.remote import fetch_files, is_remote
from eventlog.scan import Scan
from eventlog.sequences import EventLog
from eventlog.tables import Table, open_found
from eventlog.watermark import Prints, ReadFile, ReadSource, Watermark, meaning_of, read_files, read_watermark
from store.digests import sha256

ANEW = "or prepare everything anew with `kinfolk run`"


@dataclass
class Arrived:
    """What is to be read of one source."""

    files: list[SourceFile] = field(default_factory=list)
    """To be read, those that were read in part with the moment to go on from."""
    sums: list[str] = field(default_factory=list)
    """Their SHA-256."""
    repeated: list[ReadFile] = field(default_factory=list)
    """New files with the bytes of one that was read before, as they are remembered."""
    moved: dict[str, str] = field(default_factory=dict)
    """Label of a file that is gone -> label under which its bytes, read in part, stand now."""
    waiting: int = 0
    """Rows of files that nothing is to be read of tonight, left for later nights."""


@dataclass(frozen=True)
class Arrivals:
    """What is to be read of all sources."""

    tables: tuple[Table, ...]
    sources: tuple[Arrived, ...]

    def prints(self) -> Prints:
        """Per source, SHA-256 of the files to be read."""
        return tuple(tuple(source.sums) for source in self.sources)

    def told(self) -> list[list[object]]:
        """Everything that is read, as JSON values for a key."""
        return [
            [
                [[f.label, s, f.since] for f, s in zip(source.files, source.sums, strict=True)],
                [f.label for f in source.repeated],
            ]
            for source in self.sources
        ]


def known_to(config: EventLogConfig, log: EventLog) -> Watermark:
    """What the log has read of the recipe's sources.

    Raises ConflictError where it does not know, or where the recipe's sources are not those that it was made from.
    """
    watermark = read_watermark(log.folder)
    if watermark is None:
        raise ConflictError(
            f"{log.folder}: prepared by an earlier version of kinfolk, so it does not say which files it has read; "
            "`kinfolk run` once, and nights go on from there"
        )
    ours, theirs = [source.name for source in config.sources], [source.name for source in watermark.sources]
    if ours != theirs:
        raise ConflictError(
            f"the recipe's sources: {', '.join(ours)}; those of the log {log.key}: {', '.join(theirs)}; "
            f"name the same sources in the same order, {ANEW}"
        )
    for source, read in zip(config.sources, watermark.sources, strict=True):
        meaning = meaning_of(source)
        other = sorted(name for name in meaning if meaning[name] != read.meaning.get(name))
        if other:
            raise ConflictError(
                f"source {source.name!r}: `{other[0]}` is not what it was when the log {log.key} was prepared; "
                f"put it back, {ANEW}"
            )
    names = tuple(field.name for field in log.schema.categorical)
    if (config.categorical_fields(), config.numeric_fields()) != (names, log.schema.numeric):
        raise ConflictError(f"the recipe's fields come in another order than those of the log {log.key}; {ANEW[3:]}")
    return watermark


def find_arrivals(
    config: EventLogConfig, watermark: Watermark, until: int, folder: Path, sums: Checksums, progress: Progress
) -> Arrivals:
    """Find what is new before `until` (microseconds since 1970 UTC); answers of queries are kept in `folder`.

    Raises DataError with the faults of all sources, such as a file that changed since it was read.
    """
    arrived = [Arrived() for _ in config.sources]

    def find(source: Source, index: int) -> list[SourceFile]:
        read = watermark.sources[index]
        if source.path is not None:
            if is_remote(source.path):
                ended = {file.label: file.size for file in read.files if not file.pending}
                files = fetch_files(source, folder / f"remote-{index}", progress, ended)
            else:
                files = find_files(source, read_before=bool(read.files))
            with progress.task(f"Looking for new files of {source.name}", sum(file.size for file in files)) as advance:
                arrived[index] = _sorted_out(source, files, read, until, sums, advance)
        else:
            # rows are told by their event id, or else by their time
            since = read.since if source.event_id is None else None
            parts = fetch(source, folder / f"query-{index}", progress, read.since)
            files = [replace(part, since=since) for part in parts]
            arrived[index] = Arrived(files, [sha256(part.path) for part in parts])
        return arrived[index].files

    return Arrivals(open_found(config, find), tuple(arrived))


def _sorted_out(
    source: Source, files: Iterable[SourceFile], read: ReadSource, until: int, sums: Checksums, advance: Advance
) -> Arrived:
    """Tell files that are new, read in part, repeated and changed apart."""
    known = {file.label: file for file in read.files}
    by_sum = {file.sha256: file for file in reversed(read.files)}
    out, faults, here = Arrived(), [], list(files)
    present = {file.label for file in here}
    for file in here:
        checksum = _checksum(source, file, sums, advance)
        was = known.get(file.label)
        if was is not None and (was.size, was.sha256) != (file.size, checksum):
            faults.append(_changed(source, file, was, checksum))
            continue
        if was is None and checksum in by_sum:
            was = by_sum[checksum]
            if was.pending and was.label not in present and was.label not in out.moved:
                out.moved[was.label] = file.label  # it was given another name before all of it was read
            else:
                out.repeated.append(ReadFile(file.label, file.size, checksum, was.rows, 0, None))
                continue
        if was is not None and (not was.pending or was.until is None or was.until >= until):
            out.waiting += was.pending
            out.moved = {old: new for old, new in out.moved.items() if new != file.label}
            continue
        out.files.append(file if was is None else replace(file, since=was.until))
        out.sums.append(checksum)
        by_sum.setdefault(checksum, ReadFile(file.label, file.size, checksum, 0, 0, None))
    if faults:
        raise DataError("\n".join(faults))
    return out


def _checksum(source: Source, file: SourceFile, sums: Checksums, advance: Advance) -> str:
    try:
        return sums.of(file, advance)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"source {source.name!r}: {file.path}: cannot be read ({reason}); start again") from None


def _changed(source: Source, file: SourceFile, was: ReadFile, checksum: str) -> str:
    then, now = (
        f"{size:,} bytes, SHA-256 {sum_[:12]}…" for size, sum_ in ((was.size, was.sha256), (file.size, checksum))
    )
    return (
        f"source {source.name!r}: {file.path}: changed since it was read (then {then}; now {now}); put the old bytes "
        f"back and deliver the new rows as a file of another name, {ANEW}"
    )


def next_watermark(before: Watermark, arrivals: Arrivals, found: Scan, until: int, asked: int) -> Watermark:
    """What was read once the night's rows are in the log; queries were made at the moment `asked`, microseconds.

    A query cannot have told of what came after it, so of a day that is not over, the rest is left for the next one.
    """
    sources = []
    until = until if found.future_from is None else min(until, found.future_from)
    for read, arrived, counts in zip(before.sources, arrivals.sources, found.sources, strict=True):
        if counts.table.source.query is not None:
            known = min(until, asked)
            sources.append(replace(read, since=known if read.since is None else max(known, read.since)))
            continue
        files = {
            file.label: replace(file, pending=0, until=None) if file.label in arrived.moved else file
            for file in read.files
        }
        files |= {file.label: file for file in read_files(counts, tuple(arrived.sums), until)}
        rows = {file.sha256: file.rows for file in files.values()}
        files |= {file.label: replace(file, rows=rows[file.sha256]) for file in arrived.repeated}
        sources.append(replace(read, files=tuple(files[label] for label in sorted(files))))
    return Watermark(tuple(sources))
