"""The report made from what the reading and the tally found."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from eventlog.check import REASONS
from eventlog.config import SOURCE_FIELD, EventLogConfig, PrepareConfig
from eventlog.report import CheckReport, FieldReport, Reason, SourceReport, earliest, latest, moment
from eventlog.scan import Scan, SourceCounts
from eventlog.spool import Tally


def summarise(config: EventLogConfig, found: Scan, counted: Tally, identical: int) -> CheckReport:
    """Counts, notes and faults of all sources."""
    sources = tuple(_source(source, found.examples) for source in found.sources)
    first = [source.first for source in found.sources if source.first is not None]
    last = [source.last for source in found.sources if source.last is not None]
    one_event = int(np.count_nonzero(counted.counts == 1))
    fields = _fields(found.sources, counted)
    return CheckReport(
        sources=sources,
        fields=fields,
        read=sum(source.read for source in sources),
        kept=sum(source.kept for source in sources),
        quarantined=sum(source.quarantined for source in sources),
        after_until=sum(source.after_until for source in sources),
        customers=len(counted.customers),
        one_event_customers=one_event,
        identical_rows=identical,
        first=moment(min(first, default=None)),
        last=moment(max(last, default=None)),
        future_from=moment(found.future_from),
        notes=tuple(_notes(config, sources, fields, len(counted.customers), one_event, identical)),
        faults=tuple(_faults(config, sources)),
    )


def joined(
    reports: Sequence[CheckReport], fields: tuple[FieldReport, ...], counts: np.ndarray, identical: int
) -> CheckReport:
    """The report of a log that was read in several goes, the oldest first; `counts` int64 [n] events a customer.

    What lies after `until`, and in the future, is as the last one found it.
    """
    sources = tuple(_joined_sources([report.sources[i] for report in reports]) for i in range(len(reports[-1].sources)))
    one_event = int(np.count_nonzero(counts == 1))
    return CheckReport(
        sources=sources,
        fields=fields,
        read=sum(report.read for report in reports),
        kept=sum(report.kept for report in reports),
        quarantined=sum(report.quarantined for report in reports),
        after_until=reports[-1].after_until,
        customers=len(counts),
        one_event_customers=one_event,
        identical_rows=identical,
        first=earliest(*(report.first for report in reports)),
        last=latest(*(report.last for report in reports)),
        future_from=reports[-1].future_from,
        notes=tuple(_notes(PrepareConfig(), sources, fields, len(counts), one_event, identical)),
    )


def _joined_sources(parts: Sequence[SourceReport]) -> SourceReport:
    rows: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for part in parts:
        for reason in part.reasons:
            rows[reason.reason] += reason.rows
            examples.setdefault(reason.reason, reason.example)
    return SourceReport(
        name=parts[-1].name,
        files=sum(part.files for part in parts),
        read=sum(part.read for part in parts),
        kept=sum(part.kept for part in parts),
        quarantined=sum(part.quarantined for part in parts),
        after_until=parts[-1].after_until,
        reasons=tuple(Reason(reason, rows[reason], examples[reason]) for reason in REASONS if rows[reason]),
        first=earliest(*(part.first for part in parts)),
        last=latest(*(part.last for part in parts)),
    )


def _source(counts: SourceCounts, examples: dict[tuple[str, str], str]) -> SourceReport:
    name = counts.table.source.name
    reasons = tuple(
        Reason(reason, counts.reasons[reason], examples[name, reason]) for reason in REASONS if counts.reasons[reason]
    )
    files = 0 if counts.table.source.query is not None else len(counts.table.files)
    return SourceReport(
        name=name,
        files=files,
        read=counts.read,
        kept=counts.kept,
        quarantined=counts.quarantined,
        after_until=counts.after_until,
        reasons=reasons,
        first=moment(counts.first),
        last=moment(counts.last),
    )


def _fields(sources: list[SourceCounts], counted: Tally) -> tuple[FieldReport, ...]:
    present: Counter[str] = Counter()
    for source in sources:
        present.update(source.present)
    events = sum(source.kept for source in sources)
    if any(field.name == SOURCE_FIELD for field in counted.schema.categorical) and len(sources) > 1:
        present[SOURCE_FIELD] = events
    share = {name: 1 - count / events if events else 1.0 for name, count in present.items()}
    categorical = [
        FieldReport(field.name, "categorical", share.get(field.name, 1.0), counted.distinct[field.name])
        for field in counted.schema.categorical
    ]
    numeric = [FieldReport(name, "numeric", share.get(name, 1.0), None) for name in counted.schema.numeric]
    return (*categorical, *numeric)


def _notes(
    config: PrepareConfig,
    sources: tuple[SourceReport, ...],
    fields: tuple[FieldReport, ...],
    customers: int,
    one_event: int,
    identical: int,
) -> Iterable[str]:
    for source in sources:
        if not source.kept:
            yield f"source {source.name!r} holds no usable event"
    if one_event:
        yield f"{one_event:,} of {customers:,} customers have one event only; they are kept, with little to go by"
    if identical:
        yield f"{identical:,} events say exactly the same as another one and are kept; an `event_id` would drop repeats"
    for field in fields:
        if field.distinct is not None and field.distinct > config.max_categories:
            rest = field.distinct - config.max_categories
            yield f"field {field.name!r} has {field.distinct:,} values; the rarest {rest:,} share one code"
        if field.absent_share == 1.0:
            yield f"field {field.name!r} is absent from every event"


def _faults(config: EventLogConfig, sources: tuple[SourceReport, ...]) -> Iterable[str]:
    for source in sources:
        if source.read and source.quarantined > config.max_bad_share * source.read:
            worst = max(source.reasons, key=lambda reason: reason.rows)
            yield (
                f"source {source.name!r}: {source.quarantined:,} of {source.read:,} rows break the contract, more than "
                f"the accepted share of {config.max_bad_share:.0%} (`max_bad_share`); the commonest reason, "
                f"{worst.rows:,} times: {worst.words}, first at {worst.example}"
            )
    if not any(source.kept for source in sources):
        read, late = sum(source.read for source in sources), sum(source.after_until for source in sources)
        why = f"none of {read:,} rows is usable" if read else "there are no rows"
        why += f" before `until`, {late:,} after it" if late else ""
        names = ", ".join(source.name for source in sources)
        yield f"the event log is empty: {why} (sources: {names}); at least one event is needed"
