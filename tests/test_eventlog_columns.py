"""Single values brought to the log's types, and the sort that everything rests on."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eventlog.columns import category_text, encode, identity, missing, numbers_of, times_of
from eventlog.identical import fingerprints
from eventlog.order import stable_order


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2017-01-01", "2017-01-01T00:00"),
        (" 2017-01-01 ", "2017-01-01T00:00"),
        ("2017-01-01 10:05", "2017-01-01T10:05"),
        ("2017-01-01 10:05:06", "2017-01-01T10:05:06"),
        ("2017-01-01T10:05:06.7", "2017-01-01T10:05:06.700000"),
        ("2017-01-01 10:05:06.123456789", "2017-01-01T10:05:06.123456"),
        ("2017-01-01T10:05:06Z", "2017-01-01T10:05:06"),
        ("2017-01-01T10:05+01:00", "2017-01-01T09:05"),
        ("2017-01-01 10:05:06-0530", "2017-01-01T15:35:06"),
        ("2017-01-01T00:00:00+02", "2016-12-31T22:00"),
        ("1901-12-31", "1901-12-31T00:00"),
    ],
)
def test_iso_times_are_read_alone_and_among_others(text: str, wanted: str) -> None:
    moment = np.datetime64(wanted, "us").astype(np.int64)
    for among in ([text], ["2020-02-02 02:02:02", text, None, "", "soon"]):
        times, bad = times_of(pa.array(among, pa.string()), None)
        place = among.index(text)
        assert times[place] == moment
        assert bad.tolist() == [value == "soon" for value in among]


@pytest.mark.parametrize("text", ["20170101", "01/02/2017", "2017-02-30", "2017-01-01 25:00:00", "12", "2017", "now"])
def test_what_is_no_iso_time_is_bad(text: str) -> None:
    assert times_of(pa.array([text]), None)[1].all()


@pytest.mark.parametrize(
    ("array", "unit", "wanted"),
    [
        (pa.array([1_500_000_000], pa.timestamp("s")), None, 1_500_000_000_000_000),
        (pa.array([1_500_000_000_123_456_789], pa.timestamp("ns")), None, 1_500_000_000_123_456),
        (pa.array([-1], pa.timestamp("ns")), None, -1),
        (pa.array([17_000], pa.date32()), None, 17_000 * 86_400_000_000),
        (pa.array([1_500_000_000_123], pa.int64()), "ms", 1_500_000_000_123_000),
        (pa.array([1_500_000_000], pa.uint32()), "s", 1_500_000_000_000_000),
        (pa.array(["1500000000"]), "s", 1_500_000_000_000_000),
        (pa.array(["2020-01-01"]).dictionary_encode(), None, 1_577_836_800_000_000),
        (pa.array([1_500_000_000_000_000], pa.timestamp("us", "Asia/Tokyo")), None, 1_500_000_000_000_000),
    ],
)
def test_times_of_other_kinds(array: pa.Array, unit: str | None, wanted: int) -> None:
    times, bad = times_of(array, unit)
    assert (times.tolist(), bad.tolist()) == ([wanted], [False])


def test_times_beyond_the_calendar_and_text_that_is_no_count_are_bad() -> None:
    assert times_of(pa.array([2**62], pa.timestamp("s")), None)[1].all()
    assert times_of(pa.array([2**62]), "ms")[1].all()
    assert times_of(pa.array(["1.5", "x"]), "s")[1].all()


def test_categories_are_text_and_whole_numbers_have_no_fraction() -> None:
    def text(values: pa.Array) -> list[Any]:
        return list(category_text(values).to_pylist())

    assert text(pa.array([3.0, 2.5, float("nan"), None, -0.0])) == ["3", "2.5", None, None, "0"]
    assert text(pa.array([3, None])) == ["3", None]
    assert text(pa.array([True, False])) == ["true", "false"]
    assert text(pa.array(["", " ", "a"])) == [None, " ", "a"]


def test_ids_are_whole_numbers_or_text() -> None:
    assert identity(pa.array([1.0, 2.5, None, float("inf")])).to_pylist() == [1, None, None, None]
    assert identity(pa.array([7, 2**63], pa.uint64())).to_pylist() == [7, None]
    assert identity(pa.array(["", "007"])).to_pylist() == [None, "007"]


def test_numbers_of_every_kind() -> None:
    values, bad = numbers_of(pa.array(["1.5", "", None, "1,5", "NaN", "-inf", "1e3"]))
    np.testing.assert_array_equal(values, [1.5, np.nan, np.nan, np.nan, np.nan, -np.inf, 1000])
    assert bad.tolist() == [False, False, False, True, False, False, False]
    assert numbers_of(pa.array([Decimal("1.25"), None]))[0][0] == 1.25
    assert numbers_of(pa.array([True, False]))[0].tolist() == [1, 0]
    assert numbers_of(pa.array([2**53 + 1]))[0][0] == 2.0**53


def test_missing_counts_nulls_wherever_they_hide() -> None:
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2]), pa.array(["a", None, ""]))
    assert missing(hidden).tolist() == [False, True, True, True]
    assert encode(hidden, category_text).cast(pa.string()).to_pylist() == ["a", None, None, None]


@given(arrays(np.int64, st.integers(0, 200), elements=st.one_of(st.integers(0, 5), st.integers(0, 2**62))))
def test_the_radix_sort_is_numpys_stable_sort(keys: np.ndarray) -> None:
    np.testing.assert_array_equal(stable_order(keys), np.argsort(keys, kind="stable"))


def test_fingerprints_tell_apart_what_differs_in_one_bit() -> None:
    events = np.zeros(
        513, np.dtype([("rank", "<i4"), ("time", "<i8"), ("codes", "<u2", (3,)), ("values", "<f4", (11,))])
    )
    bits = events.view(np.uint8).reshape(len(events), -1)
    for i in range(bits.shape[1] * 8):
        bits[i + 1, i // 8] = 1 << i % 8
    used = bits.shape[1] * 8 + 1
    assert len(np.unique(fingerprints(events[:used]))) == used
    assert len(np.unique(fingerprints(events[used:]))) <= 1
