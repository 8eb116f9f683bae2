"""What a running service is made of; one object for all routes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import faiss

from serve.auth import Key, KeyRing
from serve.config import ServeConfig
from serve.follower import Follower
from serve.lineage import Lineages
from serve.live import Live
from serve.metrics import Metrics
from serve.objections import Objected
from serve.pictures import Pictures
from serve.problems import UnavailableError
from serve.segment_groups import Groups
from serve.segment_names import Named
from store.catalogue import Catalogue
from store.objections import Objections
from store.threads import available_cpus
from store.workspace import Workspace

Result = TypeVar("Result")


class Service:
    """Workspace, catalogue, the live snapshot, keys, metrics, and the few threads that compute audiences."""

    def __init__(
        self, workspace: Workspace, config: ServeConfig, catalogue: Catalogue, follower: Follower | None = None
    ) -> None:
        self.workspace = workspace
        self.config = config
        self.catalogue = catalogue
        self.follower = follower
        self.live = Live(workspace, config.poll_seconds)
        self.metrics = Metrics(self.live, follower)
        self.keys = KeyRing(self._find_key, config.key_seconds)
        self.objections = Objections(catalogue)
        self.objected = Objected(self.objections, config.key_seconds)
        self.named = Named(catalogue, config.key_seconds)
        self.lineages = Lineages(workspace)
        self.pictures = Pictures()
        self.groups = Groups()
        self.pool = ThreadPoolExecutor(config.audience_workers, thread_name_prefix="audience")
        self._searching = ThreadPoolExecutor(available_cpus(), "search", initializer=_one_core)
        self._queued, self._closed = 0, False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch for what is published."""
        self.live.start()
        if self.follower is not None:
            self.follower.start()

    @contextmanager
    def keeping(self) -> Iterator[list[str]]:
        """Keep for good what the block makes in the folders of the workspace that it puts into the list.

        Raises ConflictError and StorageError where an object store does not take it.
        """
        with ExitStack() as stack:
            yield [] if self.follower is None else stack.enter_context(self.follower.sender.adding())

    def removing(self, folder: str, work: Callable[[], None]) -> None:
        """Do `work`, which removes a folder of the workspace, for good. Raises what it does, and as `keeping`."""
        if self.follower is None:
            work()
        else:
            self.follower.sender.removing(folder, work)

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
            raise stopping() from None

    async def search(self, work: Callable[[], Result]) -> Result:
        """Have a search thread do `work`, of which there are as many as cores: more would only wait for each other.

        Raises UnavailableError once the service is stopping.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._searching, work)
        except RuntimeError:
            if self._closed:
                raise stopping() from None
            raise

    def close(self) -> None:
        """Stop the watcher and the threads; audiences in computation are finished, waiting ones are not begun."""
        self._closed = True
        self.live.stop()
        if self.follower is not None:
            self.follower.stop()
        self._searching.shutdown(wait=True, cancel_futures=True)
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.catalogue.close()

    def _find_key(self, secret: str) -> Key | None:
        found = self.catalogue.find_key(secret)
        return None if found is None else Key(found.name, found.role)


def stopping() -> UnavailableError:
    """The answer to work that comes while the service stops."""
    return UnavailableError("the service is stopping; ask again in a minute", {"Retry-After": "60"})


def _one_core() -> None:
    """Let this thread's searches use one core; OpenMP keeps the number for each thread.

    Requests run side by side as it is, and on a busy machine two cores wait longer for each other (60 ms for 100,000
    customers) than one takes for the whole search (2 ms).
    """
    faiss.omp_set_num_threads(1)
