"""HDBSCAN (Campello, Moulavi, Sander 2013; McInnes, Healy 2017) and its condensed tree as plain arrays."""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.neighbours import Floats

Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Tree:
    """The condensed tree of n points: clusters that split into smaller ones as density rises.

    Clusters are numbered 0..m-1; cluster 0 is the root, which holds everybody; parents come before their children.
    """

    parents: Ints
    """int64 [m], the parent of each cluster; -1 for the root."""
    leaves: Ints
    """int64 [n], the smallest cluster that each point was in."""
    births: npt.NDArray[np.float64]
    """float64 [m], the density (1 / distance) at which each cluster parted from its parent; 0 of the root."""
    chosen: tuple[int, ...]
    """The clusters picked by excess of mass."""

    def within(self, cluster: int) -> npt.NDArray[np.bool_]:
        """Which clusters are `cluster` or inside it, bool [m]."""
        inside = np.zeros(len(self.parents), bool)
        inside[cluster] = True
        for child in range(cluster + 1, len(self.parents)):
            inside[child] = inside[self.parents[child]]
        return inside

    def members(self, cluster: int) -> npt.NDArray[np.bool_]:
        """Which points are in `cluster`, bool [n]."""
        return self.within(cluster)[self.leaves]

    def ancestors(self, cluster: int) -> list[int]:
        """Parents of `cluster`, nearest first, without the root."""
        line = []
        above = int(self.parents[cluster])
        while above > 0:
            line.append(above)
            above = int(self.parents[above])
        return line

    def ends(self, cluster: int) -> list[int]:
        """The clusters inside `cluster` that do not split again; itself where it does not."""
        inside = self.within(cluster)
        splits = np.zeros(len(self.parents), bool)
        splits[self.parents[1:]] = True
        return np.flatnonzero(inside & ~splits).tolist()

    def labels(self, clusters: tuple[int, ...]) -> Labels:
        """The position in `clusters` (none inside another) of each point's cluster, -1 for none; int32 [n]."""
        out = np.full(len(self.leaves), -1, np.int32)
        for number, cluster in enumerate(clusters):
            out[self.members(cluster)] = number
        return out


def quiet_trees() -> None:
    """Ignore what scikit-learn says of how hdbscan calls it."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")


def tree_of(positions: Floats, smallest: int) -> Tree:
    """Cluster positions [n, dimensions]; a cluster has at least `smallest` points (2 to n)."""
    import hdbscan

    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        quiet_trees()
        model = hdbscan.HDBSCAN(min_cluster_size=smallest, core_dist_n_jobs=1)
        model.fit(positions.astype(np.float64))
        condensed = model.condensed_tree_
        chosen = condensed._select_clusters() if model.labels_.max() >= 0 else []
        raw = condensed._raw_tree
    n = len(positions)
    count = int(max(raw["parent"].max(), raw["child"].max())) - n + 1 if len(raw) else 1
    parents, leaves = np.full(count, -1, np.int64), np.zeros(n, np.int64)
    births, is_cluster = np.zeros(count), raw["child"] >= n
    births[raw["child"][is_cluster] - n] = raw["lambda_val"][is_cluster]
    parents[raw["child"][is_cluster] - n] = raw["parent"][is_cluster] - n
    leaves[raw["child"][~is_cluster]] = raw["parent"][~is_cluster] - n
    return Tree(parents, leaves, births, tuple(sorted(int(c) - n for c in chosen)))
