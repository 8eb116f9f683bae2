"""What embedding writes: every customer's vector and state, as Arrow files that are mapped, never read whole.

    <snapshot>/embeddings/
      vectors.arrow    customer_id (int64 or large string), vector (fixed-size list of d float32, unit length)
      histories.arrow  events, first, last: how many events were read, and when; same row order
      states.arrow     row (of the customer in vectors.arrow), state (fixed-size list of s float32); long histories only
      hidden.arrow     row, hidden (fixed-size list of h float32): of short histories the hidden state alone
      manifest.json

All are uncompressed Arrow IPC files of one record batch, so that each column is one contiguous piece of the file
and numpy sees it without a copy. Any Arrow reader opens them. Format 2 had no hidden.arrow, format 1 no histories.arrow
either, and the state of every customer in row order.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from configs.errors import ArtifactError
from embed.arrow import Floats, as_matrix, create_matrix, map_columns, write_columns
from store.artifact import Manifest, create, verify

KIND, VERSION = "embeddings", 3
VECTORS, HISTORIES, STATES, HIDDEN = "vectors.arrow", "histories.arrow", "states.arrow", "hidden.arrow"
UNIT_TOLERANCE = 1e-3
CHECKED_ROWS = 1 << 16
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
CLOCK = pa.timestamp("us", tz="UTC")

Rows = npt.NDArray[np.int64]
NO_ROWS: Rows = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Histories:
    """What was read of n customers."""

    events: Rows
    """int64 [n]: how many events."""
    first: Rows
    """int64 [n]: time of the first one, microseconds UTC."""
    last: Rows
    """int64 [n]: time of the last one, microseconds UTC."""


@dataclass(frozen=True, eq=False)
class States:
    """States, or hidden states alone, carried for k of the customers."""

    rows: Rows
    """int64 [k], ascending: the customers' rows."""
    matrix: Floats
    """float32 [k, s], C-contiguous; a read-only map of the file where they were loaded."""

    def places(self, rows: Rows) -> Rows:
        """Where the states of customers `rows` stand in `matrix`; -1 for customers without one."""
        if not len(self.rows):
            return np.full(len(rows), -1)
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[at] == rows, at, -1)

    def room_for(self, rows: Rows) -> "States":
        """Zeros in memory for those of customers `rows` whose states stand here; its rows are places in `rows`."""
        return Room(np.flatnonzero(self.places(rows) >= 0), self.matrix.shape[1]).states()


