"""Duplicate events: the same event id twice within a source, found in bounded memory.

Legend: e entries of a part, k ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from eventlog.columns import missing, whole
from eventlog.event_ids import find, hashes
from eventlog.read import Chunk
from eventlog.tables import Table

ENTRY = np.dtype([("id", "<u8", (2,)), ("place", "<i8")])
"""An event id (see `eventlog.event_ids`) and its place among the source's kept rows."""
GROUP_BYTES = 1 << 24
"""Of parts that are small, such as a night's, several are looked at together."""
SAMPLED = 1 << 10
"""One of so many ids is looked at to cut all of them into ranges."""
RANGE_SAMPLES = 1 << 10
"""Samples a range, so that about a million ids are merged at once."""


@dataclass
class EventIds:
    """Collects a source's event ids on disk, in parts by id, and then says which rows repeat an earlier one."""

    table: Table
    folder: Path
    rows: int = 0
    parts: int = 64
    others: list[tuple[Path, int]] = field(default_factory=list)
    """Folders of ids that were collected elsewhere, from files in their order, and the places where these begin."""

    def adopt(self, folder: Path, rows: int) -> None:
        """Take the ids along that were collected in another folder, of the next so many kept rows."""
        self.others.append((folder, self.rows))
        self.rows += rows

    def add(self, chunk: Chunk, kept: np.ndarray) -> None:
        """Collect the ids of a chunk's kept rows (indices into the chunk)."""
        assert self.table.source.event_id is not None
        column = whole(chunk.table[self.table.source.event_id]).take(pa.array(kept))
        there = ~missing(column)
        entries = np.zeros(int(there.sum()), ENTRY)
        entries["id"] = hashes(column.filter(pa.array(there)))
        entries["place"] = self.rows + np.flatnonzero(there)
        self.rows += len(kept)
        self._append(entries)

    def _append(self, entries: np.ndarray) -> None:
        part = (entries["id"][:, 0] % np.uint64(self.parts)).astype(np.uint16)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=self.parts)).tolist()
        for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if end > start:
                with (self.folder / f"ids-{i:03d}").open("ab") as file:
                    file.write(np.take(entries, order[start:end]).tobytes())

    def repeated(self, known: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Places among the kept rows whose id an earlier row has, and places whose id is among `known` ones.

        `known` are sorted ids uint64 [k, 2]. Neither kind is among `fresh` afterwards.
        """
        again, before = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, paths in enumerate(_grouped(self._collected())):
            entries = _sorted(np.concatenate([_entries(path, start) for path, start in paths]))
            same = np.zeros(len(entries), bool)
            same[1:] = (entries["id"][1:] == entries["id"][:-1]).all(axis=1)
            seen = np.zeros(len(entries), bool)
            for ids in known:
                seen |= find(ids, entries["id"])
            again.append(entries["place"][same & ~seen])
            before.append(entries["place"][seen])
            (self.folder / f"fresh-{number:03d}").write_bytes(entries["id"][~same & ~seen].tobytes())
        return np.concatenate(again), np.concatenate(before)

    def _collected(self) -> list[tuple[Path, int]]:
        """Files of ids and where their places begin: part by part, and within a part by place."""
        folders = [(self.folder, 0), *self.others]
        found = [(path, start) for folder, start in folders for path in folder.glob("ids-*")]
        return sorted(found, key=lambda file: (file[0].name, file[1]))

    def fresh(self) -> tuple[int, Iterator[np.ndarray]]:
        """How many ids the source adds, and these in ascending order, uint64 [., 2] at a time; after `repeated`."""
        paths = [path for path in sorted(self.folder.glob("fresh-*")) if path.stat().st_size]
        parts = [np.memmap(path, np.uint64, mode="r").reshape(-1, 2) for path in paths]
        return sum(len(part) for part in parts), merged_ids(parts)


def _entries(path: Path, start: int) -> np.ndarray:
    entries = np.fromfile(path, ENTRY)
    entries["place"] += start
    return entries


def _grouped(files: list[tuple[Path, int]]) -> list[list[tuple[Path, int]]]:
    """Parts, as files and starts, that are looked at together: as many as are no more than one large one."""
    groups: list[list[tuple[Path, int]]] = []
    held = GROUP_BYTES
    for _, part in groupby(files, key=lambda file: file[0].name):
        here = list(part)
        size = sum(path.stat().st_size for path, _ in here)
        if held + size > GROUP_BYTES:
            groups.append([])
            held = 0
        groups[-1].extend(here)
        held += size
    return groups


def _sorted(entries: np.ndarray) -> np.ndarray:
    """Entries by id, equal ids by place: within a part they come in the order of places, and the sort is stable."""
    return np.take(entries, np.lexsort((entries["id"][:, 1], entries["id"][:, 0])))


def merged_ids(parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Ids of all parts, each sorted, in ascending order, uint64 [., 2] at a time."""
    samples = np.sort(np.concatenate([np.zeros(0, np.uint64), *(part[::SAMPLED, 0] for part in parts)]))
    cuts = np.unique(samples[RANGE_SAMPLES::RANGE_SAMPLES])
    bounds = [np.array([0, *np.searchsorted(part[:, 0], cuts), len(part)]) for part in parts]
    for i in range(len(cuts) + 1):
        here = np.concatenate(
            [np.zeros((0, 2), np.uint64), *(p[b[i] : b[i + 1]] for p, b in zip(parts, bounds, strict=True))]
        )
        if len(here):
            yield np.take(here, np.lexsort((here[:, 1], here[:, 0])), axis=0)
