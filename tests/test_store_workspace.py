"""The workspace: its lock, going back, deleting old snapshots."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import DataObject, data, integers, sampled_from
from workspaces import HOME, damage, publish, take, three_snapshots

from configs.errors import ArtifactError, ConflictError, NotFoundError, StorageError
from store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Snapshots a, b, c were published; c is served."""
    return three_snapshots(tmp_path / "workspace")


# the lock

HOLD = """
import sys, time
from pathlib import Path
from store.workspace import Workspace
with Workspace.create(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(root: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock of `root` until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True, env=HOME
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield other
        finally:
            other.kill()


def test_a_second_job_is_refused_and_told_by_whom(workspace: Workspace) -> None:
    """Reading needs no lock; killed with SIGKILL, the holder is no obstacle though its id still stands in the file."""
    with holder(workspace.root) as other:
        with pytest.raises(ConflictError, match=rf"in use by another job \(process {other.pid}\)"):
            take(workspace)
        assert Workspace.open(workspace.root).verify_snapshot().counts == {"customers": 100}
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (workspace.root / "lock").read_text() == f"{other.pid}\n"
    take(workspace)


def test_a_rollback_works_beside_a_writing_job(workspace: Workspace) -> None:
    """A bad snapshot can be taken back at once, and not only when the night's job is through."""
    with holder(workspace.root):
        assert workspace.rollback() == "s-b"


def test_the_same_process_is_refused_twice_too(workspace: Workspace) -> None:
    """And told its own id."""
    with workspace.lock(), pytest.raises(ConflictError, match=rf"process {os.getpid()}\)"):
        take(workspace)
    take(workspace)


def test_garbage_in_the_lock_file_is_no_obstacle(workspace: Workspace) -> None:
    """Only the kernel's word counts."""
    (workspace.root / "lock").write_bytes(b"\xff\x00 99999999999999999999\n" * 9)
    take(workspace)
    assert (workspace.root / "lock").read_text() == f"{os.getpid()}\n"


ORPHAN = """
import os, sys, time
from pathlib import Path
from store.workspace import Workspace
with Workspace.create(Path(sys.argv[1])).lock():
    if os.fork() == 0:
        print("forked", flush=True)
    time.sleep(60)
"""


