"""The sequence store's read side: flat, memory-mapped columns sorted by customer and time.

Legend: n customers, e events, c categorical fields, v numeric fields.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl

from configs.errors import ArtifactError
from store.artifact import Manifest, verify

KIND, VERSION = "eventlog", 1
SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
"""In microseconds, the unit of every time."""
ABSENT, OTHER = 0, 1
"""Codes of a value that is not there, and of a value outside the dictionary; code 2 + i is the i-th value."""
CUSTOMERS, SCHEMA, QUARANTINE, REPORT = "customers.parquet", "schema.json", "quarantine.parquet", "report.json"


@dataclass(frozen=True)
class CategoricalField:
    """A field of kinds or labels."""

    name: str
    values: tuple[str, ...]
    """The dictionary by falling frequency, ties by value; values[i] has code 2 + i."""


@dataclass(frozen=True)
class Schema:
    """What the columns of a log hold."""

    customer_type: Literal["integer", "string"]
    categorical: tuple[CategoricalField, ...]
    """One per column of `codes`."""
    numeric: tuple[str, ...]
    """One per column of `values`."""

    def to_json(self) -> dict[str, Any]:
        """The schema as JSON values."""
        return {
            "customer_type": self.customer_type,
            "categorical": [{"name": field.name, "values": list(field.values)} for field in self.categorical],
            "numeric": list(self.numeric),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Schema":
        """The schema from what `to_json` gave."""
        fields = tuple(CategoricalField(item["name"], tuple(item["values"])) for item in body["categorical"])
        return cls(body["customer_type"], fields, tuple(body["numeric"]))


class Rows(Protocol):
    """A matrix that is read by rows: an array, a map of a file, or one translated as it is read."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Some rows, as an array or what becomes one."""


@dataclass(frozen=True)
class EventLog:
    """A prepared event log, its arrays mapped from disk and read-only."""

    folder: Path
    key: str
    manifest: Manifest
    schema: Schema
    customers: pl.Series
    """[n] ids, Int64 or String, ascending and unique; row i is customer i in every array of every stage."""
    offsets: np.ndarray
    """int64 [n + 1]; the events of customer i are offsets[i] to offsets[i + 1]."""
    codes: Rows
    """uint16 [e, c]; see ABSENT and OTHER."""
    values: np.ndarray
    """float32 [e, v] in the source's own units, NaN where absent."""
    time: np.ndarray
    """int64 [e], microseconds since 1970-01-01 UTC, ascending within a customer."""

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return len(self.customers)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.time)

    @property
    def quarantine(self) -> Path:
        """Parquet file of the rows that broke the contract: source, file, row, reason, column, value, event (JSON)."""
        return self.folder / QUARANTINE

    @cached_property
    def end(self) -> int:
        """Time of the log's last event, microseconds since 1970-01-01 UTC."""
        return int(self.time[self.offsets[1:] - 1].max())

    @classmethod
    def load(cls, folder: Path, *, deep: bool = True) -> "EventLog":
        """Open the log at `folder`; `deep` checks the SHA-256 of every file first.

        Raises ArtifactError naming the file that is missing, truncated, changed or too new.
        """
        manifest = verify(folder, KIND, VERSION, deep=deep)
        try:
            schema = Schema.from_json(json.loads((folder / SCHEMA).read_text(encoding="utf-8")))
            customers = pl.read_parquet(folder / CUSTOMERS)["customer"]
            arrays = {name: load_array(folder / f"{name}.npy") for name in ("offsets", "codes", "values", "time")}
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"{folder}: cannot be read as a prepared log ({error}); prepare it again") from None
        return cls(folder, manifest.key, manifest, schema, customers, **arrays)


def load_array(path: Path) -> np.ndarray:
    """A .npy file as a read-only memory map; an empty one, which cannot be mapped, as a plain array."""
    array: np.ndarray = np.load(path, mmap_mode="r" if path.stat().st_size > 256 else None, allow_pickle=False)
    array.flags.writeable = False
    return np.asarray(array)
