"""Growing a rule: a few conditions on features, all of which hold for a segment's members and for few others.

Beam search over conjunctions, as in CN2 (Clark and Niblett 1989) and its use for describing groups (CN2-SD: Lavrač,
Kavšek, Flach, Todorovski 2004). A rule is worth its F1, the harmonic mean of precision and recall. As in CN2, a
condition has to tell members from others more clearly than chance allows (likelihood ratio), here than chance allows
the best of all conditions that were tried (Bonferroni).

f features, m customers, k thresholds of a feature, d directions (0 at most, 1 at least).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

MOST_CONDITIONS = 4
BEAM = 4
TOLERANCE = 0.02
"""A rule may be this much worse in F1 than the best one if it has fewer conditions."""
LEAST_MEMBERS = 5
"""Members that a rule has to fit in the search."""
CHANCE = 0.01
"""How often a rule for customers who have nothing in common may get a condition at all."""

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, order=True)
class Cut:
    """A condition: the feature's value is at least, or at most, one of its thresholds."""

    feature: int
    at_least: bool
    place: int


@dataclass(frozen=True, eq=False)
class Coded:
    """Customers' features as places among readable thresholds."""

    codes: npt.NDArray[np.uint8]
    """[f, m]: 2 i + 1 at the i-th threshold, 2 i below it, 2 i + 2 above it."""
    thresholds: tuple[npt.NDArray[np.float32], ...]
    """Of each feature, ascending."""
    price: Doubles
    """[f, k] what a threshold costs in F1 because it is hard to read; infinite where there is none."""
    weight: Doubles
    """[m] how many customers each stands for."""

    @cached_property
    def everybody(self) -> Doubles:
        """[f, 2 k + 1] weight of everybody at each place of each feature."""
        return _counted(self, np.arange(self.codes.shape[1]))

    def fits(self, cuts: Sequence[Cut]) -> Mask:
        """Which of the m customers meet all the conditions."""
        out = np.ones(self.codes.shape[1], bool)
        for cut in cuts:
            codes, at = self.codes[cut.feature], 2 * cut.place + 1
            out &= codes >= at if cut.at_least else codes <= at
        return out


@dataclass(frozen=True)
class Rule:
    """Conditions and what they are worth on the customers that they were sought on."""

    cuts: tuple[Cut, ...]
    f1: float
    score: float
    """F1 less what its thresholds cost."""


def code(values: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values [m] as places among ascending thresholds [k], at most 127."""
    left = np.searchsorted(thresholds, values, side="left")
    at = thresholds[np.minimum(left, len(thresholds) - 1)] == values
    return np.asarray(2 * left + at, dtype=np.uint8)


def f1_of(members: Mask, fits: Mask, weight: Doubles) -> float:
    """F1 of a rule that fits some customers; all [m]."""
    right = float(weight[members & fits].sum())
    total = float(weight[members].sum() + weight[fits].sum())
    return 2 * right / total if total > 0 else 0.0


def grow(coded: Coded, members: Mask) -> Rule | None:
    """The rule for `members` [m]; None where no condition tells them from the others much better than none does."""
    everybody = Rule((), (start := f1_of(members, np.ones(len(members), bool), coded.weight)), start)
    beam, best = [everybody], [everybody]
    for _ in range(MOST_CONDITIONS):
        found = {rule.cuts: rule for parent in beam for rule in _longer(coded, members, parent)}
        if not found:
            break
        beam = sorted(found.values(), key=lambda rule: (-rule.score, rule.cuts))[:BEAM]
        best.append(beam[0])
    enough = max(rule.score for rule in best) - TOLERANCE
    chosen = next(rule for rule in best if rule.score >= enough)
    return chosen if chosen.cuts else None


def _longer(coded: Coded, members: Mask, parent: Rule) -> list[Rule]:
    """The best rules with one condition more than `parent`, one for each feature and direction at most."""
    rows = np.flatnonzero(coded.fits(parent.cuts))
    mine, weight = members[rows], coded.weight[rows]
    right, wrong = _kept(coded, rows, mine)
    total = float(coded.weight[members].sum())
    f1 = 2 * right / (right + wrong + total)
    own = float(coded.weight[members][0]) if members.any() else 1.0
    others = weight[~mine]
    # a sample of unequal weights says as much as this many customers of equal ones (Kish 1965)
    effective = float(others.sum() / (others**2).sum()) if len(others) else 1.0
    told = _likelihood_ratio(right / own, wrong * effective, float(mine.sum()), float(others.sum()) * effective)
    tried = 2 * sum(len(thresholds) for thresholds in coded.thresholds)
    fair = (told > 2 * math.log(max(tried, 2) / CHANCE)) & (right / own >= LEAST_MEMBERS)
    score = np.where(fair, f1 - coded.price[:, None, :], -np.inf) - (parent.f1 - parent.score)
    for cut in parent.cuts:
        score[cut.feature, int(cut.at_least)] = -np.inf
    place = score.argmax(axis=2)
    top = np.take_along_axis(score, place[:, :, None], axis=2)[:, :, 0]
    out = []
    for flat in np.argsort(-top.ravel(), kind="stable")[:BEAM].tolist():
        feature, direction = divmod(flat, 2)
        if not np.isfinite(top[feature, direction]):
            break
        at = int(place[feature, direction])
        cuts = tuple(sorted((*parent.cuts, Cut(feature, bool(direction), at))))
        out.append(Rule(cuts, float(f1[feature, direction, at]), float(top[feature, direction])))
    return out


def _kept(coded: Coded, rows: Ints, mine: Mask) -> tuple[Doubles, Doubles]:
    """Weight of members and of others among `rows` that each possible condition keeps, [f, d, k] each."""
    own = _counted(coded, rows[mine])
    # of everybody it is known already; what rounding leaves of nothing is less than any weight
    others = _counted(coded, rows[~mine]) if len(rows) < coded.codes.shape[1] else np.maximum(coded.everybody - own, 0)
    last = 2 * coded.price.shape[1]
    right, wrong = (
        np.stack([below[:, 1::2], below[:, -1:] - below[:, :last:2]], axis=1)
        for below in (own.cumsum(axis=1), others.cumsum(axis=1))
    )
    return right, wrong


def _counted(coded: Coded, rows: Ints) -> Doubles:
    """[f, 2 k + 1] weight of the customers `rows` at each place of each feature."""
    weight = coded.weight[rows]
    out = np.empty((len(coded.codes), 2 * coded.price.shape[1] + 1))
    for i, codes in enumerate(coded.codes):
        out[i] = np.bincount(codes[rows], weight, minlength=out.shape[1])
    return out


def _likelihood_ratio(right: Doubles, wrong: Doubles, members: float, others: float) -> Doubles:
    """Likelihood ratio of "meets the condition" with "is a member"; 0 where members meet it less often than others.

    So much or more comes by chance with a probability of about exp(-ratio / 2), however few the customers are.
    """
    kept, total = right + wrong, members + others
    out = np.zeros_like(right)
    for seen, row, column in (
        (right, kept, members),
        (wrong, kept, others),
        (members - right, total - kept, members),
        (others - wrong, total - kept, others),
    ):
        there = seen > 1e-9
        share = np.where(there, seen, 1.0) * total / np.where(there, np.maximum(row * column, 1e-9), total)
        out += np.where(there, 2 * seen * np.log(share), 0.0)
    return np.where(right * others > wrong * members, out, 0.0)
