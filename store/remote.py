"""A workspace in an object store, mirrored by a local folder in which everything is computed.

    s3://bucket/prefix/
      current              JSON: the served snapshot, the trail, and the path, size and SHA-256 of every file
      objects/<sha256>     the files' bytes, each under its own checksum, never changed
      lease                who writes at the moment

Files are named by what they hold, so that an upload never touches what is served: whoever is killed in the middle
leaves the old `current` with all its files. A push ends with one conditional write of `current`; of two writers that
began from the same one, the second is refused. Files that are equal in two snapshots are sent and kept once.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError, ConflictError, InputError, NotFoundError, storage_errors
from store.artifact import MANIFEST, put, read_manifest, write_atomic
from store.digests import sha256
from store.lease import LASTS_S, Lease, leased
from store.objects import PROTOCOL, Objects
from store.workspace import Workspace

FORMAT = 1
CURRENT, BLOBS = "current", "objects"
FOLDERS = ("eventlog", "models", "snapshots")
"""Folders of artifacts: each below them is fetched whole, and only where it is needed."""
LOOSE = ("audiences", "saved", "nights")
"""Folders that are mirrored file by file."""
CATALOGUE, SEEN, LAYERS = "catalogue.db", ".mirror.json", "layers.json"
TRIES = 5

Files = dict[str, dict[str, Any]]
"""Path in the workspace -> {"size": bytes, "sha256": hex}."""


@dataclass(frozen=True)
class Head:
    """What `current` says."""

    snapshot: str | None = None
    trail: tuple[str, ...] = ()
    files: Files = field(default_factory=dict)
    tag: str | None = None
    """Of the object that it was read from; None where there is none yet."""

    def below(self, folder: str) -> Files:
        """The files in a folder."""
        return {path: about for path, about in self.files.items() if path.startswith(f"{folder}/")}

    def to_json(self) -> bytes:
        """The text of `current`."""
        body = {"format": FORMAT, "snapshot": self.snapshot, "trail": self.trail, "files": self.files}
        return json.dumps(body, sort_keys=True, indent=1).encode() + b"\n"


class RemoteWorkspace:
    """A workspace in an object store and its mirror on this machine."""

    def __init__(self, url: str, cache: Path | None = None, objects: Objects | None = None) -> None:
        self.objects = objects or Objects(url)
        name = sha256_of(self.objects.url.encode()).hexdigest()[:16]
        self.local = Workspace.create((cache or default_cache()) / name)
        self.base = Head()
        """What the mirror began from: the head of the last pull or push."""

    def lease(self, lasts: float = LASTS_S) -> AbstractContextManager[Lease]:
        """Hold the lease of the workspace, for writers. Raises ConflictError where another one holds it."""
        return leased(self.objects, lasts)

    def head(self) -> Head:
        """What is served now. Raises ArtifactError where `current` is damaged, StorageError."""
        stored = self.objects.read(CURRENT)
        if stored is None:
            return Head()
        try:
            body = json.loads(stored.body)
            if body["format"] > FORMAT:
                raise ArtifactError(f"{self.objects.url}: written by a newer version of kinfolk; upgrade kinfolk")
            return Head(body["snapshot"], tuple(body["trail"]), body["files"], stored.tag)
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{self.objects.url}/{CURRENT}: damaged ({error}); restore its last version in the object store"
            ) from None

    def poll(self) -> bool:
        """Pull where `current` has moved since the last pull or push, and tell whether it had: for a service."""
        if self.head().tag == self.base.tag:
            return False
        self.pull()
        return True

    def pull(self, *names: str, everything: bool = False) -> str | None:
        """Bring what the served snapshot needs, and the snapshots `names`, to this machine; the served one's name.

        What is there already is not fetched again. `everything` brings all there is, as an erasure needs it. Raises
        ArtifactError naming an object that is damaged or missing, NotFoundError where there is no such snapshot,
        StorageError.
        """
        for attempt in range(TRIES):
            head = self.head()
            try:
                self._mirror(head, _folders(head) if everything else [f"snapshots/{name}" for name in names])
            except ArtifactError:
                # a writer may have moved on and removed what nobody names any more
                if attempt + 1 == TRIES or self.head().tag == head.tag:
                    raise
                continue
            self.base = head
            return head.snapshot
        raise AssertionError("unreachable")

    def push(self, lease: Lease) -> None:
        """Make what is served here the served one of the store: its files first, then `current` in one step.

        Raises ConflictError, with nothing changed, where another writer moved `current` since the last pull.
        """
        lease.check()
        with _standing_catalogue(self.local) as catalogue:
            here = self._here()
            paths = {path: self.local.root / path for path in here}
            if catalogue is not None:
                here[CATALOGUE], paths[CATALOGUE] = _about(catalogue), catalogue
            seen = self._seen()
            kept = {path: about for path, about in self.base.files.items() if path not in here and path not in seen}
            stored = self.objects.names(BLOBS)
            for path, about in here.items():
                if about["sha256"] not in stored:
                    self.objects.upload(paths[path], f"{BLOBS}/{about['sha256']}")
                    stored.add(about["sha256"])
        self._move(lease, Head(self.local.current(), self._trail(), kept | here, self.base.tag), here)

    def _move(self, lease: Lease, wanted: Head, here: Files) -> None:
        lease.check()
        tag = self.objects.write_if(CURRENT, wanted.to_json(), wanted.tag)
        if tag is None:
            raise ConflictError(
                f"{self.objects.url}: another job has published since this one began; start the same command again"
            )
        self.base = Head(wanted.snapshot, wanted.trail, wanted.files, tag)
        self._note(here)

    def collect(self, lease: Lease) -> int:
        """Remove objects that `current` does not name, such as those of pruned snapshots; how many."""
        lease.check()
        named = {about["sha256"] for about in self.head().files.values()}
        gone = sorted(self.objects.names(BLOBS) - named)
        self.objects.remove([f"{BLOBS}/{name}" for name in gone])
        return len(gone)

    def _trail(self) -> tuple[str, ...]:
        """The way back: what was known of it, up to the served one."""
        name = self.local.current()
        before = self.base.trail
        if name is None or name in before:
            return before[: before.index(name) + 1] if name else before
        return (*before, name)

    def _mirror(self, head: Head, folders: Iterable[str]) -> None:
        with storage_errors(self.local.root):
            for folder in folders:
                if not head.below(folder):
                    raise NotFoundError(f"{self.objects.url}: there is no {folder}")
                self._fetch_folder(head, folder)
            if head.snapshot is not None:
                self._fetch_served(head, head.snapshot)
            self._fetch_loose(head)
            here = {path: about for path, about in head.files.items() if (self.local.root / path).is_file()}
            self._note(here)
            if head.snapshot is not None:  # last, so that what it names stands
                write_atomic(self.local.trail_file, "".join(f"{name}\n" for name in head.trail))
                write_atomic(self.local.pointer, f"{head.snapshot}\n")

    def _fetch_served(self, head: Head, name: str) -> None:
        self._fetch_folder(head, f"snapshots/{name}")
        parents = read_manifest(self.local.snapshots / name).parents
        if "model" in parents:
            self._fetch_folder(head, f"models/{parents['model']}")
        if "eventlog" in parents:
            self._fetch_folder(head, f"eventlog/{parents['eventlog']}")
            layers = self.local.eventlogs / parents["eventlog"] / LAYERS
            if layers.is_file():
                for key in json.loads(layers.read_text(encoding="utf-8"))["layers"]:
                    self._fetch_folder(head, f"eventlog/{key}")

    def _fetch_folder(self, head: Head, folder: str) -> None:
        """An artifact, whole or not at all; one of equal manifest is here already."""
        files, target = head.below(folder), self.local.root / folder
        if not files:
            return
        manifest = target / MANIFEST
        if manifest.is_file() and sha256(manifest) == files[f"{folder}/{MANIFEST}"]["sha256"]:
            return
        beside = target.with_name(f".{target.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            for path, about in files.items():
                self._fetch(about, beside / Path(path).relative_to(folder), path)
            put(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _fetch_loose(self, head: Head) -> None:
        """Saved audiences, reports and the catalogue: those that differ are replaced, those that are gone removed."""
        wanted = {path: about for path, about in head.files.items() if path.split("/")[0] in (*LOOSE, CATALOGUE)}
        for path, about in wanted.items():
            target = self.local.root / path
            if target.is_file() and sha256(target) == about["sha256"]:
                continue
            beside = target.with_name(f".{target.name}.part")
            self._fetch(about, beside, path)
            if path == CATALOGUE:  # what SQLite keeps beside it belongs to the one before
                for leftover in ("-wal", "-shm"):
                    target.with_name(target.name + leftover).unlink(missing_ok=True)
            os.replace(beside, target)
        for path in self._seen():
            if path.split("/")[0] in LOOSE and path not in wanted:
                (self.local.root / path).unlink(missing_ok=True)

    def _fetch(self, about: Mapping[str, Any], target: Path, path: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f"{BLOBS}/{about['sha256']}"
        if not self.objects.download(name, target):
            raise ArtifactError(f"{self.objects.url}/{name}: missing, it holds {path}; restore it from a backup")
        if sha256(target) != about["sha256"]:
            target.unlink()
            raise ArtifactError(
                f"{self.objects.url}/{name}: its SHA-256 differs from its name, so it is corrupt; it holds {path}, "
                "restore it from a backup"
            )

    def _here(self) -> Files:
        """What is to be mirrored of this machine's files. Those whose size and time are as noted are not read again."""
        noted, found = self._seen(), {}
        for top in (*FOLDERS, *LOOSE):
            for path in sorted((self.local.root / top).rglob("*")):
                name = path.relative_to(self.local.root).as_posix()
                if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                    before = noted.get(name)
                    same = before is not None and before["at"] == _stat(path)
                    found[name] = {k: before[k] for k in ("size", "sha256")} if same and before else _about(path)
        return found

    def _seen(self) -> dict[str, dict[str, Any]]:
        """Files that were both here and there at the last pull or push, and how they looked."""
        with suppress(OSError, ValueError):
            noted: dict[str, dict[str, Any]] = json.loads((self.local.root / SEEN).read_text(encoding="utf-8"))
            return noted
        return {}

    def _note(self, here: Files) -> None:
        noted = {
            path: {**about, "at": _stat(self.local.root / path)}
            for path, about in here.items()
            if path != CATALOGUE and (self.local.root / path).is_file()
        }
        write_atomic(self.local.root / SEEN, json.dumps(noted, sort_keys=True))