@dataclass(frozen=True, eq=False)
class Room:
    """For which customers something of some width is carried."""

    rows: Rows
    """int64 [k], ascending."""
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Of a matrix of it."""
        return len(self.rows), self.width

    def states(self) -> States:
        """Zeros in memory."""
        return States(self.rows, np.zeros(self.shape, np.float32))


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Every customer's vector, and the states of those with long histories.

    Row i is the same customer everywhere in a snapshot.
    """

    folder: Path
    manifest: Manifest
    customers: pl.Series
    """n customer ids, Int64 or String, ascending, unique."""
    vectors: Floats
    """float32 [n, d], rows of unit length, C-contiguous; a read-only map of the file."""
    histories: Histories | None
    """None where they were written in format 1: its states tell."""
    states: States
    hidden: States
    """Hidden states of customers without a state; of nobody in formats 1 and 2."""

    @property
    def key(self) -> str:
        """Key of everything that the embeddings were made from."""
        return self.manifest.key

    @property
    def n_customers(self) -> int:
        """How many customers there are."""
        return int(self.vectors.shape[0])

    @property
    def width(self) -> int:
        """Width d of a vector."""
        return int(self.vectors.shape[1])

    def row_of(self, customer: int | str) -> int | None:
        """The row of one customer, None where it is unknown; "12" finds the integer id 12."""
        wanted = _one_as_type(customer, self.customers.dtype)
        if wanted is None:
            return None
        # for one id a tenth of the time that a search in Polars takes
        for form in (wanted, wanted.strip(" ")) if isinstance(wanted, str) else (wanted,):
            at = bisect_left(self.customers, form)
            if at < len(self.customers) and self.customers[at] == form:
                return at
        return None

    def rows_of(self, customers: pl.Series) -> Rows:
        """The rows, int64 [len(customers)], of some ids in their order; -1 where unknown.

        Text forms of integers are accepted where ids are integers, and integers where ids are text; text that nobody
        is known by also finds who is known by it without the spaces around.
        """
        wanted = _as_type(customers, self.customers.dtype)
        found = self._rows_of(wanted)
        if wanted.dtype == pl.String and (found < 0).any():
            bare = wanted.str.strip_chars(" ")
            if (bare != wanted).any():
                found = np.where(found < 0, self._rows_of(bare), found)
        return found

    def _rows_of(self, wanted: pl.Series) -> Rows:
        at = self.customers.search_sorted(wanted, side="left").to_numpy().astype(np.int64)
        inside = np.minimum(at, len(self.customers) - 1)
        found = (self.customers.gather(inside) == wanted).fill_null(False).to_numpy()
        return np.where(found, inside, -1)

    @classmethod
    def load(cls, folder: Path, *, deep: bool = True) -> Self:
        """Map the embeddings at `folder`; `deep` checks every byte against the manifest.

        Raises ArtifactError naming the file that is missing, damaged or does not fit the manifest.
        """
        manifest = verify(folder, KIND, VERSION, deep=deep)
        table = map_columns(folder / VECTORS, ("customer_id", "vector"))
        customers = pl.Series("customer_id", table.column("customer_id"))
        vectors = as_matrix(table.column("vector"))
        states, histories, hidden = _states(folder, manifest.version), None, Room(NO_ROWS, 0).states()
        if manifest.version > 1:
            told = map_columns(folder / HISTORIES, ("events", "first", "last"))
            histories = Histories(*(column.view(pa.int64()).to_numpy() for column in told.columns))
        if manifest.version > 2:
            hidden = _rows_and(folder / HIDDEN, "hidden")
        counts = manifest.counts
        expected = [counts[name] for name in ("customers", "width", "state_width")]
        expected += [counts.get(name, 0) for name in ("hidden", "hidden_width")]
        found = [*vectors.shape, states.matrix.shape[1], *hidden.matrix.shape]
        lengths = {counts["customers"], len(histories.events) if histories else len(states.matrix)}
        if found != expected or len(states.matrix) != counts.get("states", len(vectors)) or len(lengths) > 1:
            raise ArtifactError(
                f"{folder / VECTORS}: vectors {vectors.shape}, states {states.matrix.shape} and hidden states "
                f"{hidden.matrix.shape} are not what its manifest says ({dict(counts)}); rebuild the embeddings"
            )
        return cls(folder, manifest, customers, vectors, histories, states, hidden)


@dataclass(eq=False)
class Draft:
    """Embeddings that are being written; its arrays are maps of the files, to be filled."""

    vectors: Floats
    """float32 [n, d], zeros at first."""
    states: States
    """Matrix of zeros at first."""
    hidden: States
    """Matrix of zeros at first."""
    parents: dict[str, str]
    """Role -> key of what they are made from."""
    figures: dict[str, Any]
    """What the manifest is to tell besides."""
    checked: bool = False
    """Whether whoever filled it in has checked what is new, and taken the rest from a finished artifact."""


@contextmanager
def create_embeddings(
    folder: Path,
    key: str,
    customers: pl.Series,
    histories: Histories,
    width: int,
    states: Room | None = None,
    hidden: Room | None = None,
) -> Iterator[Draft]:
    """Write embeddings as one finished artifact at `folder`: the files have their size from the start, the caller fills
    them, and what it filled in is checked at the end. Memory stays bounded, and a full disk is met before the work.

    `states` and `hidden` tell of which customers these are kept, of none both; by default of nobody. Raises ValueError
    where ids, histories, rows, or what was filled in (unit vectors, finite states) break the contract, and StorageError
    on a full disk.
    """
    states, hidden = states or Room(NO_ROWS, 1), hidden or Room(NO_ROWS, 1)
    _check_rows(customers, histories, states.rows, hidden.rows)
    with create(folder, KIND, VERSION, key) as writer:
        ids = customers.rename("customer_id").to_arrow()
        ids = ids.cast(pa.large_string()) if customers.dtype == pl.String else ids
        times = {name: pa.array(getattr(histories, name)).view(CLOCK) for name in ("first", "last")}
        write_columns(writer.path(HISTORIES), {"events": pa.array(histories.events)} | times)
        vectors = create_matrix(writer.path(VECTORS), {"customer_id": ids}, "vector", (len(customers), width))
        carried = _mapped(writer.path(STATES), "state", states), _mapped(writer.path(HIDDEN), "hidden", hidden)
        draft = Draft(vectors, *carried, writer.parents, writer.figures)
        yield draft
        if not draft.checked:
            check_values(vectors, *carried)
        writer.counts.update(customers=len(customers), width=width, states=len(states.rows), state_width=states.width)
        writer.counts.update(hidden=len(hidden.rows), hidden_width=hidden.width)


