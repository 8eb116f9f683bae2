"""Simulated customers whose groups are known, for tests of audiences."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from embedded import write_embeddings

from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour, Feature
from index.audience import Audience
from index.config import AudienceConfig
from index.request import AudienceRequest

N, WIDTH, GROUPS = 4000, 24, 12
QUICK = AudienceConfig(bootstrap=60, fit_rows=1500, scorers=("centroid", "mixture", "logistic", "ratio"))


@lru_cache
def world(seed: int, spread: float = 2.2) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [n, d] of customers in overlapping groups, and each one's group [n]."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, GROUPS, N)
    rows = rng.normal(size=(GROUPS, WIDTH))[group] + spread * rng.normal(size=(N, WIDTH))
    return np.ascontiguousarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)), group


def embedded(folder: Path, seed: int, spread: float = 2.2, ids: pl.Series | None = None) -> Embeddings:
    vectors, _ = world(seed, spread)
    customers = pl.Series(np.arange(N) + 1) if ids is None else ids
    path = folder / f"{seed}-{spread}-{customers.dtype}"
    if path.exists():
        return Embeddings.load(path, deep=False)
    return write_embeddings(path, f"w{seed}", customers, vectors)


def behaviour_of(seed: int) -> Behaviour:
    """Six features: one that tells group 0, one heavy-tailed that tells group 1, noise, and a constant."""
    _, group = world(seed)
    rng = np.random.default_rng(seed + 100)
    columns = [
        (
            "share",
            np.clip(0.1 + 0.4 * (group == 0) + 0.05 * rng.normal(size=N), 0, 1),
            "share of events at fishmongers",
        ),
        ("amount", np.exp(rng.normal(size=N) + 2.5 * (group == 1)), "total amount"),
        ("share", rng.random(N), "share of events on Mondays"),
        ("count", rng.integers(1, 90, N), "number of events"),
        ("time", rng.random(N) * 300, "days since the last event"),
        ("share", np.zeros(N), "share of events at opticians"),
    ]
    features = tuple(Feature(f"f{i}", kind, None, None, words) for i, (kind, _, words) in enumerate(columns))
    return Behaviour(features, np.stack([values for _, values, _ in columns], axis=1).astype(np.float32))


def drawn(seed: int, groups: list[int], many: int) -> np.ndarray:
    """Rows of seeds drawn from some groups."""
    _, group = world(seed)
    return np.random.default_rng(seed + 7).choice(np.flatnonzero(np.isin(group, groups)), many, replace=False)


LABELS = np.random.default_rng(3).integers(-1, 4, N).astype(np.int32)
"""A segment for everybody, drawn at random."""


def request(rows: np.ndarray, size: int | None, **options: object) -> AudienceRequest:
    return AudienceRequest(seeds=tuple(int(row) + 1 for row in rows), size=size, **options)


def recall_of(audience: Audience, alike: np.ndarray, seeds: np.ndarray) -> float:
    """Share of the customers truly like the seeds, seeds left out, who are in the audience."""
    return float(np.isin(np.setdiff1d(alike, seeds), audience.members).mean())
