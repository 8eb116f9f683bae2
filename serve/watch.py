"""Seconds and memory of a job, as its report tells them."""

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEGABYTE = 1 << 20
SAMPLED_S = 0.1
STATM = Path("/proc/self/statm")


class Watch:
    """Wall-clock seconds by stage, and the peak of memory; close it, or use it as a context manager."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()
        self._own = _own_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory-watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sampling of memory."""
        self._stop.set()
        self._thread.join(timeout=1)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time one stage."""
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

    def told(self) -> dict[str, float]:
        """Seconds by stage and `total`; `peak_mb`, the most memory of this process's own since the watch began, sampled
        ten times a second; `peak_mapped_mb`, the same with mapped files, whose pages the system takes back when it
        needs them.
        """
        mapped = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        own = max(self._own, _own_bytes()) or mapped
        rounded = {name: round(took, 3) for name, took in self.seconds.items()}
        total = round(time.perf_counter() - self._started, 3)
        sizes = {"peak_mb": round(own / MEGABYTE, 1), "peak_mapped_mb": round(mapped / MEGABYTE, 1)}
        return rounded | {"total": total} | sizes

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLED_S):
            self._own = max(self._own, _own_bytes())


def _own_bytes() -> int:
    """Memory of this process that is no mapped file's; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        _, resident, shared = map(int, STATM.read_text().split()[:3])
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0
