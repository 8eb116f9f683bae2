"""Scoring everybody with the chosen scorers, in one pass over the vectors."""

from collections.abc import Sequence

import numpy as np

from index.config import AudienceConfig, ScorerName
from index.contest import NormalScale, entrants, fit_rng
from index.inputs import Floats, Inputs, Rows, View
from index.request import Pool
from index.scorers import Linear, Others, Scoring


def score_everybody(
    inputs: Inputs, pool: Pool, config: AudienceConfig, chosen: Sequence[ScorerName], seed: int
) -> tuple[Floats, Floats]:
    """Scores [n]: the `chosen` scorers, fitted on all seeds, blended; and cosine similarity [n] to the centroid."""
    rng = np.random.default_rng([seed, 4])
    others = pool.others
    fitted = np.sort(rng.choice(others, min(len(others), config.fit_rows), replace=False))
    field = entrants(config, inputs, len(pool.seeds))
    by_view: dict[View, dict[str, Scoring]] = {"embedding": {"": centroid(inputs.take(pool.seeds, "embedding"))}}
    others_of = {view: Others(inputs.take(fitted, view)) for view in {field[name][1] for name in chosen}}
    for name in chosen:
        scorer, view = field[name]
        scoring = scorer.fit(inputs.take(pool.seeds, view), others_of[view], fit_rng(seed, name))
        by_view.setdefault(view, {})[name] = scoring
    raw = {name: np.empty(inputs.n, dtype=np.float32) for scorings in by_view.values() for name in scorings}
    for view, scorings in by_view.items():
        for part, rows in inputs.pieces(view):
            for label, scoring in scorings.items():
                raw[label][part] = scoring(rows)
    similarity = raw.pop("")
    if len(raw) == 1:
        return raw[chosen[0]], similarity
    blend = np.zeros(inputs.n, dtype=np.float64)
    for name in chosen:
        blend += NormalScale.of(raw[name])(raw[name])
    return blend.astype(np.float32), similarity


def centroid(seeds: Floats) -> Scoring:
    """Cosine similarity to the mean of the seeds' vectors."""
    mean = seeds.mean(axis=0)
    return Linear(mean / max(float(np.linalg.norm(mean)), 1e-12))


def percentiles(scores: Floats, order: Rows) -> Floats:
    """Scores as the share of customers with a lower one (equal ones count half); `order` sorts them, falling."""
    n = len(scores)
    falling = scores[order]
    starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
    middle = starts + (np.diff(np.r_[starts, n]) - 1) / 2.0
    shares = np.empty(n, dtype=np.float32)
    shares[order] = np.repeat(1.0 - (middle + 0.5) / n, np.diff(np.r_[starts, n]))
    return shares
