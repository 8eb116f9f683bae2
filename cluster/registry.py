"""The registry of identities: segments that stay themselves from one snapshot to the next.

Labels belong to the registry, never to a run of a clustering. Each generation, customers whose vectors changed and new
ones are placed by the vote of their neighbours, with hysteresis; everybody else stays where they are. A shadow
(`cluster.shadow`) says what changed in the groups themselves, and is believed when two in succession agree.

n customers now, p customers before, d wide vectors, c landmarks.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cluster.change import settle
from cluster.clusters import Ints, Labels
from cluster.config import SegmentsConfig
from cluster.events import SegmentEvent
from cluster.fit import Fit, Membership, check, fit, message_of, unfit
from cluster.hierarchy import Join
from cluster.identity import Identity
from cluster.landmarks import Ground, Landmarks, find_landmarks, place
from cluster.lately import NEVER, WEEK, Changed, Weeks, brought_up, likely_of, mondays
from cluster.ledger import Ledger
from cluster.neighbours import Floats, Neighbours
from cluster.shadow import Proposal
from cluster.sharpen import Space
from cluster.structure import Structure, find_structure
from cluster.vote import compact, part_within
from configs.errors import InputError
from configs.progress import SILENT, Progress

SLACK = 0.2
"""How much further than the limit a member may be from others before leaving a segment, in distances to the limit."""
SEED_STEP = 10_007


@dataclass(frozen=True, eq=False)
class Seen:
    """The landmarks of a shadow and what it clustered them into."""

    rows: Ints
    """int64 [c], rows of the population; -1 for customers who are gone since."""
    found: Labels
    """int32 [c], -1 for none."""


@dataclass(frozen=True, eq=False)
class Registry:
    """The segments that stand, and what is needed to go on from them."""

    generation: int
    """Segmentations along this line, from 1."""
    next_id: int
    """The id that the next new segment gets; ids are never used twice."""
    segments: tuple[Identity, ...]
    """Ascending by id."""
    members: Membership
    """Labels are ids of segments."""
    joins: tuple[Join, ...]
    """How segments make up coarser groups, by ids."""
    events: tuple[SegmentEvent, ...]
    """Everything that happened along this line, oldest first."""
    message: str
    """Why there are no segments, only one, or one with most customers; empty otherwise."""
    ground: Ground | None
    """What customers are placed by; None where customers could not be compared."""
    seen: Seen
    """What the last shadow saw."""
    pending: tuple[Proposal, ...]
    """What the last shadow asked for, waiting for the next one."""
    changed: Changed = field(default_factory=Changed.nobody)
    """Who has lived differently lately."""
    figures: dict[str, Any] = field(default_factory=dict)
    day: int = 1
    """Days along this line, from 1: when the next shadow is due, and what it draws by chance, hang on days and not on
    how many segmentations there were in them."""

    @property
    def ids(self) -> list[int]:
        """Ids of the segments, ascending."""
        return [segment.id for segment in self.segments]


def begin(
    vectors: Floats,
    config: SegmentsConfig,
    progress: Progress = SILENT,
    sample: Ints | None = None,
    view: Space | None = None,
    generation: int = 1,
    next_id: int = 0,
    weeks: Weeks | None = None,
    day: int = 1,
) -> Registry:
    """The first segmentation of `vectors` [n, d]: ids go up from `next_id` by falling size. See `cluster.fit.fit`.

    The next generation asks the last of `weeks` first: who has lived differently in them is no news afterwards.
    """
    weeks = weeks if config.change_z else None
    monday = weeks.last if weeks is not None else NEVER
    found: Fit = fit(vectors, config, progress, sample, view)
    segments = [
        Identity(next_id + number, generation, stability, found.parts[number] if found.parts else ())
        for number, stability in enumerate(found.stability)
    ]

    def shifted(labels: Labels) -> Labels:
        return np.where(labels >= 0, labels + next_id, -1).astype(np.int32)

    labels, second = shifted(found.labels), shifted(found.members.second)
    members = replace(found.members, labels=labels, second=second, home=labels.copy())
    joins = tuple((a + next_id, b + next_id) for a, b in found.joins)
    ground, seen = None, Seen(np.empty(0, np.int64), found.found)
    if found.landmarks is not None:
        ground, seen = (
            _ground(found.landmarks, members, Changed.nobody(monday), day, weeks),
            Seen(found.landmarks.rows, found.found),
        )
    rest = (found.message, ground, seen, (), Changed.nobody(max(monday - WEEK, NEVER)), found.figures, day)
    return Registry(generation, next_id + len(segments), tuple(segments), members, joins, (), *rest)


def _ground(landmarks: Landmarks, members: Membership, changed: Changed, day: int, weeks: Weeks | None) -> Ground:
    """The landmarks with what is known of them now; everybody is at home where they are from now on.

    But not who is there by the last weeks: of them, the ground knows where the whole history says. It learns to tell
    segments by the weeks that were asked about last.
    """
    rows, labels = landmarks.rows, members.labels
    sent = changed.rows[(changed.segment == labels[changed.rows]) & (members.home[changed.rows] >= 0)]
    now = labels.copy()
    now[sent] = members.home[sent]
    members.home[:] = now
    likely = likely_of(weeks, rows, labels[rows], changed.monday)
    return Ground(landmarks, now[rows], members.part[rows].copy(), members.positions[rows].copy(), day, likely)


def advance(
    before: Registry,
    was: Ints,
    fresh: Ints,
    vectors: Floats,
    config: SegmentsConfig,
    progress: Progress = SILENT,
    sample: Ints | None = None,
    view: Space | None = None,
    same_space: bool = True,
    weeks: Weeks | None = None,
    days: int = 1,
) -> Registry:
    """The next generation, `days` after the one before.

    `was` int64 [n] is each customer's row before (-1 for new ones), `fresh` the ascending rows of those whose vectors
    changed and of new ones; `same_space` tells whether equal vectors mean equal behaviour, or a new model made them. A
    shadow, where one `is_due`, lays out the rows `sample`, compared in the space of `view`. `weeks` tells who has lived
    differently lately, which may send them elsewhere. Raises InputError where these vectors cannot be told apart: the
    segments that stand are not to be replaced by none.
    """
    check(vectors)
    sample = np.arange(len(vectors), dtype=np.int64) if sample is None else sample
    here = np.full(len(before.members.labels), -1, np.int64)
    here[was[was >= 0]] = np.flatnonzero(was >= 0)
    weeks = weeks if config.change_z else None
    if before.ground is None:
        line = (before.generation + 1, before.next_id, weeks, before.day + days)
        begun = begin(vectors, config, progress, sample, view, *line)
        changed = Changed.nobody()
        if weeks is not None:
            changed = brought_up(before.changed.now(here), weeks, config, None)
        return replace(begun, events=before.events, changed=changed)
    if why := unfit(vectors, sample, config):
        raise InputError(f"{why}; the segments before this stay as they are")
    generation, day, n = before.generation + 1, before.day + days, len(vectors)
    members, ground = carried(before.members, was), before.ground.now(here)
    rows = before.seen.rows
    seen = Seen(np.where(rows >= 0, here[np.maximum(rows, 0)], -1), before.seen.found)
    told = (list(before.segments), before.joins, members, members.labels.copy(), day)
    ledger = Ledger(generation, before.next_id, *told)
    shadow: tuple[Landmarks, Neighbours, Structure] | None = None
    if is_due(before, config, same_space, days):
        with progress.task("Comparing customers", None):
            landmarks, near = find_landmarks(vectors, sample, config, view)
        how = (config, config.seed + SEED_STEP * day, progress, config.shadow_layouts)
        shadow = landmarks, near, find_structure(landmarks, near, n, *how)
        if not same_space:
            ground = _ground(landmarks, members, before.changed.now(here), day, None)
    changed, fresh, ground = _lately(before.changed.now(here), fresh, ground, config, weeks, progress)
    figures = _vote(ledger, vectors, fresh, ground, config, progress, changed)
    pending = list(before.pending)
    if shadow is not None:
        then = np.full(n, -2, np.int32)
        then[seen.rows[seen.rows >= 0]] = seen.found[seen.rows >= 0]
        pending = settle(ledger, vectors, shadow, then, pending, config, progress, renewed=not same_space)
        seen = Seen(shadow[0].rows, shadow[2].labels)
        if ledger.events or not same_space or day - ground.since >= config.renew_every:
            ground = _ground(shadow[0], members, changed.into(ledger.heirs()), day, weeks)
    else:
        ledger.bury_empty()
        ground = replace(ground, labels=ledger.after_events(ground.labels))
    sizes = [ledger.size(segment.id) for segment in ledger.segments]
    core = len(ground.landmarks.rows)
    return Registry(
        generation,
        ledger.next_id,
        tuple(sorted(ledger.segments, key=lambda segment: segment.id)),
        members,
        ledger.joins,
        (*before.events, *ledger.events),
        message_of(sorted(sizes, reverse=True), n),
        ground,
        seen,
        tuple(pending),
        changed.into(ledger.heirs()),
        figures | {"landmarks": len(sample), "core": core, "shadow": shadow is not None, "ground": ground.since},
        day,
    )


def _lately(
    before: Changed, fresh: Ints, ground: Ground, config: SegmentsConfig, weeks: Weeks | None, progress: Progress
) -> tuple[Changed, Ints, Ground]:
    """Who has lived differently lately; the rows to be placed, theirs among them; the ground that tells where to.

    A ground that does not tell yet learns it from what its landmarks did in the last weeks that were asked about.
    """
    if weeks is not None and not any(mondays(before.monday, weeks.last)):
        return before, fresh, ground
    changed = Changed.nobody()
    if weeks is not None:
        with progress.task("Comparing weeks", None):
            if ground.likely is None:
                known = ground.landmarks.rows >= 0
                rows, labels = ground.landmarks.rows[known], ground.labels[known]
                ground = replace(ground, likely=likely_of(weeks, rows, labels, before.monday or weeks.last))
            changed = brought_up(before, weeks, config, ground.likely)
    return changed, np.union1d(fresh, np.concatenate([before.rows, changed.rows])), ground


def is_due(before: Registry, config: SegmentsConfig, same_space: bool = True, days: int = 1) -> bool:
    """Whether the generation `days` after `before` compares itself with a fresh segmentation; see `advance`."""
    return before.ground is None or not same_space or days >= days_to_shadow(before.day, config)


def days_to_shadow(day: int, config: SegmentsConfig) -> int:
    """In how many days of the line, after `day`, a shadow is due."""
    return config.shadow_every - (day - 1) % config.shadow_every


def carried(before: Membership, was: Ints) -> Membership:
    """Everybody as they were before; new customers unassigned."""
    out = Membership.empty(len(was))
    old = was >= 0
    for name in ("labels", "strength", "second", "second_strength", "part", "positions", "home"):
        getattr(out, name)[old] = getattr(before, name)[was[old]]
    return out


def _vote(
    ledger: Ledger,
    vectors: Floats,
    fresh: Ints,
    ground: Ground,
    config: SegmentsConfig,
    progress: Progress,
    changed: Changed,
) -> dict[str, Any]:
    """Place the customers whose vectors changed and the new ones; returns figures.

    Whoever has `changed` goes where the last weeks say.
    """
    members, ids = ledger.members, np.array(ledger.ids, np.int64)
    labels, own = compact(ground.labels, ids), compact(members.home[fresh], ids)
    before = compact(members.labels[fresh], ids)
    answers = np.full(len(vectors), -1, np.int32)
    answers[changed.rows] = np.arange(len(changed.rows))
    answers, called = answers[fresh], compact(changed.segment, ids)
    voters = ground.landmarks
    moved = agreed = asked = late = 0
    with progress.task("Placing who changed", len(fresh) or None) as advance_by:
        at = 0
        for placed in place(vectors, fresh, voters, labels, own, ground.flat, config):
            rows, said, these = placed.rows, placed.said, slice(at, at + len(placed.rows))
            now = decide(said.winner, said.share, said.own, placed.isolation, voters.limit, own[these], config)
            mine = before[these]
            stays = now == said.winner
            members.labels[rows] = np.where(now >= 0, ids[np.maximum(now, 0)] if len(ids) else -1, -1)
            # who is not where most neighbours are is at home
            members.strength[rows] = np.where(now < 0, 0, np.where(stays, said.share, said.own))
            second = np.where(stays & (now >= 0), said.second, said.winner)
            members.second[rows] = np.where(second >= 0, ids[np.maximum(second, 0)] if len(ids) else -1, -1)
            members.second_strength[rows] = np.where(stays & (now >= 0), said.second_share, said.share)
            members.part[rows] = part_within(placed.near, labels, ground.part, now)
            members.positions[rows] = placed.positions
            sent = np.flatnonzero((now >= 0) & (answers[these] >= 0))
            goes = answers[these][sent]
            elsewhere = (called[goes] >= 0) & (called[goes] != now[sent])
            sent, goes = sent[elsewhere], goes[elsewhere]
            _send(members, rows[sent], ids[called[goes]], changed.strength[goes])
            now[sent] = called[goes]
            late += len(goes)
            inside = (mine >= 0) & (placed.isolation <= voters.limit)
            asked, agreed = asked + int(inside.sum()), agreed + int((inside & (said.winner == mine)).sum())
            moved += int(((mine >= 0) & (now != mine)).sum())
            at += len(rows)
            advance_by(len(rows))
    # how often neighbours in the space of now say what a customer was before: low where a new space lost the segments
    return {"voted": len(fresh), "moved": moved, "lately": late, "agreement": agreed / asked if asked else 1.0}


def _send(members: Membership, rows: Ints, segments: Ints, strength: Floats) -> None:
    """Put customers where their last weeks say; where the whole history says is the next best."""
    members.second[rows], members.second_strength[rows] = members.labels[rows], members.strength[rows]
    members.labels[rows], members.strength[rows], members.part[rows] = segments, strength, 0


def decide(
    winner: Labels,
    share: Floats,
    own_share: Floats,
    isolation: Floats,
    limit: float,
    own: Labels,
    config: SegmentsConfig,
) -> Labels:
    """The segment of each voter int32 [q], -1 for none; all segments are numbered alike.

    `own` is each voter's home, which it leaves for a challenger that leads by `config.lead` of the votes, and for
    nowhere when it has too few neighbours there or is far from everybody; who has none joins by `config.min_vote` of
    the votes. Home stays the same while landmarks do, so that the outcome hangs on the vector of now and not on the way
    there.
    """
    inside = isolation <= limit
    still_inside = isolation <= limit + SLACK * max(limit - 1, 0.0)
    challenged = (winner >= 0) & (winner != own) & (share >= config.min_vote) & (share - own_share >= config.lead)
    stays = (own >= 0) & ~challenged & still_inside & (own_share >= config.min_vote - config.lead)
    joins = inside & (challenged | ((own < 0) & (winner >= 0) & (share >= config.min_vote)))
    return np.where(stays, own, np.where(joins, winner, -1)).astype(np.int32)
