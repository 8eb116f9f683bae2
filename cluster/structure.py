"""What the landmarks fall into: laid out, clustered, and checked by doing it again on parts of them.

n customers, c landmarks, k clusters to publish.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cluster.clusters import Ints, Labels, Tree, quiet_trees, tree_of
from cluster.config import SegmentsConfig
from cluster.hierarchy import Join, joins_of, part_labels, parts_of
from cluster.landmarks import Landmarks
from cluster.neighbours import Floats, Neighbours, graph
from cluster.projection import project, quiet_layouts
from cluster.stability import Refit, publishable, stability_of
from cluster.warm import load_umap
from configs.progress import Advance, Progress

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
    c = len(landmarks.rows)
    with side_by_side(config.threads) as start:
        laid = [
            start(_laid_out, landmarks.points, near, scaled(config.smallest(n), c, n), config, seed + LAYOUT_STEP * own)
            for own in range(layouts)
        ]
        again = _refits(start, landmarks, n, config, seed, range(config.stability_runs))
        with progress.task("Laying out the map", layouts) as advance:
            candidates = [_awaited(one, advance) for one in laid]
        refits = _gathered(again, progress)
    # a shadow of one layout is but a draw, so it is not worth a second look
    several = layouts > 1 and bool(refits)
    if several and any(_doubtful(stability_of(t.members(c), refits), config) for _, t in candidates for c in t.chosen):
        more = range(config.stability_runs, config.stability_runs + config.doubtful_runs)
        with side_by_side(config.threads) as start:
            refits += _gathered(_refits(start, landmarks, n, config, seed, more), progress)
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


Laid = tuple[Floats, Tree]


class _Result(Protocol):
    """What is being made, or will be once it is asked for."""

    def result(self) -> Laid:
        """What came out."""
        ...


@dataclass(frozen=True)
class _Later:
    """A call that is made when its result is asked for."""

    call: Callable[..., Laid]
    words: tuple[Any, ...]

    def result(self) -> Laid:
        return self.call(*self.words)


Start = Callable[..., _Result]


@contextmanager
def side_by_side(threads: int) -> Iterator[Start]:
    """Gives a function that starts a call, up to so many at a time; with one thread each is made when it is asked for.

    A layout depends on its own seed alone, so the results are the same however many there are.
    """
    if threads == 1:
        yield lambda call, *words: _Later(call, words)
        return
    load_umap()  # once, before several ask for it
    # what is ignored inside is process-wide: set here, it stays so whichever of the calls ends first
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "layout") as pool:
        quiet_layouts()
        quiet_trees()
        try:
            yield pool.submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _laid_out(points: Floats, near: Neighbours, smallest: int, config: SegmentsConfig, seed: int) -> Laid:
    """Positions of points, and the clusters that they fall into."""
    positions = project(points, near, dimensions=config.dimensions, epochs=config.epochs, seed=seed)
    return positions, tree_of(positions, smallest)


def _awaited(one: _Result, advance: Advance) -> Laid:
    laid = one.result()
    advance(1)
    return laid


def _refits(
    start: Start, landmarks: Landmarks, n: int, config: SegmentsConfig, seed: int, runs: Sequence[int]
) -> list[tuple[Ints, _Result]]:
    """Start to lay out and cluster random parts of the landmarks afresh, each with a seed of its own."""
    c, smallest, begun = len(landmarks.rows), config.smallest(n), []
    size = min(round(config.stability_share * c), config.stability_customers)
    for run in runs:
        own = seed + 1000 + run
        rows = drawn(c, size, own)
        points = np.ascontiguousarray(landmarks.points[rows])
        near = graph(points, config.neighbours, config.threads)
        begun.append((rows, start(_laid_out, points, near, scaled(smallest, size, n), config, own)))
    return begun


def _gathered(begun: Sequence[tuple[Ints, _Result]], progress: Progress) -> list[Refit]:
    """What came of the parts."""
    with progress.task("Checking which segments come back", len(begun)) as advance:
        trees = [(rows, _awaited(one, advance)[1]) for rows, one in begun]
    return [Refit(rows, tree.labels(tree.chosen), tree) for rows, tree in trees]


def drawn(n: int, most: int, seed: int) -> Ints:
    """Ascending rows of at most `most` of n customers, drawn without replacement; int64."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False)).astype(np.int64)
