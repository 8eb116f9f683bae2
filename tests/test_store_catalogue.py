"""The catalogue: records, keys, the append-only audit log, migrations, and what happens to a damaged database."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

import store
from configs.errors import ArtifactError, ConflictError, InputError, NotFoundError, StorageError
from store.catalogue import Catalogue
from store.database import alembic_config
from store.history import history, publish, reconcile, rollback
from store.privacy import refuse_customers
from store.tables import HEAD, VERSION_TABLE, Base
from store.workspace import Workspace

HOME = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])}
SHA = "0" * 64


class Clock:
    """A clock that tests move on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """A second later each time."""
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A fresh clock."""
    return Clock()


@pytest.fixture
def catalogue(tmp_path: Path, clock: Clock) -> Iterator[Catalogue]:
    """A fresh catalogue."""
    with Catalogue(tmp_path / "catalogue.db", clock) as opened:
        yield opened


def audience(catalogue: Catalogue, **changes: Any) -> Any:
    """Save an audience."""
    given = {"actor": "k1", "snapshot": "s-a", "request": {"size": 500}, "seeds_sha256": SHA, "size": 500, **changes}
    return catalogue.save_audience(**given)


# records


def test_a_run_from_start_to_end(catalogue: Catalogue) -> None:
    """And after closing and opening again."""
    run = catalogue.record_run("run", recipe_hash="abc")
    assert (run.status, run.ended, run.figures) == ("running", None, {})
    done = catalogue.finish_run(
        run.id, "succeeded", eventlog_key="e", model_key="m", snapshot="s-a", figures={"n": 1.5}
    )
    assert done.ended is not None
    assert done.ended > done.started
    assert done.started.tzinfo is UTC
    with Catalogue(Path(catalogue.name)) as again:
        assert again.runs() == [done]
    with pytest.raises(NotFoundError, match="no run 99"):
        catalogue.finish_run(99, "failed")


def test_runs_that_died_are_marked(catalogue: Catalogue) -> None:
    """Those that ended stay as they are."""
    ended = catalogue.finish_run(catalogue.record_run("prepare").id, "failed")
    catalogue.record_run("train")
    assert catalogue.interrupt_runs() == 1
    assert [run.status for run in catalogue.runs()] == ["interrupted", "failed"]
    assert catalogue.runs()[1] == ended
    assert catalogue.interrupt_runs() == 0


def test_audiences_page_by_page(catalogue: Catalogue) -> None:
    """Every one once, newest first."""
    saved = [audience(catalogue, report={"recall": i / 7}) for i in range(7)]
    pages = []
    before = None
    while page := catalogue.audiences(limit=3, before=before):
        pages.append(page)
        before = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one for page in pages for one in page] == saved[::-1]
    assert catalogue.audience(saved[0].id) == saved[0]
    with pytest.raises(NotFoundError, match="no audience 'a-x'"):
        catalogue.audience("a-x")
    with pytest.raises(NotFoundError, match="no audience 'a-x'"):
        catalogue.audiences(before="a-x")


def test_an_audience_is_finished_once(catalogue: Catalogue) -> None:
    """From running to ready; after that its record stands."""
    running = audience(catalogue, status="running")
    ready = audience(catalogue, id=running.id, status="ready", members="audiences/x.arrow", result_sha256=SHA)
    assert (ready.created, ready.status, ready.members) == (running.created, "ready", "audiences/x.arrow")
    with pytest.raises(ConflictError, match="is ready already"):
        audience(catalogue, id=running.id)
    for path in ("/etc/passwd", "../outside"):
        with pytest.raises(ValueError, match="not a path inside the workspace"):
            audience(catalogue, members=path)


@pytest.mark.parametrize(
    "value",
    [{"customer_id": 5}, {"deep": [{"Customer": "C5"}]}, {"seeds": ["C1", "C2"]}, {"customers": [1]}, {"secret": "x"}],
)
def test_customer_ids_and_secrets_are_refused(catalogue: Catalogue, value: dict[str, Any]) -> None:
    """In the audit log, in requests and reports; counts and options of the same name are fine."""
    with pytest.raises(ValueError, match="do not belong here"):
        catalogue.audit("k1", "export", "s-a", value)
    with pytest.raises(ValueError, match="do not belong here"):
        audience(catalogue, request=value)
    assert catalogue.audit_log() == []
    refuse_customers({"customers": 2469, "seeds": "keep", "members": 500}, "details")


# keys


def test_a_key_opens_until_it_is_revoked(catalogue: Catalogue, clock: Clock) -> None:
    """The database holds no secret."""
    key, secret = catalogue.create_key("Anna, marketing", "marketer")
    assert secret.startswith(f"kf_{key.id}_")
    assert catalogue.find_key(secret) is not None
    other, _ = catalogue.create_key("Ben", "admin")
    for wrong in (
        "",
        "kf",
        "kf_",
        f"kf_{key.id}_",
        secret[:-1],
        secret + "A",
        secret.replace(key.id, other.id),
        "Bearer x",
    ):
        assert catalogue.find_key(wrong) is None
    catalogue.revoke_key(key.id)
    assert catalogue.find_key(secret) is None
    first = catalogue.revoke_key(key.id).revoked
    kept = catalogue.keys()
    assert [k.revoked for k in kept] == [first, None]
    with pytest.raises(NotFoundError, match="no API key 'zz'"):
        catalogue.revoke_key("zz")
    raw = b"".join(path.read_bytes() for path in Path(catalogue.name).parent.glob("catalogue.db*"))
    assert secret.split("_", 2)[2].encode() not in raw
    assert key.id.encode() in raw
    assert [entry.action for entry in catalogue.audit_log()] == ["key.revoke", "key.create", "key.create"]


def test_last_use_is_noted_to_the_hour(catalogue: Catalogue, clock: Clock) -> None:
    """One write an hour and key."""
    _, secret = catalogue.create_key("Anna", "analyst")
    first = catalogue.find_key(secret)
    again = catalogue.find_key(secret)
    assert first is not None
    assert again is not None
    assert first.last_used == again.last_used == catalogue.keys()[0].last_used
    clock.now += timedelta(hours=1)
    later = catalogue.find_key(secret)
    assert later is not None
    assert later.last_used is not None
    assert first.last_used is not None
    assert later.last_used > first.last_used


@settings(max_examples=200)
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_no_text_opens_by_chance(shared: Catalogue, text: str) -> None:
    """And none breaks the look-up."""
    assert shared.find_key(text) is None
    assert shared.find_key(f"kf_{text}") is None


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """One catalogue for many examples."""
    with Catalogue(tmp_path_factory.mktemp("shared") / "catalogue.db") as opened:
        yield opened


def test_roles_and_names_are_checked(catalogue: Catalogue) -> None:
    """The message lists what is accepted."""
    with pytest.raises(InputError, match="no such role 'root'; accepted: marketer, analyst, admin"):
        catalogue.create_key("Anna", "root")
    for name in ("", " ", "x" * 101):
        with pytest.raises(InputError, match="1 to 100 characters"):
            catalogue.create_key(name, "admin")
    assert catalogue.keys() == []


# the audit log


def test_the_database_itself_keeps_the_audit_log(catalogue: Catalogue) -> None:
    """Whoever opens the file with plain SQL cannot change or delete an entry by mistake either."""
    for i in range(5):
        catalogue.audit("k1", "export", f"s-{i}", {"rows": i})
    with sqlite3.connect(catalogue.name) as raw:
        for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 3"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)
    raw.close()
    entries = catalogue.audit_log(limit=3)
    assert [entry.details for entry in entries] == [{"rows": 4}, {"rows": 3}, {"rows": 2}]
    assert [entry.details for entry in catalogue.audit_log(before=entries[-1].id)] == [{"rows": 1}, {"rows": 0}]


def test_a_refused_change_is_not_audited(catalogue: Catalogue) -> None:
    """Change and audit entry stand or fall together."""
    audience(catalogue, id="a-1")
    with pytest.raises(ConflictError):
        audience(catalogue, id="a-1")
    assert len(catalogue.audit_log()) == len(catalogue.audiences()) == 1


# publications


def stage(workspace: Workspace, key: str) -> None:
    """A snapshot ready to publish."""
    from store.artifact import create

    with create(workspace.staging / key / "index", "index", 1, key) as part:
        part.write_text("data", key)


def test_history_tells_what_was_published_and_taken_back(tmp_path: Path) -> None:
    """Joined with what the snapshots say of themselves; pruned ones have no manifest any more."""
    workspace = Workspace.create(tmp_path)
    with Catalogue(workspace.catalogue, Clock()) as catalogue:
        for i, key in enumerate("abc"):
            stage(workspace, key)
            publish(workspace, catalogue, key, parents={}, counts={"customers": i}, figures={}, actor="nightly")
        rollback(workspace, catalogue, actor="anna")
        entries = history(workspace, catalogue)
        told = [(e.publication.snapshot, e.publication.action, e.publication.previous, e.served) for e in entries]
        assert told == [
            ("s-b", "rollback", "s-c", True),
            ("s-c", "publish", "s-b", False),
            ("s-b", "publish", "s-a", False),
            ("s-a", "publish", None, False),
        ]
        assert [e.manifest.counts["customers"] for e in entries if e.manifest] == [1, 2, 1, 0]
        workspace.prune(1)
        assert [e.manifest is None for e in history(workspace, catalogue)] == [False, True, False, True]
        assert [entry.subject for entry in catalogue.audit_log()] == ["s-b", "s-c", "s-b", "s-a"]


def test_a_publication_that_was_not_noted_is_noted_later(tmp_path: Path) -> None:
    """The job died between moving the pointer and the catalogue; and again is no second line."""
    workspace = Workspace.create(tmp_path)
    with Catalogue(workspace.catalogue) as catalogue:
        assert reconcile(workspace, catalogue) is None
        for key in "ab":
            stage(workspace, key)
            workspace.publish(key, {}, {}, {})
        noted = reconcile(workspace, catalogue)
        assert noted is not None
        assert (noted.snapshot, noted.actor) == ("s-b", "recovery")
        assert reconcile(workspace, catalogue) is None
        publish(workspace, catalogue, "b", parents={}, counts={}, figures={})
        assert catalogue.history() == [noted]
        workspace.pointer.write_bytes(b"garbage")
        assert rollback(workspace, catalogue, "s-a").snapshot == "s-a"


# opening


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


def test_moments_need_a_zone(tmp_path: Path) -> None:
    """Another zone is the same moment; none at all is a mistake."""
    zone = timezone(timedelta(hours=5))
    with Catalogue(tmp_path / "a.db", lambda: datetime(2026, 1, 1, 3, tzinfo=zone)) as catalogue:
        assert catalogue.audit("a", "b", "c").at == datetime(2025, 12, 31, 22, tzinfo=UTC)
        assert catalogue.audit_log()[0].at == datetime(2025, 12, 31, 22, tzinfo=UTC)
    with (
        Catalogue(tmp_path / "b.db", lambda: datetime(2026, 1, 1)) as catalogue,
        pytest.raises(Exception, match="needs a time zone"),
    ):
        catalogue.audit("a", "b", "c")
