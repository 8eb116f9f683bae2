"""Do segments follow the customers? Labels of many nights beside the true changes of persona.

T nights after the first, n customers of the last night (a bank's log forgets nobody), k horizons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

HORIZONS = (7, 14, 28, 42, 56, 70)
RECENT = 60
"""Days after a change of persona in which a move is no false one."""
AGES = (0, 14, 28, 42, 56, 84, 150)
"""Bands of days since a change of persona."""
ABSENT = -2
"""Label of whoever is not there yet."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Course:
    """What became of everybody."""

    ids: Ints
    """int64 [n], ascending."""
    labels: Ints
    """int64 [T + 1, n]: -1 for unassigned, ABSENT for not there yet."""
    truth: Ints
    """int64 [T + 1, n]: code of the persona, -1 for who has left, ABSENT for not there yet."""

    @classmethod
    def of(cls, ids: Sequence[Ints], labels: Sequence[Ints], truth: Sequence[Ints]) -> "Course":
        """From what each night has, with the customers of that night."""
        everybody = np.unique(np.concatenate(ids))
        out = [np.full((len(ids), len(everybody)), ABSENT, np.int64) for _ in range(2)]
        for night, known in enumerate(ids):
            at = np.searchsorted(everybody, known)
            out[0][night, at], out[1][night, at] = labels[night], truth[night]
        return cls(everybody, *out)

    @property
    def nights(self) -> int:
        """How many nights follow the first."""
        return len(self.labels) - 1

    def main(self, night: int) -> tuple[dict[int, int], dict[int, int]]:
        """The segment that most of each persona are in, and the persona that most of each segment have."""
        labels, truth = self.labels[night], self.truth[night]
        known = (labels >= 0) & (truth >= 0)
        if not known.any():
            return {}, {}
        counts = np.zeros((truth.max() + 1, labels.max() + 1), np.int64)
        np.add.at(counts, (truth[known], labels[known]), 1)
        segments = {int(p): int(counts[p].argmax()) for p in np.flatnonzero(counts.sum(axis=1))}
        personas = {int(s): int(counts[:, s].argmax()) for s in np.flatnonzero(counts.sum(axis=0))}
        return segments, personas


