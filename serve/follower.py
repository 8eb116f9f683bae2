"""A service over a workspace in an object store: follows what is published there, and sends what it writes itself.

Audiences and saved audiences are files, which are added to the store at once. Everything else that a service writes is
in the catalogue. Where that is the workspace's SQLite file, nights and commands own it, and what a service noted would
be gone with the next pull: such a service is read-only, and says so.
"""

import threading

import structlog

from store.remote import RemoteWorkspace
from store.sending import Sender

log = structlog.get_logger("kinfolk.serve")
READ_ONLY = (
    "this service is read-only, since its workspace is in an object store and its catalogue in SQLite; its operator "
    "can name a PostgreSQL catalogue in KINFOLK_CATALOGUE"
)


class Follower:
    """Keeps a mirror at what the store says; `start` does so from a thread."""

    def __init__(self, remote: RemoteWorkspace, seconds: float) -> None:
        self.remote, self.seconds = remote, seconds
        self.sender = Sender(remote)
        """Adds to the store what the service makes."""
        self.failures = 0
        """Times in succession that the store could not be asked."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow until `stop`: first the kept snapshots that the service started without, then what is new."""
        self._thread = threading.Thread(target=self._follow, name="store-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a pull that is under way is left to itself."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None

    def _follow(self) -> None:
        complete = False
        while not self._stopping.is_set():
            try:
                if not complete:
                    # beside a writer on this machine nothing is pulled, and is to be tried again
                    complete = self.remote.refresh(need="kept", must_exist=False)
                elif self.remote.poll(need="kept"):
                    log.info("pulled", snapshot=self.remote.base.snapshot)
                self._told(None)
            except Exception as error:  # whatever is wrong there, what is here is served on
                self._told(error)
            self._stopping.wait(self.seconds)

    def _told(self, error: Exception | None) -> None:
        """Log the first failure of several, and their end."""
        if error is None and self.failures:
            log.info("object store is back", failures=self.failures)
        elif error is not None and not self.failures:
            log.error("object store cannot be followed", exc_info=error)
        self.failures = 0 if error is None else self.failures + 1
