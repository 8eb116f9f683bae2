"""Vectors to segments, for the first time: landmarks, their structure, and everybody placed among them.

n customers, d wide vectors, c landmarks that the gate let through, k segments.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.hierarchy import Join
from cluster.landmarks import Landmarks, find_landmarks, place
from cluster.neighbours import Floats, Neighbours
from cluster.projection import project
from cluster.sharpen import Space, plain
from cluster.structure import Structure, drawn, find_structure
from cluster.vote import part_within, vote
from configs.errors import InputError
from configs.progress import SILENT, Progress

CHUNK = 65_536
MAJORITY = 0.5


@dataclass(frozen=True, eq=False)
class Membership:
    """Where everybody belongs."""

    labels: Labels
    """int32 [n], -1 for unassigned."""
    strength: Floats
    """float32 [n], share of a customer's neighbours that are in its segment; 0 for the unassigned."""
    second: Labels
    """int32 [n], the next best segment, -1 where no neighbour is in another one."""
    second_strength: Floats
    """float32 [n], share of the neighbours that are in the next best segment."""
    part: Labels
    """int32 [n], the part of the segment that a customer is in, from 1; 0 for none."""
    positions: Floats
    """float32 [n, 2], the map."""
    home: Labels
    """int32 [n], the segment at the time from which landmarks stand, -1 for none: what a customer leaves by a lead."""

    @classmethod
    def empty(cls, n: int) -> "Membership":
        """Everybody unassigned, at the origin."""
        none, zero = np.full(n, -1, np.int32), np.zeros(n, np.float32)
        part, flat = np.zeros(n, np.int32), np.zeros((n, 2), np.float32)
        return cls(none, zero, none.copy(), zero.copy(), part, flat, none.copy())


@dataclass(frozen=True, eq=False)
class Fit:
    """The outcome of one segmentation; segments are numbered 0.. by falling size."""

    members: Membership
    stability: tuple[float, ...]
    """Stability of each segment."""
    message: str
    """Why there are no segments, only one, or one with most customers; empty otherwise."""
    joins: tuple[Join, ...] = ()
    """How segments make up coarser groups, see `cluster.hierarchy`."""
    parts: tuple[tuple[float, ...], ...] = ()
    """Stability of each segment's parts."""
    landmarks: Landmarks | None = None
    """None where customers could not be compared."""
    found: Labels = field(default_factory=lambda: np.empty(0, np.int32))
    """int32 [c], the segment that each landmark was clustered into; -1 for none."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Facts on the way: landmarks, those that the gate let through, directions of the sharpened space."""

    @property
    def labels(self) -> Labels:
        """int32 [n], -1 for unassigned."""
        return self.members.labels

    @property
    def strength(self) -> Floats:
        """float32 [n], see `Membership`."""
        return self.members.strength

    @property
    def positions(self) -> Floats:
        """float32 [n, 2], the map."""
        return self.members.positions

    @property
    def broad(self) -> int | None:
        """The segment that holds most customers, None where none does."""
        return broad_of(self.labels, len(self.stability))


def broad_of(labels: Labels, segments: int) -> int | None:
    """The segment of `labels` (-1 or 0..) that holds most customers, None where none does."""
    sizes = np.bincount(labels[labels >= 0], minlength=segments)
    return int(sizes.argmax()) if len(sizes) and sizes.max() > MAJORITY * len(labels) else None


def check(vectors: Floats) -> None:
    """Raise InputError where vectors cannot be segmented."""
    if vectors.ndim != 2 or vectors.dtype != np.float32 or 0 in vectors.shape:
        raise InputError(
            f"vectors are {vectors.dtype} {vectors.shape}; expected float32 [customers, width], neither of them 0"
        )
    bad = 0
    for start in range(0, len(vectors), CHUNK):
        bad += int((~np.isfinite(vectors[start : start + CHUNK]).all(axis=1)).sum())
    if bad:
        raise InputError(
            f"{bad:,} of {len(vectors):,} vectors hold NaN or infinity; every number of a vector must be finite"
        )


def unfit(vectors: Floats, sample: Ints, config: SegmentsConfig) -> str:
    """Why these vectors cannot be told apart into segments, looking at the rows `sample`; empty where they can."""
    n, smallest = len(vectors), config.smallest(len(vectors))
    if n < 2 * smallest:
        return (
            f"{n:,} customers are too few to be split into segments of at least {smallest:,}; "
            "lower min_customers or min_share, or add customers"
        )
    looked_at = vectors[sample]
    if not (looked_at != looked_at[0]).any():
        return f"all {len(sample):,} vectors looked at are equal, so there is nothing to tell customers apart by"
    return ""