def _folders(head: Head) -> list[str]:
    """Every artifact that `current` names."""
    return sorted({"/".join(path.split("/")[:2]) for path in head.files if path.split("/")[0] in FOLDERS})


def default_cache() -> Path:
    """Where mirrors lie: KINFOLK_CACHE, or ~/.cache/kinfolk."""
    return Path(os.environ.get("KINFOLK_CACHE") or Path.home() / ".cache" / "kinfolk")


def is_remote(where: str) -> bool:
    """Whether a workspace is named by URL."""
    return "://" in where


@contextmanager
def opened(
    where: str, *, write: bool = False, everything: bool = False, cache: Path | None = None
) -> Iterator[Workspace]:
    """A workspace by folder or URL. One in an object store is pulled first (`everything`: with all that is not served
    as well) and, where `write`, pushed at the end.

    Where the block raises, nothing is pushed, and what was finished stays in the mirror, for the next try to find.
    Raises ConflictError where another job writes; a reader beside a writer on the same machine reads what stands.
    """
    if not is_remote(where):
        yield Workspace.create(Path(where)) if write else Workspace.open(Path(where))
        return
    if not where.startswith(PROTOCOL):
        raise InputError(f"{where}: accepted as a workspace: a folder, or s3://bucket/prefix")
    remote = RemoteWorkspace(where, cache)
    if not write:
        with suppress(ConflictError), remote.local.lock():
            remote.pull(everything=everything)
        yield remote.local
        return
    with remote.lease() as lease:
        with remote.local.lock():
            remote.pull(everything=everything)
        yield remote.local
        remote.push(lease)
        remote.collect(lease)


@contextmanager
def _standing_catalogue(workspace: Workspace) -> Iterator[Path | None]:
    """A copy of the SQLite catalogue at one moment, whoever has it open; None where there is none."""
    if not workspace.catalogue.is_file():
        yield None
        return
    copy = workspace.root / ".catalogue.part"
    try:
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(workspace.catalogue)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _about(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
