"""Thresholds that a reader can keep in mind: two digits, whole numbers of what is counted, tenths of 1 % at finest."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cluster.clusters import Labels
from cluster.neighbours import Floats

MOST = 100
OF_ALL = np.array([0.002, 0.005, 0.01, *np.arange(0.02, 0.99, 0.02), 0.99, 0.995, 0.998])
OF_SEGMENT = np.array([0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98])
LEAST_SHARE = 0.001
TINY = 1e-30
"""What is smaller counts as 0."""

Doubles = npt.NDArray[np.float64]


def thresholds_of(
    values: Floats, labels: Labels, segments: Sequence[int], kinds: Sequence[str]
) -> list[npt.NDArray[np.float32]]:
    """Ascending thresholds of each feature from its `values` [m, f] among all and in each segment of `labels` [m].

    A feature that does not vary has none.
    """
    marks = [np.quantile(values, OF_ALL, axis=0)]
    for segment in segments:
        mine = values[labels == segment]
        if len(mine):
            marks.append(np.quantile(mine, OF_SEGMENT, axis=0))
    raw = np.concatenate(marks).astype(np.float64)
    out = []
    for i, kind in enumerate(kinds):
        column = values[:, i]
        low, high = float(column.min()), float(column.max())
        whole = kind == "count" and bool((column == np.rint(column)).all())
        rounded = np.unique(rounded_to_read(raw[:, i], kind, whole).astype(np.float32))
        # what everybody or nobody meets says nothing
        rounded = rounded[(rounded >= low) & (rounded <= high)] if high > low else rounded[:0]
        if len(rounded) > MOST:
            rounded = rounded[np.unique(np.linspace(0, len(rounded) - 1, MOST).astype(np.int64))]
        out.append(rounded)
    return out


def rounded_to_read(values: Doubles, kind: str, whole: bool) -> Doubles:
    """Values rounded to two digits; shares to no less than tenths of 1 %, counts of whole things to whole numbers."""
    size = np.where(np.abs(values) > TINY, np.abs(values), 0.0)
    step = 10.0 ** (np.floor(np.log10(np.where(size > 0, size, 1.0))) - 1)
    if kind == "share":
        step = np.maximum(step, LEAST_SHARE)
    elif whole:
        step = np.maximum(step, 1.0)
    # by division where the step is below one: 12 * 0.01 is not 0.12
    exact = np.where(
        step < 1, np.rint(values / step) / np.rint(1 / np.minimum(step, 1.0)), np.rint(values / step) * step
    )
    return np.where(size > 0, exact, 0.0) + 0.0


def awkwardness(thresholds: npt.NDArray[np.float32], kind: str) -> Doubles:
    """How hard each threshold is to keep in mind: 0 one digit, 1 a second digit that is a 5, 2 any other."""
    shown = np.abs(thresholds.astype(np.float64)) * (100 if kind == "share" else 1)
    step = 10.0 ** (np.floor(np.log10(np.where(shown > 0, shown, 1.0))) - 1)
    second = np.rint(shown / step) % 10
    return np.where((shown == 0) | (second == 0), 0.0, np.where(second == 5, 1.0, 2.0))
