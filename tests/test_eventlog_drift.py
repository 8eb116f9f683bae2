"""Drift of fields: what did not change is told as such, what changed is named, and nothing is infinite."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventlog.drift as module
from eventlog.drift import HOUR_FIELD, WEEKDAY_FIELD, FieldDrift, Sketch, drift, psi, sketch
from eventlog.sequences import DAY, HOUR, CategoricalField, EventLog, Schema
from store.artifact import Manifest

SCHEMA = Schema("integer", (CategoricalField("shop", ("food", "fuel", "books")),), ("amount",))
EVENTS = 40_000


def events(seed: int, number: int = EVENTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes [e, 1], values [e, 1] and times [e] of a quiet day of a quiet shop; one in ten lacks its amount."""
    rng = np.random.default_rng(seed)
    codes = rng.choice([0, 1, 2, 3, 4], size=(number, 1), p=[0.1, 0.02, 0.5, 0.3, 0.08]).astype(np.uint16)
    values = rng.gamma(2.0, 20.0, size=(number, 1)).astype(np.float32)
    values[rng.random(number) < 0.1] = np.nan
    time = rng.integers(0, 28, number) * DAY + rng.integers(8, 20, number) * HOUR
    return codes, values, time.astype(np.int64)


def log_of(codes: np.ndarray, values: np.ndarray, time: np.ndarray, schema: Schema = SCHEMA) -> EventLog:
    customers = pl.Series("customer", [1], pl.Int64)
    offsets = np.array([0, len(time)])
    manifest = Manifest("eventlog", 2, "key", {})
    return EventLog(Path(), "key", manifest, schema, customers, offsets, codes, values, time, ("key",))


@pytest.fixture(scope="module")
def before() -> Sketch:
    return sketch(log_of(*events(0)))


def by_name(found: tuple[FieldDrift, ...]) -> dict[str, FieldDrift]:
    return {one.field: one for one in found}


@pytest.mark.parametrize("number", [500, 5_000, EVENTS])
def test_events_of_the_same_kind_have_not_drifted(before: Sketch, number: int) -> None:
    found = by_name(drift(before, *events(1, number)))
    assert set(found) == {"shop", "amount", HOUR_FIELD, WEEKDAY_FIELD}
    assert all(one.psi < 0.03 for one in found.values()), found
    assert abs(found["amount"].absent - 0.1) < 0.05
    assert abs(found["amount"].absent_before - 0.1) < 0.02


def test_what_chance_alone_gives_is_subtracted() -> None:
    """Over many draws the mean of the raw index is near Yurdakul's expectation, and what is told near nothing."""
    rng, shares = np.random.default_rng(0), np.full(20, 1 / 20)
    told, raw = [], []
    for _ in range(200):
        draws = rng.multinomial(100_000, shares), rng.multinomial(1_000, shares)
        value, parts = psi(*draws)
        told.append(value)
        raw.append(parts.sum())
    expected = 19 * (1 / 1_000 + 1 / 100_000)
    assert np.mean(raw) == pytest.approx(expected, rel=0.1)
    assert np.mean(told) < 0.2 * expected


def moved_amounts(codes: np.ndarray, values: np.ndarray, time: np.ndarray) -> None:
    values *= 100


def other_shops(codes: np.ndarray, values: np.ndarray, time: np.ndarray) -> None:
    codes[codes == 2] = 4


def night_owls(codes: np.ndarray, values: np.ndarray, time: np.ndarray) -> None:
    time += 9 * HOUR - 9 * HOUR * (time % DAY >= 15 * HOUR)


def one_weekday(codes: np.ndarray, values: np.ndarray, time: np.ndarray) -> None:
    time %= DAY


def no_amounts(codes: np.ndarray, values: np.ndarray, time: np.ndarray) -> None:
    values[:] = np.nan


@pytest.mark.parametrize(
    ("change", "field", "bin"),
    [
        (moved_amounts, "amount", "above "),
        (other_shops, "shop", "food"),
        (night_owls, HOUR_FIELD, ":00"),
        (one_weekday, WEEKDAY_FIELD, "Thursday"),
        (no_amounts, "amount", "absent"),
    ],
)
def test_what_changed_is_named_first_with_its_bin(
    before: Sketch, change: Callable[[np.ndarray, np.ndarray, np.ndarray], None], field: str, bin: str
) -> None:
    new = events(2)
    change(*new)
    found = drift(before, *new)
    assert found[0].field == field
    assert found[0].psi > 0.25
    assert bin in found[0].bins[0][0]
    assert all(one.psi < 0.03 for one in found[1:])


