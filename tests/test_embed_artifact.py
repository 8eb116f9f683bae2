"""Embeddings on disk: mapped without a copy, checked, and found again by id."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from embedded import histories, write_embeddings
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ArtifactError
from embed.artifact import HIDDEN, HISTORIES, STATES, VECTORS, Embeddings, Room, States, create_embeddings


def unit(n: int, d: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def every_state(n: int, s: int) -> States:
    return States(np.arange(n), np.arange(n * s, dtype=np.float32).reshape(n, s))


def written(folder: Path, customers: pl.Series, d: int = 16, s: int = 5) -> Embeddings:
    n = len(customers)
    parents = {"model": "m", "eventlog": "e"}
    return write_embeddings(folder, "k" * 16, customers, unit(n, d), every_state(n, s), parents)


@pytest.mark.parametrize("ids", [[-3, 1, 5, 2**40], ["", "a", "b c", "ü"]])
def test_what_is_written_comes_back(tmp_path: Path, ids: list[int] | list[str]) -> None:
    customers = pl.Series("anything", ids)
    written(tmp_path / "embeddings", customers)
    back = Embeddings.load(tmp_path / "embeddings")
    assert back.customers.to_list() == ids
    assert back.customers.dtype == customers.dtype
    np.testing.assert_array_equal(back.vectors, unit(4, 16))
    np.testing.assert_array_equal(back.states.matrix, np.arange(20, dtype=np.float32).reshape(4, 5))
    assert back.histories is not None
    for name, column in vars(histories(4)).items():
        np.testing.assert_array_equal(getattr(back.histories, name), column)
    assert (back.key, back.n_customers, back.width) == ("k" * 16, 4, 16)
    assert back.manifest.parents == {"model": "m", "eventlog": "e"}


def test_vectors_are_a_read_only_map_and_cost_no_memory(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    back = written(tmp_path / "embeddings", pl.Series(range(20_000), dtype=pl.Int64))
    assert pa.total_allocated_bytes() - before < back.vectors.nbytes / 4
    for matrix in (back.vectors, back.states.matrix):
        assert matrix.flags.c_contiguous
        assert not matrix.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 1.0


def test_any_arrow_reader_opens_it(tmp_path: Path) -> None:
    back = written(tmp_path / "embeddings", pl.Series([1, 2, 3]))
    frame = pl.read_ipc(tmp_path / "embeddings" / VECTORS)
    assert frame.columns == ["customer_id", "vector"]
    times = pl.read_ipc(tmp_path / "embeddings" / HISTORIES)
    assert times.schema["last"] == pl.Datetime("us", "UTC")
    assert times["events"].to_list() == [1, 2, 3]
    assert pl.read_ipc(tmp_path / "embeddings" / STATES)["row"].to_list() == [0, 1, 2]
    np.testing.assert_array_equal(frame["vector"].to_numpy(), back.vectors)


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, pl.Series(["x", "y"]))
    for file in (VECTORS, HISTORIES, STATES, HIDDEN, "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("file", [VECTORS, HISTORIES, STATES, HIDDEN])
def test_a_flipped_bit_is_refused_and_the_file_named(tmp_path: Path, file: str) -> None:
    written(tmp_path / "embeddings", pl.Series([1, 2, 3]))
    path = tmp_path / "embeddings" / file
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(ArtifactError, match=file):
        Embeddings.load(tmp_path / "embeddings")


@pytest.mark.parametrize("file", [VECTORS, HISTORIES, STATES, HIDDEN])
def test_a_truncated_file_is_refused_even_without_checksums(tmp_path: Path, file: str) -> None:
    written(tmp_path / "embeddings", pl.Series([1, 2, 3]))
    path = tmp_path / "embeddings" / file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ArtifactError, match=file):
        Embeddings.load(tmp_path / "embeddings", deep=False)


@given(ids=st.sets(st.integers(-(2**62), 2**62), min_size=1, max_size=40), asked=st.lists(st.integers(-(2**62), 2**62)))
def test_rows_of_integers_against_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, ids: set[int], asked: list[int]
) -> None:
    back = written(tmp_path_factory.mktemp("e") / "embeddings", pl.Series(sorted(ids), dtype=pl.Int64), 2, 1)
    truth = {customer: row for row, customer in enumerate(sorted(ids))}
    asked = asked + sorted(ids)[:3]
    expected = [truth.get(customer, -1) for customer in asked]
    assert back.rows_of(pl.Series(asked, dtype=pl.Int64)).tolist() == expected
    assert back.rows_of(pl.Series([str(c) for c in asked], dtype=pl.String)).tolist() == expected
    assert [back.row_of(c) for c in asked] == [None if row < 0 else row for row in expected]


@given(ids=st.sets(st.text(max_size=4), min_size=1, max_size=40), asked=st.lists(st.text(max_size=4)))
def test_rows_of_texts_against_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, ids: set[str], asked: list[str]
) -> None:
    customers = pl.Series(list(ids), dtype=pl.String).sort()
    back = written(tmp_path_factory.mktemp("e") / "embeddings", customers, 2, 1)
    truth = {customer: row for row, customer in enumerate(customers)}
    asked = asked + list(ids)[:3]
    expected = [truth.get(c, truth.get(c.strip(" "), -1)) for c in asked]
    assert back.rows_of(pl.Series(asked, dtype=pl.String)).tolist() == expected
    assert [back.row_of(c) for c in asked] == [None if row < 0 else row for row in expected]


def test_ids_that_are_filled_up_with_spaces_are_found_as_they_are(tmp_path: Path) -> None:
    texts = written(tmp_path / "t", pl.Series(["a", "a  ", "b", "c "]))
    assert texts.rows_of(pl.Series(["a", "a  ", " a", " b", "c ", "c"])).tolist() == [0, 1, 0, 2, 3, -1]


def test_ids_of_the_other_type(tmp_path: Path) -> None:
    integers = written(tmp_path / "i", pl.Series([1, 2, 30]))
    asked = pl.Series([" 30", "2.0", "two", "", None, "9" * 25, "1"])
    assert integers.rows_of(asked).tolist() == [2, -1, -1, -1, -1, -1, 0]
    assert integers.row_of("30") == 2
    texts = written(tmp_path / "t", pl.Series(["1", "30", "a"]))
    assert texts.rows_of(pl.Series([30, 2, 1])).tolist() == [1, -1, 0]
    assert texts.row_of(30) == 1
    assert texts.rows_of(pl.Series([], dtype=pl.String)).tolist() == []


@pytest.mark.parametrize("kept", [[], [0, 3], [2]])
def test_states_of_some_customers_alone(tmp_path: Path, kept: list[int]) -> None:
    rows = np.array(kept, np.int64)
    states = States(rows, np.arange(len(rows) * 5, dtype=np.float32).reshape(-1, 5))
    write_embeddings(tmp_path / "embeddings", "k", pl.Series([1, 2, 3, 4]), unit(4, 16), states)
    back = Embeddings.load(tmp_path / "embeddings").states
    np.testing.assert_array_equal(back.matrix, states.matrix)
    assert back.places(np.arange(-1, 5)).tolist() == [kept.index(row) if row in kept else -1 for row in range(-1, 5)]


@pytest.mark.parametrize("kept", [[], [1, 3], [0, 1, 2, 3]])
def test_hidden_states_of_who_has_no_state(tmp_path: Path, kept: list[int]) -> None:
    rows = np.array(kept, np.int64)
    hidden = States(rows, np.arange(len(rows) * 3, dtype=np.float32).reshape(-1, 3))
    write_embeddings(tmp_path / "embeddings", "k", pl.Series([1, 2, 3, 4]), unit(4, 16), hidden=hidden)
    back = Embeddings.load(tmp_path / "embeddings")
    np.testing.assert_array_equal(back.hidden.rows, rows)
    np.testing.assert_array_equal(back.hidden.matrix, hidden.matrix)
    assert len(back.states.rows) == 0
    counts = back.manifest.counts
    assert (counts["hidden"], counts["hidden_width"]) == (len(rows), 3)


def test_both_a_state_and_a_hidden_state_are_not_written(tmp_path: Path) -> None:
    told, some = histories(3), Room(np.array([0, 1]), 2)
    with (
        pytest.raises(ValueError, match="of different customers"),
        create_embeddings(tmp_path / "e", "k", pl.Series([1, 2, 3]), told, 4, some, Room(np.array([1, 2]), 2)),
    ):
        pytest.fail("nothing should be filled in")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("customers", "words"),
    [
        (pl.Series([2, 1]), "ascending"),
        (pl.Series([1, 1]), "unique"),
        (pl.Series([1, None]), "nulls"),
        (pl.Series([], dtype=pl.Int64), "no customers"),
        (pl.Series([1.0, 2.0]), "Int64 or String"),
        (pl.Series([1, 2, 3]), "histories must be"),
    ],
)
def test_customers_that_break_the_contract_are_not_written(tmp_path: Path, customers: pl.Series, words: str) -> None:
    told = histories(2 if len(customers) else 0)
    with (
        pytest.raises(ValueError, match=words),
        create_embeddings(tmp_path / "e", "k", customers, told, 4),
    ):
        pytest.fail("nothing should be filled in")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [[1, 0], [0, 0], [0, 2], [-1, 0], [0.0, 1.0]])
def test_states_of_no_customer_are_not_written(tmp_path: Path, rows: list[int]) -> None:
    states = States(np.array(rows), np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="rows of states"):
        write_embeddings(tmp_path / "e", "k", pl.Series([1, 2]), unit(2, 4), states)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("vectors", "states", "words"),
    [
        (unit(2, 4) * 2, 0.0, "unit length"),
        (unit(2, 4) * np.float32(np.nan), 0.0, "unit length"),
        (unit(2, 4) * 0, 0.0, "unit length"),
        (unit(2, 4), np.inf, "not finite"),
    ],
)
def test_values_that_break_the_contract_are_not_written(
    tmp_path: Path, vectors: np.ndarray, states: float, words: str
) -> None:
    carried = States(np.arange(2), np.full((2, 1), states, np.float32))
    for kind in ("states", "hidden"):
        with pytest.raises(ValueError, match=words):
            write_embeddings(tmp_path / "e", "k", pl.Series([1, 2]), vectors, **{kind: carried})
    assert list(tmp_path.iterdir()) == []
