"""Segment everybody: vectors and behaviours in, segments with names and a map out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from cluster.artifact import KIND, VERSION, Segments, write_segments
from cluster.config import SegmentsConfig
from cluster.describe import describe
from cluster.fit import check
from cluster.lately import Weeks
from cluster.neighbours import Floats
from cluster.registry import Registry, advance, begin, is_due
from cluster.view import View, view_of
from configs.errors import InputError
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from embed.customers import changes, lots
from eventlog.behaviour import Behaviour
from store.artifact import key_of, stands

LEAST_KEPT = 0.5
"""Share of the customers before who must still be there for segments to keep their identities."""
ALGORITHM = 5
"""Raised when the same inputs give other segments in the same format."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """What segments go on from: those of the snapshot before, and the vectors that they were made from."""

    segments: Segments
    embeddings: Embeddings


def run(
    config: SegmentsConfig,
    embeddings: Embeddings,
    behaviour: Behaviour,
    folder: Path,
    progress: Progress = SILENT,
    previous: Earlier | None = None,
    weeks: Weeks | None = None,
    days: int = 1,
) -> Segments:
    """Find, describe, name and draw the segments, and write them at `folder`; a finished equal artifact is reused.

    With `previous` ones, `days` old, the segments go on from these and keep their identities (`cluster.registry`), as
    long as half of the customers are still there. `weeks` tells who has lived differently lately, which may send them
    to another segment; without it, whole histories alone do. Row i of `behaviour` is row i of `embeddings`.
    Raises InputError where they do not fit or a vector is not finite, and ArtifactError where the previous ones cannot
    be read.
    """
    if len(behaviour.matrix) != embeddings.n_customers:
        raise InputError(
            f"there are {embeddings.n_customers:,} vectors but behaviours of {len(behaviour.matrix):,} customers; "
            "both must come from one event log"
        )
    previous = usable(previous, embeddings)
    # threads do not change the outcome, so they are no part of what it was made from
    settings = config.model_dump(mode="json", exclude={"threads"})
    weeks = weeks if config.change_z else None
    line = [*([previous.segments.key] if previous else []), *(["weeks"] if weeks else [])]
    line += [f"{days} days"] if previous and days != 1 else []
    key = key_of(KIND, VERSION, ALGORITHM, settings, embeddings.key, fingerprint(behaviour), *line)
    if stands(folder, KIND, VERSION, key):
        return Segments.load(folder, deep=False)
    check(embeddings.vectors)
    # the products of BLAS differ in their last bits with its number of threads
    with threadpool_limits(1, user_api="blas"):
        registry, figures, looked = _registered(config, embeddings, behaviour, progress, previous, weeks, days)
    with progress.task("Describing segments", None):
        before = previous.segments.profiles if previous else ()
        profiles = describe(registry, embeddings, behaviour, config, figures["set_aside"], before, seek=looked)
    parents = {"embeddings": embeddings.key} | ({"segments": previous.segments.key} if previous else {})
    lineage = previous.segments.lineage if previous else key
    with progress.task("Drawing the map", None):
        return write_segments(folder, key, registry, lineage, profiles, parents, figures)


def usable(previous: Earlier | None, embeddings: Embeddings) -> Earlier | None:
    """`previous` where its identities can be kept: a registry, ids of the same type, most customers still there."""
    if previous is None or previous.segments.manifest.version == 1:
        return None
    before = previous.embeddings
    if before.customers.dtype != embeddings.customers.dtype:
        return None
    there = int((embeddings.rows_of(before.customers) >= 0).sum())
    return previous if there >= LEAST_KEPT * before.n_customers else None


def _registered(
    config: SegmentsConfig,
    embeddings: Embeddings,
    behaviour: Behaviour,
    progress: Progress,
    previous: Earlier | None,
    weeks: Weeks | None,
    days: int,
) -> tuple[Registry, dict[str, Any], bool]:
    """The registry, begun or gone on from, figures on the way, and whether new segments were looked for."""
    vectors, sample = embeddings.vectors, sample_of(embeddings.customers, config)
    before = previous.segments.registry() if previous else None
    if previous is None or before is None:
        view = _view(config, vectors, behaviour, progress)
        aside = view.aside if view else frozenset()
        begun = begin(vectors, config, progress, sample, view.space if view else None, weeks=weeks)
        return begun, {"set_aside": sorted(aside)}, True
    found = changes(previous.embeddings, embeddings)
    models = [e.manifest.parents.get("model") for e in (previous.embeddings, embeddings)]
    same_space = models[0] == models[1] and previous.embeddings.width == embeddings.width
    told = {"customers": found.counts(), "set_aside": previous.segments.manifest.figures.get("set_aside", [])}
    view, looked = None, is_due(before, config, same_space, days)
    if looked:
        view = _view(config, vectors, behaviour, progress)
        told["set_aside"] = sorted(view.aside) if view else []
    space = view.space if view else None
    how = (config, progress, sample, space, same_space, weeks, days)
    registry = advance(before, found.was, found.fresh, vectors, *how)
    return registry, told, looked


def _view(config: SegmentsConfig, vectors: Floats, behaviour: Behaviour, progress: Progress) -> View | None:
    if not config.behaviours:
        return None
    with progress.task("Reading behaviours from vectors", None):
        return view_of(vectors, behaviour, config.identity, config.seed)


def fingerprint(behaviour: Behaviour) -> str:
    """What tells its features and matrix from others: from the manifest that it was read by, or SHA-256 over both."""
    if behaviour.digest is not None:
        return behaviour.digest
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
