"""Two snapshots of a workspace compared: how many went from where to where, who moved, what happened to segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from cluster.events import SegmentEvent
from cluster.moves import ABSENT, NONE, Matrix, Paired, matrix, moved, movers, pair
from cluster.shifts import reasons
from configs.errors import InputError
from serve.lineage import Kept, served_before
from store.workspace import Workspace

Names = Mapping[int, str]
APART = (
    "The two snapshots do not belong to one line: their segments were found apart from each other, so that equal ids "
    "mean nothing and nobody can be said to have moved. The matrix tells where the same customers are in each."
)
"""What is told of two snapshots whose ids are not comparable."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two snapshots, the earlier and the later one."""

    earlier: Kept
    later: Kept
    names: tuple[Names, Names]
    """Names in force of the segments of each."""

    @property
    def one_lineage(self) -> bool:
        """Whether a segment's id means the same in both."""
        return self.earlier.segments.lineage == self.later.segments.lineage

    @cached_property
    def paired(self) -> Paired:
        """Who is in both."""
        return pair(self.earlier.embeddings.customers, self.later.embeddings.customers)

    @cached_property
    def matrix(self) -> Matrix:
        """How many went from where to where."""
        before, after = self.earlier.segments, self.later.segments
        ids = [[profile.id for profile in segments.profiles] for segments in (before, after)]
        return matrix(self.paired, before.labels, after.labels, *ids)

    @property
    def events(self) -> list[SegmentEvent]:
        """What happened to segments in between, oldest first."""
        if not self.one_lineage:
            return []
        after, up_to = self.earlier.segments.generation, self.later.segments.generation
        return [event for event in self.later.segments.events if after < event.generation <= up_to]

    def check(self, segment: int | None) -> None:
        """Raise InputError for a segment that is in neither snapshot."""
        known = {profile.id for kept in (self.earlier, self.later) for profile in kept.segments.profiles}
        if segment is not None and segment not in known:
            there = ", ".join(map(str, sorted(known))) or "none"
            raise InputError(f"segment {segment} is in neither snapshot; there are: {there}")

    def movers(self, segment: int | None = None) -> pl.DataFrame:
        """Who moved, of one segment if named: customer_id, from, from_name, to, to_name, strength, why.

        Customers who objected are among them: what goes out has to be filtered. Raises InputError where ids of the two
        do not mean the same, and for a segment that is in neither.
        """
        if not self.one_lineage:
            raise InputError(
                f"{self.earlier.name} and {self.later.name} do not belong to one line of snapshots, so that ids of "
                "their segments mean nothing to each other and nobody can be said to have moved"
            )
        self.check(segment)
        before, after = self.earlier.segments, self.later.segments
        who = moved(self.paired, before.labels, after.labels)
        who = who if segment is None else who.of(segment)
        aside = after.manifest.figures.get("set_aside", ())
        why = reasons(self.earlier.behaviour, self.later.behaviour, who, (before.labels, after.labels), aside)
        return movers(who, self.later.embeddings.customers, after.strength, self.names, why)


def pick(workspace: Workspace, earlier: str | None, later: str | None) -> tuple[Kept, Kept]:
    """The two snapshots to compare: the served one, and the one before, where none is named.

    Raises NotFoundError, and InputError where one is compared with itself.
    """
    last = Kept.load(workspace, later)
    first = Kept.load(workspace, earlier or served_before(workspace, last.name))
    return checked(first, last), last


def checked(first: Kept, last: Kept) -> Kept:
    """The first of two snapshots to compare. Raises InputError where they are the same."""
    if first.name == last.name:
        raise InputError(f"{first.name} is named twice; name two snapshots to compare")
    return first


def told(event: SegmentEvent, names: Names) -> str:
    """An event as a sentence with its evidence."""
    return f"{_happened(event, names)}{_evidence(event.evidence)}."


def briefly(event: SegmentEvent, names: Names) -> str:
    """An event as a sentence without its evidence."""
    return f"Segment {_happened(event, names)}."


def _happened(event: SegmentEvent, names: Names) -> str:
    of = _called(event.segment, names)
    others = " and ".join(_called(other, names) for other in event.others)
    return {
        "born": f"{of} was born",
        "died": f"{of} died",
        "split": f"{of} split: {others} left it",
        "merged": f"{of} merged into {others}",
    }[event.kind]


def _called(segment: int, names: Names) -> str:
    return f"{segment} ({names[segment]})" if segment in names else str(segment)


def _evidence(evidence: Mapping[str, float]) -> str:
    parts = [
        f"{name.replace('_', ' ')} {f'{value:,.0f}' if float(value).is_integer() and value > 1 else f'{value:.2f}'}"
        for name, value in sorted(evidence.items())
    ]
    return f" ({', '.join(parts)})" if parts else ""


def facts(comparison: Comparison, segment: int | None = None) -> dict[str, Any]:
    """The comparison as JSON values: the matrix with its names, its streams and events (of one segment if named).

    Raises InputError for a segment that is in neither.
    """
    comparison.check(segment)
    counts, (before, after) = comparison.matrix, comparison.names
    rows = _ends(counts.before, {NONE: "in no segment", ABSENT: "not there before", **before})
    columns = _ends(counts.after, {NONE: "in no segment", ABSENT: "gone", **after})
    one = comparison.one_lineage
    names = {**before, **after}
    return {
        "from": comparison.earlier.name,
        "to": comparison.later.name,
        "comparable": one,
        "note": None if one else APART,
        "rows": rows,
        "columns": columns,
        "counts": counts.counts.tolist(),
        "streams": _streams(counts, rows, columns, segment),
        "stayed": counts.stayed if one else None,
        "moved": counts.moved if one else None,
        "new": int(counts.counts[-1].sum()),
        "gone": int(counts.counts[:, -1].sum()),
        "events": [
            event_facts(event, names)
            for event in comparison.events
            if segment is None or segment in (event.segment, *event.others)
        ],
    }


def _ends(ids: tuple[int, ...], names: Names) -> list[dict[str, Any]]:
    return [{"segment": id if id >= 0 else None, "name": names.get(id, str(id))} for id in ids]


def _streams(
    counts: Matrix, rows: list[dict[str, Any]], columns: list[dict[str, Any]], segment: int | None
) -> list[dict[str, Any]]:
    """The cells of the matrix that hold somebody, the largest first; of one segment if named."""
    cells = [
        (int(counts.counts[i, j]), i, j)
        for i, j in np.argwhere(counts.counts > 0).tolist()
        if segment is None or segment in (counts.before[i], counts.after[j])
    ]
    return [
        {
            "from": rows[i]["segment"],
            "from_name": rows[i]["name"],
            "to": columns[j]["segment"],
            "to_name": columns[j]["name"],
            "customers": count,
        }
        for count, i, j in sorted(cells, key=lambda cell: (-cell[0], cell[1:]))
    ]


def event_facts(event: SegmentEvent, names: Names) -> dict[str, Any]:
    """An event as JSON values."""
    return {
        "kind": event.kind,
        "segment": event.segment,
        "others": list(event.others),
        "generation": event.generation,
        "evidence": dict(event.evidence),
        "words": told(event, names),
    }
