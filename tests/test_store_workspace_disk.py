"""A workspace on a disk that is full or read-only."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workspaces import HOME, publish, take, three_snapshots

from configs.errors import StorageError
from store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Snapshots a, b, c were published; c is served."""
    return three_snapshots(tmp_path / "workspace")


LIMITED = """
import resource, sys
from pathlib import Path
from configs.errors import StorageError
from store.artifact import create
from store.workspace import Workspace
root, limit = Path(sys.argv[1]), int(sys.argv[2])
workspace = Workspace.open(root)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    with workspace.lock():
        with create(workspace.staging / "d" / "embeddings", "embeddings", 1, "d") as part:
            part.path("vectors.bin").write_bytes(bytes(5000))
        workspace.publish("d", {}, {}, {})
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 1, 10, 700, 4999])
def test_a_disk_that_refuses_to_grow_a_file(workspace: Workspace, limit: int) -> None:
    """Wherever EFBIG strikes (lock, data, manifest): one sentence, nothing half-written, the old snapshot served.

    Python ignores SIGXFSZ, which would otherwise end the process.
    """
    command = [sys.executable, "-c", LIMITED, str(workspace.root), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, env=HOME, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "size limit" in done.stdout
    assert "start the same command again" in done.stdout
    assert workspace.current() == "s-c"
    workspace.verify_snapshot()
    assert list(workspace.root.rglob("*.part")) == []
    assert publish(workspace, "d", 5000) == workspace.current() == "s-d"


def test_a_disk_that_fills_up_at_any_write(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC from the k-th fsync or rename on: StorageError, the old snapshot served, and a rerun succeeds."""
    really = {"fsync": os.fsync, "replace": os.replace}
    for k in range(100):
        left = k

        def failing(*args: object, name: str) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "No space left on device")
            return really[name](*args)  # type: ignore[operator]

        with monkeypatch.context() as patch:
            for name in really:
                patch.setattr(os, name, lambda *args, name=name: failing(*args, name=name))
            try:
                publish(workspace, f"k{k}")
            except StorageError as error:
                words = str(error)
            else:
                assert k > 8
                return
        assert "the disk is full" in words
        served = workspace.verify_snapshot().key
        assert served in {"c", *(f"k{i}" for i in range(k + 1))}
        assert list(workspace.root.rglob("*.part")) == []
        publish(workspace, f"k{k}")
    pytest.fail("the disk never let it through")


@contextmanager
def without_root() -> Iterator[None]:
    """Root may write everywhere; become nobody for a moment, so that permissions count."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_read_only_workspace() -> None:
    """Reading works; locking, publishing and going back say why they do not."""
    with tempfile.TemporaryDirectory() as home:  # outside pytest's private folder, which nobody may enter
        os.chmod(home, 0o755)
        root = Path(home) / "workspace"
        workspace = Workspace.create(root)
        publish(workspace, "a")
        publish(workspace, "b")
        folders = [p for p in (root, *root.rglob("*")) if p.is_dir()]
        for folder in folders:
            folder.chmod(0o555)
        for file in (p for p in root.rglob("*") if p.is_file()):
            file.chmod(0o444)
        try:
            with without_root():
                assert workspace.verify_snapshot().key == "b"
                for act in (
                    lambda: take(workspace),
                    workspace.rollback,
                    lambda: publish(workspace, "c"),
                    lambda: workspace.prune(1),
                    lambda: Workspace.create(root / "inner"),
                ):
                    with pytest.raises(StorageError, match="permission is denied"):
                        act()
        finally:
            for folder in folders:
                folder.chmod(0o755)
        assert workspace.current() == "s-b"
