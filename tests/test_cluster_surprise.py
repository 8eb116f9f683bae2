"""Surprise: who was unlike themselves is found among customers alike, and who is merely new, busy or varied is not."""

import numpy as np
import pytest

import cluster.surprise as module
from cluster.surprise import Habits, surprise, usual
from eventlog.behaviour import Behaviour, Feature

SHOPS = ("FOOD", "FUEL", "WINE", "BOOKS", "TOYS", "SHOES")
FEATURES = (
    Feature("events", "count", None, None, "number of events"),
    Feature("spent:mean", "amount", "spent", None, "average spent"),
    *(Feature(f"shop={shop}", "share", "shop", shop, f"share of events with shop = {shop}") for shop in SHOPS),
    Feature("spent[shop=FUEL]", "share", "shop", "FUEL", "share of spent with shop = FUEL"),
    Feature("weekday=Mondays", "share", None, "Monday", "share of events on Mondays"),
    Feature("hour=00-03", "share", None, "00-03", "share of events from 00:00 to 03:00"),
)
N, FUEL, WINE = 2_000, 3, 4
CHANGED = np.array([17, 400, 1_999])


def world(
    seed: int = 0, history: int = 400, new: int = 6, changed: np.ndarray = CHANGED
) -> tuple[Behaviour, Behaviour]:
    """Everybody has a favourite shop; the `changed` ones suddenly are at the wine shop alone, at night."""
    rng = np.random.default_rng(seed)
    tastes = rng.dirichlet(np.full(6, 0.3), N) * 0.9 + 0.1 / 6
    tastes[changed] = [0.5, 0.3, 0.001, 0.1, 0.05, 0.049]
    lengths = np.full(N, history)
    before = np.stack([rng.multinomial(lengths[i], tastes[i]) for i in range(N)]).astype(np.float64)
    fresh = np.stack([rng.multinomial(new, tastes[i]) for i in range(N)]).astype(np.float64)
    fresh[changed] = [0, 0, new, 0, 0, 0]
    late = rng.binomial(lengths, 0.3).astype(np.float64), rng.binomial(new, 0.3, N).astype(np.float64)
    late[0][changed], late[1][changed] = 0, new
    return matrix(before, late[0]), matrix(before + fresh, late[0] + late[1])


def matrix(counts: np.ndarray, late: np.ndarray) -> Behaviour:
    events = counts.sum(axis=1)
    shares, whole = counts / events[:, None], np.zeros(len(events))
    columns = [events, whole, *shares.T, shares[:, 1], whole, late / events]
    return Behaviour(FEATURES, np.stack(columns, axis=1).astype(np.float32))


ROWS = np.arange(N)


def test_who_was_unlike_themselves_stands_out_and_the_habits_are_named() -> None:
    earlier, later = world()
    habits = Habits(earlier, later)
    found = surprise(habits, ROWS, ROWS)
    assert found.places.tolist() == ROWS.tolist()
    assert (found.new == 6).all()
    assert (found.history == 400).all()
    assert set(found.places[np.argsort(-found.z)[:3]]) == set(CHANGED)
    assert (found.z[CHANGED] > 5).all()
    told = habits.unlike(CHANGED, CHANGED)
    for one in told:
        assert {habit.feature for habit in one} == {"shop=WINE", "hour=00-03"}
        assert all(habit.after == 1.0 and habit.before < 0.05 for habit in one)
        words = {habit.feature: habit.words for habit in one}
        assert words["shop=WINE"].startswith("more shop wine: ")
        assert words["shop=WINE"].endswith(" to 100%")
        assert words["hour=00-03"].startswith("more often ")


def test_quiet_customers_are_seldom_told_of() -> None:
    earlier, later = world(seed=1, changed=np.zeros(0, np.int64))
    found = surprise(Habits(earlier, later), ROWS, ROWS)
    assert np.mean(found.z >= 3.5) < 0.01


def test_whose_history_is_short_or_who_has_nothing_new_is_not_judged() -> None:
    earlier, later = world(history=15)
    assert not len(surprise(Habits(earlier, later), ROWS, ROWS).places)
    earlier, _ = world()
    assert not len(surprise(Habits(earlier, earlier), ROWS, ROWS).places)


def test_rows_are_the_customers_own_in_each_snapshot() -> None:
    earlier, later = world()
    order = np.random.default_rng(3).permutation(N)
    place = np.argsort(order)
    shuffled = Behaviour(FEATURES, later.matrix[order])
    some = np.arange(0, N, 2)
    one = surprise(Habits(earlier, later), some, some)
    other = surprise(Habits(earlier, shuffled), some, place[some])
    np.testing.assert_array_equal(one.z, other.z)


def test_in_small_parts_it_comes_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, later = world()
    whole, told = surprise(Habits(earlier, later), ROWS, ROWS), Habits(earlier, later).unlike(CHANGED, CHANGED)
    monkeypatch.setattr(module, "CELLS", 100)
    np.testing.assert_array_equal(surprise(Habits(earlier, later), ROWS, ROWS).z, whole.z)
    assert Habits(earlier, later).unlike(CHANGED, CHANGED) == told


def test_fields_that_are_set_aside_and_what_only_one_snapshot_has_count_for_nothing() -> None:
    earlier, later = world()
    assert [f.name for f in Habits(earlier, later, ["shop"]).features] == ["hour=00-03"]
    fewer = Behaviour(FEATURES[:4], later.matrix[:, :4])
    assert [f.name for f in Habits(earlier, fewer).features] == ["shop=FOOD", "shop=FUEL"]
    nameless = Behaviour(FEATURES[1:], later.matrix[:, 1:])
    assert not len(surprise(Habits(earlier, nameless), ROWS, ROWS).places)


def test_what_is_usual_is_that_of_customers_with_as_many_new_events_and_as_long_a_history() -> None:
    rng = np.random.default_rng(0)
    new, history = rng.choice([1, 40], 4_000), rng.choice([30, 3_000], 4_000)
    # those with much to tell vary more; nobody among them is unusual for it
    scores = rng.normal(0, 1, 4_000) * new * np.sqrt(3_000 / history)
    z = usual(scores, new, history)
    for events in (1, 40):
        for length in (30, 3_000):
            mine = z[(new == events) & (history == length)]
            assert abs(np.median(mine)) < 0.01
            assert np.mean(mine > 3.5) < 0.005


def test_with_too_few_alike_nobody_is_unusual() -> None:
    scores = np.array([0.0] * 30 + [50.0])
    many = np.full(31, 5)
    assert (usual(scores, many, many * 20) == 0).all()
    # but those with as many new events and another length of history help out
    lengths = np.where(np.arange(62) % 2, 100, 3_000)
    z = usual(np.random.default_rng(0).normal(size=62) + np.eye(62)[5] * 50, np.full(62, 5), lengths)
    assert z.argmax() == 5
    assert z[5] > 10


def test_where_all_are_alike_to_a_hair_nothing_is_divided_by_zero() -> None:
    scores = np.zeros(100)
    assert (usual(scores, np.full(100, 5), np.full(100, 50)) == 0).all()
    scores[3] = 1
    z = usual(scores, np.full(100, 5), np.full(100, 50))
    assert np.isfinite(z).all()
    assert z.argmax() == 3
