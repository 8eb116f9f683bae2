"""What a piece of work costs: wall and processor seconds, and the peak memory of this process."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Cost:
    """Filled in when the `measured()` block ends."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """User and system time of this process, all threads."""
    peak_rss_mb: float = 0.0
    """Most memory held by this process so far, from its start on."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure a block: `with measured() as cost: work()`, then read `cost`."""
    cost = Cost()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.wall_s = time.perf_counter() - wall
        cost.cpu_s = time.process_time() - cpu
        unit = 1024 if sys.platform != "darwin" else 1024 * 1024
        cost.peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
