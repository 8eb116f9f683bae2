"""Commands over a workspace in an object store (a real S3 server on this machine): the line, the night, what fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_service import publish
from machines import Machine, tags
from night_world import NightWorld
from object_store import running_bucket

from configs.errors import StorageError
from store.catalogue import Catalogue
from store.head import CURRENT
from store.lease import leased
from store.objects import Objects
from store.workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    # s3fs leaves its connections to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 server's bucket."""
    with running_bucket() as url:
        yield url


@pytest.fixture
def one(bucket: str, tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    """A machine, and a place in the store of this test's own."""
    return Machine(f"{bucket}/{request.node.name[:40]}", tmp_path / "one")


@pytest.fixture
def other(one: Machine, tmp_path: Path) -> Machine:
    """Another machine that works there."""
    return Machine(one.url, tmp_path / "other")


def test_a_line_that_one_machine_ran_is_read_on_another_and_reading_writes_nothing(
    one: Machine, other: Machine, night: NightWorld
) -> None:
    one.has(night.root, but=("current", "trail", "catalogue.db"))  # as a line that was killed before it published
    result = one.run("run", night.recipe_file)
    assert result.exit_code == 0, result.output
    before = tags(one.url)
    served = night.workspace.current()
    assert [entry["snapshot"] for entry in other.told("history")] == [served]
    assert other.told("segments")["snapshot"] == served
    assert {entry["state"] for entry in other.told("verify")} == {"sound"}
    customer = str(other.remote.local.root)  # where the picture goes, which is no part of the workspace
    for words in (["audit"], ["keys", "list"], ["nights"], ["saved", "list"], ["objections", "list"], ["erasures"]):
        assert isinstance(other.told(*words), list | dict)
    assert other.run("segments", "map", f"{customer}-map.png").exit_code == 0
    assert tags(one.url) == before
    assert other.remote.local.root.stat().st_mode & 0o777 == 0o700


def test_a_night_on_another_machine_is_seen_and_a_held_one_leaves_its_report(
    one: Machine, other: Machine, night: NightWorld
) -> None:
    one.pushed(night.root)
    first = one.remote.head().snapshot
    report = other.told("nightly", night.recipe_file, "--as-of", night.arrive(30))
    assert report["status"] == "published"
    assert one.told("segments")["snapshot"] == report["snapshot"] != first
    held = night.recipe_file.with_name("held.yaml")
    held.write_text(
        night.recipe_file.read_text().replace("vector_drift: 2", "vector_drift: 0.000001"), encoding="utf-8"
    )
    ended = one.run("nightly", held, "--as-of", night.arrive(31), "--json")
    assert ended.exit_code == 3, ended.output
    status = {told["as_of"]: told["status"] for told in other.told("nights")}
    assert status == {"2025-01-31": "published", "2025-02-01": "held"}
    assert one.remote.head().snapshot == report["snapshot"]
    assert other.run("rollback").exit_code == 0
    assert one.told("history")[0]["snapshot"] == first
    assert len(one.told("prune", "--keep", 1)["removed"]) == 2
    assert other.told("verify", "--all")
    assert other.remote.local.published() == [first]
    named = one.remote.head().objects
    assert one.remote.objects.names("objects") == named


def test_a_busy_workspace_is_told_like_a_local_one_and_read_on(one: Machine, small_snapshot: str) -> None:
    before = one.remote.head()
    with leased(Objects(one.url)):
        ended = one.run("keys", "create", "--role", "admin")
        assert ended.exit_code == 75
        assert "in use by another job (process" in ended.stderr
        assert one.told("segments")["snapshot"] == small_snapshot
    with one.remote.mirror.held():
        ended = one.run("keys", "create", "--role", "admin")
        assert ended.exit_code == 75
        assert one.told("segments")["snapshot"] == small_snapshot
    assert one.remote.head() == before


@pytest.fixture
def small_snapshot(one: Machine, tmp_path: Path) -> str:
    """A small snapshot, published from `one`."""
    name = publish(tmp_path / "local")
    Catalogue(Workspace(tmp_path / "local").catalogue).close()
    one.pushed(tmp_path / "local")
    return name


def test_a_push_that_is_interrupted_leaves_the_store_as_it_was(
    one: Machine, other: Machine, small_snapshot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, head = Objects.write_if, one.remote.head()

    def stopped(self: Objects, name: str, body: bytes, tag: str | None) -> str | None:
        if name == CURRENT:
            raise KeyboardInterrupt
        return write(self, name, body, tag)

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "write_if", stopped)
        assert one.run("keys", "create", "--role", "admin").exit_code == 130
    assert one.remote.head() == head
    assert one.told("keys", "list") == other.told("keys", "list") == []
    assert one.run("keys", "create", "--role", "admin").exit_code == 0
    assert len(other.told("keys", "list")) == 1


def test_with_a_catalogue_elsewhere_notes_need_no_lease(one: Machine, small_snapshot: str, tmp_path: Path) -> None:
    catalogue = str(tmp_path / "catalogue.db")
    before = one.remote.head()
    with leased(Objects(one.url)):
        assert one.run("keys", "create", "--role", "admin", KINFOLK_CATALOGUE=catalogue).exit_code == 0
        assert one.run("segments", "rename", 1, "Savers", KINFOLK_CATALOGUE=catalogue).exit_code == 0
        assert one.run("saved", "remove", "none", KINFOLK_CATALOGUE=catalogue).exit_code == 75
    assert one.remote.head() == before


def test_an_audience_and_its_editions_travel(one: Machine, other: Machine, small_snapshot: str, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.csv"
    seeds.write_text("customer_id\n" + "\n".join(map(str, range(1, 180, 3))) + "\n", encoding="utf-8")
    made = other.told("audience", "--seeds", seeds, "--out", tmp_path / "out.csv", "--size", 120, "--save", "spring")
    assert [told["name"] for told in one.told("saved", "list")] == ["spring"]
    assert one.run("saved", "export", "spring", "--out", tmp_path / "again.csv").exit_code == 0
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "out.csv").read_text()
    assert {"audience", "saved.refresh"} <= {entry["action"] for entry in other.told("audit")}
    assert one.run("saved", "remove", "spring").exit_code == 0
    assert other.told("saved", "list") == []
    assert (other.remote.local.audiences / made["id"]).is_dir()


def test_what_cannot_be_is_told(
    one: Machine, bucket: str, night: NightWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(words: str, *command: object, code: int = 2, **environment: str) -> None:
        ended = one.run(*command, **environment)
        assert ended.exit_code == code, ended.output
        assert words in ended.stderr, ended.stderr

    refused("there is no workspace yet", "segments")
    refused("there is no workspace yet", "nightly", night.recipe_file)
    refused("there is no such bucket", "segments", KINFOLK_WORKSPACE=f"{bucket}-none/x")
    refused("s3://bucket/prefix", "segments", KINFOLK_WORKSPACE="gs://bucket/x")
    refused("the demonstration works in a folder", "demo", "--no-serve")
    (tmp_path / "file").touch()
    refused("KINFOLK_MIRROR", "segments", KINFOLK_MIRROR=str(tmp_path / "file"))
    call = Objects(one.url)._files.__class__.call_s3

    def unconditional(files: Any, method: str, **options: Any) -> Any:
        return call(files, method, **{k: v for k, v in options.items() if k not in ("IfMatch", "IfNoneMatch")})

    def forbidden(files: Any, method: str, **options: Any) -> Any:
        raise PermissionError("Access Denied")

    def missing(*_: object) -> Any:
        raise ImportError

    for patched, words in ((unconditional, "does not write on a condition"), (forbidden, "s3:GetObject")):
        with monkeypatch.context() as patch:
            patch.setattr("s3fs.S3FileSystem.call_s3", patched)
            refused(words, "run", night.recipe_file)
    with monkeypatch.context() as patch:
        patch.setattr("store.objects._s3", missing)
        refused("pip install 'kinfolk[s3]'", "segments")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
        with pytest.raises(StorageError, match=r"1\.0 GB of .* are to be fetched"):
            one.remote.mirror.check_room(10**9)
    assert json.loads(one.run("keys", "list", "--json", KINFOLK_WORKSPACE=str(night.root)).stdout) == []
