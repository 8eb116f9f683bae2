"""Embeddings made of given vectors, for tests of what reads them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from embed.artifact import Embeddings, Histories, Room, States, create_embeddings


def histories(n: int) -> Histories:
    """Of n customers, no two alike."""
    return Histories(np.arange(n) + 1, np.arange(n) * 7, np.arange(n) * 9)


def no_states() -> States:
    """Of nobody."""
    return Room(np.zeros(0, np.int64), 1).states()


def write_embeddings(
    folder: Path,
    key: str,
    customers: pl.Series,
    vectors: np.ndarray,
    states: States | None = None,
    parents: Mapping[str, str] | None = None,
    hidden: States | None = None,
) -> Embeddings:
    """Write vectors [n, d], and the states and hidden states of some customers, as embedding does."""
    carried = states or no_states(), hidden or no_states()
    rooms = [Room(kept.rows, kept.matrix.shape[1]) for kept in carried]
    told = histories(len(customers))
    with create_embeddings(folder, key, customers, told, vectors.shape[1], *rooms) as draft:
        draft.vectors[:] = vectors
        for place, kept in zip((draft.states, draft.hidden), carried, strict=True):
            place.matrix[:] = kept.matrix
        draft.parents.update(parents or {})
    return Embeddings.load(folder, deep=False)
