"""Fits the head in closed form: which features can be trusted, and the directions that hold most of what they say.

A feature is weighed by its reliability: the correlation between the first and the second half of the same
customers' histories, stepped up to the whole history (Spearman 1910, Brown 1910). Noise does not repeat and gets no
weight, whatever its variance; what repeats is kept. And a field is weighed by its communality, what the other
fields tell of it, since what identifies a customer need not describe one. The weighed features are projected on
their principal directions, and these are rotated at random within their span: similarity does not change by it, and
no single dimension holds all the variance.

Shapes: n customers, F features, D vector width.
"""

from dataclasses import dataclass

import numpy as np

RELIABLE_EVENTS = 16
"""Customers with fewer events say nothing about reliability: their halves are too short."""


DIRECTIONS = 8
"""Main directions of a field that stand for it when fields are told from each other."""
RIDGE = 50.0
ENOUGH = 0.3
"""Communality from which on a field counts in full; below it, in proportion."""
FEWEST_FOR_COMMUNALITY = 400
"""With fewer customers, the prediction of one field by others would be noise."""


@dataclass(frozen=True)
class HeadFit:
    """Numbers of a fitted head."""

    mean: np.ndarray
    """float32 [F]."""
    scale: np.ndarray
    """float32 [F]."""
    weight: np.ndarray
    """float32 [F], reliability times communality (both in [0, 1]) times emphasis."""
    projection: np.ndarray
    """float32 [F, D]."""
    explained: float
    """Share of the weighed features' variance that the projection keeps."""


def standardisation(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale float32 [F] of features [n, F]; a constant feature gets a scale that leaves it at zero."""
    mean, scale = whole.mean(0, dtype=np.float64), whole.std(0, dtype=np.float64)
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1e6).astype(np.float32)


def reliability(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman-Brown reliability float32 [F] from features [n, F] of the histories' halves; negative ones are 0."""
    a, b = (np.clip((x - x.mean(0)) / np.maximum(x.std(0), 1e-6), -4, 4) for x in (first, second))
    r = np.clip((a * b).mean(0), 0, 1)
    stepped: np.ndarray = (2 * r / (1 + r)).astype(np.float32)
    return stepped


def communality(weighed: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """How far each feature's field can be told from the other fields, float32 [F] in [0, 1].

    `weighed` [n, F] are standardised, weighed features and `groups` [F] the field of each. A field's main directions
    are predicted from those of all other fields by ridge regression on half of the customers; the share of variance
    explained in the other half is its communality (Thurstone 1947, here per field). A field that merely identifies a
    customer, a random fingerprint or the nearest branch, has next to none, however reliable it is.
    """
    known = np.random.default_rng([seed, 8]).random(len(weighed)) < 0.5
    names = np.unique(groups)
    parts = {g: _main_directions(weighed[:, groups == g], known) for g in names}
    unit = {g: part / np.maximum(part[known].std(0), 1e-6) for g, part in parts.items()}
    out = np.ones(len(groups), np.float32)
    for g in names:
        if len(names) > 1:
            others = np.concatenate([unit[h] for h in names if h != g], axis=1)
            out[groups == g] = _explained(others, parts[g], known)
    return out


def _main_directions(x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Scores [n, up to DIRECTIONS] on the principal directions of the rows `known`."""
    centred = x.astype(np.float64) - x[known].mean(0)
    _, directions = np.linalg.eigh(centred[known].T @ centred[known])
    scores: np.ndarray = centred @ directions[:, ::-1][:, :DIRECTIONS]
    return scores


def _explained(x: np.ndarray, y: np.ndarray, known: np.ndarray) -> float:
    """Share of the variance of y [n, k] in the other rows explained by ridge regression on x [n, j] of `known` rows."""
    centre, level = x[known].mean(0), y[known].mean(0)
    a = x[known] - centre
    slope = np.linalg.solve(a.T @ a + RIDGE * np.eye(a.shape[1]), a.T @ (y[known] - level))
    left = y[~known] - level - (x[~known] - centre) @ slope
    total = float(((y[~known] - level) ** 2).sum())
    return float(np.clip(1 - (left**2).sum() / total, 0, 1)) if total > 0 else 0.0


def fit_head(
    whole: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    emphasis: np.ndarray,
    width: int,
    seed: int,
) -> HeadFit:
    """Fit on features of whole histories [n, F] and of both halves of the long enough ones [m, F].

    `groups` int64 [G] is the field of each of the first G features; `emphasis` float32 [F] multiplies every weight.
    """
    mean, scale = standardisation(whole)
    enough = len(first) >= 32
    weight = reliability(first, second) if enough else np.ones(whole.shape[1], np.float32)
    if len(whole) >= FEWEST_FOR_COMMUNALITY:
        count = len(groups)
        trusted = np.clip((whole[:, :count] - mean[:count]) / scale[:count], -4, 4) * weight[:count]
        weight[:count] *= np.minimum(communality(trusted, groups, seed) / ENOUGH, 1)
    weight = weight * emphasis
    weighed = np.clip((whole - mean) / scale, -4, 4) * weight
    scatter = weighed.T.astype(np.float64) @ weighed
    values, directions = np.linalg.eigh(scatter)
    kept = min(width, len(values))
    directions = directions[:, ::-1][:, :kept]
    directions = directions * np.sign(
        directions[np.abs(directions).argmax(0), np.arange(kept)]
    )  # eigh's signs are arbitrary
    turn, _ = np.linalg.qr(np.random.default_rng([seed, 7]).standard_normal((width, width)))
    projection = directions @ turn[:kept]
    explained = float(values[::-1][:kept].sum() / max(values.sum(), 1e-12))
    return HeadFit(mean, scale, weight, projection.astype(np.float32), explained)
