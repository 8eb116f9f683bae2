"""SIGKILL before any file operation of publish, rollback, create and prune: the old state or the new, never a mixture.

The driver at the end runs in a process of its own: it forks once for every file operation k, lets the child die before
its k-th one, and checks what the child left behind; then the same command runs again and must end in the same bytes.
"""

import builtins
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from configs.errors import ArtifactError
from store.artifact import create, is_complete, verify
from store.workspace import Workspace

EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PARTS = ("embeddings", "segments")


def write_part(folder: Path, seed: int, key: str) -> None:
    """A small finished artifact."""
    with create(folder, folder.name, 1, key) as part:
        part.path("deep/data.bin").write_bytes(bytes((seed * 31 + i) % 256 for i in range(300)))
        part.write_json("facts.json", {"seed": seed})


def stage(workspace: Workspace, key: str, seed: int) -> None:
    """A snapshot ready to publish."""
    for name in PARTS:
        write_part(workspace.staging / key / name, seed, key)


def publish(workspace: Workspace, key: str) -> None:
    """Publish with figures that depend on the key alone."""
    workspace.publish(key, {"model": "m"}, {"customers": 3}, {"recall": 0.99})


def tree(folder: Path) -> dict[str, str]:
    """Every file's hash."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def before_each(act: Callable[[int], None]) -> None:
    """From now on, call `act(k)` before the k-th (from 0) file operation of this process that changes something."""
    count, acting = 0, False

    def step() -> None:
        nonlocal count, acting
        if acting:  # what `act` does to files itself
            return
        acting = True
        act(count)
        acting, count = False, count + 1

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event not in EVENTS:
            return
        if event == "open":
            mode, flags = args[1], args[2]
            writes = bool(flags & WRITES) if isinstance(flags, int) else any(c in str(mode) for c in "wax+")
            if not writes:
                return
        step()

    really = io.open

    def opened(*args: Any, **options: Any) -> Any:
        handle = really(*args, **options)
        if handle.writable():
            step()  # the file is emptied and nothing is written yet
        return handle

    io.open = builtins.open = opened
    os.fsync = lambda fd: step()
    sys.addaudithook(hook)


def die_before(k: int) -> None:
    """SIGKILL this process before its k-th file operation that changes something."""
    before_each(lambda count: os.kill(os.getpid(), signal.SIGKILL) if count == k else None)


def survives(k: int, act: Callable[[], None]) -> bool:
    """Run `act` in a child that dies before its k-th file operation; whether it lived to the end."""
    child = os.fork()
    if child == 0:
        try:
            die_before(k)
            act()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return True


def every_kill(
    base: Path,
    prepare: Callable[[Path], None],
    act: Callable[[Path], None],
    check: Callable[[Path], None],
    finished: Callable[[Path], object],
) -> int:
    """Kill `act` before each operation: `check` what is left, act again, compare `finished` with an undisturbed run."""
    undisturbed = base / "whole"
    prepare(undisturbed)
    act(undisturbed)
    wanted, k = finished(undisturbed), 0
    while True:
        root = base / f"k{k}"
        prepare(root)
        lived = survives(k, lambda root=root: act(root))  # type: ignore[misc]
        check(root)
        act(root)
        assert finished(root) == wanted, f"killed before operation {k}, the rerun ended in other bytes"
        shutil.rmtree(root)
        if lived:
            return k
        k += 1


def publish_first(base: Path) -> int:
    """Nothing is served before."""

    def prepare(root: Path) -> None:
        stage(Workspace.create(root), "new", 2)

    def act(root: Path) -> None:
        publish(Workspace.create(root), "new")

    def check(root: Path) -> None:
        served = Workspace.open(root).current()
        assert served in (None, "s-new")
        if served:
            Workspace.open(root).verify_snapshot()

    return every_kill(base, prepare, act, check, tree)


def publish_next(base: Path) -> int:
    """The second snapshot: the first stays served until the second is."""

    def prepare(root: Path) -> None:
        workspace = Workspace.create(root)
        stage(workspace, "old", 1)
        publish(workspace, "old")
        stage(workspace, "new", 2)

    def act(root: Path) -> None:
        publish(Workspace.create(root), "new")

    def check(root: Path) -> None:
        workspace = Workspace.open(root)
        assert workspace.current() in ("s-old", "s-new")
        workspace.verify_snapshot()
        workspace.verify_snapshot("s-old")

    return every_kill(base, prepare, act, check, tree)


def publish_over_damage(base: Path) -> int:
    """A snapshot that rotted is built again under its old name."""

    def prepare(root: Path) -> None:
        workspace = Workspace.create(root)
        stage(workspace, "old", 1)
        publish(workspace, "old")
        stage(workspace, "new", 2)
        publish(workspace, "new")
        (workspace.snapshots / "s-new" / "segments" / "facts.json").write_text("rot")
        workspace.rollback()
        stage(workspace, "new", 2)

    def act(root: Path) -> None:
        publish(Workspace.create(root), "new")

    def check(root: Path) -> None:
        workspace = Workspace.open(root)
        assert workspace.current() in ("s-old", "s-new")
        workspace.verify_snapshot()

    return every_kill(base, prepare, act, check, tree)


def roll_back(base: Path) -> int:
    """Two are published; going back by name ends on the first."""

    def prepare(root: Path) -> None:
        workspace = Workspace.create(root)
        for seed, key in enumerate(("a", "b", "c")):
            stage(workspace, key, seed)
            publish(workspace, key)

    def act(root: Path) -> None:
        workspace = Workspace.open(root)
        if workspace.current() != "s-b":
            workspace.rollback("s-b")

    def check(root: Path) -> None:
        workspace = Workspace.open(root)
        assert workspace.current() in ("s-b", "s-c")
        workspace.verify_snapshot()

    def finished(root: Path) -> object:
        workspace = Workspace.open(root)
        return tree(root), workspace.trail()

    return every_kill(base, prepare, act, check, finished)


def prune(base: Path) -> int:
    """The served one and its forerunner stay; of the others nothing half-deleted is ever listed."""

    def prepare(root: Path) -> None:
        workspace = Workspace.create(root)
        for seed, key in enumerate(("a", "b", "c", "d")):
            stage(workspace, key, seed)
            publish(workspace, key)

    def act(root: Path) -> None:
        Workspace.open(root).prune(keep=2)

    def check(root: Path) -> None:
        workspace = Workspace.open(root)
        for name in workspace.published():
            workspace.verify_snapshot(name)
        assert workspace.current() == "s-d"
        assert {"s-c", "s-d"} <= set(workspace.published())

    return every_kill(base, prepare, act, check, tree)


def create_over(base: Path) -> int:
    """An artifact of another key is replaced: whole old, whole new, or absent and then rebuilt."""

    def prepare(root: Path) -> None:
        root.mkdir()
        write_part(root / "index", 1, "old")

    def act(root: Path) -> None:
        write_part(root / "index", 2, "new")

    def check(root: Path) -> None:
        folder = root / "index"
        if folder.exists():
            assert verify(folder, "index", 1).key in ("old", "new")
            assert json.loads((folder / "facts.json").read_text())["seed"] in (1, 2)
        else:
            assert is_complete(root / ".index.old", "index", 1)

    return every_kill(base, prepare, act, check, tree)


SCENARIOS = {f.__name__: f for f in (publish_first, publish_next, publish_over_damage, roll_back, prune, create_over)}
LEAST = {
    "publish_first": 12,
    "publish_next": 12,
    "publish_over_damage": 12,
    "roll_back": 6,
    "prune": 6,
    "create_over": 8,
}


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one: hundreds of workspaces are made, and none needs to last."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_before_any_file_operation_leaves_old_or_new(scenario: str, quick_disk: Path) -> None:
    """Also says how many kills were tried, so that a hook that sees nothing cannot pass."""
    home = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, __file__, scenario, str(quick_disk)], env=home, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= LEAST[scenario]


def test_an_artifact_that_stands_is_kept(tmp_path: Path) -> None:
    """Writing the same key again leaves the files of the first alone, since someone may have them mapped."""
    write_part(tmp_path / "index", 1, "same")
    before = (tmp_path / "index" / "facts.json").stat().st_ino
    write_part(tmp_path / "index", 1, "same")
    assert (tmp_path / "index" / "facts.json").stat().st_ino == before
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_damage_to_a_part_is_not_sealed_in(tmp_path: Path) -> None:
    """A part that rotted between its writing and the publication stops the publication and is named."""
    workspace = Workspace.create(tmp_path)
    stage(workspace, "k", 1)
    (workspace.staging / "k" / "embeddings" / "facts.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"embeddings/facts\.json: its SHA-256 differs"):
        publish(workspace, "k")
    assert workspace.current() is None
    assert workspace.published() == []


if __name__ == "__main__":
    os.fsync = lambda fd: None  # a killed process, unlike a power cut, leaves what it wrote to the system's care
    print(SCENARIOS[sys.argv[1]](Path(sys.argv[2])))
