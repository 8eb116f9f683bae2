"""SHA-256 of files; that of a large one is remembered while this process lives and the file stays as it is.

A snapshot is sealed over parts that the same process has sealed or checked a moment before. Like git's index: a file
whose place, size, time of change and time of its inode's change are as they were holds the same bytes; any other is
read. Checks that are asked for read every byte all the same; what they find is remembered for whoever seals next.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

CHUNK = 1 << 20
REMEMBERED_FROM = 1 << 26
"""Bytes from which on a file is remembered. Smaller ones are read again in no time, and quicker than a file system's
clock ticks: two changes within one tick would look like none."""

Stamp = tuple[int, int, int]
_known: dict[tuple[int, int], tuple[Stamp, str]] = {}
"""Device and inode -> size and times when it was hashed, and what came out."""


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, every one of which is read, in bounded memory."""
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        digest, room = hashlib.sha256(), bytearray(CHUNK)
        view = memoryview(room)
        while size := file.readinto(room):
            digest.update(view[:size])
        found = digest.hexdigest()
        remember(before, os.fstat(file.fileno()), found)
    return found


def remembered(path: Path) -> str:
    """The same; a file that was hashed before and did not change since is not read again."""
    stat = path.stat()
    known = _known.get((stat.st_dev, stat.st_ino))
    return known[1] if known is not None and known[0] == _stamp(stat) else sha256(path)


@contextmanager
def written(path: Path) -> Iterator[Callable[[memoryview], None]]:
    """Write a file from pieces, each hashed by another thread while it is written: it need not be read to be sealed.

    A piece may be changed once it is written.
    """
    digest = hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        with ThreadPoolExecutor(1, "digest") as beside:

            def write(piece: memoryview) -> None:
                view = piece.cast("B") if piece.nbytes else memoryview(b"")
                hashed, done = beside.submit(digest.update, view), 0
                try:
                    while done < len(view):
                        done += file.write(view[done:]) or 0
                finally:
                    hashed.result()

            yield write
        stat = os.fstat(file.fileno())
        remember(stat, stat, digest.hexdigest())


def remember(before: os.stat_result, after: os.stat_result, digest: str) -> None:
    """Keep the digest of a large file that did not change between two looks at it."""
    if after.st_size >= REMEMBERED_FROM and _stamp(before) == _stamp(after):
        _known[after.st_dev, after.st_ino] = _stamp(after), digest


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
