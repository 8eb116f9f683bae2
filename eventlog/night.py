"""A night: what arrived since a log was made, as a layer on top of it, at the cost of the new events.

At equal times a customer's events keep the order of the sources of the recipe; within a source, the order in which the
nights took them, and within a night the order of files and rows. That is the order of preparing everything at once
where the names of files sort as they arrive.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from configs.errors import DataError
from configs.progress import SILENT, Progress
from eventlog.arrivals import Arrivals, Arrived, find_arrivals, known_to, next_watermark
from eventlog.artifact import save_array, write_events, write_head, write_ids
from eventlog.check import REASONS
from eventlog.checksums import CACHE, Checksums
from eventlog.compact import compact
from eventlog.config import EventLogConfig
from eventlog.earlier import Earlier, Erased
from eventlog.growth import Growth
from eventlog.identical import IdenticalCounter
from eventlog.layers import LAYERS, RUN_ARRAYS, folders_of
from eventlog.order import sort_events
from eventlog.report import earliest, latest, moment
from eventlog.run import refuse_moved, settings_of, spool_folder
from eventlog.scan import Scan, SourceCounts, micros, scan
from eventlog.sequences import KIND, QUARANTINE, REPORT, VERSION, EventLog, ids_name, load_array
from eventlog.spool import tally
from eventlog.summary import summarise
from eventlog.watermark import FILES, Watermark
from store.artifact import ArtifactWriter, create, key_of, stands
from store.workspace import Workspace

MOST_LAYERS = 30
"""A log of more layers is written as a plain one."""
MOST_SHARE = 0.5
"""So is one whose layers hold more than this share of the events of its plain log."""
FEW_ROWS = 100
"""A source with fewer rows in a night may have a larger share of bad ones than `max_bad_share`."""
FEWEST_ALL_BAD = 10
"""Unless all of at least so many are bad."""


@dataclass(frozen=True)
class SourceGrowth:
    """What came in from one source."""

    name: str
    files: int
    """Files read for the first time, or further than before; 0 of a query."""
    repeated_files: int
    """Files with the bytes of one that was read before."""
    read: int
    """Rows read and judged: kept + quarantined + duplicates + erased."""
    kept: int
    quarantined: int
    duplicates: int
    """Rows whose event id was there before."""
    erased: int
    """Rows of customers who were erased."""
    pending: int
    """Rows at or after `until`, or later than the clock, left for the nights to come."""


@dataclass(frozen=True)
class Grown:
    """A log after a night."""

    log: EventLog
    """The log before where no event is new."""
    sources: tuple[SourceGrowth, ...]
    new_events: int
    late_events: int
    """New events that lie before the last one that was known of their customer."""
    new_customers: int
    changed: np.ndarray
    """int64: rows of the customers with new events, new customers included, ascending."""


def run(
    config: EventLogConfig,
    before: EventLog,
    workspace: Workspace,
    until: datetime,
    progress: Progress = SILENT,
    *,
    erased: Erased | None = None,
    now: datetime | None = None,
) -> Grown:
    """Take the events before `until` that arrived since `before`, a log of this workspace as it was loaded, was made.

    `until` stands in place of the recipe's. Events that lie after `until`, or later than `now` (the moment of the call
    where left out), are left for the night that reaches them. `erased` tells of customer ids (Int64 or String, as in
    the log) which were erased: their rows are dropped. A finished layer of equal inputs is used again. For the holder
    of the workspace's lock.

    Raises ConflictError where `before` was made from other sources, or does not say what it has read; DataError, with
    nothing written, where a source cannot be read, changed after it was read, or holds too many bad rows.
    """
    config = config.model_copy(update={"until": until if until.tzinfo else until.replace(tzinfo=UTC)})
    limit, present = micros(until.timestamp() if until.tzinfo else until.replace(tzinfo=UTC).timestamp()), now
    watermark = known_to(config, before)
    with spool_folder(workspace.eventlogs) as folder:
        sums = Checksums(workspace.eventlogs / CACHE)
        asked = micros((present or datetime.now(UTC)).timestamp())
        arrivals = find_arrivals(config, watermark, limit, folder, sums, progress)
        moment_now = micros((present or datetime.now(UTC)).timestamp())
        earlier = _earlier(config, before, watermark, erased)
        found = scan(config, arrivals.tables, folder, moment_now, progress, earlier)
        refuse_moved(arrivals.tables)
        night = _Night(config, before, workspace, limit, watermark, arrivals, found, folder, asked)
        night.refuse_bad_shares()
        grown = night.grow(progress)
        sums.save()
    return grown


def _earlier(config: EventLogConfig, before: EventLog, watermark: Watermark, erased: Erased | None) -> Earlier:
    folders = folders_of(before.folder)
    ids = []
    for index in range(len(config.sources)):
        paths = [folder / ids_name(index) for folder in folders]
        ids.append(tuple(load_array(path) for path in paths if path.is_file()))
    by_id = [
        read.since if source.query is not None and source.event_id is not None else None
        for source, read in zip(config.sources, watermark.sources, strict=True)
    ]
    return Earlier(before.schema.customer_type, tuple(ids), tuple(by_id), erased, leaves_future=True)


@dataclass(frozen=True)
class _Night:
    """What a night has read, before anything is written."""

    config: EventLogConfig
    before: EventLog
    workspace: Workspace
    until: int
    watermark: Watermark
    arrivals: Arrivals
    found: Scan
    folder: Path
    asked: int
    """When the sources' queries were made, microseconds since 1970."""

    def refuse_bad_shares(self) -> None:
        """Raise DataError where too many of a source's rows are bad; duplicates change nothing and are not."""
        faults = [
            fault
            for counts in self.found.sources
            if (fault := _fault(counts, self.config.max_bad_share, self.found.examples)) is not None
        ]
        if faults:
            raise DataError("\n".join(faults))

    def grow(self, progress: Progress) -> Grown:
        """Write the layer, or the plain log that takes the place of many layers."""
        sources = tuple(map(_told, self.found.sources, self.arrivals.sources))
        new = sum(source.kept for source in sources)
        if not new:
            return Grown(self.before, sources, 0, 0, 0, np.zeros(0, np.int64))
        with progress.task("Counting customers and values", None):
            counted = tally(self.config, self.found.blocks, self.before.schema.customer_type)
            growth = Growth.of(self.config, self.before, counted, self.found.blocks)
        key = self.key()
        target = self.workspace.eventlogs / key
        if not stands(target, KIND, VERSION, key):
            self._write(growth, sources, target, key, progress)
        log = EventLog.load(target, deep=False)
        fresh = int((growth.merged.was < 0).sum())
        return Grown(log, sources, new, log.manifest.counts["late_events"], fresh, growth.merged.row)

    def read_now(self) -> Watermark:
        """What was read once this is in the log."""
        return next_watermark(self.watermark, self.arrivals, self.found, self.until, self.asked)

    def key(self) -> str:
        """Key of everything that the night's bytes depend on."""
        gone = self.found.erased.hexdigest()
        read, future = self.arrivals.told(), self.found.future_from
        # a query of a day that is not over is known up to the moment that it was made
        queried = any(source.query is not None for source in self.config.sources)
        asked = [self.asked] if queried and self.asked < self.until else []
        settings = settings_of(self.config)
        return key_of(KIND, VERSION, "night", self.before.key, settings, read, self.until, future, gone, *asked)

    def _write(
        self, growth: Growth, sources: tuple[SourceGrowth, ...], target: Path, key: str, progress: Progress
    ) -> None:
        base, *above = (len(load_array(folder / "time.npy")) for folder in folders_of(self.before.folder))
        layered = sum(above) + int(growth.counts.sum())
        many = len(self.before.layers) >= MOST_LAYERS or layered > MOST_SHARE * base
        place = self.folder / key if many else target
        with create(place, KIND, VERSION, key) as writer:
            self._layer(writer, growth, sources, key, progress)
        if many:
            log = EventLog.load(place, deep=False, beside=self.workspace.eventlogs)
            compact(log, target, key, progress, beside=self.workspace.eventlogs)

    def _layer(
        self, writer: ArtifactWriter, growth: Growth, sources: tuple[SourceGrowth, ...], key: str, progress: Progress
    ) -> None:
        schema, before = growth.tally.schema, self.before
        identical = IdenticalCounter()
        with progress.task("Sorting events", 2 * int(growth.tally.counts.sum())) as advance:

            def batches() -> Iterator[np.ndarray]:
                memory = self.config.memory_mb << 20
                for batch in sort_events(self.found.blocks, growth.tally, self.folder, memory, advance):
                    identical.see(batch)
                    yield batch

            write_events(writer, schema, int(growth.counts.sum()), growth.records(batches()))
        write_head(writer, growth.merged.customers, schema, growth.all_counts())
        runs = growth.runs(len(before.layers))
        for name, array in zip(RUN_ARRAYS, (runs.offsets, runs.layer, runs.start, runs.count), strict=True):
            save_array(writer.path(f"{name}.npy"), array)
        writer.write_json(LAYERS, {"layers": [*before.layers, key]})
        writer.write_json(FILES, self.read_now().to_json())
        write_ids(writer, self.found)
        shutil.copyfile(self.found.quarantine, writer.path(QUARANTINE))
        report = replace(summarise(self.config, self.found, growth.tally, identical.finish()), faults=())
        writer.write_json(REPORT, report.to_json())
        self._note(writer, growth, sources)

    def _note(self, writer: ArtifactWriter, growth: Growth, sources: tuple[SourceGrowth, ...]) -> None:
        counts = growth.all_counts()
        first, last = (
            pick(source_time for source_time in times if source_time is not None)
            for pick, times in (
                (min, [source.first for source in self.found.sources]),
                (max, [source.last for source in self.found.sources]),
            )
        )
        was = self.before.manifest.figures
        writer.parents["eventlog"] = self.before.key
        writer.counts.update(
            customers=len(counts),
            events=int(counts.sum()),
            new_events=sum(source.kept for source in sources),
            late_events=growth.late_events,
            new_customers=int((growth.merged.was < 0).sum()),
            changed=len(growth.merged.row),
            read=sum(source.read for source in sources),
            quarantined=sum(source.quarantined for source in sources),
            duplicates=sum(source.duplicates for source in sources),
            erased=sum(source.erased for source in sources),
            after_until=sum(source.pending for source in sources),
            one_event_customers=int(np.count_nonzero(counts == 1)),
        )
        writer.figures.update(first=earliest(was["first"], moment(first)), last=latest(was["last"], moment(last)))
        writer.figures.update(future_from=self.found.future_from, last_micros=max(was["last_micros"], last))


