"""An index of format 1, with 8-bit codes, is searched and erased from as it is, and built anew by the next night."""

from pathlib import Path

import faiss
import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings

from embed.artifact import Embeddings
from index.artifact import load_index
from index.config import IndexConfig
from index.erase import erase_index
from index.run import run
from index.search import SearchIndex
from store.artifact import create

CONFIG = IndexConfig(exact_up_to=500, queries=128, lists=20)


def population(folder: Path, vectors: np.ndarray, key: str) -> Embeddings:
    return write_embeddings(folder, key, pl.Series(np.arange(len(vectors))), vectors)


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(25, 16))[rng.integers(0, 25, 3000)] + 0.7 * rng.normal(size=(3000, 16))
    return np.ascontiguousarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


@pytest.fixture
def first_format(tmp_path: Path, vectors: np.ndarray) -> SearchIndex:
    """What kinfolk wrote until format 2."""
    embeddings = population(tmp_path / "embeddings", vectors, "k")
    inverted = faiss.index_factory(16, "IVF20,SQ8", faiss.METRIC_INNER_PRODUCT)
    inverted.train(vectors)
    inverted.add(vectors)
    with create(tmp_path / "index", "index", 1, "old") as writer:
        faiss.write_index(inverted, str(writer.path("index.faiss")))
        writer.parents["embeddings"] = embeddings.key
        writer.counts.update(customers=3000, width=16)
        writer.figures.update(method="IVF20,SQ8", lists=20, nprobe=12, visited=1800, recall=0.99, recall_queries=64)
        writer.figures.update(neighbours=100, exact_up_to=500)
    return load_index(tmp_path / "index", embeddings)


def recall(index: SearchIndex, k: int) -> float:
    """Share of the true k nearest that the index finds, of every tenth customer."""
    vectors = np.asarray(index.embeddings.vectors)
    asked = np.arange(0, len(vectors), 10)
    rows, _ = index.similar(asked, k)
    similarity = vectors[asked].astype(np.float64) @ vectors.astype(np.float64).T
    similarity[np.arange(len(asked)), asked] = -np.inf
    truth = np.argsort(-similarity, axis=1)[:, :k]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(rows, truth, strict=True)]))


def test_it_is_searched(first_format: SearchIndex) -> None:
    assert not first_format.exact
    assert recall(first_format, 100) > 0.97
    assert recall(first_format, 10) > 0.97


def test_customers_are_erased_from_it(first_format: SearchIndex, tmp_path: Path, vectors: np.ndarray) -> None:
    keep = np.arange(3000) % 7 != 0
    after = population(tmp_path / "after", vectors[keep], "k")
    erase_index(tmp_path / "index", tmp_path / "room", first_format.embeddings, after, keep)
    left = load_index(tmp_path / "room", after)
    assert left.manifest.version == 1
    assert left.inverted.ntotal == int(keep.sum())
    assert recall(left, 100) > 0.97


def test_the_next_night_builds_it_anew(first_format: SearchIndex, tmp_path: Path, vectors: np.ndarray) -> None:
    tomorrow = population(tmp_path / "tomorrow", vectors[::-1], "k2")
    built = run(CONFIG, tomorrow, tmp_path / "built", previous=first_format)
    assert built.manifest.version == 2
    assert built.manifest.figures["method"] == "IVF20,PQ16x4fs"
    assert "previous" not in built.manifest.parents
    assert recall(built, 100) > 0.97
