"""Fits the head in closed form: which features can be trusted, and the directions that hold most of what they say.

A feature is weighed by its reliability: the correlation between the first and the second half of the same
customers' histories, stepped up to the whole history (Spearman 1910, Brown 1910). Noise does not repeat and gets no
weight, whatever its variance; what repeats is kept. A field is divided by its largest singular value, so that none
outweighs the others by the number of its values (multiple factor analysis, Escofier and Pagès 1994), and weighed by
how reliable it is as a whole and by its communality, what the other fields tell of it, since what identifies a
customer need not describe one. Both are judged by the field's own values: crossed with another field, noise repeats.

The weighed features are projected on their principal directions, and these are rotated at random within their span:
similarity does not change by it, and no single dimension holds all the variance. The level (how much a customer does,
and how lately) is in there too; since people who predict spending need it exactly, a few last dimensions hold it
alone, turned so that each stands for few features (varimax, Kaiser 1958).

Shapes: n customers, F features, D vector width, L dimensions of the level.
"""

from dataclasses import dataclass

import numpy as np

from train.encoder import level_width

FEWEST_HALVES = 32
"""With fewer customers of RELIABLE_EVENTS, every feature counts as reliable."""
RELIABLE_EVENTS = 16
"""Customers with fewer events say nothing about reliability: their halves are too short."""
BODY = -1
"""The group of the recurrent body's states; the pools' fields are numbered from 0."""
DIRECTIONS = 8
"""Main directions of a field that stand for it when fields are told from each other."""
RIDGE = 50.0
ENOUGH = 0.2
"""Typical reliability and communality from which on a field counts in full; below them, in proportion."""
FEWEST_FOR_COMMUNALITY = 400
"""With fewer customers, the prediction of one field by others would be noise."""
LEVEL_LENGTH = 0.3
"""Length of the dimensions that hold the level alone, where the others together have 1."""


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
    """float32 [F, D]."""
    explained: float
    """Share of the weighed features' variance that the projection keeps."""


def standardisation(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale float32 [F] of features [n, F]; a constant feature gets a scale that leaves it at zero."""
    mean, scale = whole.mean(0, dtype=np.float64), whole.std(0, dtype=np.float64)
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1e6).astype(np.float32)


def reliability(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman-Brown reliability float32 [F] from features [n, F] of the histories' halves; negative ones are 0.

    Two standard errors are taken off each correlation, so that with few customers chance is no reliability.
    """
    a, b = (np.clip((x - x.mean(0)) / np.maximum(x.std(0), 1e-6), -4, 4) for x in (first, second))
    r = np.clip((a * b).mean(0), 0, 1)
    r = np.maximum(r - 2 * (1 - r**2) / np.sqrt(len(a)), 0)
    stepped: np.ndarray = (2 * r / (1 + r)).astype(np.float32)
    return stepped


def communality(weighed: np.ndarray, groups: np.ndarray, seed: int) -> dict[int, float]:
    """How far each field can be told from the other fields, in [0, 1].

    `weighed` [n, F] are standardised, weighed features and `groups` [F] the field of each. A field's main directions
    are predicted from those of all other fields by ridge regression on half of the customers; the share of variance
    explained in the other half is its communality (Thurstone 1947, here per field). A field that merely identifies a
    customer, a random fingerprint or the nearest branch, has next to none, however reliable it is.
    """
    known = np.random.default_rng([seed, 8]).random(len(weighed)) < 0.5
    names = [int(g) for g in np.unique(groups)]
    parts = {g: _main_directions(weighed[:, groups == g], known) for g in names}
    unit = {g: part / np.maximum(part[known].std(0), 1e-6) for g, part in parts.items()}
    if len(names) == 1:
        return {names[0]: 1.0}
    return {g: _explained(np.concatenate([unit[h] for h in names if h != g], axis=1), parts[g], known) for g in names}


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


def balance(weighed: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Factor float32 [F] that gives each group of the features [n, F] the same largest singular value, √n."""
    factor = np.zeros(len(groups), np.float32)
    for group in np.unique(groups):
        part = weighed[:, groups == group].astype(np.float64)
        largest = np.linalg.eigvalsh(part.T @ part)[-1]
        factor[groups == group] = np.sqrt(len(weighed) / largest) if largest > 1e-9 * len(weighed) else 0.0
    return factor


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


def trust(weighed: np.ndarray, weight: np.ndarray, groups: np.ndarray, own: np.ndarray, seed: int) -> np.ndarray:
    """How far each feature's field is to be trusted, float32 [F] in [0, 1], from weighed features [n, F].

    `weight` [F] are the features' reliabilities, `own` bool [F] says which tell of the field's own values alone.
    """
    told: dict[int, float] = {}
    if len(weighed) >= FEWEST_FOR_COMMUNALITY:
        told = communality(weighed[:, own], groups[own], seed)
    out = np.ones(len(groups), np.float32)
    for group in np.unique(groups):
        mine = weight[own & (groups == group)].astype(np.float64)
        typical = float((mine**2).sum() / max(mine.sum(), 1e-9))  # of the features that count
        out[groups == group] = min(1, typical / ENOUGH) * min(1, told.get(int(group), 1.0) / ENOUGH)
    return out


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
    alone = level_width(width)
    directions, values = principal(weighed, width - alone)
    turn, _ = np.linalg.qr(np.random.default_rng([seed, 7]).standard_normal((width - alone, width - alone)))
    projection = np.concatenate(
        [directions @ turn[: directions.shape[1]], level_projection(weighed * level, alone)], axis=1
    )
    explained = float(values[: width - alone].sum() / max(values.sum(), 1e-12))
    return HeadFit(mean, scale, weight * balanced, projection.astype(np.float32), explained)


def level_projection(weighed: np.ndarray, count: int) -> np.ndarray:
    """Projection [F, count] of weighed features [n, F], all 0 but the level's, on the dimensions that hold it alone."""
    directions, values = principal(weighed, count)
    kept = int((values[:count] > 1e-9 * max(values[0], 1e-12)).sum())
    loadings = directions[:, :kept] * np.sqrt(np.maximum(values[:kept], 0))
    length = np.sqrt(max(values[:kept].sum(), 1e-12) / len(weighed))
    out = np.zeros((len(directions), count))
    out[:, :kept] = directions[:, :kept] @ varimax(loadings) * (LEVEL_LENGTH / length)
    return out
