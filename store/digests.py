"""SHA-256 of files; that of a large one is remembered while this process lives and the file stays as it is.

A snapshot is sealed over parts that the same process has sealed or checked a moment before. Like git's index: a file
whose place, size, time of change and time of its inode's change are as they were holds the same bytes; any other is
read. Checks that are asked for read every byte all the same; what they find is remembered for whoever seals next.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

CHUNK = 1 << 20
REMEMBERED_FROM = 1 << 26
"""Bytes from which on a file is remembered. Smaller ones are read again in no time, and quicker than a file system's
clock ticks: two changes within one tick would look like none."""

PARTS = 1 << 10
"""What systems accept at once of pieces that lie in several places (IOV_MAX)."""

Stamp = tuple[int, int, int]
_known: dict[tuple[int, int], tuple[Stamp, str]] = {}
"""Device and inode -> size and times when it was hashed, and what came out."""


def sha256(path: Path, share: float = 1.0) -> str:
    """Hex SHA-256 of a file's bytes, every one of which is read, in bounded memory.

    `share` of the time is spent on it, the rest waited: for who has other things to do meanwhile.
    """
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        digest = hashlib.sha256()
        _read_on(file, digest, share=share)
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


@contextmanager
def filled(path: Path, begin: int) -> Iterator[Callable[[Sequence[memoryview]], None]]:
    """Fill a file that has its size, from byte `begin` on, with pieces [bytes] that lie in several places, at most
    PARTS of them at a time; another thread hashes them while they are written. What the file holds before and after is
    read. A small file is not hashed. Pieces may be changed once they are written.
    """
    digest = hashlib.sha256()
    with path.open("r+b", buffering=0) as file, ThreadPoolExecutor(1, "digest") as beside:
        large = os.fstat(file.fileno()).st_size >= REMEMBERED_FROM
        if large:
            _read_on(file, digest, begin)
        file.seek(begin)

        def hashed(parts: Sequence[memoryview]) -> None:
            for part in parts:
                digest.update(part)

        def write(parts: Sequence[memoryview]) -> None:
            told = beside.submit(hashed, parts if large else ())
            try:
                rest = memoryview(b"")
                if (done := os.writev(file.fileno(), parts)) < sum(part.nbytes for part in parts):
                    rest = memoryview(b"".join(parts))[done:]
                while rest:
                    rest = rest[file.write(rest) or 0 :]
            finally:
                told.result()

        yield write
        if large:
            _read_on(file, digest)
            stat = os.fstat(file.fileno())
            remember(stat, stat, digest.hexdigest())


def _read_on(file: FileIO, digest: "hashlib._Hash", until: int | None = None, share: float = 1.0) -> None:
    """Hash a file from where it stands to byte `until` or its end, in bounded memory."""
    view = memoryview(bytearray(CHUNK))
    begun = time.thread_time()  # what was taken from others, not what was waited for them
    while size := file.readinto(view if until is None else view[: until - file.tell()]):
        digest.update(view[:size])
        if share < 1:
            time.sleep((time.thread_time() - begun) * (1 / share - 1))
            begun = time.thread_time()


def remember(before: os.stat_result, after: os.stat_result, digest: str) -> None:
    """Keep the digest of a large file that did not change between two looks at it."""
    if after.st_size >= REMEMBERED_FROM and _stamp(before) == _stamp(after):
        _known[after.st_dev, after.st_ino] = _stamp(after), digest


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
