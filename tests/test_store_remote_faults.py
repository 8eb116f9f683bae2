"""A workspace in an object store where answers are lost, writers sleep, and commands are killed (a real S3 server)."""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from object_store import running_bucket

from configs.errors import BusyError, ConflictError
from store.artifact import create
from store.head import way_back
from store.lease import leased
from store.objects import Objects, Stored
from store.remote import RemoteWorkspace, opened
from store.sending import Sender
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
def url(bucket: str) -> str:
    """A workspace's place of its own."""
    return f"{bucket}/{uuid.uuid4().hex}"


def published(workspace: Workspace, key: str, text: str = "vectors") -> str:
    """Publish a small snapshot."""
    with create(workspace.staging / key / "embeddings", "embeddings", 1, key) as writer:
        writer.write_text("vectors.arrow", f"{text} {key}")
    return workspace.publish(key, {}, {}, {})


def saved(workspace: Workspace, path: str, text: str) -> None:
    """Write a file of a saved audience."""
    place = workspace.saved / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def add(remote: RemoteWorkspace, path: str, text: str = "text") -> None:
    """Add a file of a saved audience as a service does."""
    with Sender(remote).adding() as folders:
        saved(remote.local, path, text)
        folders.append(f"saved/{path.split('/')[0]}")


class Killed(BaseException):
    """The process is gone."""


class Answers:
    """An S3 client whose conditional writes go through, and are then told as `then` says."""

    def __init__(self, files: Any, then: Callable[[Callable[[], Any]], Any], name: str = "") -> None:
        self.files, self.then, self.name = files, then, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def call_s3(self, method: str, **options: Any) -> Any:
        def call() -> Any:
            return self.files.call_s3(method, **options)

        conditional = {"IfMatch", "IfNoneMatch"} & set(options)
        if not conditional or not options["Key"].endswith(self.name):
            return call()
        return self.then(call)


def sent_twice(call: Callable[[], Any]) -> Any:
    """The answer to the first one was lost, so the library sends it again."""
    call()
    return call()


class Late(Objects):
    """Reads everything so much later that every lease has run out."""

    def read(self, name: str) -> Stored | None:
        stored = super().read(name)
        return stored and replace(stored, read=stored.read + timedelta(seconds=1000))


class Dying(Objects):
    """Dies where it is to remove something, or to write a thing of this name."""

    def __init__(self, url: str, before: str) -> None:
        super().__init__(url)
        self.before = before

    def remove(self, names: list[str]) -> None:
        if self.before == "remove":
            raise Killed
        super().remove(names)

    def write_if(self, name: str, body: bytes, tag: str | None) -> str | None:
        if name == self.before:
            raise Killed
        return super().write_if(name, body, tag)


def texts(url: str) -> set[str]:
    """What all objects below an URL hold."""
    objects = Objects(url)
    found = (objects.read(f"objects/{name}") for name in objects.names("objects"))
    return {stored.body.decode() for stored in found if stored}


def test_a_write_whose_answer_was_lost_and_that_was_sent_again_has_succeeded(url: str, tmp_path: Path) -> None:
    objects = Objects(url)
    objects._files = Answers(objects._files, sent_twice)
    remote = RemoteWorkspace(url, tmp_path / "a", objects)
    with remote.writing(must_exist=False):
        published(remote.local, "one")
    with remote.writing():
        published(remote.local, "two")
    assert RemoteWorkspace(url, tmp_path / "b").pull() == "s-two"


def test_a_lease_whose_renewal_was_answered_by_nobody_is_kept(url: str) -> None:
    objects, lost = Objects(url), []

    def break_once(call: Callable[[], Any]) -> Any:
        answer = call()
        if held_now and not lost:
            lost.append(1)
            raise OSError("connection reset")
        return answer

    held_now: list[int] = []
    objects._files = Answers(objects._files, break_once)
    with leased(objects, lasts=0.6) as held:
        held_now.append(1)
        time.sleep(1.2)
        assert lost
        held.check()
        held.verify()


