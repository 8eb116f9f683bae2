"""Vectors of the last days: of a customer's last events alone, and of the whole history where it is short."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from histories import events, prepared, tiny

import embed.lately
import embed.run
import train.run
from embed.config import EmbedConfig
from embed.lately import last_days, lately, only
from eventlog.sequences import EventLog
from train.artifact import Model

SMALL = EmbedConfig(batch_events=1000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Model]:
    log, workspace = prepared(events(customers=60), tmp_path_factory.mktemp("lately"))
    return log, train.run.run(tiny(epochs=1), log, workspace)


def test_whole_weeks_before_the_week_of_the_last_event_count(
    made: tuple[EventLog, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = made
    everybody = np.arange(log.n_customers)
    for fewest in (1, 5):
        monkeypatch.setattr(embed.lately, "FEWEST", fewest)
        begin, end = last_days(log, everybody, 7)
        for customer in everybody:
            first, stop = log.offsets[customer], log.offsets[customer + 1]
            times = np.asarray(log.time[first:stop]).astype("datetime64[us]")
            day = times[-1].astype("datetime64[D]")
            monday = day - (day.astype(object).weekday())
            before = int((times < monday).sum())
            inside = int(((times < monday) & (times >= monday - 7)).sum())
            assert end[customer] == (first + before if before else stop)
            assert end[customer] - begin[customer] == (min(before, max(inside, fewest)) if before else stop - first)
    assert (begin > log.offsets[:-1]).any()


def test_they_are_what_the_events_of_these_days_alone_would_give(
    made: tuple[EventLog, Model], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embed.lately, "FEWEST", 5)
    log, model = made
    rows = np.arange(0, log.n_customers, 2)
    begin, end = last_days(log, rows, 7)
    cut = replace(only(log, rows, begin, end), key="cut")
    assert cut.n_events == int((end - begin).sum())
    at = len(rows) // 2
    one = slice(int(begin[at]), int(end[at]))
    np.testing.assert_array_equal(cut.time[cut.offsets[at] : cut.offsets[at + 1]], log.time[one])
    np.testing.assert_array_equal(cut.codes[cut.offsets[at] : cut.offsets[at + 1]], log.codes[one])
    alone = embed.run.run(SMALL, model, cut, tmp_path / "alone")
    found = lately(SMALL, model, log)(rows, 7)
    np.testing.assert_allclose(found, alone.vectors, atol=2e-6)


def test_a_history_within_one_week_counts_as_a_whole(made: tuple[EventLog, Model], tmp_path: Path) -> None:
    log, model = made
    whole = embed.run.run(SMALL, model, log, tmp_path / "whole")
    everybody = np.arange(log.n_customers)
    begin, end = last_days(log, everybody, 10_000)
    np.testing.assert_array_equal(begin, log.offsets[:-1])
    all_of_it = end == log.offsets[1:]
    found = lately(SMALL, model, log)(everybody, 10_000)
    assert all_of_it.any()
    np.testing.assert_allclose(found[all_of_it], whole.vectors[all_of_it], atol=2e-6)
    assert lately(SMALL, model, log)(everybody[:0], 28).shape == (0, model.width)
