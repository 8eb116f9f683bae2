"""What is right and wrong with the events: the answer of `kinfolk data check`, also kept beside every prepared log."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from eventlog.check import REASONS
from eventlog.columns import EPOCH


@dataclass(frozen=True)
class Reason:
    """Rows of a source that went to quarantine for one reason."""

    reason: str
    rows: int
    example: str
    """File, row, column and value of the first such row."""

    @property
    def words(self) -> str:
        """The reason in words."""
        return REASONS[self.reason]


@dataclass(frozen=True)
class SourceReport:
    """Counts of one source; read = kept + quarantined always."""

    name: str
    files: int
    read: int
    kept: int
    quarantined: int
    after_until: int
    """Rows that lie after the recipe's `until`; they are not read."""
    reasons: tuple[Reason, ...]
    first: str | None
    """Time of the first kept event, ISO 8601 in UTC."""
    last: str | None


@dataclass(frozen=True)
class FieldReport:
    """What a field holds, over all kept events."""

    name: str
    kind: str
    absent_share: float
    distinct: int | None
    """Values of a categorical field; None of a numeric one."""


@dataclass(frozen=True)
class CheckReport:
    """What is right and wrong with the events of a recipe."""

    sources: tuple[SourceReport, ...]
    fields: tuple[FieldReport, ...]
    read: int
    kept: int
    quarantined: int
    after_until: int
    customers: int
    one_event_customers: int
    identical_rows: int
    """Kept rows that say the same as an earlier one, which is no fault: a basket may hold one line twice."""
    first: str | None
    last: str | None
    future_from: str | None
    """Time of the earliest event that was put aside because it lies in the future."""
    notes: tuple[str, ...] = ()
    """What a user should know though nothing is wrong, one sentence each."""
    faults: tuple[str, ...] = field(default=())
    """Why nothing can be prepared from these events, one sentence each; empty where all is well."""

    @property
    def usable(self) -> bool:
        """Whether a log can be prepared."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"usable": self.usable, **asdict(self)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "CheckReport":
        """The report from what `to_json` gave."""
        rest = {
            key: value for key, value in body.items() if key not in ("usable", "sources", "fields", "notes", "faults")
        }
        sources = tuple(
            SourceReport(**{**source, "reasons": tuple(Reason(**reason) for reason in source["reasons"])})
            for source in body["sources"]
        )
        fields = tuple(FieldReport(**item) for item in body["fields"])
        return cls(sources, fields, notes=tuple(body["notes"]), faults=tuple(body["faults"]), **rest)


def moment(micros: int | None) -> str | None:
    """Microseconds since 1970 UTC as ISO 8601 text."""
    return None if micros is None else (EPOCH + timedelta(microseconds=micros)).isoformat()


def earliest(*moments: str | None) -> str | None:
    """The earliest of some moments as `moment` writes them; None where there is none."""
    return min((m for m in moments if m is not None), key=datetime.fromisoformat, default=None)


def latest(*moments: str | None) -> str | None:
    """The latest of some moments as `moment` writes them; None where there is none."""
    return max((m for m in moments if m is not None), key=datetime.fromisoformat, default=None)


def source_rows(report: CheckReport) -> list[dict[str, str]]:
    """One row per source for a table, and one for all where there are several."""
    rows = [_counts(source.name, source.files, source) for source in report.sources]
    if len(rows) > 1:
        rows.append(_counts("all", sum(source.files for source in report.sources), report))
    return rows


def _counts(name: str, files: int, counts: SourceReport | CheckReport) -> dict[str, str]:
    numbers = {"files": files, "read": counts.read, "kept": counts.kept, "quarantined": counts.quarantined}
    numbers["after until"] = counts.after_until
    texts = {key: f"{number:,}" for key, number in numbers.items()}
    return {"source": name, **texts, "from": (counts.first or "")[:10], "to": (counts.last or "")[:10]}


def reason_rows(report: CheckReport) -> list[dict[str, str]]:
    """One row per source and reason for a table."""
    return [
        {"source": source.name, "reason": reason.words, "rows": f"{reason.rows:,}", "first at": reason.example}
        for source in report.sources
        for reason in source.reasons
    ]


def field_rows(report: CheckReport) -> list[dict[str, str]]:
    """One row per field for a table."""
    return [
        {
            "field": item.name,
            "kind": item.kind,
            "values": "" if item.distinct is None else f"{item.distinct:,}",
            "absent": f"{item.absent_share:.1%}",
        }
        for item in report.fields
    ]