def fit(
    vectors: Floats,
    config: SegmentsConfig,
    progress: Progress = SILENT,
    sample: Ints | None = None,
    view: Space | None = None,
) -> Fit:
    """Find the segments of `vectors` float32 [n, d]. Same vectors, config, sample and view, same result.

    `sample` are the rows to lay out, at most `config.landmarks`; drawn by the seed where they are not given. Customers
    are compared in the space of `view`, where one is given. Raises InputError.
    """
    check(vectors)
    sample = drawn(len(vectors), config.landmarks, config.seed) if sample is None else sample
    if why := unfit(vectors, sample, config):
        return Fit(_spread_out(vectors), (), why)
    with progress.task("Comparing customers", None):
        landmarks, near = find_landmarks(vectors, sample, config, view)
    structure = find_structure(landmarks, near, len(vectors), config, config.seed, progress, config.layouts)
    flat = structure.positions
    if config.dimensions != 2:
        with progress.task("Drawing the map in two dimensions", None):
            flat = project(landmarks.points, near, dimensions=2, epochs=config.epochs, seed=config.seed)
    members = _everybody(vectors, landmarks, near, structure, flat, config, progress)
    figures = {"landmarks": len(sample), "core": len(landmarks.rows), "directions": int(landmarks.space.axes.shape[1])}
    return _numbered(members, landmarks, structure, figures)


def _everybody(
    vectors: Floats,
    landmarks: Landmarks,
    near: Neighbours,
    structure: Structure,
    flat: Floats,
    config: SegmentsConfig,
    progress: Progress,
) -> Membership:
    """All customers by what the landmarks were clustered into."""
    n, count, own = len(vectors), len(structure.stability), structure.labels
    said = vote(near, own, count)
    joins = (own < 0) & (said.share >= config.min_vote)
    own = np.where(joins, said.winner, own).astype(np.int32)
    said = vote(near, own, count, own)
    out = Membership.empty(n)
    rows = landmarks.rows
    out.labels[rows], out.positions[rows], out.strength[rows] = own, flat, said.own
    first = said.winner == own
    out.second[rows] = np.where(first, said.second, said.winner)
    out.second_strength[rows] = np.where(first, said.second_share, said.share)
    part = np.where(own == structure.labels, structure.part, 0).astype(np.int32)
    part = np.where(part > 0, part, part_within(near, own, part, own)).astype(np.int32)
    out.part[rows] = part
    rest = np.setdiff1d(np.arange(n, dtype=np.int64), rows, assume_unique=True)
    outside = np.full(len(rest), -1, np.int32)
    with progress.task("Placing everybody else", len(rest) or None) as advance:
        for placed in place(vectors, rest, landmarks, own, outside, flat, config):
            rows, said = placed.rows, placed.said
            inside = (placed.isolation <= landmarks.limit) & (said.share >= config.min_vote)
            out.labels[rows] = np.where(inside, said.winner, -1)
            out.strength[rows] = np.where(inside, said.share, 0)
            out.second[rows] = np.where(inside, said.second, said.winner)
            out.second_strength[rows] = np.where(inside, said.second_share, said.share)
            out.part[rows] = part_within(placed.near, own, part, out.labels[rows])
            out.positions[rows] = placed.positions
            advance(len(rows))
    return out


def _numbered(members: Membership, landmarks: Landmarks, structure: Structure, figures: dict[str, Any]) -> Fit:
    """Number the segments by falling size (on a tie, by their first member) and say so where there are not two."""
    labels, count = members.labels, len(structure.stability)
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    first = [int(np.argmax(labels == segment)) for segment in range(count)]
    order = sorted((s for s in range(count) if sizes[s]), key=lambda s: (-sizes[s], first[s]))
    new = np.full(count + 1, -1, np.int32)
    new[order] = np.arange(len(order))
    named = replace(members, labels=new[labels], second=new[members.second], home=new[labels])
    return Fit(
        named,
        tuple(structure.stability[s] for s in order),
        message_of([int(sizes[s]) for s in order], len(labels)),
        tuple((int(new[a]), int(new[b])) for a, b in structure.joins if min(new[a], new[b]) >= 0),
        tuple(structure.parts[s] for s in order),
        landmarks,
        new[structure.labels],
        figures,
    )


def message_of(sizes: list[int], n: int) -> str:
    """A sentence where there are not two segments, or one holds most customers; `sizes` is falling."""
    if len(sizes) < 2:
        return (
            f"{'only one group' if sizes else 'no group'} of customers stands out and comes back when part of the "
            "customers are looked at afresh; the population behaves as one broad group"
        )
    if sizes[0] > MAJORITY * n:
        return (
            f"one segment holds {sizes[0] / n:.0%} of the customers: these differ among themselves by degrees, not in "
            "groups that come back when part of the customers are looked at afresh"
        )
    return ""


def _spread_out(vectors: Floats) -> Membership:
    """No segments: everybody unassigned, placed by the two principal directions."""
    out = Membership.empty(len(vectors))
    flat = plain(vectors).of(vectors)[:, :2]
    out.positions[:, : flat.shape[1]] = flat
    return out
