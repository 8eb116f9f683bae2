"""What segmenting writes.

<snapshot>/segments/
  members.arrow    segment (int32 id, -1 unassigned), strength (float32, 0 to 1), x, y (float32, the map),
                     second (int32 id of the next best segment, -1 none), second_strength (float32), part (int32, from
                     1, 0 none), home (int32, the segment when landmarks were taken, -1 none); row i is customer i.
                     Format 1: up to y only; early format 2: no home
  profiles.json    the segments: name, size, stability, what sets them apart, typical customers
  map.png          the map as a picture
  map.html         the map to zoom and hover, works offline
  registry.json, landmarks.arrow, space.safetensors, shadow.arrow
                     see `cluster.state`; not in format 1, where ids are those of one run
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
from cluster.definition import Definition
from cluster.events import SegmentEvent
from cluster.fit import Membership
from cluster.hierarchy import Join
from cluster.lately import Changed
from cluster.map import draw
from cluster.neighbours import Floats
from cluster.page import write_page
from cluster.profile import Driver
from cluster.registry import Registry
from cluster.stability import word
from cluster.state import day_of, read_changed, read_events, read_facts, read_registry, write_state
from configs.errors import ArtifactError
from store.artifact import ArtifactWriter, Manifest, create, verify

KIND, VERSION = "segments", 2
MEMBERS, PROFILES, PICTURE, PAGE = "members.arrow", "profiles.json", "map.png", "map.html"
FIRST_COLUMNS = ("segment", "strength", "x", "y")
SECOND_COLUMNS = (*FIRST_COLUMNS, "second", "second_strength", "part")
HOME = "home"
COLUMNS = (*SECOND_COLUMNS, HOME)


@dataclass(frozen=True)
class PartProfile:
    """What is known of a part of a segment."""

    number: int
    """From 1, the largest first."""
    name: str
    """What sets it apart from the rest of its segment."""
    size: int
    """Customers in it."""
    share: float
    """Its share of the segment."""
    stability: float
    """Mean best Jaccard over refits on subsamples, 0 to 1."""


@dataclass(frozen=True)
class SegmentProfile:
    """What is known of one segment."""

    id: int
    """Its identity, which stands in the labels: the same from snapshot to snapshot of one line, never used twice."""
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
    born: int = 1
    """The generation that it is first in."""
    definition: Definition | None = None
    """Who is in it, as a rule; None where there is none, as for a segment of most customers."""
    parts: tuple[PartProfile, ...] = ()
    """Finer groups inside it, the largest first; none where it does not fall into several that come back."""

    @property
    def standing(self) -> str:
        """firm, stable or tentative, by its stability."""
        return word(self.stability)


@dataclass(frozen=True, eq=False)
class Segments:
    """Every customer's segment, and what the segments are; row i is the same customer everywhere in a snapshot."""

    folder: Path
    manifest: Manifest
    members: Membership
    profiles: tuple[SegmentProfile, ...]
    """The segments, largest first."""

    lineage: str
    """The line of snapshots along which ids mean the same segment."""
    generation: int
    """Segmentations along this line, from 1."""
    events: tuple[SegmentEvent, ...]
    """What happened to segments along this line, oldest first."""
    joins: tuple[Join, ...]
    """How segments make up coarser groups, see `cluster.hierarchy.groups_of`."""

    @property
    def labels(self) -> Labels:
        """int32 [n], a segment's id or -1 for unassigned."""
        return self.members.labels

    @property
    def strength(self) -> Floats:
        """float32 [n], 0 to 1: share of a customer's neighbours that are in its segment; 0 where unassigned."""
        return self.members.strength

    @property
    def positions(self) -> Floats:
        """float32 [n, 2], the map."""
        return self.members.positions

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
        members, profiles = _members(folder, manifest), _profiles(folder / PROFILES)
        if manifest.version == 1:
            return cls(folder, manifest, members, profiles, manifest.key, 1, (), ())
        told = read_facts(folder)
        joins = tuple((a, b) for a, b in told["joins"])
        return cls(folder, manifest, members, profiles, told["lineage"], told["generation"], read_events(told), joins)

    def registry(self) -> Registry | None:
        """The registry to go on from; None in format 1. Raises ArtifactError."""
        if self.manifest.version == 1:
            return None
        return read_registry(self.folder, self.members)

    def changed(self) -> Changed:
        """Who has lived differently lately; nobody where that was not asked. Raises ArtifactError."""
        return Changed.nobody() if self.manifest.version == 1 else read_changed(self.folder, read_facts(self.folder))


