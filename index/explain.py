"""The behaviours that set a group of customers apart from everybody."""

from dataclasses import dataclass

import numpy as np

from eventlog.behaviour import Behaviour
from index.inputs import Floats, Rows

SAMPLE = 20_000
"""Customers drawn from a larger group; a mean needs no more."""
LEAST_Z = 3.0
"""Standard errors by which a behaviour's mean must differ to be named."""
SMALL = 0.1
"""Differences below this many standard deviations are not named, however sure."""


@dataclass(frozen=True)
class Driver:
    """One behaviour in which the group differs from everybody."""

    feature: str
    words: str
    group_mean: float
    population_mean: float
    lift: float | None
    """Group's mean over everybody's; None where that says nothing (everybody's mean is not positive)."""
    difference: float
    """Difference of the means in standard deviations of the population, outlying values pulled in."""


def drivers(
    behaviour: Behaviour, group: Rows, everybody: Rows, most: int, rng: np.random.Generator
) -> tuple[Driver, ...]:
    """The `most` behaviours that differ most between the `group` and `everybody` (a random draw of customers).

    Values are pulled in to the 1 % to 99 % range of everybody, so that one extreme customer makes no driver.
    """
    if behaviour.matrix.shape[1] == 0 or len(group) == 0:
        return ()
    reference = _rows(behaviour, everybody, rng)
    low, high = np.quantile(reference, [0.01, 0.99], axis=0)
    # a behaviour of fewer than one customer in a hundred would be pulled in to nothing
    rare = high <= low
    low, high = np.where(rare, reference.min(axis=0), low), np.where(rare, reference.max(axis=0), high)
    reference = np.clip(reference, low, high)
    mine = np.clip(_rows(behaviour, group, rng), low, high)
    base, mean = reference.mean(axis=0, dtype=np.float64), mine.mean(axis=0, dtype=np.float64)
    deviation = reference.std(axis=0, dtype=np.float64)
    varying = deviation > 1e-9 * np.maximum(np.abs(base), 1e-9)
    difference = np.where(varying, (mean - base) / np.where(varying, deviation, 1.0), 0.0)
    sure = (np.abs(difference) * np.sqrt(len(mine)) >= LEAST_Z) & (np.abs(difference) >= SMALL)
    order = np.argsort(-np.abs(difference), kind="stable")
    return tuple(
        Driver(
            behaviour.features[at].name,
            behaviour.features[at].words,
            float(mean[at]),
            float(base[at]),
            float(mean[at] / base[at]) if base[at] > 0 and mean[at] >= 0 else None,
            float(difference[at]),
        )
        for at in order
        if sure[at]
    )[:most]


def _rows(behaviour: Behaviour, rows: Rows, rng: np.random.Generator) -> Floats:
    if len(rows) > SAMPLE:
        rows = rng.choice(rows, SAMPLE, replace=False)
    return np.asarray(behaviour.matrix[np.sort(rows)])
