"""How far vectors went in a night.

Legend: n customers now, m of them known before, d width.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embed.artifact import Embeddings
from embed.customers import PIECE, Changes

DIGITS = 7


@dataclass(frozen=True)
class VectorFacts:
    """What is measured of all vectors of a snapshot, and of their way since the one before."""

    not_finite: int
    """Vectors with a value that is no finite number."""
    norm_error: float
    """Largest difference of a vector's length from 1."""
    centre_shift: float
    """Way of the mean vector of the customers known before, in units of the vectors' spread: see `facts_of`."""
    changed: int
    """Customers known before whose vectors changed."""
    changed_mean: float
    """Mean of 1 - cosine over these, 0 to 2."""
    changed_p99: float
    """The value that one in a hundred of these exceeds."""

    def to_json(self) -> dict[str, float]:
        """The figures as JSON values."""
        return {name: round(float(value), DIGITS) for name, value in vars(self).items()}


def facts_of(before: Embeddings, now: Embeddings, found: Changes) -> VectorFacts:
    """Measure the vectors of `now` beside those of `before`, in pieces; ways of vectors of another width are 0.

    The spread is the root of the mean squared distance from the mean vector. New customers count for what every
    vector must hold, not for the way of the mean.
    """
    bad, error, known, comparable = 0, 0.0, 0, before.width == now.width
    total = {name: np.zeros(now.width) for name in ("before", "now")}
    for start in range(0, now.n_customers, PIECE):
        piece = np.asarray(now.vectors[start : start + PIECE])
        norms = np.sqrt(np.einsum("nd,nd->n", piece, piece))
        fine = np.isfinite(norms)
        bad += int(np.count_nonzero(~fine))
        error = max(error, float(np.abs(norms[fine] - 1).max(initial=0.0)))
        was = found.was[start : start + PIECE]
        there = fine & (was >= 0) & comparable
        known += int(np.count_nonzero(there))
        total["now"] += piece[there].sum(axis=0, dtype=np.float64)
        if comparable:
            total["before"] += before.vectors[was[there]].sum(axis=0, dtype=np.float64)
    was_centre, centre = (total[name] / max(known, 1) for name in ("before", "now"))
    # of unit vectors the mean squared distance from their mean is 1 - |mean|^2
    spread = math.sqrt(max(1 - float(was_centre @ was_centre), 1e-12))
    shift = float(np.linalg.norm(centre - was_centre)) / spread
    ways = _ways(before, now, found) if comparable else np.zeros(0)
    mean, p99 = (float(ways.mean()), float(np.quantile(ways, 0.99))) if len(ways) else (0.0, 0.0)
    return VectorFacts(bad, error, shift, len(ways), mean, p99)


def _ways(before: Embeddings, now: Embeddings, found: Changes) -> npt.NDArray[np.float64]:
    """1 - cosine of every known customer whose vector changed, finite ones only."""
    rows = found.fresh[found.was[found.fresh] >= 0]
    out = np.empty(len(rows))
    for start in range(0, len(rows), PIECE):
        some = rows[start : start + PIECE]
        was, is_now = before.vectors[found.was[some]], now.vectors[some]
        out[start : start + PIECE] = 1 - np.einsum("nd,nd->n", was, is_now)
    return out[np.isfinite(out)]
