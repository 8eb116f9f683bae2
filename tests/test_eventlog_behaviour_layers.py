"""Behaviours in layers are indexed like flat ones, link what did not change, and become plain again in time."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ArtifactError
from eventlog.behaviour import Behaviour, Feature, load_behaviour, write_behaviour
from eventlog.behaviour_layers import LayeredMatrix
from eventlog.behaviour_refresh import Refreshed
from eventlog.sequences import DAY
from store.artifact import read_manifest
from store.digests import sha256

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("events", "first_event_days", "last_event_days", "share")
FEATURES = tuple(Feature(name, "count", None, None, name) for name in NAMES)


class Log:
    """As much of a log as refreshing looks at: one event a customer, on the day of their number."""

    def __init__(self, n: int, end: int) -> None:
        self.n_customers, self.end = n, end * DAY
        self.offsets, self.time = np.arange(n + 1), np.arange(n) * DAY


def night(before: Behaviour, n: int, end: int, made: list[int], value: float) -> Refreshed:
    """Customers `made`, and those from the earlier ones' number up to `n`, have rows of `value`."""
    row = np.where(np.arange(n) < len(before.matrix), np.arange(n), -1)
    anew = np.array(sorted({*made, *np.flatnonzero(row < 0).tolist()}), np.int64)
    fresh = np.full((len(anew), 4), value, np.float32)
    fresh[:, 1:3] = (end - anew)[:, None]
    return Refreshed(FEATURES, Log(n, end), before, row, anew, fresh)  # type: ignore[arg-type]


@pytest.fixture
def bottom(tmp_path: Path) -> Behaviour:
    matrix = np.random.default_rng(1).random((20, 4)).astype(np.float32)
    matrix[:, 1:3] = (30 - np.arange(20))[:, None]
    return write_behaviour(Behaviour(FEATURES, matrix), "bottom", tmp_path / "bottom", {})


def layered(before: Behaviour, folder: Path, *asked: Any) -> tuple[Behaviour, np.ndarray]:
    """A night's behaviours as written, and as plain numbers."""
    from eventlog.behaviour import write_refreshed

    made = night(before, *asked)
    return write_refreshed(made, folder.name, folder, {}), np.asarray(made.whole().matrix)


def test_nights_in_layers_have_the_numbers_of_plain_ones_and_copy_nothing(bottom: Behaviour, tmp_path: Path) -> None:
    first, plain = layered(bottom, tmp_path / "first", 21, 31, [3, 4], 0.5)
    second, again = layered(first, tmp_path / "second", 22, 33, [4, 7], 0.25)
    for made, wanted in ((first, plain), (second, again)):
        assert isinstance(made.matrix, LayeredMatrix)
        assert np.asarray(made.matrix).tobytes() == wanted.tobytes()
    assert np.asarray(second.matrix)[:, 1].tolist() == (33 - np.arange(22)).tolist()
    numbers = [(tmp_path / name).stat().st_ino for name in ("bottom/matrix.npy", "second/layer-00.npy")]
    numbers += [(tmp_path / name).stat().st_ino for name in ("first/layer-01.npy", "second/layer-01.npy")]
    assert numbers[0] == numbers[1]
    assert numbers[2] == numbers[3]
    for made in (first, second):
        assert made.folder is not None
        files = read_manifest(made.folder).files
        assert {name: told["sha256"] for name, told in files.items()} == {
            name: sha256(made.folder / name) for name in files
        }
        load_behaviour(made.folder)


