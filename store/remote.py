"""A workspace in an object store, mirrored by a local folder in which everything is computed.

    s3://bucket/prefix/
      current              JSON: the served snapshot, the trail, and the path, size and SHA-256 of every file
      objects/<sha256>     the files' bytes, each under its own checksum, never changed
      lease, pushing       who writes at the moment, and who moves `current`

Files are named by what they hold, so that an upload never touches what is served: whoever is killed in the middle
leaves the old `current` with all its files. A push ends with one conditional write of `current`; of two writers that
began from the same one, the second is refused. Files that are equal in two snapshots are sent and kept once.
"""

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ArtifactError, BusyError, ConflictError, InputError, KinfolkError, NotFoundError
from configs.progress import SILENT, Progress
from store.artifact import MANIFEST
from store.head import CURRENT, Head, read_head, same
from store.lease import LASTS_S, NAME, PUSHING, Lease, leased
from store.mirror import CATALOGUE, LOOSE, Files, Mirror, about
from store.objects import PROTOCOL, Objects
from store.pull import BLOBS, Need, Pull
from store.rewrite import JOURNAL
from store.workspace import Workspace

TRIES = 5
PUSH_WAIT_S = 60.0
"""How long to wait for another one who moves `current`, which takes moments."""


@dataclass(frozen=True)
class Changes:
    """What is different here from what the mirror began from."""

    files: Mapping[str, dict[str, object] | None]
    """By path; None where it was removed here."""
    here: Files
    moved: bool = False
    """Whether another snapshot is served here than then."""


