"""The contest of scorers: each is fitted without one part of the seeds and ranks that part among everybody else.

All that follows is taken from one number per scorer and seed: the share of other customers who outrank the held-out
seed. One minus its mean is the AUROC; the share of seeds for which it is at most q is the recall of an
audience that reaches a share q of the customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from index.blas import one_thread
from index.boosting import Boosting
from index.config import AudienceConfig, ScorerName
from index.inputs import BLOCK, Inputs, View
from index.logistic import Logistic
from index.network import Network
from index.pool import Pool
from index.request import Rows
from index.scorers import Centroid, Floats, Mixture, Others, Prototypes, Ratio, Scorer, Scoring
from index.screening import Screened

Doubles = npt.NDArray[np.float64]

FEW = 150
"""Seeds up to which twice as many folds are made."""
SCARCE = 10
"""Customers who are not seeds, per fold, below which they are not split."""
BLENDED = 5
"""Scorers in a blend, at most."""
BEHIND = 4.0
"""Standard errors of the difference by which a scorer must be behind the best to be left out of the blend: scorers that
seeds can hardly tell apart do better together than any of them alone (docs/research-log.md)."""


def entrants(config: AudienceConfig, inputs: Inputs, seeds: int) -> dict[ScorerName, tuple[Scorer, View]]:
    """The scorers that compete, and what each sees."""
    both: View = "embedding" if inputs.behaviour is None else "both"
    field: dict[ScorerName, tuple[Scorer, View]] = {
        "centroid": (Centroid(), "embedding"),
        "prototypes": (Prototypes(), "embedding"),
        "mixture": (Mixture(), "embedding"),
        # a prior of fixed strength weighs less the more seeds there are
        "logistic": (Logistic(penalty=max(1e-3, 15.0 / seeds)), "embedding"),
        "ratio": (Ratio(), "embedding"),
        "network": (Network(), "embedding"),
        "logistic+behaviour": (Screened(Logistic(penalty=max(2e-3, 50.0 / seeds)), 256, 5000), both),
        "network+behaviour": (Screened(Network(), 128, 5000), both),
        "boosting": (Screened(Boosting(), 96, 2000), both),
    }
    unable = {"logistic+behaviour", "network+behaviour"} if inputs.behaviour is None else set()
    if inputs.n > config.boosting_rows:
        unable.add("boosting")
    return {name: field[name] for name in dict.fromkeys(config.scorers) if name not in unable}


@dataclass
class Contest:
    """Outcome of the cross-validation."""

    names: tuple[ScorerName, ...]
    outranked: Doubles
    """[scorers, seeds]: share of others who outrank the held-out seed."""
    fold: npt.NDArray[np.int64]  # [seeds]
    _of_seeds: Doubles  # [scorers, seeds] scores
    _of_others: list[Floats]  # per fold [scorers, others] scores
    _normal: dict[int, tuple[Doubles, list[Floats]]] = field(default_factory=dict)
    _blends: dict[tuple[int, ...], Doubles] = field(default_factory=dict)

    def blend(self, chosen: Sequence[int]) -> Doubles:
        """As a row of `outranked`, for the sum of normal scores of the chosen scorers."""
        key = tuple(sorted(chosen))
        if len(key) == 1:
            return np.asarray(self.outranked[key[0]])
        if key not in self._blends:
            picked = [self._normal_scores(at) for at in key]
            seeds = np.array([of_seeds for of_seeds, _ in picked]).sum(axis=0)
            result = np.empty(len(seeds))
            for number in range(len(self._of_others)):
                held = self.fold == number
                others = np.array([of_others[number] for _, of_others in picked]).sum(axis=0)
                result[held] = share_above(others, seeds[held])
            self._blends[key] = result
        return self._blends[key]

    def _normal_scores(self, at: int) -> tuple[Doubles, list[Floats]]:
        """Normal scores of the seeds and, per fold, of the others; worked out for scorers that are blended alone."""
        if at not in self._normal:
            of_seeds, of_others = np.empty(len(self.fold)), []
            for number, scores in enumerate(self._of_others):
                scale, held = NormalScale.of(scores[at]), self.fold == number
                of_seeds[held] = scale(self._of_seeds[at, held])
                of_others.append(scale(scores[at]).astype(np.float32))
            self._normal[at] = of_seeds, of_others
        return self._normal[at]


@one_thread()
def compete(inputs: Inputs, pool: Pool, config: AudienceConfig, seed: int) -> Contest:
    """Cross-validate every entrant. Deterministic for a seed; the order in which seeds were given plays no part."""
    rng = np.random.default_rng([seed, 1])
    m = len(pool.seeds)
    # the fewer seeds there are, the more a scorer misses those held out
    folds = config.folds if m > FEW else min(2 * config.folds, m)
    fold = rng.permutation(np.arange(m) % folds)
    splits = split_others(pool, config, folds)
    field = entrants(config, inputs, m - m // folds)
    outranked, of_seeds = np.empty((len(field), m)), np.empty((len(field), m))
    of_others: list[Floats] = []
    seeds_of = {view: inputs.take(pool.seeds, view) for _, view in field.values()}
    views: dict[View, tuple[Others, Floats]] = {}
    for number, split in enumerate(splits):
        held = fold == number
        of_fold = np.empty((len(field), len(split[1])), dtype=np.float32)
        if number and split is not splits[number - 1]:
            views.clear()
        for at, (name, (scorer, view)) in enumerate(field.items()):
            if view not in views:
                views[view] = Others(inputs.take(split[0], view)), inputs.take(split[1], view)
            seeds, (fitted, ranked) = seeds_of[view], views[view]
            score = scorer.fit(seeds[~held], fitted, fit_rng(seed, name))
            of_fold[at], of_seeds[at, held] = in_blocks(score, ranked), score(seeds[held])
            outranked[at, held] = share_above(of_fold[at], of_seeds[at, held])
        of_others.append(of_fold)
    return Contest(tuple(field), outranked, fold, of_seeds, of_others)


def in_blocks(score: Scoring, rows: Floats) -> Floats:
    """Scores of `rows`, some at a time: what scorers need beside them then stays small, and in the cache."""
    return np.concatenate([score(rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)])


def split_others(pool: Pool, config: AudienceConfig, folds: int) -> list[tuple[Rows, Rows]]:
    """For each fold the rows fitted against and the rows ranked, which have none in common.

    Ranked ones may be in the audience, since they are who a hidden positive competes with. Where there are
    plenty, one draw serves all folds; where there are not, the others are cross-fitted like the seeds.
    """
    enough = config.fit_rows + 2 * config.evaluation_rows
    if len(pool.others) >= enough:
        drawn = pool.first_drawn(enough)
        if np.count_nonzero(pool.eligible[drawn[config.fit_rows :]]) < config.evaluation_rows:
            drawn = pool.drawn
        fitted, rest = drawn[: config.fit_rows], drawn[config.fit_rows :]
        ranked = _eligible(rest, pool)[: config.evaluation_rows]
        return [(np.sort(fitted), np.sort(ranked))] * folds
    others = pool.drawn
    if len(others) < SCARCE * folds:  # next to everybody is a seed: too few to be split
        return [(np.sort(others), np.sort(_eligible(others, pool)))] * folds
    part = np.arange(len(others)) * folds // len(others)
    return [
        (
            np.sort(others[part != number][: config.fit_rows]),
            np.sort(_eligible(others[part == number], pool)[: config.evaluation_rows]),
        )
        for number in range(folds)
    ]


def _eligible(rows: Rows, pool: Pool) -> Rows:
    allowed = rows[pool.eligible[rows]]
    # with next to nobody eligible, ranks among all others are the better guess
    return allowed if len(allowed) >= SCARCE else rows


def fit_rng(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """The generator of a scorer's fit `number`: its own, so that leaving one scorer out changes no other."""
    return np.random.default_rng([seed, 2, *name.encode(), *([number] if number else [])])


