"""Ways to score everybody by likeness to the seeds, given the seeds and a sample of everybody else.

Seeds are positives, everybody else is *unlabelled* (most are not like the seeds, some are): learning from positive
and unlabelled data. Ranking by a classifier of seeds against unlabelled is ranking by the ratio of densities,
and so by the probability of being a positive (Elkan and Noto, "Learning classifiers from only positive and
unlabeled data", KDD 2008).

Shapes: m seeds, u others, p inputs. `fit(seeds [m, p], others [u, p], rng)` gives a scoring: rows [r, p] -> scores [r].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Scoring = Callable[[Floats], Floats]


class Scorer(Protocol):
    """One way of scoring."""

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """Learn from seeds [m, p] and others [u, p]."""
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

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """The mean of the seeds."""
        return Linear(seeds.mean(axis=0))


@dataclass(frozen=True)
class Prototypes:
    """Similarity to the nearest of several prototypes (spherical k-means over the seeds), softly.

    The softness grows with the seeds' own spread: exp(similarity / temperature), summed over prototypes.
    """

    most: int = 12
    seeds_per_prototype: int = 20

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """The prototypes."""
        centres, _ = kmeans(seeds, self.most, self.seeds_per_prototype, rng)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        temperature = max(float((others @ centres.T).std()), 1e-6)
        return lambda rows: log_sum_exp((rows @ centres.T) / temperature)


@dataclass(frozen=True)
class Mixture:
    """Ratio of densities with the seeds as Gaussians around several prototypes and everybody as one Gaussian.

    All share one covariance, shrunk towards its diagonal; with one prototype it is Fisher's linear discriminant.
    """

    shrinkage: float = 0.1
    most: int = 8
    seeds_per_prototype: int = 30

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """Whiten by everybody's covariance, find prototypes there."""
        centre = others.mean(axis=0)
        whiten = whitening(others, self.shrinkage)  # [p, p]
        white = (seeds - centre) @ whiten
        centres, sizes = kmeans(white, self.most, self.seeds_per_prototype, rng)
        # log of sum_j share_j N(x; c_j) / N(x; 0): the quadratic terms of x cancel
        weights = whiten @ centres.T  # [p, prototypes]
        constants = np.log(sizes / sizes.sum()) - 0.5 * np.einsum("kp,kp->k", centres, centres) - centre @ weights
        constants = constants.astype(np.float32)
        return lambda rows: log_sum_exp(rows @ weights + constants)


@dataclass(frozen=True)
class Logistic:
    """Logistic regression of seeds against everybody else, L2-regularised, both classes weighing the same."""

    penalty: float = 0.03
    steps: int = 12

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """Newton's method on standardised inputs (or on their span, where inputs outnumber rows)."""
        mean, scale = others.mean(axis=0), others.std(axis=0)
        scale = np.where(scale > 1e-9, scale, np.inf).astype(np.float32)
        rows = np.concatenate([(seeds - mean) / scale, (others - mean) / scale])
        y = np.r_[np.ones(len(seeds)), np.zeros(len(others))]
        importance = np.where(y > 0, 0.5 / len(seeds), 0.5 / len(others))
        weights = newton(rows, y, importance, self.penalty, self.steps) / scale
        return Linear(weights.astype(np.float32))


@dataclass(frozen=True)
class Ratio:
    """Unconstrained least-squares density ratio with Gaussian kernels around seeds and others.

    Kanamori, Hido, Sugiyama, "A least-squares approach to direct importance estimation", JMLR 10, 2009.
    """

    kernels: int = 96
    width: float = 0.7
    penalty: float = 0.1

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """Solve for the kernels' weights; the kernel width is a share of the median distance."""
        half = min(self.kernels // 2, len(seeds))
        centres = np.concatenate(
            [
                seeds[rng.choice(len(seeds), half, replace=False)],
                others[rng.choice(len(others), min(self.kernels - half, len(others)), replace=False)],
            ]
        )
        some = others[rng.choice(len(others), min(1000, len(others)), replace=False)]
        sigma = self.width * float(np.sqrt(np.median(distances(some, centres))))
        kernel = _Kernel(centres, max(sigma, 1e-6))
        of_seeds, of_others = kernel(seeds).astype(np.float64), kernel(others).astype(np.float64)
        gram = of_others.T @ of_others / len(others)
        scale = float(np.trace(gram)) / len(gram)
        weights = np.linalg.solve(gram + self.penalty * scale * np.eye(len(gram)), of_seeds.mean(axis=0))
        weights = weights.astype(np.float32)
        return lambda rows: kernel(rows) @ weights


@dataclass(frozen=True)
class Boosting:
    """Gradient-boosted trees (LightGBM) of seeds against everybody else."""

    rounds: int = 80

    def fit(self, seeds: Floats, others: Floats, rng: np.random.Generator) -> Scoring:
        """Shallow, strongly regularised trees: seeds are few."""
        import lightgbm

        rows = np.concatenate([seeds, others])
        y = np.r_[np.ones(len(seeds)), np.zeros(len(others))]
        parameters = {
            "objective": "binary",
            "learning_rate": 0.05,
            "num_leaves": 8,
            "min_data_in_leaf": max(5, len(seeds) // 20),
            "feature_fraction": 0.3,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "max_bin": 63,
            "scale_pos_weight": len(others) / len(seeds) / 4,
            "seed": int(rng.integers(1 << 31)),
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # faster than several on a few thousand rows, and the same bytes everywhere
            "verbosity": -1,
        }
        trees = lightgbm.train(parameters, lightgbm.Dataset(rows, y), num_boost_round=self.rounds)
        return lambda rows: np.asarray(trees.predict(rows, raw_score=True), dtype=np.float32)


@dataclass(frozen=True)
class _Kernel:
    centres: Floats  # [c, p]
    sigma: float

    def __call__(self, rows: Floats) -> Floats:
        return np.asarray(np.exp(distances(rows, self.centres) * np.float32(-0.5 / self.sigma**2)))


def distances(rows: Floats, centres: Floats) -> Floats:
    """Squared Euclidean distances [r, c]."""
    squares = np.einsum("rp,rp->r", rows, rows)[:, None] + np.einsum("cp,cp->c", centres, centres)
    return np.asarray(np.maximum(squares - 2.0 * (rows @ centres.T), 0.0), dtype=np.float32)


def log_sum_exp(values: Floats) -> Floats:
    """Row-wise log(sum(exp(values))), [r, k] -> [r]."""
    top = values.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=1)) + top[:, 0], dtype=np.float32)


