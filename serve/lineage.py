"""Kept snapshots of one lineage, in which a segment's id means the same: sizes over time, one customer's way.

Only what segments need of a snapshot is opened, and not checked byte by byte: that was done when it was published.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from cluster.artifact import Segments
from configs.errors import ArtifactError, NotFoundError
from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour, load_behaviour
from serve.snapshot import WHOLE_NUMBER, Snapshot
from store.artifact import MANIFEST
from store.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Kept:
    """A published snapshot, as far as its segments go."""

    name: str
    folder: Path
    published: float
    """When it was sealed, seconds since 1970 UTC."""
    segments: Segments

    @classmethod
    def load(cls, workspace: Workspace, name: str | None = None, *, deep: bool = False) -> Self:
        """Open a snapshot, the served one where no name is given; `deep` checks every byte of its segments.

        Raises NotFoundError, ArtifactError.
        """
        folder = workspace.snapshot_folder(name)
        segments = Segments.load(folder / "segments", deep=deep)
        return cls(folder.name, folder, (folder / MANIFEST).stat().st_mtime, segments)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """The same of a snapshot that is open."""
        return cls(snapshot.name, snapshot.folder, snapshot.published, snapshot.segments)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Whose vectors are nothing to us, but whose ids are."""
        return Embeddings.load(self.folder / "embeddings", deep=False)

    @cached_property
    def behaviour(self) -> Behaviour:
        """What everybody does."""
        return load_behaviour(self.folder / "behaviour", deep=False)

    @property
    def at(self) -> datetime:
        """When it was sealed, UTC."""
        return datetime.fromtimestamp(self.published, UTC)

    @property
    def sizes(self) -> dict[int, int]:
        """How many customers each segment has."""
        return {profile.id: profile.size for profile in self.segments.profiles}


def lineage_up_to(workspace: Workspace, last: Kept) -> list[Kept]:
    """The kept snapshots of the lineage that were served before `last`, oldest first, and `last` itself.

    What was rolled back is not among them: it is no part of how this one came to be. The earlier ones come without the
    places on the map, which are not mapped from a file but copied into memory.
    """
    trail, wanted = workspace.trail(), last.segments.lineage
    names = trail[: trail.index(last.name)] if last.name in trail else workspace.published()
    found = []
    for name in names:
        try:
            kept = Kept.load(workspace, name)
        except (ArtifactError, NotFoundError, OSError):
            continue  # pruned in this moment, or damaged: `kinfolk verify` tells
        if kept.name != last.name and kept.segments.lineage == wanted:
            members = replace(kept.segments.members, positions=np.empty((0, 2), np.float32))
            found.append(replace(kept, segments=replace(kept.segments, members=members)))
    if last.name not in trail:
        own = last.segments.generation
        found = [kept for kept in found if kept.segments.generation < own]
        found.sort(key=lambda kept: (kept.segments.generation, kept.published, kept.name))
    return [*found, last]


def served_before(workspace: Workspace, name: str) -> str:
    """The snapshot that was served before one. Raises NotFoundError where there is none, or none is kept."""
    trail = workspace.trail()
    earlier = trail[: trail.index(name)] if name in trail else []
    if not earlier:
        there = ", ".join(other for other in workspace.published() if other != name) or "none"
        raise NotFoundError(
            f"no snapshot before {name} is kept; name another one to compare it with (there are: {there})"
        )
    return earlier[-1]


@dataclass(frozen=True)
class SizeThen:
    """How large a segment was in a snapshot."""

    snapshot: str
    published: datetime
    size: int
    """Customers; 0 where there was no such segment."""


Trends = Mapping[int, tuple[SizeThen, ...]]
"""By segment: its size in every kept snapshot of the lineage, oldest first, since it was born."""


def trends(lineage: list[Kept]) -> Trends:
    """How the sizes of the last snapshot's segments came to be."""
    out = {}
    for segment in lineage[-1].sizes:
        then = [SizeThen(kept.name, kept.at, kept.sizes.get(segment, 0)) for kept in lineage]
        born = next(i for i, one in enumerate(then) if one.size)
        out[segment] = tuple(then[born:])
    return out


def change(trend: tuple[SizeThen, ...]) -> int | None:
    """Change of size since the snapshot before; None where the segment was not there."""
    return trend[-1].size - trend[-2].size if len(trend) > 1 else None


@dataclass(frozen=True)
class Stay:
    """Where a customer was in a snapshot."""

    snapshot: str
    published: datetime
    there: bool
    """Whether the customer was in the snapshot at all."""
    segment: int | None
    """None: in no segment."""
    strength: float | None


def stays(lineage: list[Kept], customer: str) -> list[Stay]:
    """A customer's segment in each snapshot, oldest first. Raises NotFoundError for one who is in none of them.

    An integer id has one text form, as in `Snapshot.row`.
    """
    out = []
    numbers = lineage[-1].embeddings.customers.dtype == pl.Int64
    if numbers and not WHOLE_NUMBER.fullmatch(customer):
        raise NotFoundError(f"no customer {customer[:100]!r}; ids here are whole numbers, such as 12")
    for kept in lineage:
        row = kept.embeddings.row_of(customer)
        label = -1 if row is None else int(kept.segments.labels[row])
        strength = float(kept.segments.strength[row]) if row is not None and label >= 0 else None
        out.append(Stay(kept.name, kept.at, row is not None, label if label >= 0 else None, strength))
    if not any(stay.there for stay in out):
        raise NotFoundError(f"no customer {customer[:100]!r} in snapshot {lineage[-1].name} or one before it")
    return out


class Lineages:
    """The lineage of the served snapshot, opened once: a request must not open every kept snapshot anew."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lock = workspace, threading.Lock()
        self._known: tuple[str, list[Kept]] | None = None

    def of(self, snapshot: Snapshot) -> list[Kept]:
        """The kept snapshots of its lineage up to a snapshot."""
        with self._lock:
            known = self._known
            # a kept snapshot may have been pruned since, or customers erased from it
            state = f"{snapshot.state} {self._workspace.last_erasure()}"
            if known is None or known[0] != state or not all(kept.folder.is_dir() for kept in known[1]):
                known = self._known = state, lineage_up_to(self._workspace, Kept.of(snapshot))
            return known[1]
