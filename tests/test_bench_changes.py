"""The bench of changes over weeks counts what it says: right alerts, changes told in time, and chance beside both."""

from datetime import date, timedelta

import numpy as np

from bench.changes import NEVER, Judged, figures, once, ranked


def test_alerts_are_counted_beside_changes_and_chance() -> None:
    mondays = [date(2025, 6, 2) + timedelta(weeks=w) for w in range(9)]
    days = np.array([7 * w for w in range(9)])
    changed = np.array([3, 5, NEVER, NEVER, 40, -100])
    over = np.zeros((9, 6), bool)
    over[1:4, 0] = True  # told on day 7, four days after the change, and not again
    over[5, 1] = True  # on day 35, thirty after
    over[2, 2] = True  # for nothing
    alerts = once(over)
    assert alerts.sum() == 3
    found = figures(Judged(mondays, {}, changed, days), alerts, np.ones((9, 6), bool))
    assert found["alerts_a_week_per_1000"] == round(1000 * 3 / 48, 2)
    assert found["precision"] == round(1 / 3, 4)
    # judged on days 7, 14 ... 56: the change of day 3 is recent on four of them, as is that of day 5, and 40 on three
    assert found["precision_chance"] == round(11 / 48, 4)
    assert (found["changes_14"], found["recall_14"]) == (3, round(1 / 3, 4))
    assert (found["changes_42"], found["recall_42"]) == (2, 1.0)
    # one of the two without a change is told of once, in two of the seven fortnights
    assert found["chance_14"] == round(0.5 * 2 / 7, 4)


def test_who_is_over_the_limit_is_told_of_on_the_first_monday_alone() -> None:
    over = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [1, 1, 0]], bool)
    np.testing.assert_array_equal(once(over), [[0, 1, 0], [0, 0, 1], [1, 0, 0]])


def test_ranked_scores_take_the_values_of_another() -> None:
    np.testing.assert_array_equal(ranked(np.array([5.0, 1.0, 3.0]), np.array([0.0, 9.0, 4.0])), [9.0, 0.0, 4.0])
