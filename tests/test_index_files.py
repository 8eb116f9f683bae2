"""Lists of ids that users bring, and tables that spreadsheets open."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import InputError
from index.files import escaped, ids_of_csv, read_ids, write_table
from serve.uploads import of_csv


@pytest.mark.parametrize(
    "content",
    [
        b"customer_id\n1\n007\nx y\n",
        b"\xef\xbb\xbfcustomer_id\r\n1\r\n007\r\nx y\r\n",
        b'name,customer_id\n"a,\nb",1\nb, 007\n,\n\nc,x y \n',
        b"name;customer_id;n\na;1;1\nb;007;2\nc;x y;3",
        b"customer_id\tn\n1\t2\n007\t2\nx y\t1\n",
    ],
)
def test_ids_are_found_whatever_wrote_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(content)
    assert tuple(id.strip() for id in read_ids(path)) == ("1", "007", "x y")


def test_ids_that_are_filled_up_with_spaces_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(b"name,customer_id\nx,c021   \ny,   \nz,7\n")
    assert read_ids(path) == ("c021   ", "7")


def test_ids_of_parquet_keep_their_type(tmp_path: Path) -> None:
    pl.DataFrame({"customer_id": [3, None, 1]}).write_parquet(tmp_path / "i.parquet")
    pl.DataFrame({"customer_id": ["b", "a"]}).write_parquet(tmp_path / "t.parquet")
    assert read_ids(tmp_path / "i.parquet") == (3, 1)
    assert read_ids(tmp_path / "t.parquet") == ("b", "a")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "seeds.csv: the file is empty; accepted is UTF-8 CSV"),
        (b" \n\n", "the file is empty"),
        (b"customer_id\n", "column customer_id holds no ids"),
        (b"customer_id,n\n,1\n,2\n", "holds no ids"),
        (b"customer,n\n1,2\n", "line 1: no column customer_id among customer, n"),
        (b"customer_id,customer_id\n1,2\n", "several columns customer_id"),
        ("customer_id,name\n1,a\n2,Zo\u00eb\n".encode("latin-1"), "line 3, column 5: byte 0xeb is not UTF-8"),
        ("customer_id\n1\n".encode("utf-16"), "encoded as UTF-16"),
        ("customer_id\n1\n".encode("utf-32"), "encoded as UTF-32"),
        (b"customer_id\n1\n\x00\x01\n", "line 3: holds a zero byte"),
        (b'customer_id\n1\n"2\n', "line 3: not valid CSV"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_ids(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_not_lists(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_ids(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_ids(tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_ids(tmp_path / "broken.parquet")
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="no column customer_id among id"):
        read_ids(tmp_path / "other.parquet")
    pl.DataFrame({"customer_id": [1.5]}).write_parquet(tmp_path / "float.parquet")
    with pytest.raises(InputError, match="Float64"):
        read_ids(tmp_path / "float.parquet")


def test_a_long_list_is_read_in_no_time() -> None:
    content = b"n,customer_id\n" + b"".join(b"a,%d\n" % i for i in range(300_000))
    assert len(ids_of_csv(content, "upload")) == 300_000


NASTY = ["=1+1", "+1", "-2", "@SUM(A1)", "\tx", "'=1", "''@x", "'plain", "a=b", "=cmd|' /C calc'!A0", "O'Neil", "-"]


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    table = pl.DataFrame({"customer_id": NASTY, "score": [-0.5] * len(NASTY)})
    write_table(table, tmp_path / "audience.csv", ".csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "audience.csv").read_text(encoding="utf-8"), newline="")))
    assert all(row["customer_id"][0] not in "=+-@\t\r" for row in rows)
    assert {row["score"] for row in rows} == {"-0.5"}, "numbers are no formulas and stay numbers"
    assert read_ids(tmp_path / "audience.csv") == tuple(NASTY)
    write_table(table, tmp_path / "audience.parquet", ".parquet")
    assert pl.read_parquet(tmp_path / "audience.parquet").equals(table)


@given(
    st.lists(st.text(alphabet="'=+-@a\"\n,;1 ", min_size=1).filter(lambda t: t.strip() == t), min_size=1, max_size=8)
)
def test_any_text_id_comes_back_from_an_exported_file(ids: list[str]) -> None:
    body = escaped(pl.DataFrame({"customer_id": ids})).write_csv().encode()
    assert list(ids_of_csv(body, "x")) == ids


@given(
    st.lists(st.lists(st.text("a7 é'=-0x", max_size=3), max_size=4), max_size=6),
    st.sampled_from([["customer_id"], ["customer_id", "b"], ["b", "customer_id", "c"]]),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r\n\r\n"]),
)
def test_plain_and_quoted_lists_are_read_alike(
    rows: list[list[str]], header: list[str], delimiter: str, line_end: str, end: str
) -> None:
    """Plain ones, which may be long, take a way of their own."""
    plain = line_end.join(delimiter.join(cells) for cells in [header, *rows]) + end
    quoted = plain.replace("customer_id", '"customer_id"', 1)  # Python's csv reader takes this one

    def read(text: str) -> tuple[str, ...] | None:
        try:
            return ids_of_csv(text.encode(), "x")
        except InputError:
            return None

    assert read(plain) == read(quoted)


def test_a_file_that_we_wrote_is_taken_as_it_was_by_everything_that_reads_lists(tmp_path: Path) -> None:
    """An apostrophe before a formula is undone in lists of seeds and of those left out, and in every attribute."""
    table = pl.DataFrame({"customer_id": NASTY, "region": NASTY[::-1]})
    write_table(table, tmp_path / "members.csv", ".csv")
    body = (tmp_path / "members.csv").read_bytes()
    asked = of_csv({"seeds": body, "suppress": body, "attributes": body}, [("size", "100")])
    assert asked.request.seeds == asked.request.suppress == tuple(NASTY)
    assert read_ids(tmp_path / "members.csv") == tuple(NASTY)
    attributes = asked.attributes
    assert attributes is not None
    assert attributes["customer_id"].to_list() == NASTY
    assert attributes["region"].to_list() == NASTY[::-1]
