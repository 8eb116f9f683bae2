"""Segments in few groups, for those who want few; remembered by the service, since naming groups takes a while."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cluster.artifact import Segments
from cluster.groups import about
from cluster.hierarchy import groups_of
from configs.errors import InputError
from eventlog.behaviour import Behaviour
from serve.segment_names import Names, Naming
from serve.snapshot import Snapshot

COARSE = 7
"""How many groups a segment's own group is told of, where nothing else is asked."""
REMEMBERED = 16
WITHOUT = (
    "these segments were found by an earlier version of kinfolk, which did not keep how segments make up coarser "
    "groups; the next `kinfolk run` keeps it"
)


def in_groups(segments: Segments, behaviour: Behaviour, number: int, names: Names) -> list[dict[str, Any]]:
    """The segments in about `number` groups as JSON values, the largest first; `names` are those in force.

    Raises InputError for less than one, and for a snapshot that does not know how segments make up groups.
    """
    if 1 <= number < len(segments.profiles) and not _known(segments):
        raise InputError(f"about {number} groups are asked for, but {WITHOUT}")
    return [{**asdict(group), "segments": list(group.segments)} for group in about(segments, behaviour, number, names)]


def companions(segments: Segments, number: int = COARSE) -> Mapping[int, list[int]]:
    """For each segment, all the segments of its group where there are about `number`, ascending, itself among them.

    Empty for a snapshot that does not know how segments make up groups.
    """
    if not _known(segments):
        return {}
    ids = sorted(profile.id for profile in segments.profiles)
    of = groups_of(ids, segments.joins, number)
    return {segment: [other for other in ids if of[other] == of[segment]] for segment in ids}


def _known(segments: Segments) -> bool:
    return segments.manifest.version > 1


class Groups:
    """Groups that were made lately; made one after the other, since nobody needs the same ones twice."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, snapshot: Snapshot, number: int, naming: Naming) -> list[dict[str, Any]]:
        """About `number` groups of a snapshot's segments, see `in_groups`."""
        # as many as there are segments is the most
        number = min(number, max(len(snapshot.segments.profiles), 1))
        key = (snapshot.state, number, naming.version)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = in_groups(snapshot.segments, snapshot.behaviour, number, naming.names)
            self._kept.move_to_end(key)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
            return self._kept[key]