def _mapped(path: Path, name: str, room: Room) -> States:
    return States(room.rows, create_matrix(path, {"row": pa.array(room.rows)}, name, room.shape))


def _check_rows(customers: pl.Series, histories: Histories, *carried: Rows) -> None:
    if customers.dtype not in (pl.Int64, pl.String):
        raise ValueError(f"customers are {customers.dtype}; ids are Int64 or String")
    count = len(customers)
    if count == 0:
        raise ValueError("there are no customers to write")
    if customers.null_count() or not bool((customers.head(count - 1) < customers.tail(count - 1)).all()):
        raise ValueError("customers must be ascending, unique and without nulls")
    if any(column.dtype != np.int64 or column.shape != (count,) for column in vars(histories).values()):
        raise ValueError(f"histories must be int64 [{count}] each")
    for kept in carried:
        if kept.dtype != np.int64 or (np.diff(kept) <= 0).any() or (len(kept) and not 0 <= kept[0] <= kept[-1] < count):
            raise ValueError("rows of states must be int64, ascending, and rows of customers")
    if (np.bincount(np.concatenate(carried), minlength=1) > 1).any():
        raise ValueError("rows of states and rows of hidden states must be of different customers")


def check_values(vectors: Floats, *carried: States) -> None:
    """Raise ValueError unless vectors are of unit length and states finite."""
    for start in range(0, len(vectors), CHECKED_ROWS):
        some = vectors[start : start + CHECKED_ROWS]
        norms = np.sqrt(np.einsum("nd,nd->n", some, some))
        # written so that NaN fails too
        if not bool((np.abs(norms - 1.0) <= UNIT_TOLERANCE).all()):
            raise ValueError(f"vectors {start} to {start + len(some) - 1} hold a row that is not of unit length")
    for states in carried:
        for start in range(0, len(states.matrix), CHECKED_ROWS):
            if not bool(np.isfinite(states.matrix[start : start + CHECKED_ROWS]).all()):
                raise ValueError(f"states from {start} on hold a value that is not finite")


def _states(folder: Path, version: int) -> States:
    if version == 1:
        matrix = as_matrix(map_columns(folder / STATES, ("state",)).column("state"))
        return States(np.arange(len(matrix)), matrix)
    return _rows_and(folder / STATES, "state")


def _rows_and(path: Path, name: str) -> States:
    table = map_columns(path, ("row", name))
    return States(table.column("row").to_numpy(), as_matrix(table.column(name)))


def _as_type(customers: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Ids in the type of the population's ids; null where they cannot be one of them."""
    if customers.dtype == dtype:
        return customers
    if customers.dtype == pl.String:
        text = customers.str.strip_chars()
        return text.set(~text.str.contains(rf"^{WHOLE_NUMBER.pattern}$").fill_null(False), None).cast(
            dtype, strict=False
        )
    if dtype == pl.String and not customers.dtype.is_integer():
        return pl.Series([None if c is None else str(c) for c in customers], dtype=pl.String)
    return customers.cast(dtype, strict=False)


def _one_as_type(customer: int | str, dtype: pl.DataType) -> int | str | None:
    """The same for one id."""
    if dtype == pl.String:
        return str(customer)
    if isinstance(customer, str):
        text = customer.strip()
        if not WHOLE_NUMBER.fullmatch(text):
            return None
        customer = int(text)
    return customer if -(2**63) <= customer < 2**63 else None
