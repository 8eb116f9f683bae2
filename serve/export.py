"""What a snapshot holds, as Parquet files for other tools."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.artifact import Segments
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from index.files import PARQUET
from serve.outputs import check_output, output
from serve.segment_members import columns_of
from store.workspace import Workspace

ROWS_AT_ONCE = 50_000


Note = Callable[[int], None]
"""Told how many rows a file has before it gets its place: where that fails, there is none."""


def export_embeddings(
    workspace: Workspace,
    out: Path,
    snapshot: str | None = None,
    progress: Progress = SILENT,
    note: Note = lambda count: None,
) -> int:
    """Write customer_id (int64 or string, as in the source) and vector (list of float32), one row a customer.

    Memory stays bounded whatever the population. Returns the number of rows. Raises NotFoundError where nothing is
    published, ArtifactError where the snapshot is damaged, InputError or StorageError where `out` cannot be written.
    """
    check_output(out, PARQUET)
    embeddings = Embeddings.load(workspace.snapshot_folder(snapshot) / "embeddings")
    count, width = embeddings.n_customers, embeddings.width
    ids = _id_type(embeddings.customers)
    schema = pa.schema([("customer_id", ids), ("vector", pa.list_(pa.float32()))])
    with output(out) as path:
        with progress.task("Writing vectors", count) as advance, pq.ParquetWriter(path, schema) as sink:
            for start in range(0, count, ROWS_AT_ONCE):
                rows = embeddings.vectors[start : start + ROWS_AT_ONCE]
                offsets = np.arange(len(rows) + 1, dtype=np.int32) * width
                vectors = pa.ListArray.from_arrays(offsets, pa.array(rows.reshape(-1)))
                customers = embeddings.customers.slice(start, len(rows)).to_arrow().cast(ids)
                sink.write_table(pa.table([customers, vectors], schema=schema))
                advance(len(rows))
        note(count)
    return count


def export_segments(
    workspace: Workspace, out: Path, snapshot: str | None = None, note: Note = lambda count: None
) -> int:
    """Write customer_id, segment (int, -1 for the unassigned), strength (0 to 1), second (the next best segment, -1 for
    none), second_strength and part (of the segment, from 1, 0 for none), one row a customer.

    Returns the number of rows. Raises what `export_embeddings` raises.
    """
    check_output(out, PARQUET)
    folder = workspace.snapshot_folder(snapshot)
    embeddings = Embeddings.load(folder / "embeddings", deep=False)
    segments = Segments.load(folder / "segments")
    frame = pl.DataFrame({"customer_id": embeddings.customers, **columns_of(segments)})
    with output(out) as path:
        frame.write_parquet(path)
        note(len(frame))
    return len(frame)


def _id_type(customers: pl.Series) -> pa.DataType:
    return pa.int64() if customers.dtype == pl.Int64 else pa.string()
