"""Probes of a frozen vector beside those of the yardstick: what comes next, few labels, short histories.

The learners are the yardstick's: LightGBM, and a linear one on standardised dimensions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from bench.vectors_of import read_vectors
from eventlog.sequences import EventLog
from train.artifact import Model
from train.encode import length_buckets, states

TREES = {"learning_rate": 0.05, "num_leaves": 15, "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.3}
QUIET = {"reg_lambda": 5, "n_jobs": 1, "random_state": 0, "verbose": -1}
FOLDS, REPEATS = 5, 3
LABELLED = 100
DRAWS = 20
SHORT = ((1, 1), (2, 3), (4, 6), (7, 10))
"""Buckets of histories by their number of events."""
Floats = npt.NDArray[np.float32]
Row = dict[str, Any]


def future(file: Path, targets: Mapping[str, pl.DataFrame]) -> list[Row]:
    """R² of what is spent and done, accuracy of the category: LightGBM and linear, the same folds for every file."""
    rows = []
    for task, frame in targets.items():
        x, y = read_vectors(file, frame["customer_id"]), frame["y"].to_numpy()
        kinds = task == "category"
        scores = []
        for learner in (_trees(kinds), _linear(kinds)):
            found = []
            for seed in range(REPEATS if not kinds else 1):
                folds = (StratifiedKFold if kinds else KFold)(FOLDS, shuffle=True, random_state=seed)
                guess = np.zeros(len(y))
                for known, new in folds.split(x, y if kinds else None):
                    guess[new] = learner.fit(x[known], y[known]).predict(x[new])
                found.append(accuracy_score(y, guess) if kinds else 1 - ((y - guess) ** 2).sum() / _spread(y))
            scores.append(round(float(np.mean(found)), 4))
        rows.append({"task": task, "lightgbm": scores[0], "linear": scores[1]})
    return rows


def few_labels(file: Path, tasks: Mapping[str, pl.DataFrame]) -> list[Row]:
    """AUROC (two classes) or accuracy with LABELLED customers known, all others asked; means over DRAWS draws."""
    rows = []
    for task, frame in tasks.items():
        x, y = read_vectors(file, frame["customer_id"]), frame["y"].to_numpy().astype(int)
        rng = np.random.default_rng(0)
        found = []
        for _ in range(DRAWS):
            known = _drawn(rng, y)
            new = np.setdiff1d(np.arange(len(y)), known)
            found.append([_score(learner, x, y, known, new) for learner in (_trees(True, least=5), _linear(True))])
        trees, linear = np.mean(found, axis=0)
        rows.append({"task": task, "lightgbm": round(float(trees), 4), "logistic": round(float(linear), 4)})
    return rows


def short_histories(made: tuple[Model, EventLog], tasks: Mapping[str, pl.DataFrame]) -> list[Row]:
    """What vectors of everybody's last few events alone know, by bucket; learnt and asked on such vectors.

    Raises ValueError where one is not a finite vector of length 1.
    """
    model, log = made
    rng = np.random.default_rng(0)
    everyone, end = np.arange(log.n_customers), log.offsets[1:]
    rows = []
    for least, most in SHORT:
        lengths = np.minimum(rng.integers(least, most + 1, len(end)), end - log.offsets[:-1])
        vectors = np.zeros((len(end), model.width), np.float32)
        for part in length_buckets(lengths):
            state = states(model.encoder, log, everyone[part], (end - lengths)[part], end[part])
            vectors[part] = model.encoder.vectors(state)
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4):
            raise ValueError(f"histories of {least} to {most} events: a vector is not finite and of length 1")
        at = {customer: row for row, customer in enumerate(log.customers.to_list())}
        for task, frame in tasks.items():
            x = vectors[[at[customer] for customer in frame["customer_id"].to_list()]]
            y = frame["y"].to_numpy().astype(int)
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
            found = [_score(_linear(True), x, y, known, new) for known, new in folds.split(x, y)]
            rows.append({"task": f"{task}, {least} to {most} events", "logistic": round(float(np.mean(found)), 4)})
    return rows


def _trees(kinds: bool, least: int = 20) -> Any:
    return (LGBMClassifier if kinds else LGBMRegressor)(n_estimators=120, min_child_samples=least, **TREES, **QUIET)


def _linear(kinds: bool) -> Any:
    if kinds:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300))
    # a column that hardly varies among the known may be hundreds of deviations off among the new
    return make_pipeline(
        StandardScaler(), FunctionTransformer(np.clip, kw_args={"a_min": -5, "a_max": 5}), Ridge(100.0)
    )


def _score(learner: Any, x: Floats, y: npt.NDArray[np.int64], known: Any, new: Any) -> float:
    learner.fit(x[known], y[known])
    if y.max() > 1:
        return float(accuracy_score(y[new], learner.predict(x[new])))
    return float(roc_auc_score(y[new], learner.predict_proba(x[new])[:, 1]))


def _drawn(rng: np.random.Generator, y: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """LABELLED positions, at least two of every class."""
    sure = np.concatenate([rng.choice(np.flatnonzero(y == kind), 2, replace=False) for kind in np.unique(y)])
    rest = rng.choice(np.setdiff1d(np.arange(len(y)), sure), LABELLED - len(sure), replace=False)
    return np.concatenate([sure, rest])


def _spread(y: npt.NDArray[np.float64]) -> float:
    return float(((y - y.mean()) ** 2).sum())
