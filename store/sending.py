"""What a service adds to a workspace in an object store and removes from it, whoever else writes.

Audiences and saved audiences are made here first, as files, and then added to `current` without the writers' lease.
Between the two a pull may come that brings an erasure: then what was made is not added, since it may hold the erased.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from configs.errors import BusyError, ConflictError, StorageError
from configs.progress import SILENT
from store.changes import Changes
from store.head import CURRENT, RECEIPTS, Head, same
from store.lease import BETWEEN_S, PUSHING, Lease, leased
from store.mirror import ADDING, Files
from store.remote import PUSH_WAIT_S, RemoteWorkspace
from store.workspace import flocked


class Sender:
    """Adds to one remote workspace. Its methods may be called from several threads."""

    def __init__(self, remote: RemoteWorkspace) -> None:
        self.remote = remote

    @contextmanager
    def adding(self) -> Iterator[list[str]]:
        """Send what the block makes in the folders of the workspace that it puts into the list.

        Raises ConflictError where customers were erased meanwhile or another one made something else there, BusyError
        where `current` is held for too long, StorageError; then what the block made is dropped.
        """
        with flocked(self.remote.mirror.root / ADDING, wait=True, shared=True):
            seen = self._erasures()
            folders: list[str] = []
            yield folders
            try:
                with self._moment() as pushing:
                    self._add(folders, seen, pushing)
            except (BusyError, StorageError):
                self.remote.behind = True
                self.remote.mirror.drop_unnoted(folders)
                raise

    def removing(self, folder: str, work: Callable[[], None]) -> None:
        """Do `work`, which removes a folder here, and remove it there: with what others have put into it since.

        Raises what `work` does, BusyError and StorageError; then it is here again after the next pull.
        """
        with self._moment() as pushing:
            work()
            self.remote.behind = True  # until it is gone there too
            head = self.remote.head()
            gone = head.below(folder)
            if gone:
                kept = {path: told for path, told in head.files.items() if path not in gone}
                self._move(head, kept, pushing)
            self.remote.noted(Changes(dict.fromkeys(gone), {}))
            self.remote.behind = False

    def _add(self, folders: Collection[str], seen: frozenset[str], pushing: Lease) -> None:
        remote = self.remote
        here, head, notes = remote.mirror.files(folders), remote.head(), remote.mirror.notes()
        noted: Files = {} if notes is None else notes.files
        new = {path: told for path, told in here.items() if not same(head.files.get(path), told)}
        clash = [path for path in new if not same(head.files.get(path), noted.get(path))]
        swept = [folder for folder in folders if not any(path.startswith(f"{folder}/") for path in here)]
        if head.erasures - seen or clash or swept:
            remote.behind = True
            remote.mirror.remove_files(list(new))
            raise ConflictError(
                f"{remote.url}: customers were erased, or another service made the same, while this was made; ask again"
            )
        if not new:
            return
        # sent even where they are there: until `current` names them, a writer may remove them
        remote.upload(new, set(), None, SILENT)
        self._move(head, head.files | new, pushing)
        remote.noted(Changes(new, here))

    def _move(self, head: Head, files: Files, pushing: Lease) -> None:
        remote, wanted = self.remote, replace(head, files=files)
        pushing.verify()
        tag = remote.objects.write_if(CURRENT, wanted.to_json(), head.tag)
        if tag is None:
            raise BusyError(f"{remote.url}: another job has just written; ask again")
        if head.tag == remote.base.tag:
            remote.base = wanted.tagged(tag)

    def _erasures(self) -> frozenset[str]:
        """The receipts of erasures that the mirror has seen."""
        notes = self.remote.mirror.notes()
        return frozenset(path for path in (notes.files if notes else ()) if path.startswith(RECEIPTS))

    @contextmanager
    def _moment(self) -> Iterator[Lease]:
        """Hold `current`, and the mirror as it is: what is pulled meanwhile would be half of one and half of the other.

        Who waits for `current` does not hold the mirror, and the other way round, since both may take long.
        """
        deadline = time.monotonic() + PUSH_WAIT_S
        while True:
            with ExitStack() as stack:
                stack.enter_context(self.remote.turn)
                stack.enter_context(self.remote.mirror.pulling())
                try:
                    pushing = stack.enter_context(leased(self.remote.objects, name=PUSHING))
                except BusyError:
                    if time.monotonic() >= deadline:
                        raise
                else:
                    yield pushing
                    return
            time.sleep(BETWEEN_S)
