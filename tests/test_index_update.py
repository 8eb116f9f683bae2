"""An index that is brought up to date instead of built: nothing is lost, nobody who left is found, drift is noticed."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.artifact import Embeddings
from index.artifact import load_index
from index.config import IndexConfig
from index.lists import Lists
from index.run import run
from index.search import SearchIndex

CONFIG = IndexConfig(exact_up_to=500, queries=128, lists=30)
KEEPING = CONFIG.model_copy(update={"update_until": 100.0})
"""Never drifts: with so few cells one more of them is a large step."""
WIDTH = 16


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length, float32."""
    return np.ascontiguousarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def drawn(n: int, rng: np.random.Generator) -> np.ndarray:
    """n unit vectors around twenty centres, always the same ones."""
    centres = np.random.default_rng(5).normal(size=(20, WIDTH))
    return unit(centres[rng.integers(0, 20, n)] + 0.7 * rng.normal(size=(n, WIDTH)))


def elsewhere(n: int, rng: np.random.Generator) -> np.ndarray:
    """n unit vectors in a corner of the space."""
    return unit(np.r_[6.0, np.zeros(WIDTH - 1)] + rng.normal(size=(n, WIDTH)))


class Population:
    """Customers with vectors that change from snapshot to snapshot."""

    def __init__(self, root: Path, n: int, seed: int) -> None:
        self.root, self.rng, self.snapshots = root, np.random.default_rng(seed), 0
        self.vectors = dict(zip(self.rng.choice(10 * n, n, replace=False).tolist(), drawn(n, self.rng), strict=True))

    def change(self, replaced: float, removed: float, added: float) -> dict[str, list[int]]:
        """Change shares of the customers; tells whom."""
        n, ids = len(self.vectors), self.rng.permutation(list(self.vectors)).tolist()
        new = [i for i in self.rng.permutation(10 * n).tolist() if i not in self.vectors][: int(added * n)]
        gone, other = ids[: int(removed * n)], ids[int(removed * n) :][: int(replaced * n)]
        for customer in gone:
            del self.vectors[customer]
        self.vectors.update(zip([*other, *new], drawn(len(other) + len(new), self.rng), strict=True))
        return {"replaced": other, "removed": gone, "added": new}

    def embeddings(self) -> Embeddings:
        """The embeddings as they are now."""
        self.snapshots += 1
        ids = sorted(self.vectors)
        matrix = np.array([self.vectors[i] for i in ids])
        return write_embeddings(self.root / f"e{self.snapshots}", f"k{self.snapshots}", pl.Series(ids), matrix)

    def index(self, previous: SearchIndex | None = None, config: IndexConfig = CONFIG) -> SearchIndex:
        """The index over these."""
        given = self.embeddings()
        return run(config, given, self.root / f"i{self.snapshots}", previous=previous)


def entries(inverted: Any) -> list[tuple[list[int], bytes]]:
    """Ids and codes of every cell."""
    lists = Lists(inverted)
    return [(lists.ids(cell).tolist(), lists.codes(cell).tobytes()) for cell in range(inverted.nlist)]


def recall(index: SearchIndex, k: int = 50) -> float:
    """Recall of every tenth customer's neighbours against brute force."""
    vectors = np.asarray(index.embeddings.vectors, np.float64)
    asked = np.arange(0, len(vectors), 10)
    similarity = vectors[asked] @ vectors.T
    similarity[np.arange(len(asked)), asked] = -2
    best = np.argsort(-similarity, axis=1)[:, :k]
    found, _ = index.similar(asked, k)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found, best, strict=True)]))


shares = st.sampled_from([0.0, 0.01, 0.2])


