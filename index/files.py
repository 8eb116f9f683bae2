"""Files that go in and out with an audience: lists of customer ids, tables of members and scores.

Spreadsheets run a text cell that begins with = + - or @ as a formula, so that a crafted customer id could act on
whoever opens the file. Such cells are written with an apostrophe before them and read back without it.
Parquet has no such cells and stays as it is.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from configs.errors import InputError
from index.request import CustomerId

COLUMN = "customer_id"
MOST_COLUMNS = 1_000
PARQUET = (".parquet", ".pq")
FORMULA = r"^('*[=+\-@\t\r])"
"""Text that a spreadsheet would run, with any apostrophes already before it."""
ESCAPED = r"^'('*[=+\-@\t\r])"
DELIMITERS = (",", ";", "\t")
OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
ACCEPTED = f"accepted is UTF-8 CSV with a header line and a column {COLUMN}"


def read_ids(path: Path) -> tuple[CustomerId, ...]:
    """The ids in column customer_id of a CSV or Parquet file, in their order; see `ids_of_csv`.

    Raises InputError where the file is missing, unreadable, empty or has no such column.
    """
    with _reading(path):
        if path.suffix.lower() in PARQUET:
            return tuple(_parquet(path)[COLUMN].to_list())
        return ids_of_csv(path.read_bytes(), str(path))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {ACCEPTED}, or a Parquet file with one") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {ACCEPTED}") from None


def ids_of_csv(content: bytes, where: str) -> tuple[str, ...]:
    """The ids in column customer_id of a CSV, with or without a byte order mark, separated by comma, semicolon or tab.

    They stay text ("007" is not 7 where ids are text); blank cells are left out. `where` names the file in errors.
    Raises InputError, with line and column where there is one: wrong encoding, not CSV, no such column, no ids.
    """
    text = _decoded(content, where)
    columns, delimiter = _header(text, where)
    at = columns.index(COLUMN)
    if '"' in text or text.count("\r") > text.count("\r\n"):
        _, rows = _rows_of_csv(content, where)
        ids = pl.Series([row[at] for row in rows if len(row) > at], dtype=pl.String)
    else:  # nothing is quoted, so that a list of millions need not go through Python row by row
        lines = pl.Series(text.split("\n")[1:], dtype=pl.String).str.strip_suffix("\r")
        ids = lines.str.split(delimiter).list.get(at, null_on_oob=True).drop_nulls()
    ids = ids.str.replace(ESCAPED, "$1")  # blanks stay: a database may know customers by ids that are filled up
    return tuple(str(customer) for customer in _some(ids.filter(ids.str.strip_chars() != ""), where))


def _rows_of_csv(content: bytes, where: str) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, customer_id once among them, and the rows below them, as they are."""
    text = _decoded(content, where)
    columns, delimiter = _header(text, where)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        return columns, [row for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{where}: line {reader.line_num}: not valid CSV ({error}); {ACCEPTED}") from None


def _header(text: str, where: str) -> tuple[list[str], str]:
    """Names of the columns, customer_id once among them, and what separates them."""
    delimiter = max(DELIMITERS, key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{where}: line {reader.line_num}: not valid CSV ({error}); {ACCEPTED}") from None
    if columns.count(COLUMN) != 1:
        found = "several columns" if columns.count(COLUMN) else "no column"
        raise InputError(f"{where}: line 1: {found} {COLUMN} among {', '.join(columns[:20]) or 'none'}; {ACCEPTED}")
    return columns, delimiter


def read_attributes(path: Path) -> pl.DataFrame:
    """customer_id and further columns, as text, of a CSV or Parquet file. Raises what `read_ids` raises."""
    with _reading(path):
        if path.suffix.lower() in PARQUET:
            return _with_attributes(_parquet(path), str(path))
        return attributes_of_csv(path.read_bytes(), str(path))


def attributes_of_csv(content: bytes, where: str) -> pl.DataFrame:
    """customer_id and further columns, as text, of a CSV. Raises what `ids_of_csv` raises, and for uneven rows."""
    names, rows = _rows_of_csv(content, where)
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{where}: line 1: {len(names):,} columns; accepted are {MOST_COLUMNS:,} at most")
    if double := sorted(name for name, count in Counter(names).items() if count > 1):
        raise InputError(f"{where}: line 1: column {double[0] or '(without a name)'} is there twice")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise InputError(f"{where}: row {number}: has {len(row)} cells, the header has {len(names)}")
    columns = {name: [row[at].strip() or None for row in rows] for at, name in enumerate(names)}
    table = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)).filter(pl.col(COLUMN).is_not_null())
    _some(table[COLUMN], where)
    return _with_attributes(table.with_columns(pl.all().str.replace(ESCAPED, "$1")), where)


def _with_attributes(table: pl.DataFrame, where: str) -> pl.DataFrame:
    if table.width < 2:
        raise InputError(f"{where}: no column beside {COLUMN}; give one for each attribute")
    try:
        return table.with_columns(pl.exclude(COLUMN).cast(pl.String))
    except pl.exceptions.PolarsError:
        raise InputError(f"{where}: an attribute is not a number or a text; accepted are plain columns") from None


def escaped(table: pl.DataFrame) -> pl.DataFrame:
    """The table with an apostrophe before every text cell that a spreadsheet would take for a formula."""
    return table.with_columns(pl.col(pl.String).str.replace(FORMULA, "'$1"))


def write_table(table: pl.DataFrame, path: Path, suffix: str) -> None:
    """Write a table as Parquet or CSV, whichever the suffix says; a CSV holds no text that a spreadsheet would run."""
    if suffix.lower() in PARQUET:
        table.write_parquet(path)
    else:
        escaped(table).write_csv(path)


def _parquet(path: Path) -> pl.DataFrame:
    """The rows of a Parquet file that have a customer_id."""
    try:
        table = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"{path}: not a readable Parquet file ({reason}); {ACCEPTED}, or a Parquet file with one"
        ) from None
    if COLUMN not in table.columns:
        raise InputError(f"{path}: no column {COLUMN} among {', '.join(table.columns[:20]) or 'none'}")
    ids = table[COLUMN]
    if not (ids.dtype.is_integer() or ids.dtype == pl.String):
        raise InputError(f"{path}: column {COLUMN} holds {ids.dtype}; accepted are whole numbers and text")
    _some(ids.drop_nulls(), str(path))
    return table.filter(pl.col(COLUMN).is_not_null())


def _some(ids: pl.Series, where: str) -> list[CustomerId]:
    if len(ids) == 0:
        raise InputError(f"{where}: column {COLUMN} holds no ids; give one customer id a line")
    return ids.to_list()


def _decoded(content: bytes, where: str) -> str:
    if not content.strip():
        raise InputError(f"{where}: the file is empty; {ACCEPTED}")
    for mark, name in OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise InputError(f"{where}: encoded as {name}; {ACCEPTED} (in a spreadsheet: save as 'CSV UTF-8')")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", errors="replace")) + 1
        raise InputError(
            f"{where}: line {line}, column {column}: byte 0x{content[error.start]:02x} is not UTF-8; {ACCEPTED} "
            "(in a spreadsheet: save as 'CSV UTF-8')"
        ) from None
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise InputError(f"{where}: line {line}: holds a zero byte, so it is not text; {ACCEPTED}")
    return text
