"""Lookalike audiences: everybody is scored by likeness to the seeds, and the answer says what to expect of it.

    resolve -> compete (cross-validation on held-out seeds) -> expect -> score everybody -> rank -> explain

Approximate search plays no part: one pass over a million vectors is a tenth of a second.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from configs.errors import InputError
from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour
from index.config import AudienceConfig
from index.contest import compete
from index.eligibility import Context, groups
from index.expect import CurvePoint, Estimate, Expectation, ScorerResult, curve_sizes, scaled
from index.explain import Driver, drivers
from index.inputs import Floats, Inputs
from index.make_up import GroupShare, make_up
from index.pool import Pool, SeedCounts, resolve
from index.reasons import Account, account
from index.request import AudienceRequest, Rows
from index.scorers import prototypes
from index.scoring import falling, percentiles, score_everybody
from index.selection import Selection, capped, hold_out
from index.size import precision, settle

NOTHING_IN_COMMON = (
    "these customers have nothing in common that we can see: expect no more than a random audience would bring"
)
REASONS = 3
"""Reasons for each member, at most."""
SAMPLE = 20_000
"""Customers that scales of behaviours, and everybody's means, are taken from."""


@dataclass(frozen=True)
class AudienceReport:
    """What a marketer needs to know before sending anything."""

    snapshot: str
    """Key of the embeddings that the audience was made from."""
    population: int
    eligible: int
    """Customers who may be members; who may not is counted below, by reason."""
    size: int
    """Customers in the audience, those held out included."""
    held_out: int
    """Members who are kept out of the list."""
    nested: tuple[int, ...]
    """Sizes of the smaller audiences inside it, ascending."""
    seeds: SeedCounts
    seeds_in_audience: int
    kept_by_cap: int
    """Members who are in it since the cap on churn kept them; the expectation counts on none of them."""
    suppressed: int
    suppress_unmatched: int
    outside_segments: int
    outside_attributes: int
    objected: int
    """Customers who objected to marketing profiling: neither scored, nor seeds, nor members."""
    scorers: tuple[ScorerResult, ...]
    """Every scorer that competed, with its cross-validated figures."""
    auroc: Estimate
    """How well held-out seeds rank above everybody else; 0.5 is chance."""
    recall: Estimate
    """Expected share of the customers like the seeds, not yet known, whom the audience finds."""
    lift: Estimate
    """The same, over a random audience of this size."""
    precision: Estimate | None
    """Expected share of the members who are like the seeds; None where the base rate is not known."""
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
    reasons_fidelity: float | None
    """How much of the score the members' reasons account for: R² on customers that they were not fitted to."""
    prototypes: tuple[str, ...]
    """Ids of seeds to look at: those nearest to the middle of each kind of seeds."""
    make_up: tuple[GroupShare, ...]
    """Who the audience is made up of, by attributes that were given for that alone."""


@dataclass(frozen=True, eq=False)
class Audience:
    """An audience and its report."""

    customers: pl.Series
    """Everybody's ids, as in the embeddings."""
    members: Rows
    """int64 [size]: rows of the members by falling score, ties by row; those held out included."""
    held_out: Rows
    """int64: rows of the members held out, ascending."""
    scores: Floats
    """float32 [n]: for everybody, the share of customers who are less like the seeds; NaN for who objected."""
    account: Account | None
    """What the members' reasons are read off."""
    report: AudienceReport

    def member_table(self) -> pl.DataFrame:
        """customer_id, score, rank, reasons of the members who are not held out, best first.

        Where audiences are nested, also the size of the smallest that each is in, as `within`.
        """
        ranks, ids = np.arange(1, len(self.members) + 1), self.customers.gather(self.members).rename("customer_id")
        table = pl.DataFrame([ids, pl.Series("score", self.scores[self.members]), pl.Series("rank", ranks)])
        if self.report.nested:
            sizes = np.array([*self.report.nested, self.report.size])
            table = table.with_columns(within=pl.Series(sizes[np.searchsorted(sizes, ranks)]))
        if self.account is not None:
            why = ["; ".join(r.words for r in reasons) for reasons in self.account.reasons(self.members, REASONS)]
            table = table.with_columns(reasons=pl.Series(why, dtype=pl.String))
        return table.filter(pl.Series(~np.isin(self.members, self.held_out)))

    def held_out_table(self) -> pl.DataFrame:
        """customer_id of the members held out."""
        return self.customers.gather(self.held_out).rename("customer_id").to_frame()

    def score_table(self) -> pl.DataFrame:
        """customer_id, score of everybody who has not objected, in order of rows."""
        table = pl.DataFrame([self.customers.rename("customer_id"), pl.Series("score", self.scores)])
        return table.filter(pl.col("score").is_not_nan())


