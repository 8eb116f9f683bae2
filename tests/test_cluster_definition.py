"""Definitions of segments: planted rules come back, noise stays out, the figures hold on customers never seen."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.definition import Condition, Definition, definitions, fits
from cluster.rules import Coded, code, f1_of, grow
from cluster.thresholds import rounded_to_read, thresholds_of
from cluster.words import about, condition, number, sentence, subject_of
from eventlog.behaviour import Behaviour, Feature

NOISE = 60


def share(value: str, field: str = "department", whole: str = "events") -> Feature:
    name = f"{field}={value}" if whole == "events" else f"{whole}[{field}={value}]"
    return Feature(name, "share", field, value, f"share of {whole} with {field} = {value}")


def world(n: int, seed: int, noise: int = NOISE) -> tuple[Behaviour, np.ndarray]:
    """Segment 7 has at least 20 % fuel, of 9 in 10 of those who have; segment 3 has 40 events or less and at least
    30 % wine; nobody else is in a segment."""
    rng = np.random.default_rng(seed)
    fuel, wine = rng.beta(1, 6, n), rng.beta(1, 3, n)
    events = rng.integers(1, 200, n)
    features = (
        share("FUEL"), share("WINE"), Feature("events", "count", None, None, "number of events"),
        *(share(f"NOISE {chr(97 + i % 26)} {i}") for i in range(noise)),
    )  # fmt: skip
    matrix = np.column_stack([fuel, wine, events, rng.random((n, noise))]).astype(np.float32)
    labels = np.full(n, -1, np.int32)
    labels[(matrix[:, 2] <= 40) & (matrix[:, 1] >= 0.3)] = 3
    labels[(matrix[:, 0] >= 0.2) & (rng.random(n) < 0.9)] = 7
    return Behaviour(features, matrix), labels


def test_planted_rules_come_back_with_figures_that_hold_for_everybody_else() -> None:
    behaviour, labels = world(20_000, 0)
    fuel, wine = definitions(behaviour, labels, [7, 3], seed=0)
    assert fuel is not None
    assert wine is not None
    assert [(c.feature, c.at_least, c.threshold) for c in fuel.conditions] == [("department=FUEL", True, 0.2)]
    assert fuel.text == "At least 20 % of events with department fuel"
    assert fuel.precision == pytest.approx(0.9, abs=0.02)
    assert fuel.recall == 1.0
    thresholds = {c.feature: (c.at_least, c.threshold) for c in wine.conditions}
    assert thresholds["events"] == (False, 40)
    assert thresholds["department=WINE"] == (True, 0.3)
    other, true = world(20_000, 1)
    for segment, definition in ((7, fuel), (3, wine)):
        fitting = fits(other, definition.conditions, np.arange(20_000))
        right = (fitting & (true == segment)).sum()
        assert right / fitting.sum() == pytest.approx(definition.precision, abs=0.03)
        assert right / (true == segment).sum() == pytest.approx(definition.recall, abs=0.03)


def test_figures_are_those_of_the_half_that_the_conditions_were_not_sought_on() -> None:
    behaviour, labels = world(3_000, 5)
    found = definitions(behaviour, labels, [7], seed=2)[0]
    assert found is not None
    half = np.random.default_rng([2, 71]).random(len(labels)) < 0.5
    held_out = np.flatnonzero(~half)
    fitting, mine = fits(behaviour, found.conditions, held_out), labels[held_out] == 7
    assert found.precision == (fitting & mine).sum() / fitting.sum()
    assert found.recall == (fitting & mine).sum() / mine.sum()
    # what happens in the half that is measured has no say in the conditions
    matrix = behaviour.matrix.copy()
    matrix[held_out] = np.random.default_rng(0).permutation(matrix[held_out])
    again = definitions(Behaviour(behaviour.features, matrix), labels, [7], seed=2)[0]
    assert again is not None
    assert again.conditions == found.conditions
    assert again.precision < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_of_labels_that_mean_nothing_there_is_no_definition(seed: int) -> None:
    behaviour, _ = world(4_000, seed, noise=200)
    labels = np.random.default_rng(seed + 100).integers(-1, 12, 4_000).astype(np.int32)
    assert definitions(behaviour, labels, range(12), seed) == [None] * 12


@pytest.mark.parametrize("size", [40, 80, 400])
def test_noise_is_no_condition_however_small_the_segment(size: int) -> None:
    rng = np.random.default_rng(size)
    behaviour, _ = world(8_000, size, noise=200)
    labels = np.full(8_000, -1, np.int32)
    # half of the members do as everybody: there is much left for noise to explain
    members = rng.permutation(8_000)[:size]
    behaviour.matrix[members[: size // 2], 0] = 0.9
    labels[members] = 4
    found = definitions(behaviour, labels, [4], seed=0)[0]
    assert found is not None
    assert {c.feature for c in found.conditions} == {"department=FUEL"}
    assert found.recall == pytest.approx(0.5, abs=0.25)


def test_of_two_rules_that_are_nearly_as_good_the_shorter_is_taken() -> None:
    behaviour, labels = world(8_000, 3)
    # one in a hundred members of the segment is told by a second feature as well
    behaviour.matrix[:, 1] = np.where((labels == 7) & (np.arange(8_000) % 100 > 0), 0.9, 0.1)
    found = definitions(behaviour, labels, [7], seed=0)[0]
    assert found is not None
    assert len(found.conditions) == 1


def test_at_most_four_conditions_and_the_same_ones_every_time() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.random((20_000, 8)).astype(np.float32)
    labels = np.where((matrix[:, :6] > 0.3).all(axis=1), 0, -1).astype(np.int32)
    behaviour = Behaviour(tuple(share(f"value {chr(97 + i)}") for i in range(8)), matrix)
    found = definitions(behaviour, labels, [0], seed=1)[0]
    assert found is not None
    assert len(found.conditions) == 4
    assert len({c.feature for c in found.conditions} & {f"department=value {c}" for c in "gh"}) == 0
    assert definitions(behaviour, labels, [0], seed=1) == [found]


def test_constant_features_tiny_and_absent_segments_and_set_aside_fields() -> None:
    behaviour, labels = world(2_000, 0)
    features = (*behaviour.features, share("constant"), share("367", field="store_id"))
    matrix = np.column_stack([behaviour.matrix, np.full(2_000, 0.5), labels == 7]).astype(np.float32)
    labels[:8] = 11
    found = definitions(Behaviour(features, matrix), labels, [7, 11, 99], 0, aside={"store_id"})
    assert found[0] is not None
    assert [c.feature for c in found[0].conditions] == ["department=FUEL"]
    assert found[1:] == [None, None]
    matrix[:, -1] = labels == 7
    with_store = definitions(Behaviour(features, matrix), labels, [7], 0)[0]
    assert with_store is not None
    assert [c.feature for c in with_store.conditions] == ["store_id=367"]
    assert with_store.precision == with_store.recall == 1.0
    nothing = Behaviour(features[-2:-1], matrix[:, -2:-1])
    assert definitions(nothing, labels, [7], 0) == [None]
    assert definitions(nothing, labels, [], 0) == []
    empty = Behaviour(features, matrix[:0])
    assert definitions(empty, labels[:0], [7], 0) == [None]


def test_a_segment_of_nearly_everybody_is_defined_only_if_a_rule_says_more_than_everybody() -> None:
    behaviour, labels = world(6_000, 0)
    most = np.where(labels == 3, -1, 0).astype(np.int32)
    assert definitions(behaviour, most, [0], 0) == [None]
    without_fuel = np.where(behaviour.matrix[:, 0] >= 0.15, -1, 0).astype(np.int32)
    found = definitions(behaviour, without_fuel, [0], 0)[0]
    assert found is not None
    assert found.text == "At most 15 % of events with department fuel"


def test_samples_stand_for_everybody() -> None:
    n = 400_000
    behaviour, labels = world(n, 0, noise=3)
    # a small segment, of which samples hold a larger part than of the others
    rng = np.random.default_rng(9)
    rare = rng.permutation(np.flatnonzero(labels == -1))[:900]
    behaviour.matrix[rare, 3] = 2 + rng.random(900)
    behaviour.matrix[rng.permutation(np.flatnonzero(labels == -1))[:900], 3] = 2 + rng.random(900)
    labels[rare] = 5
    for segment, found in zip((7, 5), definitions(behaviour, labels, [7, 5], 0), strict=True):
        assert found is not None
        fitting = fits(behaviour, found.conditions, np.arange(n))
        right = (fitting & (labels == segment)).sum()
        assert found.precision == pytest.approx(right / fitting.sum(), abs=0.12 if segment == 5 else 0.02)
        assert found.recall == pytest.approx(right / (labels == segment).sum(), abs=0.05)


def test_a_definition_stays_until_another_is_clearly_better() -> None:
    behaviour, labels = world(8_000, 0)
    first = definitions(behaviour, labels, [7], 0)[0]
    assert first is not None
    condition_now = first.conditions[0]
    near = Condition(condition_now.feature, condition_now.words, True, 0.205, "as it was")
    former = Definition((near,), 0.1, 0.1, "as it was")
    kept = definitions(behaviour, labels, [7], 0, before={7: former})[0]
    assert kept is not None
    assert kept.conditions == (near,)
    assert kept.precision == pytest.approx(0.9, abs=0.05)
    far = Definition((Condition("department=FUEL", "", True, 0.4, "far"),), 1, 1, "far")
    assert definitions(behaviour, labels, [7], 0, before={7: far}) == [first]
    gone = Definition((Condition("department=GONE", "", True, 0.2, "gone"),), 1, 1, "gone")
    assert definitions(behaviour, labels, [7], 0, before={7: gone, 3: gone}) == [first]
    assert definitions(behaviour, labels, [7], 0, aside={"department"}, before={7: first}) == [None]


def test_between_looks_a_definition_stays_while_it_fits_as_well_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    behaviour, labels = world(8_000, 0)
    first, second = definitions(behaviour, labels, [7, 3], 0)
    assert first is not None
    assert second is not None
    sought: list[int] = []

    def looked(coded: Coded, members: np.ndarray) -> object:
        sought.append(int(members.sum()))
        return grow(coded, members)

    monkeypatch.setattr("cluster.definition.grow", looked)
    assert definitions(behaviour, labels, [7, 3], 0, before={7: first, 3: second}, seek=False) == [first, second]
    assert sought == []
    # one that was better than it is now, one of a behaviour that is gone, and a new segment
    was = Definition((Condition("department=FUEL", "", True, 0.4, "far"),), 1, 1, "far")
    assert definitions(behaviour, labels, [7, 3], 0, before={7: was, 3: second}, seek=False) == [first, second]
    assert len(sought) == 1
    gone = Definition((Condition("department=GONE", "", True, 0.2, "gone"),), 0.1, 0.1, "gone")
    assert definitions(behaviour, labels, [7, 3], 0, before={7: gone}, seek=False) == [first, second]
    assert len(sought) == 3
    # a worse one than could be found stays until the next look
    poor = Definition((Condition("department=FUEL", "", True, 0.4, "far"),), 0.1, 0.1, "far")
    (kept,) = definitions(behaviour, labels, [7], 0, before={7: poor}, seek=False)
    assert kept is not None
    assert kept.conditions == poor.conditions
    assert definitions(behaviour, labels, [7], 0, before={7: poor}) == [first]


def test_json_and_back() -> None:
    behaviour, labels = world(4_000, 0)
    for found in definitions(behaviour, labels, [7, 3], 0):
        assert found is not None
        assert Definition.of(json.loads(json.dumps(asdict(found), allow_nan=False))) == found


def brute_force(values: np.ndarray, members: np.ndarray, thresholds: Sequence[np.ndarray]) -> float:
    """The best F1 of one condition."""
    every = [
        f1_of(members, values[:, i] >= t if up else values[:, i] <= t, np.ones(len(values)))
        for i, of_one in enumerate(thresholds)
        for t in of_one
        for up in (True, False)
    ]
    return max(every)


def test_the_best_condition_is_found_as_by_trying_all() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 30, (500, 4)).astype(np.float32)
    members = values[:, 2] + rng.normal(0, 2, 500) > 20
    thresholds = thresholds_of(values, members.astype(np.int32), [1], ["count"] * 4)
    codes = np.stack([code(values[:, i], thresholds[i]) for i in range(4)])
    price = np.full((4, max(map(len, thresholds))), np.inf)
    for i, of_one in enumerate(thresholds):
        price[i, : len(of_one)] = 0
    rule = grow(Coded(codes, tuple(thresholds), price, np.ones(500)), members)
    assert rule is not None
    assert len(rule.cuts) == 1
    assert rule.f1 == pytest.approx(brute_force(values, members, thresholds))


NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30)


@given(NUMBERS, NUMBERS)
def test_codes_compare_as_values_do(values: list[float], marks: list[float]) -> None:
    thresholds = np.unique(np.array(marks, np.float32))
    column = np.array(values, np.float32)
    codes = code(column, thresholds)
    for i, threshold in enumerate(thresholds):
        assert ((codes >= 2 * i + 1) == (column >= threshold)).all()
        assert ((codes <= 2 * i + 1) == (column <= threshold)).all()


@settings(max_examples=200)
@given(st.floats(0, 1e7), st.sampled_from(["share", "count", "amount", "time"]))
def test_thresholds_read_as_they_are_compared(value: float, kind: str) -> None:
    rounded = float(rounded_to_read(np.array([min(value, 1.0) if kind == "share" else value]), kind, False)[0])
    shown = number(100 * rounded if kind == "share" else rounded, 3)
    assert float(shown.replace(",", "")) / (100 if kind == "share" else 1) == pytest.approx(rounded, rel=1e-9)
    assert len(shown.replace(",", "").replace(".", "").strip("0")) <= 2 or kind == "share"


def test_words() -> None:
    cases = [
        (share("BABY FOOD"), True, 0.12, "at least 12 % of events with department baby food"),
        (share("BABY FOOD"), False, 0.0, "no events with department baby food"),
        (share("salary", "kind", "amount"), True, 0.355, "at least 35.5 % of amount with kind salary"),
        (share("cash", "source"), True, 0.004, "at least 0.4 % of events from cash"),
        (share("M0042", "merchant"), False, 0.004, "at most 0.4 % of events with merchant M0042"),
        (Feature("weekday=Mondays", "share", None, "Monday", "share of events on Mondays"), True, 0.5,
         "at least 50 % of events on Mondays"),
        (Feature("hour=18-21", "share", None, "18-21", "share of events from 18:00 to 21:00"), False, 0.1,
         "at most 10 % of events from 18:00 to 21:00"),
        (Feature("events", "count", None, None, "number of events"), True, 1200.0, "at least 1,200 events"),
        (Feature("active_days", "count", None, None, ""), False, 3.0, "events on at most 3 days"),
        (Feature("last_event_days", "time", None, None, ""), True, 30.0, "last event at least 30 days ago"),
        (Feature("visit_gap_days", "time", None, None, ""), True, 1.5,
         "at least 1.5 days between active days on average"),
        (Feature("store_id:distinct", "count", "store_id", None, ""), True, 4.0, "at least 4 different stores"),
        (Feature("store_id:distinct", "count", "store_id", None, ""), False, 1.0, "at most 1 store"),
        (Feature("country:distinct", "count", "country", None, ""), False, 0.0, "no country at all"),
        (Feature("sales_value:mean", "amount", "sales_value", None, "average sales_value"), True, 0.05,
         "average sales value of at least 0.05"),
    ]  # fmt: skip
    for feature, at_least, threshold, text in cases:
        assert condition(subject_of(feature), at_least, threshold) == text
    assert about(subject_of(share("salary", "kind", "amount"))) == "share of amount with kind salary"
    assert about(subject_of(Feature("a:std", "amount", "a_b", None, "spread of a_b"))) == "spread of a b"
    assert sentence(["at least 3 events", "no x", "some y"]) == "At least 3 events, no x and some y"
    assert [number(v, 3) for v in (0, 1234567, 0.00123, -12.5, 99.96)] == ["0", "1,230,000", "0.00123", "-12.5", "100"]
