"""A workspace in an object store (a real S3 server on this machine), mirrored by local folders of several machines."""

import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from object_store import running_bucket

from configs.errors import ArtifactError, BusyError, InputError, NotFoundError
from store.artifact import create
from store.head import FORMAT, read_head
from store.lease import leased
from store.objects import Objects, Stored
from store.remote import RemoteWorkspace, opened
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
def url(bucket: str, request: pytest.FixtureRequest) -> str:
    """A workspace's place of its own."""
    return f"{bucket}/{request.node.name[:40].replace('[', '-').replace(']', '')}"


def published(workspace: Workspace, key: str, text: str = "vectors") -> str:
    """Publish a small snapshot, with a log and a model that it names."""
    for folder, kind in ((workspace.eventlogs, "eventlog"), (workspace.models, "model")):
        with create(folder / f"{kind}-{key}", kind, 1, key) as writer:
            writer.write_text("data.bin", f"{kind} {key}")
    with create(workspace.staging / key / "embeddings", "embeddings", 1, key) as writer:
        writer.write_text("vectors.arrow", text)
        writer.write_text("shared.bin", "the same in every snapshot")
    return workspace.publish(key, {"eventlog": f"eventlog-{key}", "model": f"model-{key}"}, {}, {})


def write(url: str, cache: Path, key: str) -> str:
    """A whole run on some machine."""
    with opened(url, write=True, cache=cache) as workspace:
        return published(workspace, key)


