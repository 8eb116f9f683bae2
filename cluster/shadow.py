"""The shadow: a fresh segmentation that is never published, only compared with the segments that stand.

What it says differently is a proposal, and becomes a change when the next shadow says so too. The overlaps are those
of MONIC (Spiliopoulou, Ntoutsi, Theodoridis, Schult 2006), confirmed over time.

c landmarks of the shadow, s segments that stand, k clusters of the shadow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.clusters import Labels
from cluster.events import Kind

HEIR_SHARE, HEIR_PURITY = 0.15, 0.6
"""A cluster is an heir of a segment where it holds this share of it, and is made up of it to this share."""
GIVEN = 0.6
"""A segment goes into a cluster that holds this share of it."""
OWNED = 0.5
"""A cluster that a segment owns to this share is that segment, and not new."""
AGREEMENT = 0.6
"""Jaccard of a cluster's members in two shadows from which they are taken to be the same."""


@dataclass(frozen=True)
class Proposal:
    """A change that one shadow asks for."""

    kind: Kind
    segments: tuple[int, ...]
    """split and died: the segment; merged: those that go together; born: none."""
    clusters: tuple[int, ...]
    """Clusters of that shadow. split: the heirs; merged and born: the one; died: none."""
    evidence: Mapping[str, float]


def propose(standing: Labels, found: Labels, ids: Sequence[int]) -> list[Proposal]:
    """What the shadow's clusters `found` [c] ask for, where the landmarks' segments are `standing` [c] (ids or -1)."""
    shared, of_segment, of_cluster = overlaps(standing, found, ids)
    out: list[Proposal] = []
    heirs = (shared >= HEIR_SHARE * of_segment[:, None]) & (shared >= HEIR_PURITY * of_cluster) & (shared > 0)
    for row in np.flatnonzero(heirs.sum(axis=1) > 1).tolist():
        at = np.flatnonzero(heirs[row])
        kept = float(shared[row, at].sum() / of_segment[row])
        evidence = {"share_in_heirs": kept, "smallest_heir": float(shared[row, at].min() / of_segment[row])}
        out.append(Proposal("split", (ids[row],), tuple(at.tolist()), evidence))
    splitting = heirs.sum(axis=1) > 1
    given = (shared >= GIVEN * of_segment[:, None]) & (of_segment > 0)[:, None] & ~splitting[:, None]
    for cluster in np.flatnonzero(given.sum(axis=0) > 1):
        at = np.flatnonzero(given[:, cluster])
        least = float((shared[at, cluster] / of_segment[at]).min())
        out.append(Proposal("merged", tuple(ids[i] for i in at.tolist()), (int(cluster),), {"least_given": least}))
    owner = shared.max(axis=0, initial=0)
    for cluster in np.flatnonzero((owner < OWNED * of_cluster) & (given.sum(axis=0) < 2)):
        evidence = {"owned_by_another": float(owner[cluster] / of_cluster[cluster])}
        out.append(Proposal("born", (), (int(cluster),), evidence))
    return out


def overlaps(
    standing: Labels, found: Labels, ids: Sequence[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Landmarks in each segment and cluster [s, k], in each segment [s] and in each cluster [k]; `ids` ascend."""
    k = int(found.max(initial=-1)) + 1
    row = np.searchsorted(np.asarray(ids, np.int64), np.maximum(standing, 0))
    both = (standing >= 0) & (found >= 0)
    shared = np.zeros((len(ids), k), np.int64)
    np.add.at(shared, (row[both], found[both]), 1)
    of_segment = np.bincount(row[standing >= 0], minlength=len(ids)).astype(np.int64)
    return shared, of_segment, np.bincount(found[found >= 0], minlength=k).astype(np.int64)


def agreements(then: Labels, now: Labels) -> npt.NDArray[np.float64]:
    """Jaccard [clusters then, clusters now] of the members of two shadows' clusters, of landmarks that are in both."""
    clusters = int(then.max(initial=-1)) + 1
    shared, before, after = overlaps(then, now, range(clusters))
    union = before[:, None] + after - shared
    out = np.zeros(shared.shape)
    np.divide(shared, union, out=out, where=union > 0)
    return out


@dataclass(frozen=True)
class Confirmed:
    """A proposal that the next shadow repeats."""

    proposal: Proposal
    clusters: tuple[int, ...]
    """The proposal's clusters, as this shadow numbers them."""
    agreement: float
    """The least Jaccard between a cluster then and now."""


def confirm(pending: Sequence[Proposal], jaccard: npt.NDArray[np.float64]) -> list[Confirmed]:
    """The pending proposals whose clusters [then] are there again [now]; of a split at least two heirs."""
    out = []
    for proposal in pending:
        matched: dict[int, float] = {}
        for cluster in proposal.clusters:
            same = jaccard[cluster] if cluster < len(jaccard) else np.empty(0)
            if len(same) and same.max() >= AGREEMENT:
                matched.setdefault(int(same.argmax()), float(same.max()))
        if len(matched) >= (2 if proposal.kind == "split" else 1):
            out.append(Confirmed(proposal, tuple(matched), min(matched.values())))
    return out
