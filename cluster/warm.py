"""Keeping numba's compilation out of every run but the first.

UMAP's kernels are compiled by numba when they are first called, which takes several seconds in every process. numba can
keep the machine code on disk; umap-learn does not ask for it on the two kernels that matter, so it is asked for here.
"""

import contextlib
import warnings
from typing import Any

import numpy as np

KERNELS = (
    ("umap.layouts", "_nb_optimize_layout_euclidean_single_epoch"),
    ("umap.umap_", "smooth_knn_dist"),
    ("umap.umap_", "compute_membership_strengths"),
)


def load_umap() -> Any:
    """Import umap without its warning on a missing TensorFlow, its kernels set to be cached on disk."""
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)
        umap = importlib.import_module("umap")
    for module, name in KERNELS:
        kernel: Any = getattr(importlib.import_module(module), name, None)
        if hasattr(kernel, "enable_caching"):
            # where neither the package's folder nor the user's cache folder can be written, each run compiles
            with contextlib.suppress(RuntimeError):
                kernel.enable_caching()
    return umap


def warm_up() -> None:
    """Compile and cache everything that the first segmentation would have to wait for; an install step calls this."""
    from cluster.clusters import tree_of
    from cluster.neighbours import graph
    from cluster.projection import project

    cloud = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
    for dimensions in (2, 3):
        tree_of(project(cloud, graph(cloud, 15), dimensions=dimensions, epochs=20, seed=0), smallest=20)
