"""Segments that stay themselves: votes, births, splits, merges, deaths, and new spaces."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

import cluster.registry
from cluster.change import settle
from cluster.config import SegmentsConfig
from cluster.ledger import Ledger
from cluster.neighbours import graph
from cluster.registry import Registry, advance, begin, decide
from cluster.shadow import Proposal, propose
from cluster.structure import Structure, find_structure
from configs.errors import InputError
from configs.progress import SILENT

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
QUICK = SegmentsConfig(shadow_every=1, epochs=60, stability_runs=2, behaviours=False, min_customers=30, doubtful_runs=0)
WIDTH, SIGNAL = 24, 10


class World:
    """Customers of a few groups; a step redraws some of them."""

    def __init__(self, n: int = 1200, groups: int = 4, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.basis = np.linalg.qr(self.rng.standard_normal((WIDTH, SIGNAL)))[0].T
        self.centres = list(self.rng.standard_normal((groups + 2, SIGNAL)) * 1.4)
        self.truth = self.rng.choice(groups, n).astype(np.int64)
        self.vectors = self.draw(self.truth)

    def draw(self, truth: Ints) -> Floats:
        rows = np.stack(self.centres)[truth] + self.rng.standard_normal((len(truth), SIGNAL)) * 0.3
        rows = rows @ self.basis + self.rng.standard_normal((len(truth), WIDTH)) * 0.02
        return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def redraw(self, rows: Ints, truth: Ints | int | None = None) -> Ints:
        if truth is not None:
            self.truth[rows] = truth
        self.vectors = self.vectors.copy()
        self.vectors[rows] = self.draw(self.truth[rows])
        return rows

    def quiet(self, share: float = 0.05) -> Ints:
        return self.redraw(np.sort(self.rng.choice(len(self.truth), round(share * len(self.truth)), replace=False)))

    def best(self, registry: Registry, group: int) -> tuple[int, float]:
        """The segment that agrees best with a true group, and its Jaccard."""
        inside = self.truth == group
        scores = {
            s: float((inside & (registry.members.labels == s)).sum() / (inside | (registry.members.labels == s)).sum())
            for s in registry.ids
        }
        segment = max(scores, key=lambda s: scores[s])
        return segment, scores[segment]


def night(world: World, before: Registry, fresh: Ints, **settings: object) -> Registry:
    rows = np.arange(len(world.truth))
    was = np.where(rows < len(before.members.labels), rows, -1)
    return advance(before, was, fresh, world.vectors, QUICK.model_copy(update=settings))


@pytest.fixture(scope="module")
def first() -> tuple[World, Registry]:
    world = World()
    return world, begin(world.vectors, QUICK)


def copied(world: World) -> World:
    other = World.__new__(World)
    other.__dict__.update(
        world.__dict__, rng=np.random.default_rng(9), truth=world.truth.copy(), centres=list(world.centres)
    )
    return other


def test_quiet_nights_move_nobody_who_did_not_change(first: tuple[World, Registry]) -> None:
    world, registry = copied(first[0]), first[1]
    assert len(registry.segments) == 4
    for _ in range(3):
        fresh = world.quiet()
        after = night(world, registry, fresh)
        same = np.setdiff1d(np.arange(len(world.truth)), fresh)
        np.testing.assert_array_equal(after.members.labels[same], registry.members.labels[same])
        assert after.ids == registry.ids
        assert after.events == ()
        registry = after
    assert registry.generation == 4
    assert min(world.best(registry, group)[1] for group in range(4)) > 0.9


def test_who_changes_group_moves_to_it(first: tuple[World, Registry]) -> None:
    world, before = copied(first[0]), first[1]
    rows = np.flatnonzero(world.truth == 0)[:25]
    after = night(world, before, world.redraw(rows, 1), shadow_every=100)
    to, _ = world.best(before, 1)
    assert (after.members.labels[rows] == to).mean() > 0.85
    assert after.figures["moved"] >= 20


def test_thirty_nights_put_everybody_where_one_does(first: tuple[World, Registry]) -> None:
    """Customers wander about; where they end hangs on where they are, not on the way there."""
    world, start = copied(first[0]), first[1]
    far = QUICK.model_copy(update={"shadow_every": 1000})
    was, registry, changed = np.arange(len(world.truth)), start, np.empty(0, np.int64)
    for _ in range(10):
        rows = np.sort(world.rng.choice(len(world.truth), 200, replace=False))
        fresh = world.redraw(rows, world.rng.integers(0, 4, len(rows)))
        # halfway between two groups is where it depends on the way
        mixed = world.vectors[rows] + world.vectors[world.rng.permutation(rows)]
        world.vectors[rows] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        registry, changed = advance(registry, was, fresh, world.vectors, far), np.union1d(changed, fresh)
    once = advance(start, was, changed, world.vectors, far)
    for name in ("labels", "strength", "second", "second_strength", "home"):
        np.testing.assert_array_equal(getattr(registry.members, name), getattr(once.members, name))
    assert (registry.members.labels != start.members.labels).mean() > 0.2


def test_a_new_group_is_born_once_two_shadows_agree(first: tuple[World, Registry]) -> None:
    world, registry = copied(first[0]), first[1]
    rows = np.sort(world.rng.choice(len(world.truth), 160, replace=False))
    registry = night(world, registry, world.redraw(rows, 4))
    assert [p.kind for p in registry.pending] == ["born"]
    assert registry.events == ()
    assert registry.ids == first[1].ids
    registry = night(world, registry, world.quiet(0.02))
    assert [event.kind for event in registry.events] == ["born"]
    event = registry.events[0]
    assert event.segment == first[1].next_id
    assert event.generation == 3
    assert event.evidence["agreement"] > 0.6
    assert world.best(registry, 4) == (event.segment, pytest.approx(1, abs=0.12))
    # an id is never used twice, and the joins know the new one
    assert registry.next_id == event.segment + 1
    assert {s for join in registry.joins for s in join} == set(registry.ids)


def test_a_shadow_may_be_the_best_of_several_layouts(
    first: tuple[World, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, before, laid = copied(first[0]), first[1], []

    def found(*words: object) -> Structure:
        laid.append(words[-1])
        return find_structure(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(cluster.registry, "find_structure", found)
    for layouts in (3, 1):
        after = night(world, before, world.quiet(), shadow_layouts=layouts)
        assert after.events == ()
        assert min(world.best(after, group)[1] for group in range(4)) > 0.9
    assert laid == [3, 1]


def test_one_shadow_alone_changes_nothing(first: tuple[World, Registry]) -> None:
    world, registry = copied(first[0]), first[1]
    before = world.vectors.copy()
    rows = np.sort(world.rng.choice(len(world.truth), 160, replace=False))
    truth = world.truth[rows].copy()
    registry = night(world, registry, world.redraw(rows, 4))
    world.truth[rows], world.vectors = truth, before
    registry = night(world, registry, rows)
    registry = night(world, registry, world.quiet(0.02))
    assert registry.events == ()
    assert registry.ids == first[1].ids


def test_a_split_keeps_the_identity_of_the_larger_part(first: tuple[World, Registry]) -> None:
    world, registry = copied(first[0]), first[1]
    old, _ = world.best(registry, 0)
    inside = np.flatnonzero(world.truth == 0)
    world.centres[5] = world.centres[0] + world.rng.standard_normal(SIGNAL) * 1.2
    registry = night(world, registry, world.redraw(inside[: int(0.4 * len(inside))], 5))
    registry = night(world, registry, world.quiet(0.02))
    [event] = registry.events
    assert (event.kind, event.segment) == ("split", old)
    assert world.best(registry, 0)[0] == old
    assert world.best(registry, 5)[0] == event.others[0]
    assert min(world.best(registry, 0)[1], world.best(registry, 5)[1]) > 0.85


@pytest.mark.parametrize("seen_before", [True, False])
def test_small_groups_of_a_segment_that_splits_become_segments_too(
    first: tuple[World, Registry], seen_before: bool
) -> None:
    """A small one alone asks for no split, but must not be left with the keeper; only if both shadows have it."""
    world, before = first
    assert before.ground is not None
    core, points = before.ground.landmarks.rows, before.ground.landmarks.points
    labels = np.zeros(len(world.truth), np.int32)
    found = np.where(world.truth[core] < 2, world.truth[core], -1).astype(np.int32)
    small = np.flatnonzero(world.truth[core] == 2)[:120]
    found[small] = 2
    then = np.full(len(labels), -2, np.int32)
    then[core] = found if seen_before else np.where(found == 2, -1, found)
    ledger = Ledger(2, 9, list(before.segments[:1]), (), replace(before.members, labels=labels), labels.copy())
    structure = Structure(found, (1.0, 1.0, 1.0), (), ((), (), ()), np.zeros_like(found), points[:, :2], ())
    shadow = (before.ground.landmarks, graph(points, 15), structure)
    pending = [p for p in propose(labels[core], found, [0]) if p.kind == "split"]
    assert [p.clusters for p in pending] == [(0, 1)]
    settle(ledger, world.vectors, shadow, then, pending, QUICK, SILENT)
    [event] = ledger.events
    assert (event.kind, event.segment, len(event.others)) == ("split", 0, 2 if seen_before else 1)
    went = ledger.members.labels[core[small]]
    assert len(np.unique(went)) == 1
    assert (went != 0).all() == seen_before


def test_groups_that_become_one_are_merged(first: tuple[World, Registry]) -> None:
    world, registry = copied(first[0]), first[1]
    kept, _ = world.best(registry, 1)
    gone, _ = world.best(registry, 2)
    registry = night(world, registry, world.redraw(np.flatnonzero(world.truth == 2), 1))
    for _ in range(2):
        registry = night(world, registry, world.quiet(0.02))
    assert ("merged", gone, (kept,)) in [(e.kind, e.segment, e.others) for e in registry.events]
    assert gone not in registry.ids
    assert world.best(registry, 1)[0] == kept
    assert {s for join in registry.joins for s in join} == set(registry.ids)


def test_segments_that_a_layout_pushes_together_are_not_merged(first: tuple[World, Registry]) -> None:
    world, before = first
    assert before.ground is not None
    rows, core = np.arange(len(world.truth)), before.ground.landmarks.rows
    a, b = before.ids[:2]
    labels = before.members.labels.copy()
    for mixed in (False, True):
        if mixed:
            inside = np.flatnonzero(np.isin(labels, (a, b)))
            labels[inside] = np.where(np.random.default_rng(0).random(len(inside)) < 0.6, a, b)
        ledger = Ledger(
            2, 9, list(before.segments), before.joins, replace(before.members, labels=labels), labels.copy()
        )
        points = before.ground.landmarks.points
        found = np.where(np.isin(labels[core], (a, b)), 0, -1).astype(np.int32)
        structure = Structure(found, (1.0,), (), ((),), np.zeros_like(found), points[:, :2], ())
        shadow = (before.ground.landmarks, graph(points, 15), structure)
        then = np.full(len(rows), -2, np.int32)
        then[core] = found
        settle(ledger, world.vectors, shadow, then, [Proposal("merged", (a, b), (0,), {})], QUICK, SILENT)
        assert [event.kind for event in ledger.events] == (["merged"] if mixed else [])
        if mixed:
            assert ledger.events[0].evidence["neighbours_in_the_other"] > 0.3
            assert not (ledger.members.labels == ledger.events[0].segment).any()


def test_a_segment_whose_members_are_gone_dies(first: tuple[World, Registry]) -> None:
    world, before = copied(first[0]), first[1]
    gone, _ = world.best(before, 3)
    stays = np.flatnonzero(before.members.labels != gone)
    world.truth, world.vectors = world.truth[stays], np.ascontiguousarray(world.vectors[stays])
    after = advance(before, stays, np.empty(0, np.int64), world.vectors, QUICK)
    assert [(e.kind, e.segment) for e in after.events] == [("died", gone)]
    assert gone not in after.ids


def test_a_new_space_keeps_the_identities(first: tuple[World, Registry]) -> None:
    world, before = first
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    rows = np.arange(len(world.truth))
    turned = np.ascontiguousarray(world.vectors @ turn)
    after = advance(before, rows, rows, turned, QUICK, same_space=False)
    assert after.ids == before.ids
    assert (after.members.labels == before.members.labels).mean() > 0.97
    assert after.figures["agreement"] > 0.97
    assert after.ground is not None
    assert after.ground.since == 2


def test_the_same_nights_give_the_same_registry(first: tuple[World, Registry]) -> None:
    world, before = copied(first[0]), first[1]
    fresh = world.quiet()
    one, two = night(world, before, fresh), night(world, before, fresh, threads=2)
    for name in ("labels", "strength", "second", "second_strength", "part", "positions"):
        np.testing.assert_array_equal(getattr(one.members, name), getattr(two.members, name))
    assert one.segments == two.segments
    assert one.pending == two.pending


def test_segments_that_stand_are_not_replaced_by_none(first: tuple[World, Registry]) -> None:
    world, before = first
    rows = np.arange(len(world.truth))
    equal = np.repeat(world.vectors[:1], len(rows), axis=0)
    with pytest.raises(InputError, match=r"are equal.*stay as they are"):
        advance(before, rows, rows, equal, QUICK)
    with pytest.raises(InputError, match=r"too few.*stay as they are"):
        advance(before, rows, rows, world.vectors, QUICK.model_copy(update={"min_customers": 5000}))
    bad = world.vectors.copy()
    bad[3, 4] = np.nan
    with pytest.raises(InputError, match="NaN"):
        advance(before, rows, rows, bad, QUICK)


def test_the_next_best_segment_is_another_one_and_never_stronger_among_landmarks(
    first: tuple[World, Registry],
) -> None:
    members = first[1].members
    inside = members.labels >= 0
    assert (members.second[inside] != members.labels[inside]).all()
    assert (members.second_strength >= 0).all()
    assert (members.strength + members.second_strength <= 1 + 1e-6).all()
    assert (members.part[~inside] == 0).all()
    assert (members.strength[inside] >= members.second_strength[inside]).mean() > 0.99


def test_hysteresis() -> None:
    config = SegmentsConfig()
    winner = np.array([1, 1, 0, 1, 1, 1, 1], np.int32)
    share = np.array([0.55, 0.8, 0.9, 0.6, 0.6, 0.45, 0.6], np.float32)
    mine = np.array([0.4, 0.1, 0.9, 0.0, 0.0, 0.0, 0.0], np.float32)
    own = np.array([0, 0, 0, -1, -1, -1, 0], np.int32)
    apart = np.array([1.0, 1.0, 1.55, 1.0, 1.6, 1.0, 1.9], np.float32)
    # too small a lead: stays; a clear one: moves; a little far: stays; joins; too far to; too few votes; far gone
    assert decide(winner, share, mine, apart, 1.5, own, config).tolist() == [0, 1, 0, 1, -1, -1, -1]
