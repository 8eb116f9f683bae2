"""Snapshots of one lineage, in which segments keep their ids: small, made of given segments and behaviours.

Segments have the ids 0, 3 and 7, so that nothing can take an id for a place in a list. Three nights:

    1   everybody is in segment customer % 3 -> 0, 3, 7; every tenth is in none
    2   customers 0 to 29 of segment 0 moved to 3, with more fuel; 3 of the 40 new customers are in none; 20 are gone
    3   segment 9 was born of 7's upper half

Segment 3 has a definition and two parts. Strengths go from .5 to .9 in steps of .05, the next best segment is the one
with the next higher id; who is in none is nearest to segment 0.
"""

from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
from embedded import write_embeddings
from segmented import registry_of

import index.run
from cluster.artifact import PartProfile, SegmentProfile, write_segments
from cluster.definition import Condition, Definition
from cluster.events import SegmentEvent
from cluster.profile import Driver
from eventlog.artifact import write_behaviour
from eventlog.behaviour import Behaviour, Feature
from index.config import IndexConfig
from store.artifact import key_of
from store.workspace import Workspace

N, WIDTH = 600, 16
IDS = np.array([0, 3, 7])
MOVERS = range(0, 90, 3)
NAMES = {0: "Few events", 3: "Much fuel", 7: "Much wine", 9: "Wine at night"}
FEATURES = (
    Feature("events", "count", None, None, "number of events"),
    Feature("shop=FUEL", "share", "shop", "FUEL", "share of events with shop = FUEL"),
    Feature("shop=WINE", "share", "shop", "WINE", "share of events with shop = WINE"),
    Feature("spent:mean", "amount", "spent", None, "average spent"),
)
BORN = SegmentEvent("split", 7, (9,), 3, {"members": 99.0, "agreement": 0.9})
CONDITION = Condition("shop=FUEL", FEATURES[1].words, True, 0.3, "at least 30 % of events with shop fuel")
DEFINITION = Definition((CONDITION,), 0.934, 0.871, "At least 30 % of events with shop fuel.")
"""Of segment 3."""
PARTS = (PartProfile(1, "Often early", 100, 0.5, 0.91), PartProfile(2, "Often late", 80, 0.4, 0.7))
"""Of segment 3."""


def labels_of(night: int, customers: np.ndarray) -> np.ndarray:
    """Everybody's segment, int32."""
    labels = np.where(customers % 10 == 9, -1, IDS[customers % 3])
    if night >= 2:
        labels[np.isin(customers, MOVERS) & (labels == 0)] = 3
    if night >= 3:
        labels[(labels == 7) & (customers >= N // 2)] = 9
    return labels.astype(np.int32)


def behaviour_of(customers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What everybody does, float32 [n, 4]; the same customer in the same segment always the same."""
    rng = np.random.default_rng(5)
    own = rng.uniform(0, 0.04, (N + 100, 4))[customers]
    events, spent = 40 + 100 * own[:, 0], 20 + 50 * own[:, 3]
    fuel = np.where(labels == 3, 0.5, 0.02) + own[:, 1]
    wine = np.where(np.isin(labels, (7, 9)), 0.6, 0.05) + own[:, 2]
    return np.column_stack([events, fuel, wine, spent]).astype(np.float32)


def publish_night(root: Path, night: int, text: bool = False, lineage: str = "line") -> str:
    """Publish a night's snapshot and return its name; ids are text where asked."""
    workspace = Workspace.create(root)
    customers = np.arange(N) if night == 1 else np.arange(20, N + 40)
    labels = labels_of(night, customers)
    ids = pl.Series([f"c{i:04d}" for i in customers]) if text else pl.Series(customers)
    key = key_of("night", night, text, lineage)
    rng, folder = np.random.default_rng(night), workspace.staging / key
    vectors = rng.standard_normal((len(customers), WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = write_embeddings(folder / "embeddings", key, ids, vectors)
    index.run.run(IndexConfig(), embeddings, folder / "index")
    write_behaviour(Behaviour(FEATURES, behaviour_of(customers, labels)), key, folder / "behaviour", {})
    events = (BORN,) if night >= 3 else ()
    write_labels(folder / "segments", key, labels, ids, lineage, night, events)
    return workspace.publish(key, {"embeddings": key}, {"customers": len(ids)}, {})


def write_labels(
    folder: Path,
    key: str,
    labels: np.ndarray,
    customers: Sequence[int | str] | pl.Series,
    lineage: str,
    generation: int = 1,
    events: tuple[SegmentEvent, ...] = (),
) -> None:
    """Write segments of given labels, without pictures."""
    found = sorted(set(labels.tolist()) - {-1}, key=lambda id: -int((labels == id).sum()))
    words = "share of events with shop = FUEL"
    driver = Driver("shop=FUEL", words, "share", "shop", "FUEL", 0.5, 0.2, lift=2.5, z=2.0, score=1.0)
    profiles = []
    for id in found:
        rows = np.flatnonzero(labels == id)
        share = len(rows) / len(labels)
        typical = (customers[int(rows[0])],)
        known: tuple[Definition | None, tuple[PartProfile, ...]] = (DEFINITION, PARTS) if id == 3 else (None, ())
        born = generation if id == 9 else 1
        profiles.append(SegmentProfile(id, NAMES[id], len(rows), share, 0.9, 0.8, (driver,), typical, born, *known))
    positions = np.random.default_rng(0).normal(size=(len(labels), 2)) + np.maximum(labels, 0)[:, None] * 3
    at = np.arange(len(labels))
    strength = np.where(labels >= 0, 0.5 + 0.05 * (at // 3 % 9), 0).astype(np.float32)
    ids = np.sort(found)
    second = np.where(labels >= 0, ids[np.searchsorted(ids, labels, side="right") % len(ids)], ids[0])
    part = np.where(labels == 3, at // 3 % 3, 0)
    second_strength = np.where(labels >= 0, 0.1, 0.3)
    how = {"second": second, "second_strength": second_strength, "part": part}
    registry = registry_of(labels, strength, positions, generation=generation, events=events, **how)
    with (
        patch("cluster.artifact.draw", lambda path, *_, **__: path.write_bytes(b"")),
        patch("cluster.artifact.write_page", lambda path, *_, **__: path.write_bytes(b"")),
    ):
        write_segments(folder, key, registry, lineage, profiles, {})
