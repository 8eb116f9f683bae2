"""Opening the catalogue's database: pragmas, migrations, and the database's errors in words."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from configs.errors import ArtifactError, ConflictError, InputError, KinfolkError, NotFoundError, StorageError
from store.tables import HEAD, VERSION_TABLE

BUSY_SECONDS = 20
MIGRATION_LOCK = 0x6B696E66  # "kinf": PostgreSQL's advisory lock while migrating


def open_database(where: Path | str) -> tuple[Engine, str]:
    """Open the database at a path (SQLite) or an SQLAlchemy URL, bring its tables up to date, check it is sound.

    Returns the engine, and the name to use in messages (a path, or the URL without its password).
    Raises NotFoundError (no such folder), InputError (bad URL or missing driver), ArtifactError (corrupt, or newer
    than this version), StorageError (read-only, full, out of reach), ConflictError (locked for too long).
    """
    url = _url(where)
    # a password may stand in the query, too
    bare = url.set(query={}).render_as_string(hide_password=True)
    name = url.database or "" if url.get_backend_name() == "sqlite" else bare
    if url.get_backend_name() == "sqlite" and not Path(name).parent.is_dir():
        raise NotFoundError(f"{Path(name).parent}: no such folder for the catalogue; name an existing workspace")
    try:
        # a server may have restarted since the last use of a connection, so each is tried before it is handed out
        ping = url.get_backend_name() == "postgresql"
        serializer = partial(json.dumps, sort_keys=True, allow_nan=False)
        # what a statement was given may be a customer's id, and errors are told
        engine = create_engine(url, json_serializer=serializer, pool_pre_ping=ping, hide_parameters=True)
    except (ArgumentError, ImportError) as error:
        hint = "; install kinfolk[postgres]" if url.get_backend_name() == "postgresql" else ""
        raise InputError(f"{name}: no database can be opened with this URL ({error}){hint}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    try:
        with database_errors(name):
            _check_and_migrate(engine, name)
    except BaseException:
        engine.dispose()
        raise
    return engine, name


def _url(where: Path | str) -> URL:
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise InputError("the catalogue's URL is not one; accepted: a path, or postgresql://user@host/name") from None
    if backend not in ("sqlite", "postgresql"):
        raise InputError(f"{backend}: no such catalogue; accepted: a path (SQLite), or postgresql://user@host/name")
    return url


def _sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    # transactions are begun by _sqlite_begin, not by sqlite3's own guess, so that DDL is transactional too
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # a published line or an audit entry outlives a power cut
    _write_ahead(connection)


def purge(engine: Engine, name: str) -> None:
    """Write the whole SQLite database anew and empty its write-ahead log, so that no byte of a deleted row stays.

    Does nothing to PostgreSQL. Raises ConflictError where another process keeps reading for too long.
    """
    if engine.dialect.name != "sqlite":
        return
    with database_errors(name):
        connection = engine.raw_connection()
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("VACUUM")
            deadline = time.monotonic() + BUSY_SECONDS
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    raise ConflictError(f"{name}: another process held the catalogue for too long; try again")
                time.sleep(0.02)
        finally:
            connection.close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn WAL on; SQLite answers 'locked' at once, busy timeout or not, while another process does the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _sqlite_begin(connection: Connection) -> None:
    # a writer takes its lock first: upgrading a read lock fails at once when another writer came between
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _check_and_migrate(engine: Engine, name: str) -> None:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            fault = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
            if fault != "ok":
                raise ArtifactError(f"{name}: the catalogue is corrupt ({_line(fault)}); {RESTORE}")
        version = _version(connection)
    if version == HEAD:
        return
    with engine.execution_options(write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        version = _version(connection)  # another process may have migrated while we waited for the lock
        if version != HEAD:
            _migrate(connection, name, version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def _migrate(connection: Connection, name: str, version: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise ArtifactError(
            f"{name}: the catalogue is at version {version}, this version of kinfolk knows up to {HEAD}; "
            "upgrade kinfolk"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def alembic_config() -> Any:
    """Alembic's configuration of the catalogue's migrations; no alembic.ini is needed, also from a wheel."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


RESTORE = "restore it from a backup, or move it away and start with an empty one"
SQLITE_FAULTS: tuple[tuple[str, type[KinfolkError], str], ...] = (
    ("SQLITE_CORRUPT", ArtifactError, f"the catalogue is corrupt; {RESTORE}"),
    ("SQLITE_NOTADB", ArtifactError, f"this is not an SQLite database, or a corrupt one; {RESTORE}"),
    ("SQLITE_FULL", StorageError, "the disk is full, nothing was written; free space and start again"),
    ("SQLITE_READONLY", StorageError, "the catalogue is read-only; make the file and its folder writable"),
    ("SQLITE_CANTOPEN", StorageError, "the catalogue cannot be opened; make the file and its folder writable"),
    ("SQLITE_PERM", StorageError, "permission is denied; make the file and its folder writable"),
    ("SQLITE_IOERR", StorageError, "the disk failed while the catalogue was used; check its space and health"),
    ("SQLITE_BUSY", ConflictError, "another process held the catalogue for too long; try again"),
    ("SQLITE_LOCKED", ConflictError, "another process held the catalogue for too long; try again"),
)


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Put the database's errors into the words of configs.errors; programming errors pass as they are."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        original = getattr(error, "orig", error)
        code = getattr(original, "sqlite_errorname", "")
        for prefix, kind, words in SQLITE_FAULTS:
            if code.startswith(prefix):
                raise kind(f"{name}: {words}") from error
        if type(original).__name__ == "OperationalError" and not code:
            raise StorageError(f"{name}: the database is out of reach ({_line(original)}); check the server") from error
        raise


def _line(words: object) -> str:
    return " ".join(str(words).split())[:200]
