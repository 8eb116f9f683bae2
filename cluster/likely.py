"""Which segment somebody's vector is most likely of: linear discriminant analysis (Fisher 1936; Rao 1948).

Segments are Gaussians with means of their own and one covariance, shrunk towards a round one (Friedman, "Regularized
Discriminant Analysis", 1989). It reads vectors of a few weeks, most of whose variation is chance: all axes together
tell the segment where the nearest neighbours cannot.

Legend: s segments, d wide vectors, c landmarks, q customers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.clusters import Ints, Labels

SHRINK = 0.1
"""Share of a round covariance of the same mean variance."""
FEWEST = 20
"""Customers that a segment needs to be told by."""

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Likely:
    """How likely a vector is of each segment."""

    ids: Ints
    """int64 [s], segments, ascending."""
    weights: Wide
    """float64 [d, s]"""
    bias: Wide
    """float64 [s]"""

    @classmethod
    def of(cls, vectors: Floats, labels: Labels) -> "Likely | None":
        """Learn from the vectors [c, d] of members and their segments (-1 for none); None of fewer than two."""
        ids, sizes = np.unique(labels[labels >= 0], return_counts=True)
        ids, sizes = ids[sizes >= FEWEST], sizes[sizes >= FEWEST]
        if len(ids) < 2:
            return None
        inside = np.isin(labels, ids)
        points, own = np.asarray(vectors[inside], np.float64), np.searchsorted(ids, labels[inside])
        means = np.zeros((len(ids), points.shape[1]))
        np.add.at(means, own, points)
        means /= sizes[:, None]
        spread = points - means[own]
        covariance = spread.T @ spread / len(points)
        round_one = np.eye(len(covariance)) * max(float(np.trace(covariance)) / len(covariance), 1e-12)
        weights = np.linalg.solve((1 - SHRINK) * covariance + SHRINK * round_one, means.T)
        bias = np.log(sizes / sizes.sum()) - 0.5 * np.einsum("sd,ds->s", means, weights)
        return cls(ids.astype(np.int64), np.asarray(weights, np.float64), bias)

    def most(self, vectors: Floats) -> tuple[Ints, Floats]:
        """The likeliest segment of each vector [q, d], int64 [q], and how likely it is, float32 [q]."""
        scores = np.asarray(vectors, np.float64) @ self.weights + self.bias
        scores -= scores.max(axis=1, keepdims=True, initial=-np.inf)
        chances = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        best = chances.argmax(axis=1)
        return self.ids[best], chances[np.arange(len(best)), best].astype(np.float32)
