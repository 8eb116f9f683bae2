"""Which snapshots' segment ids mean the same, and what happened to segments along the way."""

from typing import Any

from cluster.artifact import Segments
from cluster.events import SegmentEvent


def lineage_of(segments: Segments) -> str:
    """Id of the line of snapshots in which ids mean the same; segments without a registry are a line by themselves."""
    return str(_kept(segments, "lineage") or segments.key)


def generation_of(segments: Segments) -> int:
    """How many segmentations there were along the line, this one included."""
    return int(_kept(segments, "generation") or 1)


def events_of(segments: Segments) -> tuple[SegmentEvent, ...]:
    """Everything that happened to segments along the line so far, oldest first."""
    return tuple(
        event if isinstance(event, SegmentEvent) else SegmentEvent(**{**event, "others": tuple(event["others"])})
        for event in _kept(segments, "events") or ()
    )


def _kept(segments: Segments, name: str) -> Any:
    return getattr(segments, name, None) or segments.manifest.figures.get(name)
