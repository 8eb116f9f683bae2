"""Hand-made aggregates, against the same figures taken plainly from the source."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import eventlog.night
from configs.errors import ArtifactError, ConflictError
from eventlog import aggregates
from eventlog.behaviour import Behaviour, behaviour, load_behaviour, refreshed, write_behaviour
from eventlog.config import EventLogConfig
from eventlog.recode import recoded
from eventlog.run import run
from eventlog.sequences import EventLog
from store.workspace import Workspace


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    random = np.random.default_rng(3)
    n = 3000
    who = random.zipf(1.4, n) % 60
    return pl.DataFrame(
        {
            "customer": who,
            "time": [datetime(2020, 1, 1) + timedelta(minutes=int(m)) for m in random.integers(0, 60 * 24 * 90, n)],
            "shop": [f"s{i}" for i in random.zipf(1.3, n) % 40],
            "store": random.integers(0, 5, n),
            "amount": np.round(random.normal(3, 5, n), 2).astype(np.float32),
            "weight": random.random(n).astype(np.float32),
        }
    ).with_columns(
        # one customer without any weight, absent values here and there
        weight=pl.when((pl.col("weight") > 0.2) & (pl.col("customer") != 7)).then("weight"),
        shop=pl.when(pl.col("shop") != "s5").then("shop"),
    )


@pytest.fixture(scope="module")
def log(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    folder = tmp_path_factory.mktemp("behaviour")
    frame.write_parquet(folder / "e.parquet")
    source = {"name": "a", "path": str(folder / "e.parquet"), "customer": "customer", "time": "time"}
    source |= {"categorical": ["shop", "store"], "numeric": ["amount", "weight"]}  # type: ignore[dict-item]
    config = EventLogConfig.model_validate({"sources": [source], "max_categories": 30})
    return run(config, Workspace.create(folder / "ws"), now=datetime(2021, 1, 1, tzinfo=UTC))


def column(made: Behaviour, name: str) -> np.ndarray:
    return made.matrix[:, [feature.name for feature in made.features].index(name)]


def test_features_are_what_their_names_say(frame: pl.DataFrame, log: EventLog) -> None:
    made = behaviour(log, top=6)
    day, end = pl.col("time").dt.date(), frame["time"].max()
    amount = pl.col("amount").cast(pl.Float64)
    wanted = {
        "events": pl.len(),
        "active_days": day.n_unique(),
        "events_per_active_day": pl.len() / day.n_unique(),
        "first_event_days": (end - pl.col("time").min()).dt.total_seconds() / 86_400,
        "last_event_days": (end - pl.col("time").max()).dt.total_seconds() / 86_400,
        "gap_mean_days": pl.col("time").sort().diff().dt.total_seconds().mean() / 86_400,
        "gap_std_days": pl.col("time").sort().diff().dt.total_seconds().std(ddof=0) / 86_400,
        "visit_gap_days": day.unique().sort().diff().dt.total_days().mean(),
        "amount:sum": amount.sum(),
        "weight:mean": pl.col("weight").cast(pl.Float64).mean(),
        "amount:std": amount.std(ddof=0),
        "weight:min": pl.col("weight").min(),
        "amount:max": amount.max(),
        "amount:median": amount.median(),
        "weight:median": pl.col("weight").median(),
        "weekday=Mondays": (pl.col("time").dt.weekday() == 1).mean(),
        "hour=21-24": (pl.col("time").dt.hour() >= 21).mean(),
        "store:distinct": pl.col("store").n_unique(),
        "shop=s1": (pl.col("shop") == "s1").sum() / pl.len(),
        "store=3": (pl.col("store") == 3).mean(),
        "amount[store=3]": pl.col("amount").abs().filter(pl.col("store") == 3).sum() / pl.col("amount").abs().sum(),
    }
    plainly = frame.group_by("customer").agg(**wanted).sort("customer").fill_null(0).fill_nan(0)
    assert plainly["customer"].to_list() == log.customers.to_list()
    for name in wanted:
        np.testing.assert_allclose(column(made, name), plainly[name].to_numpy(), rtol=2e-5, atol=2e-5, err_msg=name)
    assert np.isfinite(made.matrix).all()
    assert made.matrix.dtype == np.float32


def test_shares_cover_the_top_values_and_rare_ones_count_as_one_kind(frame: pl.DataFrame, log: EventLog) -> None:
    made = behaviour(log, top=1000)
    shops = [feature for feature in made.features if feature.field == "shop" and feature.name.startswith("shop=")]
    assert [feature.value for feature in shops] == list(log.schema.categorical[0].values)
    rare = pl.when(pl.col("shop").is_in(log.schema.categorical[0].values)).then("shop").otherwise(pl.lit("rare"))
    distinct = frame.drop_nulls("shop").with_columns(shop=rare).group_by("customer").agg(pl.col("shop").n_unique())
    distinct = frame.select("customer").unique().join(distinct, on="customer", how="left").sort("customer").fill_null(0)
    assert column(made, "shop:distinct").tolist() == distinct["shop"].to_list()


def test_every_feature_has_a_name_of_its_own_and_words(log: EventLog) -> None:
    features = behaviour(log).features
    assert len({feature.name for feature in features}) == len({feature.words for feature in features}) == len(features)
    words = {feature.name: feature.words for feature in features}
    assert words["store=3"] == "share of events with store = 3"
    assert words["amount:median"] == "typical amount"
    assert words["amount[store=3]"] == "share of amount with store = 3"
    assert {feature.kind for feature in features} == {"count", "time", "amount", "share"}


def test_chunks_and_files_change_nothing(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = behaviour(log).matrix.copy()
    monkeypatch.setattr(aggregates, "CHUNK_EVENTS", 50)
    monkeypatch.setattr(aggregates, "LARGE_BYTES", 0)
    np.testing.assert_array_equal(behaviour(log).matrix, whole)
    monkeypatch.setattr(aggregates, "CHUNK_TABLE", 100)
    monkeypatch.setattr(aggregates, "CHUNK_CELLS", 1000)
    np.testing.assert_array_equal(behaviour(log).matrix, whole)


def test_behaviour_comes_back_as_written_and_a_flipped_bit_is_refused(log: EventLog, tmp_path: Path) -> None:
    made = behaviour(log, top=3)
    kept = write_behaviour(made, "k", tmp_path / "behaviour", {"eventlog": log.key})
    assert kept.features == made.features
    np.testing.assert_array_equal(kept.matrix, made.matrix)
    assert not kept.matrix.flags.writeable
    path = tmp_path / "behaviour" / "matrix.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ArtifactError, match=r"matrix\.npy"):
        load_behaviour(tmp_path / "behaviour")


def with_new_events(frame: pl.DataFrame, folder: Path) -> tuple[EventLog, EventLog, np.ndarray, np.ndarray]:
    """A log before and after some events, the row of each customer in the one before, and who has new ones."""
    source = {"name": "a", "path": str(folder / "*.parquet"), "customer": "customer", "time": "time"}
    source |= {"categorical": ["shop", "store"], "numeric": ["amount", "weight"]}  # type: ignore[dict-item]
    config = EventLogConfig.model_validate({"sources": [source]})
    now = datetime(2021, 1, 1, tzinfo=UTC)
    frame[:2500].filter(pl.col("customer") != 9).write_parquet(folder / "0.parquet")
    before = run(config, Workspace.create(folder / "ws"), now=now)
    added = frame[2500:].filter(pl.col("customer") % 3 == 0)
    later = pl.when(pl.col("customer") == 3).then(pl.col("time") + timedelta(days=60)).otherwise("time")
    added = added.with_columns(time=later)
    added.write_parquet(folder / "1.parquet")
    grown = eventlog.night.run(config, before, Workspace.create(folder / "ws"), datetime(2020, 12, 1), now=now)
    places = {customer: i for i, customer in enumerate(before.customers)}
    row = np.array([places.get(customer, -1) for customer in grown.log.customers])
    assert grown.log.layered
    assert grown.log.end > before.end
    assert (row < 0).any()
    return before, recoded(grown.log, before.schema), row, grown.changed


@pytest.mark.parametrize("chunk", [1 << 21, 50])
def test_refreshed_behaviour_has_the_bytes_of_behaviour_made_anew(
    frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    before, log, row, changed = with_new_events(frame, tmp_path)
    was, wanted = behaviour(before), behaviour(log)
    monkeypatch.setattr("eventlog.behaviour_refresh.CHUNK_EVENTS", chunk)
    made = refreshed(log, was, row, changed).whole()
    assert made.features == wanted.features
    assert made.matrix.tobytes() == wanted.matrix.tobytes()
    kept = np.setdiff1d(np.flatnonzero(row >= 0), changed)
    assert len(kept) > 10
    assert refreshed(log, was, row, changed[:0]).whole().matrix[kept].tobytes() == wanted.matrix[kept].tobytes()


def test_behaviour_of_other_dictionaries_is_not_refreshed(frame: pl.DataFrame, tmp_path: Path) -> None:
    before, log, row, changed = with_new_events(frame, tmp_path)
    other = replace(
        before.schema, categorical=tuple(replace(f, values=f.values[:3]) for f in before.schema.categorical)
    )
    with pytest.raises(ConflictError, match="recode the log with the dictionaries of the model first"):
        refreshed(recoded(log, other), behaviour(before), row, changed)
