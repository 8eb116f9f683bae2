"""About so many groups of segments, for those who want few: coarser cuts of the one tree, each with a name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.artifact import Segments
from cluster.fit import broad_of
from cluster.hierarchy import groups_of
from cluster.names import names_of, terse_fields
from cluster.profile import Driver, drivers
from configs.errors import InputError
from eventlog.behaviour import Behaviour

DRIVERS_FOR_NAMES = 30
SAMPLED = 50_000
"""Customers whose behaviours are looked at, so that a service answers a million within seconds."""


@dataclass(frozen=True)
class SegmentGroup:
    """Some segments that are alike."""

    id: int
    """The id of the lowest segment in it."""
    name: str
    """The segment's own name where it is alone; so are its drivers."""
    segments: tuple[int, ...]
    """Ids, ascending."""
    size: int
    """Customers in it."""
    share: float
    """Its share of all customers."""
    drivers: tuple[Driver, ...]
    """The behaviours that set it apart, strongest first."""


def about(
    segments: Segments, behaviour: Behaviour, number: int, names: Mapping[int, str], most: int = 8
) -> list[SegmentGroup]:
    """The segments in about `number` groups, the largest first; `names` are those in force.

    Each of fewer groups is a union of some of more groups. There are as many as segments where `number` is larger.
    Raises InputError for less than one.
    """
    if number < 1:
        raise InputError(f"about {number} groups are asked for; at least 1 is possible")
    ids = sorted(profile.id for profile in segments.profiles)
    if not ids:
        return []
    of = groups_of(ids, segments.joins, number)
    order = sorted(set(of.values()))
    position = np.full(ids[-1] + 2, -1, np.int32)
    for segment, group in of.items():
        position[segment] = order.index(group)
    labels = position[segments.labels]
    rows = _some(len(labels))
    seen = Behaviour(behaviour.features, behaviour.matrix[rows])
    told = drivers(seen, labels[rows], len(order), max(most, DRIVERS_FOR_NAMES))
    aside = set(segments.manifest.figures.get("set_aside", ()))
    telling = [[driver for driver in of_one if driver.field not in aside] for of_one in told]
    fresh = names_of(telling, terse_fields(behaviour.features), broad_of(labels, len(order)))
    out = []
    for at, group in enumerate(order):
        inside = tuple(segment for segment in ids if of[segment] == group)
        size = int((labels == at).sum())
        alone = segments.profile(group) if len(inside) == 1 else None
        name, setting_apart = (fresh[at], told[at]) if alone is None else (names[group], alone.drivers)
        out.append(SegmentGroup(group, name, inside, size, size / len(labels), setting_apart[:most]))
    return sorted(out, key=lambda group: (-group.size, group.id))


def _some(n: int) -> npt.NDArray[np.int64]:
    """Ascending rows of all customers, or of a random sample of many."""
    if n <= SAMPLED:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng([SAMPLED, n]).choice(n, SAMPLED, replace=False))
