"""A retrained space is turned on to the one before it: comparable vectors, likeness unchanged, trained once."""

from pathlib import Path

import numpy as np
import polars as pl
from histories import events, prepared, tiny

import train.run
from eventlog.sequences import EventLog
from store.workspace import Workspace
from train.artifact import Model
from train.encoder import Parts
from train.rotation import comparable, neighbours_kept, rotation, vectors_of


def retrained(root: Path, **changes: object) -> tuple[Model, Model, EventLog, Workspace]:
    """A model of the first two months, and one of all three trained after it with another seed."""
    frame = events(customers=300)
    cut = frame["timestamp"].quantile(0.7)
    old_log, workspace = prepared(frame.filter(pl.col("timestamp") < cut), root)
    old = train.run.run(tiny(epochs=1), old_log, workspace)
    log, workspace = prepared(frame, root)
    return old, train.run.run(tiny(epochs=1, seed=9, **changes), log, workspace, previous=old), log, workspace


def test_a_rotation_is_found_and_changes_no_likeness() -> None:
    rng = np.random.default_rng(0)
    parts = Parts.of(48)
    old = rng.standard_normal((500, 48))
    old /= np.linalg.norm(old, axis=1, keepdims=True)
    turn = np.zeros((48, 48))
    inner = slice(0, parts.behaviour)
    turn[inner, inner] = np.linalg.qr(rng.standard_normal((parts.behaviour, parts.behaviour)))[0]
    start = parts.behaviour
    for size in (parts.level, parts.selected, parts.forecasts):
        order = rng.permutation(size)
        turn[start + np.arange(size), start + order] = rng.choice([-1, 1], size)
        start += size
    new = old @ turn
    found = rotation(new, old, parts)
    np.testing.assert_allclose(found @ found.T, np.eye(48), atol=1e-9)
    np.testing.assert_allclose(new @ found, old, atol=1e-9)


def test_neighbours_kept() -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((200, 8))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    assert neighbours_kept(a, a) == 1
    assert neighbours_kept(a, a @ np.linalg.qr(rng.standard_normal((8, 8)))[0]) == 1
    b = rng.standard_normal((200, 8))
    assert neighbours_kept(a, b / np.linalg.norm(b, axis=1, keepdims=True)) < 0.15
    assert neighbours_kept(a[:4], a[:4]) == 1


def test_retraining_comes_out_near_the_previous_space(tmp_path: Path) -> None:
    old, new, log, _workspace = retrained(tmp_path)
    figures = new.manifest.figures
    assert figures["rotated_onto"] == old.key
    assert figures["cosine"] > figures["cosine_before"] + 0.1
    assert 0.3 < figures["neighbours_kept"] <= 1
    everyone = np.arange(log.n_customers)
    alone = train.run.run(tiny(epochs=1, seed=9), log, Workspace.create(tmp_path / "alone"))
    turned, plain = vectors_of(new.encoder, log, everyone), vectors_of(alone.encoder, log, everyone)
    np.testing.assert_allclose(turned @ turned.T, plain @ plain.T, atol=1e-4)
    assert np.abs(turned - plain).max() > 0.1


def test_the_same_settings_and_log_are_trained_once(tmp_path: Path) -> None:
    old, new, log, workspace = retrained(tmp_path)
    assert new.key != train.run.model_key(tiny(epochs=1, seed=9), log)
    for previous in (None, old, new):
        assert train.run.run(tiny(epochs=1, seed=9), log, workspace, previous=previous).key == new.key


def test_a_space_of_other_fields_or_width_stays_as_it_is(tmp_path: Path) -> None:
    old, new, log, _workspace = retrained(tmp_path, width=48)
    assert "rotated_onto" not in new.manifest.figures
    assert not comparable(old, log, Parts.of(48))
    assert comparable(old, log, Parts.of(old.width))
