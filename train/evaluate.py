"""What the frozen embedding knows of labels that the user has, beside hand-made aggregates and both joined.

Every input meets the same folds and the same learner (gradient boosting, LightGBM, Ke et al. 2017), so that inputs are
compared pair by pair. Scores are taken on predictions for customers that the learner has not seen; their 95 % intervals
are bootstrapped over those customers.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

from configs.progress import SILENT, Progress
from train.labels import Label

FOLDS = 5
DRAWS = 300
LENGTHS = (0, 10, 100, 1000, 1 << 62)
"""Edges of history length in events, for the scores by length."""
FEWEST_IN_BUCKET = 50


@dataclass(frozen=True)
class Score:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """One input judged on one label."""

    label: str
    input: str
    metric: str
    """auroc (binary), accuracy (classes) or r2 (number)."""
    customers: int
    score: Score
    by_length: Mapping[str, Score]
    """The same score among customers of a history length, where there are enough of them."""


def evaluate(
    labels: tuple[Label, ...],
    inputs: Mapping[str, np.ndarray],
    lengths: np.ndarray,
    seed: int = 0,
    threads: int = 1,
    progress: Progress = SILENT,
) -> list[Result]:
    """Judge each input [n, *] on each label by cross-validation; `lengths` int64 [n] is events per customer."""
    results = []
    with progress.task("Evaluating", len(labels) * len(inputs) * FOLDS) as advance:
        for label in labels:
            predicted = {
                name: out_of_fold(label, matrix[label.rows], seed, threads, lambda: advance(1))
                for name, matrix in inputs.items()
            }
            results += [_result(label, name, out, lengths[label.rows], seed) for name, out in predicted.items()]
    return results


def out_of_fold(label: Label, x: np.ndarray, seed: int, threads: int, tick: Callable[[], None]) -> np.ndarray:
    """Predictions for every labelled customer by a learner that has not seen them.

    [m] probability of the second class, [m] class codes, or [m] numbers, by the label's kind.
    """
    from lightgbm import LGBMClassifier, LGBMRegressor

    splitter = KFold if label.kind == "number" else StratifiedKFold
    out = np.zeros(len(x))
    settings: dict[str, Any] = {
        "n_estimators": 120,
        "learning_rate": 0.05,
        "num_leaves": 15,
        "subsample": 0.8,
        "subsample_freq": 1,
        "colsample_bytree": 0.3,
        "reg_lambda": 5,
        "n_jobs": threads,
        "random_state": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    for train, test in splitter(FOLDS, shuffle=True, random_state=seed).split(x, label.target):
        model: Any = (LGBMRegressor if label.kind == "number" else LGBMClassifier)(**settings)
        model.fit(x[train], label.target[train])
        out[test] = model.predict_proba(x[test])[:, 1] if label.kind == "binary" else model.predict(x[test])
        tick()
    return out


METRICS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "binary": ("auroc", roc_auc_score),
    "classes": ("accuracy", accuracy_score),
    "number": ("r2", r2_score),
}


def _result(label: Label, name: str, predicted: np.ndarray, lengths: np.ndarray, seed: int) -> Result:
    metric, score = METRICS[label.kind]
    by_length = {}
    for low, high in pairwise(LENGTHS):
        inside = (lengths > low) & (lengths <= high)
        if inside.sum() >= FEWEST_IN_BUCKET and len(np.unique(label.target[inside])) > 1:
            words = f"{low + 1} to {high}" if high < LENGTHS[-1] else f"over {low}"
            by_length[words] = _interval(score, label.target[inside], predicted[inside], seed)
    whole = _interval(score, label.target, predicted, seed)
    return Result(label.name, name, metric, len(predicted), whole, by_length)


def _interval(score: Callable[[np.ndarray, np.ndarray], float], y: np.ndarray, p: np.ndarray, seed: int) -> Score:
    rng = np.random.default_rng([seed, 3])
    draws: list[float] = []
    while len(draws) < DRAWS:
        drawn = rng.integers(0, len(y), len(y))
        if len(np.unique(y[drawn])) > 1:
            draws.append(score(y[drawn], p[drawn]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Score(round(float(score(y, p)), 4), round(float(low), 4), round(float(high), 4))


def to_json(results: list[Result]) -> list[dict[str, Any]]:
    """The results as JSON values."""
    return [asdict(result) for result in results]
