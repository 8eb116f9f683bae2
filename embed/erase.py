"""Customers taken out of embeddings: their rows of vectors, histories and states go, everybody else's stay the same.

Legend: n customers before, k states before, d and s widths.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from embed.arrow import as_matrix, create_matrix, in_order, write_columns
from embed.artifact import HIDDEN, HISTORIES, STATES, VECTORS, Embeddings
from store.artifact import read_manifest
from store.reseal import reseal


def erase_embeddings(folder: Path, room: Path, keep: np.ndarray) -> None:
    """Write the embeddings at `folder` at `room` for the customers `keep` bool [n] alone, as the artifact they were.

    The bytes at `folder` were checked.
    """
    before = Embeddings.load(folder, deep=False)
    room.mkdir(parents=True)
    kept, now = np.flatnonzero(keep), np.cumsum(keep) - 1
    held, short = (np.flatnonzero(keep[carried.rows]) for carried in (before.states, before.hidden))
    _without(folder / VECTORS, room / VECTORS, kept)
    if before.manifest.version == 1:  # a state for everybody, without a column of rows
        _without(folder / STATES, room / STATES, kept)
    else:
        _without(folder / HISTORIES, room / HISTORIES, kept)
        _without(folder / STATES, room / STATES, held, {"row": now})
    if before.manifest.version > 2:
        _without(folder / HIDDEN, room / HIDDEN, short, {"row": now})
    counts = {**before.manifest.counts, "customers": len(kept)}
    if "states" in counts:
        counts["states"] = len(held)
    if "hidden" in counts:
        counts["hidden"] = len(short)
    reseal(room, read_manifest(folder), int((~keep).sum()), counts)


def _without(source: Path, target: Path, rows: np.ndarray, renumbered: dict[str, np.ndarray] | None = None) -> None:
    """Copy the `rows` of a file of one record batch; columns of row numbers are taken through a map of old to new.

    A column of vectors is copied in pieces, so that memory stays bounded.
    """
    with pa.ipc.open_file(pa.memory_map(str(source), "r")) as reader:
        batch = reader.get_batch(0)
    columns, wide = {}, None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_fixed_size_list(column.type):
            wide = name, as_matrix(column)
            continue
        taken = column.take(pa.array(rows))
        if renumbered and name in renumbered:
            taken = pa.array(renumbered[name][taken.to_numpy()])
        columns[name] = taken
    if wide is None:
        write_columns(target, columns)
        return
    name, matrix = wide
    out = create_matrix(target, columns, name, (len(rows), matrix.shape[1]))
    with in_order(out) as put:
        put(rows, matrix)
