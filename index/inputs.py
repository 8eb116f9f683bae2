"""What scorers see of a customer: the vector, or the vector and the behavioural features on one scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour
from eventlog.sequences import Column

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
View = Literal["embedding", "both"]

BLOCK = 1 << 12
"""Customers looked at together: few enough that what is worked out of them stays in the cache, and takes no memory."""
CLIP = 4.0


@dataclass(frozen=True)
class Inputs:
    """Both views of the customers, gathered by rows or in pieces; nothing of size [n, p] is held."""

    vectors: Floats  # [n, d]
    behaviour: Column | None  # [n, f]
    heavy: npt.NDArray[np.bool_]  # [f], features that are logged first
    mean: Floats  # [d + f]
    scale: Floats  # [d + f]

    @classmethod
    def of(cls, embeddings: Embeddings, behaviour: Behaviour | None, sample: Rows) -> "Inputs":
        """Learn means and scales of both views on the customers `sample`."""
        vectors = embeddings.vectors
        if behaviour is None or behaviour.matrix.shape[1] == 0:
            nothing = np.zeros(0, np.float32)
            return cls(vectors, None, np.zeros(0, bool), nothing, nothing)
        if len(behaviour.matrix) != len(vectors):
            raise ValueError(f"{len(behaviour.matrix)} rows of behaviour for {len(vectors)} customers")
        heavy = np.array([feature.kind != "share" for feature in behaviour.features])
        raw = cls(vectors, behaviour.matrix, heavy, np.zeros(1, np.float32), np.ones(1, np.float32))
        rows = raw._both(sample)
        scale = rows.std(axis=0)
        constant = scale <= 1e-6 * np.maximum(np.abs(rows).max(axis=0), 1e-6)
        return cls(vectors, behaviour.matrix, heavy, rows.mean(axis=0), np.where(constant, np.inf, scale))

    @property
    def n(self) -> int:
        """How many customers there are."""
        return len(self.vectors)

    def take(self, rows: Rows | slice, view: View, columns: Rows | None = None) -> Floats:
        """float32 [r, p] of some customers; of some `columns`, ascending, alone where these are given."""
        if view == "embedding":
            return self.vectors[rows] if columns is None else np.take(self.vectors[rows], columns, axis=1)
        mean, scale = (self.mean, self.scale) if columns is None else (self.mean[columns], self.scale[columns])
        first, last = (rows.start, rows.stop) if isinstance(rows, slice) else (0, len(rows))
        taken = np.empty((last - first, len(mean)), dtype=np.float32)
        for start in range(first, last, BLOCK):
            part = slice(start, min(start + BLOCK, last))
            block = taken[start - first : part.stop - first]
            block[:] = self._both(part if isinstance(rows, slice) else rows[part], columns)
            block -= mean
            block /= scale
            np.clip(block, -CLIP, CLIP, out=block)
        return taken

    def pieces(self, view: View, columns: Rows | None = None) -> Iterator[tuple[slice, Floats]]:
        """Everybody, in pieces of bounded size; see `take`."""
        for start in range(0, self.n, BLOCK):
            part = slice(start, min(start + BLOCK, self.n))
            yield part, self.take(part, view, columns)

    def _both(self, rows: Rows | slice, columns: Rows | None = None) -> Floats:
        assert self.behaviour is not None
        vectors, behaviour, heavy = self.vectors[rows], self.behaviour[rows], self.heavy
        if columns is not None:
            width = self.vectors.shape[1]
            of_behaviour = columns[columns >= width] - width
            vectors = np.take(vectors, columns[columns < width], axis=1)
            behaviour, heavy = np.take(behaviour, of_behaviour, axis=1), heavy[of_behaviour]
        return np.concatenate([vectors, _logged(np.array(behaviour, dtype=np.float32), heavy)], axis=1)


def logged(behaviour: Behaviour, rows: Rows, columns: Rows) -> Floats:
    """float32 [r, c]: some behaviours of some customers, logs of all but shares."""
    heavy = np.array([behaviour.features[column].kind != "share" for column in columns])
    return _logged(np.array(np.take(behaviour.matrix[rows], columns, axis=1), dtype=np.float32), heavy)


def _logged(values: Floats, heavy: npt.NDArray[np.bool_]) -> Floats:
    tails = np.take(values, np.flatnonzero(heavy), axis=1)
    size = np.abs(tails)
    np.log1p(size, out=size)
    values[:, heavy] = np.copysign(size, tails, out=size)
    return values
