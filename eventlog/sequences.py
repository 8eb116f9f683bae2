"""The sequence store's read side: memory-mapped columns sorted by customer and time, flat or in layers.

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
from eventlog.layers import RUN_ARRAYS, Extents, Layered, Runs, verified_folders
from store.artifact import Manifest, verify

KIND, VERSION = "eventlog", 2
SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
"""In microseconds, the unit of every time."""
ABSENT, OTHER = 0, 1
"""Codes of a value that is not there, and of a value outside the dictionary; code 2 + i is the i-th value."""
CUSTOMERS, SCHEMA, QUARANTINE, REPORT = "customers.parquet", "schema.json", "quarantine.parquet", "report.json"


def ids_name(source: int | str) -> str:
    """File of the event ids of a source, by its place in the recipe: uint64 [k, 2], see `eventlog.event_ids`."""
    return f"ids-{source}.npy"


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


class Column(Rows, Protocol):
    """A column of all events: a flat array, or one in layers that is indexed like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Events first."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an entry."""

    def __len__(self) -> int: ...

    def __array__(self) -> np.ndarray: ...


@dataclass(frozen=True)
class EventLog:
    """A prepared event log, its columns mapped from disk and read-only.

    A *plain* log holds all of its events. One in *layers* holds those of one night, and stands on the logs before it:
    their folders beside its own must stay. Its columns are indexed like flat arrays.
    """

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
    values: Column
    """float32 [e, v] in the source's own units, NaN where absent."""
    time: Column
    """int64 [e], microseconds since 1970-01-01 UTC, ascending within a customer."""
    layers: tuple[str, ...]
    """Keys of the logs that hold its events, the oldest (a plain one) first, its own last; of a plain log its own."""

    @property
    def layered(self) -> bool:
        """Whether it stands on other logs."""
        return len(self.layers) > 1

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
    def load(cls, folder: Path, *, deep: bool = True, beside: Path | None = None) -> "EventLog":
        """Open the log at `folder`; `deep` checks the SHA-256 of every file first, those of all layers included.

        The layers below stand in the folder `beside`, which is the log's own parent where it is left out.

        Raises ArtifactError naming the file that is missing, truncated, changed or too new.
        """
        manifest = verify(folder, KIND, VERSION, deep=deep)
        try:
            schema = Schema.from_json(json.loads((folder / SCHEMA).read_text(encoding="utf-8")))
            customers = pl.read_parquet(folder / CUSTOMERS)["customer"]
            offsets = load_array(folder / "offsets.npy")
            folders = verified_folders(folder, KIND, VERSION, deep=deep, beside=beside)
            columns = _columns(folders)
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(f"{folder}: cannot be read as a prepared log ({error}); prepare it again") from None
        layers = (*(below.name for below in folders[:-1]), manifest.key)
        return cls(folder, manifest.key, manifest, schema, customers, offsets, *columns, layers)

    def runs(self) -> Runs:
        """Where each customer's events lie among the layers."""
        return load_runs(self.folder) if self.layered else Runs.of_plain(self.offsets)


def load_runs(folder: Path) -> Runs:
    """The runs of the log in layers at `folder`, memory-mapped."""
    return Runs(*(load_array(folder / f"{name}.npy") for name in RUN_ARRAYS))


def _columns(folders: tuple[Path, ...]) -> tuple[Column, Column, Column]:
    """Codes, values and time over all layers."""
    parts = [[load_array(folder / f"{name}.npy") for folder in folders] for name in ("codes", "values", "time")]
    if len(folders) == 1:
        return parts[0][0], parts[1][0], parts[2][0]
    extents = Extents.of(load_runs(folders[-1]))
    return Layered(parts[0], extents), Layered(parts[1], extents), Layered(parts[2], extents)


def load_array(path: Path) -> np.ndarray:
    """A .npy file as a read-only memory map; an empty one, which cannot be mapped, as a plain array."""
    array: np.ndarray = np.load(path, mmap_mode="r" if path.stat().st_size > 256 else None, allow_pickle=False)
    array.flags.writeable = False
    return np.asarray(array)