def day_along_line(folder: Path) -> int | None:
    """The day along their line (`Registry.day`) of the segments at `folder`; None in format 1. Raises ArtifactError."""
    return None if verify(folder, KIND, VERSION, deep=False).version == 1 else day_of(read_facts(folder))


def write_segments(
    folder: Path,
    key: str,
    registry: Registry,
    lineage: str,
    profiles: Sequence[SegmentProfile],
    parents: Mapping[str, str],
    figures: Mapping[str, Any] | None = None,
) -> Segments:
    """Write segments, pictures included, as one finished artifact at `folder`, and read them.

    Raises StorageError on a full disk.
    """
    members = registry.members
    n, unassigned = len(members.labels), int((members.labels < 0).sum())
    with create(folder, KIND, VERSION, key) as writer:
        write_members(writer.path(MEMBERS), members, COLUMNS)
        write_state(writer, registry, lineage)
        write_profiles(writer, members, profiles)
        writer.parents.update(parents)
        writer.counts.update(customers=n, segments=len(profiles), unassigned=unassigned)
        writer.figures.update(
            registry.figures, message=registry.message, unassigned_share=unassigned / n, **(figures or {})
        )
    return Segments.load(folder, deep=False)


def write_members(path: Path, members: Membership, columns: Sequence[str]) -> None:
    """Write everybody's place in the segments; `columns` are those of the format."""
    place = (members.positions[:, 0], members.positions[:, 1])
    rest = (members.second, members.second_strength, members.part, members.home)
    told = dict(zip(COLUMNS, map(pa.array, (members.labels, members.strength, *place, *rest)), strict=True))
    table = pa.table({name: told[name] for name in columns})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)


def write_profiles(writer: ArtifactWriter, members: Membership, profiles: Sequence[SegmentProfile]) -> None:
    """Write what is known of the segments, and the map as picture and page."""
    n, unassigned = len(members.labels), int((members.labels < 0).sum())
    names, ids = [profile.name for profile in profiles], [profile.id for profile in profiles]
    title = f"{n:,} customers, {len(profiles)} segment{'' if len(profiles) == 1 else 's'}, {unassigned / n:.0%} in none"
    writer.write_json(PROFILES, [asdict(profile) for profile in profiles])
    draw(writer.path(PICTURE), members.positions, members.labels, names, title, ids)
    notes = [f"{p.size:,} customers ({p.share:.1%}), {p.standing}" for p in profiles]
    write_page(writer.path(PAGE), members.positions, members.labels, names, notes, title, ids)


def _members(folder: Path, manifest: Manifest) -> Membership:
    path = folder / MEMBERS
    try:
        with pa.ipc.open_file(pa.memory_map(str(path), "r")) as reader:
            table = reader.read_all()
        wanted = FIRST_COLUMNS if manifest.version == 1 else COLUMNS if HOME in table.column_names else SECOND_COLUMNS
        columns = {name: table[name].to_numpy() for name in wanted}
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise ArtifactError(f"{path}: not a readable table of members ({error}); rebuild the segments") from None
    n = len(columns["segment"])
    if n != manifest.counts["customers"]:
        raise ArtifactError(f"{path}: {n} rows, its manifest says {manifest.counts['customers']}; rebuild the segments")
    empty = Membership.empty(n)
    return Membership(
        labels=columns["segment"],
        strength=columns["strength"],
        second=columns.get("second", empty.second),
        second_strength=columns.get("second_strength", empty.second_strength),
        part=columns.get("part", empty.part),
        positions=np.column_stack([columns["x"], columns["y"]]),
        home=columns.get(HOME, columns["segment"]),
    )


def profiles_of(told: Sequence[Mapping[str, Any]]) -> tuple[SegmentProfile, ...]:
    """Profiles from their JSON values."""
    return tuple(
        SegmentProfile(
            **{
                **fields,
                "drivers": tuple(Driver(**driver) for driver in fields["drivers"]),
                "typical": tuple(fields["typical"]),
                "definition": Definition.of(fields["definition"]) if fields.get("definition") else None,
                "parts": tuple(PartProfile(**part) for part in fields.get("parts", ())),
            }
        )
        for fields in told
    )


def _profiles(path: Path) -> tuple[SegmentProfile, ...]:
    try:
        return profiles_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not a readable list of segments ({error}); rebuild the segments") from None
