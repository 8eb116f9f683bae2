"""Who has lived differently for four weeks: found, told once a week and once at all, the same whoever else is there."""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from histories import prepared, tiny
from night_world import FIRST_DAYS, START, NightWorld

import serve.night_changes
import train.run
from cluster.changed import learn, scores
from embed.config import EmbedConfig
from eventlog.sequences import EventLog
from serve.night_changes import Changes, changes, week_ended
from serve.night_files import EVENTS, REPORT
from train.artifact import Model

SMALL = EmbedConfig(batch_events=1000)
MONDAY = date(2025, 6, 2)
CHANGE = date(2025, 5, 5)
WEEKS, CUSTOMERS = 17, 320
SWITCHED = {7, 50, 111, 200, 313}
"""Customers who live like the other half from CHANGE on, a Monday."""
QUIET = 20
"""Switches, too, but does nothing in the week after it."""


def lives() -> pl.DataFrame:
    """Two events a day: even customers buy at three kinds of shops, odd ones at three others."""
    rng = np.random.default_rng(3)
    start = datetime(CHANGE.year, CHANGE.month, CHANGE.day, tzinfo=UTC) - timedelta(weeks=12)
    day = np.tile(np.repeat(np.arange(WEEKS * 7), 2), CUSTOMERS)
    owner = np.repeat(np.arange(CUSTOMERS), WEEKS * 14)
    late = day >= 12 * 7
    odd = (owner + (late & np.isin(owner, [*SWITCHED, QUIET]))) % 2
    kind = 3 * odd + rng.integers(0, 3, len(owner))
    chance = rng.random(len(owner)) < 0.1
    kind[chance] = rng.integers(0, 6, int(chance.sum()))
    silent = (owner == QUIET) & (day >= 12 * 7) & (day < 13 * 7)
    seconds = (day * 86_400 + rng.integers(0, 86_400, len(day))).tolist()
    return pl.DataFrame(
        {
            "customer_id": owner,
            "timestamp": [start + timedelta(seconds=second) for second in seconds],
            "kind": [f"shop {c}" for c in kind],
            "noise": rng.integers(0, 6, len(owner)).astype(str),
            "amount": np.round(rng.lognormal(2 + odd, 1), 2),
        }
    ).filter(~pl.Series(silent))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Model]:
    log, workspace = prepared(lives(), tmp_path_factory.mktemp("changes"))
    return log, train.run.run(tiny(epochs=2), log, workspace)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.night_changes, "FEWEST", 100)


def ids(log: EventLog, found: Changes) -> set[int]:
    return set(log.customers.gather(found.rows).to_list())


def test_a_week_has_ended_once_all_of_its_days_are_in() -> None:
    sunday = date(2025, 6, 1)
    assert week_ended(sunday - timedelta(days=1), sunday) == MONDAY
    assert week_ended(sunday, MONDAY) is None
    assert week_ended(sunday - timedelta(days=9), MONDAY + timedelta(days=3)) == MONDAY
    assert week_ended(sunday, sunday + timedelta(days=6)) is None
    assert week_ended(sunday, sunday + timedelta(days=7)) == MONDAY + timedelta(days=7)
    assert week_ended(date.min, sunday) == MONDAY


def weekly(bank: tuple[EventLog, Model]) -> list[tuple[int, set[int]]]:
    """Who is told of on the Mondays before and after the change, by weeks since."""
    log, model = bank
    return [
        (week, ids(log, changes(SMALL, model, log, CHANGE + timedelta(weeks=week), 6.0, ["noise"])))
        for week in range(6)
    ]


def test_who_lives_differently_is_found_with_what_changed(bank: tuple[EventLog, Model]) -> None:
    log, model = bank
    found = changes(SMALL, model, log, CHANGE + timedelta(weeks=1), 6.0, ["noise"])
    assert ids(log, found) & SWITCHED == ids(log, found)
    assert len(found.rows) >= 2
    assert (found.z >= 6).all()
    assert (found.events[1] == 56).all()
    assert (found.events[0] == 112).all()
    for told in found.behaviours:
        assert told
        assert all("shop" in one.words and abs(one.after - one.before) > 0.02 for one in told)


def test_everybody_who_changed_is_told_of_once_and_nobody_else(bank: tuple[EventLog, Model]) -> None:
    told = weekly(bank)
    assert told[0][1] == set()
    everybody = [customer for _, some in told for customer in some]
    assert sorted(everybody) == sorted({*SWITCHED, QUIET})
    assert next(week for week, some in told if QUIET in some) >= 2, "it did nothing in the week after the change"


def test_too_few_to_say_what_is_usual_tell_nothing(
    bank: tuple[EventLog, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve.night_changes, "FEWEST", CUSTOMERS + 1)
    log, model = bank
    assert not len(changes(SMALL, model, log, MONDAY, 6.0).rows)
    assert learn(np.zeros((15, 8), np.float32), np.zeros((15, 8), np.float32)) is None


def test_a_season_that_everybody_lives_through_is_nobodys_change() -> None:
    rng = np.random.default_rng(0)
    earlier = rng.standard_normal((2000, 16)).astype(np.float32)
    later = earlier + 0.1 * rng.standard_normal((2000, 16)).astype(np.float32)
    season = rng.standard_normal(16).astype(np.float32)
    later[:3] = rng.standard_normal((3, 16))
    usual, moved = learn(earlier, later), learn(earlier, later + season)
    assert usual is not None
    assert moved is not None
    plain = scores(usual, earlier, later)
    assert set(np.argsort(-plain)[:3]) == {0, 1, 2}
    np.testing.assert_allclose(scores(moved, earlier, later + season), plain, rtol=1e-3, atol=1e-2)


def test_the_night_that_ends_a_week_tells_of_it_once(night: NightWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.night_changes, "FEWEST_EARLIER", 5)
    monkeypatch.setattr(serve.night_changes, "FEWEST_LATELY", 5)
    sunday = next(d for d in range(FIRST_DAYS, FIRST_DAYS + 7) if (START + timedelta(days=d)).weekday() == 6)
    text = night.recipe_file.read_text(encoding="utf-8")
    night.recipe_file.write_text(text.replace("night:\n", "night:\n  change_z: 1.5\n", 1), encoding="utf-8")
    for number in range(FIRST_DAYS, sunday + 1):
        report = night.night(number)
        assert ("changed" in report.alerts) == (number == sunday)
        assert "weeks" in report.timings
    folder = night.workspace.nights / f"{report.as_of}-{report.snapshot}"
    lines = (folder / EVENTS).read_bytes()
    told = [line for line in map(json.loads, lines.splitlines()) if line["kind"] == "changed"]
    assert len(told) == report.alerts["changed"] > 0
    last = START + timedelta(days=sunday)
    for event in told:
        assert (event["since"], event["until"]) == ((last - timedelta(days=27)).isoformat(), last.isoformat())
        assert event["z"] >= 1.5
        assert {"events", "events_before", "why", "behaviours", "id", "customer", "cause"} <= set(event)
    (folder / REPORT).unlink()
    (folder / EVENTS).unlink()
    assert night.night(sunday).alerts == report.alerts
    assert (folder / EVENTS).read_bytes() == lines