def judged(course: Course, changes: pl.DataFrame) -> dict[str, Any]:
    """Figures of moves; `changes`: customer_id, night (of the first events after it; below 1: earlier), from, to."""
    lately = changed_lately(course, changes)
    there = course.truth >= 0
    moves = moves_of(course)
    still = there[1:] & (course.labels[:-1] != ABSENT) & ~lately[1:]
    return {
        "moved_a_night": share(moves.any, there[1:]), "false_moves_a_night": share(moves.any, still),
        "false_moves_between_a_night": share(moves.between, still),
        "ever_moved_falsely": share((moves.any & still).any(axis=0), still.all(axis=0)),
        "new_or_lost": [len(set_of(course, t) ^ set_of(course, t - 1)) for t in range(1, course.nights + 1)],
        "changes": [seen_within(course, changes, lately, horizon) for horizon in HORIZONS if horizon < course.nights],
        "arrived": arrived(course, changes),
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Moves:
    """Who is in another segment than the night before; bool [T, n]."""

    any: Bools
    """To or from being unassigned counts."""
    between: Bools
    """From one segment to another."""


def moves_of(course: Course) -> Moves:
    """The moves of all nights."""
    before, now = course.labels[:-1], course.labels[1:]
    moved = (before != now) & (before != ABSENT) & (now != ABSENT)
    return Moves(moved, moved & (before >= 0) & (now >= 0))


def set_of(course: Course, night: int) -> set[int]:
    """The segments of a night."""
    return set(np.unique(course.labels[night][course.labels[night] >= 0]).tolist())


def changed_lately(course: Course, changes: pl.DataFrame) -> Bools:
    """Whose persona changed in the last RECENT days, on each night; bool [T + 1, n]."""
    out = np.zeros(course.labels.shape, bool)
    at, nights = places(course, changes), changes["night"].to_numpy()
    for row, night in zip(at, nights, strict=True):
        if row >= 0 and night + RECENT > 0:
            out[max(night, 0) : night + RECENT, row] = True
    return out


def seen_within(course: Course, changes: pl.DataFrame, lately: Bools, horizon: int) -> dict[str, Any]:
    """How many true changes show up as moves within `horizon` days, how soon, and how many would by chance.

    A change shows where the customer is in another segment than on the night before it; it lasts where this holds on
    the last of those days, and is right where most members of that segment have the new persona. `telling` changes are
    those between personas of which most are in different segments, the others no segmentation like this can show.
    `chance` is the share of customers without any change who move as much in the same days.
    """
    window = changes.filter((pl.col("night") >= 1) & (pl.col("night") + horizon <= course.nights))
    at, rows = places(course, window), []
    chance: list[tuple[float, float]] = []
    for night in range(1, course.nights - horizon + 1):
        base, after = course.labels[night - 1], course.labels[night : night + horizon + 1]
        other = (after != base) & (after >= 0) & (base != ABSENT)
        main, _ = course.main(night - 1)
        _, personas = course.main(night + horizon)
        known = (base != ABSENT) & (course.truth[night + horizon] >= 0)
        calm = known & ~lately[night + horizon] & ~lately[night - 1]
        here = [(at[i], *window.row(i)) for i in range(len(window)) if window["night"][i] == night and at[i] >= 0]
        for row, _, _, old, new in here:
            if known[row]:
                right = other[-1, row] and personas.get(int(after[-1, row])) == new
                delay = int(other[:, row].argmax()) if other[:, row].any() else -1
                rows.append((delay >= 0, other[-1, row], right, main.get(old) != main.get(new), delay))
                chance.append((other[:, calm].any(axis=0).mean(), other[-1, calm].mean()))
    if not rows:
        return {"days": horizon, "changes": 0}
    shown, lasts, rightly, telling, delays = (np.array(column) for column in zip(*rows, strict=True))
    told = {"days": horizon, "changes": len(rows), **recalls(shown, lasts, rightly)}
    by_chance = np.mean(chance, axis=0)
    return told | {
        "chance": round(float(by_chance[0]), 4), "chance_lasting": round(float(by_chance[1]), 4),
        "median_delay": float(np.median(delays[shown])) if shown.any() else None,
        "telling": int(telling.sum()),
        "of_telling": recalls(shown[telling], lasts[telling], rightly[telling]) if telling.any() else None,
    }  # fmt: skip


def arrived(course: Course, changes: pl.DataFrame) -> list[dict[str, Any]]:
    """Where the customers are on the last night whose persona changed so many days ago: with their new persona or old.

    Each customer's last change alone, of those between personas of which most are in different segments.
    """
    latest = changes.sort("night").unique("customer_id", keep="last", maintain_order=True)
    main, personas = course.main(course.nights)
    last, at = course.labels[-1], places(course, latest)
    rows = []
    for row, night, old, new in zip(at, *(latest[name].to_list() for name in ("night", "from", "to")), strict=True):
        if row >= 0 and course.truth[-1, row] == new and main.get(old) != main.get(new):
            held = personas.get(int(last[row]))
            rows.append((course.nights - night, held == new, held == old))
    age = np.array([row[0] for row in rows], np.int64)
    there, still = (np.array([row[i] for row in rows], bool) for i in (1, 2))
    bands = []
    for low, high in pairwise(AGES):
        inside = (age >= low) & (age < high)
        if inside.any():
            shares = {"new": share(there, inside), "old": share(still, inside)}
            bands.append({"days": f"{low} to {high - 1}", "changes": int(inside.sum()), **shares})
    return bands


def recalls(shown: Bools, lasts: Bools, right: Bools) -> dict[str, float]:
    """Shares of some changes."""
    return {
        "recall": round(float(shown.mean()), 4), "lasting": round(float(lasts.mean()), 4),
        "right": round(float(right.mean()), 4),
    }  # fmt: skip


def places(course: Course, changes: pl.DataFrame) -> Ints:
    """The customers' places among the ids, -1 for the unknown."""
    wanted = changes["customer_id"].to_numpy()
    at = np.minimum(np.searchsorted(course.ids, wanted), len(course.ids) - 1)
    return np.where(course.ids[at] == wanted, at, -1)


def share(which: Bools, among: Bools) -> float:
    """Share of `among` that is `which`."""
    return round(float(which[among].mean()), 5) if among.any() else 0.0