class RemoteWorkspace:
    """A workspace in an object store and its mirror on this machine. Its methods may be called from several threads."""

    def __init__(self, url: str, cache: Path | None = None, objects: Objects | None = None) -> None:
        self.objects = objects or Objects(url)
        self.url = self.objects.url
        self.mirror = Mirror(self.url, self.objects.endpoint, cache)
        self.local = self.mirror.workspace
        self.base = Head()
        """What the mirror began from: the head of the last pull or push."""
        self._served_here: str | None = None
        """What was served here then."""
        self._behind = False
        """Whether what others wrote since was merged there and is not here yet."""
        self._lease: Lease | None = None
        """That of the writer who is at work here."""
        self._turn = threading.RLock()

    def lease(self, lasts: float = LASTS_S) -> AbstractContextManager[Lease]:
        """Hold the lease of the workspace, for writers. Raises BusyError where another one holds it."""
        return leased(self.objects, lasts)

    def head(self) -> Head:
        """What is served now. Raises ArtifactError where `current` is damaged, StorageError."""
        return read_head(self.objects)

    def pull(
        self, *names: str, need: Need = "line", progress: Progress = SILENT, must_exist: bool = False
    ) -> str | None:
        """Bring to this machine what is needed, of the snapshots `names` too; returns the served one's name.

        What is here already is not fetched again. For the holder of the mirror. Raises ArtifactError naming an object
        that is damaged or missing, NotFoundError where there is no such snapshot (`must_exist`: or nothing at all),
        StorageError.
        """
        with self._turn, self.mirror.pulling():
            return self._pull(names, need, progress, must_exist)

    def _pull(self, names: tuple[str, ...], need: Need, progress: Progress, must_exist: bool) -> str | None:
        for attempt in range(TRIES):
            head = self.head()
            if must_exist and head.tag is None:
                raise NotFoundError(
                    f"{self.url}: there is no workspace yet; `kinfolk run RECIPE --workspace {self.url}` makes one"
                )
            try:
                Pull(self.objects, self.mirror, head, need, names, progress).run()
            except ArtifactError:
                # a writer may have moved on and removed what nobody names any more
                if attempt + 1 == TRIES or self.head().tag == head.tag:
                    raise
                continue
            self.base, self._served_here, self._behind = head, self._pointer(), False
            return head.snapshot
        raise AssertionError("unreachable")

    def refresh(self, *names: str, need: Need = "line", progress: Progress = SILENT, must_exist: bool = True) -> None:
        """Pull for a reader. Beside a writer on this machine what stands in the mirror is read as it is."""
        with self._turn, self.mirror.pulling():
            try:
                with self.mirror.held():
                    self._pull(names, need, progress, must_exist)
            except BusyError:
                if self.mirror.notes() is None:
                    raise

    def poll(self, need: Need = "line") -> bool:
        """Pull where `current` has moved since the last pull or push, and tell whether it had: for a service."""
        before = self.base.tag, self._behind
        if self.objects.tag(CURRENT) == self.base.tag and not self._behind:
            return False
        self.refresh(need=need, must_exist=False)
        return (self.base.tag, self._behind) != before

    @contextmanager
    def writing(
        self, *names: str, need: Need = "line", progress: Progress = SILENT, must_exist: bool = True
    ) -> Iterator[Lease]:
        """Hold lease and mirror over what the block writes: pulled before, pushed after, in one step.

        Where the block fails, what it finished and noted is pushed all the same. Where it is killed or interrupted,
        nothing is. Raises BusyError naming who writes already.
        """
        with self.lease() as lease, ExitStack() as stack:
            with self.mirror.pulling():  # a reader holds the mirror for as long as it pulls
                stack.enter_context(self.mirror.held())
            self.pull(*names, need=need, progress=progress, must_exist=must_exist)
            self._lease = lease
            try:
                yield from self._worked(lease, progress)
            finally:
                self._lease = None

    def _worked(self, lease: Lease, progress: Progress) -> Iterator[Lease]:
        try:
            yield lease
        except Exception as error:
            try:
                self.push(lease, progress)
            except KinfolkError as second:
                error.add_note(f"And nothing of it was pushed: {second}")
            raise
        if self.push(lease, progress):
            self.collect(lease)

    def push_now(self, progress: Progress = SILENT) -> None:
        """Push in the middle of `writing`, and remove what is named no more: for who has to look at the store then."""
        if self._lease is None:
            raise RuntimeError("only a writer pushes")
        if self.push(self._lease, progress):
            self.collect(self._lease)

    def push(self, lease: Lease, progress: Progress = SILENT) -> bool:
        """Make what is here the state of the store: its files first, then `current` in one step; False where nothing
        is different.

        Raises BusyError, with nothing changed, where another writer moved `current` since the last pull.
        """
        lease.check()
        if (self.local.root / JOURNAL).exists():
            raise ConflictError(
                f"{self.local.root}: an erasure was not finished here, so nothing is pushed; start it again"
            )
        with self._turn, self.mirror.catalogue_copy() as copy:
            changes = self._changes(self.mirror.files(), copy)
            if not changes.files and not changes.moved:
                return False
            stored = self.objects.names(BLOBS)
            self._upload({path: told for path, told in changes.files.items() if told}, stored, copy, progress)
            with leased(self.objects, name=PUSHING, wait=PUSH_WAIT_S):
                self._move(changes, lease)
            self._noted(changes)
        return True

    def send(self, *folders: str) -> None:
        """Add what a service has written or removed in some folders to the store, whoever else writes.

        Raises ConflictError where the same was changed there, or customers were erased meanwhile; then what is there is
        pulled, and the service's is dropped.
        """
        with self._turn, leased(self.objects, name=PUSHING, wait=PUSH_WAIT_S):
            changes = self._changes(self.mirror.files(folders), None, folders)
            if not changes.files:
                return
            # sent even where they are there: until `current` names them, a writer may remove them
            self._upload({path: told for path, told in changes.files.items() if told}, set(), None, SILENT)
            try:
                self._move(changes, None)
            except ConflictError:
                self.mirror.remove_files([path for path, told in changes.files.items() if told])
                self.base = Head()
                self.refresh(need="notes", must_exist=False)
                raise
            self._noted(changes)

    def _changes(self, here: Files, catalogue: Path | None, below: Collection[str] = ()) -> Changes:
        notes, base = self.mirror.notes(), self.base.files
        noted = {} if notes is None else notes.files
        gone = [path for path in noted if path in base and path not in here and (not below or _in(path, below))]
        for artifact in {"/".join(path.split("/")[:2]) for path in gone if path.split("/")[0] not in LOOSE}:
            manifest = f"{artifact}/{MANIFEST}"
            # an erasure rewrites an artifact with its manifest, and pruning removes all of it
            if (self.local.root / artifact).is_dir() and same(base.get(manifest), here.get(manifest)):
                raise ArtifactError(
                    f"{self.local.root / artifact}: files are missing, such as {gone[0]}; delete that folder, and "
                    "start the same command again"
                )
        files: dict[str, dict[str, object] | None] = dict.fromkeys(gone)
        files |= {path: told for path, told in here.items() if not same(base.get(path), told)}
        if catalogue is not None:
            told = about(catalogue, CATALOGUE)
            if notes is None or told["sha256"] != notes.copied:
                files[CATALOGUE] = told
        return Changes(files, here, not below and self._pointer() != self._served_here)

    def _upload(self, files: Files, stored: set[str], catalogue: Path | None, progress: Progress) -> None:
        wanted = {told["sha256"]: path for path, told in files.items() if told["sha256"] not in stored}
        sizes = {sha: float(files[path]["size"]) for sha, path in wanted.items()}
        with progress.task(f"Pushing to {self.url}", sum(sizes.values())) as advance:
            for sha, path in wanted.items():
                source = catalogue if path == CATALOGUE and catalogue is not None else self.local.root / path
                self.objects.upload(source, f"{BLOBS}/{sha}")
                advance(sizes[sha])

    def _move(self, changes: Changes, lease: Lease | None) -> None:
        """Write `current`; a service may have added to it since, but no other writer."""
        head = self.base
        for _ in range(TRIES):
            wanted = self._merged(head, changes, lease)
            if lease is not None:
                lease.check()
            tag = self.objects.write_if(CURRENT, wanted.to_json(), head.tag)
            if tag is not None:
                self._behind = self._behind or head.tag != self.base.tag
                self.base, self._served_here = wanted.tagged(tag), self._pointer()
                return
            head = self.head()
        raise BusyError(f"{self.url}: others keep writing; start the same command again")

    def _merged(self, head: Head, changes: Changes, lease: Lease | None) -> Head:
        mine, base = changes.files, self.base
        if head.tag != base.tag:
            theirs = [p for p in mine if not same(head.files.get(p), base.files.get(p))]
            both = [p for p in theirs if not same(head.files.get(p), mine[p])]
            # an erasure goes with nothing that it has not seen, and nothing with one that it has not seen
            erased = any(p.startswith("erasures/") and p not in base.files for p in (*mine, *head.files))
            if both or erased or (lease is not None and head.writer != base.writer):
                raise BusyError(f"{self.url}: another job has published since this one began; start the same again")
        files = {p: told for p, told in (head.files | dict(mine)).items() if told is not None}
        snapshot, trail = (self._pointer(), self._trail(head)) if changes.moved else (head.snapshot, head.trail)
        return Head(snapshot, trail, files, lease.token if lease else head.writer)

    def _noted(self, changes: Changes) -> None:
        notes, told = self.mirror.notes(), changes.files.get(CATALOGUE)
        sums = (None, None) if notes is None else (notes.catalogue, notes.copied)
        if told is not None:
            sums = (str(told["sha256"]), str(told["sha256"]))
        before = {} if notes is None else notes.files
        kept = {path: known for path, known in before.items() if changes.files.get(path, ...) is not None}
        self.mirror.note(kept | changes.here, sums)

    def collect(self, lease: Lease) -> int:
        """Remove objects that `current` does not name, such as those of pruned snapshots; how many."""
        lease.check()
        with leased(self.objects, name=PUSHING, wait=PUSH_WAIT_S):
            gone = sorted(self.objects.names(BLOBS) - self.head().objects)
            self.objects.remove([f"{BLOBS}/{name}" for name in gone])
        return len(gone)

    def unaccounted(self) -> list[str]:
        """Objects below the URL that are no equal of a file here: what a search of the mirror has not seen."""
        here = {str(told["sha256"]) for told in self.mirror.files().values()}
        notes = self.mirror.notes()
        if notes is not None and notes.copied == self.mirror.catalogue_sum():
            here.add(str(notes.catalogue))
        known = {NAME, PUSHING, *(f"{BLOBS}/{sha}" for sha in here)}
        return sorted(self.objects.names() - known)

    def _pointer(self) -> str | None:
        try:
            return self.local.current()
        except ArtifactError:  # a damaged one is none of the store's
            return self.base.snapshot

    def _trail(self, head: Head) -> tuple[str, ...]:
        """The way back: what was known of it, up to the served one."""
        name, before = self._pointer(), head.trail
        if name is None or name in before:
            return before[: before.index(name) + 1] if name else before
        return (*before, name)


def _in(path: str, folders: Collection[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def is_remote(where: str) -> bool:
    """Whether a workspace is named by URL."""
    return "://" in where


@contextmanager
def opened(where: str, *, write: bool = False, need: Need = "line", cache: Path | None = None) -> Iterator[Workspace]:
    """A workspace by folder or URL, for programs. One in an object store is pulled first and, where `write`, pushed at
    the end. Raises BusyError where another job writes."""
    if not is_remote(where):
        yield Workspace.create(Path(where)) if write else Workspace.open(Path(where))
        return
    if not where.startswith(PROTOCOL):
        raise InputError(f"{where}: accepted as a workspace: a folder, or s3://bucket/prefix")
    remote = RemoteWorkspace(where, cache)
    if not write:
        remote.refresh(need=need)
        yield remote.local
        return
    with remote.writing(need=need, must_exist=False):
        yield remote.local
