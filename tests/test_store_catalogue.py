"""The catalogue: records, keys, the append-only audit log, history."""

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import store
from configs.errors import ConflictError, InputError, NotFoundError
from store.catalogue import Catalogue
from store.history import history, publish, reconcile, rollback
from store.privacy import refuse_customers
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
