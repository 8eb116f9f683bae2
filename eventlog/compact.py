"""A log in layers as one plain log of the same events, in bounded memory.

Dictionaries are ranked anew by frequency, as preparing everything at once would rank them, so that the events have the
same bytes. (A value that a full dictionary had no room for stays OTHER; its text is nowhere any more.)

Legend: e events of a batch, c categorical fields.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from configs.progress import SILENT, Advance, Progress
from eventlog.artifact import write_events, write_head, write_rows
from eventlog.duplicates import merged_ids
from eventlog.identical import IdenticalCounter
from eventlog.layers import folders_of
from eventlog.order import Layout
from eventlog.quarantine import SCHEMA as QUARANTINE_SCHEMA
from eventlog.report import CheckReport, FieldReport
from eventlog.sequences import ABSENT, KIND, QUARANTINE, REPORT, VERSION, EventLog, Schema, ids_name, load_array
from eventlog.summary import joined
from eventlog.watermark import FILES
from store.artifact import ArtifactWriter, create, stands

READ_ROWS = 1 << 19


def compact(
    log: EventLog,
    target: Path,
    key: str,
    progress: Progress = SILENT,
    *,
    beside: Path | None = None,
) -> EventLog:
    """Write the events of `log`, as it was loaded, as a plain log at `target`, or reuse the one that stands there.

    What was read (files and event ids) is carried over, so that nights go on from it. With `beside`, the folder of the
    layers below, `log` is a layer that a night has just made and that nobody will see: its parents and counts are
    those of the plain log then.
    """
    if stands(target, KIND, VERSION, key):
        return EventLog.load(target, deep=False)
    folders = folders_of(log.folder, beside)
    with create(target, KIND, VERSION, key) as writer:
        with progress.task("Putting layers together", 2 * log.n_events) as advance:
            counted = _counted(log, advance)
            schema, tables = _ranked(log.schema, counted)
            identical, absent = IdenticalCounter(), np.zeros(len(log.schema.numeric), np.int64)
            write_head(writer, log.customers, schema, np.diff(log.offsets))
            write_events(writer, schema, log.n_events, _records(log, schema, tables, identical, absent, advance))
        if (log.folder / FILES).is_file():
            shutil.copyfile(log.folder / FILES, writer.path(FILES))
        write_ids(writer, folders)
        _write_quarantine(writer, folders)
        reports = [_report(folder) for folder in folders]
        there = [log.n_events - int(gone) for gone in (*(counts[ABSENT] for counts in counted), *absent)]
        fields = [
            replace(field, absent_share=1 - present / log.n_events, distinct=_distinct(schema, field))
            for field, present in zip(reports[-1].fields, there, strict=True)
        ]
        report = joined(reports, tuple(fields), np.diff(log.offsets), identical.finish())
        writer.write_json(REPORT, report.to_json())
        writer.parents.update({"eventlog": log.key} if beside is None else log.manifest.parents)
        writer.counts.update(_totals(report) if beside is None else log.manifest.counts)
        writer.figures.update({name: value for name, value in log.manifest.figures.items() if name != "sources_key"})
    return EventLog.load(target, deep=False)


def _totals(report: CheckReport) -> dict[str, int]:
    names = {"events": "kept"}
    wanted = ("customers", "events", "read", "quarantined", "after_until", "one_event_customers")
    return {name: getattr(report, names.get(name, name)) for name in wanted}


def _counted(log: EventLog, advance: Advance) -> list[np.ndarray]:
    """Per categorical field, int64 [codes]: how many events have each code."""
    counted = [np.zeros(2 + len(field.values), np.int64) for field in log.schema.categorical]
    for start in range(0, log.n_events, READ_ROWS):
        codes = np.asarray(log.codes[start : start + READ_ROWS])
        for i, counts in enumerate(counted):
            counts += np.bincount(codes[:, i], minlength=len(counts))
        advance(len(codes))
    return counted


def _ranked(schema: Schema, counted: list[np.ndarray]) -> tuple[Schema, list[np.ndarray]]:
    """The schema with values by falling frequency, ties by value; and a field's new codes of the old ones, uint16."""
    fields, tables = [], []
    for field, counts in zip(schema.categorical, counted, strict=True):
        there = [i for i in range(len(field.values)) if counts[2 + i]]
        order = sorted(there, key=lambda i: (-int(counts[2 + i]), field.values[i].encode()))
        table = np.arange(len(counts), dtype=np.uint16)
        table[2 + np.array(order, np.int64)] = 2 + np.arange(len(order))
        fields.append(replace(field, values=tuple(field.values[i] for i in order)))
        tables.append(table)
    return replace(schema, categorical=tuple(fields)), tables


def _records(
    log: EventLog,
    schema: Schema,
    tables: list[np.ndarray],
    identical: IdenticalCounter,
    absent: np.ndarray,
    advance: Advance,
) -> Iterator[np.ndarray]:
    """All events in the log's order; repeats and absent numbers are counted as they pass."""
    for start in range(0, log.n_events, READ_ROWS):
        stop = min(start + READ_ROWS, log.n_events)
        batch = np.empty(stop - start, Layout(schema).dtype)
        batch["rank"] = np.searchsorted(log.offsets, np.arange(start, stop), side="right") - 1
        batch["time"], batch["values"] = log.time[start:stop], log.values[start:stop]
        codes = np.asarray(log.codes[start:stop])
        for i, table in enumerate(tables):
            batch["codes"][:, i] = table[codes[:, i]]
        absent += np.isnan(batch["values"]).sum(axis=0)
        identical.see(batch)
        yield batch
        advance(stop - start)


def write_ids(writer: ArtifactWriter, folders: tuple[Path, ...]) -> None:
    for name in sorted({path.name for folder in folders for path in folder.glob(ids_name("*"))}):
        parts = [load_array(folder / name) for folder in folders if (folder / name).is_file()]
        write_rows(writer.path(name), np.dtype(np.uint64), (sum(map(len, parts)), 2), merged_ids(parts))


def _write_quarantine(writer: ArtifactWriter, folders: tuple[Path, ...]) -> None:
    """The rows that any layer put aside."""
    with pq.ParquetWriter(writer.path(QUARANTINE), QUARANTINE_SCHEMA, compression="zstd") as out:
        for folder in folders:
            file = pq.ParquetFile(folder / QUARANTINE)
            for group in range(file.num_row_groups):
                out.write_table(file.read_row_group(group).cast(QUARANTINE_SCHEMA))


def _report(folder: Path) -> CheckReport:
    return CheckReport.from_json(json.loads((folder / REPORT).read_text(encoding="utf-8")))


def _distinct(schema: Schema, field: FieldReport) -> int | None:
    found = [len(own.values) for own in schema.categorical if own.name == field.name]
    return max(found[0], field.distinct or 0) if found else None
