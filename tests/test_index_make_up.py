"""The make-up of an audience by attributes: selection rates and their ratios."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings

from configs.errors import InputError
from embed.artifact import Embeddings
from index.files import attributes_of_csv, read_attributes
from index.make_up import make_up

N = 1000


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    rows = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return write_embeddings(tmp_path_factory.mktemp("m") / "e", "k", pl.Series(np.arange(N)), vectors)


def attributes(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"customer_id": np.arange(N), **columns})


def test_rates_and_ratios(given: Embeddings) -> None:
    group = np.where(np.arange(N) < 400, "a", "b")
    members = np.r_[np.arange(100, 180), np.arange(500, 740)]  # 80 of a, 240 of b
    eligible = np.ones(N, bool)
    eligible[:100] = False  # 100 of a may not be members
    first, second = make_up(attributes(kind=group), given, members, eligible, 0.9)
    assert (first.group, first.eligible, first.members) == ("a", 300, 80)
    assert (second.group, second.eligible, second.members) == ("b", 600, 240)
    assert first.ratio is not None
    assert first.ratio.value == pytest.approx((80 / 300) / (240 / 600))
    assert first.ratio.low < first.ratio.value < first.ratio.high
    assert first.flagged
    assert second.ratio is not None
    assert (second.ratio.value, second.flagged) == (1.0, False)


def test_the_interval_holds_the_true_ratio_as_often_as_it_says(given: Embeddings) -> None:
    rng, held, runs = np.random.default_rng(1), 0, 400
    group = np.where(np.arange(N) % 2, "a", "b")
    for _ in range(runs):
        chance = np.where(group == "a", 0.35, 0.6)
        members = np.flatnonzero(rng.random(N) < chance)
        first, _ = make_up(attributes(kind=group), given, members, np.ones(N, bool), 0.9)
        assert first.ratio is not None
        held += first.ratio.low <= 0.35 / 0.6 <= first.ratio.high
    assert abs(held / runs - 0.9) < 0.045  # three standard errors


def test_small_groups_and_unknown_customers_are_told_without_a_ratio(given: Embeddings) -> None:
    kind = np.where(np.arange(N) < 10, "rare", "common").astype(object)
    kind[990:] = None
    table = attributes(kind=kind).head(995)
    groups = {g.group: g for g in make_up(table, given, np.arange(0, N, 5), np.ones(N, bool), 0.9)}
    assert (groups["(unknown)"].eligible, groups["(unknown)"].ratio) == (10, None)
    assert (groups["rare"].eligible, groups["rare"].ratio, groups["rare"].flagged) == (10, None, False)
    assert groups["common"].ratio is not None


def test_a_group_that_nobody_is_chosen_of(given: Embeddings) -> None:
    group = np.where(np.arange(N) < 400, "a", "b")
    first, _ = make_up(attributes(kind=group), given, np.arange(500, 700), np.ones(N, bool), 0.9)
    assert first.ratio is not None
    assert (first.ratio.value, first.ratio.low, first.flagged) == (0.0, 0.0, True)
    assert 0 < first.ratio.high < 0.1


def test_what_cannot_be_told(given: Embeddings) -> None:
    eligible = np.ones(N, bool)
    with pytest.raises(InputError, match="attribute id has 1000 groups; at most 50"):
        make_up(attributes(id=np.arange(N)), given, np.arange(200), eligible, 0.9)
    double = pl.concat([attributes(kind="a"), attributes(kind="b").head(1)])
    with pytest.raises(InputError, match="more than one row"):
        make_up(double, given, np.arange(200), eligible, 0.9)
    with pytest.raises(InputError, match="none of its customers"):
        make_up(pl.DataFrame({"customer_id": [-5], "kind": ["a"]}), given, np.arange(200), eligible, 0.9)


def test_attributes_from_files(tmp_path: Path) -> None:
    table = attributes_of_csv(b"region;customer_id;age\nnorth;'=7;30\n;8;\n\n", "upload")
    assert table.rows() == [("north", "=7", "30"), (None, "8", None)]
    assert table.columns == ["region", "customer_id", "age"]
    path = tmp_path / "a.parquet"
    pl.DataFrame({"customer_id": [3, None, 4], "vip": [True, False, None], "age": [1, 2, 3]}).write_parquet(path)
    read = read_attributes(path)
    assert read["customer_id"].to_list() == [3, 4]
    assert read["vip"].to_list() == ["true", None]
    (tmp_path / "a.csv").write_text("customer_id,x\n5,y\n")
    assert read_attributes(tmp_path / "a.csv").rows() == [("5", "y")]
    for content, words in (
        (b"customer_id\n1\n", "no column beside customer_id"),
        (b"customer_id,a,a\n1,2,3\n", "column a is there twice"),
        (b"customer_id,a\n1,2,3\n", "row 2: has 3 cells, the header has 2"),
        (b"id,a\n1,2\n", "no column customer_id"),
    ):
        with pytest.raises(InputError, match=words):
            attributes_of_csv(content, "upload")
