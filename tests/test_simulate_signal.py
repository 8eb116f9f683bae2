"""What the simulated events carry: personas, roughly; the noise columns and the ids, nothing."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score, balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run
from eventlog.simulate.truth import personas_at

DAYS = 60


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bank")
    run(SimulateConfig(customers=2500, days=DAYS, seed=11), out)
    return out


@pytest.fixture(scope="module")
def persons(bank: Path) -> pl.DataFrame:
    return personas_at(bank / "truth", date(2025, 1, 1) + timedelta(days=DAYS - 1))


def events(bank: Path, source: str, *columns: str) -> pl.DataFrame:
    return pl.read_parquet(
        bank / source / "*" / "part.parquet", columns=["customer_id", *columns], hive_partitioning=False
    )


def aggregates(bank: Path, persons: pl.DataFrame) -> np.ndarray:
    """A few counts, means and shares a customer [n, features]: what anybody would try first."""
    table = persons.select("customer_id")
    for source in ("card", "groceries", "travel", "cash", "transfer", "login", "call", "branch", "salary", "rent"):
        counts = events(bank, source).group_by("customer_id").agg(pl.len().log1p().alias(f"{source}_count"))
        table = table.join(counts, on="customer_id", how="left")
    for source, column in (("card", "category"), ("transfer", "kind"), ("login", "device")):
        rows = events(bank, source, column)
        shares = [(pl.col(column) == value).mean().alias(f"{source}_{value}") for value in rows[column].unique().sort()]
        table = table.join(rows.group_by("customer_id").agg(shares), on="customer_id", how="left")
    for source in ("card", "salary", "groceries"):
        means = events(bank, source, "amount").group_by("customer_id")
        table = table.join(
            means.agg(pl.col("amount").log().mean().alias(f"{source}_mean")), on="customer_id", how="left"
        )
    return table.drop("customer_id").fill_null(0).to_numpy()


def test_personas_show_but_not_perfectly(bank: Path, persons: pl.DataFrame) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    guesses = cross_val_predict(model, aggregates(bank, persons), persons["persona"].to_numpy(), cv=3)
    accuracy = balanced_accuracy_score(persons["persona"].to_numpy(), guesses)
    assert 0.6 < accuracy < 0.93  # chance is 1 / 13


def test_ids_and_the_fingerprint_say_nothing_of_the_persona(bank: Path, persons: pl.DataFrame) -> None:
    prints = events(bank, "card", "noise_print").unique()
    assert prints["customer_id"].is_unique().all()  # one fingerprint a customer
    joined = persons.join(prints, on="customer_id")
    assert abs(adjusted_mutual_info_score(joined["persona"].to_list(), joined["noise_print"].to_list())) < 0.01
    tenth = (persons["customer_id"].rank() * 10 // persons.height).to_list()
    assert abs(adjusted_mutual_info_score(persons["persona"].to_list(), tenth)) < 0.01
    both = events(bank, "login", "noise_print").unique().join(prints, on="customer_id")
    assert (both["noise_print"] == both["noise_print_right"]).all()


def test_the_noise_of_an_event_says_nothing_of_it(bank: Path, persons: pl.DataFrame) -> None:
    card = events(bank, "card", "noise_group", "noise_number", "category", "amount").join(persons, on="customer_id")
    for column in ("category", "persona"):
        shared = adjusted_mutual_info_score(card[column].to_list(), card["noise_group"].to_list())
        assert abs(shared) < 1e-3
    assert abs(np.corrcoef(card["noise_number"], card["amount"].log())[0, 1]) < 0.01
    between = card.group_by("persona").agg(pl.col("noise_number").mean(), pl.len())
    assert (between["noise_number"].abs() * between["len"].sqrt() < 4.5).all()


def test_customers_of_one_persona_differ(bank: Path, persons: pl.DataFrame) -> None:
    card = events(bank, "card", "merchant", "amount").join(persons, on="customer_id")
    of = card.filter(pl.col("persona") == "commuter").group_by("customer_id")
    counts = of.agg(pl.len(), pl.col("amount").log().mean())
    # more spread than one common Poisson rate could give, and loyal to few merchants
    assert counts["len"].var() > 3 * counts["len"].mean()
    assert counts["amount"].std() > 0.2
    top = of.agg((pl.col("merchant").value_counts(sort=True).struct.field("count").first() / pl.len()).alias("top"))
    everyone = card["merchant"].value_counts(sort=True)["count"][0] / card.height
    assert top["top"].median() > 5 * everyone


def test_the_rhythms_of_a_bank(bank: Path, persons: pl.DataFrame) -> None:
    hours = events(bank, "card", "timestamp").join(persons, on="customer_id")
    share = hours.group_by("persona").agg(
        pl.col("timestamp").dt.hour().is_in([23, 0, 1, 2, 3, 4, 5]).mean().alias("night")
    )
    night = dict(share.iter_rows())
    assert night["shift_worker"] > 3 * night["retiree"]
    branch = events(bank, "branch", "timestamp")["timestamp"].dt
    assert not (branch.weekday() == 7).any()
    assert branch.hour().is_between(7, 19).mean() > 0.98
    rents = events(bank, "rent", "amount").group_by("customer_id").agg(pl.col("amount").n_unique(), pl.len())
    assert rents.filter(pl.col("len") == 2)["amount"].eq(1).mean() > 0.95
