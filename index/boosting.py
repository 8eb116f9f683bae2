"""Gradient-boosted trees of seeds against everybody else."""

from dataclasses import dataclass

import numpy as np

from index.scorers import Floats, Others, Scoring


@dataclass(frozen=True)
class Boosting:
    """Gradient-boosted trees (LightGBM, Ke et al., NeurIPS 2017)."""

    rounds: int = 80

    def fit(self, seeds: Floats, others: Others, rng: np.random.Generator) -> Scoring:
        """Shallow, strongly regularised trees: seeds are few."""
        import lightgbm

        rows = np.concatenate([seeds, others.rows])
        y = np.r_[np.ones(len(seeds)), np.zeros(len(others.rows))]
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
            "scale_pos_weight": len(others.rows) / len(seeds) / 4,
            "seed": int(rng.integers(1 << 31)),
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # faster than several on a few thousand rows, and the same bytes everywhere
            "verbosity": -1,
        }
        trees = lightgbm.train(parameters, lightgbm.Dataset(rows, y), num_boost_round=self.rounds)
        return lambda rows: np.asarray(trees.predict(rows, raw_score=True), dtype=np.float32)
