"""Who went where between two snapshots, against counting one by one; and which behaviour moved them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nights import FEATURES, MOVERS, N, behaviour_of, labels_of

from cluster.moves import ABSENT, NONE, Moved, matrix, moved, movers, pair
from cluster.shifts import NOTHING, reasons, worded
from configs.errors import InputError
from eventlog.behaviour import Behaviour, Feature

LABELS = st.sampled_from([-1, 0, 3, 7])
POPULATION = st.dictionaries(st.integers(-5, 40), LABELS, min_size=1)
SEGMENTS = (7, 0, 3)


def sides(people: dict[int, int], text: bool) -> tuple[pl.Series, np.ndarray]:
    """Ids ascending, and their labels; as text, in the order of text."""
    named = {f"c{id}": label for id, label in people.items()} if text else people
    order = sorted(named)  # type: ignore[type-var]
    return pl.Series(order), np.array([named[id] for id in order], np.int32)  # type: ignore[index]


@given(POPULATION, POPULATION, st.booleans())
def test_the_matrix_is_counted_one_by_one(before: dict[int, int], after: dict[int, int], text: bool) -> None:
    (ids, was), (later, now) = sides(before, text), sides(after, text)
    paired = pair(ids, later)
    found = matrix(paired, was, now, SEGMENTS, SEGMENTS)
    for source in (*SEGMENTS, NONE, ABSENT):
        for target in (*SEGMENTS, NONE, ABSENT):
            both = {*before, *after}
            expected = sum((before.get(id, ABSENT), after.get(id, ABSENT)) == (source, target) for id in both)
            assert found.count(source, target) == expected
    assert found.counts.sum() == len({*before, *after})
    who = moved(paired, was, now)
    changed = {id for id in before if id in after and before[id] != after[id]}
    assert found.moved == len(who.before) == len(changed)
    assert found.stayed == len(before.keys() & after.keys()) - len(changed)
    assert later.gather(who.after.tolist()).to_list() == ids.gather(who.before.tolist()).to_list()
    assert all(s != t for s, t in zip(who.source.tolist(), who.target.tolist(), strict=True))
    mine = who.of(3)
    assert len(mine.after) == sum(3 in (before[id], after[id]) for id in changed)


def test_ids_of_two_types_are_refused() -> None:
    with pytest.raises(InputError, match="whole numbers in one snapshot and text in the other"):
        pair(pl.Series([1, 2]), pl.Series(["1", "2"]))


def nights(change: float = 0.5) -> tuple[Behaviour, Behaviour, Moved, tuple[np.ndarray, np.ndarray]]:
    """The tests' own nights 1 and 2 over the same customers; the share of fuel of who moved rises by `change`."""
    customers = np.arange(N)
    was, now = labels_of(1, customers), labels_of(2, customers)
    before, after = behaviour_of(customers, was), behaviour_of(customers, now)
    mine = was != now
    after[mine] = before[mine]
    after[mine, 1] += change
    same = pair(pl.Series(customers), pl.Series(customers))
    return Behaviour(FEATURES, before), Behaviour(FEATURES, after), moved(same, was, now), (was, now)


def test_the_behaviour_that_changed_is_told_with_both_values() -> None:
    before, after, who, labels = nights()
    why = reasons(before, after, who, labels)
    assert len(why) == len([i for i in MOVERS if i % 10 != 9])
    for row, told in zip(who.before.tolist(), why, strict=True):
        was = float(before.matrix[row, 1])
        assert told == f"more shop fuel: {was:.1%} to {was + 0.5:.0%}"


@pytest.mark.parametrize("change", [0.0, 0.01, -0.2])
def test_who_did_nothing_else_or_the_opposite_has_no_single_behaviour(change: float) -> None:
    assert set(reasons(*nights(change))) == {NOTHING}


def test_what_everybody_did_is_nobodys_reason() -> None:
    before, after, who, labels = nights(0.0)
    after.matrix[:, 1] += 0.3
    assert set(reasons(before, after, who, labels)) == {NOTHING}


def test_features_are_matched_by_name() -> None:
    before, after, who, labels = nights()
    new = Feature("shop=TEA", "share", "shop", "TEA", "share of events with shop = TEA")
    order = [3, 1, 0]
    turned = Behaviour(
        (new, *(FEATURES[i] for i in order)),
        np.column_stack([np.linspace(0, 1, N), after.matrix[:, order]]).astype(np.float32),
    )
    assert reasons(before, turned, who, labels) == reasons(before, after, who, labels)
    alone = Behaviour((new,), turned.matrix[:, :1])
    assert set(reasons(before, alone, who, labels)) == {NOTHING}


