"""Segment everybody: vectors and behaviours in, segments with names and a map out."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from cluster.artifact import KIND, VERSION, PartProfile, SegmentProfile, Segments, write_segments
from cluster.config import SegmentsConfig
from cluster.fit import broad_of, check
from cluster.identity import Identity
from cluster.names import names_of, numbered, terse_fields
from cluster.neighbours import Floats
from cluster.profile import drivers, typical
from cluster.registry import Registry, advance, begin, is_due
from cluster.view import View, view_of
from configs.errors import InputError
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from embed.customers import changes, lots
from eventlog.behaviour import Behaviour
from store.artifact import key_of, stands

DRIVERS_FOR_NAMES = 30
"""Drivers looked at for a name: more than are listed, so that segments that are alike can be told apart."""
LEAST_KEPT = 0.5
"""Share of the customers before who must still be there for segments to keep their identities."""
ALGORITHM = 1
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
) -> Segments:
    """Find, describe, name and draw the segments, and write them at `folder`; a finished equal artifact is reused.

    With `previous` ones the segments go on from these and keep their identities (`cluster.registry`), as long as half
    of the customers are still there. Row i of `behaviour` is row i of `embeddings`. Raises InputError where they do not
    fit or a vector is not finite, and ArtifactError where the previous ones cannot be read.
    """
    if len(behaviour.matrix) != embeddings.n_customers:
        raise InputError(
            f"there are {embeddings.n_customers:,} vectors but behaviours of {len(behaviour.matrix):,} customers; "
            "both must come from one event log"
        )
    previous = usable(previous, embeddings)
    # threads do not change the outcome, so they are no part of what it was made from
    settings = config.model_dump(mode="json", exclude={"threads"})
    line = [previous.segments.key] if previous else []
    key = key_of(KIND, VERSION, ALGORITHM, settings, embeddings.key, fingerprint(behaviour), *line)
    if stands(folder, KIND, VERSION, key):
        return Segments.load(folder, deep=False)
    check(embeddings.vectors)
    # the products of BLAS differ in their last bits with its number of threads
    with threadpool_limits(1, user_api="blas"):
        registry, figures = _registered(config, embeddings, behaviour, progress, previous)
    with progress.task("Describing segments", None):
        named = {p.id: p.name for p in previous.segments.profiles} if previous else {}
        profiles = describe(registry, embeddings, behaviour, config, figures["set_aside"], named)
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
) -> tuple[Registry, dict[str, Any]]:
    """The registry, begun or gone on from, and figures on the way."""
    vectors, sample = embeddings.vectors, sample_of(embeddings.customers, config)
    before = previous.segments.registry() if previous else None
    if previous is None or before is None:
        view = _view(config, vectors, behaviour, progress)
        aside = view.aside if view else frozenset()
        return begin(vectors, config, progress, sample, view.space if view else None), {"set_aside": sorted(aside)}
    found = changes(previous.embeddings, embeddings)
    models = [e.manifest.parents.get("model") for e in (previous.embeddings, embeddings)]
    same_space = models[0] == models[1] and previous.embeddings.width == embeddings.width
    told = {"customers": found.counts(), "set_aside": previous.segments.manifest.figures.get("set_aside", [])}
    view = None
    if is_due(before, config, same_space):
        view = _view(config, vectors, behaviour, progress)
        told["set_aside"] = sorted(view.aside) if view else []
    space = view.space if view else None
    registry = advance(before, found.was, found.fresh, vectors, config, progress, sample, space, same_space)
    return registry, told


def _view(config: SegmentsConfig, vectors: Floats, behaviour: Behaviour, progress: Progress) -> View | None:
    if not config.behaviours:
        return None
    with progress.task("Reading behaviours from vectors", None):
        return view_of(vectors, behaviour, config.identity, config.seed)


def describe(
    registry: Registry,
    embeddings: Embeddings,
    behaviour: Behaviour,
    config: SegmentsConfig,
    aside: Collection[str],
    named: Mapping[int, str],
) -> list[SegmentProfile]:
    """A profile per segment, the largest first, named without the fields `aside`; those `named` keep their names."""
    members = registry.members
    sizes = {segment.id: int((members.labels == segment.id).sum()) for segment in registry.segments}
    order = sorted(registry.segments, key=lambda segment: (-sizes[segment.id], segment.id))
    number = {segment.id: position for position, segment in enumerate(order)}
    labels = np.full(len(members.labels), -1, np.int32)
    for known, position in number.items():
        labels[members.labels == known] = position
    per_segment = drivers(behaviour, labels, len(order), max(config.drivers, DRIVERS_FOR_NAMES))
    telling = [[driver for driver in of_one if driver.field not in aside] for of_one in per_segment]
    fresh = names_of(telling, terse_fields(behaviour.features), broad_of(labels, len(order)))
    names = numbered([named.get(segment.id, fresh[i]) for i, segment in enumerate(order)])
    profiles = []
    for position, (segment, of_one) in enumerate(zip(order, per_segment, strict=True)):
        rows = np.flatnonzero(labels == position)
        profiles.append(
            SegmentProfile(
                id=segment.id,
                name=names[position],
                size=len(rows),
                share=len(rows) / len(labels),
                stability=segment.stability,
                strength=float(members.strength[rows].mean(dtype=np.float64)),
                drivers=of_one[: config.drivers],
                typical=_typical(registry, embeddings, rows, config.typical),
                born=segment.born,
                parts=_parts(segment, members.part, rows, behaviour, aside),
            )
        )
    return profiles


def _typical(
    registry: Registry, embeddings: Embeddings, rows: npt.NDArray[np.int64], most: int
) -> tuple[int | str, ...]:
    """Ids of the members nearest to the middle of theirs, in the space in which segments were found."""
    vectors = embeddings.vectors[rows]
    space = registry.ground.landmarks.space.of(vectors) if registry.ground else vectors
    nearest = typical(space, np.arange(len(rows)), most)
    return tuple(embeddings.customers[int(rows[i])] for i in nearest)


def _parts(
    segment: Identity,
    part: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
    behaviour: Behaviour,
    aside: Collection[str],
) -> tuple[PartProfile, ...]:
    """Profiles of a segment's parts, named by what sets them apart from the rest of the segment."""
    if not segment.parts:
        return ()
    labels = part[rows] - 1
    inside = Behaviour(behaviour.features, behaviour.matrix[rows])
    told = drivers(inside, labels, len(segment.parts), DRIVERS_FOR_NAMES)
    telling = [[driver for driver in of_one if driver.field not in aside] for of_one in told]
    names = names_of(telling, terse_fields(behaviour.features))
    sizes = np.bincount(labels[labels >= 0], minlength=len(segment.parts)).tolist()
    return tuple(
        PartProfile(number + 1, name, sizes[number], sizes[number] / len(rows), segment.parts[number])
        for number, name in enumerate(names)
    )


def fingerprint(behaviour: Behaviour) -> str:
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
