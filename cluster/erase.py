"""Customers taken out of segments. Everybody else keeps their segment, strength, part and place on the map.

Sizes and shares are counted anew, a typical customer who is erased gives way to the next one, and the map is drawn
again. A segment that nobody is left in is not told of any more; the registry buries it with the next generation, with
an event, as it does with any empty one. What sets a segment apart, its rule and what its weeks are like are figures of
many and stay.

**Landmarks.** A landmark is a customer's vector, seen in the space of the segments, so it goes, for good: also where
the customer had left before, as far as a kept snapshot of the same ground tells whose it was. Nobody is placed anew by
that. Whoever is placed later, since their behaviour changed, asks one landmark less where it stood: of the votes of
their `neighbours` nearest (15 by default), at most one for each erased landmark nearby comes from the next landmark
instead, which is what would have come out had the erased customer never been there. Reaches of the other landmarks and
the limit of isolation stay as measured. Moving the point on to another landmark was considered: it changes as many
votes, and a doubled point would go on telling that somebody was there.

n customers before, c landmarks before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.artifact import (
    COLUMNS,
    FIRST_COLUMNS,
    MEMBERS,
    PartProfile,
    SegmentProfile,
    Segments,
    profiles_of,
    write_members,
    write_profiles,
)
from cluster.fit import Membership
from cluster.landmarks import Ground
from cluster.profile import typical
from cluster.registry import Registry, Seen
from cluster.state import write_state
from embed.artifact import Embeddings
from store.artifact import ArtifactWriter
from store.erasures import Named
from store.reseal import reseal

Place = tuple[str, int, int]
"""Lineage, generation that found them, number: landmarks that are the same customers in the same order."""


@dataclass(frozen=True)
class ErasedSegments:
    """What was taken out of segments."""

    customers: int
    landmarks: int
    typical: int
    emptied: int
    """Segments that nobody is left in."""


def erased_landmarks(segments: Iterable[tuple[Path, np.ndarray]]) -> dict[Place, np.ndarray]:
    """bool [c] for each set of landmarks: which of them are of erased customers.

    `segments` are the folders of all kept ones, whose bytes were checked, with the customers bool [n] kept in each.
    Raises ArtifactError.
    """
    out: dict[Place, np.ndarray] = {}
    for folder, keep in segments:
        found = Segments.load(folder, deep=False)
        registry = found.registry()
        if registry is None or registry.ground is None:
            continue
        rows = registry.ground.landmarks.rows
        theirs = (rows >= 0) & ~keep[np.maximum(rows, 0)]
        place = _place(found, registry.ground)
        out[place] = out.get(place, np.zeros(len(rows), bool)) | theirs
    return out


def _place(segments: Segments, ground: Ground) -> Place:
    return segments.lineage, ground.since, len(ground.landmarks.rows)


def erase_segments(
    folder: Path,
    room: Path,
    keep: np.ndarray,
    after: Embeddings,
    landmarks: Mapping[Place, np.ndarray],
    who: Named,
) -> ErasedSegments:
    """Write the segments at `folder` at `room` for the customers `keep` bool [n] alone, as the artifact that they were.

    `after` are the embeddings of those who are kept. The bytes at `folder` were checked.
    """
    before = Segments.load(folder, deep=False)
    registry = before.registry()
    room.mkdir(parents=True)
    writer, members = ArtifactWriter(room), _members(before.members, keep)
    lost, ground = 0, None
    if registry is not None:
        ground = registry.ground
        if ground is not None:
            ground, lost = _ground(ground, keep, landmarks.get(_place(before, ground)))
        write_state(writer, _registry(registry, members, ground, keep), before.lineage)
    write_members(writer.path(MEMBERS), members, FIRST_COLUMNS if registry is None else COLUMNS)
    profiles = [profile for p in before.profiles if (profile := _profile(p, members, ground, before, keep, after, who))]
    profiles.sort(key=lambda profile: (-profile.size, profile.id))
    write_profiles(writer, members, profiles)
    n, unassigned = len(members.labels), int((members.labels < 0).sum())
    counts = {**before.manifest.counts, "customers": n, "segments": len(profiles), "unassigned": unassigned}
    gone = int((~keep).sum())
    reseal(room, before.manifest, gone, counts, unassigned_share=unassigned / n)
    named = sum(who.are(id) for profile in before.profiles for id in profile.typical)
    return ErasedSegments(gone, lost, named, len(before.profiles) - len(profiles))


def _members(before: Membership, keep: np.ndarray) -> Membership:
    return Membership(**{name: np.ascontiguousarray(column[keep]) for name, column in vars(before).items()})


def _registry(before: Registry, members: Membership, ground: Ground | None, keep: np.ndarray) -> Registry:
    rows = before.seen.rows
    stays = (rows < 0) | keep[np.maximum(rows, 0)]
    seen = Seen(_renumbered(rows[stays], keep), before.seen.found[stays])
    changed = before.changed.now(np.where(keep, np.cumsum(keep) - 1, -1))
    return replace(before, members=members, ground=ground, seen=seen, changed=changed)


def _ground(before: Ground, keep: np.ndarray, gone: np.ndarray | None) -> tuple[Ground | None, int]:
    """The ground without the landmarks `gone` bool [c], and how many these are; None where no landmark is left."""
    stays = np.ones(len(before.labels), bool) if gone is None else ~gone
    lost = int((~stays).sum())
    if not stays.any():
        return None, lost
    old = before.landmarks
    landmarks = replace(
        old,
        rows=_renumbered(old.rows[stays], keep),
        points=np.ascontiguousarray(old.points[stays]),
        reaches=np.ascontiguousarray(old.reaches[stays]),
    )
    flat = np.ascontiguousarray(before.flat[stays])
    left = {"labels": before.labels[stays], "part": before.part[stays], "flat": flat}
    return replace(before, landmarks=landmarks, **left), lost


def _renumbered(rows: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Rows among the customers who are kept; -1 for those who are gone."""
    now = np.where(keep, np.cumsum(keep) - 1, -1)
    return np.where(rows >= 0, now[np.maximum(rows, 0)], -1)


