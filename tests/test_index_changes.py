"""Why members enter and leave a saved audience: what is told of each is what happened to them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings

from embed.artifact import Embeddings, Histories
from index.changes import REASONS, Before, Now, changes


def embeddings(folder: Path, ids: list[int], vectors: np.ndarray, model: str, events: list[int]) -> Embeddings:
    made = write_embeddings(folder, folder.name, pl.Series(ids), vectors)
    manifest = type(made.manifest)(**{**vars(made.manifest), "parents": {"model": model}})
    told = np.array(events)
    return replace(made, manifest=manifest, histories=Histories(told, told, told))


def unit(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def told(table: pl.DataFrame) -> dict[tuple[str, int], str]:
    return {(change, customer): why for customer, change, why in table.iter_rows()}


@pytest.fixture
def old(tmp_path: Path) -> Embeddings:
    return embeddings(tmp_path / "old", [1, 2, 3, 4, 5, 6], unit(6, 0), "m1", [5] * 6)


def test_the_same_model_tells_behaviour_from_others_places(tmp_path: Path, old: Embeddings) -> None:
    vectors = np.concatenate([old.vectors[1:], unit(1, 9)])  # 1 is gone, 7 is new
    vectors[[0, 3]] = unit(2, 5)  # 2 and 5 changed
    new = embeddings(tmp_path / "new", [2, 3, 4, 5, 6, 7], vectors, "m1", [6] * 6)
    before = Before(pl.Series([1, 2, 3, 4]), old, ["6"])
    table = changes(before, Now(pl.Series([4, 5, 6, 7]), new, ["3"], None))
    assert told(table) == {
        ("entered", 5): "behaviour",
        ("entered", 6): "consent",
        ("entered", 7): "customers",
        ("left", 1): "customers",
        ("left", 2): "behaviour",
        ("left", 3): "consent",
    }
    assert set(table["why"]) <= set(REASONS)
    calm = changes(before, Now(pl.Series([1, 2, 3, 5]), old, [], None))
    assert told(calm) == {("entered", 5): "others", ("left", 4): "others"}


def test_another_model_is_told_apart_from_new_events(tmp_path: Path, old: Embeddings) -> None:
    new = embeddings(tmp_path / "new", [1, 2, 3, 4, 5, 6], unit(6, 3), "m2", [5, 5, 8, 5, 5, 9])
    table = changes(Before(pl.Series([1, 2, 3]), old, []), Now(pl.Series([1, 5, 6]), new, [], None))
    assert told(table) == {
        ("entered", 5): "model",
        ("entered", 6): "behaviour and model",
        ("left", 2): "model",
        ("left", 3): "behaviour and model",
    }


def test_a_new_definition_is_told_where_the_old_one_would_have_decided_otherwise(
    tmp_path: Path, old: Embeddings
) -> None:
    vectors = np.array(old.vectors)
    vectors[4] = unit(1, 4)[0]
    new = embeddings(tmp_path / "new", [1, 2, 3, 4, 5, 6], vectors, "m1", [5] * 6)
    was = pl.Series([1, 2, 5])  # by the old definition 3 would have left and 5 entered anyhow
    table = changes(Before(pl.Series([1, 2, 3]), old, []), Now(pl.Series([1, 5, 6]), new, [], was))
    assert told(table) == {
        ("entered", 5): "behaviour",
        ("entered", 6): "definition",
        ("left", 2): "definition",
        ("left", 3): "others",
    }


def test_a_snapshot_that_is_not_kept_leaves_reasons_unknown_but_for_consent(old: Embeddings) -> None:
    table = changes(Before(pl.Series([1, 2]), None, []), Now(pl.Series([3, 4]), old, ["1"], None))
    assert told(table) == {
        ("entered", 3): "unknown",
        ("entered", 4): "unknown",
        ("left", 1): "consent",
        ("left", 2): "unknown",
    }


def test_nothing_changed(old: Embeddings) -> None:
    table = changes(Before(pl.Series([1, 2]), old, []), Now(pl.Series([2, 1]), old, [], None))
    assert table.is_empty()
    assert table.schema == {"customer_id": pl.Int64, "change": pl.String, "why": pl.String}
