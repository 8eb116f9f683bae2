"""Gates: figures beside limits, what can be accepted, and how far vectors went."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.errors import InputError
from embed.artifact import Embeddings, Histories, create_embeddings
from embed.customers import changes
from serve.night_config import GatesConfig
from serve.night_drift import facts_of
from serve.night_facts import usual_volume
from serve.night_gates import BINDING, OF_EVENTS, OF_RETRAINING, WORDS, check_accepted, failed, gates_of, told

GOOD = {
    "counts": 0.0,
    "finite": 0.0,
    "norms": 1e-7,
    "volume": 0.9,
    "quarantined": 0.0,
    "absent": 0.01,
    "unseen": 0.02,
    "field_drift": 0.1,
    "vector_drift": 0.01,
    "recall": 0.99,
    "unassigned": 0.1,
    "stability": 0.9,
    "moved": 0.02,
    "segments_kept": 1.0,
    "neighbours_kept": 0.9,
}
BAD = {
    name: -0.5 if name in ("volume", "recall", "stability", "segments_kept", "neighbours_kept") else 99.0
    for name in GOOD
}


def test_every_gate_has_words_and_a_limit_in_the_recipe() -> None:
    assert set(WORDS) == {*BINDING, *GatesConfig.model_fields}
    assert set(GOOD) == set(WORDS)


def test_good_figures_pass_and_each_bad_one_is_the_one_that_fails() -> None:
    limits = GatesConfig()
    for kind, left_out in (("night", OF_RETRAINING), ("retrain", OF_EVENTS)):
        gates = gates_of(kind, limits, GOOD, ())  # type: ignore[arg-type]
        assert not failed(gates)
        assert [gate.name for gate in gates] == [name for name in WORDS if name not in left_out]
        for name in (gate.name for gate in gates):
            faults = failed(gates_of(kind, limits, GOOD | {name: BAD[name]}, ()))  # type: ignore[arg-type]
            assert [gate.name for gate in faults] == [name]
            assert told(faults[0]).startswith(f"{name} is ")


def test_a_limit_itself_passes_and_what_lies_beyond_does_not() -> None:
    limits = GatesConfig(moved=0.25, recall=0.5)
    for figure, passes in ((0.25, True), (0.2500001, False)):
        assert (not failed(gates_of("night", limits, GOOD | {"moved": figure}, ()))) == passes
    for figure, passes in ((0.5, True), (0.4999999, False)):
        assert (not failed(gates_of("night", limits, GOOD | {"recall": figure}, ()))) == passes


def test_what_has_nothing_to_judge_passes_and_nan_does_not() -> None:
    limits = GatesConfig()
    assert not failed(gates_of("night", limits, GOOD | {"volume": None}, ()))
    assert failed(gates_of("night", limits, GOOD | {"vector_drift": float("nan")}, ()))


def test_an_accepted_gate_passes_but_is_told_as_not_met() -> None:
    gates = gates_of("night", GatesConfig(), GOOD | {"moved": 0.5, "volume": 0.0}, ("moved",))
    assert [gate.name for gate in failed(gates)] == ["volume"]
    moved = next(gate for gate in gates if gate.name == "moved")
    assert moved.passed
    assert not moved.met


@pytest.mark.parametrize("name", [*BINDING, "no_such", "Moved"])
def test_what_cannot_be_accepted_is_refused_with_what_can(name: str) -> None:
    with pytest.raises(InputError, match=f"--accept {name}: .*accepted: volume, quarantined"):
        check_accepted(["moved", name])


def test_the_usual_volume_is_a_median_and_needs_three_nights() -> None:
    assert usual_volume((5.0, 7.0)) is None
    assert usual_volume((5.0, 100.0, 7.0)) == 7.0
    assert usual_volume((1.0, 3.0, 5.0, 100.0)) == 4.0


def embeddings(folder: Path, ids: list[int], vectors: np.ndarray) -> Embeddings:
    count = np.ones(len(ids), np.int64)
    histories = Histories(count, count, count)
    with create_embeddings(folder, "k", pl.Series(ids), histories, vectors.shape[1]) as draft:
        draft.vectors[:] = vectors
    return Embeddings.load(folder)


def test_the_way_of_the_mean_vector_is_measured_beside_the_spread(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((4000, 16)) + 0.2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    was = vectors[:3000].astype(np.float32)
    turned = vectors.copy()
    turned[:300, 0] += 1.0
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    now = turned.astype(np.float32)
    before = embeddings(tmp_path / "before", list(range(0, 6000, 2)), was)
    ids = sorted([*range(0, 6000, 2), *range(1, 2000, 2)])
    rows = np.searchsorted(ids, np.arange(0, 6000, 2))
    mixed = np.empty((4000, 16), np.float32)
    mixed[rows] = now[:3000]
    mixed[np.setdiff1d(np.arange(4000), rows)] = now[3000:]
    after = embeddings(tmp_path / "after", ids, mixed)
    found = facts_of(before, after, changes(before, after))
    spread = np.sqrt(((was - was.mean(0)) ** 2).sum(1).mean())
    expected = np.linalg.norm(now[:3000].mean(0) - was.mean(0)) / spread
    cosine = 1 - (was[:300] * now[:300]).sum(1)
    assert found.not_finite == 0
    assert found.norm_error < 1e-6
    assert found.centre_shift == pytest.approx(expected, rel=1e-3)
    assert found.changed == 300
    assert found.changed_mean == pytest.approx(cosine.mean(), rel=1e-4)
    assert found.changed_p99 == pytest.approx(np.quantile(cosine, 0.99), rel=1e-4)


def test_vectors_of_another_width_have_no_way(tmp_path: Path) -> None:
    unit = np.zeros((3, 32), np.float32)
    unit[:, 0] = 1
    before = embeddings(tmp_path / "before", [1, 2, 3], unit[:, :16])
    after = embeddings(tmp_path / "after", [1, 2, 3], unit)
    found = facts_of(before, after, changes(before, after))
    assert (found.centre_shift, found.changed, found.not_finite) == (0.0, 0, 0)


def test_a_vector_that_is_not_finite_or_not_of_unit_length_is_found(tmp_path: Path) -> None:
    unit = np.zeros((5, 16), np.float32)
    unit[:, 0] = 1
    before = embeddings(tmp_path / "before", [1, 2, 3, 4, 5], unit)
    broken = unit.copy()
    broken[1] = np.nan
    broken[3] *= 1.25
    hurt = replace(before, vectors=broken)
    found = facts_of(before, hurt, changes(before, hurt))
    assert found.not_finite == 1
    assert found.norm_error == pytest.approx(0.25)
