"""Ways to score everybody by likeness to the seeds, given the seeds and a sample of everybody else.

Seeds are positives, everybody else is *unlabelled* (most are not like the seeds, some are): learning from positive
and unlabelled data. Ranking by a classifier of seeds against unlabelled is ranking by the ratio of densities,
and so by the probability of being a positive (Elkan and Noto, "Learning classifiers from only positive and
unlabeled data", KDD 2008).

Shapes: m seeds, u others, p inputs. `fit(seeds [m, p], others, rng)` gives a scoring: rows [r, p] -> scores [r].
Those who learn step by step have files of their own: `logistic.py`, `network.py`, `boosting.py`; `screening.py` gives
them fewer inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Scoring = Callable[[Floats], Floats]

SHRINKAGE = 0.1
"""How far the others' covariance is shrunk towards its diagonal before it is inverted."""


@dataclass(frozen=True, eq=False)
class Others:
    """Customers that scorers are fitted against, and what several scorers and folds need of them, worked out once."""

    rows: Floats
    """float32 [u, p]"""

    @cached_property
    def mean(self) -> Floats:
        """float32 [p]"""
        return np.asarray(self.rows.mean(axis=0, dtype=np.float64), dtype=np.float32)

    @cached_property
    def deviation(self) -> Floats:
        """float32 [p]: standard deviations."""
        centred = self.rows - self.mean
        return np.asarray(np.sqrt(np.einsum("up,up->p", centred, centred) / np.float32(len(centred))))

    @cached_property
    def covariance(self) -> Doubles:
        """[p, p]"""
        centred = self.rows - self.mean
        return (centred.T @ centred).astype(np.float64) / len(self.rows)

    @cached_property
    def spread(self) -> float:
        """Root mean square of the inputs' standard deviations.

        One scale for all inputs: how much the dimensions of a vector vary beside each other was weighed when it was
        learnt, and is worth keeping.
        """
        return max(float(np.sqrt(np.trace(self.covariance) / len(self.covariance))), 1e-6)

    @cached_property
    def whitening(self) -> Floats:
        """Symmetric [p, p] W with W W = inverse of the covariance, which is shrunk towards its diagonal."""
        covariance = self.covariance
        diagonal = np.diag(covariance) + 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
        values, axes = np.linalg.eigh((1.0 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(diagonal))
        floor = 1e-6 * max(float(values[-1]), 1e-12)
        return np.asarray((axes / np.sqrt(np.maximum(values, floor))) @ axes.T, dtype=np.float32)


class Scorer(Protocol):
    """One way of scoring."""

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Learn from seeds [m, p] and others."""
        ...


@dataclass(frozen=True)
class Linear:
    """rows @ weights."""

    weights: Floats  # [p]

    def __call__(self, rows: Floats) -> Floats:
        return rows @ self.weights


@dataclass(frozen=True)
class Centroid:
    """Similarity to the seeds' mean vector."""

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """The mean of the seeds."""
        return Linear(seeds.mean(axis=0))


@dataclass(frozen=True)
class Prototypes:
    """Similarity to the nearest of several prototypes (spherical k-means over the seeds), softly.

    The softness grows with the seeds' own spread: exp(similarity / temperature), summed over prototypes.
    """

    most: int = 12
    seeds_per_prototype: int = 20

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """The prototypes."""
        centres, _ = kmeans(seeds, self.most, self.seeds_per_prototype, rng)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        temperature = max(float((others.rows @ centres.T).std()), 1e-6)
        return lambda rows: log_sum_exp((rows @ centres.T) / temperature)


@dataclass(frozen=True)
class Mixture:
    """Ratio of densities with the seeds as Gaussians around several prototypes and everybody as one Gaussian.

    All share one covariance, shrunk towards its diagonal; with one prototype it is Fisher's linear discriminant.
    """

    most: int = 8
    seeds_per_prototype: int = 30

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Whiten by everybody's covariance, find prototypes there."""
        centre, whiten = others.mean, others.whitening
        white = np.asarray((seeds - centre) @ whiten, dtype=np.float32)
        centres, sizes = kmeans(white, self.most, self.seeds_per_prototype, rng)
        # log of sum_j share_j N(x; c_j) / N(x; 0): the quadratic terms of x cancel
        weights = whiten @ centres.T  # [p, prototypes]
        constants = np.log(sizes / sizes.sum()) - 0.5 * np.einsum("kp,kp->k", centres, centres) - centre @ weights
        constants = constants.astype(np.float32)
        return lambda rows: log_sum_exp(rows @ weights + constants)


@dataclass(frozen=True)
class Ratio:
    """Unconstrained least-squares density ratio with Gaussian kernels around seeds and others.

    Kanamori, Hido, Sugiyama, "A least-squares approach to direct importance estimation", JMLR 10, 2009.
    """

    kernels: int = 96
    width: float = 0.7
    penalty: float = 0.1

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Solve for the kernels' weights; the kernel width is a share of the median distance."""
        u, half = len(others.rows), min(self.kernels // 2, len(seeds))
        centres = np.concatenate(
            [
                seeds[rng.choice(len(seeds), half, replace=False)],
                others.rows[rng.choice(u, min(self.kernels - half, u), replace=False)],
            ]
        )
        some = others.rows[rng.choice(u, min(1000, u), replace=False)]
        sigma = self.width * float(np.sqrt(np.median(distances(some, centres))))
        kernel = _Kernel(centres, max(sigma, 1e-6))
        of_seeds, of_others = kernel(seeds).astype(np.float64), kernel(others.rows).astype(np.float64)
        gram = of_others.T @ of_others / u
        scale = float(np.trace(gram)) / len(gram)
        weights = np.linalg.solve(gram + self.penalty * scale * np.eye(len(gram)), of_seeds.mean(axis=0))
        weights = weights.astype(np.float32)
        return lambda rows: kernel(rows) @ weights


@dataclass(frozen=True)
class _Kernel:
    centres: Floats  # [c, p]
    sigma: float

    def __call__(self, rows: Floats) -> Floats:
        apart = distances(rows, self.centres)
        apart *= np.float32(-0.5 / self.sigma**2)
        return np.asarray(np.exp(apart, out=apart))


def distances(rows: Floats, centres: Floats) -> Floats:
    """Squared Euclidean distances [r, c]."""
    apart = np.einsum("rp,rp->r", rows, rows)[:, None] + np.einsum("cp,cp->c", centres, centres)
    shared = rows @ centres.T
    shared *= 2.0
    apart -= shared
    return np.asarray(np.maximum(apart, 0.0, out=apart))


def log_sum_exp(values: Floats) -> Floats:
    """Row-wise log(sum(exp(values))), [r, k] -> [r]."""
    # the largest of a few columns is found several times as fast where each of them lies together
    top = np.ascontiguousarray(values.T).max(axis=0)
    return np.asarray(np.log(np.exp(values - top[:, None]).sum(axis=1)) + top, dtype=np.float32)


def kmeans(
    rows: Floats, most: int, rows_per_centre: int, rng: np.random.Generator, starts: int = 6
) -> tuple[Floats, Doubles]:
    """Lloyd's k-means from the most promising of several starts: centres [k, p] and their sizes [k].

    k grows with the rows up to `most`. One start alone ends where chance led it, and held-out seeds would then judge
    another solution than the one that is used.
    """
    k = max(1, min(most, len(rows) // rows_per_centre))
    begun = [_lloyd(rows, _start(rows, k, rng), 4) for _ in range(starts if k > 1 else 1)]
    _, centres, sizes = _lloyd(rows, min(begun, key=lambda run: run[0])[1], 15)
    return centres[sizes > 0], sizes[sizes > 0]


def _start(rows: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Up to k rows far apart (k-means++: Arthur, Vassilvitskii, SODA 2007)."""
    chosen = [int(rng.integers(len(rows)))]
    nearest = distances(rows, rows[chosen])[:, 0].astype(np.float64)
    while len(chosen) < k and nearest.sum() > 0:
        chosen.append(int(rng.choice(len(rows), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, distances(rows, rows[chosen[-1:]])[:, 0])
    return rows[chosen]


def _lloyd(rows: Floats, centres: Floats, steps: int) -> tuple[float, Floats, Doubles]:
    """After at most `steps`: the squared distances' sum, less a constant; the centres; their sizes."""
    member = np.full(len(rows), -1)
    for step in range(steps + 1):
        # squared distances to the centres, less each row's own square
        apart = np.einsum("kp,kp->k", centres, centres) - 2.0 * (rows @ centres.T)
        before, member = member, np.argmin(apart, axis=1)
        sizes = np.bincount(member, minlength=len(centres)).astype(np.float64)
        if step == steps or np.array_equal(member, before):
            break
        indicator = np.zeros((len(centres), len(rows)), dtype=np.float32)
        indicator[member, np.arange(len(rows))] = 1.0
        moved = (indicator @ rows) / np.maximum(sizes, 1)[:, None].astype(np.float32)
        centres = np.where(sizes[:, None] > 0, moved, centres)
    return float(apart.min(axis=1).sum(dtype=np.float64)), centres, sizes


def prototypes(seeds: Floats, rng: np.random.Generator, most: int = 3, seeds_per_prototype: int = 20) -> Rows:
    """Positions of the seeds [m, p] nearest to the centres of up to `most` kinds of them, the largest kind first."""
    centres, sizes = kmeans(seeds, most, seeds_per_prototype, rng)
    nearest = distances(seeds, centres).argmin(axis=0)[np.argsort(-sizes, kind="stable")]
    return np.asarray(nearest[np.sort(np.unique(nearest, return_index=True)[1])])
