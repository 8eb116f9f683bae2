"""What segmenting writes.

<snapshot>/segments/
  members.arrow    segment (int32, -1 unassigned), strength (float32, 0 to 1), x, y (float32, the map);
                     row i is customer i
  profiles.json    the segments: name, size, stability, what sets them apart, typical customers
  map.png          the map as a picture
  map.html         the map to zoom and hover, works offline
  manifest.json
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from cluster.clusters import Labels
from cluster.fit import Fit
from cluster.map import draw
from cluster.neighbours import Floats
from cluster.page import write_page
from cluster.profile import Driver
from cluster.stability import word
from configs.errors import ArtifactError
from store.artifact import Manifest, create, verify

KIND, VERSION = "segments", 1
MEMBERS, PROFILES, PICTURE, PAGE = "members.arrow", "profiles.json", "map.png", "map.html"
COLUMNS = ("segment", "strength", "x", "y")


@dataclass(frozen=True)
class SegmentProfile:
    """What is known of one segment."""

    id: int
    """The number that stands in the labels."""
    name: str
    """Readable and unique among the segments."""
    size: int
    """Customers in it."""
    share: float
    """Its share of all customers."""
    stability: float
    """Mean best Jaccard over refits on subsamples, 0 to 1."""
    strength: float
    """Mean membership strength, 0 to 1."""
    drivers: tuple[Driver, ...]
    """The behaviours that set it apart, strongest first."""
    typical: tuple[int | str, ...]
    """Ids of its most typical customers, most typical first."""

    @property
    def standing(self) -> str:
        """firm, stable or tentative, by its stability."""
        return word(self.stability)


@dataclass(frozen=True, eq=False)
class Segments:
    """Every customer's segment, and what the segments are; row i is the same customer everywhere in a snapshot."""

    folder: Path
    manifest: Manifest
    labels: Labels
    """int32 [n], a segment's id or -1 for unassigned."""
    strength: Floats
    """float32 [n], 0 to 1: share of a customer's neighbours that are in its segment; 0 where unassigned."""
    positions: Floats
    """float32 [n, 2], the map."""
    profiles: tuple[SegmentProfile, ...]
    """The segments, largest first."""

    @property
    def key(self) -> str:
        """Key of everything that the segments were made from."""
        return self.manifest.key

    @property
    def unassigned_share(self) -> float:
        """Share of customers in no segment."""
        return float(self.manifest.figures["unassigned_share"])

    @property
    def message(self) -> str:
        """Why there are no segments, only one, or one with most customers; empty otherwise."""
        return str(self.manifest.figures["message"])

    @property
    def picture(self) -> Path:
        """The map as a PNG."""
        return self.folder / PICTURE

    @property
    def page(self) -> Path:
        """The map as an interactive HTML page."""
        return self.folder / PAGE

    def profile(self, segment: int) -> SegmentProfile | None:
        """The profile of the segment with this id, None where there is none."""
        return next((p for p in self.profiles if p.id == segment), None)

    @classmethod
    def load(cls, folder: Path, *, deep: bool = True) -> Self:
        """Read the segments at `folder`; `deep` checks every byte against the manifest.

        Raises ArtifactError naming the file that is missing or damaged.
        """
        manifest = verify(folder, KIND, VERSION, deep=deep)
        path = folder / MEMBERS
        try:
            with pa.ipc.open_file(pa.memory_map(str(path), "r")) as reader:
                table = reader.read_all().select(COLUMNS)
            segment, strength, x, y = (column.to_numpy() for column in table.columns)
        except (pa.ArrowInvalid, KeyError, OSError) as error:
            raise ArtifactError(f"{path}: not a readable table of members ({error}); rebuild the segments") from None
        if len(segment) != manifest.counts["customers"]:
            raise ArtifactError(
                f"{path}: {len(segment)} rows, its manifest says {manifest.counts['customers']}; rebuild the segments"
            )
        return cls(folder, manifest, segment, strength, np.column_stack([x, y]), _profiles(folder / PROFILES))


def write_segments(
    folder: Path,
    key: str,
    fit: Fit,
    profiles: Sequence[SegmentProfile],
    parents: Mapping[str, str],
    figures: Mapping[str, Any] | None = None,
) -> Segments:
    """Write segments, pictures included, as one finished artifact at `folder`, and read them.

    Raises StorageError on a full disk.
    """
    unassigned = int((fit.labels < 0).sum())
    n, names = len(fit.labels), [profile.name for profile in profiles]
    title = f"{n:,} customers, {len(profiles)} segment{'' if len(profiles) == 1 else 's'}, {unassigned / n:.0%} in none"
    with create(folder, KIND, VERSION, key) as writer:
        columns = (fit.labels, fit.strength, fit.positions[:, 0], fit.positions[:, 1])
        table = pa.table(dict(zip(COLUMNS, map(pa.array, columns), strict=True)))
        with pa.OSFile(str(writer.path(MEMBERS)), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
        writer.write_json(PROFILES, [asdict(profile) for profile in profiles])
        draw(writer.path(PICTURE), fit.positions, fit.labels, names, title)
        notes = [f"{p.size:,} customers ({p.share:.1%}), {p.standing}" for p in profiles]
        write_page(writer.path(PAGE), fit.positions, fit.labels, names, notes, title)
        writer.parents.update(parents)
        writer.counts.update(customers=n, segments=len(profiles), unassigned=unassigned)
        writer.figures.update(fit.figures, message=fit.message, unassigned_share=unassigned / n, **(figures or {}))
    return Segments.load(folder, deep=False)


def _profiles(path: Path) -> tuple[SegmentProfile, ...]:
    try:
        return tuple(
            SegmentProfile(
                **{
                    **fields,
                    "drivers": tuple(Driver(**driver) for driver in fields["drivers"]),
                    "typical": tuple(fields["typical"]),
                }
            )
            for fields in json.loads(path.read_text(encoding="utf-8"))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not a readable list of segments ({error}); rebuild the segments") from None
