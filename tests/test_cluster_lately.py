"""Who lives differently is placed by the last weeks: at once, until the whole history follows, however many nights."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from test_cluster_registry import QUICK, Floats, Ints, World

from cluster.lately import KEPT, WEEK, Changed, brought_up, mondays
from cluster.likely import FEWEST, Likely
from cluster.registry import Registry, advance, begin
from cluster.state import read_registry, write_state
from store.artifact import create

MONDAY = 20_241
FAR = QUICK.model_copy(update={"shadow_every": 1000})


@dataclass
class Said:
    """Weeks that say what they are told to."""

    recent: Floats
    last: int = MONDAY
    over: dict[int, Ints] = field(default_factory=dict)
    """By Monday, who has lived differently."""
    asked: list[int] = field(default_factory=list)

    def changed(self, monday: int, least_z: float) -> tuple[Ints, Floats]:
        self.asked.append(monday)
        rows = self.over.get(monday, np.empty(0, np.int64))
        return rows, np.full(len(rows), least_z + 1, np.float32)

    def vectors(self, monday: int, rows: Ints) -> tuple[Ints, Floats]:
        places = np.flatnonzero(rows % 50 != 49)  # some did too little
        return places, self.recent[rows[places]]


@pytest.fixture
def bank() -> tuple[World, Registry, Said, Ints, int, int]:
    """The registry of a first Monday, and twenty customers of one segment who live like another since."""
    world = World(seed=4)
    said = Said(world.vectors.copy())
    before = begin(world.vectors, FAR, weeks=said)
    (old, _), (new, _) = world.best(before, 0), world.best(before, 1)
    rows = np.flatnonzero((world.truth == 0) & (before.members.labels == old))[:20]
    said.recent[rows] = world.draw(np.ones(20, np.int64))
    return world, before, said, rows[rows % 50 != 49], old, new


def onward(world: World, before: Registry, said: Said | None, fresh: Ints | None = None) -> Registry:
    was = np.arange(len(world.truth))
    return advance(before, was, was[:0] if fresh is None else fresh, world.vectors, FAR, weeks=said)


def test_who_lives_differently_goes_there_at_once(bank: tuple[World, Registry, Said, Ints, int, int]) -> None:
    world, before, said, rows, old, new = bank
    assert said.asked == []
    said.last = MONDAY + WEEK
    said.over = {said.last: rows[:10]}
    after = onward(world, before, said)
    assert said.asked == [MONDAY, MONDAY + WEEK], "what was so before is asked first"
    labels = after.members.labels
    assert (labels[rows[:10]] == new).all(), "although nothing is new of them tonight"
    assert (labels[rows[10:]] == old).all(), "of whom nobody says that they changed"
    assert (after.members.second[rows[:10]] == old).all()
    assert (after.members.strength[rows[:10]] >= 0.6).all()
    assert after.figures["lately"] == after.figures["moved"] == 10
    assert (after.members.home == before.members.home).all()
    # within the week nothing is asked, and who buys something stays
    again = onward(world, after, said, rows)
    assert len(said.asked) == 2
    np.testing.assert_array_equal(again.members.labels, labels)
    # who has no weeks any more is back, and so is everybody once weeks are not looked at
    assert (onward(world, after, None).members.labels[rows] == old).all()
    later = replace(said, last=said.last + KEPT + WEEK, over={})
    back = onward(world, again, later)
    assert (back.members.labels[rows] == old).all()
    assert not len(back.changed.rows)


def test_until_then_they_are_asked_again_by_each_last_weeks(bank: tuple[World, Registry, Said, Ints, int, int]) -> None:
    world, before, said, rows, old, new = bank
    said.last = MONDAY + WEEK
    said.over = {said.last: rows}
    after = onward(world, before, said)
    said.last += WEEK
    said.recent[rows[:5]] = world.vectors[rows[:5]]  # as before the change
    then = onward(world, after, said)
    assert (then.members.labels[rows[:5]] == old).all()
    assert (then.members.labels[rows[5:]] == new).all()
    # whatever the whole history says meanwhile, which is told beside
    moved = world.redraw(rows[5:8], 2)
    third, _ = world.best(before, 2)
    members = onward(world, then, said, moved).members
    assert (members.labels[moved] == new).all()
    assert (members.second[moved] == third).all()


def test_new_landmarks_do_not_make_it_a_home(bank: tuple[World, Registry, Said, Ints, int, int]) -> None:
    world, before, said, rows, old, new = bank
    said.last = MONDAY + WEEK
    said.over = {said.last: rows}
    renewed = FAR.model_copy(update={"shadow_every": 1, "renew_every": 1})
    was = np.arange(len(world.truth))
    after = advance(before, was, was[:0], world.vectors, renewed, weeks=said)
    assert after.ground is not None
    assert after.ground.since == after.generation
    assert (after.members.labels[rows] == new).all()
    assert (after.members.home[rows] == old).all()
    known = np.isin(after.ground.landmarks.rows, rows)
    assert (after.ground.labels[known] == old).all()
    assert (onward(world, after, said, rows).members.labels[rows] == new).all()
    assert (onward(world, after, None, rows).members.labels[rows] == old).all()


def test_one_night_for_five_weeks_ends_where_thirty_five_nights_do(
    bank: tuple[World, Registry, Said, Ints, int, int],
) -> None:
    world, before, said, rows, *_ = bank
    said.over = {MONDAY + WEEK: rows[:4], MONDAY + 2 * WEEK: rows[2:9], MONDAY + 4 * WEEK: rows[:3]}
    nightly = before
    for night in range(1, 36):
        said.last = MONDAY + night // WEEK * WEEK
        nightly = onward(world, nightly, said, rows[night % 3 :: 3])
    once = onward(world, before, said, rows)
    for name in ("labels", "strength", "second", "second_strength", "home"):
        np.testing.assert_array_equal(getattr(nightly.members, name), getattr(once.members, name))
    for name in Changed.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(nightly.changed, name), getattr(once.changed, name))
    assert sorted(set(said.asked)) == [MONDAY + week * WEEK for week in range(6)]


def test_news_is_who_was_not_known_the_week_before() -> None:
    said = Said(np.zeros((100, 3), np.float32))
    weeks = {0: [1, 2], 1: [2, 3], 2: [2], 3: [1, 2, 3]}
    said.over = {MONDAY + WEEK * week: np.array(rows) for week, rows in weeks.items()}
    changed, told = Changed.nobody(), []
    for week in weeks:
        since, said.last = changed.monday, MONDAY + WEEK * week
        changed = brought_up(changed, said, QUICK, None)
        told.append(changed.told(since).rows.tolist())
    assert told == [[1, 2], [3], [], [1, 3]]
    assert changed.first.tolist() == [MONDAY + 3 * WEEK, MONDAY, MONDAY + 3 * WEEK]
    # a bank that slept for two weeks hears of both
    slept = brought_up(replace(Changed.nobody(), monday=MONDAY), said, QUICK, None)
    assert slept.told(MONDAY).rows.tolist() == [1, 2, 3]


def test_only_mondays_that_matter_are_asked() -> None:
    assert list(mondays(MONDAY, MONDAY)) == []
    assert list(mondays(MONDAY, MONDAY + 2 * WEEK)) == [MONDAY + WEEK, MONDAY + 2 * WEEK]
    assert list(mondays(0, MONDAY)) == [MONDAY - WEEK, MONDAY]
    assert list(mondays(0, 0)) == []
    assert next(mondays(MONDAY, MONDAY + 700)) == MONDAY + 700 - KEPT


def test_who_changed_goes_along_in_files_and_not_with_who_is_erased(
    bank: tuple[World, Registry, Said, Ints, int, int], tmp_path: Path
) -> None:
    world, before, said, rows, *_ = bank
    said.last = MONDAY + WEEK
    said.over = {said.last: rows}
    after = onward(world, before, said)
    with create(tmp_path / "s", "segments", 2, "key") as writer:
        write_state(writer, after, "line")
    read = read_registry(tmp_path / "s", after.members)
    for name in Changed.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read.changed, name), getattr(after.changed, name))
    assert read.ground is not None
    assert read.ground.likely is not None
    assert after.ground is not None
    assert after.ground.likely is not None
    for name in Likely.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read.ground.likely, name), getattr(after.ground.likely, name))
    keep = np.ones(len(world.truth), bool)
    keep[[np.setdiff1d(np.arange(50), rows)[0], rows[3], rows[7]]] = False
    left = read.changed.now(np.where(keep, np.cumsum(keep) - 1, -1))
    assert len(left.rows) == len(rows) - 2
    np.testing.assert_array_equal(np.flatnonzero(keep)[left.rows], np.delete(rows, [3, 7]))
    assert (np.diff(left.rows) > 0).all()


def test_an_ended_segment_gives_its_heir() -> None:
    said = Said(np.zeros((9, 3), np.float32), over={MONDAY: np.arange(3)})
    changed = replace(brought_up(Changed.nobody(), said, QUICK, None), segment=np.array([4, 5, 6], np.int32))
    assert changed.into({4: 6, 5: -1}).segment.tolist() == [6, -1, 6]


def test_the_likeliest_segment_is_read_through_much_chance() -> None:
    rng = np.random.default_rng(1)
    means = rng.standard_normal((3, 40)) * 0.5
    own = rng.integers(0, 3, 3000)
    labels = np.array([2, 5, 9], np.int32)[own]
    vectors = (means[own] + rng.standard_normal((3000, 40))).astype(np.float32)
    labels[own == 2] = np.where(np.arange((own == 2).sum()) < FEWEST - 1, 9, -1)
    likely = Likely.of(vectors, labels)
    assert likely is not None
    assert likely.ids.tolist() == [2, 5], "nineteen are too few to tell a segment by"
    fresh = rng.integers(0, 2, 2000)
    ids, chance = likely.most((means[fresh] + rng.standard_normal((2000, 40))).astype(np.float32))
    assert (ids == np.array([2, 5])[fresh]).mean() > 0.95
    right = (ids == np.array([2, 5])[fresh])[chance < 0.9]
    assert abs(right.mean() - chance[chance < 0.9].mean()) < 0.1, "it is as sure as it is right"
    assert Likely.of(vectors, np.where(labels == 2, 2, -1)) is None
    assert likely.most(vectors[:0])[0].shape == (0,)
