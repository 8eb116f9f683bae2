"""What embedding writes: every customer's vector and state, as Arrow files that are mapped, never read whole.

    <snapshot>/embeddings/
      vectors.arrow    customer_id (int64 or large string), vector (fixed-size list of d float32, unit length)
      states.arrow     state (fixed-size list of s float32), same row order
      manifest.json

Both are uncompressed Arrow IPC files of one record batch, so that each column is one contiguous piece of the file
and numpy sees it without a copy. Any Arrow reader opens them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from configs.errors import ArtifactError
from store.artifact import Manifest, create, verify

KIND, VERSION = "embeddings", 1
VECTORS, STATES = "vectors.arrow", "states.arrow"
UNIT_TOLERANCE = 1e-3
CHECKED_ROWS = 1 << 16

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Every customer's vector and state; row i is the same customer everywhere in a snapshot."""

    folder: Path
    manifest: Manifest
    customers: pl.Series
    """n customer ids, Int64 or String, ascending, unique."""
    vectors: Floats
    """float32 [n, d], rows of unit length, C-contiguous; a read-only map of the file."""
    states: Floats
    """float32 [n, s], C-contiguous; a read-only map of the file."""

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
        row = int(self.rows_of(pl.Series([customer]))[0])
        return None if row < 0 else row

    def rows_of(self, customers: pl.Series) -> Rows:
        """The rows, int64 [len(customers)], of some ids in their order; -1 where unknown.

        Text forms of integers are accepted where ids are integers, and integers where ids are text.
        """
        wanted = _as_type(customers, self.customers.dtype)
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
        table = _mapped(folder / VECTORS, ("customer_id", "vector"))
        customers = pl.Series("customer_id", table.column("customer_id"))
        vectors = _matrix(table.column("vector"))
        states = _matrix(_mapped(folder / STATES, ("state",)).column("state"))
        expected = (manifest.counts["customers"], manifest.counts["width"], manifest.counts["state_width"])
        if (*vectors.shape, states.shape[1]) != expected or len(states) != len(vectors):
            raise ArtifactError(
                f"{folder / VECTORS}: holds {vectors.shape} vectors and {states.shape} states, "
                f"its manifest says (customers, width, state width) = {expected}; rebuild the embeddings"
            )
        return cls(folder, manifest, customers, vectors, states)


def write_embeddings(
    folder: Path,
    key: str,
    customers: pl.Series,
    vectors: Floats,
    states: Floats,
    parents: Mapping[str, str],
    figures: Mapping[str, Any] | None = None,
) -> Embeddings:
    """Write embeddings as one finished artifact at `folder` and map them.

    `vectors` [n, d] and `states` [n, s] may themselves be memory maps: they are passed on without a copy, so that
    memory stays bounded. Raises ValueError where shapes, types, id order or unit length break the contract, and
    StorageError on a full disk.
    """
    _check(customers, vectors, states)
    with create(folder, KIND, VERSION, key) as writer:
        ids = customers.rename("customer_id").to_arrow()
        ids = ids.cast(pa.large_string()) if customers.dtype == pl.String else ids
        _write(writer.path(VECTORS), {"customer_id": ids, "vector": _lists(vectors)})
        _write(writer.path(STATES), {"state": _lists(states)})
        writer.parents.update(parents)
        writer.counts.update(customers=len(customers), width=vectors.shape[1], state_width=states.shape[1])
        writer.figures.update(figures or {})
    return Embeddings.load(folder, deep=False)


def _check(customers: pl.Series, vectors: Floats, states: Floats) -> None:
    if customers.dtype not in (pl.Int64, pl.String):
        raise ValueError(f"customers are {customers.dtype}; ids are Int64 or String")
    if len(customers) == 0:
        raise ValueError("there are no customers to write")
    if customers.null_count() or not bool(
        (customers.head(len(customers) - 1) < customers.tail(len(customers) - 1)).all()
    ):
        raise ValueError("customers must be ascending, unique and without nulls")
    for name, matrix in (("vectors", vectors), ("states", states)):
        if matrix.dtype != np.float32 or matrix.ndim != 2 or len(matrix) != len(customers) or matrix.shape[1] < 1:
            raise ValueError(f"{name} are {matrix.dtype} {matrix.shape}; expected float32 [{len(customers)}, width]")
        if not matrix.flags.c_contiguous:
            raise ValueError(f"{name} must be C-contiguous")
    for start in range(0, len(vectors), CHECKED_ROWS):
        rows = vectors[start : start + CHECKED_ROWS]
        norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
        # written so that NaN fails too
        if not bool((np.abs(norms - 1.0) <= UNIT_TOLERANCE).all()):
            raise ValueError(f"vectors {start} to {start + len(rows) - 1} hold a row that is not of unit length")
        if not bool(np.isfinite(states[start : start + CHECKED_ROWS]).all()):
            raise ValueError(f"states {start} to {start + len(rows) - 1} hold a value that is not finite")


def _lists(matrix: Floats) -> pa.Array:
    """A matrix [n, d] as an Arrow array of n lists of d, sharing its memory."""
    flat = pa.Array.from_buffers(pa.float32(), matrix.size, [None, pa.py_buffer(matrix.reshape(-1))])
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _write(path: Path, columns: Mapping[str, pa.Array]) -> None:
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def _mapped(path: Path, columns: tuple[str, ...]) -> pa.RecordBatch:
    """The one record batch of a mapped Arrow file; its arrays keep the map alive."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
        if reader.num_record_batches != 1 or tuple(reader.schema.names) != columns:
            raise ArtifactError(
                f"{path}: expected one record batch with columns {', '.join(columns)}; rebuild the embeddings"
            )
        return reader.get_batch(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(f"{path}: not a readable Arrow file ({error}); rebuild the embeddings") from None


def _matrix(column: pa.Array) -> Floats:
    """A list column as float32 [n, d] over the same memory."""
    flat: Floats = column.flatten().to_numpy(zero_copy_only=True)
    return flat.reshape(len(column), column.type.list_size)


def _as_type(customers: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Ids in the type of the population's ids; null where they cannot be one of them."""
    if customers.dtype == dtype:
        return customers
    if customers.dtype == pl.String:
        text = customers.str.strip_chars()
        return text.set(~text.str.contains(r"^[+-]?\d{1,19}$").fill_null(False), None).cast(dtype, strict=False)
    if dtype == pl.String and not customers.dtype.is_integer():
        return pl.Series([None if c is None else str(c) for c in customers], dtype=pl.String)
    return customers.cast(dtype, strict=False)