def build_audience(
    request: AudienceRequest,
    embeddings: Embeddings,
    behaviour: Behaviour | None,
    config: AudienceConfig | None = None,
    context: Context | None = None,
) -> Audience:
    """The audience of `request`, given what is known of the customers besides.

    The same request over the same snapshot and context gives the same audience. Raises InputError where too few seeds
    are known customers, the size is too small or above the eligible, or options contradict each other.
    """
    context = context or Context()
    config = config or AudienceConfig()
    pool = resolve(request, embeddings, config, context)
    rng = np.random.default_rng([request.seed, 0])
    everybody = np.sort(rng.choice(pool.present, min(len(pool.present), SAMPLE), replace=False))
    inputs = Inputs.of(embeddings, behaviour, everybody)
    contest = compete(inputs, pool, config, request.seed)
    size, expectation = settle(request, pool, contest, config)
    chosen = [contest.names[at] for at in expectation.chosen]
    scores, similarity = score_everybody(inputs, pool, config, chosen, request.seed)
    order = pool.present[falling(scores[pool.present])]
    ranked = order[pool.eligible[order]]
    selection = Selection(ranked, pool.is_seed, groups(request, context, embeddings))
    members, kept = selection.members(size), 0
    if context.previous is not None and request.churn_cap is not None:
        members, kept = capped(members, context.previous, selection, request.churn_cap)
    held_out = hold_out(members, request.hold_out, context, np.random.default_rng([request.seed, 5]))
    told_of = (members, pool.seeds)
    apart: list[tuple[Driver, ...]] = [() for _ in told_of]
    if behaviour is not None:
        apart = drivers(behaviour, told_of, everybody, config.drivers, rng)
    shares = percentiles(scores, order)
    told = (
        None
        if behaviour is None
        else account(behaviour, shares, pool.present, np.random.default_rng([request.seed, 6]))
    )
    middle = prototypes(inputs.take(pool.seeds, "embedding"), np.random.default_rng([request.seed, 7]))
    looked_at = tuple(str(customer) for customer in embeddings.customers.gather(pool.seeds[middle]))
    report = _report(embeddings.key, request, size, pool, config, expectation, selection, kept, similarity, apart)
    shown = (
        ()
        if context.make_up is None
        else make_up(context.make_up, embeddings, members, pool.eligible, config.confidence)
    )
    fidelity = None if told is None else told.fidelity
    report = replace(report, reasons_fidelity=fidelity, prototypes=looked_at, make_up=shown, held_out=len(held_out))
    return Audience(embeddings.customers, members, held_out, shares, told, report)


def _report(
    snapshot: str,
    request: AudienceRequest,
    size: int,
    pool: Pool,
    config: AudienceConfig,
    expectation: Expectation,
    selection: Selection,
    kept: int,
    similarity: Floats,
    apart: list[tuple[Driver, ...]],
) -> AudienceReport:
    nested = tuple(sorted(set(request.nested) - {size}))
    if nested and nested[-1] > size:
        raise InputError(f"an audience of {nested[-1]} cannot be nested in one of {size}, which the precision allows")
    curve = _curve((size, *nested), pool, config, expectation, selection, similarity)
    # who is kept by the cap stands in for better ones: no more is promised than an audience without these places
    here = (
        next(point for point in curve if point.size == size)
        if not kept
        else _point(size - kept, pool, expectation, selection, similarity)
    )
    return AudienceReport(
        snapshot=snapshot,
        population=len(pool.eligible),
        eligible=len(selection.ranked),
        size=size,
        held_out=0,
        nested=nested,
        seeds=pool.counts,
        seeds_in_audience=int(pool.is_seed[selection.members(size)].sum()),
        kept_by_cap=kept,
        suppressed=pool.standing.suppressed,
        suppress_unmatched=pool.standing.suppress_unmatched,
        outside_segments=pool.standing.outside_segments,
        outside_attributes=pool.standing.outside_attributes,
        objected=pool.standing.objected,
        scorers=expectation.scorers,
        auroc=expectation.auroc,
        recall=here.recall,
        lift=here.lift,
        precision=precision(here.lift, request.base_rate),
        confidence=config.confidence,
        curve=curve,
        similarity_of_seeds=float(similarity[pool.seeds].mean(dtype=np.float64)),
        similarity_of_everybody=float(similarity[pool.present].mean(dtype=np.float64)),
        warnings=() if expectation.common else (NOTHING_IN_COMMON,),
        audience_drivers=apart[0],
        seed_drivers=apart[1],
        reasons_fidelity=None,
        prototypes=(),
        make_up=(),
    )


def _curve(
    asked: tuple[int, ...],
    pool: Pool,
    config: AudienceConfig,
    expectation: Expectation,
    selection: Selection,
    similarity: Floats,
) -> tuple[CurvePoint, ...]:
    sizes = curve_sizes(asked, len(selection.ranked), config.least_size)
    return tuple(_point(size, pool, expectation, selection, similarity) for size in sizes)


def _point(size: int, pool: Pool, expectation: Expectation, selection: Selection, similarity: Floats) -> CurvePoint:
    members = selection.members(size)
    # seeds in the audience take places from those it is to find
    share = np.count_nonzero(~pool.is_seed[members]) / max(pool.reachable, 1)
    recall = expectation.recall(share if selection.group is None else selection.reach(size, pool.seeds))
    mean = float(similarity[members].mean(dtype=np.float64)) if size else 0.0
    return CurvePoint(size, recall, scaled(recall, 1.0 / share if share > 0 else 0.0), mean)
