"""The database under the catalogue: migrations, many at once, and what happens to a damaged or full one."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

import store
from configs.errors import ArtifactError, InputError, NotFoundError, StorageError
from store.catalogue import Catalogue
from store.database import alembic_config
from store.tables import HEAD, VERSION_TABLE, Base

HOME = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])}
SHA = "0" * 64


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """A fresh catalogue."""
    with Catalogue(tmp_path / "catalogue.db") as opened:
        yield opened


def test_the_tables_are_those_of_the_migrations(catalogue: Catalogue) -> None:
    """So a change of store/tables.py without a migration is caught; and `HEAD` is the newest one."""
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]
    engine = create_engine(f"sqlite:///{catalogue.name}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_settings_of_the_database(catalogue: Catalogue) -> None:
    """Write-ahead log, so that readers never wait for a writer, and foreign keys that count."""
    with catalogue._engine.connect() as connection:
        answers = {n: connection.exec_driver_sql(f"PRAGMA {n}").scalar() for n in ("journal_mode", "foreign_keys")}
    assert answers == {"journal_mode": "wal", "foreign_keys": 1}
    with pytest.raises(Exception, match="FOREIGN KEY"):
        catalogue.record_publication("s-a", actor="x", action="publish", previous=None, run_id=77)
    assert catalogue.history() == []


def test_the_same_migration_makes_postgresql_tables() -> None:
    """Rendered without a server: every table, and the trigger that keeps the audit log."""
    config = alembic_config()
    config.output_buffer = StringIO()
    config.attributes["dialect"] = "postgresql"
    command.upgrade(config, "head", sql=True)
    sql = config.output_buffer.getvalue()
    for table in Base.metadata.sorted_tables:
        assert f"CREATE TABLE {table.name}" in sql
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "BEFORE UPDATE OR DELETE OR TRUNCATE ON audit" in sql
    assert "RAISE(ABORT" not in sql


RACE = """
import sys
from store.catalogue import Catalogue
print("ready", flush=True)
sys.stdin.readline()
with Catalogue(sys.argv[1]) as catalogue:
    for i in range(5):
        catalogue.audit(sys.argv[2], "race", "catalogue", {"i": i})
"""


def test_processes_that_open_a_new_catalogue_at_once(tmp_path: Path) -> None:
    """One migrates, the others wait; all write."""
    path = tmp_path / "catalogue.db"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path), f"racer {i}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=HOME,
        )
        for i in range(5)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        _, errors = racer.communicate(timeout=60)
        assert (racer.returncode, errors) == (0, "")
    with Catalogue(path) as catalogue:
        assert len(catalogue.audit_log()) == 25


def test_threads_share_one_catalogue(catalogue: Catalogue) -> None:
    """As the service's do: writers wait for each other, nothing is lost."""
    start = threading.Barrier(6)

    def work(i: int) -> None:
        start.wait()
        for n in range(5):
            catalogue.audit(f"thread {i}", "work", "x", {"n": n})
            catalogue.audit_log(limit=1)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(catalogue.audit_log()) == 30


def test_a_newer_catalogue_is_refused(catalogue: Catalogue) -> None:
    """And left as it is."""
    with sqlite3.connect(catalogue.name) as raw:
        raw.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    raw.close()
    with pytest.raises(
        ArtifactError, match=r"catalogue\.db: the catalogue is at version 0999.*up to .*upgrade kinfolk"
    ):
        Catalogue(catalogue.name)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A catalogue of some fifteen pages, as bytes."""
    path = tmp_path_factory.mktemp("filled") / "catalogue.db"
    with Catalogue(path) as catalogue:
        for i in range(10):
            catalogue.audit("k1", "fill", "x" * 3000, {"i": i})
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["text", "header", "middle", "cut"])
def test_a_corrupt_catalogue_is_refused_by_name(tmp_path: Path, filled: bytes, damage: str) -> None:
    """Not a database at all, a broken header, pages overwritten, the end cut off."""
    path = tmp_path / "catalogue.db"
    broken = {
        "text": b"customer_id,name\n" * 100,
        "header": b"\0" * 32 + filled[32:],
        "middle": filled[:4096] + b"\xa5" * 8192 + filled[12288:],
        "cut": filled[: len(filled) // 2],
    }[damage]
    path.write_bytes(broken)
    with pytest.raises(ArtifactError, match=r"catalogue\.db: .*(corrupt|not an SQLite).*backup"):
        Catalogue(path)
    assert path.read_bytes() == broken


def test_where_no_catalogue_can_be(tmp_path: Path) -> None:
    """A folder that is not there, a path that is a folder, URLs of databases that are not meant."""
    with pytest.raises(NotFoundError, match="no such folder"):
        Catalogue(tmp_path / "none" / "catalogue.db")
    with pytest.raises(StorageError, match="cannot be opened"):
        Catalogue(tmp_path)
    with pytest.raises(InputError, match="accepted: a path"):
        Catalogue("mysql://root@localhost/x")
    with pytest.raises(InputError, match="not one; accepted"):
        Catalogue("://nothing")


def test_a_read_only_catalogue(catalogue: Catalogue) -> None:
    """Root may write everywhere, so it becomes nobody for a moment."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "catalogue.db"
        Catalogue(path).close()
        path.chmod(0o444)
        os.chmod(home, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(StorageError, match=r"catalogue\.db: .*make the file and its folder writable"):
                Catalogue(path).audit("k1", "x", "y")
        finally:
            os.seteuid(user)
            os.chmod(home, 0o755)


def test_a_full_disk(catalogue: Catalogue) -> None:
    """SQLite's own word for it; what was written before stays, and so does the key's use."""
    _, secret = catalogue.create_key("Anna", "admin")
    with catalogue._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(opened: sqlite3.Connection, *_: object) -> None:
        opened.execute(f"PRAGMA max_page_count = {pages}")

    from sqlalchemy import event

    catalogue.close()
    event.listen(catalogue._engine, "connect", limit)
    with pytest.raises(StorageError, match=r"catalogue\.db: the disk is full"):
        catalogue.audit("k1", "x", "y" * 100_000)
    assert catalogue.find_key(secret) is not None
    assert [entry.action for entry in catalogue.audit_log()] == ["key.create"]
