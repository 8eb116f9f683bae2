"""Search against brute force, its edges, and the index on disk."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import elsewhere
import faiss
import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings
from hypothesis import given, settings
from hypothesis import strategies as st

import store
from configs.errors import ArtifactError, InputError, KinfolkError
from embed.artifact import Embeddings
from index.artifact import load_index
from index.config import IndexConfig
from index.run import run
from index.search import SearchIndex

INVERTED = IndexConfig(exact_up_to=0, queries=128, lists=40)


def groups(n: int, d: int, centres: int, seed: int = 0) -> np.ndarray:
    """Unit vectors around some centres, float32 [n, d]."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(centres, d))[rng.integers(0, centres, n)] + 0.7 * rng.normal(size=(n, d))
    return np.ascontiguousarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def embeddings(folder: Path, vectors: np.ndarray, key: str = "k") -> Embeddings:
    ids = pl.Series(np.arange(len(vectors)) * 3)
    return write_embeddings(folder, key, ids, vectors)


def brute(vectors: np.ndarray, queries: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    similarity = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return np.where(allowed, similarity, -np.inf)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    folder = tmp_path_factory.mktemp("large")
    return run(INVERTED, embeddings(folder / "embeddings", groups(6000, 32, 30)), folder / "index")


@settings(max_examples=40)
@given(
    n=st.integers(1, 120),
    k=st.integers(1, 120),
    asked=st.integers(1, 30),
    share=st.floats(0.0, 1.0),
    own=st.booleans(),
    repeated=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_exact_search_is_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    n: int,
    k: int,
    asked: int,
    share: float,
    own: bool,
    repeated: bool,
    seed: int,
) -> None:
    k = min(k, n)
    rng = np.random.default_rng(seed)
    vectors = groups(n, 8, 5, seed)
    if repeated:  # many customers with one vector: ties
        vectors = vectors[rng.integers(0, max(1, n // 4), n)].copy()
    folder = tmp_path_factory.mktemp("exact")
    index = run(IndexConfig(), embeddings(folder / "embeddings", vectors), folder / "index")
    asked_rows = rng.integers(0, n, asked)
    allowed = rng.random(n) < share
    rows, similarity = index.search(vectors[asked_rows], k, allowed, without=None if own else asked_rows)
    assert rows.dtype == np.int64
    assert similarity.dtype == np.float32
    for query, found, given_similarity in zip(asked_rows, rows, similarity, strict=True):
        passes = allowed.copy()
        passes[query] &= own
        truth = brute(vectors, vectors[query], passes)
        exist = min(k, int(passes.sum()))
        assert (found[exist:] == -1).all()
        assert np.isneginf(given_similarity[exist:]).all()
        found, given_similarity = found[:exist], given_similarity[:exist]
        assert passes[found].all()
        assert len(set(found.tolist())) == exist
        np.testing.assert_allclose(given_similarity, np.sort(truth)[::-1][:exist], atol=1e-6)
        falling = np.diff(given_similarity)
        assert (falling <= 0).all()
        assert (np.diff(found)[falling == 0] > 0).all(), "ties are in order of rows"


def test_an_answer_does_not_depend_on_who_else_is_asked_for(large: SearchIndex, tmp_path: Path) -> None:
    vectors = large.embeddings.vectors
    exact = run(IndexConfig(), large.embeddings, tmp_path / "index")
    for index in (exact, large):
        together = index.similar(np.arange(64), 20)
        for row in (0, 13, 63):
            alone = index.similar(np.array([row]), 20)
            np.testing.assert_array_equal(alone[0][0], together[0][row])
            np.testing.assert_array_equal(alone[1][0], together[1][row])
            assert row not in alone[0]
    assert vectors.shape == (6000, 32)


def test_the_inverted_file_reaches_its_recall_on_queries_it_was_not_tuned_on(large: SearchIndex) -> None:
    figures = large.manifest.figures
    assert not large.exact
    assert figures["method"] == "IVF40,PQ32x4fs"
    assert figures["nprobe"] < 40, "visiting every cell would be no index"
    assert figures["recall"] >= 0.98
    rows = np.arange(5000, 5400)
    found, similarity = large.similar(rows, 100)
    truth = brute(large.embeddings.vectors, large.embeddings.vectors[rows], np.ones(6000, bool))
    truth[np.arange(400), rows] = -np.inf
    best = np.argsort(-truth, axis=1, kind="stable")[:, :100]
    recall = np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(found, best, strict=True)])
    assert recall >= 0.97
    np.testing.assert_allclose(similarity, np.take_along_axis(truth, found, axis=1), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.6])
@pytest.mark.parametrize("k", [10, 1500])
def test_filters_and_large_k_on_the_inverted_file(large: SearchIndex, share: float, k: int) -> None:
    allowed = np.random.default_rng(3).random(6000) < share
    rows, similarity = large.search(large.embeddings.vectors[:20], k, allowed)
    exist = min(k, int(allowed.sum()))
    assert ((rows >= 0).sum(axis=1) == exist).all()
    assert allowed[rows[rows >= 0]].all()
    truth = -np.sort(-brute(large.embeddings.vectors, large.embeddings.vectors[:20], allowed), axis=1)[:, :exist]
    close = np.isclose(similarity[:, :exist], truth, atol=1e-5)
    assert exist == 0 or close.mean() > 0.9


@pytest.mark.parametrize(
    ("queries", "k", "allowed", "words"),
    [
        (np.ones((1, 32), np.float32), 6001, None, "k is 6001.*6000"),
        (np.ones((1, 32), np.float32), 0, None, "k is 0"),
        (np.ones((1, 31), np.float32), 5, None, r"shape \(1, 31\).*32 wide"),
        (np.ones(32, np.float32), 5, None, "shape"),
        (np.full((1, 32), np.nan, np.float32), 5, None, "not finite"),
        (np.ones((1, 32), np.float32), 5, np.ones(5999, bool), "mask"),
        (np.ones((1, 32), np.float32), 5, np.ones(6000, np.int8), "mask"),
    ],
)
def test_what_cannot_be_searched(
    large: SearchIndex, queries: np.ndarray, k: int, allowed: np.ndarray | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        large.search(queries, k, allowed)


def test_no_query_and_everybody(large: SearchIndex) -> None:
    rows, similarity = large.search(np.zeros((0, 32), np.float32), 7)
    assert rows.shape == similarity.shape == (0, 7)
    rows, _ = large.similar(np.array([5]), 6000)
    assert sorted(rows[0].tolist()) == sorted({*range(6000), -1} - {5})


@pytest.mark.parametrize("config", [IndexConfig(), INVERTED])
def test_equal_inputs_give_equal_bytes_and_a_finished_index_is_reused(tmp_path: Path, config: IndexConfig) -> None:
    given = embeddings(tmp_path / "embeddings", groups(4000, 16, 20))
    for name in ("a", "b"):
        run(config, given, tmp_path / name)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert files == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    before = (tmp_path / "a" / "manifest.json").stat().st_mtime_ns
    run(config, given, tmp_path / "a")
    assert (tmp_path / "a" / "manifest.json").stat().st_mtime_ns == before
    run(config.model_copy(update={"seed": 5}), given, tmp_path / "a")
    assert (tmp_path / "a" / "manifest.json").stat().st_mtime_ns != before


def test_a_loaded_index_answers_as_the_built_one(large: SearchIndex, tmp_path: Path) -> None:
    built = run(INVERTED, large.embeddings, tmp_path / "index")
    loaded = load_index(tmp_path / "index", large.embeddings)
    for one, other in zip(built.similar(np.arange(9), 50), loaded.similar(np.arange(9), 50), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_flipped_bit_is_refused_and_the_file_named(large: SearchIndex, tmp_path: Path) -> None:
    run(INVERTED, large.embeddings, tmp_path / "index")
    path = tmp_path / "index" / "index.faiss"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 4
    path.write_bytes(body)
    with pytest.raises(ArtifactError, match=r"index\.faiss"):
        load_index(tmp_path / "index", large.embeddings)
    path.write_bytes(body[:-100])
    with pytest.raises(ArtifactError, match=r"index\.faiss.*truncated"):
        load_index(tmp_path / "index", large.embeddings, deep=False)


def test_an_index_of_other_embeddings_is_refused(tmp_path: Path) -> None:
    run(IndexConfig(), embeddings(tmp_path / "one", groups(300, 16, 3)), tmp_path / "index")
    for name, vectors, key in (
        ("n", groups(301, 16, 3), "k"),
        ("d", groups(300, 8, 3), "k"),
        ("k", groups(300, 16, 3), "x"),
    ):
        with pytest.raises(ArtifactError, match="rebuild the index"):
            load_index(tmp_path / "index", embeddings(tmp_path / name, vectors, key))


def end_of(child: int, seconds: float = 30) -> int | None:
    """The exit code of a forked child; None, and the child killed, where it hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def test_spawned_workers_search(tmp_path: Path) -> None:
    index = run(INVERTED, embeddings(tmp_path / "embeddings", groups(3000, 16, 10)), tmp_path / "index")
    here, _ = index.similar(np.arange(40), 10)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(elsewhere.search, (str(tmp_path),)).get(timeout=60) == here[0].tolist()


@pytest.mark.parametrize("what", ["the same index", "one loaded there", "one built there", "one updated there"])
def test_a_forked_child_says_why_it_cannot_search_and_never_hangs(tmp_path: Path, what: str) -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)  # with one thread there is nobody to wait for
    given = embeddings(tmp_path / "embeddings", groups(3000, 16, 10))
    index = run(INVERTED, given, tmp_path / "index")
    index.similar(np.arange(200), 10)
    later = embeddings(tmp_path / "later", groups(3100, 16, 10), "later")
    work = {
        "the same index": lambda: index.similar(np.arange(200), 10),
        "one loaded there": lambda: load_index(tmp_path / "index", given).similar(np.arange(200), 10),
        "one built there": lambda: run(INVERTED, given, tmp_path / "other"),
        "one updated there": lambda: run(INVERTED, later, tmp_path / "other", previous=index),
    }[what]
    child = os.fork()
    if child == 0:
        try:
            work()
        except KinfolkError as error:
            os._exit(0 if "spawn" in str(error) else 2)
        finally:
            os._exit(1)
    ended = end_of(child)
    faiss.omp_set_num_threads(before)
    assert ended is not None, "the child hangs"
    assert ended == 0


def test_a_forked_child_of_a_process_that_did_not_search_may_search(tmp_path: Path) -> None:
    run(INVERTED, embeddings(tmp_path / "embeddings", groups(3000, 16, 10)), tmp_path / "index")
    script = """
import os, sys
import elsewhere
child = os.fork()
if child == 0:
    os._exit(0 if len(elsewhere.search(sys.argv[1])) == 10 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    path = os.pathsep.join([str(Path(store.__file__).parents[1]), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment, timeout=60)