def _told(counts: SourceCounts, arrived: Arrived) -> SourceGrowth:
    duplicates = counts.reasons["duplicate"]
    return SourceGrowth(
        name=counts.table.source.name,
        files=0 if counts.table.source.query is not None else len(arrived.files),
        repeated_files=len(arrived.repeated),
        read=counts.read + counts.erased,
        kept=counts.kept,
        quarantined=counts.quarantined - duplicates,
        duplicates=duplicates,
        erased=counts.erased,
        pending=counts.after_until + arrived.waiting,
    )


def _fault(counts: SourceCounts, most: float, examples: dict[tuple[str, str], str]) -> str | None:
    """Why a source's rows of a night are refused, in one sentence; None where they are not."""
    name = counts.table.source.name
    bad = counts.quarantined - counts.reasons["duplicate"]
    share = bad > most * counts.read
    if not share or (counts.read < FEW_ROWS and (bad < counts.read or bad < FEWEST_ALL_BAD)):
        return None
    worst = max((reason for reason in REASONS if reason != "duplicate"), key=lambda reason: counts.reasons[reason])
    return (
        f"source {name!r}: {bad:,} of {counts.read:,} rows that are new break the contract, more than the accepted "
        f"share of {most:.0%} (`max_bad_share`); the commonest reason, {counts.reasons[worst]:,} times: "
        f"{REASONS[worst]}, first at {examples[name, worst]}; take the files away or mend the recipe, and run it again"
    )
