"""The bench of alerts counts what it says: right alerts, changes told in time, chance beside both, swapped nights."""

from typing import cast

import numpy as np
import pytest

from bench.alerts import NEVER, Pair, _told, swapped
from bench.bank_nights import Night
from eventlog.behaviour import Behaviour, Feature
from serve.weeks import EventWeeks

SHOPS = ("FOOD", "FUEL", "WINE", "BOOKS")
FEATURES = (
    Feature("events", "count", None, None, "number of events"),
    *(Feature(f"shop={shop}", "share", "shop", shop, f"share of events with shop = {shop}") for shop in SHOPS),
)


def test_alerts_are_counted_beside_changes_and_chance() -> None:
    """Four nights, four customers; the first changed on night 2, the second before all nights, the others never."""
    changed = np.array([2, -100, NEVER, NEVER])
    alerts = np.zeros((4, 4), bool)
    alerts[2, 0] = alerts[0, 2] = alerts[3, 1] = True  # on night 3, in time; on night 1 and 4, for nothing
    nights = np.arange(1, 5)[:, None]
    lately = (nights >= changed) & (nights < changed + 2)
    found = _told(alerts, lately, np.ones((4, 4), bool), changed, 2)
    assert found["precision"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["precision_chance"] == 2 / 16
    assert (found["changes"], found["right"], found["recall"]) == (1, 1, 1.0)
    # of the two calm customers in the three spells of two nights one is told of once
    assert found["recall_chance"] == pytest.approx(1 / 6, abs=1e-4)


def nights(seed: int, customers: int = 3_000) -> Pair:
    rng = np.random.default_rng(seed)
    tastes = rng.dirichlet(np.full(4, 0.2), customers) * 0.95 + 0.0125
    before = np.stack([rng.multinomial(200, taste) for taste in tastes])
    after = before + np.stack([rng.multinomial(8, taste) for taste in tastes])
    ids = np.arange(customers)
    both = []
    for counts in (before, after):
        events = counts.sum(axis=1, keepdims=True)
        matrix = np.hstack([events, counts / events]).astype(np.float32)
        vectors = matrix[:, 1:] / np.linalg.norm(matrix[:, 1:], axis=1, keepdims=True)
        both.append(Night(ids, vectors, Behaviour(FEATURES, matrix), changed=ids, weeks=cast(EventWeeks, None)))
    return Pair(*both)


def test_a_night_that_is_somebody_elses_is_told_far_more_often_than_ones_own() -> None:
    pair = nights(0)
    untouched = pair.now.behaviour.matrix.copy()
    found = [pair.swapped(np.random.default_rng(seed)) for seed in range(3)]
    assert (pair.now.behaviour.matrix == untouched).all()
    assert all(0.005 < truth.mean() < 0.05 for _, truth in found)
    line = next(line for line in swapped(found) if line["threshold"] == 3.5)
    assert line["recall"] > 5 * max(line["recall_chance"], 0.01)
    assert line["precision"] > 5 * line["precision_chance"]
