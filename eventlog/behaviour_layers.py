"""Behaviours in layers: a night writes the rows that are new, and links the files of the rows that are not.

    layers.json     when the log ends, how many layers, and the columns that grow older with it
    layer-00.npy    float32 [m, f]: the plain matrix at the bottom
    layer-01.npy    the rows of one night's changed customers, and so on
    rows.npy        int64 [n]: where each customer's row is, among the rows of all layers one after the other
    moments.npy     int64 [n, 2]: times of each customer's first and last event, microseconds UTC

The days since a customer's first and last event are others every day for everybody. They are made from `moments.npy`
when they are read, so that the layers hold nothing that grows old.

Legend: n customers, f features, m rows of a layer, q customers that are asked for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eventlog.sequences import DAY

LAYERS, ROWS, MOMENTS = "layers.json", "rows.npy", "moments.npy"
MOST_LAYERS = 30
"""Layers of nights above the bottom one; with more, everything is written as one plain matrix again."""
MOST_ABOVE = 0.5
"""Rows above the bottom layer, as a share of those in it; with more, the same."""
READ_ROWS = 1 << 15
"""Customers that are read at once where all of them are asked for."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def layer_name(number: int) -> str:
    """File of a layer, the bottom one 0."""
    return f"layer-{number:02d}.npy"


class LayeredMatrix:
    """float32 [n, f] over layers, read-only; indexed by rows, or rows and columns, like the flat one it stands for."""

    def __init__(self, layers: Sequence[Floats], rows: Ints, moments: Ints, end: int, since: tuple[int, int]) -> None:
        """`end`: time of the log's last event; `since`: columns of the days since the first and since the last event.

        Raises ValueError where rows or moments do not fit.
        """
        self.layers, self.rows, self.moments, self.end, self.since = tuple(layers), rows, moments, end, since
        self.bounds = np.cumsum([0, *(len(layer) for layer in layers)])
        width = {layer.shape[1] for layer in layers}
        if len(width) != 1 or moments.shape != (len(rows), 2) or not all(0 <= at < min(width) for at in since):
            raise ValueError("the layers do not fit each other")
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < self.bounds[-1]):
            raise ValueError("a row outside the layers")
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.shape: tuple[int, int] = (len(rows), width.pop())

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return 2

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The whole matrix as a flat array."""
        if copy is False:
            raise ValueError("a matrix in layers becomes one array by a copy only")
        out = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for start in range(0, len(self), READ_ROWS):
            out[start : start + READ_ROWS] = self[start : start + READ_ROWS]
        return out

    def __getitem__(self, asked: Any) -> Any:
        """Some customers, by number, slice, array of numbers or mask; or a tuple of these and some columns.

        Rows and columns that are both arrays, which numpy would pair, raise IndexError.
        """
        rows, columns = (*asked, slice(None))[:2] if isinstance(asked, tuple) else (asked, slice(None))
        places, cells = _places(rows, len(self)), np.arange(self.shape[1])[columns]
        if isinstance(rows, slice | int | np.integer) or isinstance(columns, slice | int | np.integer):
            whole = isinstance(columns, slice) and columns == slice(None)
            found = self._take(places.ravel(), np.atleast_1d(cells), whole=whole)
            return found.reshape((*places.shape, *np.shape(cells)))[()]
        raise IndexError("take rows first and columns of these afterwards")

    def _take(self, places: Ints, columns: Ints, *, whole: bool) -> Floats:
        """[q, some columns] of the customers `places`; `whole` where the columns are all of them."""
        at = self.rows[places]
        layer = np.searchsorted(self.bounds, at, side="right") - 1
        out = np.empty((len(at), len(columns)), np.float32)
        for number in np.flatnonzero(np.bincount(layer)).tolist():
            part, begin = self.layers[number], int(self.bounds[number])
            if whole and number == 0:
                # where most are, so others' rows are filled as well, to be overwritten; numpy copies twice for "raise"
                np.take(part, at, axis=0, out=out, mode="clip")
                continue
            here = np.flatnonzero(layer == number)
            inside = at[here] - begin
            out[here] = part[inside] if whole else part[inside[:, None], columns]
        for moment, column in enumerate(self.since):
            for cell in np.flatnonzero(columns == column).tolist():
                out[:, cell] = (self.end - self.moments[places, moment]) / DAY
        return out


def _places(rows: Any, n: int) -> Ints:
    """Numbers, slice or mask of n customers as numbers from 0 on."""
    if isinstance(rows, slice):
        return np.arange(*rows.indices(n))
    asked = np.asarray(rows)
    if asked.dtype == bool:
        if len(asked) != n:
            raise IndexError(f"a mask of {len(asked)} for {n} customers")
        return np.flatnonzero(asked)
    if asked.size and (int(asked.min()) < -n or int(asked.max()) >= n):
        raise IndexError(f"a customer out of the {n} that there are")
    return np.where(asked < 0, asked + n, asked).astype(np.int64)
