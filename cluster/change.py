"""Changing the segments that stand: splits, merges, births and deaths that two shadows agree on.

n customers, c landmarks of the shadow, k clusters of the shadow.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.hierarchy import with_new
from cluster.landmarks import Landmarks, place
from cluster.ledger import Ledger
from cluster.neighbours import Floats, Neighbours
from cluster.projection import project
from cluster.shadow import AGREEMENT, GIVEN, HEIR_PURITY, OWNED, Confirmed, Proposal, agreements, confirm, propose
from cluster.stability import still_there
from cluster.structure import Structure
from cluster.vote import compact, part_within, vote
from configs.progress import Progress

LARGER = 1.2
"""How many times the least size a new segment must have, so that one at the limit does not come and go."""
JOINING = 0.2
"""By what share of the votes a new segment must lead for a member of the one that it was split from to join it."""
DYING = 0.5
"""A segment below this share of the least size dies."""
LATEST = 1 / 3
"""Weight of the latest shadow in a segment's stability: one unlucky layout is not to end a segment."""
MIXED = 0.2
"""From what share of neighbours being in the other one two groups are one; a layout alone may push two together."""
WARM_EPOCHS = 100


@dataclass(frozen=True, eq=False)
class _Shadow:
    landmarks: Landmarks
    near: Neighbours
    structure: Structure

    def rows(self, cluster: int) -> Ints:
        """Rows of the population of a cluster's landmarks."""
        return np.asarray(self.landmarks.rows[self.structure.labels == cluster])

    def mixing(self, of: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_]) -> float:
        """Mean share of the neighbours of some landmarks, bool [c], that are among others, bool [c]; 0 of nobody."""
        return float(others[self.near.rows[of]].mean()) if of.any() else 0.0

    def members(self, landmarks: int, n: int) -> float:
        """About how many of n customers so many landmarks stand for."""
        return landmarks * n / len(self.landmarks.rows)


def settle(
    ledger: Ledger,
    vectors: Floats,
    shadow: tuple[Landmarks, Neighbours, Structure],
    then: Labels,
    pending: Sequence[Proposal],
    config: SegmentsConfig,
    progress: Progress,
    renewed: bool = False,
) -> list[Proposal]:
    """Apply what this shadow repeats of the one before; returns what it asks for itself.

    `then` int32 [n] are the customers' clusters in the shadow before, -1 for none, -2 for those that were not in it;
    `renewed` tells that the space is a new one, in which everybody has to find a place on the map.
    """
    seen = _Shadow(*shadow)
    core, found = seen.landmarks.rows, seen.structure.labels
    both = then[core] > -2
    alike = agreements(then[core[both]], found[both])
    confirmed = confirm([p for p in pending if p.kind != "died"], alike)
    again = np.flatnonzero(alike.max(axis=0, initial=0) >= AGREEMENT)
    touched: set[int] = set()
    known = set(ledger.ids)
    for change in confirmed:
        touched |= _apply(ledger, change, seen, again, config)
    _reassess(ledger, seen, config)
    dying = _dying(ledger, pending, config)
    ledger.bury_empty()
    proposals = propose(ledger.before[core], found, ledger.ids) + dying
    new = [segment for segment in ledger.ids if segment not in known]
    if new or renewed:
        _lay_out(ledger, seen, new, renewed, config)
    if new:
        with progress.task("Placing customers in new segments", None):
            _place_again(ledger, vectors, seen, new, touched, config)
    _refresh(ledger, seen)
    return proposals


def _apply(ledger: Ledger, change: Confirmed, seen: _Shadow, again: Ints, config: SegmentsConfig) -> set[int]:
    """Apply one confirmed proposal where it still holds; returns the segments whose members may leave them.

    `again` are the clusters of this shadow that were in the one before too.
    """
    kind = change.proposal.kind
    alive = [segment for segment in change.proposal.segments if ledger.size(segment)]
    evidence = {**change.proposal.evidence, "agreement": change.agreement}
    if kind == "merged":
        _merge(ledger, alive, change.clusters[0], seen, evidence)
    elif kind == "split" and alive:
        return _split(ledger, alive[0], change.clusters, again, seen, evidence, config)
    elif kind == "born":
        rows = seen.rows(change.clusters[0])
        standing = ledger.members.labels[rows]
        owned = int(np.bincount(standing[standing >= 0], minlength=1).max()) if len(rows) else 0
        members = seen.members(len(rows), len(ledger.before))
        if owned < OWNED * len(rows) and members >= LARGER * config.smallest(len(ledger.before)):
            new = _found(ledger, change.clusters[0], rows, seen)
            ledger.note("born", new, (), {"members": round(members), **evidence})
    return set()