def test_a_forked_child_does_not_keep_the_lock(workspace: Workspace) -> None:
    """Data loaders fork; when their parent is killed they may live on for a while."""
    command = [sys.executable, "-c", ORPHAN, str(workspace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=HOME, start_new_session=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()
        parent.wait()
        try:
            take(workspace)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


# going back


def test_going_back_goes_further_back_each_time(workspace: Workspace) -> None:
    """Until there is nothing before."""
    assert workspace.rollback() == "s-b"
    assert workspace.rollback() == "s-a"
    with pytest.raises(NotFoundError, match="no snapshot was served before s-a; name one of: s-a, s-b, s-c"):
        workspace.rollback()
    assert workspace.current() == "s-a"


def test_after_going_back_a_new_snapshot_leads_back_to_the_good_one(workspace: Workspace) -> None:
    """Not to the bad one that was taken back."""
    workspace.rollback()
    publish(workspace, "d")
    assert workspace.trail() == ["s-a", "s-b", "s-d"]
    assert workspace.rollback() == "s-b"
    assert workspace.rollback("s-c") == "s-c"
    assert workspace.rollback() == "s-b"


def test_going_back_checks_before_it_moves(workspace: Workspace) -> None:
    """Damaged, unknown and present targets leave the pointer where it is."""
    damage(workspace, "s-b")
    with pytest.raises(ArtifactError, match=r"s-b/embeddings/vectors\.bin"):
        workspace.rollback()
    with pytest.raises(NotFoundError, match="no snapshot 's-x'; there are: s-a, s-b, s-c"):
        workspace.rollback("s-x")
    with pytest.raises(NotFoundError, match="no snapshot"):
        workspace.rollback("../snapshots/s-a")
    with pytest.raises(ConflictError, match="s-c is being served already"):
        workspace.rollback("s-c")
    assert workspace.current() == "s-c"
    assert workspace.rollback("s-a") == "s-a"


def test_a_damaged_pointer_is_mended_by_name(workspace: Workspace) -> None:
    """Without a name it is refused, since nobody knows what was served."""
    workspace.pointer.write_bytes(b"garbage")
    with pytest.raises(ArtifactError, match="current: damaged"):
        workspace.rollback()
    assert workspace.rollback("s-c") == "s-c"
    assert workspace.snapshot_folder().name == "s-c"


def test_publishing_again_keeps_the_files_that_stand(workspace: Workspace) -> None:
    """Someone may have them mapped; the staged copy is swept away."""
    before = (workspace.snapshots / "s-c" / "embeddings" / "vectors.bin").stat().st_ino
    publish(workspace, "c")
    assert (workspace.snapshots / "s-c" / "embeddings" / "vectors.bin").stat().st_ino == before
    assert list(workspace.staging.iterdir()) == []


def test_an_unfinished_part_is_not_published(workspace: Workspace) -> None:
    """A folder without a manifest, or no folder at all."""
    (workspace.staging / "d").mkdir()
    with pytest.raises(ArtifactError, match="holds no finished part"):
        workspace.publish("d", {}, {}, {})
    (workspace.staging / "d" / "index").mkdir()
    with pytest.raises(ArtifactError, match=r"index/manifest\.json: missing"):
        workspace.publish("d", {}, {}, {})
    with pytest.raises(NotFoundError, match="no snapshot 's-e'"):
        workspace.publish("e", {}, {}, {})
    assert workspace.current() == "s-c"


def test_what_is_no_workspace_is_told(tmp_path: Path) -> None:
    """A missing folder, a file in the way, and one without a snapshot."""
    with pytest.raises(NotFoundError, match="not a kinfolk workspace; `kinfolk run RECIPE"):
        Workspace.open(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file is in the way"):
        Workspace.create(tmp_path / "file")
    with pytest.raises(StorageError, match="no folder can be made here; name another workspace"):
        Workspace.create(Path("/proc/none"))
    with pytest.raises(NotFoundError, match="no snapshot is published yet"):
        Workspace.create(tmp_path / "new").verify_snapshot()


class Publishing(RuleBasedStateMachine):
    """In any order of publishing, going back and deleting, the served snapshot is the expected one, and sound."""

    @initialize()
    def start(self) -> None:
        """An empty workspace."""
        self.home = tempfile.TemporaryDirectory()
        self.workspace = Workspace.create(Path(self.home.name))
        self.way: list[str] = []

    def teardown(self) -> None:
        """Delete the folder."""
        self.home.cleanup()

    @rule(key=integers(0, 5))
    def publish(self, key: int) -> None:
        """A new snapshot or one of before."""
        name = publish(self.workspace, f"k{key}", 10)
        self.way = [*(n for n in self.way if n != name), name]

    @precondition(lambda self: len(self.way) > 1)
    @rule()
    def back(self) -> None:
        """One step back."""
        assert self.workspace.rollback() == self.way[-2]
        self.way.pop()

    @precondition(lambda self: self.workspace.current())
    @rule(chosen=data())
    def back_to(self, chosen: DataObject) -> None:
        """To any that stands."""
        others = [n for n in self.workspace.published() if n != self.workspace.current()]
        if not others:
            return
        name = chosen.draw(sampled_from(others))
        self.workspace.rollback(name)
        self.way = self.way[: self.way.index(name) + 1] if name in self.way else [*self.way, name]

    @rule(keep=integers(1, 3))
    def prune(self, keep: int) -> None:
        """Old ones go, the served one never."""
        gone = self.workspace.prune(keep)
        self.way = [n for n in self.way if n not in gone]
        assert len(self.workspace.published()) <= keep

    @invariant()
    def the_served_one_is_sound(self) -> None:
        """It is the last of the way."""
        assert self.workspace.current() == (self.way[-1] if self.way else None)
        assert self.workspace.trail() == self.way
        if self.way:
            self.workspace.verify_snapshot()


TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(max_examples=12, stateful_step_count=12)


# deleting old ones


def test_prune_spares_the_served_and_the_protected(workspace: Workspace) -> None:
    """Whatever the number to keep."""
    publish(workspace, "d")
    workspace.rollback("s-b")
    assert workspace.prune(1, protected={"s-d"}) == ["s-a", "s-c"]
    assert workspace.published() == ["s-b", "s-d"]
    assert workspace.current() == "s-b"
    with pytest.raises(ValueError, match="at least the served"):
        workspace.prune(0)


def test_prune_deletes_nothing_when_the_pointer_is_damaged(workspace: Workspace) -> None:
    """It might be the only thing that tells which one is needed."""
    for garbage in (b"", b"s-x\n"):
        workspace.pointer.write_bytes(garbage)
        with pytest.raises(ArtifactError, match="current"):
            workspace.prune(1)
    assert workspace.published() == ["s-a", "s-b", "s-c"]


# disks
