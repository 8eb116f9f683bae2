"""Bringing in and letting go of mapped files a little at a time.

Unmapping a gigabyte at once takes tens of milliseconds, in which CPython runs no other thread. A mapping whose pages
were let go of before is unmapped in no time; who still reads it finds every byte where it was, in the file. And whoever
reads a new mapping first waits for its pages one by one, unless they were brought in before.
"""

import ctypes
import mmap
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAPS = Path("/proc/self/maps")
AT_ONCE = 8 << 20
"""Bytes let go of or brought in by one call: about a third of a millisecond to let go."""


MADV_POPULATE_READ = 22
"""Of Linux 5.14, which Python does not name; an older one refuses it, and nothing happens."""

Arrays = Iterable[npt.NDArray[np.generic]]


def let_go(arrays: Arrays, pause: float = 0.002) -> int:
    """Let go of the pages of arrays that lie in files mapped for reading, with a pause in seconds after each few.

    Returns how many bytes. Arrays in memory stay as they are, and all do where the system does not tell its maps (Linux
    does). The caller's arrays must live until the end.
    """
    return _advised(arrays, getattr(mmap, "MADV_DONTNEED", None), pause)


def bring_in(arrays: Arrays, pause: float = 0.002) -> int:
    """Have the pages of arrays that lie in files mapped for reading at hand; otherwise as `let_go`."""
    return _advised(arrays, MADV_POPULATE_READ if hasattr(mmap, "MADV_DONTNEED") else None, pause)


def _advised(arrays: Arrays, advice: int | None, pause: float) -> int:
    if advice is None or not MAPS.exists():
        return 0
    madvise = ctypes.CDLL(None).madvise  # `mmap.madvise` would need the map, and keeps the interpreter to itself
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    held, done = list(arrays), 0
    of_files = _read_only_files(MAPS.read_text(encoding="utf-8", errors="replace"))
    for array in held:
        first, last = array.ctypes.data, array.ctypes.data + array.nbytes
        if not array.flags.c_contiguous or not any(begin <= first and last <= end for begin, end in of_files):
            continue
        begin, end = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, last // mmap.PAGESIZE * mmap.PAGESIZE
        for at in range(begin, end, AT_ONCE):
            size = min(AT_ONCE, end - at)
            if madvise(at, size, advice) != 0:
                return done
            done += size
            time.sleep(pause)
    return done


def _read_only_files(maps: str) -> list[tuple[int, int]]:
    """Where files are mapped that this process cannot write to through the map."""
    found = []
    for line in maps.splitlines():
        span, rights, *_, path = line.split(maxsplit=5) if line.count(" ") > 4 else ("", "", "")
        if rights.startswith("r-") and path.startswith("/"):
            begin, _, end = span.partition("-")
            found.append((int(begin, 16), int(end, 16)))
    return found
