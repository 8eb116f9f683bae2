"""Events about customers that a night leaves behind: who moved to another segment, was suddenly unlike themselves, or
has lived differently for four weeks.

One JSON object a line, ordered by customer and then by kind; at most one event of each kind a customer:

    id         the same whenever the same snapshot tells the same of the same customer: an idempotency key
    kind       "moved", "shifted" or "changed"
    as_of      the last day whose events were taken
    snapshot, previous   the two snapshots that were compared
    cause      "customer": new events; "model": a retraining, which took none
    customer   the id as text
    why        in words

moved adds `from` and `to` (segment `id` and `name`, null for none) and `strength`; shifted adds `z` (see
`cluster.surprise`), `new_events`, `events_before`, `distance` (1 - cosine of the vectors before and after) and
`behaviours` (feature, words, before, after); changed (see `serve.weeks`) adds `z`, `since` and `until` (first
and last day of the four weeks), `events` in them, `events_before` in the eight weeks before, and `behaviours`.

The file is for the bank's own use, and holds customers who objected to marketing profiling, too: fraud and service
are no marketing. What goes out by webhook leaves them out unless the recipe says otherwise.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cluster.moves import NONE
from cluster.shifts import NOTHING
from cluster.surprise import Habits, Surprise, surprise
from embed.artifact import Rows
from embed.customers import changes
from eventlog.sequences import DAY, SECOND
from serve.moves import Comparison
from serve.night_changes import Changes
from serve.night_files import json_line
from serve.outputs import output
from serve.weeks import LATELY

SHIFT_Z = 3.5
"""From so many robust standard deviations on a customer's new events are told as a sudden shift."""
PIECE = 4096
Cause = Literal["customer", "model"]
Line = tuple[int, str, dict[str, Any]]
"""Row of the customer in the later snapshot, kind, the rest."""


def write_events(
    comparison: Comparison,
    as_of: str,
    path: Path,
    *,
    shift_z: float = SHIFT_Z,
    cause: Cause = "customer",
    weeks: Changes | None = None,
) -> dict[str, int]:
    """Write the events of a night at `path`, whole or not at all; returns how many there are of each kind.

    `weeks` tells who changed, on the nights that ask for it. Only customers whose vectors changed are looked at for
    shifts. Two snapshots that do not belong to one line tell of no moves. Same snapshots, same bytes. Raises
    StorageError.
    """
    counts = {"moved": 0, "shifted": 0} | ({} if weeks is None else {"changed": 0})
    later = comparison.later
    common = {"as_of": as_of, "snapshot": later.name, "previous": comparison.earlier.name, "cause": cause}
    with output(path) as beside, beside.open("w", encoding="utf-8") as file:
        kinds = (_changed(weeks), _moved(comparison), _shifted(comparison, shift_z))
        for row, kind, told in merge(*kinds, key=lambda line: line[:2]):
            customer = str(later.embeddings.customers[row])
            whole = {"id": event_id(later.name, customer, kind), "kind": kind, **common, "customer": customer, **told}
            file.write(json_line(whole))
            counts[kind] += 1
    return counts


def event_id(snapshot: str, customer: str, kind: str) -> str:
    """The idempotency key of an event."""
    return hashlib.sha256(json.dumps([snapshot, customer, kind]).encode()).hexdigest()[:32]


def _moved(comparison: Comparison) -> Iterator[Line]:
    """Who moved, by row."""
    if not comparison.one_lineage:
        return
    table = comparison.movers()
    rows = comparison.later.embeddings.rows_of(table["customer_id"])
    for part in _pieces(len(rows)):
        for row, told in zip(rows[part].tolist(), table[part].iter_rows(named=True), strict=True):
            strength = round(float(told["strength"]), 4) if told["to"] != NONE else None
            yield row, "moved", {**_ends(told), "strength": strength, "why": told["why"]}


def _ends(told: dict[str, Any]) -> dict[str, Any]:
    return {
        end: None if told[end] == NONE else {"id": told[end], "name": told[f"{end}_name"]} for end in ("from", "to")
    }


def _shifted(comparison: Comparison, shift_z: float) -> Iterator[Line]:
    """Who was unlike themselves, by row."""
    earlier, later = comparison.earlier, comparison.later
    found = changes(earlier.embeddings, later.embeddings)
    after = found.fresh[found.was[found.fresh] >= 0]
    before = found.was[after]
    habits = Habits(earlier.behaviour, later.behaviour, later.segments.manifest.figures.get("set_aside", ()))
    judged = surprise(habits, before, after)
    over = np.flatnonzero(judged.z >= shift_z)
    for part in _pieces(len(over)):
        places = judged.places[over[part]]
        distances = _distances(comparison, before[places], after[places])
        unlike = habits.unlike(before[places], after[places])
        for i, place, distance, behaviours in zip(over[part].tolist(), places.tolist(), distances, unlike, strict=True):
            why = "; ".join(one.words for one in behaviours[:2]) or NOTHING
            listed = [vars(one) for one in behaviours]
            yield int(after[place]), "shifted", {
                **_figures(judged, i), "distance": distance, "why": why, "behaviours": listed,
            }  # fmt: skip


def _changed(weeks: Changes | None) -> Iterator[Line]:
    """Who has lived differently for four weeks, by row."""
    if weeks is None:
        return
    monday = datetime.fromtimestamp(weeks.monday * DAY / SECOND, UTC).date()
    days = {"since": (monday - timedelta(days=LATELY)).isoformat(), "until": (monday - timedelta(days=1)).isoformat()}
    for i, row in enumerate(weeks.rows.tolist()):
        behaviours = weeks.behaviours[i]
        yield row, "changed", {
            "z": round(float(weeks.z[i]), 2), **days,
            "events": int(weeks.events[1][i]), "events_before": int(weeks.events[0][i]),
            "why": "; ".join(one.words for one in behaviours[:2]) or NOTHING,
            "behaviours": [vars(one) for one in behaviours],
        }  # fmt: skip


def _figures(judged: Surprise, i: int) -> dict[str, Any]:
    return {
        "z": round(float(judged.z[i]), 2),
        "new_events": int(judged.new[i]),
        "events_before": int(judged.history[i]),
    }


def _distances(comparison: Comparison, before: Rows, after: Rows) -> list[float | None]:
    """1 - cosine of some customers' vectors; None where the widths differ."""
    was, now = comparison.earlier.embeddings, comparison.later.embeddings
    if was.width != now.width:
        return [None] * len(after)
    cosines = np.einsum("nd,nd->n", was.vectors[before], now.vectors[after], dtype=np.float64)
    return [round(max(1 - float(cosine), 0.0), 6) for cosine in cosines]


def _pieces(n: int) -> Iterator[slice]:
    for start in range(0, n, PIECE):
        yield slice(start, min(start + PIECE, n))
