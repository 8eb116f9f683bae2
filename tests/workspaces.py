"""Workspaces of small snapshots, for tests of the lock, going back, and disks that fail."""

import os
from pathlib import Path

import store
from store.artifact import create
from store.workspace import Workspace

HOME = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])}
"""What a process of its own needs to find the packages."""


def publish(workspace: Workspace, key: str, size: int = 100) -> str:
    """Publish a snapshot of one part, made of `key`."""
    with create(workspace.staging / key / "embeddings", "embeddings", 1, key) as part:
        part.path("vectors.bin").write_bytes((key.encode() * size)[:size])
    return workspace.publish(key, {}, {"customers": size}, {})


def damage(workspace: Workspace, name: str) -> None:
    """Flip a bit of a snapshot's vectors."""
    path = workspace.snapshots / name / "embeddings" / "vectors.bin"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def take(workspace: Workspace) -> None:
    """Take the lock and let go."""
    with workspace.lock():
        pass


def three_snapshots(root: Path) -> Workspace:
    """Snapshots a, b, c were published; c is served."""
    workspace = Workspace.create(root)
    for key in ("a", "b", "c"):
        publish(workspace, key)
    return workspace
