"""What to expect of an audience before anything is sent: recall and lift at its size, each with an interval.

Recall is the share of customers like the seeds, not yet known, that the audience finds; held-out seeds stand for
them. Choosing the best of several scorers by the same seeds that judge it flatters; the choice is therefore repeated on
bootstrap samples of the seeds and judged on the seeds left out of each, and the difference is taken off
(Tsamardinos, Greasidou, Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", Machine Learning 107, 2018).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import beta

from index.config import AudienceConfig, ScorerName
from index.contest import Contest, Doubles, choose

NULL_Z = 2.06
"""Standard errors above one half that the AUROC must reach for the seeds to have something in common (2 %)."""
NULL_SPREAD = 1.4
"""Standard error of the AUROC of random seeds, in units of that of independent ranks, 1 / sqrt(12 seeds): held-out
seeds of one fold are ranked by one fit, so that they err together (measured: docs/research-log.md)."""
FAINT = 0.54
"""AUROC below which seeds have next to nothing in common, however sure it is that it is above one half: from a thousand
random seeds chance alone gives .53."""
WEAKER = 0.632
"""A bootstrap sample holds this share of the seeds, so that choosing by it flatters more than choosing by all."""
DESIGN = (1.8, 10.0)
"""How much more the truth varies than independent held-out seeds would, 1.8 + 10 / seeds: the folds share their fits,
the fewer the seeds the more, and hidden customers are finitely many. Set so that intervals hold in simulation."""
SUREST = 1000.0
"""However many the seeds, nothing is promised more precisely than this many independent ones would allow: the folds'
fits know fewer seeds than the final one, and find some hundredth less. Set as the above."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that holds the true one with the configured probability."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScorerResult:
    """How one scorer did on held-out seeds."""

    name: ScorerName
    auroc: float
    recall: float
    """Share of held-out seeds that an audience of the requested size finds."""
    used: bool
    """Whether it is part of the final score."""


@dataclass(frozen=True)
class CurvePoint:
    """What an audience of `size` would be."""

    size: int
    recall: Estimate
    lift: Estimate
    similarity: float = 0.0
    """Mean cosine similarity of the members to the seeds' centroid."""


@dataclass(frozen=True)
class Expectation:
    """What the contest says of the chosen blend."""

    chosen: tuple[int, ...]
    scorers: tuple[ScorerResult, ...]
    auroc: Estimate
    common: bool
    """Whether the seeds have anything in common that can be seen."""
    outranked: Doubles
    _shares: Doubles
    _optimism: Doubles
    _tail: float

    def recall(self, share: float | Doubles) -> Estimate:
        """Expected recall of an audience that reaches this share of who may be reached.

        Where it reaches further in some groups, `share` is that of each seed's group, [seeds].
        """
        m = len(self.outranked)
        flattery = float(np.mean(np.interp(share, self._shares, self._optimism)))
        value = min(max(float(np.mean(self.outranked <= share)) - flattery, 0.0), 1.0)
        if np.min(share) >= 1.0:
            return Estimate(1.0, 1.0, 1.0)
        # Jeffreys' interval: bootstrap quantiles of a proportion, but honest at 0 and 1 too
        seen = 1.0 / ((DESIGN[0] + DESIGN[1] / m) / m + 1.0 / SUREST)
        low, high = beta.ppf([self._tail, 1 - self._tail], seen * value + 0.5, seen * (1 - value) + 0.5)
        return Estimate(value, min(float(low), value), max(float(high), value))


def expect(contest: Contest, share: float, config: AudienceConfig, seed: int) -> Expectation:
    """Choose the blend and work out what to expect of it around the requested share of the eligible customers."""
    m = contest.outranked.shape[1]
    everyone = np.ones((1, m))
    chosen = choose(contest.outranked, share, everyone)[0]
    outranked = contest.blend(chosen)
    weights = np.random.default_rng([seed, 3]).multinomial(m, np.full(m, 1.0 / m), size=config.bootstrap)
    shares = np.unique(np.clip(np.r_[share * np.geomspace(1 / 64, 64, 25), 0.0, 1.0], 0.0, 1.0))
    optimism, auroc_optimism = _optimism(contest, share, shares, weights.astype(np.float64))
    tail = (1.0 - config.confidence) / 2.0
    aurocs = weights @ (1.0 - outranked) / m - auroc_optimism
    value = float(np.mean(1.0 - outranked)) - auroc_optimism
    spread = max(float(aurocs.std()), np.sqrt(1 / (12 * m)) if value < 0.6 else 0.0)
    reach = float(ndtri(1 - tail)) * spread
    auroc = Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0))
    # ranks of random seeds are uniform whatever the scorer
    chance = NULL_Z * NULL_SPREAD / np.sqrt(12 * m)
    common = auroc.low > 0.5 and value > max(0.5 + chance, FAINT)
    results = tuple(
        ScorerResult(name, float(np.mean(1 - row)), float(np.mean(row <= share)), at in chosen)
        for at, (name, row) in enumerate(zip(contest.names, contest.outranked, strict=True))
    )
    return Expectation(chosen, results, auroc, bool(common), outranked, shares, optimism, tail)


def _optimism(contest: Contest, share: float, shares: Doubles, weights: Doubles) -> tuple[Doubles, float]:
    """How much the choice flatters: recall at each of `shares`, and the AUROC."""
    picks = choose(contest.outranked, share, weights)
    recalls, aurocs = np.zeros(len(shares)), 0.0
    for pick, drawn in zip(picks, weights, strict=True):
        row = contest.blend(pick)
        inside, outside = drawn / drawn.sum(), (drawn == 0) / max((drawn == 0).sum(), 1)
        gap = inside - outside
        recalls += gap @ (row[:, None] <= shares)
        aurocs += float(gap @ (1.0 - row))
    return np.maximum(WEAKER * recalls / len(picks), 0.0), max(WEAKER * aurocs / len(picks), 0.0)


def curve_sizes(asked: tuple[int, ...], eligible: int, least: int, points: int = 12) -> list[int]:
    """Sizes from the least to everybody eligible, evenly on a log scale, those asked for among them."""
    between = np.geomspace(min(least, eligible), eligible, points).round().astype(np.int64)
    return sorted({int(s) for s in between} | {*asked})


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate times a constant."""
    return Estimate(estimate.value * factor, estimate.low * factor, estimate.high * factor)
