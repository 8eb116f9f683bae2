"""The folder on this machine that stands for a workspace in an object store: where it lies, and what it knows.

It is a cache: what a command has pushed can be fetched again, so that the folder may be deleted between two commands.
One folder stands for one URL of one server, and belongs to one user alone, since it holds customers and keys.
"""

import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any

from configs.errors import ArtifactError, BusyError, InputError, StorageError, storage_errors
from store.artifact import MANIFEST, sweep, write_atomic
from store.digests import sha256
from store.rewrite import JOURNAL, ROOM
from store.workspace import Workspace, flocked

FOLDERS = ("eventlog", "models", "snapshots")
"""Folders of artifacts: each below them is fetched whole, and only where it is needed."""
LOOSE = ("audiences", "saved", "nights", "erasures")
"""Folders that are mirrored file by file."""
CATALOGUE, NOTES = "catalogue.db", ".mirror.json"
VARIABLE = "KINFOLK_MIRROR"
PASSING, ADDING = ".passing", "adding.lock"
"""What is only passing through, such as half a download; held by services of this machine while they add files."""
PATIENCE_S = 10.0
SPARE = 64 << 20
"""Bytes that are to stay free beside what is fetched."""

Files = dict[str, dict[str, Any]]
"""Path in the workspace -> {"size": bytes, "sha256": hex}; of snapshots' manifests also when they were sealed, in
nanoseconds since 1970 ("modified")."""


@dataclass
class Notes:
    """What was both here and there at the last pull or push."""

    url: str
    endpoint: str
    files: Files = field(default_factory=dict)
    """With how they looked ("at")."""
    catalogue: str | None = None
    """SHA-256 of the catalogue's object."""
    copied: str | None = None
    """SHA-256 of a copy of the catalogue here at that moment: SQLite never gives back the very bytes it was given."""