def test_thick_or_many_layers_and_customers_who_are_gone_make_a_plain_matrix(
    bottom: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thick, wanted = layered(bottom, tmp_path / "thick", 20, 31, list(range(11)), 0.5)
    assert isinstance(thick.matrix, np.ndarray)
    assert thick.matrix.tobytes() == wanted.tobytes()
    gone = night(bottom, 20, 31, [3], 0.5)
    gone.row[5], gone.row[6:] = -1, np.arange(6, 20)
    assert gone.layered() is None
    monkeypatch.setattr("eventlog.behaviour_refresh.MOST_LAYERS", 1)
    first, _ = layered(bottom, tmp_path / "first", 20, 31, [3], 0.5)
    second, again = layered(first, tmp_path / "second", 20, 32, [4], 0.25)
    assert isinstance(first.matrix, LayeredMatrix)
    assert isinstance(second.matrix, np.ndarray)
    assert second.matrix.tobytes() == again.tobytes()
    assert [path.name for path in sorted((tmp_path / "second").glob("*.npy"))] == ["matrix.npy"]


def test_a_disk_without_links_gets_a_copy(bottom: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", refused)
    first, plain = layered(bottom, tmp_path / "first", 21, 31, [3, 4], 0.5)
    assert np.asarray(first.matrix).tobytes() == plain.tobytes()
    assert (tmp_path / "first" / "layer-00.npy").stat().st_nlink == 1
    load_behaviour(tmp_path / "first")


def test_what_does_not_fit_is_refused(bottom: Behaviour, tmp_path: Path) -> None:
    first, _ = layered(bottom, tmp_path / "first", 21, 31, [3, 4], 0.5)
    matrix = first.matrix
    assert isinstance(matrix, LayeredMatrix)
    for rows, moments, since in (
        (matrix.rows + 5, matrix.moments, (1, 2)),
        (matrix.rows, matrix.moments[1:], (1, 2)),
        (matrix.rows, matrix.moments, (1, 4)),
    ):
        with pytest.raises(ValueError, match="layers"):
            LayeredMatrix(matrix.layers, rows, moments, 0, since)
    damaged = tmp_path / "first" / "layer-00.npy"
    raw = bytearray(damaged.read_bytes())
    raw[-1] ^= 1
    damaged.write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"layer-00\.npy"):
        load_behaviour(tmp_path / "first")


INDEX = st.one_of(
    st.integers(-22, 21),
    st.slices(22),
    st.lists(st.integers(-22, 21), max_size=40).map(lambda rows: np.array(rows, np.int64)),
    st.lists(st.booleans(), min_size=22, max_size=22).map(np.array),
    st.tuples(st.lists(st.integers(0, 21)).map(lambda rows: np.array(rows, np.int64)), st.integers(-4, 3)),
    st.tuples(st.lists(st.integers(0, 21)).map(lambda rows: np.array(rows, np.int64)), st.slices(4)),
    st.tuples(st.slices(22), st.lists(st.integers(0, 3)).map(lambda columns: np.array(columns, np.int64))),
    st.tuples(st.integers(0, 21), st.slices(4)),
    st.tuples(st.integers(0, 21), st.integers(0, 3)),
)


@given(asked=INDEX)
def test_they_are_indexed_like_flat_ones(asked: Any) -> None:
    random = np.random.default_rng(2)
    layers = [random.random((m, 4)).astype(np.float32) for m in (20, 3, 0, 5)]
    rows, moments = random.permutation(28)[:22], random.integers(0, 30 * DAY, (22, 2))
    matrix = LayeredMatrix(layers, rows, moments, 30 * DAY, (1, 2))
    flat = np.concatenate(layers)[rows]
    flat[:, 1:3] = (30 * DAY - moments) / DAY
    assert np.array_equal(np.asarray(matrix), flat)
    found = matrix[asked]
    assert found.shape == flat[asked].shape
    assert found.dtype == np.float32
    assert np.array_equal(found, flat[asked])


def test_rows_and_columns_that_numpy_would_pair_are_refused(bottom: Behaviour, tmp_path: Path) -> None:
    first, _ = layered(bottom, tmp_path / "first", 21, 31, [3, 4], 0.5)
    with pytest.raises(IndexError, match="rows first"):
        first.matrix[np.array([1, 2]), np.array([1, 2])]


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("behaviour-v*.json")))
def test_golden_ones_are_read(name: str) -> None:
    facts = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    read = load_behaviour(GOLDEN / name)
    assert [feature.name for feature in read.features] == facts["features"]
    assert np.array_equal(np.asarray(read.matrix), np.array(facts["matrix"], np.float32))
