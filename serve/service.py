"""What a running service is made of; one object for all routes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from serve.auth import Key, KeyRing
from serve.config import ServeConfig
from serve.live import Live
from serve.metrics import Metrics
from serve.objections import Objected
from serve.problems import UnavailableError
from store.catalogue import Catalogue
from store.objections import Objections
from store.workspace import Workspace

Result = TypeVar("Result")


class Service:
    """Workspace, catalogue, the live snapshot, keys, metrics, and the few threads that compute audiences."""

    def __init__(self, workspace: Workspace, config: ServeConfig, catalogue: Catalogue) -> None:
        self.workspace = workspace
        self.config = config
        self.catalogue = catalogue
        self.live = Live(workspace, config.poll_seconds)
        self.metrics = Metrics(self.live)
        self.keys = KeyRing(self._find_key, config.key_seconds)
        self.objections = Objections(catalogue)
        self.objected = Objected(self.objections, config.key_seconds)
        self.pool = ThreadPoolExecutor(config.audience_workers, thread_name_prefix="audience")
        self._queued = 0
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a place among the audiences computed or waiting. Raises UnavailableError where all are taken."""
        with self._lock:
            if self._queued >= self.config.audience_workers + self.config.audience_queue:
                raise UnavailableError(
                    "too many audiences are waiting to be computed; ask again in a minute", {"Retry-After": "60"}
                )
            self._queued += 1
            self.metrics.waiting.set(self._queued)
        try:
            yield
        finally:
            with self._lock:
                self._queued -= 1
                self.metrics.waiting.set(self._queued)

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have an audience thread do `work`. Raises UnavailableError once the service is stopping."""
        try:
            return self.pool.submit(work)
        except RuntimeError:
            raise UnavailableError("the service is stopping; ask again in a minute", {"Retry-After": "60"}) from None

    def close(self) -> None:
        """Stop the watcher and the threads; audiences in computation are finished, waiting ones are not begun."""
        self.live.stop()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.catalogue.close()

    def _find_key(self, secret: str) -> Key | None:
        found = self.catalogue.find_key(secret)
        return None if found is None else Key(found.name, found.role)
