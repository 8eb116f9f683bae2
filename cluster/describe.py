"""All that is told of the segments: names, definitions, what sets them apart, typical customers, parts.

n customers, s segments.
"""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from cluster.artifact import PartProfile, SegmentProfile
from cluster.config import SegmentsConfig
from cluster.definition import definitions
from cluster.fit import broad_of
from cluster.identity import Identity
from cluster.names import name_new, names_of, terse_fields
from cluster.profile import Driver, drivers, typical
from cluster.registry import Registry
from cluster.vote import compact
from embed.artifact import Embeddings
from embed.customers import lots
from eventlog.behaviour import Behaviour

LOOKED_AT = 100_000
"""Customers, at most, whose behaviours drivers are told from, and among whom typical ones are looked for."""
LEAST_LOOKED_AT = 1_000
"""Members below whom all of a segment's are looked at."""
DRIVERS_FOR_NAMES = 30
"""Drivers looked at for a name: more than are listed, so that segments that are alike can be told apart."""


def describe(
    registry: Registry,
    embeddings: Embeddings,
    behaviour: Behaviour,
    config: SegmentsConfig,
    aside: Collection[str] = (),
    before: Sequence[SegmentProfile] = (),
    *,
    seek: bool = True,
) -> list[SegmentProfile]:
    """A profile per segment, the largest first, named and defined without the fields `aside`.

    A segment that has a profile `before` keeps its name, and its definition for as long as no other is clearly better;
    where not `seek`, for as long as it has not become worse.
    """
    members, ids = registry.members, registry.ids
    labels, known = compact(members.labels, ids), {profile.id: profile for profile in before}
    some = _some(embeddings, config.seed)
    looked = behaviour if some is None else Behaviour(behaviour.features, behaviour.matrix[some])
    of_some = labels if some is None else labels[some]
    told = drivers(looked, of_some, len(ids), max(config.drivers, DRIVERS_FOR_NAMES))
    names = _names(told, ids, labels, behaviour, aside, known.values())
    defined = definitions(
        behaviour,
        members.labels,
        ids,
        config.seed,
        aside,
        {id: profile.definition for id, profile in known.items() if profile.definition is not None},
        seek=seek,
    )
    profiles = []
    for position, segment in enumerate(registry.segments):
        rows = np.flatnonzero(labels == position)
        profiles.append(
            SegmentProfile(
                id=segment.id,
                name=names[segment.id],
                size=len(rows),
                share=len(rows) / len(labels),
                stability=segment.stability,
                strength=float(members.strength[rows].mean(dtype=np.float64)),
                drivers=told[position][: config.drivers],
                typical=_typical(registry, embeddings, _few(rows, some), config.typical),
                born=segment.born,
                definition=defined[position],
                parts=_parts(segment, members.part, rows, behaviour, aside),
            )
        )
    return sorted(profiles, key=lambda profile: (-profile.size, profile.id))


def _some(embeddings: Embeddings, seed: int) -> npt.NDArray[np.int64] | None:
    """Ascending rows of the customers whose behaviours are looked at, drawn by their ids; None: all of them.

    Medians of hundreds of features over millions would take longer than all else of a night; a segment of two in a
    thousand still has two hundred customers among these.
    """
    if embeddings.n_customers <= LOOKED_AT:
        return None
    return np.sort(np.argpartition(lots(embeddings.customers, seed), LOOKED_AT)[:LOOKED_AT])


def _few(rows: npt.NDArray[np.int64], some: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
    """Those of a segment's members who are looked at; all where they would be too few to find typical ones among."""
    among = rows if some is None else np.intersect1d(rows, some, assume_unique=True)
    return among if len(among) >= LEAST_LOOKED_AT else rows


def _names(
    told: Sequence[Sequence[Driver]],
    ids: Sequence[int],
    labels: npt.NDArray[np.int32],
    behaviour: Behaviour,
    aside: Collection[str],
    before: Collection[SegmentProfile],
) -> dict[int, str]:
    """Names by id: kept ones, and new ones that no other segment has or had in the snapshot before."""
    telling = {id: [d for d in of_one if d.field not in aside] for id, of_one in zip(ids, told, strict=True)}
    kept = {profile.id: profile.name for profile in before if profile.id in telling}
    taken = [profile.name for profile in before if profile.id not in telling]
    broad = broad_of(labels, len(ids))
    new = name_new(telling, kept, taken, terse_fields(behaviour.features), None if broad is None else ids[broad])
    return kept | new


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
