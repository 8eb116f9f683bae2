"""What the landmarks fall into: laid out, clustered, and checked by doing it again on parts of them.

n customers, c landmarks, k clusters to publish.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.clusters import Ints, Labels, Tree, tree_of
from cluster.config import SegmentsConfig
from cluster.hierarchy import Join, joins_of, part_labels, parts_of
from cluster.landmarks import Landmarks
from cluster.neighbours import Floats, Neighbours, graph
from cluster.projection import project
from cluster.stability import Refit, publishable, stability_of
from configs.progress import Progress

DOUBT = 0.15
LAYOUT_STEP = 101
FEWEST = 5
"""HDBSCAN's least size on a sample, whatever the share."""


@dataclass(frozen=True, eq=False)
class Structure:
    """The clusters of the landmarks that come back; numbered 0..k-1."""

    labels: Labels
    """int32 [c], -1 for none."""
    stability: tuple[float, ...]
    """[k]"""
    joins: tuple[Join, ...]
    """How clusters make up coarser groups."""
    parts: tuple[tuple[float, ...], ...]
    """[k] of the stability of each cluster's parts; empty where it has none."""
    part: Labels
    """int32 [c], the part that each landmark is in, from 1; 0 for none."""
    positions: Floats
    """float32 [c, dimensions], what was clustered."""
    refits: tuple[Refit, ...]


def find_structure(
    landmarks: Landmarks,
    near: Neighbours,
    n: int,
    config: SegmentsConfig,
    seed: int,
    progress: Progress,
    layouts: int = 1,
) -> Structure:
    """Lay out and cluster the landmarks of n customers, and keep what comes back when some are laid out afresh.

    Of several `layouts` the one is kept whose clusters come back best.
    """
    candidates = []
    with progress.task("Laying out the map", layouts) as advance:
        for layout in range(layouts):
            own = seed + LAYOUT_STEP * layout
            positions = project(landmarks.points, near, dimensions=config.dimensions, epochs=config.epochs, seed=own)
            candidates.append((positions, tree_of(positions, scaled(config.smallest(n), len(landmarks.rows), n))))
            advance(1)
    refits = _refits(landmarks, n, config, seed, range(config.stability_runs), progress)
    # a shadow alone decides nothing, so it is not worth a second look
    again = layouts > 1 and bool(refits)
    if again and any(_doubtful(stability_of(t.members(c), refits), config) for _, t in candidates for c in t.chosen):
        more = range(config.stability_runs, config.stability_runs + config.doubtful_runs)
        refits += _refits(landmarks, n, config, seed, more, progress)
    found = [(positions, tree, publishable(tree, refits, config.min_stability)) for positions, tree in candidates]
    positions, tree, kept = max(found, key=lambda one: _comes_back(one[1], one[2]))
    clusters = tuple(cluster for cluster, _ in kept)
    parts = tuple(parts_of(tree, cluster, refits, config.min_stability) for cluster in clusters)
    return Structure(
        tree.labels(clusters),
        tuple(stability for _, stability in kept),
        joins_of(tree, clusters),
        tuple(tuple(stability for _, stability in of_one) for of_one in parts),
        part_labels(tree, parts),
        positions,
        tuple(refits),
    )


def _comes_back(tree: Tree, kept: Sequence[tuple[int, float]]) -> float:
    """The share of the customers that is expected to be in the same clusters again; 0 where there is but one."""
    share = sum(float(tree.members(cluster).mean()) * stability for cluster, stability in kept)
    return share if len(kept) > 1 else 0.0


def scaled(smallest: int, part: int, n: int) -> int:
    """The least size of a cluster among `part` of n customers."""
    return max(FEWEST, min(part, round(smallest * part / n)))


def _doubtful(stability: float, config: SegmentsConfig) -> bool:
    """Whether a few more looks could change what is to be thought of a cluster."""
    return abs(stability - config.min_stability) < DOUBT


def _refits(
    landmarks: Landmarks, n: int, config: SegmentsConfig, seed: int, runs: Sequence[int], progress: Progress
) -> list[Refit]:
    """Lay out and cluster random parts of the landmarks afresh, each with a seed of its own."""
    c, smallest, refits = len(landmarks.rows), config.smallest(n), []
    size = min(round(config.stability_share * c), config.stability_customers)
    with progress.task("Checking which segments come back", len(runs)) as advance:
        for run in runs:
            own = seed + 1000 + run
            rows = drawn(c, size, own)
            points = np.ascontiguousarray(landmarks.points[rows])
            near = graph(points, config.neighbours, config.threads)
            positions = project(points, near, dimensions=config.dimensions, epochs=config.epochs, seed=own)
            tree: Tree = tree_of(positions, scaled(smallest, size, n))
            refits.append(Refit(rows, tree.labels(tree.chosen), tree))
            advance(1)
    return refits


def drawn(n: int, most: int, seed: int) -> Ints:
    """Ascending rows of at most `most` of n customers, drawn without replacement; int64."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False)).astype(np.int64)
