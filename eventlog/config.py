"""What a recipe says about the event log: its sources, their columns, and how they are prepared."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from configs.reader import Config

MAX_CODES = 65_533
"""Values per categorical field that fit a uint16 beside the two codes for absent and other."""
FILE_SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
SOURCE_FIELD = "source"
"""Name of the categorical field that tells the sources apart where there are several."""


def _mapping(value: Any) -> Any:
    """A list of columns as a mapping of each field to the column of the same name."""
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of column names, or a mapping of field names to column names")
    twice = sorted({item for item in value if value.count(item) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    return {item: item for item in value}


Name = Annotated[str, Field(min_length=1)]
Fields = Annotated[dict[Name, Name], BeforeValidator(_mapping)]


class Source(Config):
    """One table of events: files, or the answer to a query."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Name of the source; with several sources it is a value of the field `source`."""
    path: Name | None = None
    """A Parquet or CSV file, or a glob of them, or such a URL as s3://bucket/events/*.parquet; relative paths start at
    the recipe's folder."""
    query: Name | None = None
    """A SQL query, in place of `path`; read through `url`. It may hold the bind parameter `:since`, as in `where at >=
    :since`: the moment up to which the source was read, as ISO 8601 text in UTC such as 2026-01-31, and 0001-01-01 for
    the first reading, so that a night asks for new rows only. Without it a night leaves out by itself what it knows.
    With an `event_id`, rows that come late are found if the query reaches further back."""
    url: Name | None = None
    """SQLAlchemy URL of the database that `query` is put to, such as sqlite:///shop.db."""
    customer: Name = "customer_id"
    """Column of the customer's id: whole numbers or text."""
    time: Name = "timestamp"
    """Column of the event's time: a timestamp, a date, or ISO 8601 text; without a zone it is UTC."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of a time column of whole numbers counted since 1970-01-01 UTC; without it such a column is refused."""
    event_id: Name | None = None
    """Column that tells events apart; a second row with the same value is a duplicate and goes to quarantine."""
    categorical: Fields = Field(default_factory=dict)
    """Columns that hold a kind or label: a list of columns, or a mapping of field names to columns."""
    numeric: Fields = Field(default_factory=dict)
    """Columns that hold an amount: a list of columns, or a mapping of field names to columns."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What separates the columns of a CSV file; a comma where left out, a tab for .tsv."""

    @field_validator("path")
    @classmethod
    def _resolve(cls, path: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        remote = path is not None and "://" in path
        return path if path is None or folder is None or remote else str(Path(folder) / Path(path).expanduser())

    @field_validator("url")
    @classmethod
    def _resolve_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        folder, start = (info.context or {}).get("folder"), "sqlite:///"
        relative = (
            url is not None
            and url.startswith(start)
            and not url.startswith((start + "/", start + ":", start + "file:"))
        )
        return (
            url
            if folder is None or url is None or not relative
            else start + str(Path(folder).resolve() / url[len(start) :])
        )

    @model_validator(mode="after")
    def _consistent(self) -> "Source":
        faults = [*self._place_faults(), *self._field_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _place_faults(self) -> list[str]:
        faults = []
        if self.path is not None and (self.query is not None or self.url is not None):
            faults.append("`path` and `query` with `url` are two ways to name one source, give only one of them")
        elif self.path is None and (self.query is None or self.url is None):
            faults.append("give either `path`, or `query` together with `url`")
        if self.path is not None and not self.path.lower().endswith(FILE_SUFFIXES):
            faults.append(f"`path` must end in one of {', '.join(FILE_SUFFIXES)}, got {Path(self.path).name!r}")
        return faults

    def _field_faults(self) -> list[str]:
        faults = [
            f"field {name!r} is both categorical and numeric" for name in sorted({*self.categorical} & {*self.numeric})
        ]
        roles = {"customer": self.customer, "time": self.time, "event_id": self.event_id}
        used = {**self.categorical, **self.numeric}
        for role, column in roles.items():
            fields = sorted(field for field, used_column in used.items() if used_column == column)
            if fields:
                faults.append(f"column {column!r} is the {role} and cannot be the field {fields[0]!r} too")
        if self.customer == self.time:
            faults.append(f"column {self.time!r} cannot be both customer and time")
        return faults


class PrepareConfig(Config):
    """How the events are prepared; no user needs to touch it."""

    max_categories: Annotated[int, Field(ge=1, le=MAX_CODES)] = MAX_CODES
    """Values kept per categorical field, the most frequent first; the others share one code."""
    max_bad_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """A source with a larger share of rows that break the contract is refused as a whole. A night judges new rows,
    duplicates left out, where a source has at least 100 of them, or at least ten of which all are bad."""
    memory_mb: Annotated[int, Field(ge=1)] = 256
    """Working memory for sorting, in MiB; a larger log is sorted in parts on disk, with the same result."""


class EventLogConfig(PrepareConfig):
    """The event log of a recipe: sources that are merged into one timeline per customer."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the events come from; at equal times, events keep the order of the sources, files and rows."""
    until: datetime | None = None
    """Events from this moment on are not read; without a zone it is UTC."""

    @field_validator("until", mode="before")
    @classmethod
    def _midnight(cls, value: Any) -> Any:
        plain_date = isinstance(value, date) and not isinstance(value, datetime)
        return datetime(value.year, value.month, value.day) if plain_date else value

    @field_validator("until")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return None if value is None else value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)

    @model_validator(mode="after")
    def _agree(self) -> "EventLogConfig":
        names = [source.name for source in self.sources]
        faults = [f"source name {name!r} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
        kinds: dict[str, tuple[str, str]] = {}
        for source in self.sources:
            for kind, fields in (("categorical", source.categorical), ("numeric", source.numeric)):
                for field in fields:
                    seen, first = kinds.setdefault(field, (kind, source.name))
                    if seen != kind and first != source.name:
                        faults.append(
                            f"field {field!r} is {seen} in source {first!r} and {kind} in source {source.name!r}"
                        )
        if len(self.sources) > 1 and SOURCE_FIELD in kinds:
            faults.append(
                f"field {SOURCE_FIELD!r} is made by kinfolk where there are several sources; map the column to another "
                f"field name, as in `{kinds[SOURCE_FIELD][0]}: {{channel: source}}`"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def categorical_fields(self) -> tuple[str, ...]:
        """All categorical fields in the order of their codes; `source` first where there are several sources."""
        own = [field for source in self.sources for field in source.categorical]
        return tuple(dict.fromkeys(([SOURCE_FIELD] if len(self.sources) > 1 else []) + own))

    def numeric_fields(self) -> tuple[str, ...]:
        """All numeric fields in the order of their values."""
        return tuple(dict.fromkeys(field for source in self.sources for field in source.numeric))
