"""The judge of segments through a bank's nights, on courses whose figures can be told by hand."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

NIGHTS = 12


def loaded() -> Any:
    """The judge, from its file: benches are in no wheel."""
    path = Path(__file__).resolve().parent.parent / "bench" / "bank_judge.py"
    spec = importlib.util.spec_from_file_location("bank_judge", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the annotations
    spec.loader.exec_module(module)
    return module


judge = loaded()


def bank(moves: dict[int, tuple[int, int]], changed: dict[int, int], customers: int = 8) -> tuple[Any, pl.DataFrame]:
    """Half of the customers have persona and segment 0, half 1. `moves`: customer -> (night, segment) from then on;
    `changed`: customer -> the night from which the persona is the other one."""
    start = np.arange(customers) % 2
    labels, truth = np.tile(start, (NIGHTS + 1, 1)), np.tile(start, (NIGHTS + 1, 1))
    for customer, (night, segment) in moves.items():
        labels[night:, customer] = segment
    for customer, night in changed.items():
        truth[max(night, 0) :, customer] = 1 - start[customer]
    told = {
        "customer_id": list(changed),
        "night": list(changed.values()),
        "from": [int(start[customer]) for customer in changed],
        "to": [int(1 - start[customer]) for customer in changed],
    }
    kinds = {"customer_id": pl.Int64, "night": pl.Int64, "from": pl.Int64, "to": pl.Int64}
    nights = range(NIGHTS + 1)
    course = judge.Course.of([np.arange(customers) for _ in nights], list(labels), list(truth))
    return course, pl.DataFrame(told, schema=kinds)


def test_a_change_that_is_followed_counts_with_its_delay_and_one_that_is_not_does_not() -> None:
    course, changes = bank({0: (5, 1)}, {0: 2, 2: 2})
    told = judge.seen_within(course, changes, judge.changed_lately(course, changes), 7)
    assert (told["changes"], told["recall"], told["lasting"], told["right"]) == (2, 0.5, 0.5, 0.5)
    assert told["median_delay"] == 3
    assert told["chance"] == 0


def test_a_change_too_late_to_be_followed_for_so_long_is_not_counted() -> None:
    course, changes = bank({}, {0: 8})
    assert judge.seen_within(course, changes, judge.changed_lately(course, changes), 7)["changes"] == 0


def test_a_move_back_shows_but_does_not_last() -> None:
    course, changes = bank({0: (5, 1)}, {0: 2})
    course.labels[7:, 0] = 0
    told = judge.seen_within(course, changes, judge.changed_lately(course, changes), 7)
    assert (told["recall"], told["lasting"]) == (1, 0)


def test_moves_without_a_change_are_false_and_give_the_chance_of_a_recall() -> None:
    course, changes = bank({3: (4, 0)}, {0: 2})
    figures = judge.judged(course, changes)
    assert figures["false_moves_a_night"] == round(1 / (7 * NIGHTS + 1), 5)  # customer 0 is left out from night 2 on
    told = figures["changes"][0]
    assert told["days"] == 7
    assert told["chance"] == round(1 / 7, 4)
    assert told["recall"] == 0


def test_a_move_after_a_change_is_not_false() -> None:
    course, changes = bank({0: (5, 1)}, {0: 2})
    assert judge.judged(course, changes)["false_moves_a_night"] == 0
    assert judge.judged(course, changes)["moved_a_night"] > 0


def test_leaving_a_segment_is_a_move_but_not_one_between_segments() -> None:
    course, _ = bank({0: (5, -1)}, {})
    moves = judge.moves_of(course)
    assert moves.any.sum() == 1
    assert moves.between.sum() == 0


def test_new_customers_have_not_moved() -> None:
    ids = [np.array([1, 5]), np.array([1, 3, 5])]
    course = judge.Course.of(ids, [np.array([0, 1]), np.array([0, 1, 1])], [np.array([0, 1]), np.array([0, 1, 1])])
    assert not judge.moves_of(course).any.any()


def test_where_customers_are_so_long_after_a_change() -> None:
    course, changes = bank({0: (5, 1)}, {0: 2, 2: -10})
    bands = {band["days"]: (band["changes"], band["new"], band["old"]) for band in judge.arrived(course, changes)}
    assert bands == {"0 to 13": (1, 1, 0), "14 to 27": (1, 0, 1)}
