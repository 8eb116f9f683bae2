"""Names of segments: readable, unique, made from what sets them apart."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.names import BROAD, confusable, name_new, names_of, numbered, terse_fields
from cluster.profile import Driver
from cluster.words import plural, readable
from eventlog.behaviour import Feature


def driver(
    value: str, *, field: str | None = "department", kind: str = "share", up: bool = True, lift: float = 3
) -> Driver:
    ratio = lift if up else 1 / lift
    feature = f"{field}={value}" if kind == "share" else value
    return Driver(feature, value, kind, field, value if kind == "share" else None, 0.1 * ratio, 0.1, ratio, 1.0, 1.0)


@pytest.mark.parametrize(
    ("given_drivers", "name"),
    [
        ([driver("FUEL"), driver("BABY FOOD", up=False)], "A lot of fuel, less baby food"),
        ([driver("BABY FOOD", up=False, lift=9), driver("FUEL", lift=1.4)], "More fuel, hardly any baby food"),
        ([driver("367", field="store_id", lift=7), driver("321", field="store_id")], "Mostly store 367"),
        ([driver("Private", field="brand")], "A lot of Private brand"),
        (
            [driver("18-21", field=None), driver("Sunday", field=None, up=False)],
            "Often in the evening, rarely on Sundays",
        ),
        ([driver("events", field=None, kind="count")], "Very active"),
        ([driver("category:distinct", field="category", kind="count", up=False)], "Few different categories"),
        ([driver("average sales_value", field="sales_value", kind="amount")], "High average sales value"),
        ([], "Close to the average"),
    ],
)  # fmt: skip
def test_names_in_words(given_drivers: list[Driver], name: str) -> None:
    assert names_of([given_drivers], terse={"brand"}) == [name]


@given(
    st.lists(
        st.lists(
            st.builds(driver, st.sampled_from(["FUEL", "MEAT", "WINE", "x=y = z", "12"]), up=st.booleans()), max_size=5
        ),
        max_size=12,
    )
)
def test_names_are_never_empty_and_never_equal(lists: Sequence[Sequence[Driver]]) -> None:
    names = names_of(lists)
    assert len(names) == len(lists) == len({name.casefold() for name in names})
    assert all(name.strip() for name in names)


@given(st.lists(st.sampled_from(["a", "a (2)", "b", "a (2) (2)"]), max_size=12))
def test_numbering_makes_unique(names: list[str]) -> None:
    assert len(set(numbered(names))) == len(names)


def test_names_that_begin_alike_are_told_apart_by_the_next_behaviour() -> None:
    both = [driver("FUEL"), driver("MEAT")]
    assert names_of([[*both, driver("WINE")], [*both, driver("SOUP")]]) == [
        "A lot of fuel, a lot of meat, a lot of wine",
        "A lot of fuel, a lot of meat, a lot of soup",
    ]


def test_a_mere_degree_tells_no_two_segments_apart() -> None:
    first = [driver("FUEL"), driver("MEAT"), driver("WINE"), driver("SOUP")]
    second = [driver("FUEL"), driver("MEAT"), driver("WINE", lift=1.4), driver("SOUP", up=False)]
    assert names_of([first, second]) == [
        "A lot of fuel, a lot of meat, a lot of soup",
        "A lot of fuel, a lot of meat, less soup",
    ]


def test_a_long_name_loses_whole_phrases() -> None:
    lists = [
        [driver("VERY LONG DEPARTMENT NAME NUMBER ONE"), driver("ANOTHER LONG DEPARTMENT NAME TWO"), driver(v)]
        for v in ("A" * 9, "B" * 9)
    ]
    assert names_of(lists) == [f"A lot of very long department name number one, a lot of {v * 9}" for v in "ab"]


def test_what_a_segment_has_is_named_before_what_it_lacks_and_a_majority_is_called_one() -> None:
    lacking = [replace(driver("FUEL", up=False), score=1.0), replace(driver("MEAT", up=False), score=0.9)]
    having = replace(driver("WINE"), score=0.5)
    assert names_of([[*lacking, having]]) == ["A lot of wine, less fuel"]
    assert names_of([lacking, [having]], broad=0) == ["Broad majority", "A lot of wine"]


def test_words() -> None:
    assert [plural(w) for w in ("category", "store", "brand", "day", "batch")] == [
        "categories", "stores", "brands", "days", "batches",
    ]  # fmt: skip
    assert readable("FROZEN_PIZZA") == "frozen pizza"
    few = [Feature(f"b={v}", "share", "brand", v, "") for v in "ab"]
    many = [Feature(f"d={v}", "share", "department", str(v), "") for v in range(20)]
    assert terse_fields([*few, *many]) == {"brand"}


VALUES = ("FUEL", "MEAT", "WINE", "SOUP", "12", "bread, buns")
DRIVERS = st.lists(
    st.builds(driver, st.sampled_from(VALUES), up=st.booleans(), lift=st.sampled_from([1.4, 3.0, 9.0])), max_size=5
)


@given(
    st.dictionaries(st.integers(0, 40), DRIVERS, max_size=12),
    st.sets(st.integers(0, 40)),
    st.lists(st.sampled_from(["a lot of FUEL, less meat", "More fuel", "VIPs", BROAD, "Broad majority (2)"])),
    st.booleans(),
)
def test_new_segments_get_names_that_are_confusable_with_no_other(
    drivers: dict[int, list[Driver]], keeping: set[int], taken: list[str], majority: bool
) -> None:
    kept = {s: name for s, name in name_new(drivers, {}).items() if s in keeping}
    broad = next((s for s in drivers if s not in kept), None) if majority else None
    names = name_new(drivers, kept, taken, broad=broad)
    assert names.keys() == drivers.keys() - kept.keys()
    every = [*kept.values(), *taken, *names.values()]
    for segment, name in names.items():
        assert name.strip()
        assert sum(confusable(name, other) for other in every) == 1, (segment, name, every)


def test_a_kept_name_stays_and_its_like_gets_another() -> None:
    alike = [driver("FUEL"), driver("MEAT"), driver("WINE")]
    drivers = {4: alike, 9: [driver("FUEL"), driver("MEAT"), driver("SOUP")]}
    assert name_new(drivers, {4: "A lot of fuel, a lot of meat"}) == {9: "A lot of fuel, a lot of meat, a lot of soup"}
    assert name_new(drivers, {4: "Truckers"}) == {9: "A lot of fuel, a lot of meat, a lot of soup"}
    assert name_new(drivers, {4: "Truckers"}, ["a lot of fuel, more meat, a lot of soup"]) == {
        9: "A lot of fuel, a lot of meat"
    }
    drivers[9].append(driver("BEER"))
    assert name_new(drivers, {4: "Truckers"}, ["a lot of fuel, more meat, a lot of soup"]) == {
        9: "A lot of fuel, a lot of beer"
    }
    assert name_new(drivers, {4: "Truckers"}, ["Broad Majority"], broad=9) == {9: "A lot of fuel, a lot of meat"}
    assert name_new({1: []}, {}, ["Close to the average", "close to the average (2)"]) == {
        1: "Close to the average (3)"
    }


def test_degree_order_and_upper_case_make_no_other_name() -> None:
    assert confusable("A lot of fuel, less meat", "hardly any Meat, mostly FUEL")
    assert confusable("Often store 367", "Mostly store 367")
    assert not confusable("A lot of fuel, less meat", "A lot of fuel, more meat")
    assert not confusable("A lot of fuel", "A lot of fuel, less meat")


def test_what_most_segments_do_is_named_after_what_is_their_own() -> None:
    common = driver("SALARY")
    own = [replace(driver(value), score=0.8) for value in VALUES[:4]]
    assert names_of([[common, one] for one in own]) == [f"A lot of {v.lower()}, a lot of salary" for v in VALUES[:4]]
    # of two alone, neither is common
    assert names_of([[common, one] for one in own[:2]]) == [
        f"A lot of salary, a lot of {v.lower()}" for v in VALUES[:2]
    ]


def test_spreads_and_extremes_are_worded_plainly_and_named_last() -> None:
    spread = driver("amount:std", field="amount", kind="amount")
    assert names_of([[replace(spread, words="spread of amount"), replace(driver("FUEL"), score=0.2)]]) == [
        "A lot of fuel, widely varying amount"
    ]
    assert names_of([[replace(spread, words="largest amount", feature="amount:max")]]) == ["High maximum amount"]
    assert readable("M0042") == "M0042"
