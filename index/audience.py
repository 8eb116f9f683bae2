"""Lookalike audiences: everybody is scored by likeness to the seeds, and the answer says what to expect of it.

    resolve -> compete (cross-validation on held-out seeds) -> expect -> score everybody -> rank -> explain

Approximate search plays no part: one pass over a million vectors is a tenth of a second.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour
from index.config import AudienceConfig
from index.contest import compete
from index.expect import CurvePoint, Estimate, Expectation, ScorerResult, curve_sizes, expect, mean_so_far, scaled
from index.explain import Driver, drivers
from index.inputs import Floats, Inputs
from index.request import AudienceRequest, Pool, Rows, SeedCounts, resolve
from index.scoring import percentiles, score_everybody

NOTHING_IN_COMMON = (
    "these customers have nothing in common that we can see: expect no more than a random audience would bring"
)
SAMPLE = 20_000
"""Customers that scales of behaviours, and everybody's means, are taken from."""


@dataclass(frozen=True)
class AudienceReport:
    """What a marketer needs to know before sending anything."""

    snapshot: str
    """Key of the embeddings that the audience was made from."""
    population: int
    eligible: int
    """Customers who may be members: seeds (unless kept) and suppressed ones are not."""
    size: int
    seeds: SeedCounts
    seeds_in_audience: int
    suppressed: int
    suppress_unmatched: int
    scorers: tuple[ScorerResult, ...]
    """Every scorer that competed, with its cross-validated figures."""
    auroc: Estimate
    """How well held-out seeds rank above everybody else; 0.5 is chance."""
    recall: Estimate
    """Expected share of the customers like the seeds, not yet known, whom the audience finds."""
    lift: Estimate
    """The same, over a random audience of this size."""
    confidence: float
    """Probability that an interval is meant to hold the true value."""
    curve: tuple[CurvePoint, ...]
    """Reach versus likeness: what audiences of other sizes would be."""
    similarity_of_seeds: float
    similarity_of_everybody: float
    """Mean cosine similarity to the seeds' centroid: the ends of the curve's scale."""
    warnings: tuple[str, ...]
    audience_drivers: tuple[Driver, ...]
    seed_drivers: tuple[Driver, ...]


@dataclass(frozen=True, eq=False)
class Audience:
    """An audience and its report."""

    customers: pl.Series
    """Everybody's ids, as in the embeddings."""
    members: Rows
    """int64 [size]: rows of the members by falling score, ties by row."""
    scores: Floats
    """float32 [n]: for everybody, the share of customers who are less like the seeds."""
    report: AudienceReport

    def member_table(self) -> pl.DataFrame:
        """customer_id, score, rank of the members, best first."""
        ranks = np.arange(1, len(self.members) + 1)
        ids = self.customers.gather(self.members).rename("customer_id")
        return pl.DataFrame([ids, pl.Series("score", self.scores[self.members]), pl.Series("rank", ranks)])

    def score_table(self) -> pl.DataFrame:
        """customer_id, score of everybody, in order of rows."""
        return pl.DataFrame([self.customers.rename("customer_id"), pl.Series("score", self.scores)])


def build_audience(
    request: AudienceRequest,
    embeddings: Embeddings,
    behaviour: Behaviour | None,
    config: AudienceConfig | None = None,
) -> Audience:
    """The audience of `request`. The same request over the same snapshot gives the same audience.

    Raises InputError where too few seeds are known customers, or the size is too small or above the eligible.
    """
    config = config or AudienceConfig()
    pool = resolve(request, embeddings, config)
    rng = np.random.default_rng([request.seed, 0])
    n = embeddings.n_customers
    everybody = np.sort(rng.choice(n, min(n, SAMPLE), replace=False))
    inputs = Inputs.of(embeddings, behaviour, everybody)
    contest = compete(inputs, pool, config, request.seed)
    expectation = expect(contest, min(1.0, pool.size / max(pool.reachable, 1)), config, request.seed)
    chosen = [contest.names[at] for at in expectation.chosen]
    scores, similarity = score_everybody(inputs, pool, config, chosen, request.seed)
    order = np.argsort(-scores, kind="stable")
    ranked = order[pool.eligible[order]]
    members = ranked[: pool.size]
    apart = [
        () if behaviour is None else drivers(behaviour, group, everybody, config.drivers, rng)
        for group in (members, pool.seeds)
    ]
    report = _report(embeddings.key, pool, config, expectation, ranked, similarity, apart)
    return Audience(embeddings.customers, members, percentiles(scores, order), report)


def _report(
    snapshot: str,
    pool: Pool,
    config: AudienceConfig,
    expectation: Expectation,
    ranked: Rows,
    similarity: Floats,
    apart: list[tuple[Driver, ...]],
) -> AudienceReport:
    curve = _curve(pool, config, expectation, ranked, similarity)
    here = next(point for point in curve if point.size == pool.size)
    return AudienceReport(
        snapshot=snapshot,
        population=len(similarity),
        eligible=len(ranked),
        size=pool.size,
        seeds=pool.counts,
        seeds_in_audience=int(pool.is_seed[ranked[: pool.size]].sum()),
        suppressed=pool.suppressed,
        suppress_unmatched=pool.suppress_unmatched,
        scorers=expectation.scorers,
        auroc=expectation.auroc,
        recall=here.recall,
        lift=here.lift,
        confidence=config.confidence,
        curve=curve,
        similarity_of_seeds=float(similarity[pool.seeds].mean(dtype=np.float64)),
        similarity_of_everybody=float(similarity.mean(dtype=np.float64)),
        warnings=() if expectation.common else (NOTHING_IN_COMMON,),
        audience_drivers=apart[0],
        seed_drivers=apart[1],
    )


def _curve(
    pool: Pool, config: AudienceConfig, expectation: Expectation, ranked: Rows, similarity: Floats
) -> tuple[CurvePoint, ...]:
    sizes = curve_sizes(pool.size, len(ranked), config.least_size)
    seeds = mean_so_far(pool.is_seed[ranked], sizes)
    points = []
    for size, seeded, mean in zip(sizes, seeds, mean_so_far(similarity[ranked], sizes), strict=True):
        # seeds in the audience take places from those it is to find
        share = size * (1.0 - seeded) / max(pool.reachable, 1)
        recall = expectation.recall(share)
        points.append(CurvePoint(size, recall, scaled(recall, 1.0 / share if share > 0 else 0.0), mean))
    return tuple(points)
