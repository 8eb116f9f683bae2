"""Logistic regression of seeds against everybody else."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

from index.scorers import Doubles, Floats, Linear, Others, Scoring

SEED_WEIGHT = 0.5
"""Weight of all seeds together; the others have the rest, however many they are."""


@dataclass(frozen=True)
class Logistic:
    """Logistic regression, L2-regularised, both classes weighing the same."""

    penalty: float = 0.03
    steps: int = 30

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """L-BFGS (Liu, Nocedal 1989) where the curvature at the start is one in every direction.

        That curvature is the two classes' covariances; the few steps that remain each pass over the rows twice, which
        is several times less work than Newton's method.
        """
        m, u, p = len(seeds), len(others.rows), seeds.shape[1]
        mean, scale = others.mean, np.float32(1.0 / others.spread)
        near, far = (seeds - mean) * scale, (others.rows - mean) * scale  # [m, p], [u, p]
        root = _curvature_root(near, others.covariance * float(scale) ** 2, self.penalty)  # [p + 1, p + 1]
        ridge = np.r_[np.full(p, self.penalty), 0.0]

        def loss(turned: Doubles) -> tuple[float, Doubles]:
            weights = solve_triangular(root, turned, lower=True, trans="T")
            single, intercept = weights[:p].astype(np.float32), weights[p]
            of_near, of_far = near @ single + intercept, far @ single + intercept
            missed, caught = np.logaddexp(0.0, -of_near).mean(), np.logaddexp(0.0, of_far).mean()
            value = SEED_WEIGHT * missed + (1 - SEED_WEIGHT) * caught + 0.5 * float((ridge * weights**2).sum())
            pull = (-SEED_WEIGHT / m * expit(-of_near)).astype(np.float32)
            push = ((1 - SEED_WEIGHT) / u * expit(of_far)).astype(np.float32)
            slope = np.r_[near.T @ pull + far.T @ push, pull.sum() + push.sum()] + ridge * weights
            return float(value), solve_triangular(root, slope, lower=True)

        options = {"maxiter": self.steps, "gtol": 1e-4}
        found = minimize(loss, np.zeros(p + 1), jac=True, method="L-BFGS-B", options=options)
        weights = solve_triangular(root, found.x, lower=True, trans="T")[:p]
        return Linear((weights * scale).astype(np.float32))


def _curvature_root(near: Floats, covariance: Doubles, penalty: float) -> Doubles:
    """Lower triangular L [p + 1, p + 1], L L^T the second derivative of the loss at zero; the intercept is last.

    `covariance` [p, p] is the others', whose mean is zero on the scale of `near` [m, p].
    """
    p = near.shape[1]
    curvature = np.empty((p + 1, p + 1))
    curvature[:p, :p] = SEED_WEIGHT / 4 * (near.T @ near) / len(near) + (1 - SEED_WEIGHT) / 4 * covariance
    curvature[p, :p] = curvature[:p, p] = SEED_WEIGHT / 4 * near.mean(axis=0)
    curvature[np.arange(p), np.arange(p)] += penalty
    curvature[p, p] = 0.25
    return np.asarray(cholesky(curvature, lower=True))
