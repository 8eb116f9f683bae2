"""Attribution: shares that add up, features with names, events that moved a vector by what leaving them out shows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from histories import events, prepared, tiny

import train.run
from embed.attribution import attribute, contributions
from eventlog.sequences import DAY, EventLog
from train.artifact import Model
from train.encode import states
from train.names import ACTIVITY, PRESENCE, SEQUENCE, TIME, feature_names
from train.rotation import vectors_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Model]:
    """A log in which customer 6 bought for a fortune on its last day, and a model trained on it."""
    frame = events()
    last = frame.filter(pl.col("customer_id") == 6)["timestamp"].max()
    rich = (pl.col("customer_id") == 6) & (pl.col("timestamp") == last)
    frame = frame.with_columns(
        amount=pl.when(rich).then(90_000.0).otherwise("amount"),
        kind=pl.when(rich).then(pl.lit("kind-8")).otherwise("kind"),
    )
    log, workspace = prepared(frame, tmp_path_factory.mktemp("attribution"))
    return log, train.run.run(tiny(epochs=1), log, workspace)


def test_contributions_add_up_to_the_vector(made: tuple[EventLog, Model]) -> None:
    log, model = made
    everyone = np.arange(log.n_customers)
    whole = vectors_of(model.encoder, log, everyone)
    for customer in (0, 1, 6, 50):
        one = np.array([customer])
        state = states(model.encoder, log, one, log.offsets[one], log.offsets[one + 1])
        features, parts = contributions(model.encoder, state)
        np.testing.assert_allclose(parts.sum(0), whole[customer], atol=1e-5)
        assert len(features) == len(parts) == model.encoder.pool_features + model.encoder.hidden


def test_shares_of_all_fields_add_up_to_the_whole(made: tuple[EventLog, Model]) -> None:
    log, model = made
    for customer in (0, 1, 6, 33):
        told = attribute(model, log, customer, days=20)
        assert sum(share.share for share in told.fields) == pytest.approx(1)
        assert {share.name for share in told.fields} == {"kind", "noise", "amount", TIME, PRESENCE, ACTIVITY, SEQUENCE}
        assert [s.share for s in told.fields] == sorted((s.share for s in told.fields), reverse=True)
        if told.moved_fields:
            assert sum(share.share for share in told.moved_fields) == pytest.approx(1)


def test_every_feature_has_a_name_of_its_field(made: tuple[EventLog, Model]) -> None:
    _, model = made
    layout = model.encoder.layout
    names = feature_names(layout, model.schema)
    assert len(names) == len(layout.feature_groups) == model.encoder.pool_features
    fields = ["kind", "noise", "amount", TIME, PRESENCE, ACTIVITY]
    assert [fields[group] for group in layout.feature_groups] == [name.field for name in names]
    words = [name.words for name in names]
    assert len(set(words)) == len(words)
    for expected in ("kind = kind-0", "total amount", "on Mondays", "no kind", "amount where kind = kind-8"):
        assert expected in words


def test_leaving_out_the_last_event_is_the_history_before_it(made: tuple[EventLog, Model]) -> None:
    log, model = made
    begin, end = log.offsets[6], log.offsets[7]
    told = attribute(model, log, 6, days=365)
    assert sorted(event.row for event in told.events) == list(range(max(begin, end - 50), end))
    one, encoder = np.array([6]), model.encoder
    now = encoder.vectors(states(encoder, log, one, np.array([begin]), np.array([end])))[0]
    before = encoder.vectors(states(encoder, log, one, np.array([begin]), np.array([end - 1])))[0]
    moved = {event.row: event.moved for event in told.events}
    assert moved[end - 1] == pytest.approx(1 - before @ now, abs=1e-5)
    assert told.events[0].row == end - 1
    assert told.events[0].moved == max(moved.values())


def test_what_moved_lately_is_told_from_what_came_before(made: tuple[EventLog, Model]) -> None:
    log, model = made
    told = attribute(model, log, 6, days=0.0001)
    assert told.moved is not None
    assert told.moved > 0.001
    assert told.since == log.time[log.offsets[7] - 1] - int(0.0001 * DAY)
    assert len(told.events) == 1
    assert {share.name for share in told.moved_fields[:3]} & {"amount", "kind"}


def test_a_customer_of_one_event_and_one_of_a_few_days(made: tuple[EventLog, Model], tmp_path: Path) -> None:
    log, model = made
    told = attribute(model, log, 0)
    assert (told.moved, told.moved_fields, told.events) == (None, [], [])
    everything = attribute(model, log, 1, days=4000)
    assert everything.moved is None
    assert len(everything.events) == 50
