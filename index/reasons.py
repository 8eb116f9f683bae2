"""Why a customer scores as it does: a sparse linear account of the score in behaviours, with how faithful it is.

The score itself may be any blend of scorers over the embedding. A lasso (Tibshirani 1996) chooses behaviours, and least
squares gives each customer's score as a sum of their contributions: a global surrogate. Its R² on customers that it was
not fitted to says how much of the score the reasons account for.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path_gram

from eventlog.behaviour import Behaviour
from index.inputs import Floats, Rows, logged

FITTED = 6_000
"""Customers that the account is fitted to, and as many that judge it."""
BEHAVIOURS = 24
"""Behaviours in an account, at most."""
CLIP = 4.0
LEAST = 0.1
"""Contributions below this many standard deviations of the score are no reason."""


@dataclass(frozen=True)
class Reason:
    """One behaviour's part in a customer's score."""

    feature: str
    words: str
    contribution: float
    """In standard deviations of the score."""


@dataclass(frozen=True, eq=False)
class Account:
    """A sparse linear account of scores."""

    behaviour: Behaviour
    chosen: Rows
    """int64 [k]: columns of the behaviours."""
    mean: Floats
    scale: Floats
    weights: Floats
    fidelity: float
    """R² of the account on customers that it was not fitted to: 1 tells all of the score, 0 nothing."""

    def contributions(self, rows: Rows) -> Floats:
        """float32 [r, k]: what each behaviour adds to the scores of some customers."""
        return np.asarray(_standard(self.behaviour, rows, self.chosen, self.mean, self.scale) * self.weights)

    def reasons(self, rows: Rows, most: int) -> list[tuple[Reason, ...]]:
        """The behaviours that raise each customer's score most, at most `most`."""
        parts = self.contributions(rows)
        high = parts * np.sign(self.weights) > 0  # a value above everybody's, or below
        order = np.argsort(-parts, axis=1, kind="stable")[:, :most]
        return [
            tuple(
                Reason(feature.name, f"{'high' if above[at] else 'low'} {feature.words}", float(part[at]))
                for at in ranked
                if part[at] >= LEAST
                for feature in (self.behaviour.features[self.chosen[at]],)
            )
            for part, above, ranked in zip(parts, high, order, strict=True)
        ]


def account(behaviour: Behaviour, scores: Floats, scored: Rows, rng: np.random.Generator) -> Account | None:
    """An account of scores [n], given as shares of customers who score lower; None where no behaviour tells of them.

    `scored` are the rows of the customers who have a score.
    """
    drawn = rng.permutation(scored)[: 2 * FITTED]
    fitted, judging = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    every = np.arange(behaviour.matrix.shape[1])
    raw = logged(behaviour, fitted, every)
    mean, scale = raw.mean(axis=0), raw.std(axis=0)
    varying = every[scale > 1e-6 * np.maximum(np.abs(raw).max(axis=0), 1e-6)]
    if not len(varying) or len(fitted) < 3:
        return None
    x = _standard(behaviour, fitted, varying, mean[varying], scale[varying]).astype(np.float64)
    # the account is of normal scores: of equal steps in likeness, not of ranks crowded in the middle
    y, judged = ndtri(scores[fitted].astype(np.float64)), ndtri(scores[judging].astype(np.float64))
    centre, spread = float(y.mean()), max(float(y.std()), 1e-9)
    y = (y - centre) / spread
    steps = min(BEHAVIOURS, len(varying), len(fitted) - 1)
    with warnings.catch_warnings():
        # a behaviour that says the same as one that is in already is left out, which is what we want of it
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, _, path = lars_path_gram(x.T @ y, x.T @ x, n_samples=len(y), max_iter=steps, method="lasso")
    weights = path[:, -1]
    kept = np.flatnonzero(weights)
    if not len(kept):
        return None
    # the lasso chooses, least squares weighs: a lasso's own weights are drawn towards nothing
    weights = np.linalg.lstsq(x[:, kept], y, rcond=None)[0].astype(np.float32)
    chosen = varying[kept]
    told = Account(behaviour, chosen, mean[chosen], scale[chosen], weights, 0.0)
    off = (judged - centre) / spread - told.contributions(judging).sum(axis=1)
    total = ((judged - judged.mean()) / spread) ** 2
    fidelity = 1.0 - float((off**2).sum()) / max(float(total.sum()), 1e-9)
    return Account(behaviour, chosen, mean[chosen], scale[chosen], weights, max(fidelity, 0.0))


def _standard(behaviour: Behaviour, rows: Rows, columns: Rows, mean: Floats, scale: Floats) -> Floats:
    return np.asarray(np.clip((logged(behaviour, rows, columns) - mean) / scale, -CLIP, CLIP), dtype=np.float32)
