"""Names of segments as they are in force: those that people gave, and made from behaviour where nobody did."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from cluster.artifact import SegmentProfile, Segments
from configs.errors import NotFoundError
from serve.snapshot import Snapshot
from store.catalogue import Catalogue
from store.records import SegmentName
from store.segment_names import SegmentNames, plainly

Names = Mapping[int, str]


def names_in_force(segments: Segments, catalogue: Catalogue) -> dict[int, str]:
    """The name of every segment of a snapshot, by its id."""
    return _in_force(segments, SegmentNames(catalogue).given(segments.lineage))


def _in_force(segments: Segments, given: Mapping[int, SegmentName]) -> dict[int, str]:
    """Given names as they are; another segment's name made from behaviour gives way where it has come to be equal."""
    taken = {plainly(name.name) for name in given.values()}
    names = {}
    for profile in sorted(segments.profiles, key=lambda p: p.id):
        if profile.id in given:
            names[profile.id] = given[profile.id].name
            continue
        name, number = profile.name, 1
        while plainly(name) in taken:
            number += 1
            name = f"{profile.name} ({number})"
        taken.add(plainly(name))
        names[profile.id] = name
    return names


def named(profile: SegmentProfile, names: Names) -> SegmentProfile:
    """A profile under the name in force."""
    return replace(profile, name=names.get(profile.id, profile.name))


def profile_of(segments: Segments, segment: int) -> SegmentProfile:
    """The segment with this id. Raises NotFoundError."""
    found = segments.profile(segment)
    if found is None:
        known = ", ".join(str(profile.id) for profile in sorted(segments.profiles, key=lambda p: p.id)) or "none"
        raise NotFoundError(f"no segment {segment} here; there are: {known}")
    return found


def rename(segments: Segments, segment: int, name: str, catalogue: Catalogue, actor: str) -> SegmentName:
    """Give a segment a name, which holds for every snapshot of the lineage, also for later ones. Audited.

    Raises NotFoundError for a segment that there is not, InputError for a name that cannot be one, ConflictError where
    another segment has it.
    """
    profile_of(segments, segment)
    others = {profile.id: profile.name for profile in segments.profiles}
    return SegmentNames(catalogue).rename(segments.lineage, segment, name, actor=actor, others=others)


class Naming(NamedTuple):
    """Names in force, as of a version of the register."""

    names: Names
    """Of the snapshot's segments."""
    version: int
    given: Names
    """Those that people gave to any segment of the lineage, also to ones that are gone."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What an answer's ETag says besides the snapshot."""
        return (f"n{self.version}",) if self.version else ()


def naming_of(segments: Segments, register: SegmentNames) -> Naming:
    """The names of some segments as they are now."""
    # the version first: a name given in between is then taken for new once more, and never for known
    version = register.version(segments.lineage)
    given = register.given(segments.lineage) if version else {}
    return Naming(_in_force(segments, given), version, {id: one.name for id, one in given.items()})


class Named:
    """Names in force, remembered for a moment: a request must not read the register each time."""

    def __init__(self, catalogue: Catalogue, seconds: float) -> None:
        self._register, self._seconds = SegmentNames(catalogue), seconds
        self._lock = threading.Lock()
        self._known: tuple[str, float, Naming] | None = None  # snapshot, when it was read, what it was

    def forget(self) -> None:
        """Read the register anew the next time: it was changed here."""
        with self._lock:
            self._known = None

    def of(self, snapshot: Snapshot) -> Naming:
        """The names of a snapshot's segments, at most `seconds` old."""
        with self._lock:
            known = self._known
        now = time.monotonic()
        if known is not None and known[0] == snapshot.state and now - known[1] < self._seconds:
            return known[2]
        naming = self.read(snapshot.segments)
        with self._lock:
            self._known = snapshot.state, now, naming
        return naming

    def read(self, segments: Segments) -> Naming:
        """The names of some segments as they are now."""
        return naming_of(segments, self._register)
