"""A space in which neighbourhood means membership: directions that vary inside groups are damped, noise is dropped.

A customer's vector holds things that differ just as much inside a group as between groups (how long someone has been
a customer, how active they are, plain noise). They spread each group along the same directions and hide the gaps
between groups. Neighbours show which directions these are, without labels: with T the covariance of all customers and
W half the covariance of the differences between nearest neighbours, the generalised eigenvectors of T v = λ W v order
directions by how much strangers differ in them compared with neighbours. Directions with λ near 1 say nothing about
neighbourhood and are dropped; the others are scaled so that neighbours differ equally in each.

Relevant component analysis (Bar-Hillel, Hertz, Shental, Weinshall 2003) with nearest neighbours as chunklets.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cluster.neighbours import Floats, graph

SAMPLE = 20_000
LEAST_RATIO = 1.5
RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class Space:
    """An affine map of vectors, float32 [d] -> [m]."""

    axes: Floats
    """float32 [d, m], most telling direction first."""
    offset: Floats
    """float32 [m], taken off."""

    @classmethod
    def centred(cls, mean: np.ndarray, axes: np.ndarray) -> Self:
        """The map along `axes` [d, m] that puts `mean` [d] at the origin."""
        axes = np.ascontiguousarray(axes, dtype=np.float32)
        return cls(axes, (mean @ axes.astype(np.float64)).astype(np.float32))

    def of(self, vectors: Floats) -> Floats:
        """Vectors [n, d] in this space, float32 [n, m], C-contiguous."""
        return np.ascontiguousarray(vectors @ self.axes - self.offset, dtype=np.float32)

    def after(self, first: "Space") -> "Space":
        """The map that does `first` and then this one."""
        axes, offset = self.axes.astype(np.float64), self.offset.astype(np.float64)
        both, moved = first.axes.astype(np.float64) @ axes, first.offset.astype(np.float64) @ axes
        return Space(np.ascontiguousarray(both, dtype=np.float32), (moved + offset).astype(np.float32))


def plain(vectors: Floats) -> Space:
    """The space as it is, rotated onto its principal directions (largest variance first)."""
    mean, spread = _moments(vectors)
    _, axes = np.linalg.eigh(spread)
    return Space.centred(mean, axes[:, ::-1])


def sharpened(vectors: Floats, k: int, seed: int, threads: int = 1) -> Space:
    """The space of `vectors` [n, d] after damping what varies among the k nearest neighbours.

    Where fewer than two directions tell neighbours from strangers, the space is left as it is.
    """
    from scipy.linalg import eigh

    if len(vectors) > SAMPLE:
        vectors = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), SAMPLE, replace=False))]
    vectors = np.ascontiguousarray(vectors)
    mean, total = _moments(vectors)
    size = float(np.trace(total)) / len(total)
    if size <= 0:
        return plain(vectors)
    near = graph(vectors, k, threads)
    within = np.zeros_like(total)
    for column in range(near.k):
        apart = (vectors - vectors[near.rows[:, column]]).astype(np.float64)
        within += apart.T @ apart / (2 * len(vectors) * near.k)
    within += np.eye(len(within)) * RIDGE * np.trace(within) / len(within) + np.eye(len(within)) * 1e-9 * size
    ratios, axes = eigh(total, within)
    kept = int((ratios > LEAST_RATIO).sum())
    if kept < 2:
        return plain(vectors)
    return Space.centred(mean, axes[:, ::-1][:, :kept])


def _moments(vectors: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Mean [d] and covariance [d, d] in float64."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean
    return mean, centred.T @ centred / len(vectors)
