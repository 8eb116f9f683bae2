"""Coarse groups of segments and fine parts of them, from the one condensed tree that the segments come from.

A part lies inside its segment and a segment inside its group. Groups are not chosen once: the joins, in the order in
which segments meet as density falls, give any number of groups, each cut inside the coarser one.

s segments, c clustered points.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from cluster.clusters import Labels, Tree
from cluster.stability import Refit, stability_of

Join = tuple[int, int]
"""Two segments whose groups become one."""


def joins_of(tree: Tree, kept: Sequence[int]) -> tuple[Join, ...]:
    """The s - 1 joins of the clusters `kept` of `tree`, by their positions in `kept`; the densest meeting first."""
    first = np.full(len(tree.parents), -1, np.int64)
    for position, cluster in enumerate(kept):
        first[cluster] = position
    out = []
    # children come after their parents, and split at a higher density than these
    meetings: dict[int, list[int]] = {}
    for cluster in range(len(tree.parents) - 1, -1, -1):
        below = sorted({int(first[child]) for child in meetings.pop(cluster, []) if first[child] >= 0})
        if first[cluster] < 0 and below:
            first[cluster] = below[0]
            density = _density(tree, cluster)
            out += [(density, -cluster, below[0], other) for other in below[1:]]
        if cluster:
            meetings.setdefault(int(tree.parents[cluster]), []).append(cluster)
    # a cluster deeper in the tree (a larger number) comes first on a tie
    return tuple((a, b) for _, _, a, b in sorted(out, key=lambda join: (-join[0], join[1], join[2:])))


def _density(tree: Tree, cluster: int) -> float:
    """At what density the children of `cluster` part."""
    return float(tree.births[np.flatnonzero(tree.parents == cluster)].max())


def groups_of(segments: Sequence[int], joins: Sequence[Join], about: int) -> dict[int, int]:
    """The group of each segment, named by its lowest segment, when `joins` are followed until `about` are left."""
    top = {segment: segment for segment in segments}

    def group(segment: int) -> int:
        while top[segment] != segment:
            segment = top[segment]
        return segment

    for a, b in joins[: max(0, len(segments) - about)]:
        low, high = sorted((group(a), group(b)))
        top[high] = low
    return {segment: group(segment) for segment in segments}


def without(joins: Sequence[Join], gone: int, into: int | None = None) -> tuple[Join, ...]:
    """The joins without a segment: what it was joined to takes its place, or the segment `into`."""
    out = []
    for a, b in joins:
        if gone not in (a, b):
            out.append((a, b))
        elif into is None:
            into = b if a == gone else a
        elif into not in (a, b):
            out.append((into, b) if a == gone else (a, into))
    return _needed(out)


def _needed(joins: Sequence[Join]) -> tuple[Join, ...]:
    """The joins that join something that was not joined before."""
    top: dict[int, int] = {}

    def group(segment: int) -> int:
        while top.setdefault(segment, segment) != segment:
            segment = top[segment]
        return segment

    out = []
    for a, b in joins:
        if group(a) != group(b):
            top[group(a)] = group(b)
            out.append((a, b))
    return tuple(out)


def with_new(
    joins: Sequence[Join], new: int, nearest: int, distance: float, apart: Mapping[Join, float]
) -> tuple[Join, ...]:
    """The joins with a new segment, joined to its `nearest` one before all that are further `apart` than `distance`."""
    at = next((i for i, join in enumerate(joins) if apart[join] > distance), len(joins))
    return (*joins[:at], (nearest, new), *joins[at:])


def parts_of(tree: Tree, cluster: int, refits: Collection[Refit], least: float) -> list[tuple[int, float]]:
    """The clusters inside `cluster` that do not split again and come back, each with its stability, the largest first.

    Empty where there are not two.
    """
    ends = tree.ends(cluster)
    if len(ends) < 2 or not refits:
        return []
    known = [(end, stability_of(tree.members(end), list(refits))) for end in ends]
    kept = [(end, stability) for end, stability in known if stability >= least]
    kept.sort(key=lambda part: (-int(tree.members(part[0]).sum()), part[0]))
    return kept if len(kept) > 1 else []


def part_labels(tree: Tree, parts: Sequence[Sequence[tuple[int, float]]]) -> Labels:
    """The part of every clustered point, int32 [c]: numbered from 1 in each segment, 0 for none."""
    out = np.zeros(len(tree.leaves), np.int32)
    for of_one in parts:
        for number, (cluster, _) in enumerate(of_one, start=1):
            out[tree.members(cluster)] = number
    return out
