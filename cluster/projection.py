"""The layout: customers as points in a few dimensions, neighbours near each other. UMAP (McInnes, Healy 2018)."""

import warnings

import numpy as np

from cluster.neighbours import Floats, Neighbours
from cluster.warm import load_umap

START_SPREAD = 3.0


def project(
    space: Floats, near: Neighbours, *, dimensions: int, epochs: int, seed: int, start: Floats | None = None
) -> Floats:
    """Positions float32 [n, dimensions] of the customers `space` [n, m] with neighbour graph `near`.

    The same input gives the same bytes: UMAP runs on one thread with a fixed seed, starting from the first columns of
    `space` (its most telling directions) rather than from a spectral layout, which has no stable answer where
    the graph falls into pieces; or from `start` [n, dimensions].
    """
    umap = load_umap()
    own = np.arange(len(space), dtype=np.int32)[:, None]
    rows = np.hstack([own, near.rows])
    distances = np.hstack([np.zeros((len(space), 1), np.float32), near.distances])
    model = umap.UMAP(
        n_neighbors=near.k + 1,
        n_components=dimensions,
        min_dist=0.0,
        n_epochs=epochs,
        init=_start(space if start is None else start, dimensions, seed),
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(rows, distances, None),
        force_approximation_algorithm=True,
    )
    with warnings.catch_warnings():
        quiet_layouts()
        positions: Floats = np.ascontiguousarray(model.fit_transform(space), dtype=np.float32)
    return positions


def quiet_layouts() -> None:
    """Ignore what UMAP says of the search index: none is passed on purpose, since new customers join by their
    neighbours' vote, not by transform."""
    warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]", category=UserWarning)


def _start(space: Floats, dimensions: int, seed: int) -> Floats:
    """Where the points start: the first columns, scaled, with a whiff of noise so that duplicates can part."""
    columns = np.zeros((len(space), dimensions), np.float64)
    width = min(dimensions, space.shape[1])
    columns[:, :width] = space[:, :width]
    spread = columns.std(axis=0)
    scaled = (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0) * START_SPREAD
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=scaled.shape)
    start: Floats = (scaled + noise).astype(np.float32)
    return start
