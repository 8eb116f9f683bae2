"""Columns of a log in layers: each night adds a layer of its own, and reading goes on as if there were one array.

A customer's events are a few *runs*, each of which lies in one piece in one layer. Runs that lie one after the other
in the same layer are read as one *extent*, so that what no night has touched costs what it costs in a plain log.

Legend: n customers, e events, r runs, x extents, q events that are asked for.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from store.artifact import verify

LAYERS = "layers.json"
RUN_ARRAYS = ("run_offsets", "run_layer", "run_start", "run_count")
LONG_EXTENT = 64
"""Events an extent, on average, from which on extents are copied one by one instead of event by event."""
READ_ROWS = 1 << 20
"""Events that are gathered at once where a whole column is asked for."""


@dataclass(frozen=True)
class Runs:
    """Where each customer's events lie: the runs offsets[i] to offsets[i + 1] of customer i, in order of time."""

    offsets: np.ndarray
    """int64 [n + 1]."""
    layer: np.ndarray
    """uint16 [r]: place among the log's layers, the oldest 0."""
    start: np.ndarray
    """int64 [r]: the run's first event in that layer."""
    count: np.ndarray
    """int64 [r]: its events."""

    @classmethod
    def of_plain(cls, offsets: np.ndarray) -> "Runs":
        """The runs of a plain log, one a customer; `offsets` int64 [n + 1] are its events' offsets."""
        n = len(offsets) - 1
        return cls(np.arange(n + 1), np.zeros(n, np.uint16), np.asarray(offsets[:-1]), np.diff(offsets))


@dataclass(frozen=True)
class Extents:
    """Runs put together that lie one after the other."""

    begin: np.ndarray
    """int64 [x + 1]: the extent's first event in the log; the last entry is the number of events."""
    layer: np.ndarray
    """uint16 [x]."""
    shift: np.ndarray
    """int64 [x]: place in the layer less place in the log."""

    @classmethod
    def of(cls, runs: Runs) -> "Extents":
        """The extents that runs make up."""
        there = np.asarray(runs.count) > 0
        layer, start, count = (np.asarray(column)[there] for column in (runs.layer, runs.start, runs.count))
        end = np.cumsum(count)
        shift = start - (end - count)
        new = np.ones(len(layer), bool)
        new[1:] = (layer[1:] != layer[:-1]) | (shift[1:] != shift[:-1])
        begin = np.append((end - count)[new], end[-1] if len(end) else 0).astype(np.int64)
        return cls(begin, layer[new], shift[new])

    def __len__(self) -> int:
        return len(self.layer)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """int64 [q]: the extent of each event."""
        return np.searchsorted(self.begin, rows, side="right") - 1


class Layered:
    """A column over all layers, indexed like the flat array that it stands for; read-only."""

    def __init__(self, parts: Sequence[np.ndarray], extents: Extents) -> None:
        """`parts`: the column of each layer, oldest first, all of one type and width."""
        self.parts = tuple(parts)
        self.extents = extents
        self.dtype: np.dtype[Any] = parts[0].dtype
        self.shape: tuple[int, ...] = (int(extents.begin[-1]), *parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The whole column as a flat array."""
        if copy is False:
            raise ValueError("a column in layers becomes one array by a copy only")
        out = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for start in range(0, len(self), READ_ROWS):
            out[start : start + READ_ROWS] = self._range(start, min(start + READ_ROWS, len(self)))
        return out

    def __getitem__(self, rows: Any) -> Any:
        """Some events, as numpy gives them: by number, slice, array of numbers, mask, or a tuple that begins so."""
        if isinstance(rows, tuple):
            found = self[rows[0]]
            return found[rows[1:]] if found.ndim < self.ndim else found[:, *rows[1:]]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._range(start, stop) if step == 1 else self._take(np.arange(start, stop, step))
        if isinstance(rows, int | np.integer):
            return self._take(self._places(np.array([rows], np.int64)))[0]
        asked = np.asarray(rows)
        if asked.dtype == bool:
            if len(asked) != len(self):
                raise IndexError(f"a mask of {len(asked)} for {len(self)} events")
            return self._take(np.flatnonzero(asked))
        places = self._places(asked.ravel().astype(np.int64))
        return self._take(places).reshape(*asked.shape, *self.shape[1:])

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Numbers of events, those from the end counted from the beginning."""
        size = len(self)
        if len(rows) and (rows.min() < -size or rows.max() >= size):
            raise IndexError(f"an event out of the {size} that there are")
        return np.where(rows < 0, rows + size, rows)

    def _range(self, start: int, stop: int) -> np.ndarray:
        """The events `start` to `stop`: a view where they lie in one piece."""
        if stop <= start:
            return self.parts[0][:0]
        first, last = self.extents.of_rows(np.array([start, stop - 1])).tolist()
        if first == last:
            shift = int(self.extents.shift[first])
            return self.parts[int(self.extents.layer[first])][start + shift : stop + shift]
        if stop - start < LONG_EXTENT * (last - first):
            return self._take(np.arange(start, stop))
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        begin = np.clip(self.extents.begin[first : last + 2], start, stop).tolist()
        layers, shifts = self.extents.layer[first : last + 1].tolist(), self.extents.shift[first : last + 1].tolist()
        for at, end, layer, shift in zip(begin, begin[1:], layers, shifts, strict=False):
            out[at - start : end - start] = self.parts[layer][at + shift : end + shift]
        return out

    def _take(self, rows: np.ndarray) -> np.ndarray:
        """The events `rows` int64 [q], each from its layer."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        extent = self.extents.of_rows(rows)
        layer = self.extents.layer[extent]
        places = rows + self.extents.shift[extent]
        order = np.argsort(layer, kind="stable")  # of uint16, which is a radix sort
        ends = np.cumsum(np.bincount(layer, minlength=len(self.parts)))
        for part, begin, end in zip(self.parts, [0, *ends.tolist()], ends.tolist(), strict=False):
            if end > begin:
                here = order[begin:end]
                out[here] = part[places[here]]
        return out


def folders_of(folder: Path, beside: Path | None = None) -> tuple[Path, ...]:
    """Folders of the layers that the log at `folder` stands on, the oldest first, itself last; of a plain log itself.

    They are looked for in the folder `beside`, the log's parent where it is left out.
    Raises ValueError, KeyError or OSError where `layers.json` is none. Nothing is verified.
    """
    if not (folder / LAYERS).is_file():
        return (folder,)
    keys = json.loads((folder / LAYERS).read_text(encoding="utf-8"))["layers"]
    return (*((beside or folder.parent) / key for key in keys[:-1]), folder)


def verified_folders(
    folder: Path, kind: str, version: int, *, deep: bool, beside: Path | None = None
) -> tuple[Path, ...]:
    """The same, every layer below verified as the log itself is.

    Raises ArtifactError naming the file that is missing or damaged.
    """
    folders = folders_of(folder, beside)
    for below in folders[:-1]:
        if verify(below, kind, version, deep=deep).key != below.name:
            raise ValueError(f"{below} holds another log than its name says")
    return folders