class Mirror:
    """One mirror."""

    def __init__(self, url: str, endpoint: str, base: Path | None = None) -> None:
        """Open the mirror of a URL below `base`, or make it. Raises InputError where it is not this user's or of
        another URL, StorageError where there can be none."""
        key = sha256_of(f"{endpoint}\n{url}".encode()).hexdigest()[:16]
        words = re.sub(r"[^0-9a-z]+", "-", url.lower().partition("://")[2]).strip("-")[:40]
        self.root = (base or default_base()) / f"{words}-{key}"
        self.url, self.endpoint = url, endpoint
        _make_private(self.root)
        self.workspace = Workspace.create(self.root)
        if (noted := self.notes()) is not None and (noted.url, noted.endpoint) != (url, endpoint):
            raise InputError(f"{self.root}: mirrors {noted.url} of {noted.endpoint}, not {url}; delete that folder")

    @contextmanager
    def pulling(self) -> Iterator[None]:
        """Wait for and hold the right to change the mirror."""
        with flocked(self.root / "pull.lock", wait=True):
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the mirror for a writer, until its work is pushed. Raises BusyError naming the process that has it."""
        with flocked(self.root / "write.lock", wait=False) as handle:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield

    def notes(self) -> Notes | None:
        """What was noted last; None where nothing was, or it cannot be read."""
        with suppress(OSError, ValueError, TypeError):
            return Notes(**json.loads((self.root / NOTES).read_text(encoding="utf-8")))
        return None

    def note(self, files: Mapping[str, Mapping[str, Any]], catalogue: tuple[str | None, str | None]) -> None:
        """Note files that are both here and there, and the catalogue's two sums."""
        seen = {
            path: {**about, "at": looks(self.root / path)}
            for path, about in files.items()
            if path != CATALOGUE and (self.root / path).is_file()
        }
        notes = Notes(self.url, self.endpoint, seen, *catalogue)
        write_atomic(self.root / NOTES, json.dumps(asdict(notes), sort_keys=True))

    def artifacts(self) -> list[str]:
        """Finished artifacts that stand here, as `models/<key>`."""
        found = [path for top in FOLDERS for path in (self.root / top).glob("[!.]*") if path.is_dir()]
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def files(self, below: Iterable[str] = (*FOLDERS, *LOOSE), but: Collection[str] = ()) -> Files:
        """What is to be mirrored of the files here, `but` for some artifacts. Those that look as noted are not
        read again."""
        noted, found = (self.notes() or Notes("", "")).files, {}
        for top in below:
            for path in sorted((self.root / top).rglob("*")):
                name = path.relative_to(self.root).as_posix()
                parts = name.split("/")
                hidden = any(part.startswith(".") for part in parts)
                if path.is_file() and not hidden and "/".join(parts[:2]) not in but:
                    before = noted.get(name)
                    same = before is not None and before["at"] == looks(path)
                    found[name] = _known(before) if same and before else about(path, name)
        return found

    def check_room(self, size: int) -> None:
        """Raises StorageError where the disk lacks room for so many bytes."""
        with storage_errors(self.root):
            free = shutil.disk_usage(self.root).free
        if size + SPARE > free:
            raise StorageError(
                f"{self.root}: {size / 1e9:.1f} GB of {self.url} are to be fetched here, and {free / 1e9:.1f} GB are "
                f"free; free space, or name a folder on a larger disk by {VARIABLE}"
            )

    def drop_journal(self) -> None:
        """Let go of an erasure that was killed here before it was pushed; for the store it never was."""
        shutil.rmtree(self.root / ROOM, ignore_errors=True)
        (self.root / JOURNAL).unlink(missing_ok=True)

    def drop_own(self, keep: Mapping[str, Any]) -> None:
        """Remove whatever is here and not in `keep`, staged and half-made things too: it may hold who was erased."""
        shutil.rmtree(self.workspace.staging, ignore_errors=True)
        self.workspace.staging.mkdir()
        for top in (*FOLDERS, *LOOSE):
            found = [path for path in (self.root / top).rglob("*") if path.is_file() and path.name != ".lock"]
            self.remove_files([name for path in found if (name := path.relative_to(self.root).as_posix()) not in keep])

    def room(self) -> Path:
        """A folder for what is only passing through; emptied by the next pull, should this process be killed."""
        folder = self.root / PASSING
        folder.mkdir(exist_ok=True)
        return folder

    def sweep(self) -> None:
        """Remove what a kill left of a pull, a push or a search: it may hold customers who were erased since."""
        shutil.rmtree(self.root / PASSING, ignore_errors=True)
        for top in FOLDERS:
            for path in (self.root / top).glob(".*"):
                if path.suffix in (".part", ".old"):
                    shutil.rmtree(path, ignore_errors=True)

    def drop_unpushed(self, keep: Mapping[str, Any], writer: bool) -> None:
        """Remove audiences, reports and receipts that are not in `keep`: a command that was killed left them.

        A service may be adding some at this moment; a reader leaves them alone then, and a writer waits for a while.
        """
        deadline = time.monotonic() + (PATIENCE_S if writer else 0.0)
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(flocked(self.root / ADDING, wait=False))
                    break
                except BusyError:
                    if not writer:
                        return
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.1)
            for top in LOOSE:
                sweep(self.root / top)
                found = [path for path in (self.root / top).rglob("[!.]*") if path.is_file()]
                names = [path.relative_to(self.root).as_posix() for path in found]
                self.remove_files([name for name in names if name not in keep])

    def drop_unnoted(self, folders: Iterable[str]) -> None:
        """Remove from some folders what was never pushed."""
        noted = (self.notes() or Notes("", "")).files
        self.remove_files([name for name in self.files(folders) if name not in noted])

    def remove_files(self, names: list[str]) -> None:
        """Remove files, and the folders that are empty without them."""
        for name in names:
            path = self.root / name
            path.unlink(missing_ok=True)
            for folder in path.relative_to(self.root).parents[:-2]:
                with suppress(OSError):  # not empty, or gone with another one
                    (self.root / folder).rmdir()

    def remove(self, artifact: str) -> None:
        """Remove an artifact, first out of sight in one step."""
        folder = self.root / artifact
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        shutil.rmtree(old)

    @contextmanager
    def catalogue_copy(self) -> Iterator[Path | None]:
        """A copy of the SQLite catalogue at one moment, whoever has it open; None where there is none."""
        if not self.workspace.catalogue.is_file():
            yield None
            return
        copy = self.room() / "catalogue.copy"
        try:
            copy.unlink(missing_ok=True)
            with closing(sqlite3.connect(self.workspace.catalogue)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            yield copy
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"{self.workspace.catalogue}: not readable ({error}); delete {self.root}") from None
        finally:
            copy.unlink(missing_ok=True)

    def catalogue_sum(self) -> str | None:
        """SHA-256 of such a copy; None where there is no catalogue, or a damaged one."""
        with suppress(ArtifactError), self.catalogue_copy() as copy:
            return None if copy is None else sha256(copy)
        return None

    def restore_catalogue(self, copy: Path) -> None:
        """Make the catalogue here what the copy is, in one transaction: a service may have it open."""
        try:
            self._overwrite(copy)
        except sqlite3.DatabaseError:
            self.remove_catalogue()
            self._overwrite(copy)

    def _overwrite(self, copy: Path) -> None:
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(self.workspace.catalogue)) as target:
            source.backup(target)
            # so that no page of before stays in the file; a reader in this moment puts it off to the next writer
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove_catalogue(self) -> None:
        """Remove the catalogue and what SQLite keeps beside it."""
        for end in ("", "-wal", "-shm"):
            (self.root / (CATALOGUE + end)).unlink(missing_ok=True)


def default_base() -> Path:
    """Where mirrors lie: KINFOLK_MIRROR, or `kinfolk` in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "kinfolk"
    except RuntimeError:
        raise StorageError(f"this user has no home folder for a mirror; name a folder by {VARIABLE}") from None


def about(path: Path, name: str) -> dict[str, Any]:
    """What is told of a file that has the path `name` in its workspace."""
    told: dict[str, Any] = {"size": path.stat().st_size, "sha256": sha256(path)}
    if name.startswith("snapshots/") and name.count("/") == 2 and path.name == MANIFEST:
        told["modified"] = path.stat().st_mtime_ns
    return told


def _known(before: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in before.items() if name != "at"}


def _make_private(root: Path) -> None:
    """Make a folder that only this user can look into."""
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700, exist_ok=True)
        status = root.stat()
        if status.st_uid != os.getuid():
            raise InputError(f"{root}: belongs to another user; name a folder of your own by {VARIABLE}")
        if status.st_mode & 0o077:
            root.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"{root}: no mirror can be made here ({error.strerror}); name a folder that can be written by {VARIABLE}"
        ) from None


def looks(path: Path) -> list[int]:
    """Size, times and inode of a file: where all are as they were, it is not read again.

    Size and time of change alone will not do: a snapshot's manifest keeps its time when customers are erased from it,
    and mostly its size.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
