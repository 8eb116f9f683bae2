"""How far features and fields can be trusted, told without any label, and how fields are balanced.

A feature is weighed by its reliability: the correlation between the first and the second half of the same
customers' histories, stepped up to the whole history (Spearman 1910, Brown 1910). Noise does not repeat and gets no
weight, whatever its variance; what repeats is kept. A field is divided by its largest singular value, so that none
outweighs the others by the number of its values (multiple factor analysis, Escofier and Pagès 1994), and weighed by
how reliable it is as a whole and by its communality, what the other fields tell of it, since what identifies a
customer need not describe one. Both are judged by the field's own values: crossed with another field, noise repeats.

Shapes: n customers, F features.
"""

import numpy as np

DIRECTIONS = 8
"""Main directions of a field that stand for it when fields are told from each other."""
RIDGE = 50.0
ENOUGH = 0.2
"""Typical reliability and communality from which on a field counts in full; below them, in proportion."""
FEWEST_FOR_COMMUNALITY = 400
"""With fewer customers, the prediction of one field by others would be noise."""


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
