"""The workspace: where everything lives, one writer at a time, one pointer to what is served.

    workspace/
      eventlog/<key>/         prepared logs
      models/<key>/           trained models
      staging/<key>/          parts of a snapshot that is not published yet
      snapshots/<name>/       published snapshots: embeddings/, index/, segments/, behaviour/, manifest
      current                 the name of the snapshot being served
      catalogue.db            runs, audiences, keys, audit log
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError, ConflictError, NotFoundError, storage_errors
from store.artifact import Manifest, fsync, read_manifest, seal, verify, write_atomic

SNAPSHOT_VERSION = 1


class Workspace:
    """Paths of a workspace and the few operations that change what is served."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.eventlogs = root / "eventlog"
        self.models = root / "models"
        self.staging = root / "staging"
        self.snapshots = root / "snapshots"
        self.pointer = root / "current"
        self.catalogue = root / "catalogue.db"

    @classmethod
    def create(cls, root: Path) -> "Workspace":
        """Open the workspace at `root`, making its folders where they are missing."""
        workspace = cls(root)
        with storage_errors(root):
            for folder in (workspace.eventlogs, workspace.models, workspace.staging, workspace.snapshots):
                folder.mkdir(parents=True, exist_ok=True)
        return workspace

    @classmethod
    def open(cls, root: Path) -> "Workspace":
        """Open an existing workspace. Raises NotFoundError where there is none."""
        if not (root / "snapshots").is_dir():
            raise NotFoundError(f"{root}: not a kinfolk workspace; `kinfolk run RECIPE --workspace {root}` makes one")
        return cls(root)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; the kernel lets go when the process dies, however it dies.

        Raises ConflictError, naming the holder's process id, where another job holds it.
        """
        with storage_errors(self.root):
            handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
                raise ConflictError(
                    f"{self.root}: in use by another job (process {holder}); wait for it to end or stop it, then start again"
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def current(self) -> str | None:
        """Name of the served snapshot, None before the first publication."""
        try:
            return self.pointer.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def published(self) -> list[str]:
        """Names of all finished snapshots, sorted by name."""
        return sorted(p.name for p in self.snapshots.iterdir() if not p.name.startswith(".") and p.is_dir())

    def snapshot_folder(self, name: str | None = None) -> Path:
        """Folder of a snapshot (the served one where no name is given). Raises NotFoundError."""
        wanted = name or self.current()
        if wanted is None:
            raise NotFoundError(f"{self.root}: no snapshot is published yet; `kinfolk run RECIPE --workspace {self.root}` makes one")
        if wanted not in self.published():
            raise NotFoundError(f"{self.root}: no snapshot {wanted!r}; there are: {', '.join(self.published()) or 'none'}")
        return self.snapshots / wanted

    def verify_snapshot(self, name: str | None = None, *, deep: bool = True) -> Manifest:
        """Check every file of a snapshot against its manifest; ArtifactError names what is damaged."""
        return verify(self.snapshot_folder(name), "snapshot", SNAPSHOT_VERSION, deep=deep)

    def publish(self, key: str, parents: Mapping[str, str], counts: Mapping[str, int], figures: Mapping[str, Any]) -> str:
        """Publish staging/<key>, whose parts are finished artifacts, and return the snapshot's name.

        The folder is sealed and renamed into snapshots/, then the pointer is swapped: each step is one rename, so a
        reader sees the old snapshot or the new one. Started again after a kill, it goes on where it stopped.
        """
        name, staged = f"s-{key}", self.staging / key
        final = self.snapshots / name
        if staged.is_dir():
            # a snapshot that stands already is kept: its bytes are the same, and someone may be reading it
            if final.is_dir():
                shutil.rmtree(staged)
            else:
                with storage_errors(staged):
                    seal(staged, Manifest("snapshot", SNAPSHOT_VERSION, key, parents, counts, figures))
                    os.replace(staged, final)
                    fsync(self.snapshots)
        self.point_to(name)
        return name

    def point_to(self, name: str) -> None:
        """Serve the snapshot `name` from now on; verifies it first. Raises NotFoundError or ArtifactError."""
        self.verify_snapshot(name)
        write_atomic(self.pointer, name + "\n")

    def manifest(self, name: str | None = None) -> Manifest:
        """The manifest of a snapshot, its own checksum checked, its files not."""
        folder = self.snapshot_folder(name)
        manifest = read_manifest(folder)
        if manifest.version > SNAPSHOT_VERSION:
            raise ArtifactError(f"{folder}: written by a newer version of kinfolk; upgrade kinfolk")
        return manifest
