"""Embeddings made of given vectors, for tests of what reads them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from embed.artifact import Embeddings, Histories, States, create_embeddings


def histories(n: int) -> Histories:
    """Of n customers, no two alike."""
    return Histories(np.arange(n) + 1, np.arange(n) * 7, np.arange(n) * 9)


def no_states() -> States:
    """Of nobody."""
    return States(np.zeros(0, np.int64), np.zeros((0, 1), np.float32))


def write_embeddings(
    folder: Path,
    key: str,
    customers: pl.Series,
    vectors: np.ndarray,
    states: States | None = None,
    parents: Mapping[str, str] | None = None,
) -> Embeddings:
    """Write vectors [n, d], and the states of some customers, as embedding does."""
    kept = states or no_states()
    told = histories(len(customers))
    with create_embeddings(folder, key, customers, told, vectors.shape[1], kept.rows, kept.matrix.shape[1]) as draft:
        draft.vectors[:] = vectors
        draft.states.matrix[:] = kept.matrix
        draft.parents.update(parents or {})
    return Embeddings.load(folder, deep=False)
