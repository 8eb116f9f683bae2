"""Who an audience is made up of, by attributes that are given for this audit alone and that nothing else here sees.

For every group of an attribute: its selection rate (members among those who may be members), over the rate of the group
that is selected most. A ratio below four fifths is flagged, as in the Uniform Guidelines on Employee Selection
Procedures (29 CFR 1607.4 D, 1978); the interval is Katz's for a ratio of two proportions (Biometrics 34, 1978).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import ndtri

from configs.errors import InputError
from embed.artifact import Embeddings
from index.attributes import MOST_GROUPS, values_of
from index.expect import Estimate
from index.request import Mask, Rows

FOUR_FIFTHS = 0.8
FEWEST = 30
"""Customers in a group, below which no ratio is told."""
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class GroupShare:
    """One group of customers in the population and in the audience."""

    attribute: str
    group: str
    eligible: int
    """Customers of the group who may be members."""
    members: int
    rate: float
    """Members over eligible."""
    ratio: Estimate | None
    """Rate over that of the group selected most; None for groups too small to tell."""
    flagged: bool
    """Whether the ratio is below four fifths."""


def make_up(
    attributes: pl.DataFrame, embeddings: Embeddings, members: Rows, eligible: Mask, confidence: float
) -> tuple[GroupShare, ...]:
    """The groups of every attribute: `attributes` has customer_id and one column for each, one row a customer.

    Customers without a row, or without a value, are a group of their own. Raises InputError where a customer has two
    rows, no customer is known, or an attribute has too many groups.
    """
    selected = np.zeros(len(eligible), dtype=bool)
    selected[members] = True
    found = []
    for name in attributes.columns:
        if name == "customer_id":
            continue
        groups = values_of(name, attributes, embeddings, "make_up")
        groups[groups == None] = UNKNOWN  # noqa: E711  element by element
        found += _groups(name, groups, selected, eligible, confidence)
    return tuple(found)


def _groups(name: str, groups: np.ndarray, selected: Mask, eligible: Mask, confidence: float) -> list[GroupShare]:
    names, of = np.unique(groups[eligible].astype(str), return_inverse=True)
    if len(names) > MOST_GROUPS:
        raise InputError(f"make_up: attribute {name} has {len(names)} groups; at most {MOST_GROUPS} are told apart")
    count = np.bincount(of, minlength=len(names))
    taken = np.bincount(of[selected[eligible]], minlength=len(names))
    rates = taken / np.maximum(count, 1)
    large = (count >= FEWEST) & (names != UNKNOWN)
    best = int(np.argmax(np.where(large, rates, -1.0)))
    shares = []
    for at, group in enumerate(names):
        ratio = None
        if large[at] and large[best] and taken[best]:
            same = at == best
            ratio = (
                Estimate(1.0, 1.0, 1.0) if same else _ratio(taken[at], count[at], taken[best], count[best], confidence)
            )
        flagged = ratio is not None and ratio.value < FOUR_FIFTHS
        shares.append(GroupShare(name, str(group), int(count[at]), int(taken[at]), float(rates[at]), ratio, flagged))
    return shares


def _ratio(taken: int, count: int, most_taken: int, most_count: int, confidence: float) -> Estimate:
    value = (taken / count) / (most_taken / most_count)
    # half a member where there is none: the logarithm of nothing has no interval
    some = max(float(taken), 0.5)
    spread = np.sqrt(1 / some - 1 / count + 1 / most_taken - 1 / most_count)
    reach = float(np.exp(ndtri(0.5 + confidence / 2) * spread))
    middle = (some / count) / (most_taken / most_count)
    return Estimate(float(value), float(middle / reach) if taken else 0.0, float(middle * reach))
