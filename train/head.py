"""Fits the head in closed form: which features can be trusted, and the directions that hold most of what they say.

A feature is weighed by its reliability: the correlation between the first and the second half of the same
customers' histories, stepped up to the whole history (Spearman 1910, Brown 1910). Noise does not repeat and gets no
weight, whatever its variance; what repeats is kept. The weighed features are projected on their principal
directions, and these are rotated at random within their span: similarity does not change by it, and no single
dimension holds all the variance.

Shapes: n customers, F features, D vector width.
"""

from dataclasses import dataclass

import numpy as np

RELIABLE_EVENTS = 16
"""Customers with fewer events say nothing about reliability: their halves are too short."""


@dataclass(frozen=True)
class HeadFit:
    """Numbers of a fitted head."""

    mean: np.ndarray
    """float32 [F]."""
    scale: np.ndarray
    """float32 [F]."""
    weight: np.ndarray
    """float32 [F], reliability in [0, 1] times emphasis."""
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


def fit_head(
    whole: np.ndarray, first: np.ndarray, second: np.ndarray, emphasis: np.ndarray, width: int, seed: int
) -> HeadFit:
    """Fit on features of whole histories [n, F] and of both halves of the long enough ones [m, F].

    `emphasis` float32 [F] multiplies the reliabilities.
    """
    mean, scale = standardisation(whole)
    enough = len(first) >= 32
    weight = reliability(first, second) if enough else np.ones(whole.shape[1], np.float32)
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
