"""The workspace: where everything lives, one writer at a time, one pointer to what is served.

    workspace/
      eventlog/<key>/         prepared logs
      models/<key>/           trained models
      staging/<key>/          parts of a snapshot that is not published yet
      snapshots/<name>/       finished snapshots: embeddings/, index/, segments/, behaviour/, manifest
      audiences/<id>/         lookalike audiences that were made: members, report
      saved/<name>/           audiences that are refreshed with every snapshot: definitions, editions
      nights/<day>-<name>/    reports of nights, and their events about customers
      erasures/<id>.json      receipts of erasures
      current                 the name of the snapshot being served
      trail                   names of the snapshots served so far, the last one last: the way back of a rollback
      catalogue.db            runs, audiences, keys, audit log
      erasure.json, .erasure  an erasure that is under way (`store.rewrite`)
      lock, current.lock      held by the kernel for the writing job, and while the pointer moves

Reading needs no lock: a reader sees finished folders only, and the pointer changes in one step.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError, BusyError, ConflictError, NotFoundError, StorageError, storage_errors
from store.artifact import Manifest, put, read_manifest, seal, verify, write_atomic
from store.rewrite import JOURNAL, settle

SNAPSHOT_VERSION = 1
RETIRED = ".old"
"""Ends the hidden name of what waits to be deleted."""
SNAPSHOT_NAME = re.compile(r"s-[0-9A-Za-z][0-9A-Za-z_-]{0,99}")

_held: set[int] = set()
"""Lock handles of this process. A forked child must not keep the workspace locked when its parent is killed."""


def _let_go() -> None:
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


class Workspace:
    """Paths of a workspace and the few operations that change what is served."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.eventlogs = root / "eventlog"
        self.models = root / "models"
        self.staging = root / "staging"
        self.snapshots = root / "snapshots"
        self.audiences = root / "audiences"
        self.saved = root / "saved"
        self.nights = root / "nights"
        self.erasures = root / "erasures"
        self.pointer = root / "current"
        self.trail_file = root / "trail"
        self.catalogue = root / "catalogue.db"

    @classmethod
    def create(cls, root: Path) -> "Workspace":
        """Open the workspace at `root`, making its folders where they are missing. Raises StorageError."""
        workspace = cls(root)
        with storage_errors(root):
            if not root.exists():  # people's money and habits are in it; who shares it with a group opens it to them
                with suppress(OSError):
                    root.mkdir(mode=0o700, parents=True)
            for folder in (workspace.eventlogs, workspace.models, workspace.staging, workspace.snapshots):
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    raise StorageError(f"{folder}: a file is in the way; name a folder as the workspace") from None
                except FileNotFoundError:  # such as below /proc, or through a link that leads nowhere
                    raise StorageError(f"{root}: no folder can be made here; name another workspace") from None
        return workspace

    @classmethod
    def open(cls, root: Path) -> "Workspace":
        """Open an existing workspace. Raises NotFoundError where there is none."""
        if not (root / "snapshots").is_dir():
            raise NotFoundError(f"{root}: not a kinfolk workspace; `kinfolk run RECIPE --workspace {root}` makes one")
        workspace = cls(root)
        workspace.go_on()
        return workspace

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; the kernel lets go when the process dies, however it dies.

        Raises BusyError, naming the holder's process id, where a job holds it already, this process included.
        """
        with flocked(self.root / "lock", wait=False) as handle:
            with storage_errors(self.root / "lock"):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            settle(self.root)  # an erasure that was killed is finished before anything else happens
            yield

    def go_on(self) -> None:
        """Finish an erasure that was decided and then killed; leaves it to the holder of the lock where there is one,
        and to somebody who may write where this process may not."""
        if (self.root / JOURNAL).exists():
            with suppress(ConflictError, StorageError), self.lock():
                pass

    def last_erasure(self) -> int:
        """Grows with every erasure of customers; 0 while there was none. Kept snapshots are the same until it does."""
        try:
            return self.erasures.stat().st_mtime_ns
        except OSError:
            return 0

    def current(self) -> str | None:
        """Name of the served snapshot, None before the first publication. Raises ArtifactError on a damaged pointer."""
        try:
            with storage_errors(self.pointer):
                raw = self.pointer.read_bytes()
        except FileNotFoundError:
            return None
        name = raw.decode("ascii", errors="replace").removesuffix("\n")
        if not raw.endswith(b"\n") or not SNAPSHOT_NAME.fullmatch(name):
            raise ArtifactError(
                f"{self.pointer}: damaged, it must hold one line with a snapshot's name; {self._repair()}"
            )
        return name

    def _repair(self) -> str:
        names = ", ".join(self.published()) or "none"
        return f"`kinfolk rollback SNAPSHOT` writes it anew (there are: {names})"

    def published(self) -> list[str]:
        """Names of all finished snapshots, sorted by name."""
        return sorted(p.name for p in self.snapshots.iterdir() if SNAPSHOT_NAME.fullmatch(p.name) and p.is_dir())

    def trail(self) -> list[str]:
        """Names of the snapshots served so far that still stand, the last one last; a rollback shortens it."""
        try:
            text = self.trail_file.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return []
        standing = set(self.published())
        return [name for name in text.split() if name in standing]

    def snapshot_folder(self, name: str | None = None) -> Path:
        """Folder of a snapshot (the served one where no name is given).

        Raises NotFoundError, and ArtifactError where the pointer names a snapshot that does not stand.
        """
        wanted = name or self.current()
        if wanted is None:
            raise NotFoundError(
                f"{self.root}: no snapshot is published yet; `kinfolk run RECIPE --workspace {self.root}` makes one"
            )
        standing = self.published()
        if wanted not in standing and name is None:
            raise ArtifactError(f"{self.pointer}: names snapshot {wanted!r}, which is missing; {self._repair()}")
        if wanted not in standing:
            raise NotFoundError(f"{self.root}: no snapshot {wanted!r}; there are: {', '.join(standing) or 'none'}")
        return self.snapshots / wanted

    def verify_snapshot(self, name: str | None = None, *, deep: bool = True, share: float = 1.0) -> Manifest:
        """Check every file of a snapshot against its manifest; ArtifactError names what is damaged."""
        return verify(self.snapshot_folder(name), "snapshot", SNAPSHOT_VERSION, deep=deep, share=share)

    def manifest(self, name: str | None = None) -> Manifest:
        """The manifest of a snapshot, its own checksum checked, its files not."""
        folder = self.snapshot_folder(name)
        manifest = read_manifest(folder)
        if manifest.version > SNAPSHOT_VERSION:
            raise ArtifactError(f"{folder}: written by a newer version of kinfolk; upgrade kinfolk")
        return manifest

    def publish(
        self, key: str, parents: Mapping[str, str], counts: Mapping[str, int], figures: Mapping[str, Any]
    ) -> str:
        """Publish staging/<key>, whose parts are finished artifacts, and return the snapshot's name.

        First `finish`, then the pointer is swapped: each step is one rename, so a reader sees the old snapshot or the
        new one. Started again after a kill, it goes on where it stopped. For the holder of `lock`. Raises ArtifactError
        where a part is damaged, StorageError; then the old one stays served.
        """
        name = self.finish(key, parents, counts, figures)
        self.point_to(name)
        return name

    def finish(
        self, key: str, parents: Mapping[str, str], counts: Mapping[str, int], figures: Mapping[str, Any]
    ) -> str:
        """Seal staging/<key> and rename it into snapshots/, without serving it; returns the snapshot's name.

        For the holder of `lock`. Raises ArtifactError where a part is damaged, StorageError.
        """
        name, staged = f"s-{key}", self.staging / key
        if not SNAPSHOT_NAME.fullmatch(name):
            raise ValueError(f"key {key!r} makes no snapshot name")
        with storage_errors(staged):
            # a snapshot that stands already is kept: its bytes are the same, and someone may be reading it
            if staged.is_dir() and not self._stands(name):
                _check_parts(staged)
                seal(staged, Manifest("snapshot", SNAPSHOT_VERSION, key, parents, counts, figures))
                put(staged, self.snapshots / name)
            for leftover in (staged, self.snapshots / f".{name}{RETIRED}"):
                shutil.rmtree(leftover, ignore_errors=True)
        return name

    def _stands(self, name: str) -> bool:
        try:
            self.verify_snapshot(name)
        except (ArtifactError, NotFoundError):
            return False
        return True

    def point_to(self, name: str, *, deep: bool = True) -> None:
        """Serve the snapshot `name` from now on; verifies it first. Raises NotFoundError or ArtifactError.

        Without `deep` sizes alone are looked at: for who sealed it a moment ago, which reads every byte.
        """
        with flocked(self.root / "current.lock", wait=True):
            self.verify_snapshot(name, deep=deep)
            self._move_pointer(name, [*(n for n in self.trail() if n != name), name])

    def rollback(self, to: str | None = None) -> str:
        """Serve an older snapshot again (the one served before where none is named) and return its name.

        Needs no `lock`: it also works while a long job writes. A second rollback goes back further. The snapshot is
        verified before the pointer moves. Raises NotFoundError (none before, or no such one), ConflictError (served
        already), ArtifactError (the one to go back to is damaged, or no name is given and the pointer is damaged).
        """
        with flocked(self.root / "current.lock", wait=True):
            trail = self.trail()
            target = to or self._before(trail)
            self.verify_snapshot(target)
            if not self._pointer_is_damaged() and target == self.current():
                raise ConflictError(f"{self.root}: snapshot {target} is being served already")
            way = trail[: trail.index(target) + 1] if target in trail else [*trail, target]
            self._move_pointer(target, way)
        return target

    def _before(self, trail: list[str]) -> str:
        now = self.snapshot_folder().name
        # a job killed while it moved the pointer leaves a trail without the served one: its last name came before
        earlier = trail[: trail.index(now)] if now in trail else trail
        if not earlier:
            raise NotFoundError(
                f"{self.root}: no snapshot was served before {now}; name one of: {', '.join(self.published())}"
            )
        return earlier[-1]

    def _pointer_is_damaged(self) -> bool:
        try:
            self.current()
        except ArtifactError:
            return True
        return False

    def _move_pointer(self, name: str, trail: list[str]) -> None:
        # the trail first: killed in between, the old snapshot stays served and still finds its way back
        lines = "".join(f"{n}\n" for n in trail)
        write_atomic(self.trail_file, lines)
        write_atomic(self.pointer, name + "\n")

    def retire(self, keep: int, protected: Collection[str] = ()) -> None:
        """Take old snapshots out of sight, all but the `keep` last served ones and the `protected`.

        The served snapshot always stays, and where the pointer is damaged nothing goes (ArtifactError). For the holder
        of `lock`.
        """
        if keep < 1:
            raise ValueError("keep: at least the served snapshot is kept")
        with storage_errors(self.snapshots), flocked(self.root / "current.lock", wait=True):
            if self.current() is not None:
                spared = {*self.trail()[-keep:], *protected, self.snapshot_folder().name}
                for name in self.published():  # in one step each, so that a kill leaves no half-deleted snapshot
                    if name not in spared:
                        os.replace(self.snapshots / name, self.snapshots / f".{name}{RETIRED}")

    def retired(self) -> list[Path]:
        """Folders of snapshots that wait to be deleted, those of a job that was killed among them."""
        return sorted(self.snapshots.glob(f".*{RETIRED}"))

    def prune(self, keep: int, protected: Collection[str] = ()) -> list[str]:
        """Delete what `retire` takes out of sight, and return the names of the snapshots.

        A reader that has a deleted snapshot's files open or mapped keeps reading them. For the holder of `lock`.
        """
        standing = self.published()
        self.retire(keep, protected)
        with storage_errors(self.snapshots):
            for folder in self.retired():
                shutil.rmtree(folder)
        return [name for name in standing if name not in self.published()]


def _check_parts(staged: Path) -> None:
    parts = sorted(p for p in staged.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not parts:
        raise ArtifactError(f"{staged}: holds no finished part, so there is nothing to publish; run the command again")
    for part in parts:
        read_manifest(part)


@contextmanager
def flocked(path: Path, *, wait: bool, shared: bool = False) -> Iterator[int]:
    """Hold a lock on the file `path`, alone or `shared` with others who share it; what stands in the file (a process
    id) means nothing once the lock is free."""
    with storage_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _held.add(handle)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", errors="replace").strip() or "unknown"
            raise BusyError(
                f"{path.parent}: in use by another job (process {holder}); wait for it to end or stop it, "
                "then start again"
            ) from None
        except OSError as error:
            raise StorageError(f"{path}: this disk cannot lock files ({error.strerror}); choose another one") from None
        yield handle
    finally:
        if handle in _held:  # a forked child has let go already
            _held.discard(handle)
            os.close(handle)
