"""Fields that only identify a customer are found and set aside; what is left tells behaviour."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from cluster.config import SegmentsConfig
from cluster.run import run
from cluster.view import identity_of, view_of
from eventlog.behaviour import Behaviour, Feature

N, TOWNS, KINDS = 1500, 12, 6


def counted(
    field: str, chances: np.ndarray, events: np.ndarray, rng: np.random.Generator
) -> tuple[list[Feature], np.ndarray]:
    """Shares of `field`'s values where customer i draws events[i] times from chances[i]."""
    draws = np.stack([rng.multinomial(k, p) for k, p in zip(events, chances, strict=True)])
    names = [f"{field}_{v}" for v in range(chances.shape[1])]
    features = [Feature(f"{field}={v}", "share", field, v, f"share of events with {field} = {v}") for v in names]
    return features, draws / events[:, None]


def bank(seed: int = 0) -> tuple[np.ndarray, np.ndarray, Behaviour, np.ndarray]:
    """Three behaviours, twelve home towns that cross them, and vectors that hold both, the town louder."""
    rng = np.random.default_rng(seed)
    group, town = rng.integers(0, 3, N), rng.integers(0, TOWNS, N)
    events = rng.poisson(60, N) + 20
    mix = np.stack([rng.dirichlet(np.roll([9, 4, 2, 1, 1, 1], 2 * g) * 3.0) for g in group])
    home = np.full((N, TOWNS), 0.04 / (TOWNS - 1))
    home[np.arange(N), town] = 0.96
    parts = [counted("kind", mix, events, rng), counted("town", home, events, rng)]
    features = (Feature("events", "count", None, None, "number of events"), *parts[0][0], *parts[1][0])
    matrix = np.column_stack([events, parts[0][1], parts[1][1]]).astype(np.float32)
    of_group, of_town = rng.standard_normal((3, 40)), rng.standard_normal((TOWNS, 40))
    vectors = of_group[group] * 0.6 + of_town[town] * 1.2 + rng.standard_normal((N, 40)) * 0.15
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return group, town, Behaviour(features, matrix), unit.astype(np.float32)


def test_a_home_town_identifies_and_a_kind_of_purchase_describes() -> None:
    _, _, behaviour, _ = bank()
    found = identity_of(behaviour)
    assert found["town"] > 0.8
    assert found["kind"] < 0.3


@given(st.integers(0, 1000), st.integers(2, 8))
@settings(max_examples=15)
def test_customers_who_draw_from_one_mix_have_no_identity_however_few_their_events(seed: int, events: int) -> None:
    rng = np.random.default_rng(seed)
    features, shares = counted("f", np.tile(rng.dirichlet(np.full(8, 5.0)), (2000, 1)), np.full(2000, events), rng)
    count = Feature("events", "count", None, None, "number of events")
    behaviour = Behaviour((count, *features), np.column_stack([np.full(2000, events), shares]).astype(np.float32))
    assert identity_of(behaviour)["f"] < 0.05


def test_segments_follow_behaviour_though_towns_are_louder(tmp_path: Path) -> None:
    group, _, behaviour, vectors = bank()
    embeddings = write_embeddings(tmp_path / "e", "k", pl.Series(range(N)), vectors)
    quick = SegmentsConfig(epochs=80, stability_runs=1)
    seen = run(quick, embeddings, behaviour, tmp_path / "s")
    assert seen.manifest.figures["set_aside"] == ["town"]
    assert adjusted_rand_score(group, seen.labels) > 0.9
    assert not any("town" in profile.name.lower() for profile in seen.profiles)
    plain = run(quick.model_copy(update={"behaviours": False}), embeddings, behaviour, tmp_path / "p")
    assert plain.manifest.figures["set_aside"] == []
    assert adjusted_rand_score(group, plain.labels) < 0.5


def test_the_view_is_the_least_squares_prediction_in_its_principal_axes() -> None:
    _, _, behaviour, vectors = bank()
    view = view_of(vectors, behaviour, 0.4, seed=0)
    assert view is not None
    seen = view.space.of(vectors)
    kept = [i for i, f in enumerate(behaviour.features) if f.field != "town"]
    raw = behaviour.matrix[:, kept].astype(float)
    scaled = np.column_stack([np.log1p(raw[:, 0]), np.sqrt(raw[:, 1:])])
    scaled = (scaled - scaled.mean(axis=0)) / scaled.std(axis=0)
    centred = vectors - vectors.mean(axis=0, dtype=float)
    ridge = np.eye(40) * 1e-3 * np.trace(centred.T @ centred / N) / 40
    told = centred @ np.linalg.solve(centred.T @ centred / N + ridge, centred.T @ scaled / N)
    strength = np.linalg.svd(told, compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=0), strength[: seen.shape[1]], rtol=1e-3)
    between = np.linalg.norm(told[:50, None] - told[None, :50], axis=2)
    np.testing.assert_allclose(np.linalg.norm(seen[:50, None] - seen[None, :50], axis=2), between, atol=1e-3)


@pytest.mark.parametrize("kept", [0, 1])
def test_behaviours_that_do_not_differ_leave_the_vectors_as_they_are(kept: int) -> None:
    _, _, _, vectors = bank()
    features = tuple(Feature(f"c{i}", "count", None, None, "count") for i in range(kept))
    assert view_of(vectors, Behaviour(features, np.ones((N, kept), np.float32)), 0.4, 0) is None
