"""A query's answer, fetched in batches to Parquet files, so that it is read like any other source."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from configs.errors import DataError
from configs.progress import Progress
from eventlog.columns import EPOCH
from eventlog.config import Source
from eventlog.files import SourceFile, describe

ROWS = 100_000


def fetch(source: Source, folder: Path, progress: Progress, since: int | None = None) -> list[SourceFile]:
    """Run the query and keep its answer under `folder`. Raises DataError with the database's own words.

    A query with the bind parameter `:since` is given the moment up to which the source was read (`since`,
    microseconds since 1970 UTC), so that the database itself leaves out what is known.
    Each batch keeps the types that its values have, since a database such as SQLite has none that bind.
    """
    assert source.query is not None
    assert source.url is not None
    folder.mkdir(parents=True)
    files: list[SourceFile] = []
    try:
        engine = sa.create_engine(source.url)
        _refuse_missing_file(source, engine.url)
        try:
            with progress.task(f"Fetching {source.name}", None) as advance, engine.connect() as connection:
                answer = connection.execution_options(stream_results=True).execute(*_statement(source.query, since))
                names = list(answer.keys())
                rows: Any = answer.fetchmany(ROWS)
                while rows or not files:
                    path = folder / f"part-{len(files):06d}.parquet"
                    pq.write_table(_table(names, rows), path)
                    files.append(describe(path, "query", len(files) * ROWS))
                    advance(len(rows))
                    rows = answer.fetchmany(ROWS)
        finally:
            engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise DataError(f"source {source.name!r}: the query cannot be run: {_told(error)}") from None
    return files


VALUES = re.compile(r"""(['"]).*?\1|\S*[0-9]\S*""")


def _told(error: Exception) -> str:
    """What the database says, without what may be a value of the data, such as a customer's id."""
    return VALUES.sub("…", str(getattr(error, "orig", None) or error).splitlines()[0])


def _statement(query: str, since: int | None) -> tuple[sa.TextClause, dict[str, str]]:
    """The query, and what its bind parameter is given."""
    text = sa.text(query)
    return text, {"since": since_text(since)} if "since" in text.compile().params else {}


def since_text(since: int | None) -> str:
    """A moment as ISO 8601 text in UTC, as databases write it: a date alone for midnight, a blank before the time.

    So it also compares rightly where times are kept as text, with a blank or a T between date and time.
    """
    if since is None:
        return "0001-01-01"
    found = EPOCH + timedelta(microseconds=since)
    midnight = found == found.replace(hour=0, minute=0, second=0, microsecond=0)
    return found.strftime("%Y-%m-%d") if midnight else found.replace(tzinfo=None).isoformat(" ")


def _refuse_missing_file(source: Source, url: sa.URL) -> None:
    """SQLite would make an empty database where there is none."""
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        path = Path(url.database)
        if not path.is_file() and not url.database.startswith("file:"):
            raise DataError(f"source {source.name!r}: there is no database file {path}")


def _table(names: list[str], rows: list[Any]) -> pa.Table:
    """A batch of rows as columns."""
    if len(set(names)) < len(names):
        names = [name if name not in names[:i] else f"{name}_{i}" for i, name in enumerate(names)]
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    return pa.table({name: _column(values) for name, values in zip(names, columns, strict=True)})


def _column(values: tuple[Any, ...]) -> pa.Array:
    """One column; values of several types become text, which is then parsed."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Decimal):
        values = tuple(float(value) if isinstance(value, Decimal) else value for value in values)
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
