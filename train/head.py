"""Fits the head in closed form: the directions that hold most of what can be trusted of the features.

Features are weighed as train/trust.py says, and projected on their principal directions; these are rotated at random
within their span: similarity does not change by it, and no single dimension holds all the variance.

Two things stand in dimensions of their own besides, since a learner cannot find them well in a rotated mixture: the
level (how much a customer does, and how lately), turned so that each dimension stands for few features (varimax,
Kaiser 1958), and the single features that together span most of what all of them say (column subset selection by
pivoted QR, Businger and Golub 1965), unchanged. What is expected of the next weeks is added by train/forecast.py.

Shapes: n customers, F features, D vector width.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from train.encoder import Parts
from train.trust import balance, reliability, trust

FEWEST_HALVES = 32
"""With fewer customers of RELIABLE_EVENTS, every feature counts as reliable."""
RELIABLE_EVENTS = 16
"""Customers with fewer events say nothing about reliability: their halves are too short."""
BODY = -1
"""The group of the recurrent body's states; the pools' fields are numbered from 0."""
LEVEL_LENGTH = 0.3
"""Length of the dimensions that hold the level alone, where the behaviour has 1."""
ASIDE = 0.1
"""Length of the selected features, and of the forecasts: meant for learners, which scale dimensions themselves; in
similarity they should weigh little, since they repeat what the behaviour says."""


@dataclass(frozen=True)
class Fields:
    """Which field each feature tells of."""

    groups: np.ndarray
    """int64 [F]: the field, the level, or BODY for the recurrent body's states."""
    own: np.ndarray
    """bool [F]: whether the feature tells of that field alone, and is not crossed with another."""
    level: int
    """The group of the level."""


@dataclass(frozen=True)
class HeadFit:
    """Numbers of a fitted head."""

    mean: np.ndarray
    """float32 [F]."""
    scale: np.ndarray
    """float32 [F]."""
    weight: np.ndarray
    """float32 [F], reliability times communality (both in [0, 1]), balanced between fields."""
    projection: np.ndarray
    """float32 [F, D]; 0 in the dimensions of the forecasts."""
    explained: float
    """Share of the weighed features' variance that the projection keeps."""


def standardisation(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale float32 [F] of features [n, F]; a constant feature gets a scale that leaves it at zero."""
    mean, scale = whole.mean(0, dtype=np.float64), whole.std(0, dtype=np.float64)
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1e6).astype(np.float32)


def principal(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to `count` principal directions [F, k] of x [n, F], largest first, and all their values [F]."""
    values, directions = np.linalg.eigh(x.T.astype(np.float64) @ x)
    directions = directions[:, ::-1][:, :count]
    largest = directions[np.abs(directions).argmax(0), np.arange(directions.shape[1])]
    return directions * np.sign(largest), values[::-1]  # eigh's signs are arbitrary


def varimax(loadings: np.ndarray, rounds: int = 100) -> np.ndarray:
    """The rotation [k, k] after which loadings [F, k] are as large or small as can be (Kaiser 1958)."""
    rotation, before = np.eye(loadings.shape[1]), 0.0
    for _ in range(rounds):
        turned = loadings @ rotation
        left, values, right = np.linalg.svd(loadings.T @ (turned**3 - turned * (turned**2).mean(0)))
        rotation = left @ right
        if values.sum() < before * (1 + 1e-6):
            break
        before = float(values.sum())
    return rotation


def fit_head(
    whole: np.ndarray,
    halves: tuple[np.ndarray, np.ndarray],
    fields: Fields,
    emphasis: dict[int, float],
    width: int,
    seed: int,
) -> HeadFit:
    """Fit on features of whole histories [n, F] and of both halves of the long enough ones [m, F].

    `emphasis` multiplies the weight of some groups of features, after all were balanced.
    """
    mean, scale = standardisation(whole)
    groups, pooled, level = fields.groups, fields.groups != BODY, fields.groups == fields.level
    weight = reliability(*halves) if len(halves[0]) >= FEWEST_HALVES else np.ones(len(groups), np.float32)
    weight[level] = 1  # how much is counted, not sampled
    weighed = np.clip((whole - mean) / scale, -4, 4) * weight
    trusted = trust(weighed[:, pooled], weight[pooled], groups[pooled], fields.own[pooled], seed)
    balanced = balance(weighed, groups)
    balanced[pooled] *= np.where(level[pooled], 1, trusted)
    for group, factor in emphasis.items():
        balanced[groups == group] *= factor
    weighed *= balanced
    parts = Parts.of(width)
    directions, values = principal(weighed, parts.behaviour)
    turn, _ = np.linalg.qr(np.random.default_rng([seed, 7]).standard_normal((parts.behaviour, parts.behaviour)))
    projection = [
        directions @ turn[: directions.shape[1]],
        level_projection(weighed * level, parts.level),
        selection(weighed * (pooled & ~level), parts.selected),
        np.zeros((len(weight), parts.forecasts)),
    ]
    explained = float(values[: parts.behaviour].sum() / max(values.sum(), 1e-12))
    return HeadFit(mean, scale, weight * balanced, np.concatenate(projection, axis=1).astype(np.float32), explained)


def level_projection(weighed: np.ndarray, count: int) -> np.ndarray:
    """Projection [F, count] of weighed features [n, F], all 0 but the level's, on the dimensions that hold it alone."""
    directions, values = principal(weighed, count)
    kept = int((values[:count] > 1e-9 * max(values[0], 1e-12)).sum())
    loadings = directions[:, :kept] * np.sqrt(np.maximum(values[:kept], 0))
    length = np.sqrt(max(values[:kept].sum(), 1e-12) / len(weighed))
    out = np.zeros((len(directions), count))
    out[:, :kept] = directions[:, :kept] @ varimax(loadings) * (LEVEL_LENGTH / length)
    return out


def selection(weighed: np.ndarray, count: int) -> np.ndarray:
    """Projection [F, count] on single features of weighed ones [n, F], by pivoted QR; 0 where there are too few."""
    centred = (weighed - weighed.mean(0)).astype(np.float64)
    triangle, chosen = qr(centred, mode="r", pivoting=True)
    new = np.abs(np.diag(triangle))
    chosen = chosen[: len(new)][new > 1e-6 * max(new[0], 1e-12)][:count]
    out = np.zeros((weighed.shape[1], count))
    length = np.sqrt(max((centred[:, chosen] ** 2).sum() / len(weighed), 1e-12))
    out[chosen, np.arange(len(chosen))] = ASIDE / length
    return out
