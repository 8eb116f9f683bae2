"""The snapshot being served, and the watcher that swaps it when another one is published.

A request takes one reference and keeps it to its end, so a swap is one assignment: nobody waits and nobody sees two
snapshots. The old one is let go when its last request ends; its files may be deleted on disk before that, since
Linux keeps a mapped file until the last map is gone. While a swap lasts, both are in memory.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from configs.errors import KinfolkError
from serve.snapshot import Snapshot
from store.artifact import MANIFEST
from store.maps import bring_in, let_go
from store.workspace import Workspace

log = structlog.get_logger("kinfolk.serve")
RETRY_FIRST, RETRY_LONGEST = 2.0, 60.0
BESIDE = 0.25
"""Of one processor, what checking a new snapshot's bytes may take while another one is served."""

Stat = tuple[int, int, int]
Mark = tuple[Stat | None, Stat | None]


class Fault(NamedTuple):
    """Why the published snapshot is not the served one."""

    snapshot: str | None
    """Name of the one that could not be taken; None where the pointer itself cannot be read."""
    error: Exception
    """Its text names files, so that it is for the log only."""


class Live:
    """Holds the served snapshot; `start` keeps it up to date from a thread."""

    def __init__(self, workspace: Workspace, poll_seconds: float = 0.5) -> None:
        self.workspace = workspace
        self.poll_seconds = poll_seconds
        self.snapshot: Snapshot | None = None
        """The one to serve from; None before the first publication. Take it once for each request."""
        self.fault: Fault | None = None
        """Set while a newer publication could not be taken."""
        self.swaps, self.failures = 0, 0
        self.on_change: Callable[[], None] = lambda: None
        """Called after each swap or failure, from the thread that found it."""
        self._mark: Mark = (None, None)
        self._wait, self._retry_at = RETRY_FIRST, 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self) -> Snapshot | None:
        """Load what is published now, None where nothing is. Raises ArtifactError where it is damaged."""
        with self._lock:
            self._mark = self._look()
            if self.workspace.current() is not None:
                self._swap(Snapshot.load(self.workspace))
                self._mark = self._mark[0], self._look()[1]
        return self.snapshot

    def check(self) -> bool:
        """Look once whether another snapshot was published, or this one rewritten; True where a swap was made.

        One that cannot be loaded is kept out and tried again after 2, 4, ... 60 s, in case its files are put right.
        """
        with self._lock:
            mark = self._look()
            again = self.fault is not None and time.monotonic() >= self._retry_at
            if mark == self._mark and not again:
                return False
            if mark != self._mark:
                self._wait = RETRY_FIRST
            return self._take(mark)

    def start(self) -> None:
        """Watch the pointer until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="snapshot-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watcher; the snapshot stays."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def _watch(self) -> None:
        while not self._stopping.wait(self.poll_seconds):
            try:
                self.check()
            except Exception as error:
                log.error("watching for snapshots failed", exc_info=error)

    def _look(self) -> Mark:
        """What tells one state of what is published from another: pointer and manifest are replaced by a rename, so
        that their inodes change. An erasure replaces the served snapshot under its name."""
        manifest = None if self.snapshot is None else _stat(self.snapshot.folder / MANIFEST)
        return _stat(self.workspace.pointer), manifest

    def _take(self, mark: Mark) -> bool:
        name = None
        try:
            name = self.workspace.current()
            swapped = self._take_named(name)
        except Exception as error:
            # whatever is wrong with the new one, running out of memory included, the old one is served on
            self._refuse(name, error)
            swapped = False
        self._mark = self._look() if swapped else mark
        return swapped

    def _take_named(self, name: str | None) -> bool:
        if self.snapshot is not None and (name is None or self._is_served(name, self.snapshot)):
            if name is None:
                raise KinfolkError(f"{self.workspace.pointer}: gone; the snapshot that was served before is served on")
            if self.fault is not None:
                self.fault = None
                log.info("fault is over", snapshot=name)
                self.on_change()
            return False
        if name is None:
            return False
        self._swap(Snapshot.load(self.workspace, name, share=1.0 if self.snapshot is None else BESIDE))
        return True

    def _is_served(self, name: str, served: Snapshot) -> bool:
        """Whether the snapshot `name` is the very one that is served, byte for byte."""
        return name == served.name and self.workspace.manifest(name) == served.manifest

    def _swap(self, snapshot: Snapshot) -> None:
        if self.snapshot is not None:
            bring_in(snapshot.mapped[:1])  # the vectors, which every request reads
        before, self.snapshot, self.fault = self.snapshot, snapshot, None
        self._wait = RETRY_FIRST
        if before is not None:
            self.swaps += 1
        log.info("serving", snapshot=snapshot.name, before=before.name if before else None)
        self.on_change()
        if before is not None:
            let_go(before.mapped)  # whoever ends its last request unmaps it then, which stops everything meanwhile

    def _refuse(self, name: str | None, error: Exception) -> None:
        self.failures += 1
        self.fault = Fault(name, error)
        self._retry_at, self._wait = time.monotonic() + self._wait, min(2 * self._wait, RETRY_LONGEST)
        served = self.snapshot.name if self.snapshot else None
        log.error("snapshot not taken", snapshot=name, served=served, exc_info=error)
        self.on_change()


def _stat(path: Path) -> Stat | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
