"""Event ids as numbers: the same for good, whatever type they come in, and found again among sorted ones."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import duplicates
from eventlog.duplicates import merged_ids
from eventlog.event_ids import PIECE_BYTES, SEEDS, find, hashes

MASK = (1 << 64) - 1


def plainly(text: str) -> tuple[int, int]:
    """The hash of a text by the definition, one byte at a time."""

    def mixed(seed: int, entry: int) -> int:
        z = (seed + (entry + 1) * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    first, second = (sum(mixed(seed, 256 * i + b) for i, b in enumerate(text.encode())) & MASK for seed in SEEDS)
    return first, second


def test_hashes_stay_what_they_are_for_good() -> None:
    """Logs of earlier versions hold them: mend the code, never these numbers."""
    found = hashes(pa.array(["", "a", "T-000017", "Überweisung 4711", "7", "-3", "007", "+7"]))
    assert found.tolist() == [
        [0, 0],
        [489080851458277635, 63114593097298579],
        [14025821261022479379, 9557850556534463563],
        [12824701141421169711, 517752220750118097],
        [7, 0],
        [2**64 - 3, 0],
        list(plainly("007")),
        list(plainly("+7")),
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=8))
def test_texts_are_hashed_by_the_definition(texts: list[str]) -> None:
    lettered = [f"x{text}" for text in texts]
    assert hashes(pa.array(lettered, pa.string())).tolist() == [list(plainly(text)) for text in lettered]


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-20, 20)), max_size=20))
def test_numbers_are_the_same_as_text_and_as_numbers(numbers: list[int]) -> None:
    as_numbers = hashes(pa.array(numbers, pa.int64()))
    np.testing.assert_array_equal(as_numbers, hashes(pa.array([str(number) for number in numbers], pa.large_string())))
    small = [i for i, number in enumerate(numbers) if abs(number) < 10**18]
    assert as_numbers[small, 0].view(np.int64).tolist() == [numbers[i] for i in small]
    assert not as_numbers[small, 1].any()


def test_long_columns_are_hashed_in_pieces_and_dictionaries_as_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"id {i} {'x' * (i % 50)}" for i in range(3000)]
    wanted = hashes(pa.array(texts))
    assert len(np.unique(wanted, axis=0)) == len(texts)
    assert sum(map(len, texts)) < PIECE_BYTES
    monkeypatch.setattr("eventlog.event_ids.PIECE_BYTES", 60)
    np.testing.assert_array_equal(hashes(pa.array(texts)), wanted)
    np.testing.assert_array_equal(hashes(pa.array(texts).dictionary_encode()), wanted)
    np.testing.assert_array_equal(hashes(pa.array(texts).slice(1000, 70)), wanted[1000:1070])
    np.testing.assert_array_equal(hashes(pa.array([2**64 - 1], pa.uint64())), [plainly(str(2**64 - 1))])


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40)


def as_ids(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, np.uint64).reshape(-1, 2)


@given(PAIRS, PAIRS)
def test_ids_are_found_among_sorted_ones(known: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    known = sorted(set(known))
    assert find(as_ids(known), as_ids(wanted)).tolist() == [pair in known for pair in wanted]


@pytest.mark.parametrize("sampled", [1, 3, 1024])
@given(parts=st.lists(PAIRS, max_size=4))
def test_sorted_ids_are_merged_range_by_range(sampled: int, parts: list[list[tuple[int, int]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "SAMPLED", sampled)
        patch.setattr(duplicates, "RANGE_SAMPLES", 2)
        made = [as_ids(sorted(part)) for part in parts]
        merged = [tuple(pair) for batch in merged_ids(made) for pair in batch.tolist()]
    assert merged == sorted(pair for part in parts for pair in part)