class Counted(Objects):
    """Counts what is fetched."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fetched = 0

    def download(self, name: str, path: Path) -> bool:
        self.fetched += 1
        return super().download(name, path)


class Late(Objects):
    """Reads everything ten seconds later."""

    def read(self, name: str) -> Stored | None:
        stored = super().read(name)
        return stored and replace(stored, read=stored.read + timedelta(seconds=10))


class Killed(BaseException):
    """The process is gone."""


class Dying(Objects):
    """Dies before its n-th write."""

    def __init__(self, url: str, after: int) -> None:
        super().__init__(url)
        self.left = after

    def _step(self) -> None:
        if not self.left:
            raise Killed
        self.left -= 1

    def upload(self, path: Path, name: str) -> None:
        self._step()
        super().upload(path, name)

    def write_if(self, name: str, body: bytes, tag: str | None) -> str | None:
        if name == "current":
            self._step()
        return super().write_if(name, body, tag)


def test_what_one_machine_publishes_another_one_serves(url: str, tmp_path: Path) -> None:
    name = write(url, tmp_path / "a", "one")
    made = RemoteWorkspace(url, tmp_path / "a").local.snapshots / name / "manifest.json"
    with opened(url, cache=tmp_path / "b") as workspace:
        assert workspace.current() == name
        # what is told of when it was published is the same everywhere
        assert (workspace.snapshots / name / "manifest.json").stat().st_mtime_ns == made.stat().st_mtime_ns
        assert workspace.trail() == [name]
        workspace.verify_snapshot()
        assert (workspace.models / "model-one" / "data.bin").read_text() == "model one"
        assert (workspace.eventlogs / "eventlog-one" / "data.bin").is_file()


def test_only_what_the_served_snapshot_needs_is_fetched_and_once(url: str, tmp_path: Path) -> None:
    first, second = write(url, tmp_path / "a", "one"), write(url, tmp_path / "a", "two")
    counted = Counted(url)
    remote = RemoteWorkspace(url, tmp_path / "b", counted)
    assert remote.pull() == second
    assert remote.local.published() == [second]
    fetched = counted.fetched
    assert remote.pull() == second
    assert not remote.poll()
    assert counted.fetched == fetched
    remote.pull(first)
    assert remote.local.published() == [first, second]
    assert remote.local.trail() == [first, second]
    with pytest.raises(NotFoundError, match="s-three"):
        remote.pull("s-three")


def test_a_writer_that_fetched_little_keeps_what_it_did_not_fetch(url: str, tmp_path: Path) -> None:
    first = write(url, tmp_path / "a", "one")
    write(url, tmp_path / "a", "two")
    third = write(url, tmp_path / "b", "three")  # has never seen the first one
    remote = RemoteWorkspace(url, tmp_path / "c")
    assert remote.pull(need="everything") == third
    assert remote.local.trail() == [first, "s-two", third]
    for name in remote.local.published():
        remote.local.verify_snapshot(name)


def test_what_is_pruned_goes_from_the_store_too(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "a", "one")
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "two", "others")
        assert workspace.prune(1) == ["s-one"]
    remote = RemoteWorkspace(url, tmp_path / "b")
    assert not remote.head().below("snapshots/s-one")
    named = {about["sha256"] for about in remote.head().files.values()}
    assert remote.objects.names("objects") == named
    remote.pull(need="everything")
    assert remote.local.published() == ["s-two"]


def test_what_was_rewritten_under_its_name_is_fetched_again(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "a", "one")
    other = RemoteWorkspace(url, tmp_path / "b")
    other.pull()
    with opened(url, write=True, need="everything", cache=tmp_path / "a") as workspace:
        with create(workspace.root / "again", "snapshot", 1, "one") as writer:  # as an erasure does
            writer.write_text("embeddings/vectors.arrow", "without the customer")
        shutil.rmtree(workspace.snapshots / "s-one")
        (workspace.root / "again").rename(workspace.snapshots / "s-one")
    assert other.poll()
    assert (other.local.snapshots / "s-one/embeddings/vectors.arrow").read_text() == "without the customer"


def test_killed_before_any_write_the_old_or_the_new_one_is_served(url: str, tmp_path: Path) -> None:
    steps, done = 0, False
    while not done:
        place, cache = f"{url}/{steps}", tmp_path / f"writer-{steps}"
        old = write(place, cache, "one")
        remote = RemoteWorkspace(place, cache, Dying(place, steps))
        with contextlib.suppress(Killed), remote.lease() as lease:
            remote.pull()
            published(remote.local, "two", "other vectors")
            remote.push(lease)
            done = True
        reader = RemoteWorkspace(place, tmp_path / f"reader-{steps}")
        assert reader.pull() == ("s-two" if done else old)
        reader.local.verify_snapshot()
        steps += 1
    assert steps > 5


def test_of_two_writers_one_wins(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "a", "zero")
    one, two = (RemoteWorkspace(url, tmp_path / name) for name in ("b", "c"))
    with one.lease() as lease:
        with pytest.raises(BusyError, match=r"in use by another job \(process"), two.lease():
            pytest.fail("two leases")
        for remote, key in ((one, "one"), (two, "two")):
            remote.pull()
            published(remote.local, key)
        two.push(lease)  # as a writer that believes that it still has the lease
        with pytest.raises(BusyError, match="another job has published"):
            one.push(lease)
    reader = RemoteWorkspace(url, tmp_path / "d")
    assert reader.pull() == "s-two"
    reader.local.verify_snapshot()


def test_a_lease_is_renewed_and_a_dead_ones_runs_out(url: str) -> None:
    objects = Objects(url)
    with leased(objects, lasts=0.6) as held:
        time.sleep(1.2)
        held.check()
        with pytest.raises(BusyError), leased(objects):
            pytest.fail("taken from a living holder")
        with ExitStack() as stack:
            for _ in range(50):  # the holder, dead or asleep to this one, may renew between its look and its try
                with suppress(BusyError):
                    stack.enter_context(leased(Late(url), lasts=60))
                    break
            else:
                pytest.fail("a lease that ran out was not taken")
            time.sleep(0.5)
            with pytest.raises(BusyError, match="lost"):
                held.check()
    with leased(objects):  # let go at the end
        pass


def test_a_damaged_or_missing_object_is_refused_by_name(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "a", "one")
    remote = RemoteWorkspace(url, tmp_path / "b")
    path = "snapshots/s-one/embeddings/vectors.arrow"
    name = f"objects/{remote.head().files[path]['sha256']}"
    (tmp_path / "wrong").write_text("vectorz")
    remote.objects.upload(tmp_path / "wrong", name)
    with pytest.raises(ArtifactError, match=rf"{name}: its SHA-256.*{path}"):
        remote.pull()
    assert remote.local.current() is None
    assert remote.local.published() == []
    remote.objects.remove([name])
    with pytest.raises(ArtifactError, match=rf"{name}: missing, it holds {path}"):
        remote.pull()


def test_a_damaged_head_is_refused(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "a", "one")
    remote = RemoteWorkspace(url, tmp_path / "b")
    for text, words in ((b"{", "damaged"), (json.dumps({"format": 99}).encode(), "newer version")):
        (tmp_path / "text").write_bytes(text)
        remote.objects.upload(tmp_path / "text", "current")
        with pytest.raises(ArtifactError, match=words):
            remote.pull()


def test_catalogue_and_saved_files_travel(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        with closing(sqlite3.connect(workspace.catalogue)) as database, database:
            database.execute("CREATE TABLE notes (text)")
            database.execute("INSERT INTO notes VALUES ('kept')")
        for name in ("kept", "gone"):
            (workspace.saved / name).mkdir(parents=True)
            (workspace.saved / name / "definition.json").write_text(name)
    other = RemoteWorkspace(url, tmp_path / "b")
    other.pull()
    with closing(sqlite3.connect(other.local.catalogue)) as database:
        assert database.execute("SELECT text FROM notes").fetchall() == [("kept",)]
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        (workspace.saved / "gone" / "definition.json").unlink()
        (workspace.saved / "kept" / "definition.json").write_text("changed")
    other.pull()
    assert (other.local.saved / "kept" / "definition.json").read_text() == "changed"
    assert not (other.local.saved / "gone" / "definition.json").exists()


def test_what_fails_keeps_what_was_finished_and_what_is_interrupted_pushes_nothing(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "a", "one")

    def stop(key: str, error: BaseException) -> None:
        with opened(url, write=True, cache=tmp_path / "a") as workspace:
            published(workspace, key)
            raise error

    for key, error in (("two", KeyboardInterrupt()), ("three", RuntimeError())):
        with pytest.raises(type(error)):
            stop(key, error)
        with opened(url, cache=tmp_path / "b") as workspace:
            assert workspace.current() == ("s-one" if key == "two" else "s-three")


def test_places_that_cannot_be_are_told(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="s3://bucket/prefix"), opened("gs://bucket/x", cache=tmp_path):
        pass
    with pytest.raises(InputError, match="s3://bucket/prefix"):
        Objects("s3://")
    with pytest.raises(NotFoundError, match="not a kinfolk workspace"), opened(str(tmp_path / "none")):
        pass
    for write in (True, False):
        none = opened(f"{bucket}-none/x", write=write, cache=tmp_path)
        with pytest.raises(NotFoundError, match=f"{bucket}-none: there is no such bucket"), none:
            pass


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"audiences/../../.bashrc": {"size": 1, "sha256": "0" * 64}}},
        {"files": {"/etc/passwd": {"size": 1, "sha256": "0" * 64}}},
        {"files": {"catalogue.db": {"size": 1, "sha256": "../current"}}},
        {"snapshot": "../elsewhere"},
        {"trail": ["s-a", "../s-b"]},
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(change: dict[str, object]) -> None:
    body = {"format": FORMAT, "snapshot": None, "trail": [], "files": {}, "writer": None} | change

    class Bucket:
        url = "s3://bucket/prefix"

        def read(self, name: str) -> Stored:
            return Stored(json.dumps(body).encode(), "tag", datetime.now(UTC), datetime.now(UTC))

    with pytest.raises(ArtifactError, match="current: damaged"):
        read_head(cast("Objects", Bucket()))
