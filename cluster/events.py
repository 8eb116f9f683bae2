"""What happened to segments: born, split, merged, died; each with its evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["born", "split", "merged", "died"]


@dataclass(frozen=True)
class SegmentEvent:
    """One change of the set of segments. Segments are known by their ids, which are never used twice."""

    kind: Kind
    segment: int
    """The segment that was born, that split, that was merged into another, or that died."""
    others: tuple[int, ...]
    """split: the new segments that left it; merged: the one that it went into; born and died: none."""
    generation: int
    """The segmentation, counted from 1 along the line of snapshots, that it first shows in."""
    evidence: Mapping[str, float]
    """What it was decided on, by name: members (customers), agreement (Jaccard of two shadows), and others."""
