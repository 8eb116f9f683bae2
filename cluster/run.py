"""Segment everybody: vectors and behaviours in, segments with names and a map out."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from cluster.artifact import KIND, VERSION, SegmentProfile, Segments, write_segments
from cluster.config import SegmentsConfig
from cluster.fit import Fit, check, fit
from cluster.names import names_of, terse_fields
from cluster.neighbours import Floats
from cluster.profile import drivers, typical
from cluster.view import view_of
from configs.errors import InputError
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from embed.customers import lots
from store.artifact import key_of, stands

if TYPE_CHECKING:
    from eventlog.behaviour import Behaviour

DRIVERS_FOR_NAMES = 30
"""Drivers looked at for a name: more than are listed, so that segments that are alike can be told apart."""


def run(
    config: SegmentsConfig, embeddings: Embeddings, behaviour: "Behaviour", folder: Path, progress: Progress = SILENT
) -> Segments:
    """Find, describe, name and draw the segments, and write them at `folder`; a finished equal artifact is reused.

    Row i of `behaviour` is row i of `embeddings`. Raises InputError where they do not fit or a vector is not finite.
    """
    if len(behaviour.matrix) != embeddings.n_customers:
        raise InputError(
            f"there are {embeddings.n_customers:,} vectors but behaviours of {len(behaviour.matrix):,} customers; "
            "both must come from one event log"
        )
    # threads do not change the outcome, so they are no part of what it was made from
    key = key_of(
        KIND, VERSION, config.model_dump(mode="json", exclude={"threads"}), embeddings.key, fingerprint(behaviour)
    )
    if stands(folder, KIND, VERSION, key):
        return Segments.load(folder, deep=False)
    check(embeddings.vectors)
    # the products of BLAS differ in their last bits with its number of threads
    with threadpool_limits(1, user_api="blas"):
        with progress.task("Reading behaviours from vectors", None):
            view = view_of(embeddings.vectors, behaviour, config.identity, config.seed) if config.behaviours else None
            seen = view.space.of(embeddings.vectors) if view else embeddings.vectors
        found = fit(seen, config, progress)
    aside = view.aside if view else frozenset()
    with progress.task("Describing segments", None):
        profiles = describe(found, embeddings.customers, seen, behaviour, config, aside)
    figures = {"set_aside": sorted(aside)}
    with progress.task("Drawing the map", None):
        return write_segments(folder, key, found, profiles, {"embeddings": embeddings.key}, figures)


def describe(
    found: Fit,
    customers: pl.Series,
    space: Floats,
    behaviour: "Behaviour",
    config: SegmentsConfig,
    aside: Collection[str] = (),
) -> list[SegmentProfile]:
    """A profile per segment, with a name of its own made without the fields `aside`; `space` [n, m] was clustered."""
    labels = found.labels
    per_segment = drivers(behaviour, labels, len(found.stability), max(config.drivers, DRIVERS_FOR_NAMES))
    profiles = []
    telling = [[driver for driver in of_one if driver.field not in aside] for of_one in per_segment]
    names = names_of(telling, terse_fields(behaviour.features), found.broad)
    for segment, (name, of_one) in enumerate(zip(names, per_segment, strict=True)):
        rows = np.flatnonzero(labels == segment)
        medoids = typical(space, rows, config.typical)
        profiles.append(
            SegmentProfile(
                id=segment,
                name=name,
                size=len(rows),
                share=len(rows) / len(labels),
                stability=found.stability[segment],
                strength=float(found.strength[rows].mean(dtype=np.float64)),
                drivers=of_one[: config.drivers],
                typical=tuple(customers[row] for row in medoids),
            )
        )
    return profiles


def fingerprint(behaviour: "Behaviour") -> str:
    """SHA-256 over the features and the matrix."""
    digest = hashlib.sha256(repr(behaviour.features).encode())
    for start in range(0, len(behaviour.matrix), 65_536):
        digest.update(np.ascontiguousarray(behaviour.matrix[start : start + 65_536]).tobytes())
    return digest.hexdigest()


def sample_of(customers: pl.Series, config: SegmentsConfig) -> npt.NDArray[np.int64]:
    """Ascending rows of the customers to lay out: the same ones from snapshot to snapshot, drawn by their ids."""
    n = len(customers)
    if n <= config.landmarks:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.argpartition(lots(customers, config.seed), config.landmarks)[: config.landmarks])