def _merge(ledger: Ledger, alive: Sequence[int], cluster: int, seen: _Shadow, evidence: dict[str, float]) -> None:
    """Segments that give themselves to one cluster, and whose members are among each other, become the largest."""
    rows, core = seen.rows(cluster), ledger.before[seen.landmarks.rows]
    going = [s for s in alive if (ledger.before[rows] == s).sum() >= GIVEN * max(1, int((core == s).sum()))]
    if len(going) < 2:
        return
    into = max(going, key=lambda s: (ledger.size(s), -s))
    for segment in sorted(set(going) - {into}):
        mixed = seen.mixing(core == segment, core == into)
        if mixed >= MIXED:
            told = {"members": ledger.size(segment), **evidence, "neighbours_in_the_other": mixed}
            ledger.note("merged", segment, (into,), told)
            ledger.relabel(segment, into)
            ledger.remove(segment, into)
            _without_parts(ledger, into)


def _split(
    ledger: Ledger,
    segment: int,
    asked: Sequence[int],
    again: Ints,
    seen: _Shadow,
    evidence: dict[str, float],
    config: SegmentsConfig,
) -> set[int]:
    """The heir that holds most of the segment keeps its identity, the others are new, where they are large enough.

    Where large heirs ask for a split, the smaller clusters of `again` that are made up of the segment are heirs as
    well: they are not to be left with the keeper.
    """
    held = {cluster: int((ledger.before[seen.rows(cluster)] == segment).sum()) for cluster in (*asked, *again.tolist())}
    small = [c for c in held if c not in asked and held[c] >= HEIR_PURITY * len(seen.rows(c))]
    heirs = sorted((*asked, *small), key=lambda cluster: (-held[cluster], cluster))
    new = []
    for cluster in heirs[1:]:
        rows = seen.rows(cluster)
        mine = (ledger.members.labels[rows] < 0) | (ledger.members.labels[rows] == segment)
        mine |= ledger.before[rows] == segment
        large = seen.members(int(mine.sum()), len(ledger.before)) >= LARGER * config.smallest(len(ledger.before))
        found = seen.structure.labels
        if large and seen.mixing(found == cluster, np.isin(found, [h for h in heirs if h != cluster])) < MIXED:
            new.append(_found(ledger, cluster, rows[mine], seen))
    if not new:
        return set()
    _without_parts(ledger, segment)
    members = ledger.size(segment) + sum(map(ledger.size, new))
    ledger.note("split", segment, new, {"members": members, **evidence})
    return {segment}


def _found(ledger: Ledger, cluster: int, rows: Ints, seen: _Shadow) -> int:
    """Make a cluster of the shadow a segment with the landmarks `rows` as its first members; returns its id."""
    structure, landmarks = seen.structure, seen.landmarks
    new = ledger.new(structure.stability[cluster], structure.parts[cluster])
    ledger.members.labels[rows] = ledger.before[rows] = new
    at = np.searchsorted(landmarks.rows, rows)
    ledger.members.part[rows] = np.where(structure.labels[at] == cluster, structure.part[at], 0)
    own = landmarks.points[at].mean(axis=0)
    core = ledger.before[landmarks.rows]
    others = [s for s in ledger.ids if s != new and (core == s).any()]
    if others:
        centres = {s: landmarks.points[core == s].mean(axis=0) for s in others}
        distance = {s: float(np.linalg.norm(own - centre)) for s, centre in centres.items()}
        nearest = min(others, key=lambda s: (distance[s], s))
        apart = {
            (a, b): float(np.linalg.norm(centres[a] - centres[b])) if a in centres and b in centres else float("inf")
            for a, b in ledger.joins
        }
        ledger.joins = with_new(ledger.joins, new, nearest, distance[nearest], apart)
    elif len(ledger.segments) > 1:
        ledger.joins = (*ledger.joins, (ledger.ids[0], new))
    return new


def _without_parts(ledger: Ledger, segment: int) -> None:
    """Forget the parts of a segment whose members are no longer what they were."""
    ledger.members.part[ledger.members.labels == segment] = 0
    ledger.segments = [replace(s, parts=()) if s.id == segment else s for s in ledger.segments]


def _reassess(ledger: Ledger, seen: _Shadow, config: SegmentsConfig) -> None:
    """Bring every segment's stability up to date, and end those that do not come back any more."""
    refits = seen.structure.refits
    if not refits:
        return
    core = ledger.members.labels[seen.landmarks.rows]
    for position, known in enumerate(list(ledger.segments)):
        if known.born == ledger.generation or not (core == known.id).any():
            continue
        now = still_there(core == known.id, refits)
        ledger.segments[position] = replace(known, stability=(1 - LATEST) * known.stability + LATEST * now)
    for known in [s for s in ledger.segments if s.stability < config.min_stability]:
        ledger.note("died", known.id, (), {"members": ledger.size(known.id), "stability": known.stability})
        ledger.relabel(known.id, -1)
        ledger.remove(known.id)


