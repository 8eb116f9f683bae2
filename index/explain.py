"""The behaviours that set a group of customers apart from everybody."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eventlog.behaviour import Behaviour
from index.inputs import Floats, Rows

Doubles = npt.NDArray[np.float64]

SAMPLE = 20_000
"""Customers drawn from a larger group; a mean needs no more."""
LEAST_Z = 3.0
"""Standard errors by which a behaviour's mean must differ to be named."""
AT_ONCE = 64
"""Behaviours looked at together: in double precision, those of 20,000 customers take memory."""
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


@dataclass(frozen=True, eq=False)
class Reference:
    """Everybody's behaviours, which several groups are compared with."""

    low: Doubles  # [f], as are all
    high: Doubles
    mean: Doubles
    deviation: Doubles

    @classmethod
    def of(cls, behaviour: Behaviour, everybody: Rows, rng: np.random.Generator) -> "Reference":
        """Of `everybody`, a random draw of customers."""
        values = _rows(behaviour, everybody, rng)
        found = [_range(values[:, part]) for part in _parts(values.shape[1])]
        return cls(*(np.concatenate(each) for each in zip(*found, strict=True)))


def _parts(width: int) -> list[slice]:
    return [slice(start, start + AT_ONCE) for start in range(0, width, AT_ONCE)]


def _range(values: Floats) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """The range that values [r, f] are pulled in to, and mean and deviation of those in it, each [f]."""
    columns = np.ascontiguousarray(values.T)  # sums along what lies together take half the time
    low, high = np.quantile(columns, [0.01, 0.99], axis=1)
    # a behaviour of fewer than one customer in a hundred would be pulled in to nothing
    rare = high <= low
    low, high = np.where(rare, columns.min(axis=1), low), np.where(rare, columns.max(axis=1), high)
    pulled_in = np.clip(columns, low[:, None], high[:, None])
    return low, high, pulled_in.mean(axis=1, dtype=np.float64), pulled_in.std(axis=1, dtype=np.float64)


def drivers(
    behaviour: Behaviour, groups: Sequence[Rows], everybody: Rows, most: int, rng: np.random.Generator
) -> list[tuple[Driver, ...]]:
    """For each of the `groups`: the `most` behaviours that differ most between it and `everybody` (a random draw).

    Values are pulled in to the 1 % to 99 % range of everybody, so that one extreme customer makes no driver.
    """
    if behaviour.matrix.shape[1] == 0:
        return [() for _ in groups]
    reference = Reference.of(behaviour, everybody, rng)
    return [_drivers(behaviour, group, reference, most, rng) if len(group) else () for group in groups]


def _drivers(
    behaviour: Behaviour, group: Rows, reference: Reference, most: int, rng: np.random.Generator
) -> tuple[Driver, ...]:
    mine, base, deviation = _rows(behaviour, group, rng), reference.mean, reference.deviation
    mean = np.concatenate(
        [
            np.clip(mine[:, part], reference.low[part], reference.high[part]).mean(axis=0, dtype=np.float64)
            for part in _parts(len(base))
        ]
    )
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
