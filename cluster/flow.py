"""Where customers went between two snapshots as a flow picture (Sankey, 1898): what is drawn, apart from how.

Every segment is a node on the side of each snapshot that has it, every stream of customers a ribbon. Streams that would
be a hair meet in one node in the middle, small segments in one node on each side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.moves import ABSENT, NONE, Matrix, Rows
from cluster.palette import UNASSIGNED, colour_of

MOST_SEGMENTS = 20
LEAST_SHARE = 0.002
"""Of all customers: a thinner stream is bundled, unless its customers stay where they are, or few are wider."""
MOST_HAIRS = 24
"""So many thinner streams are drawn nevertheless, the widest of them: on a quiet night there are no others."""
OTHERS = -3
BEFORE, MIDDLE, AFTER = 0, 1, 2
PLAIN = "#9a9a9a"
"""What segments of another line of snapshots are coloured, whose ids mean nothing here."""


@dataclass(frozen=True)
class Node:
    """A segment on one side, or what stands for several streams in the middle."""

    side: int
    """BEFORE, MIDDLE or AFTER."""
    name: str
    size: int
    """Customers."""
    colour: str


@dataclass(frozen=True)
class Ribbon:
    """A stream of customers between two nodes, told by their places among the nodes."""

    source: int
    target: int
    size: int
    colour: str


@dataclass(frozen=True)
class Flow:
    """A flow picture: nodes from above to below on each side, and ribbons."""

    nodes: tuple[Node, ...]
    ribbons: tuple[Ribbon, ...]

    def places(self, side: int) -> list[int]:
        """Which of the nodes are on a side, from above to below."""
        return [i for i, node in enumerate(self.nodes) if node.side == side]


def flow_of(matrix: Matrix, before: Mapping[int, str], after: Mapping[int, str], one_lineage: bool = True) -> Flow:
    """What to draw of a matrix, with the names of the segments `before` and `after`.

    A segment has the colour of its id on both sides, and stands at about the same height. Where the snapshots are not
    of one lineage, ids of the two sides mean different segments: then the earlier ones are grey.
    """
    order = _order(matrix, one_lineage)
    sides = [
        _side(matrix.before, matrix.counts.sum(axis=1), order[0]),
        _side(matrix.after, matrix.counts.sum(axis=0), order[1]),
    ]
    words = ({ABSENT: "not there before", **before}, {ABSENT: "gone", **after})
    nodes = [
        Node(side, _name(key, words[i], sides[i].bundled), size, _colour(key, bool(i) or one_lineage))
        for i, side in enumerate((BEFORE, AFTER))
        for key, size in sides[i].nodes
    ]
    first = len(sides[0].nodes)
    streams: dict[tuple[int, int], int] = {}
    for row, column in np.argwhere(matrix.counts > 0).tolist():
        ends = sides[0].node_of[row], first + sides[1].node_of[column]
        streams[ends] = streams.get(ends, 0) + int(matrix.counts[row, column])
    least = LEAST_SHARE * int(matrix.counts.sum())
    keys = [key for side in sides for key, _ in side.nodes]
    ribbons: list[Ribbon] = []
    small: list[Ribbon] = []
    for (source, target), size in sorted(streams.items()):
        stays = one_lineage and keys[source] == keys[target] and keys[source] != ABSENT
        colour = nodes[target if keys[source] == ABSENT else source].colour
        ribbon = Ribbon(source, target, size, colour)
        (ribbons if stays or size >= least else small).append(ribbon)
    small.sort(key=lambda ribbon: (-ribbon.size, ribbon.source, ribbon.target))
    wide = sum(keys[ribbon.source] != keys[ribbon.target] for ribbon in ribbons)
    ribbons += small[: max(MOST_HAIRS - wide, 0)]
    small = small[max(MOST_HAIRS - wide, 0) :]
    if len(small) > 1:
        nodes, small = _bundled(nodes, small)
    return Flow(tuple(nodes), tuple(ribbons + small))


@dataclass(frozen=True)
class _Side:
    nodes: list[tuple[int, int]]
    """Key (a segment's id, OTHERS, NONE or ABSENT) and customers."""
    node_of: list[int]
    """At each row or column of the matrix, the place of its node."""
    bundled: int
    """Segments in OTHERS."""


def _order(matrix: Matrix, one_lineage: bool) -> tuple[list[int], list[int]]:
    """The segments that are nodes of their own on each side, the largest first; the same on both in one lineage."""
    sizes: list[dict[int, int]] = []
    for ids, totals in ((matrix.before, matrix.counts.sum(axis=1)), (matrix.after, matrix.counts.sum(axis=0))):
        sizes.append({id: int(total) for id, total in zip(ids, totals, strict=True) if id >= 0})
    if one_lineage:
        largest = {id: max(side.get(id, 0) for side in sizes) for id in {*sizes[0], *sizes[1]}}
        sizes = [largest, largest]
    before, after = (sorted(side, key=lambda id: (-side[id], id))[:MOST_SEGMENTS] for side in sizes)
    return before, after


def _side(ids: tuple[int, ...], totals: Rows, order: list[int]) -> _Side:
    key_of = [id if id < 0 or id in order else OTHERS for id in ids]
    size: dict[int, int] = {}
    for key, total in zip(key_of, totals.tolist(), strict=True):
        size[key] = size.get(key, 0) + total
    keys = [key for key in (*order, OTHERS, NONE, ABSENT) if size.get(key)]
    place = {key: i for i, key in enumerate(keys)}
    nodes = [(key, size[key]) for key in keys]
    return _Side(nodes, [place.get(key, 0) for key in key_of], sum(key == OTHERS for key in key_of))


def _name(key: int, names: Mapping[int, str], bundled: int) -> str:
    words = {NONE: "in no segment", OTHERS: f"{bundled} smaller segment{'' if bundled == 1 else 's'}"}
    return words.get(key) or names.get(key, f"segment {key}")


def _colour(key: int, known: bool) -> str:
    if key < 0:
        return PLAIN if key == OTHERS else UNASSIGNED
    return colour_of(key) if known else PLAIN


def _bundled(nodes: list[Node], small: list[Ribbon]) -> tuple[list[Node], list[Ribbon]]:
    """The nodes with one more in the middle, and small streams led through it."""
    middle, joined = len(nodes), []
    for end in ("source", "target"):
        sizes: dict[int, int] = {}
        for ribbon in small:
            sizes[getattr(ribbon, end)] = sizes.get(getattr(ribbon, end), 0) + ribbon.size
        for place, size in sorted(sizes.items()):
            ends = (place, middle) if end == "source" else (middle, place)
            joined.append(Ribbon(*ends, size, PLAIN))
    total = sum(ribbon.size for ribbon in small)
    return [*nodes, Node(MIDDLE, f"others: {len(small)} small streams", total, PLAIN)], joined
