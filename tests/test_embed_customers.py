"""Customers of one snapshot beside those of another."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings

from embed.artifact import Embeddings
from embed.customers import changes


def made(folder: Path, ids: list[int], vectors: np.ndarray) -> Embeddings:
    return write_embeddings(folder, "same key", pl.Series(ids, dtype=pl.Int64), vectors.astype(np.float32))


def test_an_answer_is_kept_for_the_same_bytes_alone(tmp_path: Path) -> None:
    vectors = np.eye(5)
    before = made(tmp_path / "before", [1, 2, 3, 4, 5], vectors)
    turned = vectors[[0, 2, 2, 4, 4]]
    after = made(tmp_path / "after", [1, 2, 3, 5, 6], turned)
    found = changes(before, after)
    assert found.counts() == {"kept": 3, "replaced": 1, "added": 1, "removed": 1}
    assert found.fresh.tolist() == [1, 4]
    assert changes(Embeddings.load(tmp_path / "before"), after) is found
    # as an erasure leaves it: the same key over other bytes
    erased = made(tmp_path / "erased", [1, 2, 5, 6], turned[[0, 1, 3, 4]])
    assert changes(before, erased).counts() == {"kept": 2, "replaced": 1, "added": 1, "removed": 2}
    assert changes(before, after).fresh.tolist() == [1, 4]
    with pytest.raises(ValueError, match="read-only"):
        found.fresh[0] = 7
