"""The ledger of a generation: segments and members while they are changed, and what happened to them.

n customers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cluster.clusters import Labels
from cluster.events import Kind, SegmentEvent
from cluster.fit import Membership
from cluster.hierarchy import Join, without
from cluster.identity import Identity
from cluster.shadow import GIVEN


@dataclass
class Ledger:
    """The segments in the middle of a generation; its arrays are changed in place."""

    generation: int
    next_id: int
    segments: list[Identity]
    joins: tuple[Join, ...]
    members: Membership
    before: Labels
    """int32 [n]: the segments that customers came into this generation with, brought up to date with every change."""
    day: int = 1
    """See `Registry.day`."""
    events: list[SegmentEvent] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        """Ids of the segments, ascending."""
        return sorted(segment.id for segment in self.segments)

    def size(self, segment: int) -> int:
        """Customers in a segment now."""
        return int((self.members.labels == segment).sum())

    def note(self, kind: Kind, segment: int, others: Sequence[int], evidence: Mapping[str, float]) -> None:
        """Note what happened."""
        told = {name: round(float(value), 4) for name, value in evidence.items()}
        self.events.append(SegmentEvent(kind, segment, tuple(others), self.generation, told))

    def new(self, stability: float, parts: tuple[float, ...]) -> int:
        """A segment with an id that was never used."""
        self.segments.append(Identity(self.next_id, self.generation, stability, parts))
        self.next_id += 1
        return self.next_id - 1

    def relabel(self, segment: int, into: int) -> None:
        """Send all members of a segment into another one, -1 for none."""
        # parts are those of one segment: nobody takes theirs along
        self.members.part[self.members.labels == segment] = 0
        for labels in (self.members.labels, self.members.home, self.before):
            labels[labels == segment] = into
        gone = self.members.second == segment
        self.members.second[gone] = -1
        self.members.second_strength[gone] = 0
        self.members.strength[self.members.labels < 0] = 0

    def remove(self, segment: int, into: int | None = None) -> None:
        """End a segment whose members were sent elsewhere."""
        self.segments = [known for known in self.segments if known.id != segment]
        self.joins = without(self.joins, segment, into)

    def heirs(self) -> dict[int, int]:
        """Segments that ended in this generation and what became of each, -1 for nothing."""
        ended = [event for event in self.events if event.kind in ("merged", "died")]
        return {event.segment: event.others[0] if event.others else -1 for event in ended}

    def after_events(self, labels: Labels) -> Labels:
        """Labels of this generation's beginning without the segments that ended in it."""
        out = labels.copy()
        for segment, heir in self.heirs().items():
            out[labels == segment] = heir
        return out

    def bury_empty(self) -> None:
        """End the segments that nobody is left in: merged where most of their members went one way, else died."""
        for segment in [known.id for known in self.segments if self.size(known.id) == 0]:
            went = self.members.labels[self.before == segment]
            sizes = np.bincount(went[went >= 0], minlength=1)
            into = int(sizes.argmax())
            if len(went) and sizes[into] >= GIVEN * len(went):
                self.note("merged", segment, (into,), {"members": len(went), "given": sizes[into] / len(went)})
                self.relabel(segment, into)
                self.remove(segment, into)
            else:
                self.note("died", segment, (), {"members": 0})
                self.relabel(segment, -1)
                self.remove(segment)
