"""How large an audience is to be: a count, a share of who may be in it, or as many as keep to a precision."""

import numpy as np

from configs.errors import InputError
from index.config import AudienceConfig
from index.contest import Contest
from index.expect import Estimate, Expectation, expect, scaled
from index.pool import Pool
from index.request import AudienceRequest

FIRST_SHARE = 0.05
"""Where the search for the size that keeps to a precision begins."""
ROUNDS = 4
"""Times that the scorers are chosen again for the size that was found."""
CANDIDATES = 400
"""Sizes that are tried, evenly on a log scale."""


def settle(request: AudienceRequest, pool: Pool, contest: Contest, config: AudienceConfig) -> tuple[int, Expectation]:
    """The audience's size, and what to expect of the scorers that are best around it.

    Raises InputError where not even the smallest audience keeps to the precision.
    """
    if pool.size is not None:
        return pool.size, expect(contest, min(1.0, pool.size / max(pool.reachable, 1)), config, request.seed)
    share, size = FIRST_SHARE, 0
    for _ in range(ROUNDS):
        expectation = expect(contest, share, config, request.seed)
        found = _largest(request, pool, expectation, config)
        if found == size:
            break
        size, share = found, found / pool.reachable
    return size, expectation


def precision(lift: Estimate, base_rate: float | None) -> Estimate | None:
    """Share of the members who are like the seeds, given everybody's share; None where that is not known."""
    if base_rate is None:
        return None
    at_lift = scaled(lift, base_rate)
    return Estimate(*(min(value, 1.0) for value in (at_lift.value, at_lift.low, at_lift.high)))


def _largest(request: AudienceRequest, pool: Pool, expectation: Expectation, config: AudienceConfig) -> int:
    assert request.precision is not None
    assert request.base_rate is not None
    sizes = np.unique(np.geomspace(config.least_size, pool.reachable, CANDIDATES).round().astype(np.int64))
    expected = [_expected(int(size), request.base_rate, pool, expectation) for size in sizes]
    good = [int(size) for size, value in zip(sizes, expected, strict=True) if value >= request.precision]
    if not good:
        best = int(np.argmax(expected))
        raise InputError(
            f"no audience of {config.least_size} customers or more is expected to have a precision of "
            f"{request.precision:g}: the best is {expected[best]:.2g}, at {sizes[best]} customers (base_rate "
            f"{request.base_rate:g}); ask for less, or for a size"
        )
    return good[-1]


def _expected(size: int, base_rate: float, pool: Pool, expectation: Expectation) -> float:
    share = size / pool.reachable
    return min(base_rate * expectation.recall(share).value / share, 1.0)