def _profile(
    profile: SegmentProfile,
    members: Membership,
    ground: Ground | None,
    before: Segments,
    keep: np.ndarray,
    after: Embeddings,
    who: Named,
) -> SegmentProfile | None:
    """A segment's profile as of those who are kept; None where nobody is left."""
    rows = np.flatnonzero(members.labels == profile.id)
    if not len(rows):
        return None
    profile = _blanked(profile, who)
    out = replace(profile, size=len(rows), share=len(rows) / len(members.labels))
    if (before.labels[~keep] == profile.id).any():
        part = members.part[rows]
        out = replace(
            out,
            strength=float(members.strength[rows].mean(dtype=np.float64)),
            parts=tuple(p for q in profile.parts if (p := _part(q, part)).size),
        )
    if any(who.are(id) for id in profile.typical):
        vectors = after.vectors[rows]
        space = ground.landmarks.space.of(vectors) if ground else vectors
        nearest = typical(space, np.arange(len(rows)), len(profile.typical))
        out = replace(out, typical=tuple(after.customers[int(rows[i])] for i in nearest))
    return out


def _part(part: PartProfile, numbers: np.ndarray) -> PartProfile:
    size = int((numbers == part.number).sum())
    return replace(part, size=size, share=size / len(numbers))


def _blanked(profile: SegmentProfile, who: Named) -> SegmentProfile:
    """The profile without ids in its words."""
    return profiles_of([_texts(asdict(profile), who)])[0] if who.telling else profile


def _texts(value: Any, who: Named, typical: bool = False) -> Any:
    if isinstance(value, str):
        return value if typical else who.blanked(value)
    if isinstance(value, dict):
        return {key: _texts(inner, who, key == "typical") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(inner, who, typical) for inner in value]
    return value
