"""What is told of segments as JSON values: the same over HTTP and on the command line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from cluster.artifact import SegmentProfile
from cluster.definition import Definition
from cluster.events import SegmentEvent
from cluster.stability import word
from serve.lineage import Kept, Trends, change, trends
from serve.moves import event_facts
from serve.segment_groups import COARSE, companions
from serve.segment_names import Names, Naming, named

CustomerId = int | str


@dataclass(frozen=True, eq=False)
class Told:
    """A snapshot's segments with their past, under the names in force."""

    lineage: Sequence[Kept]
    """The kept snapshots of the line up to this one, which is the last."""
    naming: Naming
    may_name: Callable[[CustomerId], bool] = lambda customer: False
    """Whether a typical customer may be named: not those who objected, and to nobody who may not read lists."""

    @property
    def kept(self) -> Kept:
        """The snapshot itself."""
        return self.lineage[-1]

    @cached_property
    def trends(self) -> Trends:
        """Sizes over time."""
        return trends(list(self.lineage))

    @cached_property
    def names(self) -> Names:
        """A name for every segment that can be named, also for those that are gone."""
        made = {profile.id: profile.name for kept in self.lineage for profile in kept.segments.profiles}
        return {**made, **self.naming.given, **self.naming.names}

    def profile(self, profile: SegmentProfile) -> SegmentProfile:
        """A segment under the name in force."""
        return named(profile, self.naming.names)

    @property
    def latest(self) -> list[SegmentEvent]:
        """What happened to segments in the newest generation."""
        segments = self.kept.segments
        return [event for event in segments.events if event.generation == segments.generation]

    def events_of(self, segment: int) -> list[SegmentEvent]:
        """What happened to one segment along the line, oldest first."""
        return [event for event in self.kept.segments.events if segment in (event.segment, *event.others)]

    def listing(self, about: int | None = None) -> dict[str, Any]:
        """All segments, the largest first; a segment's `group` is that where there are `about` so many."""
        segments = self.kept.segments
        n, unassigned = len(segments.labels), int((segments.labels < 0).sum())
        groups = companions(segments, about or COARSE)
        return {
            "snapshot": self.kept.name,
            "customers": n,
            "unassigned": unassigned,
            "unassigned_share": unassigned / n,
            "message": segments.message or None,
            "generation": segments.generation,
            "events": [event_facts(event, self.names) for event in self.latest],
            "segments": [self._of(profile, groups) for profile in segments.profiles],
        }

    def one(self, profile: SegmentProfile) -> dict[str, Any]:
        """All that is told of one segment."""
        return self._of(profile, companions(self.kept.segments))

    def _of(self, profile: SegmentProfile, groups: Mapping[int, list[int]]) -> dict[str, Any]:
        sizes = self.trends[profile.id]
        return {
            "snapshot": self.kept.name,
            **asdict(self.profile(profile)),
            "typical": [customer for customer in profile.typical if self.may_name(customer)],
            "standing": profile.standing,
            "parts": [{**asdict(part), "standing": word(part.stability)} for part in profile.parts],
            "group": groups.get(profile.id),
            "change": change(sizes),
            "sizes": [{**asdict(then), "published": then.published.isoformat()} for then in sizes],
            "events": [event_facts(event, self.names) for event in self.events_of(profile.id)],
        }


def how_well(definition: Definition) -> str:
    """Precision and recall of a definition in words."""
    precision, recall = (f"{round(100 * figure)} %" for figure in (definition.precision, definition.recall))
    return f"precision {precision}, recall {recall} on customers it was not sought on"
