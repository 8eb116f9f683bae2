"""Scoring everybody with the chosen scorers, in one pass over the vectors."""

from collections.abc import Mapping, Sequence

import numpy as np

from index.blas import one_thread
from index.config import AudienceConfig, ScorerName
from index.contest import NormalScale, entrants, fit_rng
from index.inputs import Floats, Inputs, Rows, View
from index.pool import Pool
from index.scorers import Linear, Others, Scoring
from index.screening import Narrow

FITS = 4
"""Fits that are averaged of each scorer that chance has a part in."""
REPEATED_UP_TO = 200_000
"""Customers up to which that is done: scoring more of them with every fit takes seconds."""
WITHOUT_CHANCE = ("centroid", "logistic")
"""Scorers that are the same however often they are fitted."""


def score_everybody(
    inputs: Inputs, pool: Pool, config: AudienceConfig, chosen: Sequence[ScorerName], seed: int
) -> tuple[Floats, Floats]:
    """Scores [n]: the `chosen` scorers, fitted on all seeds, blended; and cosine similarity [n] to the centroid.

    Customers who objected score -inf, and play no part in the others' scores.
    """
    raw, similarity = score_each(inputs, pool, config, chosen, seed)
    if len(pool.present) == inputs.n:
        return blend([raw[name] for name in chosen]), similarity
    scores = np.full(inputs.n, -np.inf, dtype=np.float32)
    scores[pool.present] = blend([raw[name][pool.present] for name in chosen])
    return scores, similarity


@one_thread()
def score_each(
    inputs: Inputs, pool: Pool, config: AudienceConfig, chosen: Sequence[ScorerName], seed: int
) -> tuple[dict[ScorerName, Floats], Floats]:
    """Scores [n] of each of the `chosen` scorers, each on its own scale; and cosine similarity [n] to the centroid."""
    fitted = np.sort(pool.first_drawn(config.fit_rows))
    field = entrants(config, inputs, len(pool.seeds))
    seeds = {view: inputs.take(pool.seeds, view) for view in {"embedding", *(field[name][1] for name in chosen)}}
    fitted_rows = {view: Others(inputs.take(fitted, view)) for view in {field[name][1] for name in chosen}}
    scorings: dict[View, dict[ScorerName, Scoring]] = {"embedding": {}}
    for name in chosen:
        scorer, view = field[name]
        fits = FITS if inputs.n <= REPEATED_UP_TO and name not in WITHOUT_CHANCE else 1
        scorings.setdefault(view, {})[name] = averaged(
            [scorer.fit(seeds[view], fitted_rows[view], fit_rng(seed, name, number)) for number in range(fits)]
        )
    alike = centroid(seeds["embedding"])
    raw = {name: np.empty(inputs.n, dtype=np.float32) for name in chosen}
    similarity = np.empty(inputs.n, dtype=np.float32)
    for view, of_view in scorings.items():
        kept, narrowed = narrow(of_view)
        for part, rows in inputs.pieces(view, kept if view == "both" else None):
            for name, scoring in (narrowed if view == "both" else of_view).items():
                raw[name][part] = scoring(rows)
            if view == "embedding":
                similarity[part] = alike(rows)
    return raw, similarity


def averaged(scorings: Sequence[Scoring]) -> Scoring:
    """The mean of several fits of one scorer, so that less of who is a member is left to chance."""
    if len(scorings) == 1:
        return scorings[0]
    narrow = [scoring for scoring in scorings if isinstance(scoring, Narrow)]
    if narrow:  # fits of the same seeds screen the same columns
        return Narrow(narrow[0].columns, averaged([scoring.score for scoring in narrow]))
    return lambda rows: np.asarray(np.mean([scoring(rows) for scoring in scorings], axis=0), dtype=np.float32)


def narrow(scorings: Mapping[ScorerName, Scoring]) -> tuple[Rows | None, Mapping[ScorerName, Scoring]]:
    """The columns that scorings look at between them, and the scorings of rows of these alone; None for all columns.

    Logs of hundreds of behaviours of a million customers take longer than the scoring itself.
    """
    screened = {name: scoring for name, scoring in scorings.items() if isinstance(scoring, Narrow)}
    if not screened or len(screened) < len(scorings):
        return None, scorings
    kept = np.unique(np.concatenate([scoring.columns for scoring in screened.values()]))
    return kept, {name: scoring.within(kept) for name, scoring in screened.items()}


def blend(raw: Sequence[Floats]) -> Floats:
    """One score [n] from several: the sum of their normal scores."""
    if len(raw) == 1:
        return raw[0]
    total = np.zeros(len(raw[0]), dtype=np.float64)
    for scores in raw:
        total += NormalScale.of(scores)(scores)
    return total.astype(np.float32)


def centroid(seeds: Floats) -> Scoring:
    """Cosine similarity to the mean of the seeds' vectors."""
    mean = seeds.mean(axis=0)
    return Linear(mean / max(float(np.linalg.norm(mean)), 1e-12))


def falling(scores: Floats) -> Rows:
    """int64 [n]: positions of scores, none of them NaN, from the highest to the lowest, equal ones by position.

    As a stable argsort gives them, in half its time: score and position are sorted as one whole number.
    """
    # floats are in order as whole numbers once those below zero are turned round; 0 - 0.0 and 0 - -0.0 are the same 0.0
    bits = (np.float32(0) - scores).view(np.int32)
    keys = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(scores), dtype=np.int64)
    keys.sort()
    keys &= 0xFFFFFFFF
    return keys


def percentiles(scores: Floats, order: Rows) -> Floats:
    """Scores as the share of customers with a lower one (equal ones count half); `order` sorts them, falling.

    Customers whom `order` leaves out have none: NaN.
    """
    n = len(order)
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    middle = starts + (np.diff(np.r_[starts, n]) - 1) / 2.0
    shares = np.full(len(scores), np.nan, dtype=np.float32)
    shares[order] = np.repeat(1.0 - (middle + 0.5) / n, np.diff(np.r_[starts, n]))
    return shares
