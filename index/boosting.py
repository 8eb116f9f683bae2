"""Gradient-boosted trees of seeds against everybody else."""

from dataclasses import dataclass

import numpy as np

from index.scorers import Floats, Others, Rows, Scoring


@dataclass(frozen=True)
class Boosting:
    """Gradient-boosted trees (LightGBM) over the inputs in which seeds differ most from everybody else."""

    rounds: int = 80
    inputs: int = 96
    """Inputs that trees may split on, at most: more cost time and win nothing (docs/research-log.md)."""
    against: int = 2000
    """Others fitted against, where seeds are fewer; as many as seeds, where those are more."""

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Shallow, strongly regularised trees: seeds are few."""
        import lightgbm

        columns = apart(seeds, others, self.inputs)
        some = rng.permutation(len(others.rows))[: max(self.against, len(seeds))]
        rows = np.concatenate([seeds[:, columns], others.rows[np.sort(some)][:, columns]])
        y = np.r_[np.ones(len(seeds)), np.zeros(len(some))]
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
            "scale_pos_weight": len(some) / len(seeds) / 4,
            "seed": int(rng.integers(1 << 31)),
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # faster than several on a few thousand rows, and the same bytes everywhere
            "verbosity": -1,
        }
        trees = lightgbm.train(parameters, lightgbm.Dataset(rows, y), num_boost_round=self.rounds)
        return lambda rows: np.asarray(trees.predict(rows[:, columns], raw_score=True), dtype=np.float32)


def apart(seeds: Floats, others: Others, most: int) -> Rows:
    """Inputs, ascending, in which the seeds' mean is furthest from the others', in the others' standard deviations."""
    deviation = np.sqrt(np.diag(others.covariance))
    varying = deviation > 1e-6 * others.spread
    difference = np.abs(seeds.mean(axis=0) - others.mean) / np.where(varying, deviation, np.inf)
    return np.sort(np.argsort(-difference, kind="stable")[:most])
