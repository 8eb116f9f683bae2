"""What the stage writes: the sequence store, its dictionaries, the report and the quarantine. Format 1."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from eventlog.sequences import CUSTOMERS, SCHEMA
from eventlog.spool import Tally
from store.artifact import ArtifactWriter


def write_log(writer: ArtifactWriter, tally: Tally, batches: Iterable[np.ndarray]) -> None:
    """Write customers, schema and the flat arrays from records that come sorted by customer and time."""
    pl.DataFrame({"customer": tally.customers}).write_parquet(writer.path(CUSTOMERS), statistics=False)
    writer.write_json(SCHEMA, tally.schema.to_json())
    np.save(writer.path("offsets.npy"), np.concatenate([[0], np.cumsum(tally.counts)]).astype(np.int64))
    events, c, v = int(tally.counts.sum()), len(tally.schema.categorical), len(tally.schema.numeric)
    columns = {"codes": (np.uint16, (events, c)), "values": (np.float32, (events, v)), "time": (np.int64, (events,))}
    files: dict[str, BinaryIO] = {}
    try:
        for name, (kind, shape) in columns.items():
            files[name] = _open(writer.path(f"{name}.npy"), np.dtype(kind), shape)
        for batch in batches:
            for name, file in files.items():
                file.write(np.ascontiguousarray(batch[name]).tobytes())
    finally:
        for file in files.values():
            file.close()


def _open(path: Path, kind: np.dtype[np.generic], shape: tuple[int, ...]) -> BinaryIO:
    """A .npy file whose header is written, to append rows to."""
    file = path.open("wb")
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file