def whitening(rows: Floats, shrinkage: float) -> Floats:
    """Symmetric [p, p] W with W W = inverse covariance of `rows`, the covariance shrunk towards its diagonal."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / len(rows)
    diagonal = np.diag(covariance) + 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    shrunk = (1.0 - shrinkage) * covariance + shrinkage * np.diag(diagonal)
    values, axes = np.linalg.eigh(shrunk)
    floor = 1e-6 * max(float(values[-1]), 1e-12)
    return np.asarray((axes / np.sqrt(np.maximum(values, floor))) @ axes.T, dtype=np.float32)


def kmeans(
    rows: Floats, most: int, rows_per_centre: int, rng: np.random.Generator, starts: int = 6
) -> tuple[Floats, Doubles]:
    """The best of several runs of Lloyd's k-means: centres [k, p] and their sizes [k].

    k grows with the rows up to `most`. One run alone ends where chance led it, and held-out seeds would then judge
    another solution than the one that is used.
    """
    k = max(1, min(most, len(rows) // rows_per_centre))
    runs = [_lloyd(rows, k, rng) for _ in range(starts if k > 1 else 1)]
    _, centres, sizes = min(runs, key=lambda run: run[0])
    return centres[sizes > 0], sizes[sizes > 0]


def _lloyd(rows: Floats, k: int, rng: np.random.Generator, steps: int = 15) -> tuple[float, Floats, Doubles]:
    """Sum of squared distances, centres and sizes after `steps` from a k-means++ start (Arthur, Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(rows)))]
    nearest = distances(rows, rows[chosen])[:, 0].astype(np.float64)
    while len(chosen) < k and nearest.sum() > 0:
        chosen.append(int(rng.choice(len(rows), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, distances(rows, rows[chosen[-1:]])[:, 0])
    centres = rows[chosen].copy()
    for _ in range(steps):
        member = np.argmin(distances(rows, centres), axis=1)
        sizes = np.bincount(member, minlength=len(centres)).astype(np.float64)
        indicator = np.zeros((len(centres), len(rows)), dtype=np.float32)
        indicator[member, np.arange(len(rows))] = 1.0
        moved = (indicator @ rows) / np.maximum(sizes, 1)[:, None].astype(np.float32)
        centres = np.where(sizes[:, None] > 0, moved, centres)
    apart = distances(rows, centres)
    member = np.argmin(apart, axis=1)
    sizes = np.bincount(member, minlength=len(centres)).astype(np.float64)
    return float(apart.min(axis=1).sum(dtype=np.float64)), np.asarray(centres), sizes


def prototypes(seeds: Floats, rng: np.random.Generator, most: int = 3, seeds_per_prototype: int = 20) -> Rows:
    """Positions of the seeds [m, p] nearest to the centres of up to `most` kinds of them, the largest kind first."""
    centres, sizes = kmeans(seeds, most, seeds_per_prototype, rng)
    nearest = distances(seeds, centres).argmin(axis=0)[np.argsort(-sizes, kind="stable")]
    return np.asarray(nearest[np.sort(np.unique(nearest, return_index=True)[1])])


def newton(rows: Floats, y: Doubles, importance: Doubles, penalty: float, steps: int) -> Doubles:
    """Weights [p] of the logistic regression: sum importance * loss + penalty / 2 * |weights|^2, intercept free."""
    width = rows.shape[1]
    if width > len(rows):  # the solution lies in the span of the rows
        values, axes = np.linalg.eigh((rows @ rows.T).astype(np.float64))
        kept = values > 1e-6 * values[-1]
        basis = axes[:, kept] / np.sqrt(values[kept])  # [r, q]
        turned = (axes[:, kept] * np.sqrt(values[kept])).astype(np.float32)
        return np.asarray(rows.T @ (basis @ newton(turned, y, importance, penalty, steps)))
    design = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
    ridge = np.r_[np.full(width, penalty), 1e-9]
    weights = np.zeros(width + 1)
    for _ in range(steps):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ weights.astype(np.float32), -30, 30).astype(np.float64)))
        gradient = design.T @ (importance * (chance - y)).astype(np.float32) + ridge * weights
        curve = np.sqrt(importance * chance * (1.0 - chance)).astype(np.float32)
        scaled = design * curve[:, None]
        step = np.linalg.solve((scaled.T @ scaled).astype(np.float64) + np.diag(ridge), gradient)
        weights -= step
        if float(np.abs(step).max()) < 1e-5 * max(1.0, float(np.abs(weights).max())):
            break
    return weights[:-1]
