"""Synthetic embeddings for benchmarks: unit vectors of overlapping groups, written in bounded memory."""

from pathlib import Path

import numpy as np
import polars as pl

from embed.artifact import Embeddings, Histories, create_embeddings

PIECE = 1 << 16
LATENT = 16
"""Dimensions in which customers really differ: learnt vectors fill far fewer than their width."""
SPREAD = 1.0
"""Noise around a centre, in units of the centres' own spread: groups overlap, as customers do."""
NOISE = 0.1
"""Noise of every number of a vector, in units of its spread."""


def centre_of(n: int, centres: int, seed: int) -> np.ndarray:
    """The centre that each of n customers belongs to."""
    return np.random.default_rng([seed, 0]).integers(0, centres, n)


def embeddings(folder: Path, n: int, width: int, seed: int, centres: int = 200) -> Embeddings:
    """n customers with ids 0 to n - 1."""
    member = centre_of(n, centres, seed)
    rng = np.random.default_rng([seed, 1])
    means = rng.standard_normal((centres, LATENT), dtype=np.float32)
    axes = rng.standard_normal((LATENT, width), dtype=np.float32)
    ids, read, key = pl.Series(np.arange(n)), np.ones(n, np.int64), f"bench-{n}-{width}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with create_embeddings(folder, key, ids, Histories(read, read, read), width) as draft:
        for start in range(0, n, PIECE):
            part = member[start : start + PIECE]
            latent = means[part] + SPREAD * rng.standard_normal((len(part), LATENT), dtype=np.float32)
            rows = latent @ axes + NOISE * LATENT**0.5 * rng.standard_normal((len(part), width), dtype=np.float32)
            draft.vectors[start : start + PIECE] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Embeddings.load(folder, deep=False)