def _dying(ledger: Ledger, pending: Sequence[Proposal], config: SegmentsConfig) -> list[Proposal]:
    """End segments that were too small in two generations; returns those that are so for the first time."""
    least = DYING * config.smallest(len(ledger.before))
    waiting = {p.segments[0] for p in pending if p.kind == "died"}
    out = []
    for segment in ledger.ids:
        size = ledger.size(segment)
        if 0 < size < least and segment in waiting:
            ledger.note("died", segment, (), {"members": size, "least_size": 2 * least})
            ledger.relabel(segment, -1)
            ledger.remove(segment)
        elif 0 < size < least:
            out.append(Proposal("died", (segment,), (), {"members": size}))
    return out


def _lay_out(ledger: Ledger, seen: _Shadow, new: Collection[int], renewed: bool, config: SegmentsConfig) -> None:
    """Places on the map for landmarks of new segments, everybody where the space is new; the others stay put."""
    core, flat = seen.landmarks.rows, ledger.members.positions[seen.landmarks.rows]
    seed = config.seed + ledger.day
    warm = project(seen.landmarks.points, seen.near, dimensions=2, epochs=WARM_EPOCHS, seed=seed, start=flat)
    moves = np.isin(ledger.members.labels[core], list(new)) | renewed
    fixed = ~moves if (~moves).sum() > 2 else np.ones(len(core), bool)
    for axis in (0, 1):
        slope, shift = np.polyfit(warm[fixed, axis].astype(float), flat[fixed, axis].astype(float), 1)
        warm[:, axis] = warm[:, axis] * (slope if slope > 0 else 1.0) + shift
    ledger.members.positions[core[moves]] = warm[moves]


def _place_again(
    ledger: Ledger,
    vectors: Floats,
    seen: _Shadow,
    new: Sequence[int],
    touched: Collection[int],
    config: SegmentsConfig,
) -> None:
    """Let customers in no segment, or in one that split, join the new segments by vote."""
    members, core = ledger.members, seen.landmarks.rows
    settled = np.zeros(len(vectors), bool)
    settled[core[np.isin(members.labels[core], list(new))]] = True
    rows = np.flatnonzero(((members.labels < 0) | np.isin(members.labels, list(touched))) & ~settled)
    ids = np.array(ledger.ids, np.int64)
    labels, own = compact(members.labels[core], ids), compact(members.labels[rows], ids)
    part, flat = members.part[core].copy(), members.positions[core].copy()
    fresh, at = np.isin(ids, list(new)), 0
    for placed in place(vectors, rows, seen.landmarks, labels, own, flat, config):
        said = placed.said
        lead = np.where(own[at : at + len(placed.rows)] >= 0, JOINING, 0.0)
        joins = (placed.isolation <= seen.landmarks.limit) & (said.share >= config.min_vote)
        joins &= (said.winner >= 0) & (said.share - said.own >= lead)
        joins &= fresh[np.maximum(said.winner, 0)]
        mine = placed.rows[joins]
        members.labels[mine] = ledger.before[mine] = ids[said.winner[joins]]
        members.strength[mine], members.second_strength[mine] = said.share[joins], said.second_share[joins]
        second = said.second[joins]
        members.second[mine] = np.where(second >= 0, ids[np.maximum(second, 0)], -1)
        members.part[mine] = part_within(placed.near, labels, part, said.winner)[joins]
        members.positions[mine] = placed.positions[joins]
        at += len(placed.rows)


def _refresh(ledger: Ledger, seen: _Shadow) -> None:
    """Strength and next best segment of the landmarks, from their graph of now.

    Who went away from home by the last days alone keeps those of that vote: the graph is one of whole histories.
    """
    members, core, ids = ledger.members, seen.landmarks.rows, np.array(ledger.ids, np.int64)
    if len(ids) == 0:
        return
    own = compact(members.labels[core], ids)
    said = vote(seen.near, own, len(ids), own)
    first = said.winner == own
    known = np.flatnonzero(first | (members.home[core] == members.labels[core]))
    rows, first = core[known], first[known]
    second: npt.NDArray[np.int32] = np.where(first, said.second[known], said.winner[known])
    members.strength[rows] = said.own[known]
    members.second[rows] = np.where(second >= 0, ids[np.maximum(second, 0)], -1)
    members.second_strength[rows] = np.where(first, said.second_share[known], said.share[known])
