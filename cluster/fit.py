"""Vectors to segments: sharpen, gate, project, cluster, check stability, and let everybody else vote.

n customers, d wide vectors, c core landmarks (those that the gate let through), m sharpened dimensions.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cluster.clusters import Ints, Labels, Tree, tree_of
from cluster.config import SegmentsConfig
from cluster.gate import isolation, reach, threshold
from cluster.neighbours import Floats, Neighbours, graph, search
from cluster.projection import project
from cluster.sharpen import Space, plain, sharpened
from cluster.stability import Refit, publishable
from cluster.vote import share_of_own, vote
from configs.errors import InputError
from configs.progress import SILENT, Progress

CHUNK = 65_536
MAJORITY = 0.5


@dataclass(frozen=True, eq=False)
class Fit:
    """The outcome of one segmentation; segments are numbered 0.. by falling size."""

    labels: Labels
    """int32 [n], -1 for unassigned."""
    strength: Floats
    """float32 [n], share of a customer's neighbours that are in its segment; 0 for the unassigned."""
    positions: Floats
    """float32 [n, 2], the map."""
    stability: tuple[float, ...]
    """Stability of each segment."""
    message: str
    """Why there are no segments, only one, or one with most customers; empty otherwise."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Facts on the way: landmarks, those that the gate let through, directions of the sharpened space."""

    @property
    def broad(self) -> int | None:
        """The segment that holds most customers, None where none does."""
        return 0 if (self.labels == 0).sum() > MAJORITY * len(self.labels) else None


@dataclass(frozen=True, eq=False)
class _Core:
    """The landmarks that the gate let through, and what is needed to place anybody else."""

    rows: Ints
    """int64 [c], rows of the population."""
    points: Floats
    """float32 [c, m]"""
    near: Neighbours
    reaches: Floats
    """float32 [c]"""
    limit: float
    """Largest isolation ratio that is not background."""


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


def fit(vectors: Floats, config: SegmentsConfig, progress: Progress = SILENT) -> Fit:
    """Find the segments of `vectors` float32 [n, d]. Same vectors and config, same result. Raises InputError."""
    check(vectors)
    n, smallest = len(vectors), config.smallest(len(vectors))
    if n < 2 * smallest:
        return _without(
            vectors,
            f"{n:,} customers are too few to be split into segments of at least {smallest:,}; "
            "lower min_customers or min_share, or add customers",
        )
    landmarks = _sample(n, config.landmarks, config.seed)
    sample = np.ascontiguousarray(vectors[landmarks])
    if not (sample != sample[0]).any():
        return _without(
            vectors, f"all {len(sample):,} vectors looked at are equal, so there is nothing to tell customers apart by"
        )
    with progress.task("Comparing customers", None):
        space = sharpened(sample, config.neighbours, config.seed, config.threads) if config.sharpen else plain(sample)
        core = _core(space.of(sample), landmarks, config)
    with progress.task("Laying out the map", None):
        positions = project(
            core.points, core.near, dimensions=config.dimensions, epochs=config.epochs, seed=config.seed
        )
        tree = tree_of(positions, _scaled(smallest, len(core.rows), n))
    kept = publishable(tree, _refits(core, n, smallest, config, progress), config.min_stability)
    flat = positions if config.dimensions == 2 else _map_of(core, config, progress)
    return _everybody(vectors, space, core, flat, tree, kept, config, progress)


def _scaled(smallest: int, part: int, n: int) -> int:
    """The least size of a cluster among `part` of n customers."""
    return max(5, min(part, round(smallest * part / n)))