def test_fields_that_segments_do_not_go_by_are_nobodys_reason() -> None:
    assert set(reasons(*nights(), aside=["shop"])) == {NOTHING}


def test_a_large_share_says_more_than_a_rare_one_that_most_have_none_of() -> None:
    rng = np.random.default_rng(0)
    features = tuple(Feature(f"f={v}", "share", "f", v, f"share of events with f = {v}") for v in ("PENSION", "TEA"))
    was = np.repeat([0, 3], 300).astype(np.int32)
    before = np.column_stack([np.where(was == 0, 0.7, 0.1), np.where(rng.random(600) < 0.1, 0.03, 0)])
    before[was == 3, 1] += 0.005
    now, after = was.copy(), before.copy()
    now[:20], after[:20] = 3, (0.1, 0.05)
    same = pair(pl.Series(np.arange(600)), pl.Series(np.arange(600)))
    pairs = [Behaviour(features, matrix.astype(np.float32)) for matrix in (before, after)]
    why = reasons(pairs[0], pairs[1], moved(same, was, now), (was, now))
    assert len(why) == 20
    assert all(told.startswith("less f pension: 70% to 10%") for told in why)


def test_reasons_do_not_hang_on_how_many_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reasons(*nights())
    monkeypatch.setattr("cluster.shifts.CELLS", 9)
    assert reasons(*nights()) == whole


def test_shares_of_one_value_are_told_once() -> None:
    before, after, who, labels = nights()
    twice = (*FEATURES, Feature("spent[shop=FUEL]", "share", "shop", "FUEL", "share of spent with shop = FUEL"))
    pairs = [Behaviour(twice, np.column_stack([b.matrix, b.matrix[:, 1] * 0.9])) for b in (before, after)]
    assert all(told.count("fuel") == 1 for told in reasons(pairs[0], pairs[1], who, labels))


@pytest.mark.parametrize(
    ("feature", "values", "words"),
    [
        (FEATURES[1], (0.02, 0.31), "more fuel: 2.0% to 31%"),
        (FEATURES[1], (0.31, 0.0), "less fuel: 31% to 0%"),
        (FEATURES[0], (12, 1400), "more events: 12 to 1,400"),
        (Feature("shop:distinct", "count", "shop_id", None, "x"), (5, 2), "fewer different shops: 5 to 2"),
        (Feature("l", "time", None, None, "days since the last"), (3, 40), "more days since the last: 3 to 40"),
        (Feature("g", "time", None, None, "average days between"), (3, 1.25), "lower average days between: 3 to 1.25"),
        (FEATURES[3], (0, 2), "higher average spent: 0 to 2"),
        (Feature("weekday=x", "share", None, "Monday", "x"), (0.1, 0.2), "more often on Mondays: 10% to 20%"),
        (Feature("hour=00-03", "share", None, "00-03", "x"), (0.2, 0.1), "less often at night: 20% to 10%"),
        (Feature("v[s=A]", "share", "s", "BABY_FOOD", "x"), (0.2, 0.3), "more baby food (share of v): 20% to 30%"),
        (Feature("shop=17", "share", "shop_id", "17", "x"), (0.2, 0.3), "more shop 17: 20% to 30%"),
    ],
)  # fmt: skip
def test_changes_in_words(feature: Feature, values: tuple[float, float], words: str) -> None:
    assert worded(feature, *values) == words


def test_a_row_for_each_who_moved() -> None:
    before, after, who, labels = nights()
    table = movers(
        who, pl.Series(np.arange(N)), np.full(N, 0.5), ({0: "A", 3: "B"}, {3: "B"}), reasons(before, after, who, labels)
    )
    assert table.columns == ["customer_id", "from", "from_name", "to", "to_name", "strength", "why"]
    assert table["customer_id"].to_list() == who.after.tolist()
    assert set(table.select("from", "from_name", "to", "to_name").rows()) == {(0, "A", 3, "B")}
    empty = Moved(*(np.zeros(0, np.int64),) * 2, *(np.zeros(0, np.int32),) * 2)
    assert movers(empty, pl.Series(["a"]), np.ones(1), ({}, {}), []).schema["customer_id"] == pl.String