def share_above(others: npt.NDArray[np.floating], mine: npt.NDArray[np.floating]) -> Doubles:
    """Share of `others` above each of `mine`, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, mine, side="left") + np.searchsorted(ordered, mine, side="right")
    return np.asarray(1.0 - 0.5 * below / len(ordered), dtype=np.float64)


@dataclass(frozen=True)
class NormalScale:
    """Maps scores monotonously to the normal quantiles of their ranks, so that scorers can be added up.

    Exact at knots, which are dense at both ends, and linear in between; equal scores stay equal.
    """

    scores: Doubles
    normal: Doubles

    @classmethod
    def of(cls, scores: Floats, knots: int = 400) -> "NormalScale":
        """The scale on which `scores` themselves are standard normal."""
        n = len(scores)
        ordered = np.sort(scores)
        tail = np.unique(np.geomspace(1, n, knots).astype(np.int64)) - 1
        ranks = np.unique(np.r_[tail, n - 1 - tail, np.linspace(0, n - 1, knots).astype(np.int64)])
        values, first = np.unique(ordered[ranks], return_index=True)
        return cls(values.astype(np.float64), ndtri((ranks[first] + 0.5) / n))

    def __call__(self, scores: Floats) -> Doubles:
        return np.interp(scores, self.scores, self.normal)


def merit(outranked: Doubles, share: float, weights: Doubles) -> Doubles:
    """How good scorers are: AUROC + recall at the audience's share; [s, m] and seeds' weights [b, m] -> [b, s]."""
    total = weights.sum(axis=1, keepdims=True)
    value = 1.0 - outranked + (outranked <= share)
    return np.asarray(weights @ value.T / total)


def choose(outranked: Doubles, share: float, weights: Doubles) -> list[tuple[int, ...]]:
    """For each row of weights [b, m]: the best scorer and up to four not clearly worse."""
    value = 1.0 - outranked + (outranked <= share)
    merits = merit(outranked, share, weights)
    spread = (value[:, None, :] - value[None, :, :]).std(axis=2) / np.sqrt(value.shape[1])  # [s, s]
    order = np.argsort(-merits, axis=1, kind="stable")[:, :BLENDED]
    picks = []
    for row, ranked in zip(merits, order, strict=True):
        best = ranked[0]
        picks.append(tuple(sorted(int(s) for s in ranked if row[best] - row[s] <= BEHIND * spread[best, s])))
    return picks
