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
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from configs.errors import ArtifactError, BusyError, ConflictError, InputError, KinfolkError, NotFoundError
from configs.progress import SILENT, Progress
from store.changes import Changes, changes_in, merged
from store.erasures import receipts
from store.head import CURRENT, Head, read_head, way_back
from store.lease import LASTS_S, NAME, PUSHING, Lease, leased
from store.mirror import CATALOGUE, FOLDERS, Files, Mirror
from store.objects import LISTED, PROTOCOL, Objects
from store.pull import BLOBS, Need, Pull
from store.rewrite import JOURNAL
from store.workspace import Workspace

TRIES = 5
PUSH_WAIT_S = 60.0
"""How long to wait for another one who moves `current`, which takes moments, or erases customers."""
MAKING: tuple[Need, ...] = ("line", "everything")
"""What commands need that make artifacts."""


class RemoteWorkspace:
    """A workspace in an object store and its mirror on this machine. Its methods may be called from several threads."""

    def __init__(self, url: str, cache: Path | None = None, objects: Objects | None = None) -> None:
        self.objects = objects or Objects(url)
        self.url = self.objects.url
        self.mirror = Mirror(self.url, self.objects.endpoint, cache)
        self.local = self.mirror.workspace
        self.base = Head()
        """What the mirror began from: the head of the last pull or push."""
        self.left: tuple[str, ...] = ()
        """Artifacts that stand here and not there: finished by a command that was killed before it could push."""
        self.turn = threading.RLock()
        """Held by a thread that pulls, pushes or sends."""
        self.behind = False
        """Whether there is something to be pulled although `current` stands where it was known to be."""
        self._served_here: str | None = None
        """What was served here at the last pull or push."""
        self._carries = True
        """Whether this command pushes what is `left`."""
        self._lease: Lease | None = None
        """That of the writer who is at work here."""
        self._alone: Lease | None = None
        """That of PUSHING, while a writer keeps services from adding."""
        self._dropped: set[str] = set()
        """Objects that `current` named when this writer began, and that it names no more by its pushes."""

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
        with self.turn, self.mirror.pulling():
            return self._pull(names, need, progress, must_exist, writer=True)

    def _pull(
        self, names: tuple[str, ...], need: Need, progress: Progress, must_exist: bool, writer: bool = False
    ) -> str | None:
        for attempt in range(TRIES):
            head = self.head()
            if must_exist and head.tag is None:
                raise NotFoundError(
                    f"{self.url}: there is no workspace yet; `kinfolk run RECIPE --workspace {self.url}` makes one"
                )
            try:
                Pull(self.objects, self.mirror, head, need, names, progress, writer).run()
            except ArtifactError:
                # a writer may have moved on and removed what nobody names any more
                if attempt + 1 == TRIES or self.head().tag == head.tag:
                    raise
                continue
            self.base, self._served_here, self.behind = head, self._pointer(), False
            there = set(head.artifacts(*FOLDERS))
            self.left = tuple(name for name in self.mirror.artifacts() if name not in there)
            return head.snapshot
        raise AssertionError("unreachable")

    def refresh(self, *names: str, need: Need = "line", progress: Progress = SILENT, must_exist: bool = True) -> bool:
        """Pull for a reader. Beside a writer on this machine what stands in the mirror is read as it is: False then."""
        with self.turn, self.mirror.pulling():
            try:
                with self.mirror.held():
                    self._pull(names, need, progress, must_exist)
            except BusyError:
                if self.mirror.notes() is None:
                    raise
                return False
        return True

    def poll(self, need: Need = "line") -> bool:
        """Pull where `current` has moved since the last pull or push, and tell whether it had: for a service."""
        before = self.base.tag, self.behind
        if self.objects.tag(CURRENT) == self.base.tag and not self.behind:
            return False
        self.refresh(need=need, must_exist=False)
        return (self.base.tag, self.behind) != before

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
            self._lease, self._carries, self._dropped = lease, need in MAKING, set()
            try:
                if self._is_unswept():
                    self.collect(lease)
                yield from self._worked(lease, progress)
            finally:
                self._lease = None

    def _is_unswept(self) -> bool:
        """Whether the last erasure may have been killed before what it erased was removed from the store."""
        last = receipts(self.local.root)[-1:]
        return any(not receipt.get("store") for receipt in last)

    def _worked(self, lease: Lease, progress: Progress) -> Iterator[Lease]:
        try:
            yield lease
        except Exception as error:
            try:
                if self.push(lease, progress):
                    self.collect(lease)
            except KinfolkError as second:
                error.add_note(f"And nothing of it was pushed: {second}")
            raise
        if self.push(lease, progress):
            self.collect(lease)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside `writing`, keep services from adding too: for an erasure, whose push goes together with nothing.

        Raises BusyError.
        """
        with self._moment() as pushing:
            if self.objects.tag(CURRENT) != self.base.tag:
                self.pull(need="everything")
            self._alone = pushing
            try:
                yield
            finally:
                self._alone = None

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
        lease.verify()
        if (self.local.root / JOURNAL).exists():
            raise ConflictError(
                f"{self.local.root}: an erasure was not finished here, so nothing is pushed; start it again"
            )
        with self.turn, self.mirror.catalogue_copy() as copy:
            moved = self._pointer() != self._served_here
            but = () if moved or self._carries else self.left
            changes = changes_in(self.mirror, self.base, copy, moved, but)
            if not changes.files and not moved:
                return False
            sent = self.upload(changes.new, self.objects.names(BLOBS), copy, progress)
            try:
                with self._moment() as pushing:
                    # one who lost the lease, and does not know it yet, may have removed what nobody named
                    sent |= self.upload(changes.new, self.objects.names(BLOBS), copy, progress)
                    for held in (pushing, lease):
                        held.verify()
                    self._move(changes)
            except ConflictError:
                self._take_back(sent)
                raise
            with self.mirror.pulling():  # a service beside this writer notes what it adds
                self.noted(changes)
        return True

    def upload(self, files: Files, stored: set[str], catalogue: Path | None, progress: Progress) -> set[str]:
        """Send files whose bytes are not `stored` yet; returns their checksums. Raises StorageError."""
        wanted = {told["sha256"]: path for path, told in files.items() if told["sha256"] not in stored}
        sizes = {sha: float(files[path]["size"]) for sha, path in wanted.items()}
        with progress.task(f"Pushing to {self.url}", sum(sizes.values())) as advance:
            for sha, path in wanted.items():
                source = catalogue if path == CATALOGUE and catalogue is not None else self.local.root / path
                self.objects.upload(source, f"{BLOBS}/{sha}")
                advance(sizes[sha])
        return set(wanted)

    def _move(self, changes: Changes) -> None:
        """Write `current`; a service may have added to it since, but no other writer."""
        head, push = self.base, uuid.uuid4().hex
        for _ in range(TRIES):
            files = merged(self.url, self.base, head, changes)
            wanted = Head(*self._served(head, files, changes), files, push)
            tag = self.objects.write_if(CURRENT, wanted.to_json(), head.tag)
            if tag is not None:
                self.behind = self.behind or head.tag != self.base.tag
                self._dropped |= head.objects - wanted.objects
                self.base, self._served_here = wanted.tagged(tag), self._pointer()
                return
            head = self.head()
            if head.writer == push:  # it went through, its answer was lost, and a service has added since
                self._dropped |= self.base.objects - head.objects
                self.base, self._served_here, self.behind = head, self._pointer(), True
                return
        raise BusyError(f"{self.url}: others keep writing; start the same command again")

    def _served(self, head: Head, files: Files, changes: Changes) -> tuple[str | None, tuple[str, ...]]:
        """What is served from now on, and the way back from there."""
        kept = [name.partition("/")[2] for name in Head(files=files).artifacts("snapshots")]
        if not changes.moved:
            return head.snapshot, way_back(head.trail, head.trail, kept)
        return self._pointer(), way_back(head.trail, self.local.trail(), kept)

    def _take_back(self, sent: set[str]) -> None:
        """After a push that was refused for an erasure: what it sent may hold who was erased."""
        with suppress(KinfolkError), self._moment():
            head = self.head()
            if head.erasures - self.base.erasures:
                self.objects.remove([f"{BLOBS}/{name}" for name in sorted(sent - head.objects)])

    def noted(self, changes: Changes) -> None:
        """Note what is the same here and there after a push."""
        notes, told = self.mirror.notes(), changes.files.get(CATALOGUE)
        sums = (None, None) if notes is None else (notes.catalogue, notes.copied)
        if told is not None:
            sums = (str(told["sha256"]), str(told["sha256"]))
        before = {} if notes is None else notes.files
        kept = {path: known for path, known in before.items() if changes.files.get(path, ...) is not None}
        self.mirror.note(kept | changes.here, sums)

    def collect(self, lease: Lease) -> int:
        """Remove objects that `current` does not name, such as those of pruned snapshots; how many.

        Only those that a push under this lease let go of, and those from before it: a younger one may be of a writer
        who took the lease meanwhile, and has yet to name it. Raises BusyError where the lease is lost.
        """
        with self._moment() as pushing:
            lease.verify()
            written, named = self.objects.listed(BLOBS), self.head().objects
            old = {name for name, when in written.items() if when <= lease.began}
            gone = sorted((old | (self._dropped & written.keys())) - named)
            for start in range(0, len(gone), LISTED):
                for held in (pushing, lease):
                    held.verify()
                self.objects.remove([f"{BLOBS}/{name}" for name in gone[start : start + LISTED]])
        return len(gone)

    @contextmanager
    def _moment(self) -> Iterator[Lease]:
        """Hold what is held while `current` moves, where this writer does not hold it already."""
        if self._alone is not None:
            yield self._alone
            return
        with leased(self.objects, name=PUSHING, wait=PUSH_WAIT_S) as pushing:
            yield pushing

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
