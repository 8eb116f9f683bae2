"""Which segments come back when a part of the customers is laid out and clustered afresh.

A segment's stability is the mean, over subsamples, of its best Jaccard overlap with a cluster found there (Hennig 2007,
"Cluster-wise assessment of cluster stability"). Below .6 it is not published: the nearest cluster around it in the
condensed tree that is stable takes its place, or none.

A new segment is compared with the clusters that are chosen there, one that stands already with all of the tree: where
the same group is there, but told as a part of a larger one or in parts, the level differs and not the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.clusters import Ints, Labels, Tree

FIRM, STABLE = 0.85, 0.75


def word(stability: float) -> str:
    """The word shown beside a stability: firm, stable or tentative."""
    return "firm" if stability >= FIRM else "stable" if stability >= STABLE else "tentative"


@dataclass(frozen=True, eq=False)
class Refit:
    """A clustering of some of the points."""

    rows: Ints
    """int64 [s], ascending rows of the full clustering."""
    labels: Labels
    """int32 [s], -1 for none."""
    tree: Tree
    """Of the s points, from which the labels were chosen."""


def best_jaccard(members: npt.NDArray[np.bool_], labels: Labels) -> float:
    """The best overlap |a ∩ b| / |a ∪ b| of `members` [s] with a cluster of `labels` [s]; 0 where there is none."""
    found = labels >= 0
    if not members.any() or not found.any():
        return 0.0
    sizes = np.bincount(labels[found])
    shared = np.bincount(labels[members & found], minlength=len(sizes))
    return float((shared / (members.sum() + sizes - shared)).max())


def stability_of(members: npt.NDArray[np.bool_], refits: Sequence[Refit]) -> float:
    """Mean best Jaccard of `members` [n] over the refits."""
    return float(np.mean([best_jaccard(members[refit.rows], refit.labels) for refit in refits]))


def still_there(members: npt.NDArray[np.bool_], refits: Sequence[Refit]) -> float:
    """Mean over the refits of the best Jaccard of `members` [n] with a cluster of any level of the tree."""
    return float(np.mean([best_in_tree(members[refit.rows], refit.tree) for refit in refits]))


def best_in_tree(members: npt.NDArray[np.bool_], tree: Tree) -> float:
    """The best overlap of `members` [s] with a cluster of `tree`, chosen or not, the root (everybody) left out."""
    count = len(tree.parents)
    if count < 2 or not members.any():
        return 0.0
    sizes, shared = np.bincount(tree.leaves, minlength=count), np.bincount(tree.leaves[members], minlength=count)
    for cluster in range(count - 1, 0, -1):
        sizes[tree.parents[cluster]] += sizes[cluster]
        shared[tree.parents[cluster]] += shared[cluster]
    return float((shared / (members.sum() + sizes - shared))[1:].max())


def publishable(tree: Tree, refits: Sequence[Refit], least: float) -> list[tuple[int, float]]:
    """The clusters of `tree` to publish, each with its stability, none inside another.

    A chosen cluster below `least` gives way to its nearest ancestor that reaches it and is no less stable than what it
    swallows; where there is none, to the nearest clusters inside it that reach it. Without refits every chosen cluster
    passes with stability 1.
    """
    if not refits:
        return [(cluster, 1.0) for cluster in tree.chosen]
    known = {cluster: stability_of(tree.members(cluster), refits) for cluster in tree.chosen}
    for cluster in sorted(tree.chosen, key=lambda c: (known[c], c)):
        if cluster not in known or known[cluster] >= least:
            continue
        del known[cluster]
        for above in tree.ancestors(cluster):
            inside = tree.within(above)
            swallowed = [c for c in known if inside[c]]
            stability = stability_of(tree.members(above), refits)
            if stability >= max([least, *(known[c] for c in swallowed)]):
                for gone in swallowed:
                    del known[gone]
                known[above] = stability
                break
        else:
            known |= _inside(tree, cluster, refits, least)
    return sorted(known.items())


def _inside(tree: Tree, cluster: int, refits: Sequence[Refit], least: float) -> dict[int, float]:
    """The nearest clusters inside `cluster` whose stability reaches `least`, none inside another."""
    out: dict[int, float] = {}
    for child in np.flatnonzero(tree.parents == cluster).tolist():
        stability = stability_of(tree.members(child), refits)
        out |= {child: stability} if stability >= least else _inside(tree, child, refits, least)
    return out
