"""One published snapshot with all its parts, ready to answer from. Immutable: it may be read from many threads."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from cluster.artifact import SegmentProfile, Segments
from configs.errors import ArtifactError, NotFoundError
from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour, load_behaviour
from index.artifact import load_index
from index.eligibility import in_segments
from index.search import SearchIndex
from store.artifact import MANIFEST, Manifest
from store.workspace import Workspace

WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
"""The one text form of an integer id: no sign, space or zero in front."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that one night produced; row i is the same customer in every part."""

    name: str
    folder: Path
    manifest: Manifest
    published: float
    """When it was sealed, seconds since 1970 UTC: the modification time of its manifest."""
    embeddings: Embeddings
    index: SearchIndex
    behaviour: Behaviour
    segments: Segments

    @classmethod
    def load(cls, workspace: Workspace, name: str | None = None, *, deep: bool = True, share: float = 1.0) -> Self:
        """Open a published snapshot, the served one where no name is given.

        `deep` checks every byte of every file against the manifests, with that `share` of one processor. Raises
        NotFoundError, and ArtifactError naming the file where something is damaged or the parts do not belong together.
        """
        folder = workspace.snapshot_folder(name)
        # each part's own manifest is a file of the snapshot, so one deep pass here covers the parts' files too
        manifest = workspace.verify_snapshot(folder.name, deep=deep, share=share)
        embeddings = Embeddings.load(folder / "embeddings", deep=False)
        snapshot = cls(
            folder.name,
            folder,
            manifest,
            (folder / MANIFEST).stat().st_mtime,
            embeddings,
            load_index(folder / "index", embeddings, deep=False),
            load_behaviour(folder / "behaviour", deep=False),
            Segments.load(folder / "segments", deep=False),
        )
        snapshot._check()
        return snapshot

    @property
    def state(self) -> str:
        """What tells its bytes from those that it had before customers were erased: its name, and how many were."""
        erased = int(self.manifest.figures.get("erased", 0))
        return f"{self.name}-{erased}" if erased else self.name

    @property
    def mapped(self) -> tuple[npt.NDArray[np.generic], ...]:
        """What is large and may lie in mapped files, the vectors first."""
        parts = (self.embeddings.vectors, self.embeddings.states.matrix, self.behaviour.matrix)
        return tuple(part for part in parts if isinstance(part, np.ndarray))

    @property
    def n_customers(self) -> int:
        """How many customers there are."""
        return self.embeddings.n_customers

    @property
    def customer_type(self) -> Literal["integer", "string"]:
        """Type of the ids as in the source: integer or string."""
        return "integer" if self.embeddings.customers.dtype == pl.Int64 else "string"

    @property
    def published_at(self) -> datetime:
        """When it was sealed, UTC."""
        return datetime.fromtimestamp(self.published, UTC)

    @property
    def recall(self) -> float | None:
        """Recall of the index against exact search, as measured when it was built."""
        recall = self.index.manifest.figures.get("recall")
        return None if recall is None else float(recall)

    def neighbours(
        self,
        row: int,
        k: int,
        segments: Collection[int] = (),
        not_segments: Collection[int] = (),
        objected: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[list[int], list[float]]:
        """Rows and similarities of the `k` customers most like one, the most similar first; fewer where no more are.

        Of certain segments only, or not of some, where asked; see `inside`. Raises InputError as that does. Customers
        who `objected`, bool [n], are left out.
        """
        allowed = self.inside(segments, not_segments)
        if objected is not None:
            allowed = ~objected if allowed is None else allowed & ~objected
        rows, similarity = self.index.similar(np.array([row]), min(k, self.n_customers), allowed)
        there = int(np.count_nonzero(rows[0] >= 0))
        return rows[0, :there].tolist(), similarity[0, :there].tolist()

    @cached_property
    def unassigned_share(self) -> float:
        """Share of customers in no segment."""
        return float(np.mean(self.segments.labels < 0))

    def row(self, customer: str) -> int:
        """The row of the customer whose id, as text, is exactly this. Raises NotFoundError.

        An integer id has one text form: "12" finds customer 12, "012", "+12" and " 12" find nobody.
        """
        if self.customer_type == "integer" and not WHOLE_NUMBER.fullmatch(customer):
            raise NotFoundError(f"no customer {customer[:100]!r}; ids here are whole numbers, such as 12")
        row = self.embeddings.row_of(customer)
        if row is None:
            raise NotFoundError(f"no customer {customer[:100]!r} in snapshot {self.name}")
        return row

    def customer(self, row: int) -> int | str:
        """The id of the customer in a row, in the source's type."""
        found: int | str = self.embeddings.customers[row]
        return found

    def profile(self, segment: int) -> SegmentProfile:
        """A segment by its number. Raises NotFoundError."""
        profile = self._profiles.get(segment)
        if profile is None:
            known = ", ".join(str(number) for number in sorted(self._profiles)[:20]) or "none"
            raise NotFoundError(f"no segment {segment} in snapshot {self.name}; there are: {known}")
        return profile

    def label(self, row: int) -> int | None:
        """The number of a customer's segment, None where they are in none."""
        label = int(self.segments.labels[row])
        return label if label >= 0 else None

    def segment_of(self, row: int) -> SegmentProfile | None:
        """The segment of a customer, None where they are in none."""
        return self._profiles.get(int(self.segments.labels[row]))

    def members(self, segment: int) -> npt.NDArray[np.int64]:
        """The rows of a segment's customers, ascending, which is by id. Raises NotFoundError."""
        self.profile(segment)
        order, labels = self._by_segment
        first, last = np.searchsorted(labels, [segment, segment + 1])
        return order[first:last]

    def inside(self, segments: Collection[int], not_segments: Collection[int]) -> npt.NDArray[np.bool_] | None:
        """bool [n]: who is in certain segments, None where nothing is asked; see `index.eligibility.in_segments`."""
        return in_segments(segments, not_segments, self.segments.labels, self._profiles)

    @cached_property
    def _profiles(self) -> dict[int, SegmentProfile]:
        return {profile.id: profile for profile in self.segments.profiles}

    @cached_property
    def _by_segment(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Rows ordered by (segment, row), and the segment of each."""
        order = np.argsort(self.segments.labels, kind="stable")
        return order, self.segments.labels[order]

    def _check(self) -> None:
        """Raise ArtifactError where the parts are not of one population."""
        counts = {
            "embeddings": self.n_customers,
            "behaviour": len(self.behaviour.matrix),
            "segments": len(self.segments.labels),
        }
        if len(set(counts.values())) > 1:
            raise ArtifactError(f"{self.folder}: its parts hold different numbers of customers {counts}; rebuild it")
