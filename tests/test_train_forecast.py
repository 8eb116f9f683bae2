"""Forecasts: read from before an origin alone, told of what came after, and borne out by what comes next."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from histories import events, prepared, tiny

import train.run
from eventlog.sequences import DAY, EventLog
from store.workspace import Workspace
from train.artifact import Model
from train.forecast import horizons, inputs_at, mixture, origins, outcomes_of, ridge, rows_before, weighed
from train.run import pooled_histories

Made = tuple[EventLog, Workspace, Model]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A log of 90 days and a model really trained on it."""
    log, workspace = prepared(events(), tmp_path_factory.mktemp("forecast"))
    return log, workspace, train.run.run(tiny(epochs=1), log, workspace)


def test_a_log_is_asked_about_what_fits_into_it_thrice() -> None:
    assert horizons(0, 400 * DAY) == [30, 90]
    assert horizons(0, 90 * DAY) == [7, 30]
    assert horizons(0, 30 * DAY) == [7]
    assert horizons(0, 20 * DAY) == []


@pytest.mark.parametrize(("span", "horizon"), [(400, 90.0), (400, 30.0), (90, 30.0), (21, 7.0), (3000, 90.0)])
def test_origins_leave_a_past_before_and_a_whole_horizon_after(span: int, horizon: float) -> None:
    times = origins(0, span * DAY, horizon)
    assert 1 <= len(times) <= 6
    assert max(times) == (span - horizon) * DAY
    assert min(times) >= max(horizon, span / 4) * DAY
    assert all(a - b <= 30 * DAY for a, b in itertools.pairwise(times))


def test_rows_before_a_time(made: Made) -> None:
    log, _, _ = made
    customers = np.array([0, 1, 5, log.n_customers - 1])
    for time in (int(log.time.min()), int(np.median(log.time)), int(log.time.max()), int(log.time.max()) + 1):
        found = rows_before(log, customers, time)
        for customer, row in zip(customers, found, strict=True):
            begin, end = log.offsets[customer], log.offsets[customer + 1]
            assert row == begin + (np.asarray(log.time[begin:end]) < time).sum()


def test_inputs_at_an_origin_are_those_of_the_history_before_it(made: Made) -> None:
    log, _, model = made
    encoder = model.encoder
    everyone = np.arange(log.n_customers)
    times = [int(np.quantile(log.time, q)) for q in (0.2, 0.5, 0.9)]
    directions = np.random.default_rng(0).standard_normal((encoder.pool_features, 5))
    for time, (seen, inputs) in inputs_at(encoder, log, everyone, times, directions):
        end = rows_before(log, everyone, time)
        assert seen.tolist() == np.flatnonzero(end > log.offsets[:-1]).tolist()
        pools = pooled_histories(encoder, log, seen, log.offsets[seen], end[seen])
        whole = encoder.features_of_pools(*pools, reference=time)
        np.testing.assert_allclose(inputs, weighed(encoder, whole) @ directions, atol=1e-4)


def test_outcomes_count_what_happened(made: Made) -> None:
    log, _, model = made
    customers = np.array([0, 1, 7])
    begin, end = log.offsets[customers], log.offsets[customers + 1].copy()
    end[2] = begin[2]
    told = outcomes_of(model.encoder, log, customers, begin, end)
    np.testing.assert_allclose(np.expm1(told[:, 0]), end - begin, rtol=1e-5)
    assert told[:, 1].tolist() == [1, 1, 0]
    assert (told[2] == 0).all()
    spent = np.nansum(np.asarray(log.values[begin[1] : end[1], 0]).astype(float))
    np.testing.assert_allclose(np.expm1(told[1, 2]) * model.encoder.scales.units[0], spent, rtol=1e-4)
    most = np.bincount(np.asarray(log.codes[begin[1] : end[1], 0]))
    np.testing.assert_allclose(np.expm1(told[1, 3 + 2 : 3 + len(most)]), most[2:], rtol=1e-4)


def test_what_is_told_is_what_comes(tmp_path: Path) -> None:
    """Half of the customers come again and again, half stop where they stand; who does shows in what they buy."""
    rng = np.random.default_rng(3)
    start, rows = datetime(2025, 1, 1, tzinfo=UTC), []
    for customer in range(400):
        stays, first = customer % 2 == 0, rng.uniform(0, 160)
        last = 240.0 if stays else first + rng.uniform(5, 40)
        days = np.sort(rng.uniform(first, last, max(int((last - first) * rng.uniform(0.2, 0.6)), 1)))
        kind = "often" if stays else "once"
        rows += [(customer, start + timedelta(days=float(d)), kind, "same", 10.0) for d in days]
    schema = ["customer_id", "timestamp", "kind", "noise", "amount"]
    frame = pl.DataFrame(rows, schema=schema, orient="row").sort("timestamp")
    cut = start + timedelta(days=200)
    log, workspace = prepared(frame.filter(pl.col("timestamp") < cut), tmp_path)
    encoder = train.run.run(tiny(epochs=1), log, workspace).encoder
    everyone = np.arange(log.n_customers)
    features = encoder.features_of_pools(*pooled_histories(encoder, log, everyone, log.offsets[:-1], log.offsets[1:]))
    told = weighed(encoder, features) @ encoder.head.projection[: encoder.pool_features].numpy()
    forecasts = told[:, -encoder.parts.forecasts :]
    coming = frame.filter(pl.col("timestamp") >= cut)
    count = dict(coming["customer_id"].value_counts().iter_rows())
    came = np.log1p([count.get(customer, 0) for customer in log.customers.to_list()])
    assert np.corrcoef(forecasts[:, 0], came)[0, 1] > 0.8
    assert np.isfinite(forecasts).all()


def test_a_log_too_short_to_have_a_past_tells_nothing(tmp_path: Path) -> None:
    frame = events().with_columns(pl.lit(datetime(2025, 1, 1, tzinfo=UTC)).alias("timestamp"))
    log, workspace = prepared(frame, tmp_path)
    encoder = train.run.run(tiny(epochs=1), log, workspace).encoder
    assert (encoder.head.projection[:, -encoder.parts.forecasts :] == 0).all()


def test_ridge_finds_the_slopes_and_a_mixture_varies_alike() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 6)) * [1, 2, 3, 1, 1, 1]
    truth = rng.standard_normal((6, 5))
    y = x @ truth
    slopes = ridge(x, y)
    np.testing.assert_allclose(slopes * y.std(0), truth, atol=0.15)
    told = x @ mixture([slopes, slopes], x, 2, 8)
    spread = told.std(0)
    np.testing.assert_allclose(spread[spread > 0], spread.max(), rtol=1e-5)
    np.testing.assert_allclose(np.abs(np.corrcoef(told[:, 0], y[:, 0])[0, 1]), 1, atol=1e-3)
    assert (mixture([], x, 2, 8) == 0).all()
