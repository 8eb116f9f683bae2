"""Ways to keep segments from night to night, kinfolk's and others, for `bench.segments_bank`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from bench import clusterers
from bench.bank_nights import Night
from cluster.config import SegmentsConfig
from cluster.fit import fit
from cluster.registry import Registry, advance, begin, is_due
from cluster.run import sample_of
from cluster.sharpen import Space
from cluster.view import view_of

Labels = npt.NDArray[np.int64]
NEVER = 1_000_000


class Keeper(Protocol):
    """Segments of one night after the other: labels int64 [n], -1 for unassigned, the same number the same segment."""

    def first(self, night: Night) -> Labels:
        """Of the first night."""

    def next(self, night: Night) -> Labels:
        """Of the night after the last one given."""


def rows_before(known: Labels, ids: Labels) -> Labels:
    """The row each customer had among the ascending ids `known`, -1 for new ones."""
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, at, -1)


class Kinfolk:
    """kinfolk's registry with its own settings, reading behaviours as a line does."""

    def __init__(self, seed: int, groups: int) -> None:
        self.config = SegmentsConfig(seed=seed, shadow_every=1)
        self.ids: Labels = np.empty(0, np.int64)
        self.registry: Registry | None = None

    def first(self, night: Night) -> Labels:
        """The registry is begun."""
        with threadpool_limits(1, user_api="blas"):
            sample = sample_of(pl.Series(night.ids), self.config)
            view = self.view(night)
            self.registry = begin(night.vectors, self.config, sample=sample, view=view, weeks=night.weeks)
        return self.kept(night)

    def next(self, night: Night) -> Labels:
        """It is brought up to date."""
        assert self.registry is not None
        was = rows_before(self.ids, night.ids)
        with threadpool_limits(1, user_api="blas"):
            sample = sample_of(pl.Series(night.ids), self.config)
            view = self.view(night) if is_due(self.registry, self.config) else None
            self.registry = advance(
                self.registry,
                was,
                night.changed,
                night.vectors,
                self.config,
                sample=sample,
                view=view,
                weeks=night.weeks,
            )
        return self.kept(night)

    def view(self, night: Night) -> Space | None:
        """The part of the vectors that tells what people do."""
        found = view_of(night.vectors, night.behaviour, self.config.identity, self.config.seed)
        return found.space if found else None

    def kept(self, night: Night) -> Labels:
        """Labels of the registry, the ids remembered."""
        assert self.registry is not None
        self.ids = night.ids
        return self.registry.members.labels.astype(np.int64)


class Votes(Kinfolk):
    """kinfolk's registry by votes of whole histories alone: no shadows, so that no segment is ever born, split, merged
    or gone, and nobody is placed by the last weeks.
    """

    def __init__(self, seed: int, groups: int) -> None:
        super().__init__(seed, groups)
        self.config = SegmentsConfig(seed=seed, shadow_every=NEVER, change_z=0)


class Recent(Kinfolk):
    """Votes by whole histories, and by the last weeks of who lives differently."""

    def __init__(self, seed: int, groups: int) -> None:
        super().__init__(seed, groups)
        self.config = SegmentsConfig(seed=seed, shadow_every=NEVER)


class Weekly(Kinfolk):
    """kinfolk's registry with a shadow every seventh night."""

    def __init__(self, seed: int, groups: int) -> None:
        super().__init__(seed, groups)
        self.config = SegmentsConfig(seed=seed, shadow_every=7)


class Refit:
    """Everything is fitted anew each night, and the clusters get the names of those they overlap most (Hungarian)."""

    def __init__(self, seed: int, groups: int) -> None:
        self.facts = clusterers.Facts(0, groups, seed)
        self.labels = self.ids = np.empty(0, np.int64)
        self.next_id = 0

    def cluster(self, night: Night) -> Labels:
        """UMAP and HDBSCAN as usual."""
        smallest = SegmentsConfig().smallest(len(night.ids))
        facts = replace(self.facts, smallest=smallest, seed=self.facts.seed)
        return clusterers.umap_hdbscan(night.vectors, facts).astype(np.int64)

    def first(self, night: Night) -> Labels:
        """Names are numbers of clusters."""
        self.ids, self.labels = night.ids, self.cluster(night)
        self.next_id = int(self.labels.max()) + 1
        return self.labels

    def next(self, night: Night) -> Labels:
        """The one-to-one matching with most customers in common; clusters that are left over are new segments."""
        found, was = self.cluster(night), rows_before(self.ids, night.ids)
        before = np.where(was >= 0, self.labels[was], -1)
        both = (found >= 0) & (before >= 0)
        shared = np.zeros((int(found.max()) + 1, self.next_id), np.int64)
        np.add.at(shared, (found[both], before[both]), 1)
        names = np.full(len(shared), -1, np.int64)
        for cluster, segment in zip(*linear_sum_assignment(-shared), strict=True):
            if shared[cluster, segment]:
                names[cluster] = segment
        fresh = names < 0
        names[fresh] = self.next_id + np.arange(fresh.sum())
        self.next_id += int(fresh.sum())
        self.ids, self.labels = night.ids, np.where(found >= 0, names[np.maximum(found, 0)], -1)
        return self.labels


class KinfolkRefit(Refit):
    """kinfolk's first fit every night, matched likewise: what the registry adds to it."""

    def cluster(self, night: Night) -> Labels:
        """With the behaviours' view of that night."""
        config = SegmentsConfig(seed=self.facts.seed)
        with threadpool_limits(1, user_api="blas"):
            view = view_of(night.vectors, night.behaviour, config.identity, config.seed)
            sample = sample_of(pl.Series(night.ids), config)
            return fit(night.vectors, config, sample=sample, view=view.space if view else None).labels.astype(np.int64)


class FixedKMeans:
    """k-means with a centroid a persona, fitted on the first night; everybody goes to the nearest one."""

    def __init__(self, seed: int, groups: int) -> None:
        self.model = KMeans(groups, n_init=3, random_state=seed)

    def first(self, night: Night) -> Labels:
        """The centroids are found."""
        return np.asarray(self.model.fit(night.vectors).labels_, np.int64)

    def next(self, night: Night) -> Labels:
        """The nearest centroid."""
        return np.asarray(self.model.predict(night.vectors), np.int64)


class Told:
    """A linear classifier of vectors that was told the personas of the first night: what vectors know of changes."""

    SAMPLE = 20_000
    """Customers that it learns from; ids are random, so the first ones are as good as any."""

    def __init__(self, personas: npt.NDArray[np.int16]) -> None:
        self.personas = personas
        self.model = LogisticRegression(max_iter=300, C=10.0)

    def first(self, night: Night) -> Labels:
        """It learns, from those who are with the bank."""
        there = self.personas >= 0
        rows = np.flatnonzero(there)[: self.SAMPLE]
        self.model.fit(night.vectors[rows], self.personas[rows])
        return self.next(night)

    def next(self, night: Night) -> Labels:
        """What it takes everybody for."""
        return np.asarray(self.model.predict(night.vectors), np.int64)


KEEPERS: dict[str, Callable[[int, int], Keeper]] = {
    "kinfolk": Kinfolk,
    "kinfolk-weekly": Weekly,
    "votes": Votes,
    "votes-lately": Recent,
    "kinfolk-refit": KinfolkRefit,
    "umap-hdbscan-refit": Refit,
    "kmeans": FixedKMeans,
}
