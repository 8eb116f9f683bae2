"""One thread for BLAS while scorers are fitted.

Their products are small: two threads spend more on waiting for each other than they save (an audience among a million
takes 2.2 s with two and 1.3 s with one), and with one the last digits do not depend on the machine's cores.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_inside = 0
_limits: threadpool_limits | None = None


@contextmanager
def one_thread() -> Iterator[None]:
    """`with one_thread(): ...`, or as a decorator; the limit is the process's, until the last of several has left."""
    global _inside, _limits
    with _lock:
        _inside += 1
        if _inside == 1:
            _limits = threadpool_limits(1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _limits is not None:
                _limits.restore_original_limits()
                _limits = None