@settings(max_examples=12, deadline=None)
@given(rounds=st.lists(st.tuples(shares, shares, shares), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_an_updated_index_is_one_that_everybody_was_added_to(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[float, float, float]], seed: int
) -> None:
    people = Population(tmp_path_factory.mktemp("people"), 2500, seed)
    first = index = people.index(config=KEEPING)
    for number, shares in enumerate(rounds, 1):
        who = people.change(*shares)
        index = people.index(previous=index, config=KEEPING)
        figures, ids = index.manifest.figures, index.embeddings.customers
        n = len(people.vectors)
        assert figures["updates"] == number
        assert figures["updated"] == {name: len(of) for name, of in who.items()} | {
            "kept": n - len(who["replaced"]) - len(who["added"])
        }
        assert figures["built"]["nprobe"] == first.nprobe
        everybody = faiss.clone_index(first.inverted)
        everybody.reset()
        everybody.add(np.array(index.embeddings.vectors))
        assert entries(index.inverted) == entries(everybody)
        assert index.inverted.ntotal == n
        assert figures["recall"] >= CONFIG.recall
        assert recall(index) >= 0.96, "on queries that it was not tuned on"
        # who left is in no answer, and whose vector changed is found by the new one
        answered = ids.gather(np.unique(index.similar(np.arange(n), 20)[0]))
        assert not set(answered) & set(who["removed"])
        fresh = [*who["replaced"], *who["added"]]
        if fresh:
            rows, similarity = index.search(np.array([people.vectors[i] for i in fresh]), 1)
            assert ids.gather(rows[:, 0]).to_list() == fresh
            np.testing.assert_allclose(similarity, 1, atol=1e-5)


def test_the_same_update_gives_the_same_bytes_and_the_index_before_is_as_it_was(tmp_path: Path) -> None:
    people = Population(tmp_path, 3000, 1)
    first = people.index()
    before = entries(first.inverted)
    people.change(0.05, 0.02, 0.03)
    given = people.embeddings()
    for name in ("a", "b"):
        run(CONFIG, given, tmp_path / name, previous=first)
    for file in ("index.faiss", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert entries(first.inverted) == before
    loaded = load_index(tmp_path / "a", given)
    assert loaded.manifest.parents["previous"] == first.manifest.key
    assert run(CONFIG, given, tmp_path / "c").manifest.key != loaded.manifest.key, "what it was made from is in the key"
    written = (tmp_path / "a" / "manifest.json").stat().st_mtime_ns
    run(CONFIG, given, tmp_path / "a", previous=first)
    assert (tmp_path / "a" / "manifest.json").stat().st_mtime_ns == written


def test_updates_go_on_from_an_index_that_was_loaded_and_one_without_its_cost(tmp_path: Path) -> None:
    people = Population(tmp_path, 3000, 2)
    first = people.index()
    figures = {name: value for name, value in first.manifest.figures.items() if name != "visited"}
    object.__setattr__(first.manifest, "figures", figures)  # as kinfolk wrote it before there were updates
    people.change(0.01, 0.0, 0.01)
    second = people.index(previous=first)
    assert second.manifest.figures["updates"] == 1
    people.change(0.01, 0.0, 0.01)
    third = people.index(previous=load_index(tmp_path / "i2", second.embeddings))
    assert third.manifest.figures["updates"] == 2
    assert third.manifest.figures["built"] == second.manifest.figures["built"]


def test_an_index_that_drifted_is_built_anew(tmp_path: Path) -> None:
    people = Population(tmp_path, 4000, 3)
    config = CONFIG.model_copy(update={"update_until": 1.3})
    index = people.index(config=config)
    told = None
    for _ in range(12):
        # customers who come now are like nobody that the cells were learnt on
        new = elsewhere(800, people.rng)
        people.vectors.update(zip(range(100_000 + len(people.vectors), 10**6), new, strict=False))
        built = index.manifest.figures.get("built", {"visited": index.manifest.figures["visited"]})
        index = people.index(previous=index, config=config)
        told = index.manifest.figures.get("rebuilt")
        assert recall(index) >= 0.96
        if told:
            break
        assert index.manifest.figures["visited"] <= 1.3 * built["visited"] + 1
    assert told is not None
    assert told["visited"] > told["most_visited"]
    assert "updates" not in index.manifest.figures
    assert index.manifest.figures["visited"] < told["visited"], "cells that were learnt anew are cheaper to search"


@pytest.mark.parametrize(
    "changed", [{"lists": 20}, {"training_rows_per_list": 200}, {"exact_up_to": 10_000}, {"recall": 0.9}]
)
def test_cells_are_kept_only_where_the_settings_ask_for_the_same(tmp_path: Path, changed: dict[str, Any]) -> None:
    people = Population(tmp_path, 3000, 4)
    first = people.index()
    people.change(0.01, 0.01, 0.01)
    index = people.index(previous=first, config=CONFIG.model_copy(update=changed))
    kept = "updates" in index.manifest.figures
    assert kept == ("recall" in changed)
    assert ("previous" in index.manifest.parents) == kept


def test_another_space_is_indexed_anew(tmp_path: Path) -> None:
    people = Population(tmp_path, 2000, 6)
    first = people.index()
    people.change(0.8, 0.0, 0.0)
    index = people.index(previous=first)
    assert index.manifest.figures["rebuilt"] == {"kept": 400, "least_kept": 1000}
    assert index.manifest.parents["previous"] == first.manifest.key, "its manifest tells of it, so its key does too"
    wider = np.hstack([index.embeddings.vectors, np.zeros((2000, WIDTH), np.float32)])
    text = index.embeddings.customers.cast(pl.String).sort()
    for name, ids, vectors in (("w", index.embeddings.customers, wider), ("t", text, index.embeddings.vectors)):
        given = write_embeddings(tmp_path / name, name, ids, vectors)
        assert "previous" not in run(CONFIG, given, tmp_path / f"i{name}", previous=index).manifest.parents