def test_a_push_whose_answer_was_lost_and_that_a_service_has_added_to_has_succeeded(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    objects, service = Objects(url), RemoteWorkspace(url, tmp_path / "service")
    service.refresh()

    def added_meanwhile(call: Callable[[], Any]) -> Any:
        call()
        head = service.head()  # as if the lock for such moments had run out
        service.objects.write_if("current", replace(head, trail=(*head.trail, "s-added")).to_json(), head.tag)
        return call()

    objects._files = Answers(objects._files, added_meanwhile, "/current")
    remote = RemoteWorkspace(url, tmp_path / "a", objects)
    with remote.writing():
        published(remote.local, "two")
    assert service.head().snapshot == "s-two"
    assert service.head().trail[-1] == "s-added"


@pytest.mark.parametrize(
    ("before", "here", "after"),
    [
        ("", "a", "a"),
        ("abc", "abcd", "abcd"),
        ("abc", "cd", "abcd"),  # only the served one was fetched
        ("abc", "abcde", "abcde"),  # several nights
        ("abc", "a", "a"),  # rolled back
        ("abc", "ad", "ad"),  # and published
        ("abc", "bca", "bca"),  # published again
        ("abc", "ca", "bca"),
        ("abc", "cde", "abcde"),
        ("abx", "abd", "abd"),
        ("ab!c", "abcd", "abcd"),  # what was pruned is nobody's way back
        ("abc", "", "abc"),
    ],
)
def test_the_way_back_goes_on_from_what_was_known(before: str, here: str, after: str) -> None:
    assert "".join(way_back(tuple(before), tuple(here), set("abcdex"))) == after


def test_every_snapshot_that_was_served_between_two_pushes_is_on_the_way_back(url: str, tmp_path: Path) -> None:
    for keys in (("one",), ("two", "three", "four")):
        with opened(url, write=True, cache=tmp_path / keys[0]) as workspace:
            for key in keys:
                published(workspace, key)
    with opened(url, write=True, need="everything", cache=tmp_path / "other") as workspace:
        assert workspace.trail() == ["s-one", "s-two", "s-three", "s-four"]
        assert workspace.rollback() == "s-three"
    with opened(url, write=True, need="everything", cache=tmp_path / "third") as workspace:
        assert workspace.prune(2) == ["s-four", "s-one"]
    assert RemoteWorkspace(url, tmp_path / "third").head().trail == ("s-two", "s-three")


def test_who_lost_the_lease_removes_nothing_of_the_one_who_has_it(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    one, two = RemoteWorkspace(url, tmp_path / "a"), RemoteWorkspace(url, tmp_path / "b")
    late = Late(url)
    with ExitStack() as stack:
        old = stack.enter_context(one.lease())
        one.pull()
        published(one.local, "two")
        time.sleep(1.1)  # the store tells whole seconds
        new = stack.enter_context(leased(late))  # `one` slept, and does not know it yet
        two.pull()
        published(two.local, "three")
        (tmp_path / "upload").write_text("of the new writer")
        two.objects.upload(tmp_path / "upload", "objects/" + "0" * 64)
        for work in (one.collect, one.push):
            with pytest.raises(BusyError, match="lost"):
                work(old)
        assert "of the new writer" in texts(url)
        two.objects.remove(["objects/" + "0" * 64])
        two.push(new)
    assert RemoteWorkspace(url, tmp_path / "c").pull() == "s-three"


def test_what_is_younger_than_the_lease_is_not_removed(url: str, tmp_path: Path) -> None:
    remote = RemoteWorkspace(url, tmp_path / "a")
    for name, text in (("1" * 64, "of a writer that was killed"), ("2" * 64, "of a newer writer")):
        with leased(Objects(url)) if text.endswith("killed") else ExitStack():
            (tmp_path / "upload").write_text(text)
        if text.endswith("killed"):
            remote.objects.upload(tmp_path / "upload", f"objects/{name}")
    with remote.writing(must_exist=False) as lease:
        published(remote.local, "one")
        time.sleep(1.1)
        remote.objects.upload(tmp_path / "upload", "objects/" + "2" * 64)
        remote.push(lease)
        remote.collect(lease)
        assert "of a newer writer" in texts(url)
        assert "of a writer that was killed" not in texts(url)


def test_what_was_removed_while_a_push_relied_on_it_is_sent_again(url: str, tmp_path: Path) -> None:
    class Removing(Objects):
        """Somebody removes all that is not named, just before `current` is held."""

        def write_if(self, name: str, body: bytes, tag: str | None) -> str | None:
            if name == "pushing" and tag is None and not self.names("lately"):
                self.remove([f"objects/{sha}" for sha in self.names("objects")])
                self.upload(tmp_path / "mark", "lately/done")
            return super().write_if(name, body, tag)

    (tmp_path / "mark").touch()
    remote = RemoteWorkspace(url, tmp_path / "a", Removing(url))
    with remote.writing(must_exist=False):
        published(remote.local, "one")
    assert remote.objects.names("lately")
    assert RemoteWorkspace(url, tmp_path / "b").pull() == "s-one"


def test_what_a_refused_push_sent_is_taken_back_where_customers_were_erased(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    one, two = RemoteWorkspace(url, tmp_path / "a"), RemoteWorkspace(url, tmp_path / "b")

    class Slow(Objects):
        """Is overtaken by an erasure while it sends."""

        def upload(self, path: Path, name: str) -> None:
            super().upload(path, name)
            if not two.base.tag:
                with leased(Late(url)) as lease:
                    two.pull()
                    (two.local.root / "erasures").mkdir(exist_ok=True)
                    (two.local.root / "erasures" / "e-1.json").write_text('{"at": "1", "receipt": "e-1"}')
                    two.push(lease)

    one.objects = Slow(url)

    def night() -> None:
        with one.writing():
            published(one.local, "two", "of somebody who was erased")

    with pytest.raises(BusyError):
        night()
    assert one.head().erasures
    assert not any("erased" in text for text in texts(url))


def test_what_a_kill_leaves_of_a_pull_is_swept_by_the_next(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    remote = RemoteWorkspace(url, tmp_path / "b")

    class Fetching(Objects):
        def download(self, name: str, path: Path) -> bool:
            super().download(name, path)
            raise Killed

    with pytest.raises(Killed):
        RemoteWorkspace(url, tmp_path / "b", Fetching(url)).pull()
    # what a process leaves that dies without another word
    with remote.mirror.catalogue_copy():
        (remote.mirror.room() / "searched-1").write_text("of somebody who was erased")
    for name in (".s-zero.old", ".s-one.part"):
        (remote.local.snapshots / name).mkdir()
        (remote.local.snapshots / name / "vectors.arrow").write_text("of somebody who was erased")
    remote.pull()
    found = [path for path in remote.local.root.rglob("*") if path.is_file() and b"erased" in path.read_bytes()]
    assert found == []
    assert [path.name for path in remote.local.snapshots.iterdir()] == ["s-one"]


@pytest.mark.parametrize("before", ["remove", "current"])
def test_what_an_erasure_left_in_the_store_goes_with_the_next_writer(url: str, tmp_path: Path, before: str) -> None:
    def erase(remote: RemoteWorkspace) -> None:
        with remote.writing(need="everything"):
            shutil.rmtree(remote.local.snapshots / "s-one")
            (remote.local.root / "erasures").mkdir(exist_ok=True)
            (remote.local.root / "erasures" / "e-1.json").write_text('{"at": "1", "receipt": "e-1"}')
            remote.push_now()

    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one", "of somebody who is erased")
        published(workspace, "two")
    with pytest.raises(Killed):
        erase(RemoteWorkspace(url, tmp_path / "a", Dying(url, before)))
    assert "of somebody who is erased one" in texts(url)
    erased = before == "remove"
    with opened(url, write=True, need="notes", cache=tmp_path / "b") as workspace:
        pass  # nothing of its own
    assert ("of somebody who is erased one" in texts(url)) is not erased


def test_what_was_rewritten_with_its_size_and_its_time_is_pushed(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
        saved(workspace, "spring/definition.json", "before")
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        place = workspace.saved / "spring" / "definition.json"
        then = place.stat()
        (beside := place.with_name("beside")).write_text("behind")
        os.utime(beside, ns=(then.st_atime_ns, then.st_mtime_ns))
        beside.replace(place)  # as an erasure does with a snapshot's manifest
    assert "before" not in texts(url)
    assert "behind" in texts(url)


def test_what_was_never_pushed_has_not_happened_but_finished_work_is_kept(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")

    def night(remote: RemoteWorkspace) -> None:
        with remote.writing():
            published(remote.local, "two")
            night = remote.local.nights / "2026-01-01-s-two"
            night.mkdir(parents=True)
            (night / "report.json").write_text('{"status": "published"}')
            raise Killed

    with pytest.raises(Killed):
        night(RemoteWorkspace(url, tmp_path / "a"))
    before = RemoteWorkspace(url, tmp_path / "a").head()
    with opened(url, write=True, need="notes", cache=tmp_path / "a") as workspace:
        assert not list(workspace.nights.iterdir())
        saved(workspace, "spring/definition.json", "{}")
    after = RemoteWorkspace(url, tmp_path / "a").head()
    assert set(after.files) - set(before.files) == {"saved/spring/definition.json"}
    assert after.snapshot == "s-one"
    with opened(url, write=True, cache=tmp_path / "a") as workspace:  # makes artifacts, and finds what was finished
        assert workspace.published() == ["s-one", "s-two"]
        assert workspace.current() == "s-one"
    assert RemoteWorkspace(url, tmp_path / "a").head().artifacts("snapshots") == ["snapshots/s-one", "snapshots/s-two"]


def test_a_snapshot_that_was_finished_before_a_kill_is_pushed_by_who_serves_it(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    with opened(url, cache=tmp_path / "a") as workspace:
        published(workspace, "two")
    with opened(url, write=True, need="kept", cache=tmp_path / "a") as workspace:
        workspace.rollback("s-two")
    assert RemoteWorkspace(url, tmp_path / "b").pull() == "s-two"


def test_an_empty_store_whose_first_push_was_killed_takes_the_next(url: str, tmp_path: Path) -> None:
    def first(remote: RemoteWorkspace) -> None:
        with remote.writing(must_exist=False):
            published(remote.local, "one")

    with pytest.raises(Killed):
        first(RemoteWorkspace(url, tmp_path / "a", Dying(url, "current")))
    remote = RemoteWorkspace(url, tmp_path / "a")
    remote.refresh(must_exist=False)
    assert remote.local.current() is None
    first(remote)
    assert RemoteWorkspace(url, tmp_path / "b").pull() == "s-one"
    assert remote.objects.names("objects") == remote.head().objects


def test_a_saved_audience_that_is_removed_comes_back_with_no_pull(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
        saved(workspace, "spring/definitions/0001/request.json", "{}")
        saved(workspace, "autumn/definitions/0001/request.json", "{}")
    service = RemoteWorkspace(url, tmp_path / "b")
    service.refresh()
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "two")

    begun, go_on = threading.Event(), threading.Event()

    class Slow(Objects):
        """Has begun to fetch a snapshot."""

        def download(self, name: str, path: Path) -> bool:
            begun.set()
            return go_on.wait(20) and super().download(name, path)

    def remove() -> None:
        Sender(service).removing("saved/spring", lambda: shutil.rmtree(service.local.saved / "spring"))

    service.objects = Slow(url)
    threads = [threading.Thread(target=service.poll), threading.Thread(target=remove)]
    threads[0].start()
    assert begun.wait(20)
    threads[1].start()
    time.sleep(0.3)
    go_on.set()
    for thread in threads:
        thread.join(20)
    service.poll()
    assert [path.name for path in service.local.saved.iterdir()] == ["autumn"]
    assert {path.split("/")[1] for path in service.head().files if path.startswith("saved/")} == {"autumn"}


def test_a_service_that_has_pulled_nothing_yet_removes_all_the_same(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
        saved(workspace, "spring/definitions/0001/request.json", "{}")
    writer, service = RemoteWorkspace(url, tmp_path / "a"), RemoteWorkspace(url, tmp_path / "a")
    with writer.writing():
        assert not service.refresh()  # a writer is at work in this mirror
        Sender(service).removing("saved/spring", lambda: shutil.rmtree(service.local.saved / "spring"))
        published(writer.local, "two")
    assert writer.head().snapshot == "s-two"
    assert not writer.head().below("saved")


def test_of_a_saved_audience_that_is_removed_nothing_is_left_of_what_others_added(url: str, tmp_path: Path) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
        for name in ("spring", "autumn"):
            saved(workspace, f"{name}/definitions/0001/request.json", "{}")
    night, service = RemoteWorkspace(url, tmp_path / "a"), RemoteWorkspace(url, tmp_path / "b")
    service.refresh()
    with night.writing():
        saved(night.local, "spring/editions/0001/edition.json", "of the night")
        Sender(service).removing("saved/spring", lambda: shutil.rmtree(service.local.saved / "spring"))
        shutil.rmtree(night.local.saved / "autumn")
        add(service, "autumn/editions/0001/edition.json")
    assert not night.head().below("saved")


@pytest.mark.parametrize("pulled", [True, False])
def test_what_a_service_wrote_before_an_erasure_is_refused_and_not_lost_silently(
    url: str, tmp_path: Path, pulled: bool
) -> None:
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    service = RemoteWorkspace(url, tmp_path / "b")
    service.refresh()

    def overtaken() -> None:
        with Sender(service).adding() as folders:
            saved(service.local, "spring/definitions/0001/request.json", '{"seeds": ["somebody who was erased"]}')
            folders.append("saved/spring")
            with opened(url, write=True, need="everything", cache=tmp_path / "a") as workspace:
                (workspace.root / "erasures").mkdir(exist_ok=True)
                (workspace.root / "erasures" / "e-1.json").write_text('{"at": "1", "receipt": "e-1"}')
            if pulled:
                service.poll()

    with pytest.raises(ConflictError, match="customers were erased"):
        overtaken()
    assert not list(service.local.saved.glob("*"))
    assert not any("somebody" in text for text in texts(url))


def test_a_service_waits_for_an_erasure_to_end(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.sending.PUSH_WAIT_S", 0.5)
    with opened(url, write=True, cache=tmp_path / "a") as workspace:
        published(workspace, "one")
    writer, service = RemoteWorkspace(url, tmp_path / "a"), RemoteWorkspace(url, tmp_path / "b")
    service.refresh()
    with writer.writing(need="everything"):
        add(service, "spring/definition.json", "before")
        with writer.alone():
            assert (writer.local.saved / "spring").is_dir()  # pulled, so that the erasure sees it
            with pytest.raises(BusyError, match="in use by another job"):
                add(service, "autumn/definition.json")
            saved(writer.local, "spring/definition.json", "after")
            writer.push_now()
    assert not (service.local.saved / "autumn").exists()
    add(service, "autumn/definition.json")
    assert "after" in texts(url)
    assert "before" not in texts(url)
    assert sorted(service.head().below("saved")) == ["saved/autumn/definition.json", "saved/spring/definition.json"]
