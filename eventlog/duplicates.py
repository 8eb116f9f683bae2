"""Duplicate events: the same event id twice within a source, found in bounded memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from eventlog.columns import flat, missing, whole
from eventlog.read import Chunk
from eventlog.tables import Table

ENTRY = np.dtype([("low", "<u8"), ("high", "<u8"), ("place", "<i8")])
"""An event id in 128 bits (a whole number itself, of a text two hashes) and its place among the source's kept rows."""
SEEDS = (11, 97)


@dataclass
class EventIds:
    """Collects a source's event ids on disk, in parts by id, and then says which rows repeat an earlier one."""

    table: Table
    folder: Path
    rows: int = 0
    parts: int = 64

    def add(self, chunk: Chunk, kept: np.ndarray) -> None:
        """Collect the ids of a chunk's kept rows (indices into the chunk)."""
        assert self.table.source.event_id is not None
        column = whole(chunk.table[self.table.source.event_id]).take(pa.array(kept))
        entries = np.zeros(len(kept), ENTRY)
        if self.table.event_id_text:
            text = pl.from_arrow(flat(column).cast(pa.string()))
            assert isinstance(text, pl.Series)
            entries["low"], entries["high"] = (text.hash(seed).to_numpy() for seed in SEEDS)
        else:
            numbers = flat(column).cast(pa.int64(), safe=False)
            entries["low"] = numbers.fill_null(0).to_numpy().view(np.uint64)
        entries["place"] = np.arange(self.rows, self.rows + len(kept))
        self.rows += len(kept)
        self._append(entries[~missing(column)])

    def _append(self, entries: np.ndarray) -> None:
        part = (entries["low"] % np.uint64(self.parts)).astype(np.uint16)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=self.parts)).tolist()
        for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if end > start:
                with (self.folder / f"ids-{i:03d}").open("ab") as file:
                    file.write(np.take(entries, order[start:end]).tobytes())

    def repeated(self) -> np.ndarray | None:
        """bool [kept rows]: the row's id was there before; None where no id repeats."""
        repeats = [_repeats(np.fromfile(path, ENTRY)) for path in sorted(self.folder.glob("ids-*"))]
        places = np.concatenate([np.zeros(0, np.int64), *repeats])
        if not len(places):
            return None
        dropped = np.zeros(self.rows, bool)
        dropped[places] = True
        return dropped


def _repeats(entries: np.ndarray) -> np.ndarray:
    """Places of the entries whose id an earlier entry has."""
    order = np.lexsort((entries["high"], entries["low"]))  # stable, so places stay ascending within an id
    ordered = np.take(entries, order)
    same = (ordered["low"][1:] == ordered["low"][:-1]) & (ordered["high"][1:] == ordered["high"][:-1])
    return np.asarray(ordered["place"][1:][same])