def test_values_that_the_model_never_saw_are_told_beyond_those_of_training(before: Sketch) -> None:
    codes, values, time = events(3)
    assert by_name(drift(before, codes, values, time))["shop"].unseen == pytest.approx(0, abs=0.005)
    codes[codes == 2] = 1
    found = by_name(drift(before, codes, values, time))["shop"]
    assert found.unseen == pytest.approx(0.5 / 0.9, abs=0.01)  # of the events that have a shop
    assert found.bins[0][0] in ("unknown to the model", "food")
    few = by_name(drift(before, codes[:90], values[:90], time[:90]))["shop"]
    assert few.unseen is None


def test_a_unit_that_changed_shows_even_where_all_values_are_the_same() -> None:
    codes, values, time = events(4)
    values[:] = 5.0
    constant = sketch(log_of(codes, values, time))
    assert by_name(drift(constant, codes, values, time))["amount"].psi == 0
    for factor, bin in ((0.01, "below 5"), (100, "above 5")):
        found = by_name(drift(constant, codes, values * np.float32(factor), time))["amount"]
        assert found.psi > 1
        assert bin in {words for words, _, _ in found.bins}


def test_a_field_that_nobody_had_and_one_that_nobody_has_any_more() -> None:
    codes, values, time = events(5)
    empty = np.full_like(values, np.nan)
    appeared = by_name(drift(sketch(log_of(codes, empty, time)), codes, values, time))["amount"]
    gone = by_name(drift(sketch(log_of(codes, values, time)), codes, empty, time))["amount"]
    for found in (appeared, gone):
        assert 1 < found.psi < 100
    assert (appeared.absent_before, gone.absent) == (1.0, 1.0)


def test_frequent_values_have_bins_of_their_own_and_the_rest_share_one() -> None:
    many = Schema("integer", (CategoricalField("shop", tuple(f"s{i:03d}" for i in range(200))),), ())
    rng = np.random.default_rng(6)
    weights = 1 / np.arange(1, 201)
    codes = (2 + rng.choice(200, size=(EVENTS, 1), p=weights / weights.sum())).astype(np.uint16)
    time, values = np.zeros(EVENTS, np.int64), np.empty((EVENTS, 0), np.float32)
    field = sketch(log_of(codes, values, time, many)).fields[0]
    assert field.words[:4] == ("absent", "unknown to the model", "other values", "s000")
    assert len(field.words) == 3 + 20
    assert sum(field.counts) == EVENTS
    assert field.counts[2] == EVENTS - int(np.sort(np.bincount(codes[:, 0]))[-20:].sum())


def test_a_sketch_survives_json_and_has_the_same_bytes(before: Sketch) -> None:
    text = json.dumps(before.to_json(), allow_nan=False)
    assert Sketch.from_json(json.loads(text)) == before
    assert json.dumps(sketch(log_of(*events(0))).to_json()) == text
    assert len(text) < 20_000
    with pytest.raises(ValueError, match="version 2"):
        Sketch.from_json(before.to_json() | {"version": 2})


def test_a_long_log_is_looked_at_in_blocks_evenly_spread(monkeypatch: pytest.MonkeyPatch, before: Sketch) -> None:
    monkeypatch.setattr(module, "BLOCK", 100)
    monkeypatch.setattr(module, "MOST_EVENTS", 8_000)
    few = sketch(log_of(*events(0)))
    assert few.events == 8_000
    assert all(sum(field.counts) == 8_000 for field in few.fields)
    assert all(one.psi < 0.03 for one in drift(few, *events(0)))


def test_no_new_events_have_drifted_nowhere(before: Sketch) -> None:
    assert drift(before, *events(0, 0)) == ()


counts = st.lists(st.integers(0, 10**7), min_size=1, max_size=30)


@given(counts)
def test_the_index_is_finite_never_negative_and_nothing_between_equals(before: list[int]) -> None:
    mine = np.array(before)
    other = np.array(sorted(before))
    value, parts = psi(mine, other)
    assert np.isfinite(value)
    assert value >= 0
    assert (parts >= 0).all()
    assert psi(mine, mine)[0] == 0


def test_the_order_of_events_says_nothing(before: Sketch) -> None:
    codes, values, time = events(7)
    order = np.random.default_rng(0).permutation(EVENTS)
    assert drift(before, codes, values, time) == drift(before, codes[order], values[order], time[order])
