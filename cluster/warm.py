"""Keeping numba's compilation out of every run but the first.

UMAP's kernels are compiled by numba when they are first called, which takes several seconds in every process. numba can
keep the machine code on disk; umap-learn does not ask for it on the two kernels that matter, so it is asked for here.
"""

import contextlib
import warnings
from types import FunctionType
from typing import Any

import numpy as np

EPOCH = ("umap.layouts", "_nb_optimize_layout_euclidean_single_epoch")
"""The kernel in which a layout spends nearly all of its time."""
KERNELS = (
    EPOCH,
    ("umap.umap_", "smooth_knn_dist"),
    ("umap.umap_", "compute_membership_strengths"),
)


def load_umap() -> Any:
    """Import umap without its warning on a missing TensorFlow, its kernels set to be cached on disk.

    One epoch of a layout lets go of the interpreter's lock, so that several layouts can be made side by side.
    """
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)
        umap = importlib.import_module("umap")
    _let_go(importlib.import_module(EPOCH[0]))
    for module, name in KERNELS:
        kernel: Any = getattr(importlib.import_module(module), name, None)
        if hasattr(kernel, "enable_caching"):
            # where neither the package's folder nor the user's cache folder can be written, each run compiles
            with contextlib.suppress(RuntimeError):
                kernel.enable_caching()
    return umap


def _let_go(layouts: Any) -> None:
    """Have the kernel of an epoch compiled like umap-learn does, but without the interpreter's lock."""
    kernel: Any = getattr(layouts, EPOCH[1], None)
    options = getattr(kernel, "targetoptions", {"nogil": True})
    if options.get("nogil"):
        return
    import numba

    own = kernel.py_func
    twin = FunctionType(own.__code__, own.__globals__, own.__name__, own.__defaults__, own.__closure__)
    twin.__module__ = own.__module__
    twin.__qualname__ = f"{own.__qualname__}_nogil"  # numba's cache goes by this name alone, whatever the options
    setattr(layouts, EPOCH[1], numba.jit(**{**options, "nogil": True})(twin))


def warm_up() -> None:
    """Compile and cache everything that the first segmentation would have to wait for; an install step calls this."""
    from cluster.clusters import tree_of
    from cluster.neighbours import graph
    from cluster.projection import project

    cloud = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
    for dimensions in (2, 3):
        tree_of(project(cloud, graph(cloud, 15), dimensions=dimensions, epochs=20, seed=0), smallest=20)
