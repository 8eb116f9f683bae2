"""Whether two vectors of a customer, of different weeks, still tell of the same habits.

The score is the log-likelihood ratio of "a customer who stayed the same" against "any two customers", both Gaussian:
how far the later vector lies from what the earlier one lets expect, less how far it lies from everybody's. That is
probabilistic linear discriminant analysis (Ioffe, "Probabilistic Linear Discriminant Analysis", 2006; Prince and Elder,
"Probabilistic Linear Discriminant Analysis for Inferences About Identity", 2007, where it verifies faces). Only the
later vector is compared with everybody, since each is asked about the same earlier one. What is usual is learnt from
the customers of these very weeks, nearly all of whom stayed the same, so that a season that everybody lives through is
no change of anybody's.

Legend: m customers, d wide vectors, a axes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

AXES = 64
"""Directions in which vectors differ most between customers; the others hold little but chance."""
PER_AXIS = 16
"""Customers that an axis needs."""
RIDGE = 1e-3
"""Share of the mean variance that is added to each, so that a direction without any counts for nothing."""

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Usual:
    """What the later weeks of a customer are usually like, given the earlier ones."""

    middles: tuple[Floats, Floats]
    """float64 [d] each: mean vector of the earlier and of the later weeks."""
    axes: Floats
    """float64 [d, a], orthonormal."""
    turn: Floats
    """float64 [a, a]: the earlier coordinates times this are the expected later ones."""
    same: Floats
    """float64 [a, a]: inverse covariance of the later ones around what is expected."""
    anybody: Floats
    """float64 [a, a]: inverse covariance of the later ones around their mean."""


def learn(earlier: Vectors, later: Vectors) -> Usual | None:
    """From the vectors [m, d] of the same customers in earlier and in later weeks; None where these are too few."""
    axes = min(AXES, earlier.shape[1], len(earlier) // PER_AXIS)
    if axes < 1:
        return None
    both = [np.asarray(side, np.float64) for side in (earlier, later)]
    middles = both[0].mean(axis=0), both[1].mean(axis=0)
    apart = [side - middle for side, middle in zip(both, middles, strict=True)]
    found = np.linalg.eigh(apart[0].T @ apart[0])[1][:, ::-1][:, :axes]
    was, now = apart[0] @ found, apart[1] @ found
    turn = np.linalg.solve(_even(was.T @ was), was.T @ now)
    spread = now - was @ turn
    return Usual(middles, found, turn, _inverse(spread), _inverse(now))


def scores(usual: Usual, earlier: Vectors, later: Vectors) -> Floats:
    """float64 [m]: the higher, the less the later weeks of each customer follow from the earlier ones."""
    was, now = (
        (np.asarray(side, np.float64) - middle) @ usual.axes
        for side, middle in zip((earlier, later), usual.middles, strict=True)
    )
    return _length(now - was @ usual.turn, usual.same) - _length(now, usual.anybody)


def _inverse(points: Floats) -> Floats:
    """float64 [a, a]: the inverse covariance of points [m, a] whose mean is 0."""
    return np.asarray(np.linalg.inv(_even(points.T @ points / len(points))), np.float64)


def _even(square: Floats) -> Floats:
    mean = np.trace(square) / len(square)
    return np.asarray(square + np.eye(len(square)) * (RIDGE * mean if mean > 0 else 1.0))


def _length(points: Floats, inverse: Floats) -> Floats:
    """Squared lengths [m] of points [m, a] in the metric of an inverse covariance."""
    return np.asarray(np.einsum("na,na->n", points @ inverse, points))
