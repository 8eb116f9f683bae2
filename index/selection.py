"""Who of the ranked customers becomes a member: the best, or the best of each group, with a cap on change."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.eligibility import Context
from index.request import Mask, Rows

Groups = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Selection:
    """Members of an audience of any size, taken from the best down, in each group by its share of the eligible."""

    ranked: Rows
    """int64: rows of who may be a member, by falling score."""
    is_seed: Mask
    """bool [n]"""
    group: Groups | None = None
    """int64 [n]: group of everybody, from 0 on; None where the audience is not spread."""

    @property
    def reachable(self) -> int:
        """How many may be members and are not seeds."""
        return int(np.count_nonzero(~self.is_seed[self.ranked]))

    def positions(self, size: int) -> Rows:
        """Where the `size` members stand in `ranked`, ascending."""
        if self.group is None:
            return np.arange(size)
        of = self.group[self.ranked]
        quota = quotas(np.bincount(of), size)
        order = np.argsort(of, kind="stable")  # group by group, each by falling score
        starts = np.concatenate([[0], np.cumsum(np.bincount(of))[:-1]])
        within = np.arange(len(order)) - np.repeat(starts, np.bincount(of))
        return np.sort(order[within < quota[of[order]]])

    def members(self, size: int) -> Rows:
        """Rows of the members by falling score."""
        return self.ranked[self.positions(size)]

    def reach(self, size: int, seeds: Rows) -> Doubles:
        """For each of `seeds`: the share of other customers who rank above the last member of its group, [m].

        A hidden customer like it is found where fewer than that outrank it.
        """
        taken, reachable = self.positions(size), max(self.reachable, 1)
        if self.group is None:
            share = np.count_nonzero(~self.is_seed[self.ranked[taken]]) / reachable
            return np.full(len(seeds), share)
        above = np.cumsum(~self.is_seed[self.ranked]) / reachable
        last = np.zeros(int(self.group.max()) + 1)
        of = self.group[self.ranked[taken]]
        last[of] = above[taken]  # ascending, so that the last one of each group stays
        return np.asarray(last[self.group[seeds]])


def quotas(eligible: Groups, size: int) -> Groups:
    """How many members each group gets, [groups]: its share of the eligible, by largest remainders (Hamilton)."""
    exact = eligible * (size / max(int(eligible.sum()), 1))
    quota = np.floor(exact).astype(np.int64)
    order = np.argsort(quota - exact, kind="stable")  # the largest remainder first
    quota[order[: size - int(quota.sum())]] += 1
    return np.asarray(quota)


def capped(wanted: Rows, previous: Rows, selection: Selection, cap: float) -> tuple[Rows, int]:
    """Members by falling score, and how many of them stay for the cap alone; `wanted` are those without a cap.

    Of the `previous` members who still may be members, at most as many leave as a share `cap` of the wanted ones. Who
    scores highest stays; the lowest new ones make room, within the same group where the audience is spread.
    """
    n = len(selection.is_seed)
    was, now, able = (np.zeros(n, bool) for _ in range(3))
    was[previous], now[wanted], able[selection.ranked] = True, True, True
    place = np.full(n, -1)
    place[selection.ranked] = np.arange(len(selection.ranked))
    groups = np.zeros(n, np.int64) if selection.group is None else selection.group
    leaving, entering = np.flatnonzero(was & able & ~now), np.flatnonzero(now & ~was)
    stay: list[Rows] = []
    for group in np.unique(groups[leaving]):
        out = leaving[groups[leaving] == group]
        into = entering[groups[entering] == group]
        allowed = int(cap * np.count_nonzero(groups[wanted] == group))
        many = min(max(len(out) - allowed, 0), len(into))
        stay.append(out[np.argsort(place[out])][:many])
        now[into[np.argsort(-place[into])][:many]] = False
    kept = np.concatenate(stay) if stay else np.zeros(0, np.int64)
    now[kept] = True
    members = np.flatnonzero(now)
    return members[np.argsort(place[members])], len(kept)


def hold_out(members: Rows, share: float, context: Context, rng: np.random.Generator) -> Rows:
    """Rows of the members to hold out, ascending: a random share of them.

    Who was held out of the edition before stays so, and who was in its list is not held out now: an effect is measured
    on people who were left alone throughout.
    """
    many = round(share * len(members))
    if context.previous is None:
        return np.sort(rng.choice(members, many, replace=False))
    before = np.zeros(0, np.int64) if context.held_out is None else context.held_out
    still = np.intersect1d(members, before)
    new = members[~np.isin(members, context.previous)]
    drawn = rng.choice(new, min(max(many - len(still), 0), len(new)), replace=False)
    return np.sort(np.concatenate([still, drawn]))
