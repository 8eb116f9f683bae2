"""Segments before and after a night, as its report tells them."""

from cluster.moves import ABSENT
from serve.lineage import Kept
from serve.moves import APART, Comparison, told
from serve.night_report import Flow, SegmentThen
from serve.segment_names import names_in_force
from store.catalogue import Catalogue
from store.workspace import Workspace

MOST_FLOWS = 400
"""Streams between segments that a report tells, the largest ones."""


def compared(workspace: Workspace, catalogue: Catalogue, earlier: str, later: str) -> Comparison:
    """Two snapshots with the names in force of their segments."""
    first, last = Kept.load(workspace, earlier), Kept.load(workspace, later)
    return Comparison(
        first, last, (names_in_force(first.segments, catalogue), names_in_force(last.segments, catalogue))
    )


def segments_then(comparison: Comparison) -> tuple[SegmentThen, ...]:
    """Every segment of either snapshot, the largest of the later one first; ids that mean nothing to each other are
    told apart as one that went and one that came."""
    before, now = comparison.earlier.sizes, comparison.later.sizes
    old, new = comparison.names
    if not comparison.one_lineage:
        gone = [SegmentThen(id, old[id], size, 0) for id, size in before.items()]
        return (*(SegmentThen(id, new[id], 0, size) for id, size in now.items()), *gone)
    ids = sorted({*before, *now}, key=lambda id: (-now.get(id, 0), -before.get(id, 0), id))
    return tuple(SegmentThen(id, {**old, **new}[id], before.get(id, 0), now.get(id, 0)) for id in ids)


def flows(comparison: Comparison) -> tuple[Flow, ...]:
    """How many customers went from one segment to another, the most first; none where ids are not comparable."""
    if not comparison.one_lineage:
        return ()
    matrix = comparison.matrix
    found = [
        Flow(source, target, int(matrix.counts[i, j]))
        for i, source in enumerate(matrix.before)
        for j, target in enumerate(matrix.after)
        if source != target and matrix.counts[i, j] and (source, target) != (ABSENT, ABSENT)
    ]
    return tuple(sorted(found, key=lambda flow: (-flow.customers, flow.source, flow.target))[:MOST_FLOWS])


def happened(comparison: Comparison) -> tuple[str, ...]:
    """What happened to segments, a sentence each with its evidence."""
    if not comparison.one_lineage:
        return (APART,)
    old, new = comparison.names
    return tuple(told(event, {**old, **new}) for event in comparison.events)