def _sample(n: int, most: int, seed: int) -> Ints:
    """Ascending rows of at most `most` of n customers, drawn without replacement; int64."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False)).astype(np.int64)


def _core(points: Floats, landmarks: Ints, config: SegmentsConfig) -> _Core:
    """Set the background aside and link the rest to each other."""
    near = graph(points, config.neighbours, config.threads)
    if not config.gate:
        return _Core(landmarks, points, near, reach(near), float("inf"))
    ratios = isolation(reach(near), near.rows, reach(near))
    limit = threshold(ratios, config.gate_spread)
    inside = ratios <= limit
    points = np.ascontiguousarray(points[inside])
    near = graph(points, config.neighbours, config.threads)
    return _Core(landmarks[inside], points, near, reach(near), limit)


def _refits(core: _Core, n: int, smallest: int, config: SegmentsConfig, progress: Progress) -> list[Refit]:
    """Lay out and cluster random parts of the core afresh, each with a seed of its own."""
    size = min(round(config.stability_share * len(core.rows)), config.stability_customers)
    refits = []
    with progress.task("Checking which segments come back", config.stability_runs) as advance:
        for run in range(config.stability_runs):
            seed = config.seed + 1000 + run
            rows = _sample(len(core.rows), size, seed)
            points = np.ascontiguousarray(core.points[rows])
            near = graph(points, config.neighbours, config.threads)
            positions = project(points, near, dimensions=config.dimensions, epochs=config.epochs, seed=seed)
            tree = tree_of(positions, _scaled(smallest, size, n))
            refits.append(Refit(rows, tree.labels(tree.chosen)))
            advance(1)
    return refits


def _map_of(core: _Core, config: SegmentsConfig, progress: Progress) -> Floats:
    with progress.task("Drawing the map in two dimensions", None):
        return project(core.points, core.near, dimensions=2, epochs=config.epochs, seed=config.seed)


def _everybody(
    vectors: Floats,
    space: Space,
    core: _Core,
    flat: Floats,
    tree: Tree,
    kept: list[tuple[int, float]],
    config: SegmentsConfig,
    progress: Progress,
) -> Fit:
    """Labels, strength and positions of all customers from those of the core."""
    n, count = len(vectors), len(kept)
    of_core = tree.labels(tuple(cluster for cluster, _ in kept))
    said = vote(core.near, of_core, count)
    joins = (of_core < 0) & (said.share >= config.min_vote)
    of_core = np.where(joins, said.winner, of_core).astype(np.int32)
    labels, strength = np.full(n, -1, np.int32), np.zeros(n, np.float32)
    positions = np.zeros((n, 2), np.float32)
    labels[core.rows], positions[core.rows] = of_core, flat
    strength[core.rows] = share_of_own(core.near, of_core, of_core)
    rest = np.setdiff1d(np.arange(n, dtype=np.int64), core.rows, assume_unique=True)
    with progress.task("Placing everybody else", len(rest) or None) as advance:
        for start in range(0, len(rest), CHUNK):
            rows = rest[start : start + CHUNK]
            near = search(core.points, space.of(vectors[rows]), config.neighbours, config.threads)
            said = vote(near, of_core, count)
            inside = isolation(near.distances[:, -1], near.rows, core.reaches) <= core.limit
            joins = inside & (said.share >= config.min_vote)
            labels[rows] = np.where(joins, said.winner, -1)
            strength[rows] = np.where(joins, said.share, 0)
            positions[rows] = _between(near, flat)
            advance(len(rows))
    figures = {"landmarks": min(n, config.landmarks), "core": len(core.rows), "directions": int(space.axes.shape[1])}
    return _numbered(labels, strength, positions, [s for _, s in kept], figures)


def _between(near: Neighbours, flat: Floats, closest: int = 3) -> Floats:
    """A place on the map for customers outside the layout: among their closest neighbours, the closer the nearer."""
    weight = 1.0 / (near.distances[:, :closest] + 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    places: Floats = (flat[near.rows[:, :closest]] * weight[:, :, None]).sum(axis=1).astype(np.float32)
    return places


def _numbered(
    labels: Labels, strength: Floats, positions: Floats, stability: list[float], figures: dict[str, Any]
) -> Fit:
    """Number the segments by falling size (on a tie, by their first member) and say so where there are not two."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(stability))
    first = [int(np.argmax(labels == segment)) for segment in range(len(sizes))]
    order = sorted((s for s in range(len(sizes)) if sizes[s]), key=lambda s: (-sizes[s], first[s]))
    new = np.full(len(sizes) + 1, -1, np.int32)
    for number, segment in enumerate(order):
        new[segment] = number
    message = _message([int(sizes[s]) for s in order], len(labels))
    return Fit(new[labels], strength, positions, tuple(stability[s] for s in order), message, figures)


def _message(sizes: list[int], n: int) -> str:
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


def _without(vectors: Floats, message: str) -> Fit:
    """No segments: everybody unassigned, placed by the two principal directions."""
    n = len(vectors)
    places = np.zeros((n, 2), np.float32)
    flat = plain(vectors).of(vectors)[:, :2]
    places[:, : flat.shape[1]] = flat
    return Fit(np.full(n, -1, np.int32), np.zeros(n, np.float32), places, (), message)
