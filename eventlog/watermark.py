"""What a log has read of its sources, so that a later night reads what is new: `files.json` beside the events."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eventlog.config import Source
from eventlog.scan import FileCounts, Scan, SourceCounts

FILES = "files.json"
Prints = tuple[tuple[str, ...], ...]
"""Per source, the SHA-256 of each of its files."""
MEANING = {"customer", "time", "time_unit", "event_id", "categorical", "numeric"}
"""Settings of a source that say what its rows mean."""


@dataclass(frozen=True)
class ReadFile:
    """One file of a source, as it was when it was read."""

    label: str
    """Its name below the fixed part of the glob."""
    size: int
    sha256: str
    rows: int
    """All of its data rows."""
    pending: int
    """Rows at or after `until`, left for a later night: those after the day, and those in the future."""
    until: int | None
    """Moment up to which it was read, microseconds since 1970 UTC; None where nothing is pending."""


@dataclass(frozen=True)
class ReadSource:
    """One source, as far as it was read."""

    name: str
    meaning: Mapping[str, Any]
    """Its settings that say what rows mean."""
    since: int | None
    """Of a query: the moment up to which its rows were read, microseconds since 1970 UTC; None before the first row."""
    files: tuple[ReadFile, ...]
    """By label; of a query none, since its answer is no file that stays."""


@dataclass(frozen=True)
class Watermark:
    """All sources of a log, in the order of the recipe."""

    sources: tuple[ReadSource, ...]

    def to_json(self) -> dict[str, Any]:
        """The watermark as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Watermark":
        """The watermark from what `to_json` gave."""
        return cls(
            tuple(
                ReadSource(**{**source, "files": tuple(ReadFile(**file) for file in source["files"])})
                for source in body["sources"]
            )
        )


def meaning_of(source: Source) -> dict[str, Any]:
    """The settings of a source that say what its rows mean, as JSON values."""
    return source.model_dump(mode="json", include=MEANING)


def first_reading(found: Scan, prints: Prints, until: int | None) -> Watermark:
    """What a reading of all sources from the beginning has read; `until` in microseconds since 1970 UTC."""
    if found.future_from is not None:  # up to there everything was read, and nothing from there on
        until = found.future_from if until is None else min(until, found.future_from)
    return Watermark(
        tuple(
            ReadSource(
                counts.table.source.name,
                meaning_of(counts.table.source),
                _moment(counts, until) if counts.table.source.query is not None else None,
                () if counts.table.source.query is not None else read_files(counts, sums, until),
            )
            for counts, sums in zip(found.sources, prints, strict=True)
        )
    )


def _moment(counts: SourceCounts, until: int | None) -> int | None:
    """The moment up to which a query was read: where nobody set one, just after its last event."""
    return until if until is not None or counts.last is None else counts.last + 1


def read_files(counts: SourceCounts, sums: tuple[str, ...], until: int | None) -> tuple[ReadFile, ...]:
    """The files of a source with what was found in them; `sums` are their SHA-256."""
    files = []
    for file, checksum in zip(counts.table.files, sums, strict=True):
        found = counts.files.get(file.label, FileCounts())
        left = until if found.pending else None
        files.append(ReadFile(file.label, file.size, checksum, found.rows, found.pending, left))
    return tuple(files)


def read_watermark(folder: Path) -> Watermark | None:
    """The watermark of the log at `folder`; None of a log of format 1, which has none."""
    path = folder / FILES
    return Watermark.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
